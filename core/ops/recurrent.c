/* recurrent.c - LSTM and GRU, over a sequence or for one step.

       lstm: i, f, o = sigmoid, g = tanh of (x + W h + b), one after another as i|f|g|o
             c' = f c + i g           h' = o tanh(c')
       gru:  r, z = sigmoid of their parts of (x + W h + b)       q = W_n h + b_n
             n = tanh(x_n + r q)      h' = (1 - z) n + z h

   x is the input's part of the gates, for all steps at once: linear(input, W_ih, b_ih). Gates and
   equations are those of torch.nn.LSTM and torch.nn.GRU, where W and b are weight_hh and bias_hh.

   Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997); Cho et al.,
   "Learning phrase representations using RNN encoder-decoder", arXiv:1406.1078.

   A task has some rows of the batch, and does all steps for them. W is packed once for all steps.
   Kept for backward: i f g o, or r z q n, of each step. backward goes from the last step to the
   first and makes d, the gradient of x + W h + b: the carried gradient of h is d W, dW is d^T h.
   The order of sums: those of a product, gemm.h; dW and db add the steps of row 0, then of row 1. */
#include "core/ops/packed.h"
#include "core/ops/recurrent.h"

#include <stdatomic.h>
#include <string.h>

/* ---- a call ---- */

typedef struct job {
    tn_context *context;
    const tn_kernels *kernels;
    bool lstm;
    int64_t batch, steps, size, rows; /* B T H; rows of a task */
    int64_t gates, state;             /* G H: numbers of a row of x; S: of the state */
    tn_packed w;                      /* W^T (H,G H) in forward, W (G H,H) in backward */
    const tn_real *x, *b, *start;     /* (B,T,G H) (G H)? (B,S)? */
    tn_real *y, *dy;                  /* (B,T,S): h, or h|c */
    tn_real *kept;                    /* (B,T,4 H); NULL: nothing is kept */
    tn_real *d, *carried,
        *dx; /* gradients: (B,T,4 H) of the gates; (B,S) of the state; (B,T,G H) */
    atomic_bool no_memory;
} job;

/* `gates` numbers of x and `states` of the state for each number of h. */
static int shape_of(tn_tape *t, const tn_node *n, tn_tensor *out, int64_t gates, int64_t states)
{
    const tn_tensor *x = n->in[0], *start = n->in[1], *w = n->in[2], *b = n->in[3];
    const int64_t size = w->dim[1];
    bool fits = (x->ndim == 2 || x->ndim == 3) && w->ndim == 2 && tn_cols(x) == w->dim[0];
    fits = fits && size <= tn_cols(x) && tn_cols(x) == gates * size;
    fits = fits && (!b || (b->ndim == 1 && b->dim[0] == w->dim[0]));
    fits = fits && (!start || (start->ndim == 2 && start->dim[0] == x->dim[0] &&
                               start->dim[1] == states * size));
    if (!fits)
        return tn_refuse_shapes(t, n);
    tn_like(out, x);
    out->dim[x->ndim - 1] = states * size;
    return 0;
}

static int lstm_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    return shape_of(t, n, out, 4, 2);
}

static int gru_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    return shape_of(t, n, out, 3, 1);
}

static job job_of(tn_tape *t, const tn_node *n)
{
    const tn_tensor *x = n->in[0], *w = n->in[2];
    job j = { .context = tn_tape_context(t),
              .kernels = tn_kernels_on(t),
              .lstm = n->op == &tn_op_lstm,
              .batch = x->dim[0],
              .steps = x->ndim == 3 ? x->dim[1] : 1,
              .size = w->dim[1],
              .gates = w->dim[0],
              .state = tn_cols(n->out),
              .x = x->x,
              .b = n->in[3] ? n->in[3]->x : NULL,
              .start = n->in[1] ? n->in[1]->x : NULL,
              .y = n->out->x,
              .dy = n->out->g,
              .kept = n->saved };
    j.rows = tn_ranges(tn_ranges(j.batch, tn_context_threads(j.context)), 8) * 8;
    return j;
}

/* Row r of the state before step s; NULL stands for zeros. */
static const tn_real *before(const job *j, int64_t r, int64_t s)
{
    if (s > 0)
        return j->y + (r * j->steps + s - 1) * j->state;
    return j->start ? j->start + r * j->state : NULL;
}

static tn_real *scratch(job *j, int thread, int64_t count)
{
    tn_real *x = tn_thread_memory(j->context, thread, TN_SCRATCH_OP, (size_t)count * sizeof *x);
    if (!x)
        atomic_store(&j->no_memory, true);
    return x;
}

static void run(tn_tape *t, const tn_node *n, job *j,
                void (*task)(void *arg, int64_t i, int thread))
{
    tn_parallel_for(j->context, tn_ranges(j->batch, j->rows), task, j);
    if (atomic_load(&j->no_memory))
        tn_no_memory(t, n);
}

/* ---- forward ---- */

/* What the gates of a row begin with: x + b. The q of a gru gets b alone. */
static void begin_gates(const job *j, const tn_real *x, tn_real *gates)
{
    const int64_t with_x = j->lstm ? j->gates : 2 * j->size;
    for (int64_t k = 0; k < j->gates; k++)
        gates[k] = k < with_x ? x[k] : 0;
    for (int64_t k = 0; j->b && k < j->gates; k++)
        gates[k] += j->b[k];
}

static void forward_task(void *arg, int64_t i, int thread)
{
    job *j = arg;
    const int64_t first = i * j->rows, rows = tn_min(j->rows, j->batch - first),
                  width = 4 * j->size;
    tn_view gates = { j->kept, j->steps * width };
    if (!j->kept)
        gates = (tn_view){ scratch(j, thread, rows * width), width };
    if (!gates.x)
        return;
    for (int64_t s = 0; s < j->steps; s++) {
        tn_view g = { j->kept ? j->kept + (first * j->steps + s) * width : gates.x, gates.ld };
        for (int64_t r = 0; r < rows; r++)
            begin_gates(j, j->x + ((first + r) * j->steps + s) * j->gates, g.x + r * g.ld);
        const tn_view h = { (tn_real *)before(j, first, s), (s ? j->steps : 1) * j->state };
        if (h.x)
            tn_packed_add(&j->w, rows, h, g);
        for (int64_t r = first; r < first + rows; r++) {
            tn_real *row = g.x + (r - first) * g.ld, *y = j->y + (r * j->steps + s) * j->state;
            if (j->lstm)
                tn_lstm_cell(j->context, j->size, row, before(j, r, s), y);
            else
                tn_gru_cell(j->context, j->size, j->x + (r * j->steps + s) * j->gates, row,
                            before(j, r, s), y);
        }
    }
}

static void recurrent_forward(tn_tape *t, tn_node *n)
{
    const tn_tensor *w = n->in[2];
    const int64_t steps = tn_rows(n->in[0]);
    if (n->wanted) {
        n->saved = tn_keep(t, (size_t)(steps * 4 * w->dim[1]) * sizeof(tn_real));
        if (!n->saved)
            return;
    }
    job j = job_of(t, n);
    j.w = tn_packed_of(t, tn_transposed(tn_matrix_like(w->x, w)));
    if (j.w.x)
        run(t, n, &j, forward_task);
}

/* ---- backward ---- */

static void backward_task(void *arg, int64_t i, int thread)
{
    job *j = arg;
    const int64_t first = i * j->rows, rows = tn_min(j->rows, j->batch - first),
                  width = 4 * j->size;
    tn_real *tanh_c = scratch(j, thread, j->size), *carried = j->carried + first * j->state;
    if (!tanh_c)
        return;
    memset(carried, 0, (size_t)(rows * j->state) * sizeof *carried);
    for (int64_t s = j->steps; s-- > 0;) {
        for (int64_t r = 0; r < rows; r++) {
            const int64_t at = (first + r) * j->steps + s;
            const tn_cell cell = { .gates = j->kept + at * width,
                                   .before = before(j, first + r, s),
                                   .after = j->y + at * j->state,
                                   .dy = j->dy + at * j->state,
                                   .carried = carried + r * j->state,
                                   .d = j->d + at * width };
            if (j->lstm)
                tn_lstm_cell_back(j->context, j->size, &cell, tanh_c);
            else
                tn_gru_cell_back(j->size, &cell);
        }
        if (s > 0 || j->start)
            tn_packed_add(&j->w, rows,
                          (tn_view){ j->d + (first * j->steps + s) * width, j->steps * width },
                          (tn_view){ carried, j->state });
    }
}

/* dx: d, but in a gru d of n instead of q. */
static void add_dx(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    const job *j = arg;
    const int64_t plain = j->lstm ? j->gates : 2 * j->size;
    for (int64_t i = from; i < to; i++) {
        const tn_real *d = j->d + i * 4 * j->size;
        tn_real *dx = j->dx + i * j->gates;
        for (int64_t k = 0; k < j->gates; k++)
            dx[k] += d[k < plain ? k : k + j->size];
    }
}

/* h before each step (B,T,H). NULL when memory is out. */
static tn_real *all_before(tn_tape *t, const job *j)
{
    const size_t bytes = (size_t)j->size * sizeof(tn_real);
    tn_real *all = tn_temporary(t, (size_t)(j->batch * j->steps) * bytes);
    for (int64_t i = 0; all && i < j->batch * j->steps; i++) {
        const tn_real *h = before(j, i / j->steps, i % j->steps);
        if (h)
            memcpy(all + i * j->size, h, bytes);
        else
            memset(all + i * j->size, 0, bytes);
    }
    return all;
}

static void sum_gates(const void *arg, int64_t from, int64_t to, tn_real *sum)
{
    const job *j = arg;
    for (int64_t i = from; i < to; i++)
        j->kernels->axpy(j->gates, 1, j->d + i * 4 * j->size, sum);
}

/* The gradients, now that d and the carried ones are known. */
static void write_gradients(tn_tape *t, const tn_node *n, job *j)
{
    const int64_t rows = j->batch * j->steps;
    const tn_real *before = n->in[2]->wants_grad ? all_before(t, j) : NULL;
    tn_real beta, *dx = tn_grad(t, n, 0, &beta); // (B,T,G H)
    if (dx && beta == 0)
        memset(dx, 0, (size_t)(rows * j->gates) * sizeof *dx);
    j->dx = dx;
    if (dx)
        tn_over_rows(t, rows, j->gates, add_dx, j);
    tn_real *dstart = tn_grad(t, n, 1, &beta); // (B,S)
    if (dstart)
        tn_add_values(t, j->batch * j->state, j->carried, beta, dstart);
    tn_real *dw = before ? tn_grad(t, n, 2, &beta) : NULL; // (G H,H)
    if (dw)
        tn_multiply(t, n,
                    tn_product_of(tn_transposed(tn_matrix_part(j->d, rows, j->gates, 4 * j->size)),
                                  tn_matrix_of(before, rows, j->size), beta, dw, j->size));
    tn_real *db = tn_grad(t, n, 3, &beta); // (G H)
    if (db)
        tn_sum_rows(t, rows, j->gates, sum_gates, j, beta, db);
}

static void recurrent_backward(tn_tape *t, const tn_node *n)
{
    const tn_tensor *w = n->in[2];
    job j = job_of(t, n);
    j.w = tn_packed_of(t, tn_matrix_like(w->x, w));
    j.d = j.w.x ? tn_temporary(t, (size_t)(j.batch * j.steps * 4 * j.size) * sizeof *j.d) : NULL;
    j.carried = j.d ? tn_temporary(t, (size_t)(j.batch * j.state) * sizeof *j.d) : NULL;
    if (!j.carried)
        return;
    run(t, n, &j, backward_task);
    write_gradients(t, n, &j);
}

/* ---- lstm, gru: x, state?, w, b? ---- */

/* Step s of x (B,T,G H). */
static tn_tensor *step_of(tn_tape *t, tn_tensor *x, int64_t s)
{
    if (x->ndim == 2)
        return x;
    return tn_reshape(t, tn_slice(t, x, 1, s, s + 1), 2, (int64_t[]){ x->dim[0], x->dim[2] });
}

/* Part k of the columns, `size` wide. */
static tn_tensor *part_of(tn_tape *t, tn_tensor *x, int64_t k, int64_t size)
{
    return tn_slice(t, x, -1, k * size, (k + 1) * size);
}

/* x is the input's part of the gates, y that of h. */
static tn_tensor *plain_lstm(tn_tape *t, tn_tensor *x, tn_tensor *y, tn_tensor *state, int64_t n)
{
    tn_tensor *sum = tn_add(t, x, y), *c = part_of(t, state, 1, n);
    tn_tensor *i = tn_sigmoid(t, part_of(t, sum, 0, n)), *f = tn_sigmoid(t, part_of(t, sum, 1, n));
    tn_tensor *g = tn_tanh(t, part_of(t, sum, 2, n)), *o = tn_sigmoid(t, part_of(t, sum, 3, n));
    c = tn_add(t, tn_mul(t, f, c), tn_mul(t, i, g));
    return tn_concat(t, 2, (tn_tensor *[]){ tn_mul(t, o, tn_tanh(t, c)), c }, -1);
}

static tn_tensor *plain_gru(tn_tape *t, tn_tensor *x, tn_tensor *y, tn_tensor *h, int64_t size)
{
    tn_tensor *r = tn_sigmoid(t, tn_add(t, part_of(t, x, 0, size), part_of(t, y, 0, size)));
    tn_tensor *z = tn_sigmoid(t, tn_add(t, part_of(t, x, 1, size), part_of(t, y, 1, size)));
    tn_tensor *q = part_of(t, y, 2, size);
    tn_tensor *n = tn_tanh(t, tn_add(t, part_of(t, x, 2, size), tn_mul(t, r, q)));
    return tn_add(t, n, tn_mul(t, z, tn_sub(t, h, n)));
}

/* Step by step: products of linear, formulas of elementwise ops. */
static tn_tensor *plain(tn_tape *t, tn_tensor *const in[], bool lstm)
{
    tn_tensor *x = in[0], *state = in[1], *out = NULL;
    const int64_t n = in[2]->dim[1], width = lstm ? 2 * n : n;
    if (!state) {
        state = tn_tape_input(t, TN_REAL, 2, (int64_t[]){ x->dim[0], width });
        for (int64_t k = 0; state && k < x->dim[0] * width; k++)
            state->x[k] = 0;
    }
    for (int64_t s = 0; s < (x->ndim == 3 ? x->dim[1] : 1); s++) {
        tn_tensor *h = part_of(t, state, 0, n), *xs = step_of(t, x, s);
        tn_tensor *y = tn_linear(t, h, in[2], in[3], TN_OUT_IN);
        state = lstm ? plain_lstm(t, xs, y, state, n) : plain_gru(t, xs, y, h, n);
        tn_tensor *all = tn_reshape(t, state, 3, (int64_t[]){ x->dim[0], 1, width });
        out = out ? tn_concat(t, 2, (tn_tensor *[]){ out, all }, 1) : all;
    }
    return x->ndim == 3 ? out : state;
}

static tn_tensor *lstm_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    (void)attr;
    return plain(t, in, true);
}

static tn_tensor *gru_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    (void)attr;
    return plain(t, in, false);
}

/* clang-format off */
const tn_op tn_op_lstm = { .name = "lstm", .inputs = 4, .optional = 10, .rows = 3, .reads_result = true,
    .shape = lstm_shape, .forward = recurrent_forward, .backward = recurrent_backward, .reference = lstm_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 4 }, { 1, 2 }, { 4, 1 }, { 4 } } },
        { .in = { { 3, 4, 8 }, { 3, 4 }, { 8, 2 }, { 8 } } },
        { .in = { { 2, 3, 12 }, { 0 }, { 12, 3 } } },
        { .in = { { 2, 1, 12 }, { 2, 6 }, { 12, 3 } } },
        { .in = { { 10, 2, 4 }, { 0 }, { 4, 1 }, { 4 } } },
        { .in = { { 1, 2, 388 }, { 1, 194 }, { 388, 97 } } }, /* sums over more than TN_KC gates */
        { .in = { { 16, 32, 256 }, { 16, 128 }, { 256, 64 }, { 256 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3, 8 }, { 2, 4 }, { 8, 3 } } }, "lstm: shapes do not fit: (2,3,8) (2,4) (8,3)" },
        { { .in = { { 2, 3, 7 }, { 0 }, { 7, 1 } } }, "lstm: shapes do not fit: (2,3,7) (7,1)" },
        { { .in = { { 2, 3, 8 }, { 2, 2 }, { 8, 2 } } }, "lstm: shapes do not fit: (2,3,8) (2,2) (8,2)" },
        { { .in = { { 2, 3, 8 }, { 3, 4 }, { 8, 2 } } }, "lstm: shapes do not fit: (2,3,8) (3,4) (8,2)" },
        { { .in = { { 2, 3, 8 }, { 2, 4 }, { 8, 2 }, { 2 } } }, "lstm: shapes do not fit: (2,3,8) (2,4) (8,2) (2)" },
        { { .in = { { 8 }, { 0 }, { 8, 2 } } }, "lstm: shapes do not fit: (8) (8,2)" },
        { { .in = { { 2, 3 }, { 0 }, { 4, 1 } } }, "lstm: shapes do not fit: (2,3) (4,1)" },
        { .text = "" } } };
const tn_op tn_op_gru = { .name = "gru", .inputs = 4, .optional = 10, .rows = 3, .reads_result = true,
    .shape = gru_shape, .forward = recurrent_forward, .backward = recurrent_backward, .reference = gru_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 3 }, { 1, 1 }, { 3, 1 }, { 3 } } },
        { .in = { { 3, 4, 6 }, { 3, 2 }, { 6, 2 }, { 6 } } },
        { .in = { { 2, 3, 9 }, { 0 }, { 9, 3 } } },
        { .in = { { 2, 1, 9 }, { 2, 3 }, { 9, 3 } } },
        { .in = { { 10, 2, 3 }, { 0 }, { 3, 1 }, { 3 } } },
        { .in = { { 2, 2, 3 }, { 2, 1 }, { 3, 1 }, { 3 } } },
        { .in = { { 16, 32, 192 }, { 16, 64 }, { 192, 64 }, { 192 } }, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 2, 3, 6 }, { 2, 4 }, { 6, 2 } } }, "gru: shapes do not fit: (2,3,6) (2,4) (6,2)" },
        { { .in = { { 2, 3, 8 }, { 0 }, { 8, 2 } } }, "gru: shapes do not fit: (2,3,8) (8,2)" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_lstm(tn_tape *t, tn_tensor *x, tn_tensor *start, tn_tensor *w, tn_tensor *b)
{
    return tn_apply(t, &tn_op_lstm, (tn_tensor *[]){ x, start, w, b }, (tn_attr){ 0 });
}

tn_tensor *tn_gru(tn_tape *t, tn_tensor *x, tn_tensor *start, tn_tensor *w, tn_tensor *b)
{
    return tn_apply(t, &tn_op_gru, (tn_tensor *[]){ x, start, w, b }, (tn_attr){ 0 });
}
