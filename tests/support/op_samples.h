/* op_samples.h - what the tests of ops share: calls of samples, a tape, tensors. */
#ifndef TN_TESTS_OPS_H
#define TN_TESTS_OPS_H

#include "core/check/call.h"
#include "tests/support/tests.h"

/* A context with two threads, and a tape. `tensor` has the given values, or random ones if they are
   NULL. */
/* clang-format off */
typedef struct bench { tn_context *c; tn_tape *t; } bench;
/* clang-format on */
bench bench_new(void);
void bench_free(bench b);
tn_tensor *tensor(int ndim, const int64_t dim[], const double *values, bool wants);
#define DIM(...) ((const int64_t[]){ __VA_ARGS__ })

#endif
