/* test_tensor_borrow.c - tensors that borrow the memory of their values.
   The memory is pages that cannot be written, and release unmaps them. So a write, or a read after
   the release, ends the test with a signal. */
#include "tests/support/op_samples.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ROWS = 3, COLS = 256 };

typedef struct mapping {
    unsigned char *pages;
    size_t size;
    int released; /* how often release was called */
} mapping;

static void release(void *arg)
{
    mapping *m = arg;
    m->released++;
    munmap(m->pages, m->size);
}

/* Read-only pages with these bytes from `offset` on. */
static mapping map(const void *bytes, size_t size, size_t offset)
{
    mapping m = { .size = size + offset };
    m.pages = mmap(NULL, m.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(m.pages != MAP_FAILED);
    memcpy(m.pages + offset, bytes, size);
    ck_assert_int_eq(mprotect(m.pages, m.size, PROT_READ), 0);
    return m;
}

/* A weight (ROWS,COLS), or ids (ROWS,COLS) below ROWS, that owns its memory. */
static tn_tensor *owned(tn_dtype type)
{
    tn_tensor *w = tn_tensor_new(type, 2, DIM(ROWS, COLS), false);
    ck_assert_ptr_nonnull(w);
    for (size_t k = 0; k < tn_tensor_bytes(w); k++)
        ((unsigned char *)w->data)[k] = (unsigned char)(tn_random(1, 1, 0, k) & 0xbf);
    for (int64_t k = 0; k < ROWS * COLS && type <= TN_I32; k++)
        if (type == TN_I32)
            w->i[k] = (int32_t)(k % ROWS);
        else
            w->x[k] = (tn_real)k / 7;
    return w;
}

/* x w^T if w is a weight, rows of x if it holds ids. */
static tn_tensor *result(tn_tape *t, tn_tensor *x, tn_tensor *w)
{
    return w->dtype == TN_I32 ? tn_embed(t, x, w) : tn_linear(t, x, w, NULL, TN_OUT_IN);
}

/* For every type, at an aligned address and at one that is not: results and gradients have the bits
   of a tensor that owns the same bytes. The caller frees the tensor before backward. */
START_TEST(same_bits_until_the_last_user_is_gone)
{
    const tn_dtype type = (tn_dtype)(_i / 2);
    const size_t offset = (size_t)_i % 2;
    bench b = bench_new();
    tn_tensor *x = tensor(2, DIM(ROWS, COLS), NULL, true), *w = owned(type);
    mapping m = map(w->data, tn_tensor_bytes(w), offset);
    tn_tensor *y = result(b.t, x, w);
    ck_assert_int_eq(tn_backward(b.t, tn_sum(b.t, tn_mul(b.t, y, y))), 0);
    const size_t bytes = tn_tensor_bytes(x), out = tn_tensor_bytes(y);
    tn_real *want = malloc(bytes), *want_y = malloc(out);
    memcpy(want, x->g, bytes);
    memcpy(want_y, y->x, out);
    x->has_grad = false;
    tn_tape_reset(b.t);

    tn_tensor *borrowed = tn_tensor_borrow(type, 2, DIM(ROWS, COLS), m.pages + offset,
                                           tn_tensor_bytes(w), release, &m);
    ck_assert_ptr_nonnull(borrowed);
    const bool moved = offset && type <= TN_I32;
    ck_assert_int_eq(m.released, moved);
    ck_assert(moved || borrowed->data == m.pages + offset);
    ck_assert(!borrowed->wants_grad && tn_tensor_bytes(borrowed) == tn_tensor_bytes(w));
    y = result(b.t, x, borrowed);
    tn_tensor_free(borrowed);
    ck_assert_int_eq(m.released, moved);
    ck_assert_mem_eq(y->x, want_y, out);
    ck_assert_int_eq(tn_backward(b.t, tn_sum(b.t, tn_mul(b.t, y, y))), 0);
    ck_assert_mem_eq(x->g, want, bytes);
    ck_assert_int_eq(m.released, moved);
    tn_tape_reset(b.t);
    ck_assert_int_eq(m.released, 1);
    free(want), free(want_y);
    tn_tensor_free(x);
    tn_tensor_free(w);
    bench_free(b);
    ck_assert_int_eq(m.released, 1);
}
END_TEST

/* ---- what is refused ---- */

/* clang-format off */
static const struct { tn_dtype type; int ndim; int64_t dim[4]; size_t size; } wrong[] = {
    { TN_BF16, 2, { 2, 3 }, 11 },   { TN_BF16, 2, { 2, 3 }, 13 },  { TN_BF16, 2, { 2, 3 }, 0 },
    { TN_Q8_0, 2, { 2, 32 }, 64 },  { TN_Q8_0, 2, { 32, 2 }, 68 }, { TN_REAL, 1, { 4 }, 4 },
    { TN_BF16, 0, { 1 }, 2 },       { TN_BF16, 5, { 1 }, 2 },      { TN_BF16, 2, { 0, 3 }, 0 },
    { TN_BF16, 2, { -1, -3 }, 6 },  { TN_DTYPES, 1, { 1 }, 2 },    { (tn_dtype)-1, 1, { 1 }, 0 },
    { TN_BF16, 4, { 1 << 20, 1 << 20, 1 << 20, 16 }, 0 } };
/* clang-format on */

START_TEST(wrong_size_is_refused)
{
    unsigned char bytes[64] = { 0 };
    mapping m = { 0 };
    ck_assert_ptr_null(tn_tensor_borrow(wrong[_i].type, wrong[_i].ndim, wrong[_i].dim, bytes,
                                        wrong[_i].size, release, &m));
    ck_assert_int_eq(m.released, 0);
}
END_TEST

START_TEST(gradient_is_refused)
{
    static const tn_real values[] = { 1, 2, 3 };
    bench b = bench_new();
    tn_tensor *a = tn_tensor_borrow(TN_REAL, 1, DIM(3), values, sizeof values, NULL, NULL);
    a->wants_grad = true;
    tn_tape_train(b.t, 1);
    ck_assert_ptr_null(tn_relu(b.t, a));
    ck_assert_str_eq(tn_tape_error(b.t), "relu: operand 1 wants a gradient but has no memory for "
                                         "one; expected wants_grad given to tn_tensor_new");
    tn_tensor_free(a);
    bench_free(b);
}
END_TEST

/* An op that consumes its operand must copy a borrowed one. */
START_TEST(values_are_not_overwritten)
{
    bench b = bench_new();
    tn_tensor *x = tensor(2, DIM(2, 3), NULL, true), *w = tensor(2, DIM(1, 3), NULL, true);
    tn_tensor *v = tensor(2, DIM(4, 1), NULL, true);
    const tn_real zeros[8] = { 0 };
    mapping m = map(zeros, sizeof zeros, 0);
    tn_tensor *y = tn_tensor_borrow(TN_REAL, 2, DIM(2, 4), m.pages, sizeof zeros, release, &m);
    tn_tensor *same = tn_reshape(b.t, y, 2, DIM(2, 4));
    tn_tensor *z = tn_lora(b.t, same, x, w, v, 2, 0, 0, 0);
    ck_assert_int_eq(tn_backward(b.t, tn_sum(b.t, tn_mul(b.t, z, z))), 0);
    ck_assert_ptr_nonnull(tn_lora(b.t, y, x, w, v, 2, 0, 0, 0));
    ck_assert_mem_eq(y->data, zeros, sizeof zeros);
    tn_tensor_free(y);
    tn_tensor_free(x), tn_tensor_free(w), tn_tensor_free(v);
    bench_free(b);
    ck_assert_int_eq(m.released, 1);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, same_bits_until_the_last_user_is_gone, 0, 2 * TN_DTYPES);
    tcase_add_loop_test(c, wrong_size_is_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(c, gradient_is_refused);
    tcase_add_test(c, values_are_not_overwritten);
}
