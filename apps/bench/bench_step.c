/* bench_step.c - tenon bench step: times whole training steps of a GPT-2.
   Weights and tokens are random; it is AdamW, with loss on every token. */
#include "apps/bench/bench.h"
#include "apps/report/lines.h"
#include "apps/report/machine.h"
#include "apps/run/need.h"
#include "optim/optim.h"

#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 1, STEPS = 5, MOST_STEPS = 1000 };

typedef struct trial {
    tn_context *context;
    tn_model *model;
    tn_tape *tape;
    tn_optim *optim;
    int32_t *ids; /* (2,B,T): inputs, labels */
    tn_batch batch;
} trial;

/* Tokens per row; 256 if it is not set. */
static int64_t width_of(const options *o)
{
    return o->max_seq_length > 0 ? o->max_seq_length : 256;
}

static tn_model *new_model(const options *o, tn_context *c, tn_error *e)
{
    if (o->width % o->heads)
        tn_fail(e, APP_USAGE, "--width %lld: expected a multiple of the %lld heads (--heads)",
                (long long)o->width, (long long)o->heads);
    tn_text config = { 0 };
    tn_text_add(&config, "{\"model_type\": \"gpt2\", \"n_layer\": %lld, \"n_head\": %lld, ",
                (long long)o->layers, (long long)o->heads);
    tn_text_add(&config, "\"n_embd\": %lld, \"vocab_size\": %lld, \"n_positions\": %lld}",
                (long long)o->width, (long long)o->vocab, (long long)width_of(o));
    const char *text = tn_text_done(&config, "bench step", e);
    const tn_json *json = text ? tn_json_parse(text, config.n, "bench step", 1, e) : NULL;
    tn_model *m = tn_model_new(c, json, 0, -1, e);
    tn_json_free(json);
    tn_text_free(&config);
    return m;
}

static void add_lora(const options *o, tn_model *m, tn_error *e)
{
    if (e->code || !strcmp(o->mode, "full"))
        return;
    const bool all = strstr(o->mode, "all") != NULL; /* lora-all, lora_all */
    const char *targets = all ? "all-linear" : "c_attn.q,c_attn.v";
    tn_lora_options lora = { .rank = o->lora_rank, .alpha = o->lora_alpha, .targets = targets };
    tn_lora_add(m, &lora, e);
}

static void fill_batch(const options *o, trial *t, tn_error *e)
{
    if (e->code)
        return;
    int64_t n = o->batch_size * width_of(o);
    t->ids = malloc((size_t)(2 * n) * sizeof *t->ids);
    if (!t->ids) {
        tn_fail(e, TN_ENOMEM, "no memory for the tokens");
        return;
    }
    for (int64_t i = 0; i < 2 * n; i++)
        t->ids[i] = (int32_t)(tn_random(1, 1, 0, (uint64_t)i) % (uint64_t)o->vocab);
    t->batch = (tn_batch){ .rows = o->batch_size,
                           .width = width_of(o),
                           .ids = t->ids,
                           .labels = t->ids + n,
                           .tokens = n };
}

static int trial_open(trial *t, const options *o, tn_error *e)
{
    t->context = bench_context(NULL, (int)o->threads, e);
    if (!t->context)
        return tn_fail(e, TN_ENOMEM, "%lld threads: out of memory", (long long)o->threads);
    t->model = new_model(o, t->context, e);
    add_lora(o, t->model, e);
    if (!e->code) {
        const need n = need_of_training(t->model, 0, o->batch_size, width_of(o));
        need_check(&n, "a step", e);
    }
    fill_batch(o, t, e);
    t->tape = tn_tape_new(t->context);
    if (!t->tape)
        tn_fail(e, TN_ENOMEM, "no memory for the tape");
    if (!e->code)
        t->optim =
            tn_optim_new(t->model->params, tn_optim_find("adamw"),
                         &(tn_optim_options){ .lr = 1e-4, .weight_decay = -1, .max_grad_norm = -1 },
                         e);
    return e->code;
}

static void trial_close(trial *t)
{
    tn_optim_free(t->optim);
    tn_tape_free(t->tape);
    free(t->ids);
    tn_model_free(t->model);
    tn_context_free(t->context);
}

/* Takes one step and returns its loss. *seconds: of forward, backward and update. */
static double step(trial *t, int64_t k, double seconds[3], tn_error *e)
{
    double from = now_seconds();
    tn_tape_train(t->tape, (uint64_t)k);
    tn_tensor *loss = tn_model_loss(t->model, t->tape, &t->batch, 0);
    double forward = now_seconds();
    if (tn_backward(t->tape, loss)) {
        tn_fail(e, tn_tape_code(t->tape), "%s", tn_tape_error(t->tape));
        return 0;
    }
    double value = loss->x[0];
    double backward = now_seconds();
    tn_tape_reset(t->tape);
    if (tn_optim_step(t->optim))
        tn_fail(e, tn_optim_error(t->optim)->code, "%s", tn_optim_error(t->optim)->text);
    seconds[0] = forward - from;
    seconds[1] = backward - forward;
    seconds[2] = now_seconds() - backward;
    return value;
}

static int measure(trial *t, const options *o, tn_error *e)
{
    static const char *const part_names[] = { "fwd", "bwd", "upd" };
    double part[3][MOST_STEPS], whole[MOST_STEPS], loss = 0;
    int n = o->iters < 1 ? STEPS : o->iters < MOST_STEPS ? (int)o->iters : MOST_STEPS;
    for (int64_t k = -WARM_UP; k < n && !e->code; k++) {
        double s[3] = { 0 };
        loss = step(t, k + WARM_UP, s, e);
        for (int i = 0; i < 3 && k >= 0; i++)
            part[i][k] = s[i];
        if (k >= 0)
            whole[k] = s[0] + s[1] + s[2];
    }
    if (e->code)
        return e->code;
    double median = bench_median(whole, n), tokens = (double)t->batch.tokens;
    lines line = lines_begin(), *l = &line;
    lines_add(l, "tenon %s %lldx%lld B %lld T %lld %s %dT: step ms min %.4g med %.4g max %.4g |",
              tn_context_isa(t->context), (long long)o->layers, (long long)o->width,
              (long long)t->batch.rows, (long long)t->batch.width, o->mode,
              tn_context_threads(t->context), 1e3 * whole[0], 1e3 * median, 1e3 * whole[n - 1]);
    for (int i = 0; i < 3; i++)
        lines_add(l, " %s %.4g", part_names[i], 1e3 * bench_median(part[i], n));
    lines_add(l, " | tok/s med %.1f best %.1f | peak RSS %.0f MiB | loss %.4f\n", tokens / median,
              tokens / whole[0], memory_peak() / (1 << 20), loss);
    return 0;
}

int bench_step(const options *o, tn_error *e)
{
    trial t = { 0 };
    if (!strcmp(o->mode, "mlp"))
        return bench_mlp(o, e);
    if (!trial_open(&t, o, e))
        measure(&t, o, e);
    trial_close(&t);
    return e->code != 0;
}
