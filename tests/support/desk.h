/* desk.h - two tapes of one context and four small tensors, for tests of lifetimes. */
#ifndef TN_TESTS_DESK_H
#define TN_TESTS_DESK_H

#include "core/op.h"
#include "tests/support/tests.h"

/* x (2,2), a weight w (2,2), and factors a (1,2) and b (2,1); all but x want a gradient. */
typedef struct desk {
    tn_context *c;
    tn_tape *t, *other;
    tn_tensor *x, *w, *a, *b;
} desk;

desk desk_new(void);
void desk_free(desk *d); /* a test that frees a member itself must set it to NULL */

tn_tensor *desk_linear(desk *d); /* x w^T (2,2) on t */
tn_tensor *desk_step(desk *d);   /* sum(relu(x w^T)) (1) on t */
tn_tensor *desk_input(desk *d);  /* an input of t with the values of w */

#endif
