/* golden_model.c - compares a tiny model with its golden values. */
#include "tests/support/golden_model.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void golden_open(golden_model *f, const char *name, double tolerance)
{
    char path[128];
    *f = (golden_model){ .tolerance = tolerance };
    snprintf(f->folder, sizeof f->folder, GOLDEN "tiny_models/%s", name);
    f->c = tn_context_new(&(tn_options){ .threads = 2, .seed = 1 });
    f->t = tn_tape_new(f->c);
    f->m = tn_model_open(f->c, f->folder, &f->e);
    snprintf(path, sizeof path, "%s/expected.safetensors", f->folder);
    f->expected = tn_safetensors_open(path, &f->e);
    snprintf(path, sizeof path, "%s/expected.json", f->folder);
    f->numbers = tn_json_read(path, &f->e);
    must(&f->e);
    tn_entry_int(f->expected, tn_safetensors_find(f->expected, "input_ids"), f->ids, &f->e);
    must(&f->e);
    for (int i = 0; i < GOLDEN_TOKENS; i++)
        f->targets[i] = i < GOLDEN_TOKENS - 1 ? f->ids[i + 1] : -1;
    f->batch = (tn_batch){ .rows = 1,
                           .width = GOLDEN_TOKENS,
                           .ids = f->ids,
                           .labels = f->targets,
                           .tokens = GOLDEN_TOKENS - 1 };
}

void golden_close(golden_model *f)
{
    tn_json_free(f->numbers);
    tn_safetensors_close(f->expected);
    tn_model_free(f->m);
    tn_tape_free(f->t);
    tn_context_free(f->c);
}

void golden_values(const golden_model *f, const tn_real *x, int64_t count, const char *name)
{
    int64_t n;
    double *expected = read_doubles(f->expected, name, &n);
    ck_assert_int_eq(n, count);
    double d = difference(x, expected, n);
    ck_assert_msg(d < f->tolerance, "%s: %s differs by %g", f->folder, name, d);
    free(expected);
}

void golden_logits(golden_model *f, const char *name)
{
    tn_tensor *ids = tn_tape_input(f->t, TN_I32, 2, (int64_t[]){ 1, GOLDEN_TOKENS });
    memcpy(ids->i, f->ids, sizeof f->ids);
    tn_tensor *z = tn_model_logits(f->m, f->t, ids);
    ck_assert_msg(z != NULL, "%s", tn_tape_error(f->t));
    golden_values(f, z->x, tn_tensor_count(z), name);
    tn_tape_reset(f->t);
}

void golden_loss(golden_model *f, const char *name)
{
    double expected = 0;
    tn_json_get_real(f->numbers, name, &expected, &f->e);
    tn_tensor *loss = tn_model_loss(f->m, f->t, &f->batch, 0);
    ck_assert_msg(loss && !tn_backward(f->t, loss), "%s", tn_tape_error(f->t));
    ck_assert_double_eq_tol((double)loss->x[0], expected, f->tolerance * expected);
}

void golden_norms(golden_model *f, const char *prefix)
{
    const tn_json *norms = tn_json_find(f->numbers, "grad_l2_norm_full_finetune");
    ck_assert_int_eq(norms->count, tn_params_count(f->m->params));
    for (const tn_json *v = norms->child; v; v = v->next) {
        char name[128];
        double sum = 0, expected;
        snprintf(name, sizeof name, "%s%s", prefix, v->key);
        const tn_tensor *w = tn_params_find(f->m->params, name)->w;
        ck_assert(w->has_grad && tn_json_real(v, &expected));
        for (int64_t i = 0; i < tn_tensor_count(w); i++)
            sum += (double)w->g[i] * (double)w->g[i];
        ck_assert_msg(fabs(sqrt(sum) - expected) < f->tolerance * expected,
                      "%s: gradient of %s: %g, expected %g", f->folder, name, sqrt(sum), expected);
    }
}

void golden_adapter(golden_model *f, int64_t count)
{
    tn_adapter_open(f->m, f->folder, &f->e);
    must(&f->e);
    golden_logits(f, "logits.lora");
    golden_loss(f, "loss_lora");
    int64_t factors = 0;
    for (int64_t i = 0; i < tn_params_count(f->m->params); i++) {
        const tn_param *p = tn_params_at(f->m->params, i);
        char name[160];
        snprintf(name, sizeof name, "grad.base_model.model.%s", p->name);
        ck_assert_int_eq(p->w->wants_grad, p->lora_scale != 0);
        if (!p->w->wants_grad)
            continue;
        ck_assert_double_eq(p->lora_scale, 2);
        golden_values(f, p->w->g, tn_tensor_count(p->w), name);
        factors++;
    }
    ck_assert_int_eq(factors, count);
}
