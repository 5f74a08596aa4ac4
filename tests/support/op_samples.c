/* op_samples.c - a tape and tensors for the tests of ops. */
#include "tests/support/op_samples.h"

bench bench_new(void)
{
    bench b = { .c = tn_context_new(&(tn_options){ .threads = 2, .seed = 3 }) };
    b.t = b.c ? tn_tape_new(b.c) : NULL;
    ck_assert_ptr_nonnull(b.t);
    return b;
}

void bench_free(bench b)
{
    tn_tape_free(b.t);
    tn_context_free(b.c);
}

tn_tensor *tensor(int ndim, const int64_t dim[], const double *values, bool wants)
{
    tn_tensor *a = tn_tensor_new(TN_REAL, ndim, dim, wants);
    ck_assert_ptr_nonnull(a);
    tn_fill_uniform(a->x, tn_tensor_count(a), 1, 11, (uint64_t)tn_tensor_count(a));
    for (int64_t i = 0; values && i < tn_tensor_count(a); i++)
        a->x[i] = (tn_real)values[i];
    return a;
}
