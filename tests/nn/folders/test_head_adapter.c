/* test_head_adapter.c - adapters on lm_head, which PEFT wrote with a copy of the head's weight.
   smollm3 has a head that is tied to the embedding, phi3 one of its own. Logits, loss and gradients
   were made by PEFT in double; Transformers computes the angles of rope in float. */
#include "nn/family.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = sizeof(tn_real) == sizeof(double) ? 1e-5 : 1e-4;

static const struct {
    const char *adapter, *base;
    bool tied;
} cases[] = { { GOLDEN "adapters/head_tied", GOLDEN "tiny_models/smollm3", true },
              { GOLDEN "adapters/head_untied", GOLDEN "tiny_models/phi3", false } };
enum { TOKENS = 24 };

typedef struct desk {
    tn_context *c;
    tn_tape *t;
    tn_model *m;
    tn_safetensors *expected;
    int32_t ids[TOKENS], labels[TOKENS];
    tn_error e;
} desk;

static void open_desk(desk *d, int i)
{
    char path[96];
    *d = (desk){ .c = tn_context_new(&(tn_options){ .threads = 2, .seed = 3 }) };
    d->t = tn_tape_new(d->c);
    snprintf(path, sizeof path, "%s/expected.safetensors", cases[i].adapter);
    d->m = tn_model_open(d->c, cases[i].base, &d->e);
    d->expected = tn_safetensors_open(path, &d->e);
    must(&d->e);
    tn_entry_int(d->expected, tn_safetensors_find(d->expected, "input_ids"), d->ids, &d->e);
    for (int k = 0; k < TOKENS; k++)
        d->labels[k] = k < TOKENS - 1 ? d->ids[k + 1] : -1;
    must(&d->e);
}

static void close_desk(desk *d)
{
    tn_model_free(d->m);
    tn_safetensors_close(d->expected);
    tn_tape_free(d->t);
    tn_context_free(d->c);
}

static void same_numbers(const desk *d, const tn_real *x, int64_t count, const char *name)
{
    int64_t n;
    double *expected = read_doubles(d->expected, name, &n);
    ck_assert_int_eq(n, count);
    const double apart = difference(x, expected, n);
    ck_assert_msg(apart < TOLERANCE, "%s differs by %g", name, apart);
    free(expected);
}

static void same_logits(desk *d, const tn_model *m)
{
    tn_tensor *ids = tn_tape_input(d->t, TN_I32, 2, (int64_t[]){ 1, TOKENS });
    memcpy(ids->i, d->ids, sizeof d->ids);
    tn_tensor *z = tn_model_logits(m, d->t, ids);
    ck_assert_msg(z != NULL, "%s", tn_tape_error(d->t));
    same_numbers(d, z->x, tn_tensor_count(z), "logits");
    tn_tape_reset(d->t);
}

START_TEST(loss_and_gradients_are_those_of_peft)
{
    desk d;
    open_desk(&d, _i);
    tn_adapter_open(d.m, cases[_i].adapter, &d.e);
    must(&d.e);
    ck_assert_ptr_null(d.m->note);
    const tn_batch b = {
        .rows = 1, .width = TOKENS, .ids = d.ids, .labels = d.labels, .tokens = TOKENS - 1
    };
    tn_tensor *loss = tn_model_loss(d.m, d.t, &b, 0);
    ck_assert_msg(loss && !tn_backward(d.t, loss), "%s", tn_tape_error(d.t));
    same_numbers(&d, loss->x, 1, "loss");
    int factors = 0;
    for (int64_t i = 0; i < tn_params_count(d.m->params); i++) {
        const tn_param *p = tn_params_at(d.m->params, i);
        char name[160];
        snprintf(name, sizeof name, "grad.base_model.model.%s", p->name);
        ck_assert_int_eq(p->w->wants_grad, p->lora_scale != 0);
        if (p->w->wants_grad)
            same_numbers(&d, p->w->g, tn_tensor_count(p->w), name);
        factors += p->w->wants_grad;
    }
    ck_assert_int_eq(factors, 2 * (int)d.m->layers + 2);
    ck_assert(tn_model_activations(d.m, 1, TOKENS, true) <= (double)tn_tape_memory(d.t));
    close_desk(&d);
}
END_TEST

/* A tied head gets a weight of its own: the embedding stays, to the bit. In a folder and in a GGUF
   file of it are the same logits. */
START_TEST(a_merged_head_leaves_the_embedding)
{
    desk d;
    scratch s;
    open_desk(&d, _i);
    scratch_open(&s);
    const tn_tensor *embedding = tn_params_find(d.m->params, d.m->family->embedding)->w;
    const uint64_t before = tn_hash64(embedding->x, tn_tensor_bytes(embedding), 0);
    const int64_t count = tn_params_count(d.m->params);
    tn_adapter_open(d.m, cases[_i].adapter, &d.e);
    tn_lora_merge(d.m, &d.e);
    must(&d.e);
    ck_assert_uint_eq(tn_hash64(embedding->x, tn_tensor_bytes(embedding), 0), before);
    ck_assert_int_eq(tn_params_count(d.m->params), count + cases[_i].tied);
    ck_assert(!d.m->tied && d.m->head != embedding);
    same_logits(&d, d.m);
    for (int gguf = 0; gguf < 2; gguf++) {
        const char *path = gguf ? scratch_path(&s, "m.gguf") : s.folder;
        if (gguf)
            tn_model_save_gguf(d.m, NULL, path, TN_FILE_F32, &d.e);
        else
            tn_model_save(d.m, path, TN_FILE_F32, &d.e);
        tn_model *again = tn_model_open(d.c, path, &d.e);
        must(&d.e);
        ck_assert(!again->tied);
        same_logits(&d, again);
        tn_model_free(again);
    }
    close_desk(&d);
    scratch_close(&s);
}
END_TEST

START_TEST(names_decide_if_the_head_has_one)
{
    static const struct {
        const char *targets;
        bool head;
    } rows[] = { { "all-linear", false }, { "lm_head", true }, { "o_proj,lm_head", true },
                 { "o_proj", false },     { ".*head", true },  { ".*proj", false } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        desk d;
        open_desk(&d, _i);
        tn_lora_add(d.m, &(tn_lora_options){ .rank = 2, .alpha = 4, .targets = rows[i].targets },
                    &d.e);
        must(&d.e);
        ck_assert_msg((d.m->output.lora != NULL) == rows[i].head, "%s", rows[i].targets);
        close_desk(&d);
    }
}
END_TEST

/* A file with one tensor more, or with the copy of the head times 1.5. */
static void refuse_changed(int i, const char *name, double by, const char *says)
{
    desk d;
    scratch s;
    open_desk(&d, i);
    scratch_open(&s);
    char path[96];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", cases[i].adapter);
    tn_safetensors *file = tn_safetensors_open(path, &d.e);
    must(&d.e);
    const int64_t n = tn_safetensors_count(file);
    tn_entry entries[32];
    tn_real x[32 * 16];
    for (int64_t k = 0; k < n; k++) {
        entries[k] = *tn_safetensors_at(file, k);
        if (!strstr(entries[k].name, "base_layer"))
            continue;
        tn_entry_real(file, &entries[k], x, &d.e);
        for (int j = 0; j < 32 * 16; j++)
            x[j] *= (tn_real)by;
        entries[k].bytes = NULL;
        entries[k].real = x;
    }
    entries[n] = entries[0];
    entries[n].name = name;
    tn_safetensors_write(scratch_path(&s, "adapter_model.safetensors"), entries, n + (name != NULL),
                         NULL, &d.e);
    copy_file(cases[i].adapter, s.folder, "adapter_config.json");
    must(&d.e);
    tn_adapter_open(d.m, s.folder, &d.e);
    if (says)
        must_fail(&d.e, TN_EFORMAT, says);
    must(&d.e);
    tn_safetensors_close(file);
    close_desk(&d);
    scratch_close(&s);
}

START_TEST(what_is_refused)
{
    refuse_changed(_i, "base_model.model.model.embed_tokens.lora_embedding_A", 1,
                   "lora_embedding_A\": an adapter of the embedding is not computed");
    refuse_changed(_i, NULL, 1.5, "lm_head.base_layer.weight\" differs from that of the model");
    refuse_changed(_i, NULL, 1.001, NULL); /* as after rounding to another type */
}
END_TEST

/* llama.cpp has no weight that an adapter of a tied head could be of, and mlx-lm none outside blocks. */
START_TEST(other_formats)
{
    desk d;
    scratch s;
    open_desk(&d, _i);
    scratch_open(&s);
    tn_adapter_open(d.m, cases[_i].adapter, &d.e);
    must(&d.e);
    tn_adapter_save_mlx(d.m, s.folder, TN_FILE_F32, &d.e);
    must_fail(&d.e, TN_EARG, "lm_head");
    tn_adapter_save_gguf(d.m, scratch_path(&s, "a.gguf"), TN_FILE_F32, &d.e);
    if (cases[_i].tied) {
        must_fail(&d.e, TN_EARG, "a head that is tied");
    } else {
        tn_model *again = tn_model_open(d.c, cases[_i].base, &d.e);
        tn_adapter_open(again, s.path, &d.e);
        must(&d.e);
        same_logits(&d, again);
        tn_model_free(again);
    }
    close_desk(&d);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    const int n = sizeof cases / sizeof *cases;
    tcase_add_loop_test(c, loss_and_gradients_are_those_of_peft, 0, n);
    tcase_add_loop_test(c, a_merged_head_leaves_the_embedding, 0, n);
    tcase_add_loop_test(c, names_decide_if_the_head_has_one, 0, n);
    tcase_add_loop_test(c, what_is_refused, 0, n);
    tcase_add_loop_test(c, other_formats, 0, n);
}
