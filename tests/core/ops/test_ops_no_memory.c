/* test_ops_no_memory.c - every op when memory runs out.
   Each allocation of its forward and backward fails once, with an arena that reserves addresses and
   with one that does not. The tape has the error, nothing leaks, and after a reset the same call
   gives the same bits. */
#include "core/gemm.h"
#include "tests/support/op_samples.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Allocations that still succeed. The next one fails, and those after it succeed again. */
static atomic_long left = -1;
static atomic_bool reserves; /* the system reserves addresses without memory; this is not counted */

static bool refused(void)
{
    return atomic_fetch_sub(&left, 1) == 0;
}

/* These replace the functions that give core/ its memory. */

void *aligned_alloc(size_t alignment, size_t size)
{
    void *block;
    return refused() || posix_memalign(&block, alignment, size) ? NULL : block;
}

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
    if (protection == PROT_NONE ? !atomic_load(&reserves) : refused()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, address, size, protection, flags, file, offset);
}

int mprotect(void *address, size_t size, int protection)
{
    if (refused()) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_mprotect, address, size, protection);
}

/* Forward and backward of sum(y y). The operands are results of an op, so their gradients take
   memory, too. Returns 0 or the code of the error. */
static int run(const tn_call *c, tn_tape *t)
{
    tn_tensor *in[TN_MAX_INPUTS];
    tn_tape_train(t, 1);
    for (int i = 0; i < c->op->inputs; i++)
        in[i] = tn_call_is_first(c, i)      ? tn_scale(t, c->in[i], 1)
                : i && c->in[i] == c->in[0] ? in[0]
                                            : c->in[i];
    tn_tensor *y = tn_apply(t, c->op, in, c->attr);
    tn_tensor *loss = y && c->op->backward ? tn_sum(t, tn_mul(t, y, y)) : NULL;
    return loss ? tn_backward(t, loss) : tn_tape_code(t);
}

/* Runs the call in a new context. Allocation n fails. Returns false if there is no allocation n. */
static bool run_without(const tn_call *c, long n, const tn_real *want, size_t bytes)
{
    bench b = bench_new();
    tn_call_clear(c);
    atomic_store(&left, n);
    int code = run(c, b.t);
    bool was_refused = atomic_exchange(&left, -1) < 0;
    ck_assert_msg(code == (was_refused ? TN_ENOMEM : 0), "%s: without block %ld: %d, %s", c->name,
                  n, code, tn_tape_error(b.t));
    ck_assert(!was_refused || strstr(tn_tape_error(b.t), "out of memory"));
    tn_tape_reset(b.t);
    tn_call_clear(c);
    ck_assert_int_eq(run(c, b.t), 0);
    tn_real *g = tn_call_gradients(c, b.t);
    ck_assert_msg(!memcmp(g, want, bytes), "%s: other gradients after block %ld was refused",
                  c->name, n);
    free(g);
    bench_free(b);
    return was_refused;
}

START_TEST(op_without_memory)
{
    const tn_op *op = tn_ops[_i / 2];
    atomic_store(&reserves, _i % 2);
    for (int i = 0; i < tn_samples_count(op); i++) {
        if (op->samples[i].bench)
            continue;
        tn_call c = tn_call_new(op, &op->samples[i], i, 0);
        bench b = bench_new();
        tn_numbers all = tn_call_numbers(&c, b.t, false);
        size_t bytes = (size_t)(all.count - all.out) * sizeof(tn_real); /* of the gradients */
        tn_tape_reset(b.t);
        tn_call_clear(&c);
        ck_assert_int_eq(run(&c, b.t), 0);
        tn_real *want = tn_call_gradients(&c, b.t);
        long n = 0;
        while (run_without(&c, n, want, bytes))
            n++;
        /* results, gradients and the temporary memory of sum; without backward only results */
        ck_assert_int_ge(n, op->backward ? 3 : 1);
        free(want);
        free(all.x);
        bench_free(b);
        tn_call_free(&c);
    }
}
END_TEST

/* A product without memory gives an error, on all threads and inside a body. */
START_TEST(product_without_memory)
{
    enum { N = 100 };
    tn_real *x = calloc(N * N, sizeof *x), *y = calloc(N * N, sizeof *y);
    for (int threads = 1; threads <= 2; threads++)
        for (int here = 0; here < 2; here++) {
            tn_context *c = tn_context_new(&(tn_options){ .threads = threads });
            tn_product p = { .m = N,
                             .n = N,
                             .k = N,
                             .a = x,
                             .ars = N,
                             .acs = 1,
                             .b = tn_matrix_of(x, N, N),
                             .c = y,
                             .ldc = N };
            atomic_store(&left, 0);
            ck_assert_int_eq(here ? tn_gemm_here(c, 0, &p) : tn_gemm(c, &p), TN_ENOMEM);
            atomic_store(&left, -1);
            ck_assert_int_eq(here ? tn_gemm_here(c, 0, &p) : tn_gemm(c, &p), TN_OK);
            tn_context_free(c);
        }
    free(x);
    free(y);
}
END_TEST

START_TEST(tensor_without_memory)
{
    for (long n = 0; n < 2; n++) { /* values, gradient */
        atomic_store(&left, n);
        ck_assert_ptr_null(tn_tensor_new(TN_REAL, 1, DIM(3), true));
    }
}
END_TEST

void tests(TCase *c)
{
    int ops = 0;
    while (tn_ops[ops])
        ops++;
    tcase_add_loop_test(c, op_without_memory, 0, 2 * ops);
    tcase_add_test(c, product_without_memory);
    tcase_add_test(c, tensor_without_memory);
}
