/* optim_named.c - makes weights of given names and shapes. */
#include "tests/support/optim_named.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>

tn_params *named(tn_context *c, const char *const names[], const int64_t dims[][3])
{
    tn_params *p = tn_params_new(c);
    for (int i = 0; names[i]; i++) {
        tn_tensor *w = tn_params_add(p, names[i], (int)dims[i][0], &dims[i][1]);
        ck_assert_ptr_nonnull(w);
        tn_fill_uniform(w->x, tn_tensor_count(w), 0.5, 1, tn_stream(names[i]));
    }
    return p;
}

void named_gradients(tn_params *p, int64_t k)
{
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        tn_tensor *w = tn_params_at(p, i)->w;
        for (int64_t j = 0; j < tn_tensor_count(w) && w->wants_grad; j++)
            w->g[j] = (tn_real)sin((double)(tn_stream(tn_params_at(p, i)->name) % 97) +
                                   (double)(7 * k + 3 * j));
        w->has_grad = w->wants_grad;
    }
}

tn_optim *named_optimizer(tn_params *p, const char *name, const char *const *set)
{
    tn_error e = { 0 };
    tn_optim *o = tn_optim_new(p, tn_optim_find(name),
                               &(tn_optim_options){ .set = set, .weight_decay = -1 }, &e);
    must(&e);
    return o;
}

void named_refused(tn_params *p, const char *name, const tn_optim_options *o, int code,
                   const char *part)
{
    tn_error e = { 0 };
    ck_assert_ptr_null(tn_optim_new(p, tn_optim_find(name), o, &e));
    must_fail(&e, code, part);
}
