/* broadcast.h - operands that are smaller than the result are repeated. Internal header.
   Such an operand lacks dimensions in front, or has 1 for some, in front or at the end. Element i
   of the result is then made from its element (i / inner) % count. With a result of (4,5,6):

       operand              count   inner
       (4,5,6)                120       1    each element has its own
       (5,6) or (1,5,6)        30       1    rows that are repeated
       (4,1,1)                  4      30    each number is for a run
       (5,1)                    5       6    both
       (1)                      1     120 */
#ifndef TN_BROADCAST_H
#define TN_BROADCAST_H

#include "core/ops/ops.h"

enum { TN_BLOCK = 1024 }; /* elements */

/* The same operands and dy, from element i on. */
static inline tn_elements tn_elements_from(const tn_elements *z, int64_t i)
{
    tn_elements moved = *z;
    for (int k = 0; k < 3; k++)
        moved.in[k] += i;
    moved.dy += i;
    return moved;
}

typedef struct tn_repeated {
    const tn_real *x;
    const int32_t *ids; /* instead of x, of TN_I32; NULL: of TN_REAL */
    int64_t count, inner;
} tn_repeated;

/* A block of such an operand, written out. n is 0 at first. */
typedef struct tn_written {
    int64_t at, n; /* how far its first number is behind a repetition, and how many there are */
    tn_real x[TN_BLOCK];
} tn_written;

/* `shape` of an op: each dimension of out is the one that is not 1. */
int tn_broadcast_shape(tn_tape *t, const tn_node *n, tn_tensor *out);
/* How a is repeated in out. False if it does not fit, or has a 1 between larger dimensions. */
bool tn_repeats(const tn_tensor *a, const tn_tensor *out, tn_repeated *o);
/* Its numbers for elements [i, i + n) of the result; n <= TN_BLOCK if it is repeated or holds
   integers. */
const tn_real *tn_repeated_block(const tn_repeated *o, int64_t i, int64_t n, tn_written *w);

#endif
