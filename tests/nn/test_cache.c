/* test_cache.c - attention over a cache equals attention over whole sequences; positions. */
#include "nn/cache.h"
#include "tests/support/tests.h"

#include <math.h>
#include <string.h>

enum { B = 2, T = 9, H = 4, G = 2, D = 8, POSITIONS = 16 };

static const double TOLERANCE = sizeof(tn_real) == sizeof(double) ? 1e-13 : 1e-6;
static const tn_model model = {
    .layers = 1, .heads = H, .kv_heads = G, .head_size = D, .positions = POSITIONS
};

/* Positions [from, from + n) of x (B,T,cols). */
static tn_tensor *part(tn_tape *t, const tn_tensor *x, int64_t from, int64_t n)
{
    const int64_t cols = x->dim[2];
    tn_tensor *y = tn_tape_input(t, TN_REAL, 3, (int64_t[]){ B, n, cols });
    for (int64_t b = 0; b < B; b++)
        memcpy(y->x + b * n * cols, x->x + (b * T + from) * cols,
               (size_t)(n * cols) * sizeof *y->x);
    return y;
}

static tn_tensor *random_tensor(int64_t cols, uint64_t stream)
{
    tn_tensor *x = tn_tensor_new(TN_REAL, 3, (int64_t[]){ B, T, cols }, false);
    tn_fill_normal(x->x, tn_tensor_count(x), 1, 7, stream);
    return x;
}

/* The sizes of the parts into which a sequence of T positions is cut. */
static const int64_t parts[][T] = { { 9 }, { 1, 1, 1, 1, 1, 1, 1, 1, 1 }, { 4, 1, 4 }, { 8, 1 } };
enum { CUTS = sizeof parts / sizeof *parts };

/* Each way to cut the sequence, with q, k, v in one tensor and in three. */
START_TEST(parts_see_what_the_whole_sees)
{
    const int64_t *part_of = parts[_i / 2], fused = _i % 2;
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_tensor *x[3] = { random_tensor(fused ? (H + 2 * G) * D : H * D, 1), random_tensor(G * D, 2),
                        random_tensor(G * D, 3) };
    tn_tensor *k = fused ? x[0] : x[1], *v = fused ? x[0] : x[2];
    tn_cache *cache = tn_cache_new(&model, B, T);
    tn_real whole[B * T * H * D];
    tn_tape_eval(t);
    tn_tensor *y = tn_attend(&model, t, 0, x[0], k, v, NULL, NULL);
    ck_assert_msg(y != NULL, "%s", tn_tape_error(t));
    memcpy(whole, y->x, sizeof whole);
    for (int64_t from = 0, i = 0; from < T; from += part_of[i++]) {
        const int64_t n = part_of[i];
        tn_tensor *q = part(t, x[0], from, n);
        for (int b = 0; b < B; b++)
            cache->start->i[b] = (int32_t)from;
        y = tn_attend(&model, t, 0, q, fused ? q : part(t, x[1], from, n),
                      fused ? q : part(t, x[2], from, n), NULL, cache);
        ck_assert_msg(y != NULL, "%s", tn_tape_error(t));
        for (int64_t b = 0; b < B; b++)
            for (int64_t j = 0; j < n * H * D; j++)
                ck_assert_double_le(fabs((double)y->x[b * n * H * D + j] -
                                         (double)whole[(b * T + from) * H * D + j]),
                                    TOLERANCE);
    }
    tn_cache_free(cache);
    for (int i = 0; i < 3; i++)
        tn_tensor_free(x[i]);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

/* Each row continues at its own position. A position beyond the model's last one is an error. */
START_TEST(positions_follow_each_row)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_tape *t = tn_tape_new(c);
    tn_cache *cache = tn_cache_new(&model, B, POSITIONS);
    tn_tensor *ids = tn_tensor_new(TN_I32, 2, (int64_t[]){ B, 3 }, false);
    cache->start->i[0] = 2;
    cache->start->i[1] = POSITIONS - 3;
    const tn_tensor *p = tn_positions(&model, t, ids, cache);
    ck_assert_msg(p != NULL, "%s", tn_tape_error(t));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(p->i[i], 2 + i);
        ck_assert_int_eq(p->i[3 + i], POSITIONS - 3 + i);
    }
    cache->start->i[1]++;
    ck_assert_ptr_null(tn_positions(&model, t, ids, cache));
    ck_assert_int_eq(tn_tape_code(t), TN_ESHAPE);
    ck_assert_ptr_nonnull(strstr(tn_tape_error(t), "17 positions; the model has 16"));
    tn_tensor_free(ids);
    tn_cache_free(cache);
    tn_tape_free(t);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, parts_see_what_the_whole_sees, 0, 2 * CUTS);
    tcase_add_test(c, positions_follow_each_row);
}
