/* rope.c - rotary positions: pairs of numbers of a head are rotated by an angle of the position.

       y[i] = x[i] cos - x[i + D/2] sin        dx[i] = dy[i] cos + dy[i + D/2] sin
       y[i + D/2] = x[i + D/2] cos + x[i] sin  dx[i + D/2] = dy[i + D/2] cos - dy[i] sin

   for i < D/2. A pair is i and i + D/2, as for Llama in Transformers; in the paper a pair is two
   neighbours. The angle at position p is p theta^(-2i/D). backward rotates dy back, in place.

   Su et al., "RoFormer: enhanced transformer with rotary position embedding", arXiv:2104.09864. */
#include "core/ops/ops.h"

#include <math.h>

typedef struct job {
    int64_t times, cols, half; /* T, C, D/2 */
    int64_t heads;
    const tn_real *table;  /* (P,D): cosines | sines */
    const int32_t *start;  /* (B), or NULL */
    const int32_t *places; /* (B,T): start holds the position of each token */
    tn_real sign;          /* 1, or -1 to rotate back */
    tn_real *x;            /* (B,T,C) */
} job;

/* ---- rope: x, table, start?; attr.i[0] is the number of heads that are rotated ---- */

/* Does start give the position of every token, not only of the first of each row? */
static bool has_places(const tn_tensor *start)
{
    return start && start->ndim == 2;
}

static bool start_fits(const tn_tensor *start, const tn_tensor *x)
{
    const bool rows = start->dim[0] == x->dim[0];
    return rows && (start->ndim == 1 || (start->ndim == 2 && start->dim[1] == x->dim[1]));
}

/* Refuses positions that the table does not have. */
static int check_places(tn_tape *t, const tn_node *n)
{
    const tn_tensor *x = n->in[0], *table = n->in[1], *start = n->in[2];
    for (int64_t i = 0; i < tn_tensor_count(start); i++)
        if (start->i[i] < 0 || start->i[i] >= table->dim[0])
            return tn_refuse(t, n->op, TN_EARG, "row %lld has position %d; expected 0 to %lld",
                             (long long)(i / x->dim[1]), start->i[i], (long long)table->dim[0] - 1);
    return 0;
}

static int rope_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *x = n->in[0], *table = n->in[1], *start = n->in[2];
    const int64_t heads = n->attr.i[0], size = table->dim[1];
    bool fits = x->ndim == 3 && table->ndim == 2 && size % 2 == 0 && tn_cols(x) % size == 0;
    if (!fits || (start && !start_fits(start, x)))
        return tn_refuse_shapes(t, n);
    if (heads < 1 || heads > tn_cols(x) / size)
        return tn_refuse(t, n->op, TN_EARG, "%lld heads; expected 1 to %lld", (long long)heads,
                         (long long)(tn_cols(x) / size));
    tn_like(out, x);
    if (has_places(start))
        return check_places(t, n);
    const int64_t most = table->dim[0] - x->dim[1];
    for (int64_t b = 0; b < x->dim[0]; b++) {
        const int64_t first = start ? start->i[b] : 0;
        if (first < 0 || first > most)
            return tn_refuse(t, n->op, TN_EARG,
                             "row %lld has positions %lld to %lld; expected 0 to %lld",
                             (long long)b, (long long)first, (long long)(first + x->dim[1] - 1),
                             (long long)table->dim[0] - 1);
    }
    return 0;
}

static void turn_rows(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    const int64_t half = j->half;
    for (int64_t r = from; r < to; r++) {
        const int64_t position =
            j->places ? j->places[r] : r % j->times + (j->start ? j->start[r / j->times] : 0);
        const tn_real *c = j->table + position * 2 * half, *s = c + half; // (D/2)
        tn_real *x = j->x + r * j->cols;
        for (int64_t h = 0; h < j->heads; h++, x += 2 * half) {
            tn_real *y = x + half;
            for (int64_t i = 0; i < half; i++) {
                const tn_real a = x[i], b = y[i], sine = j->sign * s[i];
                x[i] = a * c[i] - b * sine;
                y[i] = b * c[i] + a * sine;
            }
        }
    }
}

static void turn(tn_tape *t, const tn_node *n, tn_real sign, tn_real *x)
{
    const tn_tensor *a = n->in[0], *table = n->in[1], *start = n->in[2];
    job j = { .times = a->dim[1],
              .cols = tn_cols(a),
              .half = table->dim[1] / 2,
              .heads = n->attr.i[0],
              .table = table->x,
              .start = start ? start->i : NULL,
              .places = has_places(start) ? start->i : NULL,
              .sign = sign,
              .x = x };
    tn_over_rows(t, tn_rows(a), j.heads * table->dim[1], turn_rows, &j);
}

static void rope_forward(tn_tape *t, tn_node *n)
{
    turn(t, n, 1, n->out->x);
}

/* y = x rotated */
static void rope_backward(tn_tape *t, const tn_node *n)
{
    turn(t, n, -1, n->out->g);
    tn_grad_pass(t, n, 0);
}

/* For each token the cosines (`which` 0) or sines (1) of its position: (B T,D/2). */
static tn_tensor *rows_of_table(tn_tape *t, tn_tensor *const in[], int which)
{
    const int64_t batch = in[0]->dim[0], times = in[0]->dim[1], half = in[1]->dim[1] / 2;
    tn_tensor *all = NULL;
    if (has_places(in[2])) {
        tn_tensor *rows =
            tn_reshape(t, tn_embed(t, in[1], in[2]), 2, (int64_t[]){ batch * times, 2 * half });
        return tn_slice(t, rows, 1, which * half, (which + 1) * half);
    }
    for (int64_t b = 0; b < batch; b++) {
        int64_t first = in[2] ? in[2]->i[b] : 0;
        tn_tensor *rows = tn_slice(t, tn_slice(t, in[1], 0, first, first + times), 1, which * half,
                                   (which + 1) * half);
        all = all ? tn_concat(t, 2, (tn_tensor *[]){ all, rows }, 0) : rows;
    }
    return all;
}

static tn_tensor *rope_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    const int64_t size = in[1]->dim[1], half = size / 2, width = tn_cols(in[0]);
    const int64_t rows = tn_rows(in[0]);
    tn_tensor *x = tn_reshape(t, in[0], 2, (int64_t[]){ rows, width }), *y = NULL;
    tn_tensor *c = rows_of_table(t, in, 0), *s = rows_of_table(t, in, 1);
    for (int64_t h = 0; h < attr.i[0]; h++) {
        tn_tensor *a = tn_slice(t, x, 1, h * size, h * size + half);
        tn_tensor *b = tn_slice(t, x, 1, h * size + half, (h + 1) * size);
        tn_tensor *first = tn_sub(t, tn_mul(t, a, c), tn_mul(t, b, s));
        tn_tensor *second = tn_add(t, tn_mul(t, b, c), tn_mul(t, a, s));
        tn_tensor *head = tn_concat(t, 2, (tn_tensor *[]){ first, second }, 1);
        y = y ? tn_concat(t, 2, (tn_tensor *[]){ y, head }, 1) : head;
    }
    if (attr.i[0] * size < width)
        y = tn_concat(t, 2, (tn_tensor *[]){ y, tn_slice(t, x, 1, attr.i[0] * size, width) }, 1);
    return tn_reshape(t, y, 3, in[0]->dim);
}

/* clang-format off */
const tn_op tn_op_rope = { .name = "rope", .inputs = 3, .optional = 4, .ids = 4, .fixed = 2, .rows = 5, .consumes = true,
    .shape = rope_shape, .forward = rope_forward, .backward = rope_backward, .reference = rope_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1, 2 }, { 1, 2 } }, .attr = { .i = { 1 } } },
        { .in = { { 2, 3, 4 }, { 3, 4 } }, .attr = { .i = { 1 } } },
        { .in = { { 2, 3, 12 }, { 5, 4 }, { 2 } }, .attr = { .i = { 3 } }, .ids = 3 },
        { .in = { { 3, 2, 12 }, { 7, 2 }, { 3 } }, .attr = { .i = { 4 } }, .ids = 6 },
        { .in = { { 1, 40, 32 }, { 50, 32 }, { 1 } }, .attr = { .i = { 1 } }, .ids = 11 },
        { .in = { { 2, 3, 12 }, { 5, 4 }, { 2, 3 } }, .attr = { .i = { 3 } }, .ids = 5 },
        { .in = { { 3, 40, 12 }, { 7, 4 }, { 3, 40 } }, .attr = { .i = { 2 } }, .ids = 7 },
        { .in = { { 4, 256, 768 }, { 256, 64 } }, .attr = { .i = { 12 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3, 6 }, { 3, 4 } }, .attr = { .i = { 1 } } }, "rope: shapes do not fit: (2,3,6) (3,4)" },
        { { .in = { { 2, 3, 6 }, { 3, 3 } }, .attr = { .i = { 1 } } }, "rope: shapes do not fit: (2,3,6) (3,3)" },
        { { .in = { { 3, 4 }, { 3, 4 } }, .attr = { .i = { 1 } } }, "rope: shapes do not fit: (3,4) (3,4)" },
        { { .in = { { 2, 3, 4 }, { 3, 4 }, { 3 } }, .attr = { .i = { 1 } }, .ids = 1 },
          "rope: shapes do not fit: (2,3,4) (3,4) (3)" },
        { { .in = { { 2, 3, 4 }, { 3, 4 } }, .attr = { .i = { 2 } } }, "rope: 2 heads; expected 1 to 1" },
        { { .in = { { 2, 3, 4 }, { 3, 4 }, { 2 } }, .attr = { .i = { 1 } }, .ids = 2 },
          "rope: row 0 has positions 1 to 3; expected 0 to 2" },
        { { .in = { { 2, 3, 4 }, { 3, 4 }, { 2 } }, .attr = { .i = { 1 } }, .ids = 1, .negative_ids = true },
          "rope: row 0 has positions -1 to 1; expected 0 to 2" },
        { { .in = { { 2, 3, 4 }, { 3, 4 }, { 2, 4 } }, .attr = { .i = { 1 } }, .ids = 1 },
          "rope: shapes do not fit: (2,3,4) (3,4) (2,4)" },
        { { .in = { { 2, 3, 4 }, { 3, 4 }, { 2, 3 } }, .attr = { .i = { 1 } }, .ids = 4, .negative_ids = true },
          "rope: row 0 has position -1; expected 0 to 2" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_rope(tn_tape *t, tn_tensor *x, tn_tensor *table, tn_tensor *start, int64_t heads)
{
    return tn_apply(t, &tn_op_rope, (tn_tensor *[]){ x, table, start },
                    (tn_attr){ .i = { heads } });
}

/* ---- its table ---- */

/* cos of an angle of any size: whole turns are subtracted first. 2 pi is turn + rest. */
static double cosine(double angle)
{
    const double turn = 6.283185307179586476925, rest = 2.4492935982947064e-16;
    const double turns = (double)(int64_t)(angle / turn);
    return tn_cos_of((angle - turns * turn) - turns * rest);
}

tn_tensor *tn_rope_table(int64_t positions, int64_t size, const tn_rope_options *options)
{
    const tn_rope_options o = options ? *options : (tn_rope_options){ 0 };
    const double theta = o.theta > 0 ? o.theta : 10000;
    if (size < 2 || size % 2 || !(theta < INFINITY))
        return NULL;
    tn_tensor *table = tn_tensor_new(TN_REAL, 2, (int64_t[]){ positions, size }, false);
    for (int64_t i = 0; table && i < size / 2; i++) {
        double f = tn_exp_of(-2 * (double)i / (double)size * tn_log_of(theta));
        f = o.frequency ? o.frequency(o.arg, f) : f;
        if (!(f >= 0 && f <= 1e6)) {
            tn_tensor_free(table);
            return NULL;
        }
        for (int64_t p = 0; p < positions; p++) {
            table->x[p * size + i] = (tn_real)cosine((double)p * f);
            table->x[p * size + size / 2 + i] = (tn_real)cosine((double)p * f - 1.5707963267948966);
        }
    }
    return table;
}
