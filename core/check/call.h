/* call.h - calls of an op, made from the samples that it declares. Internal header.
   Ownership: the caller owns the results. When memory is out, a call has no operands, and numbers
   have x NULL. */
#ifndef TN_CALL_H
#define TN_CALL_H

#include "core/op.h"

typedef struct tn_call { /* one call; its operands are leaves and belong to it */
    const tn_op *op;
    tn_tensor *in[TN_MAX_INPUTS];
    tn_attr attr;
    uint64_t draw;  /* of the tape when it runs: 1 */
    tn_real before; /* content of the gradients' memory before they are written: NaN */
    char name[64];  /* "sample 3" */
} tn_call;

/* Makes the operands of the sample. The numbers of operand i depend on i only. Real operands want a
   gradient if the op has a backward. Their numbers are at least 0.1 away from 0, where relu has its
   kink. If they must be positive, they are at least 0.6. If rows > 0, it replaces dim[0] of the
   operands that have rows. */
tn_call tn_call_new(const tn_op *op, const tn_sample *s, int index, int64_t rows);
void tn_call_free(tn_call *c);
/* True if operand i is real, is not a fixed table, and does not repeat the tensor of operand 0. */
bool tn_call_is_first(const tn_call *c, int i);
/* True if dim[0] of operand i counts rows (op.h, `rows`). */
bool tn_call_has_rows(const tn_call *c, int i);

/* Resets the tape and runs the call. Returns the loss: the sum of the result's elements, each times
   a random number. Unless out is NULL, *out becomes the result, with ids as real numbers. `plain`
   runs the op's reference instead of the op. NULL, with an error on the tape, if the op refuses. */
tn_tensor *tn_call_loss(const tn_call *c, tn_tape *t, bool plain, tn_tensor **out);
/* The same loss, added up in double. *size becomes the sum of the absolute values. NaN if
   tn_call_loss returns NULL. */
double tn_call_value(const tn_call *c, tn_tape *t, double *size);
/* Gradients become zero. Every number of their memory becomes c->before. */
void tn_call_clear(const tn_call *c);

/* The result and the gradients of every operand that wants one, one after another. */
typedef struct tn_numbers {
    int64_t count, out; /* how many there are; how many of them are the result */
    tn_real *x; /* NULL, with an error on the tape: the op refused, or left out a gradient */
} tn_numbers;
tn_numbers tn_call_numbers(const tn_call *c, tn_tape *t, bool plain);
tn_real *tn_call_gradients(const tn_call *c, tn_tape *t); /* as they are now */

int64_t tn_samples_count(const tn_op *op);

#endif
