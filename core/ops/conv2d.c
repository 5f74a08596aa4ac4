/* conv2d.c - convolution: a product of the kernels with the columns that they read (im2col.c).

       y[b] = W cols(x[b]) + bias      y[b] (O,P), W (O,K), cols (K,P)    P = H' W', K = C kh kw
       dx[b] = cols^-1(W^T dy[b])      cols^-1 adds each number to where it was read
       dW = sum over b of dy[b] cols(x[b])^T      dbias = sum over b and P of dy

   The columns are never held: a task makes at most about BLOCK numbers of them at a time, uses them
   and makes the next. A task computes some places of an image (forward), some channels of an image
   (dx) or some channels of all images (dW). dW is computed as (K,O): then the columns are the left
   operand of the product, which is read where it lies.

   The order of sums: gemm.h has that of the products. dx adds the places in blocks, in each row by
   row. dW adds the blocks of places of one image, then those of the next. */
#include "core/ops/sliding.h"

#include <stdatomic.h>
#include <string.h>

enum {
    BLOCK = 1 << 16, /* numbers of columns at a time: 256 kB */
    PANELS = 48,     /* blocks of places are multiples of it: whole panels of a product */
    ROWS = 64        /* of columns in a task of backward, or a few more */
};

typedef struct job {
    tn_context *context;
    const tn_kernels *kernels;
    tn_sliding s;                   /* of one group of channels */
    int64_t batch, groups, outputs; /* outputs of a group */
    int64_t channels;               /* of a task of backward */
    int64_t places;                 /* in a block */
    const tn_real *x, *w, *dy, *bias;
    tn_real beta, *y; /* the result, or the gradient that is written */
    atomic_bool no_memory;
} job;

static int64_t groups_of(const tn_node *n)
{
    return n->attr.i[6] ? n->attr.i[6] : 1;
}

static int conv_sliding(tn_tape *t, const tn_node *n, tn_sliding *s)
{
    const tn_tensor *w = n->in[1];
    if (w->ndim != 4)
        return tn_refuse_shapes(t, n);
    return tn_sliding_of(t, n, w->dim + 2, (int64_t[]){ 1, 1 }, s);
}

static int conv_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *x = n->in[0], *w = n->in[1], *b = n->in[2];
    const int64_t groups = groups_of(n);
    tn_sliding s;
    if (conv_sliding(t, n, &s))
        return tn_tape_code(t);
    if (groups < 1 || x->dim[1] % groups || w->dim[0] % groups)
        return tn_refuse(t, n->op, TN_EARG,
                         "%lld groups; expected a divisor of %lld channels and %lld outputs",
                         (long long)groups, (long long)x->dim[1], (long long)w->dim[0]);
    if (w->dim[1] != x->dim[1] / groups || (b && (b->ndim != 1 || b->dim[0] != w->dim[0])))
        return tn_refuse_shapes(t, n);
    tn_shape_of(out, 4, x->dim[0], w->dim[0], s.out[0], s.out[1]);
    return 0;
}

/* Places of a block whose columns have so many rows. */
static int64_t places_for(const tn_sliding *s, int64_t rows)
{
    const int64_t all = tn_sliding_places(s), some = BLOCK / rows / PANELS * PANELS;
    return tn_min(all, tn_max(some, PANELS));
}

static job job_of(tn_tape *t, const tn_node *n)
{
    job j = { .context = tn_tape_context(t),
              .kernels = tn_kernels_on(t),
              .batch = n->in[0]->dim[0],
              .groups = groups_of(n),
              .x = n->in[0]->x,
              .w = n->in[1]->x,
              .dy = n->out->g,
              .bias = n->in[2] ? n->in[2]->x : NULL };
    conv_sliding(t, n, &j.s);
    j.s.channels /= j.groups;
    j.outputs = n->in[1]->dim[0] / j.groups;
    j.channels = tn_min(j.s.channels, tn_ranges(ROWS, j.s.kernel[0] * j.s.kernel[1]));
    return j;
}

/* x (C,H,W) of an image and group, and what is computed there, dy or y (O,P). */
static int64_t image_at(const job *j, int64_t image, int64_t group)
{
    return (image * j->groups + group) * j->s.channels * j->s.in[0] * j->s.in[1];
}

static int64_t result_at(const job *j, int64_t image, int64_t group)
{
    return (image * j->groups + group) * j->outputs * tn_sliding_places(&j->s);
}

static tn_real *scratch(job *j, int thread, int64_t count)
{
    tn_real *x = tn_thread_memory(j->context, thread, TN_SCRATCH_OP, (size_t)count * sizeof *x);
    if (!x)
        atomic_store(&j->no_memory, true);
    return x;
}

static void multiply(job *j, int thread, tn_product p)
{
    if (tn_gemm_here(j->context, thread, &p))
        atomic_store(&j->no_memory, true);
}

static void run(tn_tape *t, const tn_node *n, job *j, int64_t tasks,
                void (*task)(void *arg, int64_t i, int thread))
{
    tn_parallel_for(j->context, tasks, task, j);
    if (atomic_load(&j->no_memory))
        tn_no_memory(t, n);
}

/* ---- forward: task i is a block of places of one group of an image ---- */

static void forward_task(void *arg, int64_t i, int thread)
{
    job *j = arg;
    const int64_t all = tn_sliding_places(&j->s), blocks = tn_ranges(all, j->places);
    const int64_t image = i / blocks / j->groups, group = i / blocks % j->groups;
    tn_columns part = { 0, j->s.channels, i % blocks * j->places, 0 };
    part.places = tn_min(j->places, all - part.p);
    const int64_t rows = tn_sliding_rows(&j->s); // K
    tn_real *columns = scratch(j, thread, rows * part.places);
    if (!columns)
        return;
    tn_columns_take(&j->s, part, j->x + image_at(j, image, group), columns, part.places);
    tn_real *y = j->y + result_at(j, image, group) + part.p; // (O,P)
    for (int64_t o = 0; j->bias && o < j->outputs; o++)
        for (int64_t p = 0; p < part.places; p++)
            y[o * all + p] = j->bias[group * j->outputs + o];
    tn_matrix w = tn_matrix_of(j->w + group * j->outputs * rows, j->outputs, rows);
    multiply(j, thread,
             tn_product_of(w, tn_matrix_of(columns, rows, part.places), j->bias ? 1 : 0, y, all));
}

static void conv_forward(tn_tape *t, tn_node *n)
{
    job j = job_of(t, n);
    j.y = n->out->x;
    j.places = places_for(&j.s, tn_sliding_rows(&j.s));
    run(t, n, &j, j.batch * j.groups * tn_ranges(tn_sliding_places(&j.s), j.places), forward_task);
}

/* ---- backward: task i has some channels [part.c, part.c + part.channels) of a group ---- */

static tn_columns channels_of(const job *j, int64_t i)
{
    tn_columns part = { .c = i % tn_ranges(j->s.channels, j->channels) * j->channels };
    part.channels = tn_min(j->channels, j->s.channels - part.c);
    return part;
}

/* The next block of places. */
static bool next_block(const job *j, tn_columns *part)
{
    part->p += part->places;
    part->places = tn_min(j->places, tn_sliding_places(&j->s) - part->p);
    return part->places > 0;
}

/* dx: of one image. */
static void dx_task(void *arg, int64_t i, int thread)
{
    job *j = arg;
    const int64_t tasks = tn_ranges(j->s.channels, j->channels), all = tn_sliding_places(&j->s);
    const int64_t image = i / tasks / j->groups, group = i / tasks % j->groups;
    const int64_t kernel = j->s.kernel[0] * j->s.kernel[1], size = j->s.in[0] * j->s.in[1];
    tn_columns part = channels_of(j, i);
    const int64_t rows = part.channels * kernel, width = j->s.channels * kernel; // K
    tn_real *columns = scratch(j, thread, rows * j->places);
    tn_real *dx = j->y + image_at(j, image, group);
    if (!columns)
        return;
    if (j->beta == 0)
        memset(dx + part.c * size, 0, (size_t)(part.channels * size) * sizeof *dx);
    const tn_real *w = j->w + group * j->outputs * width + part.c * kernel;
    const tn_real *dy = j->dy + result_at(j, image, group);
    while (next_block(j, &part)) {
        multiply(j, thread,
                 tn_product_of(tn_transposed(tn_matrix_part(w, j->outputs, rows, width)),
                               tn_matrix_part(dy + part.p, j->outputs, part.places, all), 0,
                               columns, part.places));
        tn_columns_add(&j->s, part, columns, part.places, dx);
    }
}

/* dw (O, K) += the transpose of sum (rows,O), whose first row is column `from` of dw. */
static void add_turned(const job *j, const tn_real *sum, int64_t rows, int64_t group, int64_t from)
{
    const int64_t width = tn_sliding_rows(&j->s);
    for (int64_t o = 0; o < j->outputs; o++) {
        tn_real *dw = j->y + (group * j->outputs + o) * width + from;
        for (int64_t r = 0; r < rows; r++)
            tn_accumulate(&dw[r], j->beta, sum[r * j->outputs + o]);
    }
}

/* dW: of all images. */
static void dw_task(void *arg, int64_t i, int thread)
{
    job *j = arg;
    const int64_t tasks = tn_ranges(j->s.channels, j->channels), all = tn_sliding_places(&j->s);
    const int64_t group = i / tasks, kernel = j->s.kernel[0] * j->s.kernel[1];
    tn_columns part = channels_of(j, i);
    const int64_t rows = part.channels * kernel;
    tn_real *columns = scratch(j, thread, rows * (j->places + j->outputs));
    if (!columns)
        return;
    tn_real *sum = columns + rows * j->places; // (rows,O)
    for (int64_t image = 0; image < j->batch; image++) {
        const tn_real *dy = j->dy + result_at(j, image, group);
        for (part.p = part.places = 0; next_block(j, &part);) {
            tn_columns_take(&j->s, part, j->x + image_at(j, image, group), columns, part.places);
            tn_matrix right = tn_matrix_part(dy + part.p, j->outputs, part.places, all);
            multiply(j, thread,
                     tn_product_of(tn_matrix_of(columns, rows, part.places), tn_transposed(right),
                                   image + part.p > 0, sum, j->outputs));
        }
    }
    add_turned(j, sum, rows, group, part.c * kernel);
}

/* dbias: of output i. */
static void bias_task(void *arg, int64_t i, int thread)
{
    (void)thread;
    const job *j = arg;
    const int64_t outputs = j->groups * j->outputs, places = tn_sliding_places(&j->s);
    tn_real sum = 0;
    for (int64_t image = 0; image < j->batch; image++)
        sum += j->kernels->sum(places, j->dy + (image * outputs + i) * places);
    tn_accumulate(&j->y[i], j->beta, sum);
}

/* y = W cols(x) + bias */
static void conv_backward(tn_tape *t, const tn_node *n)
{
    job j = job_of(t, n);
    const int64_t tasks = j.groups * tn_ranges(j.s.channels, j.channels);
    j.places = places_for(&j.s, j.channels * j.s.kernel[0] * j.s.kernel[1]);
    j.y = tn_grad(t, n, 0, &j.beta); // (B,C,H,W)
    if (j.y)
        run(t, n, &j, j.batch * tasks, dx_task);
    j.y = tn_grad(t, n, 1, &j.beta); // (O,C/groups,kh,kw)
    if (j.y)
        run(t, n, &j, tasks, dw_task);
    j.y = tn_grad(t, n, 2, &j.beta); // (O)
    if (j.y)
        run(t, n, &j, j.groups * j.outputs, bias_task);
}

/* Group by group: the columns of x, turned, times the kernels. */
static tn_tensor *conv_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    tn_tensor *out = NULL;
    const tn_node n = { .op = &tn_op_conv2d, .in = { in[0], in[1], in[2] }, .attr = attr };
    tn_sliding s;
    if (conv_sliding(t, &n, &s))
        return NULL;
    const int64_t groups = groups_of(&n), channels = s.channels / groups, *i = attr.i;
    const int64_t outputs = in[1]->dim[0] / groups, rows = tn_sliding_rows(&s) / groups;
    const tn_conv_form form = { { i[0], i[1] }, { i[2], i[3] }, { i[4], i[5] }, 0 };
    for (int64_t g = 0; g < groups; g++) {
        tn_tensor *x = tn_slice(t, in[0], 1, g * channels, (g + 1) * channels);
        tn_tensor *w = tn_slice(t, in[1], 0, g * outputs, (g + 1) * outputs);
        tn_tensor *b = in[2] ? tn_slice(t, in[2], 0, g * outputs, (g + 1) * outputs) : NULL;
        tn_tensor *cols = tn_transpose(t, tn_im2col(t, x, s.kernel[0], s.kernel[1], form), 1, 2);
        w = tn_reshape(t, w, 2, (int64_t[]){ outputs, rows });
        tn_tensor *y = tn_transpose(t, tn_linear(t, cols, w, b, TN_OUT_IN), 1, 2); // (B,O,P)
        out = out ? tn_concat(t, 2, (tn_tensor *[]){ out, y }, 1) : y;
    }
    return tn_reshape(t, out, 4,
                      (int64_t[]){ in[0]->dim[0], groups * outputs, s.out[0], s.out[1] });
}

/* clang-format off */
const tn_op tn_op_conv2d = { .name = "conv2d", .inputs = 3, .optional = 4, .rows = 1,
    .shape = conv_shape, .forward = conv_forward, .backward = conv_backward, .reference = conv_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1, 1, 1 }, { 1, 1, 1, 1 }, { 1 } } },
        { .in = { { 2, 3, 5, 4 }, { 4, 3, 3, 2 } } },
        { .in = { { 2, 2, 5, 6 }, { 3, 2, 3, 3 }, { 3 } }, .attr = { .i = { 2, 3, 1, 2 } } },
        { .in = { { 1, 4, 6, 7 }, { 6, 2, 3, 2 }, { 6 } }, .attr = { .i = { 1, 2, 0, 3, 2, 3, 2 } } },
        { .in = { { 2, 3, 1, 9 }, { 2, 3, 1, 5 }, { 2 } }, .attr = { .i = { 1, 1, 0, 2 } } },
        { .in = { { 2, 6, 4, 3 }, { 6, 1, 3, 3 }, { 6 } }, .attr = { .i = { 1, 1, 1, 1, 1, 1, 6 } } },
        { .in = { { 1, 16, 33, 33 }, { 2, 16, 2, 2 }, { 2 } } }, /* two blocks of places */
        { .in = { { 1, 8, 33, 33 }, { 2, 8, 3, 3 } }, .attr = { .i = { 1, 1, 1, 1 } } },
        { .in = { { 1, 2, 5, 6 }, { 2, 2, 5, 3 } }, .attr = { .i = { 1, 1, 4, 3, 1, 3 } } }, /* no change of width */
        { .in = { { 1, 9, 3, 3 }, { 2, 9, 3, 3 }, { 2 } }, .attr = { .i = { 1, 1, 1, 1 } } },
        { .in = { { 3, 2, 3, 3 }, { 3, 2, 3, 3 } }, .attr = { .i = { 1, 1, 2, 1 } }, .same = 2, .mixed = true },
        { .in = { { 32, 32, 32, 32 }, { 32, 32, 3, 3 }, { 32 } }, .attr = { .i = { 1, 1, 1, 1 } }, .bench = true },
        { .in = { { 16, 64, 1, 256 }, { 64, 64, 1, 5 }, { 64 } }, .attr = { .i = { 1, 1, 0, 2 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 1, 2, 4, 4 }, { 3, 1, 3, 3 } } }, "conv2d: shapes do not fit: (1,2,4,4) (3,1,3,3)" },
        { { .in = { { 1, 2, 4, 4 }, { 3, 2, 3, 3 }, { 2 } } }, "conv2d: shapes do not fit: (1,2,4,4) (3,2,3,3) (2)" },
        { { .in = { { 2, 4, 4 }, { 3, 2, 3, 3 } } }, "conv2d: shapes do not fit: (2,4,4) (3,2,3,3)" },
        { { .in = { { 1, 2, 4, 4 }, { 3, 2, 3 } } }, "conv2d: shapes do not fit: (1,2,4,4) (3,2,3)" },
        { { .in = { { 1, 2, 4, 4 }, { 3, 2, 5, 3 } } }, "conv2d: the kernel covers (5,3) of a padded image of (4,4)" },
        { { .in = { { 1, 2, 4, 4 }, { 3, 2, 3, 3 } }, .attr = { .i = { 1, -1 } } },
          "conv2d: stride -1; expected 1 to 1048576" },
        { { .in = { { 1, 4, 4, 4 }, { 3, 2, 3, 3 } }, .attr = { .i = { [6] = 2 } } },
          "conv2d: 2 groups; expected a divisor of 4 channels and 3 outputs" },
        { { .in = { { 1, 4, 4, 4 }, { 3, 2, 3, 3 } }, .attr = { .i = { [6] = -1 } } },
          "conv2d: -1 groups; expected a divisor of 4 channels and 3 outputs" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_conv2d(tn_tape *t, tn_tensor *x, tn_tensor *w, tn_tensor *b, tn_conv_form f)
{
    return tn_apply(t, &tn_op_conv2d, (tn_tensor *[]){ x, w, b },
                    (tn_attr){ .i = { f.stride[0], f.stride[1], f.pad[0], f.pad[1], f.dilation[0],
                                      f.dilation[1], f.groups } });
}
