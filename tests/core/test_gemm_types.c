/* test_gemm_types.c - products whose right operand has any type.
   A product must have the same bits as after tn_widen has made the operand tn_real. Shapes are
   random; both layouts, every ISA and several numbers of threads are tried. */
#include "core/gemm.h"
#include "tests/support/kernels.h"

#include <stdlib.h>
#include <string.h>

enum { SHAPES = 100, THREADS = 3, GUARD = 16 };

static const int thread_counts[THREADS] = { 1, 2, 5 };

/* A random integer from 0 to end - 1: number `index` of shape r. */
static int64_t below(int64_t end, uint64_t r, uint64_t index)
{
    return tn_random(13, 0, 0, 16 * r + index) % (uint32_t)end;
}

static int64_t pick(const int64_t *list, int n, uint64_t r, uint64_t index)
{
    return list[below(n, r, index)];
}

/* A product with random shape and layout; r is its number. The contiguous dimension of B has whole
   runs of 32. Its rows (or columns) are whole blocks apart. */
static tn_product random_product(tn_dtype type, uint64_t r)
{
    static const int64_t few[] = { 1, 1, 2, 3, 4, 8, 9, 16, 17, 33, 64, 70 };
    static const int64_t outer[] = { 1, 2, 7, 31, 47, 48, 49, 64, 97, 193, 384, 385, 431, 769 };
    static const int64_t depths[] = { 1, 3, 32, 100, 127, 255, 256, 257, 384, 385, 512, 700, 800 };
    tn_product p = { .m = pick(few, 12, r, 0),
                     .n = pick(outer, 14, r, 1),
                     .k = pick(depths, 13, r, 2) };
    const bool turned = below(2, r, 3), a_turned = below(2, r, 4);
    const int64_t block = tn_dtype_block(type), run = block > 1 ? TN_RUN : 1;
    int64_t *row = turned ? &p.k : &p.n;
    *row = tn_ranges(*row, run) * run;
    const int64_t apart = (tn_ranges(*row, block) + below(2, r, 5)) * block;
    p.b = (tn_matrix){ NULL, type, p.k, p.n, turned ? 1 : apart, turned ? apart : 1 };
    p.ars = a_turned ? 1 : p.k + below(3, r, 6);
    p.acs = a_turned ? p.m + below(3, r, 6) : 1;
    p.ldc = p.n + below(3, r, 7);
    p.add = below(3, r, 8) == 0;
    p.triangle = below(3, r, 9) == 0 ? (tn_triangle)(TN_A_LOWER + below(2, r, 10)) : TN_NO_TRIANGLE;
    p.edge = below(100, r, 11) - 30;
    return p;
}

static tn_real *reals(int64_t n, uint64_t stream)
{
    tn_real *x = malloc((size_t)n * sizeof *x);
    ck_assert_ptr_nonnull(x);
    tn_fill_uniform(x, n, 1, 7, stream);
    return x;
}

/* Makes A zero where the triangle requires it. The product may or may not skip these zeros. */
static void clear_beyond(const tn_product *p, tn_real *a)
{
    for (int64_t i = 0; i < p->m && p->triangle != TN_NO_TRIANGLE; i++)
        for (int64_t k = 0; k < p->k; k++)
            if (p->triangle == TN_A_UPPER ? k < i + p->edge : k > i + p->edge)
                a[i * p->ars + k * p->acs] = 0;
}

/* Random bytes at an odd address, and their numbers as tn_real. The exponent 31, which f16 has for
   infinity and NaN, does not occur. */
static void make_b(const tn_product *p, unsigned char **bytes, tn_real **wide)
{
    const int64_t block = tn_dtype_block(p->b.type),
                  last = (p->k - 1) * p->b.rs + (p->n - 1) * p->b.cs;
    const int64_t count = tn_ranges(last + 1, block) * block;
    const size_t size = tn_dtype_bytes(p->b.type, count);
    *bytes = malloc(size + 1);
    *wide = malloc((size_t)count * sizeof **wide);
    ck_assert(*bytes && *wide && size > 0);
    uint32_t four[4];
    for (size_t i = 0; i < size; i++) {
        if (i % sizeof four == 0)
            tn_random_four(14, 0, 0, i / sizeof four, four);
        (*bytes)[1 + i] = ((unsigned char *)four)[i % sizeof four] & 0xbf;
    }
    ck_assert_int_eq(tn_widen(p->b.type, *bytes + 1, 0, count, *wide), 0);
}

static void multiply(tn_context *c, tn_product p, const tn_real *before, tn_real *out, size_t size,
                     bool here)
{
    memcpy(out, before, size * sizeof *out);
    p.c = out + GUARD;
    ck_assert_int_eq(here ? tn_gemm_here(c, 0, &p) : tn_gemm(c, &p), 0);
}

START_TEST(same_bits_as_widened_before)
{
    const tn_dtype type = (tn_dtype)_i;
    tn_context *contexts[ISAS * THREADS] = { NULL }, *best = NULL;
    for (int i = 0; i < ISAS * THREADS; i++)
        if (tn_kernels_select(tn_isas[i / THREADS]))
            best = contexts[i] = tn_context_new(
                &(tn_options){ .threads = thread_counts[i % THREADS], .isa = tn_isas[i / THREADS] });
    for (uint64_t r = 0; r < SHAPES; r++) {
        tn_product p = random_product(type, r), before = p;
        unsigned char *bytes;
        tn_real *wide, *a = reals((p.m + 3) * (p.k + 3), 2 * r), *bias = reals(p.n, 1);
        make_b(&p, &bytes, &wide);
        clear_beyond(&p, a);
        const size_t size = (size_t)(p.m * p.ldc + 2 * GUARD);
        tn_real *start = reals((int64_t)size, 2 * r + 1), *want = reals((int64_t)size, 0),
                *found = reals((int64_t)size, 0);
        p.a = before.a = a;
        p.bias = before.bias = p.add || r % 2 ? NULL : bias;
        p.b.bytes = bytes + 1;
        before.b.bytes = wide;
        before.b.type = TN_REAL;
        multiply(best, before, start, want, size, false);
        for (int i = 0; i < ISAS * THREADS; i++) {
            const bool slow =
                i < THREADS; /* scalar: one number of threads, a third of the shapes */
            if (!contexts[i] || (slow && r % (THREADS * THREADS) != (uint64_t)(i * THREADS)))
                continue;
            multiply(contexts[i], p, start, found, size, (r + (uint64_t)i) % 4 == 0);
            ck_assert_msg(!memcmp(want, found, size * sizeof *want),
                          "%s, %s, %d threads: shape %d, (%ld,%ld,%ld), B %ld,%ld",
                          tn_dtype_name(type), tn_context_isa(contexts[i]),
                          tn_context_threads(contexts[i]), (int)r, (long)p.m, (long)p.n, (long)p.k,
                          (long)p.b.rs, (long)p.b.cs);
        }
        free(bytes), free(wide), free(a), free(bias), free(start), free(want), free(found);
    }
    for (int i = 0; i < ISAS * THREADS; i++)
        tn_context_free(contexts[i]);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, same_bits_as_widened_before, TN_I32, TN_DTYPES);
}
