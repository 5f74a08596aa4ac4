/* desk.c - two tapes of one context and four small tensors, for tests of lifetimes. */
#include "tests/support/desk.h"

#include <string.h>

static tn_tensor *filled(int64_t d0, int64_t d1, bool wants)
{
    tn_tensor *a = tn_tensor_new(TN_REAL, 2, (int64_t[]){ d0, d1 }, wants);
    tn_fill_uniform(a->x, d0 * d1, 1, 3, (uint64_t)(d0 * 10 + d1));
    return a;
}

desk desk_new(void)
{
    desk d = { .c = tn_context_new(&(tn_options){ .threads = 1 }) };
    d.t = tn_tape_new(d.c);
    d.other = tn_tape_new(d.c);
    d.x = filled(2, 2, false);
    d.w = filled(2, 2, true);
    d.a = filled(1, 2, true);
    d.b = filled(2, 1, true);
    return d;
}

void desk_free(desk *d)
{
    tn_tensor *all[] = { d->x, d->w, d->a, d->b };
    tn_tape_free(d->t);
    tn_tape_free(d->other);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tn_tensor_free(all[i]);
    tn_context_free(d->c);
}

tn_tensor *desk_linear(desk *d)
{
    return tn_linear(d->t, d->x, d->w, NULL, TN_OUT_IN);
}

tn_tensor *desk_step(desk *d)
{
    return tn_sum(d->t, tn_relu(d->t, desk_linear(d)));
}

tn_tensor *desk_input(desk *d)
{
    tn_tensor *y = tn_tape_input(d->t, TN_REAL, 2, (int64_t[]){ 2, 2 });
    memcpy(y->x, d->w->x, 4 * sizeof *y->x);
    return y;
}
