/* bench_optimizers.c - tenon bench optimizers: a step of each on LoRA pairs beside Adam's. */
#include "apps/bench/bench.h"
#include "apps/report/lines.h"
#include "apps/report/machine.h"

#include <math.h>
#include <stdio.h>

enum { WARM_UP = 3, STEPS = 20 }; /* WARM_UP: for memory and caches, after the optimizer's own */

/* Makes factors (R,C) and (C,R), the shapes of LoRA layers. */
tn_params *bench_pairs(tn_context *c, const options *o, tn_error *e)
{
    const double bytes =
        4.0 * (double)o->pairs * (double)o->width * (double)o->lora_rank * sizeof(tn_real);
    if (bytes > (double)tn_memory_room()) { /* weights and their gradients */
        tn_fail(e, TN_ENOMEM,
                "%lld pairs of (%lld, r %lld) take %.3g GB or more of memory; expected at most "
                "the %.3g GB that there are",
                (long long)o->pairs, (long long)o->width, (long long)o->lora_rank, bytes * 1e-9,
                (double)tn_memory_room() * 1e-9);
        return NULL;
    }
    tn_params *p = tn_params_new(c);
    if (!p) {
        tn_fail(e, TN_ENOMEM, "no memory for the weights");
        return NULL;
    }
    for (int64_t i = 0; i < 2 * o->pairs; i++) {
        char name[64];
        bool b = i % 2;
        snprintf(name, sizeof name, "layer.%lld.lora_%c.weight", (long long)(i / 2), b ? 'B' : 'A');
        int64_t dim[2] = { b ? o->width : o->lora_rank, b ? o->lora_rank : o->width };
        tn_tensor *w = tn_params_add(p, name, 2, dim);
        if (!w)
            break;
        tn_fill_normal(w->x, tn_tensor_count(w), 0.02, 1, tn_stream(name));
        tn_params_find(p, name)->lora_scale = o->lora_alpha / (double)o->lora_rank;
    }
    if (tn_params_error(p)->code)
        tn_fail(e, tn_params_error(p)->code, "%s", tn_params_error(p)->text);
    return p;
}

/* Fills in gradients, as backward does; each step has another scale. */
static void fill_gradients(tn_params *p, int64_t k)
{
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        tn_tensor *w = tn_params_at(p, i)->w;
        int64_t n = tn_tensor_count(w);
        for (int64_t j = 0; j < n; j++)
            w->g[j] = (tn_real)(1 + 0.1 * (double)k) * w->x[(j + k) % n];
        w->has_grad = true;
    }
}

int64_t bench_warm_up(const tn_optim *optim)
{
    const double steps = tn_optim_hyper(optim, "warmup_steps");
    return isnan(steps) ? 0 : (int64_t)steps;
}

bench_cost bench_cost_of(tn_context *c, const tn_optim_def *d, const options *o, tn_error *e)
{
    bench_cost out = { 0 };
    double seconds[STEPS];
    tn_params *p = bench_pairs(c, o, e);
    tn_optim *optim = tn_optim_new(p, d, NULL, e);
    const int64_t warm_up = e->code ? 0 : bench_warm_up(optim) + WARM_UP;
    for (int64_t k = -warm_up; k < STEPS && !e->code; k++) {
        fill_gradients(p, k + warm_up);
        double start = now_seconds();
        if (tn_optim_step(optim))
            tn_fail(e, tn_optim_error(optim)->code, "%s", tn_optim_error(optim)->text);
        if (k >= 0)
            seconds[k] = now_seconds() - start;
    }
    if (!e->code) {
        out.seconds = bench_median(seconds, STEPS);
        out.bytes = (double)tn_optim_state_bytes(optim) / (double)tn_params_trained(p);
    }
    tn_optim_free(optim);
    tn_params_free(p);
    return out;
}

int bench_optimizers(const options *o, tn_error *e)
{
    tn_context *c = bench_context(NULL, (int)o->threads, e);
    if (!c)
        return tn_fail(e, TN_ENOMEM, "%lld threads: out of memory", (long long)o->threads);
    bench_cost adam = bench_cost_of(c, tn_optim_find("adam"), o, e);
    lines_show("%lld pairs of (%lld, r %lld), %d thread%s\n", (long long)o->pairs,
               (long long)o->width, (long long)o->lora_rank, tn_context_threads(c),
               tn_context_threads(c) > 1 ? "s" : "");
    lines all = lines_begin(), *l = &all;
    static const char *const heads[] = { "ms/step", "us/pair", "x adam", "bytes/number", "x adam" };
    static const int width[] = { 10, 10, 10, 15, 10 };
    l->indent = 14;
    lines_cell(l, l->indent, "optimizer");
    for (int i = 0; i < 5; i++)
        lines_cell(l, (size_t)width[i], "%*s", width[i], heads[i]);
    lines_add(l, "\n");
    for (int i = 0; tn_optims[i] && !e->code; i++) {
        const tn_optim_def *d = tn_optims[i];
        bench_cost k = bench_cost_of(c, d, o, e);
        const double row[] = { 1e3 * k.seconds, 1e6 * k.seconds / (double)o->pairs,
                               k.seconds / adam.seconds, k.bytes, k.bytes / adam.bytes };
        lines_cell(l, l->indent, "%s", d->name);
        for (int n = 0; n < 5; n++)
            lines_cell(l, (size_t)width[n], "%*.*f", width[n], n ? 2 : 3, row[n]);
        lines_add(l, "\n");
    }
    tn_context_free(c);
    return e->code != 0;
}
