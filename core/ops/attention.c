/* attention.c - causal attention of H query heads on G key/value heads, streamed in tiles.

       S = q k^T / sqrt(D)   P = softmax(S) over the keys a query sees   o = P v

   forward walks the keys of a tile of queries with a running maximum m and sum l of each row:
       m' = max(m, max S)   o = o exp(m - m') + exp(S - m') v   l = l exp(m - m') + sum exp(S - m')
   and ends with o / l. Kept for backward: L = m + log l, one number a row. backward makes P again:
       P = exp(S - L)   dv = P^T do   dP = do v^T   dS = P (dP - sum(do o))
       dq = dS k / sqrt(D)   dk = dS^T q / sqrt(D)

   Dao et al., "FlashAttention", arXiv:2205.14135; Milakov and Gimelshein, "Online normalizer
   calculation for softmax", arXiv:1805.02867. No (T,S) matrix is held, and tiles that no query sees
   are not computed. A task of forward is a tile of queries of one head, a task of backward a
   key/value head with all its query heads, in fixed order. The file is long because backward makes the
   tiles of forward again: the two are read side by side. */
#include "core/ops/ops.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { TILE = 64 }; /* queries and keys of a tile */

/* Rows in memory: row r at x + r ld. */
typedef struct view {
    tn_real *x;
    int64_t ld;
} view;

typedef struct job {
    tn_context *context;
    const tn_kernels *kernels;
    int64_t batch, queries, keys, heads, kv_heads, size; /* B T S H G D */
    const int32_t *start;                                /* (B) or NULL */
    tn_real scale;                                       /* 1 / sqrt(D) */
    view q, k, v, o; /* rows of all batches; heads side by side */
    view dq, dk, dv, dout;
    tn_real zero_q, zero_k, zero_v; /* beta of each gradient */
    tn_real *logs;                  /* L (B,H,T); NULL: not kept */
    tn_real *memory;                /* `room` numbers for each thread */
    int64_t room;
    atomic_bool failed; /* memory is out inside a product */
} job;

static view columns(view m, int64_t row, int64_t col)
{
    return (view){ m.x ? m.x + row * m.ld + col : NULL, m.ld };
}

/* ---- shapes ---- */

static bool packed(const tn_node *n)
{
    return n->in[0] == n->in[1] && n->in[0] == n->in[2];
}

/* D, or 0 if the widths do not fit. */
static int64_t head_size(const tn_node *n)
{
    const tn_tensor *q = n->in[0], *k = n->in[1];
    int64_t heads = n->attr.i[0], kv_heads = n->attr.i[1];
    int64_t across = packed(n) ? heads + 2 * kv_heads : heads, size = tn_cols(q) / across;
    bool fits = tn_cols(q) == across * size && (packed(n) || tn_cols(k) == kv_heads * size);
    return fits ? size : 0;
}

static int check_start(tn_tape *t, const tn_node *n)
{
    const tn_tensor *q = n->in[0], *k = n->in[1], *start = n->in[3];
    int64_t last = k->dim[1] - q->dim[1];
    if (last < 0 || (start && (start->ndim != 1 || start->dim[0] != q->dim[0])))
        return tn_refuse_shapes(t, n);
    for (int64_t b = 0; start && b < start->dim[0]; b++)
        if (start->i[b] < 0 || start->i[b] > last)
            return tn_refuse(t, n->op, TN_EARG, "start %d of row %lld; expected 0 to %lld",
                             start->i[b], (long long)b, (long long)last);
    return 0;
}

static int attention_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
    int64_t heads = n->attr.i[0], kv_heads = n->attr.i[1];
    if (heads < 1 || kv_heads < 1 || heads % kv_heads)
        return tn_refuse(t, n->op, TN_EARG, "%lld heads on %lld key/value heads", (long long)heads,
                         (long long)kv_heads);
    if (q->ndim != 3 || k->ndim != 3 || !tn_same_shape(k, v) || q->dim[0] != k->dim[0])
        return tn_refuse_shapes(t, n);
    if (heads > tn_cols(q) || !head_size(n))
        return tn_refuse_shapes(t, n);
    tn_shape_of(out, 3, q->dim[0], q->dim[1], heads * head_size(n), 1);
    return check_start(t, n);
}

static job job_of(tn_tape *t, const tn_node *n, int64_t room)
{
    tn_tensor *q = n->in[0], *k = n->in[1], *v = n->in[2], *start = n->in[3];
    job j = {
        .context = tn_tape_context(t),
        .kernels = tn_kernels_on(t),
        .batch = q->dim[0],
        .queries = q->dim[1],
        .keys = k->dim[1],
        .heads = n->attr.i[0],
        .kv_heads = n->attr.i[1],
        .size = head_size(n),
        .start = start ? start->i : NULL,
        .logs = n->saved,
        .room = room,
    };
    j.scale = (tn_real)(1 / sqrt((double)j.size));
    j.q = (view){ q->x, tn_cols(q) };
    j.k = (view){ k->x + (packed(n) ? j.heads * j.size : 0), tn_cols(k) };
    j.v = (view){ v->x + (packed(n) ? (j.heads + j.kv_heads) * j.size : 0), tn_cols(v) };
    j.o = (view){ n->out->x, tn_cols(n->out) };
    j.dout = (view){ n->out->g, tn_cols(n->out) };
    j.memory = tn_temporary(t, (size_t)(tn_context_threads(j.context) * room) * sizeof *j.memory);
    return j;
}

/* The position of the first query of batch row b among the keys. */
static int64_t start_of(const job *j, int64_t b)
{
    return j->start ? j->start[b] : 0;
}

static tn_matrix matrix(view m, int64_t rows, int64_t cols)
{
    return tn_matrix_part(m.x, rows, cols, m.ld);
}

/* A product of which a triangle is not needed, see gemm.h. */
static void multiply(job *j, int thread, tn_product p, tn_triangle triangle, int64_t edge)
{
    p.triangle = triangle;
    p.edge = edge;
    if (tn_gemm_here(j->context, thread, &p))
        atomic_store(&j->failed, true);
}

/* C (rows,keys) = A B^T: the scores of a tile; query 0 of it sees key `edge` last. */
static void scores(job *j, int thread, tn_matrix a, tn_matrix b, int64_t edge, tn_real *c)
{
    multiply(j, thread, tn_product_of(a, tn_transposed(b), 0, c, TILE), TN_C_LOWER, edge);
}

/* ---- forward ---- */

/* One row of scores, of which `seen` columns count, into exp(S - m'); the rest of the tile becomes
   0. Brings m, l and (unless this is the first tile) o up to the new maximum. */
static void stream_row(const job *j, int64_t seen, bool first, tn_real *s, tn_real *m, tn_real *l,
                       tn_real *o)
{
    const tn_kernels *k = j->kernels;
    k->scale(seen, j->scale, s);
    tn_real max = k->max(seen, s), factor = 1;
    if (max < *m)
        max = *m;
    tn_real shift = max == -(tn_real)INFINITY ? 0 : max; /* all -inf: exp gives zeros, l stays 0 */
    if (!first)
        k->exp_sum(1, m, shift, &factor);
    if (factor != 1)
        k->scale(j->size, factor, o);
    *l = *l * factor + k->exp_sum(seen, s, shift, s);
    *m = max;
    memset(s + seen, 0, (size_t)(TILE - seen) * sizeof *s);
}

/* The o of `rows` queries from all the keys they see; the first is at position `at`. */
static void forward_tile(job *j, int thread, view q, view k, view v, view o, int64_t rows,
                         int64_t at, tn_real *logs)
{
    tn_real *s = j->memory + thread * j->room, m[TILE], l[TILE]; // s (TILE,TILE)
    for (int64_t i = 0; i < rows; i++) {
        m[i] = -(tn_real)INFINITY;
        l[i] = 0;
    }
    for (int64_t from = 0; from < at + rows; from += TILE) {
        int64_t keys = tn_min(TILE, at + rows - from);
        tn_matrix left = matrix(q, rows, j->size);
        scores(j, thread, left, matrix(columns(k, from, 0), keys, j->size), at - from, s);
        for (int64_t i = 0; i < rows; i++) {
            int64_t seen = tn_min(keys, at + i + 1 - from);
            stream_row(j, seen > 0 ? seen : 0, from == 0, s + i * TILE, &m[i], &l[i],
                       o.x + i * o.ld);
        }
        tn_matrix p = matrix((view){ s, TILE }, rows, keys);
        tn_matrix right = matrix(columns(v, from, 0), keys, j->size);
        multiply(j, thread, tn_product_of(p, right, from > 0, o.x, o.ld), TN_A_LOWER, at - from);
    }
    for (int64_t i = 0; i < rows; i++) {
        if (l[i] != 0)
            j->kernels->scale(j->size, 1 / l[i], o.x + i * o.ld);
        if (logs)
            logs[i] = l[i] != 0 ? m[i] + j->kernels->log(l[i]) : 0;
    }
}

static void forward_task(void *arg, int64_t task, int thread)
{
    job *j = arg;
    int64_t tiles = tn_ranges(j->queries, TILE), from = task % tiles * TILE;
    int64_t h = task / tiles % j->heads, b = task / tiles / j->heads,
            g = h / (j->heads / j->kv_heads);
    int64_t row = b * j->queries + from, col = h * j->size, kv_col = g * j->size;
    forward_tile(j, thread, columns(j->q, row, col), columns(j->k, b * j->keys, kv_col),
                 columns(j->v, b * j->keys, kv_col), columns(j->o, row, col),
                 tn_min(TILE, j->queries - from), start_of(j, b) + from,
                 j->logs ? j->logs + (b * j->heads + h) * j->queries + from : NULL);
}

static void attention_forward(tn_tape *t, tn_node *n)
{
    const tn_tensor *q = n->in[0];
    size_t rows = (size_t)(q->dim[0] * n->attr.i[0] * q->dim[1]);
    if (n->wanted)
        n->saved = tn_keep(t, rows * sizeof(tn_real));
    job j = job_of(t, n, TILE * TILE);
    if (!j.memory || (n->wanted && !n->saved))
        return;
    tn_parallel_for(j.context, j.batch * j.heads * tn_ranges(j.queries, TILE), forward_task, &j);
    if (atomic_load(&j.failed))
        tn_no_memory(t, n);
}

/* ---- backward ---- */

/* One head's rows of one batch row: all its queries, and all keys. */
typedef struct head {
    view q, k, v, o, dq, dk, dv, dout;
    const tn_real *logs;
    int64_t at;
} head;

static head head_of(const job *j, int64_t b, int64_t h)
{
    int64_t g = h / (j->heads / j->kv_heads), row = b * j->queries, key = b * j->keys;
    int64_t col = h * j->size, kv_col = g * j->size;
    return (head){
        .q = columns(j->q, row, col),
        .k = columns(j->k, key, kv_col),
        .v = columns(j->v, key, kv_col),
        .o = columns(j->o, row, col),
        .dq = columns(j->dq, row, col),
        .dk = columns(j->dk, key, kv_col),
        .dv = columns(j->dv, key, kv_col),
        .dout = columns(j->dout, row, col),
        .logs = j->logs + (b * j->heads + h) * j->queries,
        .at = start_of(j, b),
    };
}

/* P and dS of queries [i, i+rows) and keys [c, c+keys), both (TILE,TILE) with ld TILE. */
static void make_tile(job *j, int thread, const head *h, int64_t i, int64_t rows, int64_t c,
                      int64_t keys, tn_real *p, tn_real *ds)
{
    const int64_t size = j->size, edge = h->at + i - c;
    scores(j, thread, matrix(columns(h->q, i, 0), rows, size),
           matrix(columns(h->k, c, 0), keys, size), edge, p);
    scores(j, thread, matrix(columns(h->dout, i, 0), rows, size),
           matrix(columns(h->v, c, 0), keys, size), edge, ds);
    for (int64_t r = 0; r < rows; r++, p += TILE, ds += TILE) {
        int64_t seen = h->at + i + r + 1 - c;
        seen = seen < 0 ? 0 : tn_min(keys, seen);
        tn_real dot =
            j->kernels->dot(j->size, h->dout.x + (i + r) * h->dout.ld, h->o.x + (i + r) * h->o.ld);
        j->kernels->scale(seen, j->scale, p);
        j->kernels->exp_sum(seen, p, h->logs[i + r], p);
        for (int64_t k = 0; k < seen; k++)
            ds[k] = p[k] * (ds[k] - dot) * j->scale;
        memset(p + seen, 0, (size_t)(keys - seen) * sizeof *p);
        memset(ds + seen, 0, (size_t)(keys - seen) * sizeof *ds);
    }
}

/* C += A B, if anybody wants C. Query 0 of the tile sees key `edge` last. */
static void add_product(job *j, int thread, tn_matrix a, tn_triangle triangle, int64_t edge, view b,
                        view c)
{
    if (c.x)
        multiply(j, thread, tn_product_of(a, matrix(b, a.cols, j->size), 1, c.x, c.ld), triangle,
                 edge);
}

/* What keys [c, c+TILE) add to the gradients of one query head and of its key/value head. */
static void backward_keys(job *j, int thread, const head *h, int64_t c)
{
    tn_real *tile = j->memory + thread * j->room;              // P and dS (2,TILE,TILE)
    int64_t first = c > h->at ? (c - h->at) / TILE * TILE : 0; /* the first tile that sees key c */
    for (int64_t i = first; i < j->queries; i += TILE) {
        int64_t rows = tn_min(TILE, j->queries - i), keys = tn_min(TILE, h->at + i + rows - c);
        int64_t edge = h->at + i - c;
        make_tile(j, thread, h, i, rows, c, keys, tile, tile + TILE * TILE);
        tn_matrix p = matrix((view){ tile, TILE }, rows, keys);
        tn_matrix ds = matrix((view){ tile + TILE * TILE, TILE }, rows, keys);
        add_product(j, thread, tn_transposed(p), TN_A_UPPER, -edge, columns(h->dout, i, 0),
                    columns(h->dv, c, 0));
        add_product(j, thread, tn_transposed(ds), TN_A_UPPER, -edge, columns(h->q, i, 0),
                    columns(h->dk, c, 0));
        add_product(j, thread, ds, TN_A_LOWER, edge, columns(h->k, c, 0), columns(h->dq, i, 0));
    }
}

static void clear(view m, int64_t rows, int64_t cols)
{
    for (int64_t r = 0; m.x && r < rows; r++)
        memset(m.x + r * m.ld, 0, (size_t)cols * sizeof *m.x);
}

static void backward_task(void *arg, int64_t task, int thread)
{
    job *j = arg;
    int64_t b = task / j->kv_heads, group = j->heads / j->kv_heads,
            first = task % j->kv_heads * group;
    head h = head_of(j, b, first);
    if (j->zero_q == 0)
        clear(h.dq, j->queries, group * j->size);
    if (j->zero_k == 0)
        clear(h.dk, j->keys, j->size);
    if (j->zero_v == 0)
        clear(h.dv, j->keys, j->size);
    for (int64_t i = first; i < first + group; i++) {
        h = head_of(j, b, i);
        for (int64_t c = 0; c < h.at + j->queries; c += TILE)
            backward_keys(j, thread, &h, c);
    }
}

/* of o = softmax(q k^T / sqrt(D)) v: dq, dk and dv as at the top */
static void attention_backward(tn_tape *t, const tn_node *n)
{
    job j = job_of(t, n, 2 * TILE * TILE);
    if (!j.memory)
        return;
    j.dq = (view){ tn_grad(t, n, 0, &j.zero_q), j.q.ld };
    if (packed(n)) {
        if (!j.dq.x)
            return; /* memory is out */
        j.zero_k = j.zero_v = j.zero_q;
        j.dk = (view){ j.dq.x + (j.k.x - j.q.x), j.k.ld };
        j.dv = (view){ j.dq.x + (j.v.x - j.q.x), j.v.ld };
    } else {
        j.dk = (view){ tn_grad(t, n, 1, &j.zero_k), j.k.ld };
        j.dv = (view){ tn_grad(t, n, 2, &j.zero_v), j.v.ld };
    }
    tn_parallel_for(j.context, j.batch * j.kv_heads, backward_task, &j);
    if (atomic_load(&j.failed))
        tn_no_memory(t, n);
}

/* ---- reference ---- */

/* Rows of batch row b and one head, out of (B,L,width): (L,D). */
static tn_tensor *one_head(tn_tape *t, tn_tensor *a, int64_t b, int64_t col, int64_t size)
{
    int64_t rows = a->dim[1], width = a->dim[2];
    tn_tensor *flat = tn_reshape(t, a, 2, (int64_t[]){ 1, a->dim[0] * rows * width });
    tn_tensor *row = tn_slice(t, flat, b * rows * width, (b + 1) * rows * width);
    return tn_slice(t, tn_reshape(t, row, 2, (int64_t[]){ rows, width }), col, col + size);
}

/* (T,S): 0 where query i, at position at + i, sees key c, else -inf. */
static tn_tensor *mask(tn_tape *t, int64_t queries, int64_t keys, int64_t at)
{
    tn_tensor *m = tn_tape_input(t, TN_REAL, 2, (int64_t[]){ queries, keys });
    for (int64_t i = 0; m && i < queries; i++)
        for (int64_t c = 0; c < keys; c++)
            m->x[i * keys + c] = c <= at + i ? 0 : -(tn_real)INFINITY;
    return m;
}

static tn_tensor *beside(tn_tape *t, tn_tensor *a, tn_tensor *b)
{
    return a ? tn_concat(t, a, b) : b;
}

static tn_tensor *attention_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    tn_node n = { .in = { in[0], in[1], in[2] }, .attr = attr };
    int64_t heads = attr.i[0], kv_heads = attr.i[1], size = head_size(&n);
    int64_t k0 = packed(&n) ? heads * size : 0, v0 = packed(&n) ? (heads + kv_heads) * size : 0;
    int64_t batch = in[0]->dim[0], queries = in[0]->dim[1], keys = in[1]->dim[1];
    tn_tensor *all = NULL;
    for (int64_t b = 0; b < batch; b++) {
        tn_tensor *row = NULL; // (T, heads so far * D)
        for (int64_t h = 0; h < heads; h++) {
            int64_t g = h / (heads / kv_heads);
            tn_tensor *q = one_head(t, in[0], b, h * size, size),
                      *k = one_head(t, in[1], b, k0 + g * size, size);
            tn_tensor *v = one_head(t, in[2], b, v0 + g * size, size);
            tn_tensor *s = tn_scale(t, tn_linear(t, q, k, NULL, TN_OUT_IN), 1 / sqrt((double)size));
            s = tn_add(t, s, mask(t, queries, keys, in[3] ? in[3]->i[b] : 0));
            row = beside(t, row, tn_matmul(t, tn_softmax(t, s), v));
        }
        all = beside(t, all, tn_reshape(t, row, 2, (int64_t[]){ 1, queries * heads * size }));
    }
    return tn_reshape(t, all, 3, (int64_t[]){ batch, queries, heads * size });
}

/* clang-format off */
const tn_op tn_op_attention = { .name = "attention", .inputs = 4, .optional = 8, .ids = 8, .rows = 15,
    .reads_result = true,
    .shape = attention_shape, .forward = attention_forward, .backward = attention_backward,
    .reference = attention_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 } }, .attr = { .i = { 1, 1 } } },
        { .in = { { 2, 5, 6 }, { 2, 5, 6 }, { 2, 5, 6 } }, .attr = { .i = { 2, 2 } } },
        { .in = { { 2, 5, 12 }, { 2, 7, 6 }, { 2, 7, 6 } }, .attr = { .i = { 4, 2 } } },
        { .in = { { 2, 3, 6 }, { 2, 7, 6 }, { 2, 7, 6 }, { 2 } }, .attr = { .i = { 2, 2 } }, .ids = 5 },
        { .in = { { 2, 1, 6 }, { 2, 7, 2 }, { 2, 7, 2 }, { 2 } }, .attr = { .i = { 3, 1 } }, .ids = 7 },
        { .in = { { 2, 5, 20 }, { 2, 5, 20 }, { 2, 5, 20 } }, .attr = { .i = { 3, 1 } }, .same = 6 },
        { .in = { { 1, 130, 3 }, { 1, 130, 3 }, { 1, 130, 3 } }, .attr = { .i = { 1, 1 } }, .same = 6 },
        { .in = { { 1, 70, 2 }, { 1, 200, 2 }, { 1, 200, 2 }, { 1 } }, .attr = { .i = { 1, 1 } }, .ids = 131 },
        { .in = { { 2, 256, 2304 }, { 2, 256, 2304 }, { 2, 256, 2304 } }, .attr = { .i = { 12, 12 } }, .same = 6,
          .bench = true },
        { .in = { { 4, 1, 768 }, { 4, 1024, 768 }, { 4, 1024, 768 }, { 4 } }, .attr = { .i = { 12, 12 } },
          .ids = 1024, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 1, 2, 6 }, { 1, 2, 4 }, { 1, 2, 4 } }, .attr = { .i = { 3, 2 } } },
          "attention: 3 heads on 2 key/value heads" },
        { { .in = { { 1, 2, 6 }, { 1, 2, 4 }, { 1, 2, 4 } }, .attr = { .i = { 2, 2 } } },
          "attention: shapes do not fit: (1,2,6) (1,2,4) (1,2,4)" },
        { { .in = { { 1, 3, 4 }, { 1, 2, 4 }, { 1, 2, 4 } }, .attr = { .i = { 2, 2 } } },
          "attention: shapes do not fit: (1,3,4) (1,2,4) (1,2,4)" },
        { { .in = { { 1, 2, 4 }, { 1, 2, 4 }, { 1, 2, 4 }, { 1 } }, .attr = { .i = { 2, 2 } }, .ids = 1,
            .negative_ids = true }, "attention: start -1 of row 0; expected 0 to 0" },
        { { .in = { { 1, 2, 4 }, { 1, 2, 4 }, { 1, 2, 4 } }, .same = 6, /* 3 of this is 2 in 64 bits */
            .attr = { .i = { 0x5555555555555556, 0x5555555555555556 } } },
          "attention: shapes do not fit: (1,2,4) (1,2,4) (1,2,4)" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_attention(tn_tape *t, tn_tensor *q, tn_tensor *k, tn_tensor *v, tn_tensor *start,
                        int64_t heads, int64_t kv_heads)
{
    return tn_apply(t, &tn_op_attention, (tn_tensor *[]){ q, k, v, start },
                    (tn_attr){ .i = { heads, kv_heads } });
}
