/* broadcast.h - operands that are smaller than the result are repeated. Internal header.
   Such an operand lacks dimensions in front, or has dimensions of 1, in front or at the end. Element
   i of the result uses its element (i / inner) % count. If the result is (4,5,6):

       operand              count   inner
       (4,5,6)                120       1    not repeated
       (5,6) or (1,5,6)        30       1    all 30 numbers, 4 times
       (4,1,1)                  4      30    each number 30 times: a run of 30
       (5,1)                    5       6    each number 6 times, and all of this 4 times
       (1)                      1     120    one number 120 times */
#ifndef TN_BROADCAST_H
#define TN_BROADCAST_H

#include "core/ops/ops.h"

enum { TN_BLOCK = 1024 }; /* elements that a formula gets at a time */

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
    const int32_t *ids; /* the numbers of a TN_I32; NULL: x has those of a TN_REAL */
    int64_t count, inner;
} tn_repeated;

/* Numbers of such an operand, repeated in memory. n is 0 at first. */
typedef struct tn_written {
    int64_t at, n; /* place of the first number in its repetition; how many numbers there are */
    tn_real x[TN_BLOCK];
} tn_written;

/* `shape` of an op: a dimension of out is that of the operands in which it is not 1. */
int tn_broadcast_shape(tn_tape *t, const tn_node *n, tn_tensor *out);
/* Writes to *o how a is repeated in out. False if a does not fit, or has a 1 between larger
   dimensions. */
bool tn_repeats(const tn_tensor *a, const tn_tensor *out, tn_repeated *o);
/* Returns the operand's numbers for elements [i, i + n) of the result: its own memory, or a copy in
   w. n is at most TN_BLOCK if the operand is repeated or has integers. */
const tn_real *tn_repeated_block(const tn_repeated *o, int64_t i, int64_t n, tn_written *w);

#endif
