/* op_samples.h - calls of ops, made from the samples that they declare. */
#ifndef TN_TESTS_OPS_H
#define TN_TESTS_OPS_H

#include "core/op.h"
#include "tests/support/tests.h"

typedef struct call { /* one call; the operands are leaves and belong to it */
    const tn_op *op;
    tn_tensor *in[TN_MAX_INPUTS];
    tn_attr attr;
    char name[128]; /* "linear: sample 3" */
} call;

/* Operands of the sample, filled with numbers that depend on the operand's place alone. Real ones
   want a gradient; they keep 0.1 away from 0, where relu has its kink. rows > 0 replaces dim[0] of
   the operands that have rows. */
call call_new(const tn_op *op, const tn_sample *s, int index, int64_t rows);
void call_free(call *c);
bool call_is_first(const call *c, int i); /* operand i is real, and no operand before is the same */
bool call_has_rows(const call *c, int i); /* operand i's dim[0] counts rows (op.h, `rows`) */

/* Runs the call on a cleared tape in draw 1 and weights the result's elements with random numbers:
   the loss. *out, unless out is NULL, is what the op returned. `plain` runs the op's reference. */
tn_tensor *call_loss(const call *c, tn_tape *t, bool plain, tn_tensor **out);
void call_clear(
    const call *c); /* gradients become zero; their memory NaN, as it may hold anything */

/* The result and the gradients of every operand that wants one, one after another. */
/* clang-format off */
typedef struct numbers { int64_t count, out; tn_real *x; } numbers; /* out: of the result */
/* clang-format on */
numbers call_numbers(const call *c, tn_tape *t, bool plain);
tn_real *call_gradients(const call *c); /* as they stand; the caller frees */

/* A tape of its own on two threads, and tensors with these values or, NULL, random ones. */
/* clang-format off */
typedef struct bench { tn_context *c; tn_tape *t; } bench;
/* clang-format on */
bench bench_new(void);
void bench_free(bench b);
tn_tensor *tensor(int ndim, const int64_t dim[], const double *values, bool wants);
#define DIM(...) ((const int64_t[]){ __VA_ARGS__ })

int64_t samples_of(const tn_op *op);

#endif
