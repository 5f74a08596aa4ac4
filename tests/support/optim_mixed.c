/* optim_mixed.c - makes two pairs, an embedding, a norm and a bias, and steps them. */
#include "tests/support/optim_mixed.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <string.h>

static double scale_of(const char *name, scale s)
{
    return strstr(name, "lora_B") ? s.b : s.a;
}

void mixed_part(problem *p, size s, int first, uint64_t shuffle, scale weights)
{
    const struct {
        const char *name;
        int ndim;
        int64_t dim[2];
    } all[WEIGHTS] = {
        { "x.lora_A.weight", 2, { s.r, s.in } },
        { "x.lora_B.weight", 2, { s.out, s.r } },
        { "y.lora_A.weight", 2, { s.r, s.out } },
        { "y.lora_B.weight", 2, { s.in, s.r } },
        { "embed.weight", 2, { 7, 5 } },
        { "norm.weight", 1, { 6 } },
        { "bias", 1, { 3 } },
    };
    *p = (problem){ .context = tn_context_new(&(tn_options){ .threads = 1 }) };
    p->params = tn_params_new(p->context);
    int order[WEIGHTS], count = WEIGHTS - first;
    for (int i = 0; i < count; i++)
        order[i] = first + i;
    for (int i = count - 1; i > 0 && shuffle; i--) {
        int j = (int)(tn_random(shuffle, 1, 0, (uint64_t)i) % (unsigned)(i + 1)), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (int i = 0; i < count; i++) {
        const char *name = all[order[i]].name;
        tn_tensor *w = tn_params_add(p->params, name, all[order[i]].ndim, all[order[i]].dim);
        ck_assert_ptr_nonnull(w);
        tn_fill_normal(w->x, tn_tensor_count(w), 0.3 * scale_of(name, weights), 1, tn_stream(name));
        tn_params_find(p->params, name)->lora_scale = order[i] < PAIRED ? 2 : 0;
    }
}

void mixed(problem *p, size s, uint64_t shuffle)
{
    mixed_part(p, s, 0, shuffle, (scale){ 1, 1 });
}

void mixed_gradients(problem *p, kind k, scale s, int t)
{
    for (int64_t i = 0; i < tn_params_count(p->params); i++) {
        const char *name = tn_params_at(p->params, i)->name;
        tn_tensor *w = tn_params_at(p->params, i)->w;
        int64_t n = tn_tensor_count(w), cols = w->dim[w->ndim - 1];
        uint64_t stream = tn_stream(name), seed = (uint64_t)t;
        for (int64_t j = 0; j < n; j++) {
            double g = tn_random_normal(seed, stream, 0, (uint64_t)j);
            if (k == RANK_ONE)
                g = tn_random_normal(seed, stream, 1, (uint64_t)(j / cols)) *
                    tn_random_normal(seed, stream, 2, (uint64_t)(j % cols));
            if ((k == ZERO_FIRST && t <= 3) || (k == ZERO_ROW && j / cols == 0) ||
                (k == ZERO_COLUMN && j % cols == 0))
                g = 0;
            w->g[j] = (tn_real)(scale_of(name, s) * g);
        }
        w->has_grad = true;
    }
}

void must_try(problem *p, const tn_optim_def *def, const char *settings)
{
    tn_error e = { 0 };
    tn_optim_free(p->optim);
    p->optim = problem_try(p, def, settings, 0, (tn_schedule){ 0 }, &e);
    ck_assert_msg(p->optim != NULL, "%s %s: %s", def->name, settings, e.text);
}

void run(problem *p, const tn_optim_def *def, const char *settings, int steps)
{
    must_try(p, def, settings);
    for (int t = 1; t <= steps; t++) {
        mixed_gradients(p, NORMAL, (scale){ 1, 1 }, t);
        problem_step(p);
    }
}

const double values[VALUES] = { 0, 1, 0.5, 0.1, 2, 3, 10, 0.9, 0.99, 0.01, 5 };

const tn_hyper *setting(const tn_optim_def *def, int i)
{
    int own = 0;
    while (own < TN_MAX_HYPER && def->hyper[own].name)
        own++;
    return i < own ? &def->hyper[i] : tn_optim_common(def, i - own);
}

int count_presets(const tn_optim_def *def)
{
    int n = 0;
    while (n < TN_MAX_PRESETS && def->presets[n].name)
        n++;
    return n;
}

bool legal(const tn_optim_def *def, const char *settings)
{
    problem p;
    tn_error e = { 0 };
    mixed(&p, (size){ 9, 7, 3 }, 0);
    p.optim = problem_try(&p, def, settings, 0, (tn_schedule){ 0 }, &e);
    bool fine = p.optim != NULL;
    problem_free(&p);
    return fine;
}

bool variant(const tn_optim_def *def, int k, char text[TEXT])
{
    int presets = count_presets(def);
    text[0] = 0;
    if (k > 0 && k <= presets)
        snprintf(text, TEXT, "preset=%s", def->presets[k - 1].name);
    k -= 1 + presets;
    const tn_hyper *h = k < 0 ? NULL : setting(def, k / VALUES);
    if (h)
        snprintf(text, TEXT, "%s=%g", h->name, values[k % VALUES]);
    return k < 0 || h;
}
