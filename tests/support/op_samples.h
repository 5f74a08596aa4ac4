/* op_samples.h - what the tests of ops share: calls of their samples, a tape, tensors. */
#ifndef TN_TESTS_OPS_H
#define TN_TESTS_OPS_H

#include "core/check/call.h"
#include "tests/support/tests.h"

/* A tape of its own on two threads, and tensors with these values or, NULL, random ones. */
/* clang-format off */
typedef struct bench { tn_context *c; tn_tape *t; } bench;
/* clang-format on */
bench bench_new(void);
void bench_free(bench b);
tn_tensor *tensor(int ndim, const int64_t dim[], const double *values, bool wants);
#define DIM(...) ((const int64_t[]){ __VA_ARGS__ })

#endif
