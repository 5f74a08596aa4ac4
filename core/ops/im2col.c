/* im2col.c - the numbers that a sliding kernel reads, one column for each place of the output.

       y[b][(c,i,j)][(p,q)] = x[b][c][p sh - ph + i dh][q sw - pw + j dw], 0 outside the image

   A convolution is a product with these columns (conv2d.c). The gradient adds each number of dy to
   the number of dx that it was read from, in the order of the columns. */
#include "core/ops/sliding.h"

#include <string.h>

enum { LARGEST = 1 << 20 /* of strides, pads, dilations and kernels */ };

static int refuse_pair(tn_tape *t, const tn_node *n, const char *what, const int64_t pair[2],
                       int64_t least)
{
    for (int d = 0; d < 2; d++)
        if (pair[d] < least || pair[d] > LARGEST)
            return tn_refuse(t, n->op, TN_EARG, "%s %lld; expected %lld to %d", what,
                             (long long)pair[d], (long long)least, LARGEST);
    return 0;
}

int tn_sliding_of(tn_tape *t, const tn_node *n, const int64_t kernel[2], const int64_t step[2],
                  tn_sliding *s)
{
    const tn_tensor *x = n->in[0];
    const int64_t *i = n->attr.i;
    if (x->ndim != 4)
        return tn_refuse_shapes(t, n);
    *s = (tn_sliding){ .channels = x->dim[1] };
    for (int d = 0; d < 2; d++) {
        s->in[d] = x->dim[2 + d];
        s->kernel[d] = kernel[d];
        s->stride[d] = i[d] ? i[d] : step[d];
        s->pad[d] = i[2 + d];
        s->dilation[d] = i[4 + d] ? i[4 + d] : 1;
    }
    if (refuse_pair(t, n, "kernel of", s->kernel, 1) || refuse_pair(t, n, "stride", s->stride, 1) ||
        refuse_pair(t, n, "pad", s->pad, 0) || refuse_pair(t, n, "dilation", s->dilation, 1))
        return tn_tape_code(t);
    if (!tn_shape_is_sane(3, (int64_t[]){ s->channels, kernel[0], kernel[1] }))
        return tn_refuse_shapes(t, n);
    for (int d = 0; d < 2; d++) {
        const int64_t room = s->in[d] + 2 * s->pad[d] - s->dilation[d] * (s->kernel[d] - 1);
        if (room < 1)
            return tn_refuse(t, n->op, TN_ESHAPE,
                             "the kernel covers (%lld,%lld) of a padded image of (%lld,%lld)",
                             (long long)(s->dilation[0] * (s->kernel[0] - 1) + 1),
                             (long long)(s->dilation[1] * (s->kernel[1] - 1) + 1),
                             (long long)(s->in[0] + 2 * s->pad[0]),
                             (long long)(s->in[1] + 2 * s->pad[1]));
        s->out[d] = (room - 1) / s->stride[d] + 1;
    }
    return 0;
}

/* ---- the columns ---- */

/* Row (i,j) of the columns, line by line of the output. */
typedef struct row {
    tn_reach reach; /* of j in a line */
    int64_t i;
    int64_t p, q, left; /* what comes next is place q of line p; places that are left */
} row;

/* The places of a row that lie in one line: `before` of them are left of the image, then `inside`
   read it from number x of the channel on, and `after` are right of it. */
typedef struct run {
    int64_t before, inside, after, x;
} run;

/* The next run of the row. */
static inline run next_run(const tn_sliding *s, row *r)
{
    const int64_t q = r->q, end = tn_min(s->out[1], q + r->left);
    const int64_t y = r->p * s->stride[0] - s->pad[0] + r->i * s->dilation[0];
    const bool in_image = y >= 0 && y < s->in[0];
    const int64_t from = in_image ? tn_min(tn_max(r->reach.first, q), end) : end;
    const int64_t to = tn_max(tn_min(r->reach.end, end), from);
    r->left -= end - q;
    r->q = 0;
    r->p++;
    return (run){ from - q, to - from, end - to,
                  to > from ? y * s->in[1] + r->reach.x + (from - r->reach.first) * s->stride[1]
                            : 0 };
}

static inline tn_real *zeros(tn_real *to, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        to[k] = 0;
    return to + n;
}

static void take_row(const tn_sliding *s, row r, const tn_real *x, tn_real *to)
{
    const int64_t step = s->stride[1];
    while (r.left > 0) {
        const run l = next_run(s, &r);
        to = zeros(to, l.before);
        if (step == 1)
            memcpy(to, x + l.x, (size_t)l.inside * sizeof *to);
        else
            for (int64_t k = 0; k < l.inside; k++)
                to[k] = x[l.x + k * step];
        to = zeros(to + l.inside, l.after);
    }
}

static void add_row(const tn_sliding *s, row r, const tn_real *from, tn_real *dx)
{
    const int64_t step = s->stride[1];
    while (r.left > 0) {
        const run l = next_run(s, &r);
        from += l.before;
        if (step == 1)
            for (int64_t k = 0; k < l.inside; k++)
                dx[l.x + k] += from[k];
        else
            for (int64_t k = 0; k < l.inside; k++)
                dx[l.x + k * step] += from[k];
        from += l.inside + l.after;
    }
}

/* ---- stride 1, and lines as long as those of the image ---- */

/* Then a row is the channel itself, moved by a constant, but for zeros at the ends of its lines:
   one long copy instead of many short ones. (conv2d of 3 x 3 with pad 1 takes 0.8 of the time.) */
static bool is_moved(const tn_sliding *s)
{
    return s->stride[0] == 1 && s->stride[1] == 1 && s->out[1] == s->in[1];
}

/* Of the places of a part, [from, to) read lines of the image. Place k reads number k + by of the
   channel, if it is in [first, end). */
typedef struct moved {
    int64_t from, to, by, first, end;
} moved;

static moved moved_of(const tn_sliding *s, int64_t i, int64_t j, tn_columns part)
{
    const int64_t width = s->in[1], down = i * s->dilation[0] - s->pad[0];
    const int64_t last = part.p + part.places;
    moved m = { .by = down * width + j * s->dilation[1] - s->pad[1] };
    m.from = tn_min(tn_max(part.p, -down * width), last);
    m.to = tn_max(tn_min(last, (s->in[0] - down) * width), m.from);
    m.first = tn_min(tn_max(m.from, -m.by), m.to);
    m.end = tn_max(tn_min(m.to, s->in[0] * width - m.by), m.first);
    return m;
}

/* Zeros at the places of [from, to) that read left or right of the image. at_0: place 0 of the row. */
static void clear_ends(const tn_sliding *s, int64_t j, moved m, tn_real *at_0)
{
    const int64_t width = s->in[1], right = j * s->dilation[1] - s->pad[1];
    const int64_t a = right < 0 ? 0 : tn_max(0, width - right);
    const int64_t b = right < 0 ? tn_min(width, -right) : width;
    for (int64_t line = m.from / width * width; right != 0 && line < m.to; line += width)
        for (int64_t k = tn_max(line + a, m.from); k < tn_min(line + b, m.to); k++)
            at_0[k] = 0;
}

static void take_moved(const tn_sliding *s, int64_t i, int64_t j, tn_columns part, const tn_real *x,
                       tn_real *to)
{
    const moved m = moved_of(s, i, j, part);
    zeros(to, m.from - part.p);
    memcpy(to + m.first - part.p, x + m.first + m.by, (size_t)(m.end - m.first) * sizeof *to);
    clear_ends(s, j, m, to - part.p);
    zeros(to + m.to - part.p, part.p + part.places - m.to);
}

static void add_moved(const tn_sliding *s, int64_t i, int64_t j, tn_columns part, tn_real *from,
                      tn_real *dx)
{
    const moved m = moved_of(s, i, j, part);
    clear_ends(s, j, m, from - part.p);
    for (int64_t k = m.first; k < m.end; k++)
        dx[k + m.by] += from[k - part.p];
}

/* ---- all rows ---- */

void tn_columns_take(const tn_sliding *s, tn_columns part, const tn_real *x, tn_real *columns,
                     int64_t ld)
{
    const int64_t p = part.p / s->out[1], q = part.p % s->out[1], size = s->in[0] * s->in[1];
    const bool by_one = is_moved(s);
    for (int64_t c = part.c; c < part.c + part.channels; c++)
        for (int64_t i = 0; i < s->kernel[0]; i++)
            for (int64_t j = 0; j < s->kernel[1]; j++, columns += ld)
                if (by_one)
                    take_moved(s, i, j, part, x + c * size, columns);
                else
                    take_row(s, (row){ tn_reach_of(s, 1, j), i, p, q, part.places }, x + c * size,
                             columns);
}

void tn_columns_add(const tn_sliding *s, tn_columns part, tn_real *columns, int64_t ld, tn_real *dx)
{
    const int64_t p = part.p / s->out[1], q = part.p % s->out[1], size = s->in[0] * s->in[1];
    const bool by_one = is_moved(s);
    for (int64_t c = part.c; c < part.c + part.channels; c++)
        for (int64_t i = 0; i < s->kernel[0]; i++)
            for (int64_t j = 0; j < s->kernel[1]; j++, columns += ld)
                if (by_one)
                    add_moved(s, i, j, part, columns, dx + c * size);
                else
                    add_row(s, (row){ tn_reach_of(s, 1, j), i, p, q, part.places }, columns,
                            dx + c * size);
}

/* ---- im2col: x; attr.i has stride, pad, dilation and kernel ---- */

typedef struct job {
    tn_sliding s;
    const tn_real *x;
    tn_real beta, *y; /* the result, or dx */
    tn_real *dy;
} job;

static int im2col_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    tn_sliding s;
    if (tn_sliding_of(t, n, n->attr.i + 6, (int64_t[]){ 1, 1 }, &s))
        return tn_tape_code(t);
    tn_shape_of(out, 3, n->in[0]->dim[0], tn_sliding_rows(&s), tn_sliding_places(&s), 1);
    return 0;
}

static job job_of(tn_tape *t, const tn_node *n)
{
    job j = { .beta = 0 };
    tn_sliding_of(t, n, n->attr.i + 6, (int64_t[]){ 1, 1 }, &j.s);
    return j;
}

/* Channel c of all images. */
static void take_channel(void *arg, int64_t c, int thread)
{
    (void)thread;
    const job *j = arg;
    const int64_t size = j->s.in[0] * j->s.in[1], kernel = j->s.kernel[0] * j->s.kernel[1];
    const tn_columns all = { 0, 1, 0, tn_sliding_places(&j->s) };
    tn_columns_take(&j->s, all, j->x + c * size, j->y + c * kernel * all.places, all.places);
}

static void im2col_forward(tn_tape *t, tn_node *n)
{
    job j = job_of(t, n);
    j.x = n->in[0]->x;
    j.y = n->out->x;
    tn_parallel_for(tn_tape_context(t), n->in[0]->dim[0] * j.s.channels, take_channel, &j);
}

static void add_channel(void *arg, int64_t c, int thread)
{
    (void)thread;
    const job *j = arg;
    const int64_t size = j->s.in[0] * j->s.in[1], kernel = j->s.kernel[0] * j->s.kernel[1];
    const tn_columns all = { 0, 1, 0, tn_sliding_places(&j->s) };
    if (j->beta == 0)
        memset(j->y + c * size, 0, (size_t)size * sizeof *j->y);
    tn_columns_add(&j->s, all, j->dy + c * kernel * all.places, all.places, j->y + c * size);
}

static void im2col_backward(tn_tape *t, const tn_node *n)
{
    job j = job_of(t, n);
    j.dy = n->out->g;
    j.y = tn_grad(t, n, 0, &j.beta);
    if (j.y)
        tn_parallel_for(tn_tape_context(t), n->in[0]->dim[0] * j.s.channels, add_channel, &j);
}

/* clang-format off */
const tn_op tn_op_im2col = { .name = "im2col", .inputs = 1, .rows = 1,
    .shape = im2col_shape, .forward = im2col_forward, .backward = im2col_backward,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1, 1, 1 } }, .attr = { .i = { [6] = 1, 1 } } },
        { .in = { { 2, 3, 5, 4 } }, .attr = { .i = { [6] = 2, 3 } } },
        { .in = { { 2, 2, 5, 6 } }, .attr = { .i = { 2, 3, 1, 2, 1, 1, 3, 3 } } },
        { .in = { { 1, 2, 6, 7 } }, .attr = { .i = { 1, 2, 0, 3, 2, 3, 3, 2 } } },
        { .in = { { 2, 2, 1, 9 } }, .attr = { .i = { 1, 1, 0, 2, 1, 1, 1, 5 } } },
        { .in = { { 1, 1, 2, 1 } }, .attr = { .i = { 1, 1, 3, 4, 1, 1, 3, 2 } } }, /* some columns are in the pad */
        { .in = { { 32, 32, 32, 32 } }, .attr = { .i = { 1, 1, 1, 1, 1, 1, 3, 3 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3, 4 } }, .attr = { .i = { [6] = 1, 1 } } }, "im2col: shapes do not fit: (2,3,4)" },
        { { .in = { { 1, 1, 4, 4 } }, .attr = { .i = { [6] = 0, 1 } } }, "im2col: kernel of 0; expected 1 to 1048576" },
        { { .in = { { 1, 1, 4, 4 } }, .attr = { .i = { -1, [6] = 1, 1 } } }, "im2col: stride -1; expected 1 to 1048576" },
        { { .in = { { 1, 1, 4, 4 } }, .attr = { .i = { [3] = -2, [6] = 1, 1 } } }, "im2col: pad -2; expected 0 to 1048576" },
        { { .in = { { 1, 1, 4, 4 } }, .attr = { .i = { [5] = 1 << 21, [6] = 1, 1 } } },
          "im2col: dilation 2097152; expected 1 to 1048576" },
        { { .in = { { 1, 1, 4, 5 } }, .attr = { .i = { [3] = 1, [4] = 2, 2, 3, 4 } } },
          "im2col: the kernel covers (5,7) of a padded image of (4,7)" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_im2col(tn_tape *t, tn_tensor *x, int64_t kh, int64_t kw, tn_conv_form f)
{
    return tn_apply(t, &tn_op_im2col, (tn_tensor *[]){ x },
                    (tn_attr){ .i = { f.stride[0], f.stride[1], f.pad[0], f.pad[1], f.dilation[0],
                                      f.dilation[1], kh, kw } });
}
