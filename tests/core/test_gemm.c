/* test_gemm.c - products of random shapes, compared with two other implementations.
   The first takes the order of sums that gemm.h defines: the bits must be the same. The second
   computes in long double. Every layout and ISA and several numbers of threads are tried. */
#include "core/context.h"
#include "core/gemm.h"
#include "core/op.h"
#include "tests/support/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPES = 1000, MAX_CONTEXTS = 4 * ISAS, GUARD = 16 };

static const int thread_counts[] = { 1, 2, 3, 5 };

/* Makes contexts for every ISA of this CPU and several numbers of threads. Returns how many. */
static int open_contexts(tn_context *out[MAX_CONTEXTS])
{
    int n = 0;
    for (size_t i = 0; i < ISAS; i++)
        for (size_t t = 0; t < 4 && tn_kernels_select(tn_isas[i]); t++) {
            out[n] = tn_context_new(&(tn_options){ .threads = thread_counts[t], .isa = tn_isas[i] });
            ck_assert_ptr_nonnull(out[n++]);
        }
    return n;
}

static tn_real *random_reals(size_t n, uint64_t stream)
{
    tn_real *x = malloc((n + 1) * sizeof *x);
    ck_assert_ptr_nonnull(x);
    tn_fill_uniform(x, (int64_t)n, 1, 7, stream);
    return x;
}

static tn_real b_at(const tn_product *p, int64_t k, int64_t j)
{
    return ((const tn_real *)p->b.bytes)[k * p->b.rs + j * p->b.cs];
}

/* C[i][j] as gemm.h defines it: k is cut into chains of multiply-adds, which are added in order. */
static tn_real defined(const tn_product *p, tn_real start, int64_t i, int64_t j)
{
    int64_t block = p->acs != 1 && (p->m <= 64 || p->n <= 64) ? 256 : 384;
    for (int64_t first = 0; first < p->k; first += block) {
        tn_real s = 0;
        for (int64_t k = first; k < p->k && k < first + block; k++) {
            tn_real a = p->a[i * p->ars + k * p->acs], b = b_at(p, k, j);
            s = sizeof(tn_real) == 4 ? (tn_real)fmaf((float)a, (float)b, (float)s)
                                     : (tn_real)fma((double)a, (double)b, (double)s);
        }
        start += s;
    }
    return start;
}

static void check_close(const tn_product *p, tn_real start, tn_real got, int64_t i, int64_t j)
{
    long double sum = start, size = fabsl((long double)start);
    for (int64_t k = 0; k < p->k; k++) {
        long double a = p->a[i * p->ars + k * p->acs], ab = a * b_at(p, k, j);
        sum += ab;
        size += fabsl(ab);
    }
    ck_assert_msg(fabsl(got - sum) <= 2e-6L * size, "(%ld,%ld,%ld) at %ld,%ld: %.9g, exactly %.9Lg",
                  (long)p->m, (long)p->n, (long)p->k, (long)i, (long)j, (double)got, sum);
}

/* A product with its operands, C before, and what C must become. Guards around C must not
   change. */
typedef struct example {
    tn_product p;
    tn_real *a, *b, *bias, *before, *after, *c;
    size_t size; /* of C with guards, in elements */
} example;

static void describe(example *e, tn_product p, uint64_t stream)
{
    e->p = p;
    e->size = (size_t)(p.m * p.ldc + 2 * GUARD);
    e->before = random_reals(e->size, stream + 1);
    e->after = random_reals(e->size, stream + 1);
    e->c = malloc(e->size * sizeof *e->c);
    for (int64_t i = 0; i < p.m; i++)
        for (int64_t j = 0; j < p.n; j++) {
            tn_real *after = &e->after[GUARD + i * p.ldc + j];
            tn_real start = p.add ? *after : p.bias ? p.bias[j] : 0;
            *after = defined(&p, start, i, j);
            if ((i * p.n + j) % 7 == 0)
                check_close(&p, start, *after, i, j);
        }
}

static void check_same(const example *e, const char *isa, int threads)
{
    for (size_t i = 0; i < e->size; i++)
        if (memcmp(&e->c[i], &e->after[i], sizeof *e->c))
            ck_abort_msg("%s, %d threads, (%ld,%ld,%ld), A %ld,%ld, B %ld,%ld, add %d, bias %d: "
                         "element %ld of rows of %ld is %.9g, not %.9g",
                         isa, threads, (long)e->p.m, (long)e->p.n, (long)e->p.k, (long)e->p.ars,
                         (long)e->p.acs, (long)e->p.b.rs, (long)e->p.b.cs, e->p.add,
                         e->p.bias != NULL, (long)i - GUARD, (long)e->p.ldc, (double)e->c[i],
                         (double)e->after[i]);
}

static void run(example *e, tn_context *c, bool here)
{
    memcpy(e->c, e->before, e->size * sizeof *e->c);
    e->p.c = e->c + GUARD;
    ck_assert_int_eq(here ? tn_gemm_here(c, 0, &e->p) : tn_gemm(c, &e->p), TN_OK);
    check_same(e, tn_context_isa(c), tn_context_threads(c));
}

static int64_t pick(const int64_t *list, int n, uint64_t index)
{
    return list[tn_random(11, 0, 0, index) % (uint32_t)n];
}

/* A product with random shape and layout; r is its number. Mostly at most two dimensions are
   long. */
static tn_product random_product(uint64_t r)
{
    static const int64_t some[] = { 0,  1,  1,  2,  3,  4,  5,  7,  8,  9,
                                    13, 16, 17, 23, 24, 31, 32, 48, 64, 97 };
    static const int64_t outer[] = { 1, 2, 3, 5, 8, 24, 31, 64, 65, 129, 193, 211, 401 };
    static const int64_t depths[] = { 1, 2, 64, 127, 255, 256, 257, 384, 385, 511, 769 };
    uint32_t kind = tn_random(11, 0, 0, 8 * r) % 8;
    tn_product p = { .m = pick(some, 20, 8 * r + 1),
                     .n = pick(some, 20, 8 * r + 2),
                     .k = pick(some, 20, 8 * r + 3) };
    if (kind == 1)
        p.m = pick(outer, 13, 8 * r + 4);
    if (kind == 2 || kind == 3)
        p.n = pick(outer, 13, 8 * r + 4);
    if (kind >= 4)
        p.k = pick(depths, 11, 8 * r + 4);
    if (kind == 3)
        p.m = 65;
    if (kind == 3 && r % 3 == 0)
        p.k = pick(depths, 11, 8 * r + 7);
    bool ta = tn_random(11, 0, 0, 8 * r + 5) & 1, tb = tn_random(11, 0, 0, 8 * r + 5) & 2;
    int64_t pad = tn_random(11, 0, 0, 8 * r + 6) % 3;
    p.ars = ta ? 1 : p.k + pad;
    p.acs = ta ? p.m + pad : 1;
    p.b.rs = tb ? 1 : p.n + pad;
    p.b.cs = tb ? p.k + pad : 1;
    p.ldc = p.n + pad;
    return p;
}

START_TEST(random_shapes)
{
    tn_context *contexts[MAX_CONTEXTS];
    int n = open_contexts(contexts);
    for (uint64_t r = 0; r < SHAPES; r++) {
        tn_product p = random_product(r);
        example e = { 0 };
        p.a = e.a = random_reals((size_t)((p.m + 2) * (p.k + 2)), 3 * r);
        p.b.bytes = e.b = random_reals((size_t)((p.k + 2) * (p.n + 2)), 3 * r + 1);
        e.bias = random_reals((size_t)p.n, 3 * r + 2);
        p.add = r % 3 == 1;
        p.bias = r % 3 == 2 ? e.bias : NULL;
        describe(&e, p, r);
        for (int i = 0; i < n; i++) /* scalar is slow: one number of threads per shape */
            if (i >= 4 || (uint64_t)i == r % 4)
                run(&e, contexts[i], false);
        run(&e, contexts[n - 4], true);
        free(e.a), free(e.b), free(e.bias), free(e.before), free(e.after), free(e.c);
    }
    for (int i = 0; i < n; i++)
        tn_context_free(contexts[i]);
}
END_TEST

static bool beyond(const tn_product *p, int64_t i, int64_t kj)
{
    return p->triangle == TN_A_UPPER ? kj < i + p->edge : kj > i + p->edge;
}

/* A product may skip zeros of A and elements of C that are not needed. All other elements have the
   bits that gemm.h defines. */
START_TEST(triangles)
{
    tn_context *contexts[MAX_CONTEXTS];
    int n = open_contexts(contexts);
    for (uint64_t r = 0; r < SHAPES; r++) {
        tn_product p = random_product(r);
        p.triangle = (tn_triangle)(TN_A_LOWER + r % 3);
        p.edge = (int64_t)(tn_random(12, 0, 0, r) % 120) - 40;
        example e = { 0 };
        p.a = e.a = random_reals((size_t)((p.m + 2) * (p.k + 2)), 3 * r);
        p.b.bytes = e.b = random_reals((size_t)((p.k + 2) * (p.n + 2)), 3 * r + 1);
        p.add = r % 2;
        for (int64_t i = 0; i < p.m && p.triangle != TN_C_LOWER; i++)
            for (int64_t k = 0; k < p.k; k++)
                if (beyond(&p, i, k))
                    e.a[i * p.ars + k * p.acs] = 0;
        describe(&e, p, r);
        for (int c = (int)(r / 2 % 4); c < n; c += 4) { /* one number of threads per shape */
            memcpy(e.c, e.before, e.size * sizeof *e.c);
            e.p.c = e.c + GUARD;
            ck_assert_int_eq(tn_gemm(contexts[c], &e.p), TN_OK);
            for (int64_t i = 0; i < p.m && p.triangle == TN_C_LOWER; i++)
                for (int64_t j = 0; j < p.n; j++)
                    if (beyond(&p, i, j))
                        e.p.c[i * p.ldc + j] = e.after[GUARD + i * p.ldc + j];
            check_same(&e, tn_context_isa(contexts[c]), tn_context_threads(contexts[c]));
        }
        free(e.a), free(e.b), free(e.before), free(e.after), free(e.c);
    }
    for (int i = 0; i < n; i++)
        tn_context_free(contexts[i]);
}
END_TEST

/* A product of integers, whose result is exact. */
START_TEST(matrix_of_ones)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 2 });
    enum { M = 70, N = 61, K = 1000 };
    tn_real *ones = malloc(K * M * sizeof *ones), *out = malloc(M * N * sizeof *out);
    for (int i = 0; i < K * M; i++)
        ones[i] = 1;
    tn_product p = { .m = M,
                     .n = N,
                     .k = K,
                     .a = ones,
                     .ars = K,
                     .acs = 1,
                     .b = tn_transposed(tn_matrix_of(ones, N, K)),
                     .c = out,
                     .ldc = N };
    ck_assert_int_eq(tn_gemm(c, &p), TN_OK);
    for (int i = 0; i < M * N; i++)
        ck_assert(out[i] == K);
    free(ones), free(out);
    tn_context_free(c);
}
/* clang-format off */
END_TEST

/* Products inside a parallel body, each on its own thread. */
typedef struct batch { tn_context *c; const tn_real *a; tn_real *out; } batch;
/* clang-format on */

enum { TILE = 64, TILES = 20 };

static void one_tile(void *arg, int64_t i, int thread)
{
    batch *b = arg;
    const tn_real *a = b->a + i * TILE * TILE;
    tn_product p = { .m = TILE,
                     .n = TILE,
                     .k = TILE,
                     .a = a,
                     .ars = TILE,
                     .acs = 1,
                     .b = tn_transposed(tn_matrix_of(a, TILE, TILE)),
                     .c = b->out + i * TILE * TILE,
                     .ldc = TILE };
    if (i % 2)
        tn_gemm_here(b->c, thread, &p);
    else
        tn_gemm(b->c, &p);
}

START_TEST(inside_a_body)
{
    tn_context *one = tn_context_new(&(tn_options){ .threads = 1 });
    tn_context *many = tn_context_new(&(tn_options){ .threads = 3 });
    tn_real *a = random_reals(TILES * TILE * TILE, 1);
    tn_real *x = calloc(TILES * TILE * TILE, sizeof *x);
    tn_real *y = calloc(TILES * TILE * TILE, sizeof *y);
    tn_parallel_for(one, TILES, one_tile, &(batch){ one, a, x });
    tn_parallel_for(many, TILES, one_tile, &(batch){ many, a, y });
    ck_assert_mem_eq(x, y, TILES * TILE * TILE * sizeof *x);
    ck_assert(x[0] > 0);
    free(a), free(x), free(y);
    tn_context_free(one);
    tn_context_free(many);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, random_shapes);
    tcase_add_test(c, triangles);
    tcase_add_test(c, matrix_of_ones);
    tcase_add_test(c, inside_a_body);
}
