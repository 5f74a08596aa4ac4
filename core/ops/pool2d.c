/* pool2d.c - the largest or the mean of the numbers under a sliding window.

       max_pool2d:  y = the largest           dx[where it is] += dy, the first of equal ones
       mean_pool2d: y = sum / (kh kw)         dx[each] += dy / (kh kw)

   The numbers of a window are taken line by line. Nothing is kept for backward: it looks where the
   largest is. A task has some channels of all images. */
#include "core/ops/sliding.h"

#include <math.h>
#include <string.h>

typedef struct job {
    tn_sliding s;
    tn_reach *reach; /* of each number of a line of the window; NULL when memory is out */
    bool mean;
    const tn_real *x, *result, *dy;
    tn_real beta, *y; /* the result, or dx */
} job;

static int pool_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const int64_t *size = n->attr.i + 6;
    tn_sliding s;
    if (tn_sliding_of(t, n, size, size, &s))
        return tn_tape_code(t);
    for (int d = 0; d < 2; d++)
        if (s.pad[d] > size[d] / 2)
            return tn_refuse(t, n->op, TN_EARG, "pad %lld; expected at most half of the size %lld",
                             (long long)s.pad[d], (long long)size[d]);
    if (s.in[0] * s.in[1] > INT32_MAX)
        return tn_refuse_shapes(t, n);
    tn_shape_of(out, 4, n->in[0]->dim[0], s.channels, s.out[0], s.out[1]);
    return 0;
}

static job job_of(tn_tape *t, const tn_node *n)
{
    job j = {
        .mean = n->op == &tn_op_mean_pool2d, .x = n->in[0]->x, .result = n->out->x, .dy = n->out->g
    };
    tn_sliding_of(t, n, n->attr.i + 6, n->attr.i + 6, &j.s);
    j.reach = tn_temporary(t, (size_t)j.s.kernel[1] * sizeof *j.reach);
    for (int64_t k = 0; j.reach && k < j.s.kernel[1]; k++)
        j.reach[k] = tn_reach_of(&j.s, 1, k);
    return j;
}

/* Some places of a line of the output, [from, to), at most TN_LINES. */
typedef struct places {
    int64_t p, from, to;
} places;

/* What number (i,k) of the window reads at these places: `count` numbers of the channel, a stride
   apart, the first of which is number `at` and belongs to place `first`. */
typedef struct numbers {
    int64_t first, count, at;
} numbers;

static inline numbers numbers_of(const job *j, places a, int64_t i, int64_t k)
{
    const tn_reach r = j->reach[k];
    const int64_t y = a.p * j->s.stride[0] - j->s.pad[0] + i;
    const int64_t first = tn_max(r.first, a.from), end = tn_min(r.end, a.to);
    if (y < 0 || y >= j->s.in[0] || first >= end)
        return (numbers){ 0 };
    return (numbers){ first - a.from, end - first,
                      y * j->s.in[1] + r.x + (first - r.first) * j->s.stride[1] };
}

/* A NaN of the window of one place, or `without` if there is none. */
static tn_real nan_of(const job *j, places a, const tn_real *x, tn_real without)
{
    for (int64_t i = 0; i < j->s.kernel[0]; i++)
        for (int64_t k = 0; k < j->s.kernel[1]; k++) {
            const numbers n = numbers_of(j, a, i, k);
            if (n.count > 0 && x[n.at] != x[n.at])
                return x[n.at];
        }
    return without;
}

/* The largest number at each of the places, in a channel x (H,W). The comparison skips a NaN; the
   sum shows whether there may be one. (To compare with NaN in mind takes branches: 5 times as
   long.) */
static void largest(const job *j, places a, const tn_real *x, tn_real *y)
{
    const int64_t step = j->s.stride[1];
    tn_real sum[TN_LINES] = { 0 };
    for (int64_t q = 0; q < a.to - a.from; q++)
        y[q] = -INFINITY;
    for (int64_t i = 0; i < j->s.kernel[0]; i++)
        for (int64_t k = 0; k < j->s.kernel[1]; k++) {
            const numbers n = numbers_of(j, a, i, k);
            for (int64_t q = 0; q < n.count; q++) {
                const tn_real v = x[n.at + q * step], so_far = y[n.first + q];
                y[n.first + q] = v > so_far ? v : so_far;
                sum[n.first + q] += v;
            }
        }
    for (int64_t q = 0; q < a.to - a.from; q++)
        if (sum[q] != sum[q])
            y[q] = nan_of(j, (places){ a.p, a.from + q, a.from + q + 1 }, x, y[q]);
}

/* Where the largest numbers y are: from the last number of the window to the first. */
static void find(const job *j, places a, const tn_real *x, const tn_real *y, int32_t *at)
{
    const int64_t step = j->s.stride[1];
    for (int64_t i = j->s.kernel[0]; i-- > 0;)
        for (int64_t k = j->s.kernel[1]; k-- > 0;) {
            const numbers n = numbers_of(j, a, i, k);
            for (int64_t q = 0; q < n.count; q++) {
                const tn_real v = x[n.at + q * step];
                const bool is_it = (v == y[n.first + q]) | (v != v);
                at[n.first + q] = is_it ? (int32_t)(n.at + q * step) : at[n.first + q];
            }
        }
}

static void sums(const job *j, places a, const tn_real *x, tn_real *sum)
{
    const int64_t step = j->s.stride[1];
    memset(sum, 0, (size_t)(a.to - a.from) * sizeof *sum);
    for (int64_t i = 0; i < j->s.kernel[0]; i++)
        for (int64_t k = 0; k < j->s.kernel[1]; k++) {
            const numbers n = numbers_of(j, a, i, k);
            for (int64_t q = 0; q < n.count; q++)
                sum[n.first + q] += x[n.at + q * step];
        }
}

static void add_share(const job *j, places a, const tn_real *dy, tn_real *dx)
{
    const int64_t step = j->s.stride[1];
    const tn_real area = (tn_real)(j->s.kernel[0] * j->s.kernel[1]);
    tn_real share[TN_LINES];
    for (int64_t q = 0; q < a.to - a.from; q++)
        share[q] = dy[q] / area;
    for (int64_t i = 0; i < j->s.kernel[0]; i++)
        for (int64_t k = 0; k < j->s.kernel[1]; k++) {
            const numbers n = numbers_of(j, a, i, k);
            for (int64_t q = 0; q < n.count; q++)
                dx[n.at + q * step] += share[n.first + q];
        }
}

/* ---- all places of channels [from, to) ---- */

typedef void part_body(const job *j, places a, int64_t in, int64_t out);

static void over_places(const job *j, int64_t from, int64_t to, part_body *body)
{
    const int64_t width = j->s.out[1];
    for (int64_t c = from; c < to; c++)
        for (int64_t p = 0; p < j->s.out[0]; p++)
            for (int64_t q = 0; q < width; q += TN_LINES) {
                const places a = { p, q, tn_min(q + TN_LINES, width) };
                body(j, a, c * j->s.in[0] * j->s.in[1], (c * j->s.out[0] + p) * width + q);
            }
}

static void forward_part(const job *j, places a, int64_t in, int64_t out)
{
    tn_real *y = j->y + out;
    const tn_real area = (tn_real)(j->s.kernel[0] * j->s.kernel[1]);
    if (j->mean)
        sums(j, a, j->x + in, y);
    else
        largest(j, a, j->x + in, y);
    for (int64_t q = 0; j->mean && q < a.to - a.from; q++)
        y[q] /= area;
}

static void backward_part(const job *j, places a, int64_t in, int64_t out)
{
    tn_real *dx = j->y + in;
    int32_t at[TN_LINES];
    if (j->mean) {
        add_share(j, a, j->dy + out, dx);
        return;
    }
    find(j, a, j->x + in, j->result + out, at);
    for (int64_t q = 0; q < a.to - a.from; q++)
        dx[at[q]] += j->dy[out + q];
}

static void forward_channels(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    over_places(arg, from, to, forward_part);
}

static void backward_channels(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    const int64_t size = j->s.in[0] * j->s.in[1];
    if (j->beta == 0)
        memset(j->y + from * size, 0, (size_t)((to - from) * size) * sizeof *j->y);
    over_places(j, from, to, backward_part);
}

static void pool_forward(tn_tape *t, tn_node *n)
{
    job j = job_of(t, n);
    j.y = n->out->x;
    if (j.reach)
        tn_over_rows(t, n->in[0]->dim[0] * j.s.channels, j.s.in[0] * j.s.in[1], forward_channels,
                     &j);
}

/* y = the largest of x, or their mean */
static void pool_backward(tn_tape *t, const tn_node *n)
{
    job j = job_of(t, n);
    j.y = j.reach ? tn_grad(t, n, 0, &j.beta) : NULL;
    if (j.y)
        tn_over_rows(t, n->in[0]->dim[0] * j.s.channels, j.s.in[0] * j.s.in[1], backward_channels,
                     &j);
}

/* The columns of each channel (B C,kh kw,P), and of an image of ones: 0 in the pad. */
static tn_tensor *columns_of(tn_tape *t, tn_tensor *x, const int64_t *i)
{
    const tn_conv_form form = {
        { i[0] ? i[0] : i[6], i[1] ? i[1] : i[7] }, { i[2], i[3] }, { 0 }, 0
    };
    x = tn_reshape(t, x, 4, (int64_t[]){ x->dim[0] * x->dim[1], 1, x->dim[2], x->dim[3] });
    return tn_im2col(t, x, i[6], i[7], form);
}

static tn_tensor *pool_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr, const tn_op *op)
{
    const tn_node n = { .op = op, .in = { in[0] }, .attr = attr };
    tn_tensor out = { 0 }, *y = columns_of(t, in[0], attr.i);
    if (!y || pool_shape(t, &n, &out))
        return NULL;
    if (op == &tn_op_mean_pool2d)
        return tn_reshape(t, tn_mean_dim(t, y, 1, false), 4, out.dim);
    tn_tensor *outside = tn_tape_input(t, TN_REAL, 4, in[0]->dim);
    for (int64_t k = 0; outside && k < tn_tensor_count(outside); k++)
        outside->x[k] = 1;
    outside = columns_of(t, outside, attr.i); /* 1 in the image, 0 in the pad */
    for (int64_t k = 0; outside && k < tn_tensor_count(outside); k++)
        outside->x[k] = outside->x[k] == 1 ? 0 : -INFINITY;
    return tn_reshape(t, tn_max_dim(t, tn_add(t, y, outside), 1, false), 4, out.dim);
}

/* ---- max_pool2d, mean_pool2d: x; attr.i has stride and pad, and size from 6 on ---- */

static tn_tensor *max_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    return pool_reference(t, in, attr, &tn_op_max_pool2d);
}

static tn_tensor *mean_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    return pool_reference(t, in, attr, &tn_op_mean_pool2d);
}

/* The two largest of a window are further apart than the differences of the check. */
/* clang-format off */
static const tn_sample samples[] = {
    { .in = { { 1, 1, 1, 1 } }, .attr = { .i = { [6] = 1, 1 } } },
    { .in = { { 1, 2, 4, 5 } }, .attr = { .i = { [6] = 2, 2 } } }, /* some numbers are in no window */
    { .in = { { 1, 2, 4, 5 } }, .attr = { .i = { 2, 1, 1, 0, [6] = 3, 2 } } },
    { .in = { { 1, 2, 4, 6 } }, .attr = { .i = { 1, 2, 0, 1, [6] = 1, 3 } } },
    { .in = { { 1, 2, 6, 2 } }, .attr = { .i = { 1, 1, 1, 1, [6] = 2, 2 } } },
    { .in = { { 1, 2, 5, 4 } }, .attr = { .i = { 3, 4, [6] = 2, 3 } } },
    { .in = { { 1, 1, 1, 290 } }, .attr = { .i = { 1, 1, [6] = 1, 1 } } },
    { .in = { { 32, 32, 32, 32 } }, .attr = { .i = { [6] = 2, 2 } }, .bench = true },
    { .in = { { 8, 32, 32, 32 } }, .attr = { .i = { 2, 2, 1, 1, [6] = 3, 3 } }, .bench = true },
    { .in = { { 0 } } } };

const tn_op tn_op_max_pool2d = { .name = "max_pool2d", .inputs = 1, .rows = 1, .reads_result = true,
    .shape = pool_shape, .forward = pool_forward, .backward = pool_backward, .reference = max_reference,
    .samples = samples,
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 4, 4 } }, .attr = { .i = { [6] = 2, 2 } } }, "max_pool2d: shapes do not fit: (2,4,4)" },
        { { .in = { { 1, 1, 4, 4 } } }, "max_pool2d: kernel of 0; expected 1 to 1048576" },
        { { .in = { { 1, 1, 4, 4 } }, .attr = { .i = { [2] = 2, 0, 0, 0, 3, 3 } } },
          "max_pool2d: pad 2; expected at most half of the size 3" },
        { { .in = { { 1, 1, 4, 3 } }, .attr = { .i = { [6] = 4, 4 } } },
          "max_pool2d: the kernel covers (4,4) of a padded image of (4,3)" },
        { .text = "" } } };
const tn_op tn_op_mean_pool2d = { .name = "mean_pool2d", .inputs = 1, .rows = 1,
    .shape = pool_shape, .forward = pool_forward, .backward = pool_backward, .reference = mean_reference,
    .samples = samples,
    .refusals = (const tn_refusal[]){
        { { .in = { { 1, 1, 4, 4 } }, .attr = { .i = { -1, [6] = 2, 2 } } },
          "mean_pool2d: stride -1; expected 1 to 1048576" },
        { .text = "" } } };
/* clang-format on */

static tn_tensor *pool(tn_tape *t, const tn_op *op, tn_tensor *x, tn_pool_form f)
{
    return tn_apply(t, op, (tn_tensor *[]){ x },
                    (tn_attr){ .i = { f.stride[0], f.stride[1], f.pad[0], f.pad[1], 0, 0, f.size[0],
                                      f.size[1] } });
}

tn_tensor *tn_max_pool2d(tn_tape *t, tn_tensor *x, tn_pool_form form)
{
    return pool(t, &tn_op_max_pool2d, x, form);
}

tn_tensor *tn_mean_pool2d(tn_tape *t, tn_tensor *x, tn_pool_form form)
{
    return pool(t, &tn_op_mean_pool2d, x, form);
}
