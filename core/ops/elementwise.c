/* elementwise.c - the ops of elementwise.def.
   A formula gets up to TN_BLOCK numbers at a time. Numbers of an operand that is repeated are first
   copied as often as they are needed (broadcast.h).
   The file is long because all these ops share one forward, one backward and lists of samples. */
#include "core/ops/broadcast.h"

#include <math.h>

typedef struct job {
    const tn_kernels *kernels;
    tn_formula *formula; /* NULL: its value is dy itself */
    tn_elements z;       /* where operands and dy begin */
    tn_real beta, *to;
    int64_t count; /* elements of the result */
    int inputs;
    bool whole; /* no operand is repeated or has integers: the fields below are not set */
    tn_repeated in[3];
    const tn_repeated *of; /* the operand whose gradient is computed */
    double *part;          /* partial sums of this gradient */
} job;

/* ---- blocks ---- */

/* to = beta to + the formula, for elements [i, i + n) of the result. */
static void compute(const job *j, int64_t i, int64_t n, tn_written w[3], tn_real beta, tn_real *to)
{
    tn_elements z = j->z;
    for (int k = 0; k < 3; k++)
        z.in[k] = k < j->inputs ? tn_repeated_block(&j->in[k], i, n, &w[k]) : z.in[0];
    z.dy += i;
    j->formula(n, &z, beta, to);
}

/* The number of elements of the block that begins at i, at most `most`. A block ends at the end of
   a repeated row: the row is then copied once for many blocks, or not at all. */
static int64_t block_length(const job *j, int64_t i, int64_t most)
{
    int64_t n = tn_min(most, TN_BLOCK);
    for (int k = 0; k < j->inputs; k++) {
        const int64_t row = j->in[k].count, left = row - i % row;
        if (j->in[k].inner == 1 && left < n)
            n = left + (n - left) / row * row;
    }
    return n;
}

static void clear(tn_written w[3])
{
    for (int k = 0; k < 3; k++)
        w[k].n = 0;
}

static void whole_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    const tn_elements z = tn_elements_from(&j->z, from);
    j->formula(to - from, &z, j->beta, j->to + from);
}

static void range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    tn_written w[3];
    clear(w);
    for (int64_t i = from, n; i < to; i += n) {
        n = block_length(j, i, to - i);
        compute(j, i, n, w, j->beta, j->to + i);
    }
}

/* ---- gradients of operands that are repeated ---- */

/* The values of the formula for elements [i, i + n). They are in `room`, or are dy itself. */
static const tn_real *elements(const job *j, int64_t i, int64_t n, tn_written w[3], tn_real *room)
{
    if (!j->formula)
        return j->z.dy + i;
    compute(j, i, n, w, 0, room);
    return room;
}

/* The operand is a row that is repeated: adds rows [from, to) of the formula to its gradient. */
static void add_rows(const void *arg, int64_t from, int64_t to, tn_real *sum)
{
    const job *j = arg;
    const int64_t cols = j->of->count;
    tn_real room[TN_BLOCK];
    tn_written w[3];
    clear(w);
    for (int64_t i = from * cols, n, at = 0; i < to * cols; i += n) { /* at: i in its row */
        n = j->formula ? block_length(j, i, to * cols - i) : cols;
        const tn_real *x = elements(j, i, n, w, room);
        for (int64_t k = 0, m; k < n; k += m) {
            m = tn_min(cols - at, n - k);
            j->kernels->axpy(m, 1, x + k, sum + at);
            at = at + m < cols ? at + m : 0;
        }
    }
}

/* A run is summed in parts of TN_CHUNK elements. Returns their number. */
static int64_t parts_of_run(const tn_repeated *o)
{
    return tn_ranges(o->inner, TN_CHUNK);
}

/* Part p, where runs are longer than a block: the kernel sums each block, and the sums of blocks
   are added in double. */
static double sum_long(const job *j, int64_t p, tn_written w[3])
{
    const int64_t run = j->of->inner, parts = parts_of_run(j->of), before = p % parts * TN_CHUNK;
    const int64_t length = tn_min(run - before, TN_CHUNK), begin = p / parts * run + before;
    tn_real room[TN_BLOCK];
    double sum = 0;
    for (int64_t i = 0, n; i < length; i += n) {
        n = tn_min(length - i, TN_BLOCK);
        sum += (double)j->kernels->sum(n, elements(j, begin + i, n, w, room));
    }
    return sum;
}

/* Where a part begins and ends depends only on its run (I1, I3). */
static void sum_parts(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    const int64_t run = j->of->inner, at_once = tn_max(TN_BLOCK / run, 1);
    tn_real room[TN_BLOCK];
    tn_written w[3];
    clear(w);
    for (int64_t p = from, n; p < to; p += n) {
        n = tn_min(at_once, to - p);
        const tn_real *x = run > TN_BLOCK ? NULL : elements(j, p * run, n * run, w, room);
        for (int64_t k = 0; k < n; k++)
            j->part[p + k] = x ? (double)j->kernels->sum(run, x + k * run) : sum_long(j, p, w);
    }
}

/* Each number of the operand is repeated in runs. The runs are summed; then the sums that belong to
   the same number are added in order. */
static void sum_runs(tn_tape *t, job *j)
{
    const tn_repeated *o = j->of;
    const int64_t runs = j->count / o->inner, parts = parts_of_run(o);
    j->part = tn_temporary(t, (size_t)(runs * parts) * sizeof *j->part);
    tn_real *sum = tn_temporary(t, (size_t)runs * sizeof *sum);
    if (!j->part || !sum)
        return;
    tn_parallel_ranges(tn_tape_context(t), runs * parts, tn_max(TN_CHUNK / o->inner, 1), sum_parts,
                       j);
    for (int64_t r = 0; r < runs; r++) {
        double all = 0;
        for (int64_t p = 0; p < parts; p++)
            all += j->part[r * parts + p];
        sum[r] = (tn_real)all;
    }
    tn_sum_columns(t, runs / o->count, o->count, sum, j->beta, j->to);
}

/* ---- forward and backward ---- */

/* A formula gets three operands and dy, even if it does not read them. Where there is none, it gets
   operand 0, and the result as dy. Backward of an op that reads its result gets it as operand 0. */
static void job_of(job *j, const tn_tape *t, const tn_node *n, const tn_real *dy)
{
    j->kernels = tn_kernels_on(t);
    j->inputs = n->op->inputs;
    j->count = tn_tensor_count(n->out);
    j->whole = !n->op->ids;
    for (int k = 0; k < 3; k++)
        j->z.in[k] = n->in[k < j->inputs ? k : 0]->x;
    if (dy && n->op->reads_result)
        j->z.in[0] = n->out->x;
    for (int k = 0; k < j->inputs && j->inputs > 1; k++)
        j->whole = j->whole && tn_tensor_count(n->in[k]) == j->count;
    j->z.dy = dy ? dy : n->out->x;
    j->z.p = (tn_real)n->attr.r[0];
    j->z.q = (tn_real)n->attr.r[1];
    for (int k = 0; k < j->inputs && !j->whole; k++)
        tn_repeats(n->in[k], n->out, &j->in[k]);
}

/* A single range needs no threads; without them small ops take less time. */
static void over_all(const tn_tape *t, job *j)
{
    if (j->whole && j->count <= TN_CHUNK)
        j->formula(j->count, &j->z, j->beta, j->to);
    else
        tn_over_elements(t, j->count, j->whole ? whole_range : range, j);
}

static void forward(tn_tape *t, const tn_node *n, const tn_formulas *f)
{
    job j;
    job_of(&j, t, n, NULL);
    j.formula = f->y;
    j.beta = 0;
    j.to = n->out->x;
    over_all(t, &j);
}

/* Sums the gradient of an operand that is repeated. */
static void sum_up(tn_tape *t, job *j)
{
    const int64_t cols = j->of->count;
    if (j->of->inner == 1)
        tn_sum_rows(t, j->count / cols, cols, add_rows, j, j->beta, j->to);
    else
        sum_runs(t, j);
}

/* The last operand comes first, because tn_grad_pass may give the memory of dy to operand 0. */
static void backward(tn_tape *t, const tn_node *n, const tn_formulas *f, unsigned passes)
{
    job j;
    job_of(&j, t, n, n->out->g);
    for (int k = j.inputs - 1; k >= 0; k--) {
        const bool whole = j.whole || j.in[k].count == j.count, pass = passes >> k & 1;
        if (k == 0 && whole && pass)
            tn_grad_pass(t, n, 0);
        else if (f->dx[k] && (j.to = tn_grad(t, n, k, &j.beta))) {
            j.of = &j.in[k];
            j.formula = !whole && pass ? NULL : f->dx[k];
            if (whole)
                over_all(t, &j);
            else
                sum_up(t, &j);
        }
    }
}

/* ---- the ops ---- */

static const tn_sample map_samples[] = {
    { .in = { { 1 } } },
    { .in = { { 3, 5 } } },
    { .in = { { 2, 3, 17 } } },
    { .in = { { 2, 1, 3, 2 } } },
    { .in = { { 1024, 3072 } }, .bench = true },
    { .in = { { 0 } } },
};

static const tn_sample scale_samples[] = {
    { .in = { { 1 } }, .attr = { .r = { 3 } } },
    { .in = { { 3, 5 } }, .attr = { .r = { -0.125 } } },
    { .in = { { 2, 3, 7 } }, .attr = { .r = { 0 } } },
    { .in = { { 2, 1, 3, 2 } }, .attr = { .r = { 1.7 } } },
    { .in = { { 1024, 768 } }, .attr = { .r = { 0.3 } }, .bench = true },
    { .in = { { 0 } } },
};

/* clamp has kinks at its ends: no number of the gradient check is near one. */
static const tn_sample clamp_samples[] = {
    { .in = { { 1 } }, .attr = { .r = { -3, 3 } } },
    { .in = { { 3, 5 } }, .attr = { .r = { 0, INFINITY } } },
    { .in = { { 2, 3, 7 } }, .attr = { .r = { -INFINITY, 0.01 } } },
    { .in = { { 2, 1, 3, 2 } }, .attr = { .r = { -0.02, 0.01 } } },
    { .in = { { 1024, 768 } }, .attr = { .r = { -0.3, 0.7 } }, .bench = true },
    { .in = { { 0 } } },
};

static const tn_sample soft_cap_samples[] = {
    { .in = { { 1 } }, .attr = { .r = { 0.5 } } },
    { .in = { { 3, 5 } }, .attr = { .r = { 1 } } },
    { .in = { { 2, 3, 17 } }, .attr = { .r = { 30 } } },
    { .in = { { 2, 1, 3, 2 } }, .attr = { .r = { 0.25 } } },
    { .in = { { 1024, 768 } }, .attr = { .r = { 50 } }, .bench = true },
    { .in = { { 0 } } },
};

static const tn_sample where_samples[] = {
    { .in = { { 1 }, { 1 }, { 1 } }, .ids = 2 },
    { .in = { { 3, 5 }, { 3, 5 }, { 3, 5 } }, .ids = 2 },
    { .in = { { 2, 3, 7 }, { 2, 3, 7 }, { 1 } }, .ids = 3, .negative_ids = true },
    { .in = { { 6, 7 }, { 2, 6, 7 }, { 6, 1 } }, .ids = 2, .mixed = true },
    { .in = { { 4, 1 }, { 4, 1 }, { 4, 900 } }, .ids = 2 },
    { .in = { { 1024, 768 }, { 1024, 768 }, { 1024, 768 } }, .ids = 2, .bench = true },
    { .in = { { 0 } } },
};

static const tn_sample pair_samples[] = {
    { .in = { { 1 }, { 1 } } },
    { .in = { { 3, 5 }, { 3, 5 } } },
    { .in = { { 2, 3, 7 }, { 7 } } },
    { .in = { { 300, 3 }, { 3 } } },
    { .in = { { 2, 1, 2, 3 }, { 2, 1, 2, 3 } }, .same = 2 },
    { .in = { { 3, 5 }, { 1 } } },                            /* a learned scalar */
    { .in = { { 4 }, { 3, 4 } } },                            /* the first is repeated */
    { .in = { { 3, 1 }, { 1, 4 } } },                         /* both are repeated */
    { .in = { { 2, 3, 2, 5 }, { 3, 1, 1 } }, .mixed = true }, /* runs in several places */
    { .in = { { 2, 3, 700 }, { 2, 3, 1 } } },   /* a block holds a run and part of the next */
    { .in = { { 1, 40, 60 }, { 3, 40, 60 } } }, /* rows longer than a block */
    { .in = { { 1024, 768 }, { 1024, 768 } }, .bench = true },
    { .in = { { 1024, 768 }, { 768 } }, .bench = true },
    { .in = { { 1024, 768 }, { 1024, 1 } }, .bench = true },
    { .in = { { 1024, 768 }, { 1 } }, .bench = true },
    { .in = { { 0 } } },
};

static const tn_refusal where_refusals[] = {
    { { .in = { { 2, 3 }, { 2, 4 }, { 1 } }, .ids = 2 },
      "where: shapes do not fit: (2,3) (2,4) (1)" },
    { { .in = { { 2 }, { 2, 3 }, { 2, 3 } }, .ids = 2 },
      "where: shapes do not fit: (2) (2,3) (2,3)" },
    { { .in = { { 2, 3 }, { 2, 3 } }, .ids = 2 }, "where: operand 3 is missing" },
    { .text = "" },
};

static const tn_refusal clamp_refusals[] = {
    { { .in = { { 2, 3 } }, .attr = { .r = { 2, 1 } } },
      "clamp: low is 2 and high is 1; expected low <= high" },
    { { .in = { { 2, 3 } }, .attr = { .r = { 0, NAN } } },
      "clamp: low is 0 and high is nan; expected low <= high" },
    { .text = "" },
};

static const tn_refusal soft_cap_refusals[] = {
    { { .in = { { 2, 3 } } }, "soft_cap: cap is 0; expected a finite number above 0" },
    { { .in = { { 2, 3 } }, .attr = { .r = { -1 } } },
      "soft_cap: cap is -1; expected a finite number above 0" },
    { { .in = { { 2, 3 } }, .attr = { .r = { NAN } } },
      "soft_cap: cap is nan; expected a finite number above 0" },
    { { .in = { { 2, 3 } }, .attr = { .r = { INFINITY } } },
      "soft_cap: cap is inf; expected a finite number above 0" },
    { .text = "" },
};

static int soft_cap_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const double cap = n->attr.r[0];
    if (!(cap > 0 && isfinite(cap)))
        return tn_refuse(t, n->op, TN_EARG, "cap is %g; expected a finite number above 0", cap);
    return tn_shape_as_first(t, n, out);
}

static int clamp_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const double low = n->attr.r[0], high = n->attr.r[1];
    if (!(low <= high))
        return tn_refuse(t, n->op, TN_EARG, "low is %g and high is %g; expected low <= high", low,
                         high);
    return tn_shape_as_first(t, n, out);
}

#define scale_shape tn_shape_as_first
#define scale_refusals NULL

/* clang-format off */
#define REFUSALS(name)                                                                             \
    { { .in = { { 2, 3 }, { 2, 4 } } }, name ": shapes do not fit: (2,3) (2,4)" },                 \
    { { .in = { { 2, 3 }, { 2 } } }, name ": shapes do not fit: (2,3) (2)" },                      \
    { { .in = { { 2, 3 }, { 3, 2 } } }, name ": shapes do not fit: (2,3) (3,2)" },                 \
    { { .in = { { 2, 3, 4 }, { 2, 1, 4 } } }, name ": shapes do not fit: (2,3,4) (2,1,4)" },       \
    { { .in = { { 2, 3 } } }, name ": operand 2 is missing" },                                     \
    { .text = "" }

#define OP(name, passes, ...)                                                                      \
    static void name##_forward(tn_tape *t, tn_node *n)                                             \
    {                                                                                              \
        forward(t, n, &tn_kernels_on(t)->formulas->name);                                          \
    }                                                                                              \
    static void name##_backward(tn_tape *t, const tn_node *n)                                      \
    {                                                                                              \
        backward(t, n, &tn_kernels_on(t)->formulas->name, passes);                                 \
    }                                                                                              \
    const tn_op tn_op_##name = { #name, .forward = name##_forward, .backward = name##_backward,     \
                                 __VA_ARGS__ };

#define ONE(name, above_0, reads_y)                                                                \
    OP(name, 0, .inputs = 1, .rows = 1, .shape = tn_shape_as_first, .samples = map_samples,        \
       .positive = above_0, .reads_result = reads_y, .again = !(reads_y))                                               \
    tn_tensor *tn_##name(tn_tape *t, tn_tensor *a)                                                 \
    {                                                                                              \
        return tn_apply(t, &tn_op_##name, (tn_tensor *[]){ a }, (tn_attr){ 0 });                   \
    }
#define MAP(name, above_0, y, dx) ONE(name, above_0, false)
#define MAP_Y(name, above_0, y, dx) ONE(name, above_0, true)
#define MAP_E(name, e, y, dx) ONE(name, 0, false)
#define MAP_PQ(name, y, dx)                                                                        \
    OP(name, 0, .inputs = 1, .rows = 1, .shape = name##_shape, .samples = name##_samples,          \
       .refusals = name##_refusals)
#define PICK(name, y, da, db)                                                                      \
    OP(name, 0, .inputs = 3, .ids = 1, .rows = 7, .shape = tn_broadcast_shape,                     \
       .samples = name##_samples, .refusals = name##_refusals)
#define TERM(...)
#define PAIR(name, above_0, passes, y, da, db)                                                     \
    OP(name, passes, .inputs = 2, .rows = 3, .shape = tn_broadcast_shape,                          \
       .samples = pair_samples, .positive = above_0,                                               \
       .reads = (passes) ? tn_reads_nothing : NULL, .again = !(passes),                            \
       .refusals = (const tn_refusal[]){ REFUSALS(#name) })                   \
    tn_tensor *tn_##name(tn_tape *t, tn_tensor *a, tn_tensor *b)                                   \
    {                                                                                              \
        return tn_apply(t, &tn_op_##name, (tn_tensor *[]){ a, b }, (tn_attr){ 0 });                \
    }
#include "core/kernels/elementwise.def"
/* clang-format on */

tn_tensor *tn_scale(tn_tape *t, tn_tensor *a, double s)
{
    return tn_apply(t, &tn_op_scale, (tn_tensor *[]){ a }, (tn_attr){ .r = { s } });
}

tn_tensor *tn_clamp(tn_tape *t, tn_tensor *a, double low, double high)
{
    return tn_apply(t, &tn_op_clamp, (tn_tensor *[]){ a }, (tn_attr){ .r = { low, high } });
}

tn_tensor *tn_soft_cap(tn_tape *t, tn_tensor *a, double cap)
{
    return tn_apply(t, &tn_op_soft_cap, (tn_tensor *[]){ a }, (tn_attr){ .r = { cap } });
}

tn_tensor *tn_where(tn_tape *t, tn_tensor *c, tn_tensor *a, tn_tensor *b)
{
    return tn_apply(t, &tn_op_where, (tn_tensor *[]){ c, a, b }, (tn_attr){ 0 });
}
