/* test_curves.c - whole trainings give the numbers of PyTorch.
   Losses and gradient norms are compared in each step, the weights at the end. */
#include "optim/optim.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBLE = sizeof(tn_real) == sizeof(double), MOST_TOKENS = 512 };

typedef struct run {
    tn_context *c;
    tn_tape *t;
    tn_model *m;
    tn_optim *o;
    const tn_json *curve;
    int32_t *ids;               // (steps,B,T)
    int64_t steps, rows, width; // B, T
    int64_t prompt;             // labels of earlier positions do not count
    double *losses, *norms, tolerance;
    tn_error e;
} run;

static void open_curve(run *r, const char *folder, const char *batches)
{
    char *path = tn_path_join(folder, "curve.json"),
         *tokens = tn_path_join(folder, "batches.safetensors");
    r->c = tn_context_new(&(tn_options){ .threads = 2, .seed = 1 });
    r->t = tn_tape_new(r->c);
    r->curve = tn_json_read(path, &r->e);
    tn_safetensors *s = tn_safetensors_open(tokens, &r->e);
    must(&r->e);
    const tn_entry *b = tn_safetensors_find(s, batches);
    r->steps = b->dim[0];
    r->rows = b->dim[1];
    r->width = b->dim[2];
    r->ids = calloc((size_t)tn_entry_count(b), sizeof *r->ids);
    tn_entry_int(s, b, r->ids, &r->e);
    must(&r->e);
    tn_safetensors_close(s);
    free(path);
    free(tokens);
}

static void close_run(run *r)
{
    tn_optim_free(r->o);
    tn_model_free(r->m);
    tn_tape_free(r->t);
    tn_context_free(r->c);
    tn_json_free(r->curve);
    free(r->ids);
    free(r->losses);
    free(r->norms);
}

/* Makes an optimizer with the settings of a JSON object. */
static void open_optimizer(run *r, const tn_json *settings)
{
    const char *name = NULL, *set[16] = { NULL };
    char text[16][64];
    double lr = 0;
    int n = 0;
    tn_json_get_string(r->curve, "optimizer", &name, &r->e);
    tn_json_get_real(settings, "lr", &lr, &r->e);
    for (const tn_json *v = settings->child; v; v = v->next) {
        if (!strcmp(v->key, "lr"))
            continue;
        snprintf(text[n], sizeof text[n], "%s=%s", v->key, v->kind == TN_BOOL ? "1" : v->text);
        set[n] = text[n];
        n++;
    }
    r->o = tn_optim_new(r->m->params, tn_optim_find(name),
                        &(tn_optim_options){
                            .lr = lr, .set = set, .weight_decay = -1, .decay_all = true },
                        &r->e);
    must(&r->e);
}

static tn_tensor *loss_of(run *r, int64_t step)
{
    int32_t ids[MOST_TOKENS], targets[MOST_TOKENS];
    int64_t T = r->width - 1;
    ck_assert_int_le(r->rows * T, MOST_TOKENS);
    for (int64_t b = 0; b < r->rows; b++) {
        for (int64_t i = 0; i < T; i++) {
            const int32_t *next = r->ids + (step * r->rows + b) * r->width + i;
            ids[b * T + i] = next[0];
            targets[b * T + i] = i < r->prompt ? -1 : next[1];
        }
    }
    tn_batch batch = { .rows = r->rows,
                       .width = T,
                       .ids = ids,
                       .labels = targets,
                       .tokens = r->rows * (T - r->prompt) };
    tn_tensor *loss = tn_model_loss(r->m, r->t, &batch, 0);
    ck_assert_msg(loss != NULL, "%s", tn_tape_error(r->t));
    return loss;
}

static void check(const run *r, const char *what, int64_t step, double found, double expected)
{
    ck_assert_msg(fabs(found - expected) <= r->tolerance * expected,
                  "step %lld: %s %.15g, expected %.15g, off by %g", (long long)step, what, found,
                  expected, fabs(found - expected) / expected);
}

static void train(run *r)
{
    for (int64_t k = 0; k < r->steps; k++) {
        tn_tensor *loss = loss_of(r, k);
        check(r, "loss", k, (double)loss->x[0], r->losses[k]);
        ck_assert_msg(!tn_backward(r->t, loss), "%s", tn_tape_error(r->t));
        ck_assert_msg(!tn_optim_step(r->o), "%s", tn_optim_error(r->o)->text);
        check(r, "gradient norm", k, tn_optim_grad_norm(r->o), r->norms[k]);
        tn_tape_reset(r->t);
    }
}

/* Compares every factor of the adapter with that of PyTorch. */
static void check_final(run *r, const char *model, const char *folder, double tolerance)
{
    tn_model *m = tn_model_open(r->c, model, &r->e);
    tn_adapter_open(m, folder, &r->e);
    must(&r->e);
    for (int64_t i = 0; i < tn_params_count(m->params); i++) {
        const tn_param *p = tn_params_at(m->params, i), *q = tn_params_find(r->m->params, p->name);
        double most = 0, scale = 0;
        for (int64_t k = 0; k < tn_tensor_count(p->w); k++) {
            most = fmax(most, fabs((double)p->w->x[k] - (double)q->w->x[k]));
            scale = fmax(scale, fabs((double)p->w->x[k]));
        }
        ck_assert_msg(most <= tolerance * scale, "%s is off by %g", p->name, most / scale);
    }
    tn_model_free(m);
}

/* Transformers computes norms and softmax of Llama in float, so its curves are less exact. */
static const struct {
    const char *name;
    double exact; /* tolerance in double */
} models[] = { { "gpt2", 1e-10 }, { "llama", 1e-5 } };

static const char *const cases[] = { "full_adamw", "full_adam", "full_sgd_nesterov",
                                     "lora_adamw", "lora_adam", "lora_sgd_nesterov",
                                     "dora_adamw" };
enum { CASES = sizeof cases / sizeof *cases };

/* PEFT wrote the last adapters of DoRA in float, so they are rounded. */
static double final_of(const char *name)
{
    return strncmp(name, "dora", 4) ? 0 : 1e-7;
}

START_TEST(tiny_models_train_as_in_pytorch)
{
    char folder[128], sub[160], model[128];
    const char *name = cases[_i % CASES], *of = models[_i / CASES].name;
    const double exact = models[_i / CASES].exact;
    bool lora = strncmp(name, "full", 4) != 0;
    int64_t n;
    run r = { .tolerance = DOUBLE ? exact : 2e-4 };
    snprintf(folder, sizeof folder, GOLDEN "curves/tiny_%s_%s", of, name);
    snprintf(model, sizeof model, GOLDEN "tiny_models/%s", of);
    open_curve(&r, folder, "batches");
    r.losses = read_numbers(r.curve, "losses", &n);
    r.norms = read_numbers(r.curve, "grad_norms", &n);
    r.m = tn_model_open(r.c, model, &r.e);
    must(&r.e);
    snprintf(sub, sizeof sub, "%s/init", folder);
    if (lora)
        tn_adapter_open(r.m, sub, &r.e);
    must(&r.e);
    double after = 0;
    int64_t trained = 0;
    tn_json_get_int(r.curve, "trainable", &trained, &r.e);
    tn_json_get_real(r.curve, "loss_on_batch_0_after", &after, &r.e);
    ck_assert_int_eq(tn_params_trained(r.m->params), trained);
    open_optimizer(&r, tn_json_find(r.curve, "settings"));
    train(&r);
    check(&r, "loss at the end", 0, (double)loss_of(&r, 0)->x[0], after);
    snprintf(sub, sizeof sub, "%s/final", folder);
    if (lora)
        check_final(&r, model, sub, DOUBLE ? fmax(10 * exact, final_of(name)) : 1e-3);
    close_run(&r);
}
END_TEST

/* A model that sorts learns to sort in the opposite order, in 50 steps of LoRA. */
START_TEST(sorting_model_trains_as_in_pytorch)
{
    char *folder = assets("golden/hf/curves/sort_gpt2_adamw"),
         *model = assets("assets/models/gpt-nano-sort-hf");
    if (!folder)
        return;
    int64_t n;
    run r = { .tolerance = DOUBLE ? 1e-9 : 2e-5, .prompt = 5 };
    open_curve(&r, folder, "sequences");
    r.losses = read_numbers(r.curve, "losses_float64", &n);
    ck_assert_int_eq(n, 50);
    char *init = tn_path_join(folder, "init");
    r.m = tn_model_open(r.c, model, &r.e);
    must(&r.e);
    tn_adapter_open(r.m, init, &r.e);
    must(&r.e);
    ck_assert(!r.m->tied && r.m->end == -1 && tn_params_trained(r.m->params) == 5184);
    r.o = tn_optim_new(r.m->params, tn_optim_find("adamw"),
                       &(tn_optim_options){ .lr = 0.005,
                                            .set = (const char *[]){ "weight_decay=0", NULL },
                                            .weight_decay = -1 },
                       &r.e);
    must(&r.e);
    for (int64_t k = 0; k < r.steps; k++) {
        tn_tensor *loss = loss_of(&r, k);
        check(&r, "loss", k, (double)loss->x[0], r.losses[k]);
        ck_assert(!tn_backward(r.t, loss) && !tn_optim_step(r.o));
        tn_tape_reset(r.t);
    }
    close_run(&r);
    free(init);
    free(folder);
    free(model);
}
END_TEST

/* A published small Llama, 50 steps of LoRA on a text. */
static const struct {
    const char *name, *optimizer, *setting;
    double lr;
} stories[] = { { "stories_adamw", "adamw", "weight_decay=0", 5e-4 },
                { "stories_sgd", "sgd", "momentum=0.9", 0.05 } };

START_TEST(stories_train_as_in_pytorch)
{
    char name[64];
    snprintf(name, sizeof name, "golden/hf/curves/%s", stories[_i].name);
    char *folder = assets(name), *model = assets("assets/models/stories260K-hf");
    if (!folder)
        return;
    int64_t n;
    run r = { .tolerance = 2e-5 };
    open_curve(&r, folder, "batches");
    r.losses = read_numbers(r.curve, "losses_float64", &n);
    r.norms = read_numbers(r.curve, "grad_l2", &n);
    ck_assert_int_eq(n, 50);
    char *init = tn_path_join(folder, "init");
    r.m = tn_model_open_as(r.c, model, &(tn_open_options){ .frozen = true }, &r.e);
    must(&r.e);
    tn_adapter_open(r.m, init, &r.e);
    must(&r.e);
    ck_assert_int_eq(tn_params_trained(r.m->params), 8960);
    r.o = tn_optim_new(r.m->params, tn_optim_find(stories[_i].optimizer),
                       &(tn_optim_options){ .lr = stories[_i].lr,
                                            .set = (const char *[]){ stories[_i].setting, NULL },
                                            .weight_decay = -1 },
                       &r.e);
    must(&r.e);
    train(&r);
    close_run(&r);
    free(init);
    free(folder);
    free(model);
}
END_TEST

/* Two micro-batches of different shapes make a step. Prompts and padding do not count, and the loss
   is the mean over all labels of both. */
enum { MICRO = 2 };
static const char *const micro_names[MICRO][2] = { { "micro0.inputs", "micro0.targets" },
                                                   { "micro1.inputs", "micro1.targets" } };

/* Reads batch `step` of a tensor (steps,B,T). Negative numbers become -1. Returns how many are not. */
static int64_t read_batch(const tn_safetensors *s, const char *name, int64_t step, tn_batch *b,
                          int32_t *out, tn_error *e)
{
    const tn_entry *x = tn_safetensors_find(s, name);
    int32_t *all = calloc((size_t)tn_entry_count(x), sizeof *all);
    int64_t counted = 0;
    tn_entry_int(s, x, all, e);
    must(e);
    b->rows = x->dim[1];
    b->width = x->dim[2];
    ck_assert_int_le(b->rows * b->width, MOST_TOKENS);
    for (int64_t i = 0; i < b->rows * b->width; i++) {
        const int32_t id = all[step * b->rows * b->width + i];
        out[i] = id < 0 ? -1 : id;
        counted += id >= 0;
    }
    free(all);
    return counted;
}

START_TEST(masked_and_accumulated_as_in_pytorch)
{
    char *folder = assets("golden/hf/curves/stories_masked_accum"),
         *model = assets("assets/models/stories260K-hf");
    if (!folder)
        return;
    int64_t n;
    run r = { .tolerance = 2e-5 };
    open_curve(&r, folder, micro_names[0][0]);
    r.losses = read_numbers(r.curve, "losses_float64", &n);
    r.norms = read_numbers(r.curve, "grad_l2", &n);
    ck_assert_int_eq(n, r.steps);
    char *init = tn_path_join(folder, "init"), *path = tn_path_join(folder, "batches.safetensors");
    tn_safetensors *batches = tn_safetensors_open(path, &r.e);
    r.m = tn_model_open_as(r.c, model, &(tn_open_options){ .frozen = true }, &r.e);
    must(&r.e);
    tn_adapter_open(r.m, init, &r.e);
    r.o = tn_optim_new(r.m->params, tn_optim_find("adamw"),
                       &(tn_optim_options){ .lr = 5e-4,
                                            .set = (const char *[]){ "weight_decay=0", NULL },
                                            .weight_decay = -1 },
                       &r.e);
    must(&r.e);
    for (int64_t k = 0; k < r.steps; k++) {
        int32_t ids[MICRO][MOST_TOKENS], targets[MICRO][MOST_TOKENS];
        tn_batch b[MICRO] = { 0 };
        int64_t tokens = 0;
        double loss = 0;
        for (int i = 0; i < MICRO; i++) {
            read_batch(batches, micro_names[i][0], k, &b[i], ids[i], &r.e);
            b[i].tokens = read_batch(batches, micro_names[i][1], k, &b[i], targets[i], &r.e);
            b[i].ids = ids[i];
            b[i].labels = targets[i];
            tokens += b[i].tokens;
        }
        for (int i = 0; i < MICRO; i++) {
            tn_tensor *part = tn_model_loss(r.m, r.t, &b[i], tokens);
            ck_assert_msg(part && !tn_backward(r.t, part), "%s", tn_tape_error(r.t));
            loss += (double)part->x[0];
            tn_tape_reset(r.t);
        }
        check(&r, "loss", k, loss, r.losses[k]);
        ck_assert(!tn_optim_step(r.o));
        check(&r, "gradient norm", k, tn_optim_grad_norm(r.o), r.norms[k]);
    }
    tn_safetensors_close(batches);
    close_run(&r);
    free(init);
    free(path);
    free(folder);
    free(model);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, tiny_models_train_as_in_pytorch, 0, 2 * CASES);
    tcase_add_test(c, masked_and_accumulated_as_in_pytorch);
    tcase_add_test(c, sorting_model_trains_as_in_pytorch);
    tcase_add_loop_test(c, stories_train_as_in_pytorch, 0, sizeof stories / sizeof *stories);
}
