/* attention_tiles.c - attention forward and backward, in tiles of QUERIES by KEYS.

       S = scale q k^T   P = softmax(S) over the keys that a query sees   o = P v

   A query sees the keys of one span (tn_attention_spans). Spans only move forward, so the keys that
   a tile of queries sees lie in one range, from the first query's begin to the last one's end.

   With a soft cap the scores become S' = cap tanh(S / cap), and dS = dS' (1 - (S' / cap)^2).

   forward walks over the keys of a tile of queries. For each query it has the maximum m and the sum
   l of the scores so far:
       m' = max(m, max S)   o = o exp(m - m') + exp(S - m') v   l = l exp(m - m') + sum exp(S - m')
   At the end the result is o / l. forward keeps L = m + log l, one number per query and head.
   backward computes P again from it:
       P = exp(S - L)   dv = P^T do   dP = do v^T   dS = P (dP - sum(do o))
       dq = scale dS k   dk = scale dS^T q

   Dao et al., "FlashAttention", arXiv:2205.14135; Milakov and Gimelshein, "Online normalizer
   calculation for softmax", arXiv:1805.02867. No (T,S) matrix is stored, and tiles that no query
   sees are not computed. A task of forward is a tile of queries of one head. A task of backward is
   one query head. If several query heads share a key/value head, each writes its own dk and dv.
   These are then added in the order of the heads. */
#include "core/ops/attention.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* Rows and columns of a tile. A tile of keys ends at a multiple of KEYS, so the order of sums does
   not depend on which queries are computed together. (Zen 5, T 256: forward and backward take 0.85
   of their time with 64 keys. 128 queries: another 0.97, for twice the memory.) */
enum { QUERIES = 64, KEYS = 256 };

/* Rows in memory: row r begins at x + r ld. */
typedef struct view {
    tn_real *x;
    int64_t ld;
} view;

typedef struct job {
    tn_context *context;
    const tn_kernels *kernels;
    int64_t batch, queries, keys, heads, kv_heads, size; /* B T S H G D */
    tn_seen *seen;                                       /* (B,T) */
    bool causal;
    tn_real scale, cap; /* cap 0: none */
    view q, k, v, o;    /* rows of all batches; heads side by side */
    view dq, dk, dv, dout;
    tn_real beta_q, beta_k, beta_v; /* of each gradient */
    tn_real *own_k, *own_v;         /* dk and dv of each query head (B,H,S,D); NULL: no sharing */
    tn_real *logs;                  /* L (B,H,T); NULL: not kept */
    tn_real *memory;                /* `room` numbers for each thread */
    int64_t room;
    atomic_bool failed; /* memory is out inside a product */
} job;

static view columns(view m, int64_t row, int64_t col)
{
    return (view){ m.x ? m.x + row * m.ld + col : NULL, m.ld };
}

/* `room` numbers of scratch for each thread. j.memory is NULL when memory is out. */
static job job_of(tn_tape *t, const tn_node *n, int64_t room)
{
    tn_tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
    job j = {
        .context = tn_tape_context(t),
        .kernels = tn_kernels_on(t),
        .batch = q->dim[0],
        .queries = q->dim[1],
        .keys = k->dim[1],
        .heads = n->attr.i[0],
        .kv_heads = n->attr.i[1],
        .size = tn_attention_head_size(n),
        .causal = tn_attention_is_causal(n),
        .cap = (tn_real)n->attr.r[1],
        .logs = n->saved,
        .room = room,
    };
    j.scale = (tn_real)(n->attr.r[0] > 0 ? n->attr.r[0] : 1 / sqrt((double)j.size));
    j.q = (view){ q->x, tn_cols(q) };
    j.k = (view){ k->x + (tn_attention_is_fused(n) ? j.heads * j.size : 0), tn_cols(k) };
    j.v = (view){ v->x + (tn_attention_is_fused(n) ? (j.heads + j.kv_heads) * j.size : 0),
                  tn_cols(v) };
    j.o = (view){ n->out->x, tn_cols(n->out) };
    j.dout = (view){ n->out->g, tn_cols(n->out) };
    j.seen = tn_temporary(t, (size_t)(j.batch * j.queries) * sizeof *j.seen);
    if (j.seen) {
        tn_attention_spans(n, j.seen);
        j.memory =
            tn_temporary(t, (size_t)(tn_context_threads(j.context) * room) * sizeof *j.memory);
    }
    return j;
}

static tn_matrix matrix(view m, int64_t rows, int64_t cols)
{
    return tn_matrix_part(m.x, rows, cols, m.ld);
}

/* Runs a product without the triangle that is not needed (gemm.h). */
static void multiply(job *j, int thread, tn_product p, tn_triangle triangle, int64_t edge)
{
    p.triangle = triangle;
    p.edge = edge;
    if (tn_gemm_here(j->context, thread, &p))
        atomic_store(&j->failed, true);
}

/* C (rows,keys) = A B^T: the scores of a tile. Its query 0 is at the position of key `edge`. */
static void scores(job *j, int thread, tn_matrix a, tn_matrix b, int64_t edge, tn_real *c)
{
    multiply(j, thread, tn_product_of(a, tn_transposed(b), 0, c, KEYS),
             j->causal ? TN_C_LOWER : TN_NO_TRIANGLE, edge);
}

/* The columns that a query sees in the tile of keys [c, c + keys). There may be none. */
static tn_seen columns_of(tn_seen seen, int64_t c, int64_t keys)
{
    int64_t from = tn_min(keys, tn_max(0, seen.from - c));
    return (tn_seen){ from, tn_max(from, tn_min(keys, seen.to - c)) };
}

/* Numbers of the row outside the span become 0. */
static void clear_outside(tn_real *row, tn_seen s, int64_t keys)
{
    memset(row, 0, (size_t)s.from * sizeof *row);
    memset(row + s.to, 0, (size_t)(keys - s.to) * sizeof *row);
}

/* Makes scores of products: the scale, then the cap. */
static void finish_scores(const job *j, int64_t n, tn_real *s)
{
    const tn_kernels *k = j->kernels;
    k->scale(n, j->cap != 0 ? j->scale / j->cap : j->scale, s);
    if (j->cap == 0)
        return;
    tn_tanh_array(j->context, n, s, s);
    k->scale(n, j->cap, s);
}

/* ---- forward ---- */

/* One row of a tile: the scores in the columns `seen` become exp(S - m'), the other columns 0. m, l
   and o change to the new maximum m'. In the first tile o holds nothing yet. */
static void stream_row(const job *j, tn_seen seen, int64_t keys, bool first, tn_real *s, tn_real *m,
                       tn_real *l, tn_real *o)
{
    const tn_kernels *k = j->kernels;
    const int64_t n = seen.to - seen.from;
    finish_scores(j, n, s + seen.from);
    tn_real max = k->max(n, s + seen.from), factor = 1;
    if (max < *m)
        max = *m;
    tn_real shift = max == -(tn_real)INFINITY ? 0 : max; /* all -inf: exp gives zeros, l stays 0 */
    if (!first)
        k->exp_sum(1, m, shift, &factor);
    if (factor != 1)
        k->scale(j->size, factor, o);
    *l = *l * factor + k->exp_sum(n, s + seen.from, shift, s + seen.from);
    *m = max;
    clear_outside(s, seen, keys);
}

/* Writes o for `rows` queries. Query i sees the keys seen[i]. Query 0 is at position `at`. */
static void forward_tile(job *j, int thread, view q, view k, view v, view o, int64_t rows,
                         const tn_seen *seen, int64_t at, tn_real *logs)
{
    tn_real *s = j->memory + thread * j->room, m[QUERIES], l[QUERIES]; // s (QUERIES,KEYS)
    for (int64_t i = 0; i < rows; i++) {
        m[i] = -(tn_real)INFINITY;
        l[i] = 0;
    }
    const int64_t first = seen[0].from, end = seen[rows - 1].to;
    for (int64_t c = first, next; c < end; c = next) {
        next = (c / KEYS + 1) * KEYS;
        const int64_t keys = tn_min(next, end) - c;
        tn_matrix left = matrix(q, rows, j->size);
        scores(j, thread, left, matrix(columns(k, c, 0), keys, j->size), at - c, s);
        for (int64_t i = 0; i < rows; i++)
            stream_row(j, columns_of(seen[i], c, keys), keys, c == first, s + i * KEYS, &m[i],
                       &l[i], o.x + i * o.ld);
        tn_matrix p = matrix((view){ s, KEYS }, rows, keys);
        tn_matrix right = matrix(columns(v, c, 0), keys, j->size);
        multiply(j, thread, tn_product_of(p, right, c > first, o.x, o.ld),
                 j->causal ? TN_A_LOWER : TN_NO_TRIANGLE, at - c);
    }
    for (int64_t i = 0; i < rows; i++) {
        if (l[i] != 0)
            j->kernels->scale(j->size, 1 / l[i], o.x + i * o.ld);
        if (logs)
            logs[i] = l[i] != 0 ? m[i] + j->kernels->log(l[i]) : 0;
    }
}

/* The position of the query with this span. Only causal forms need it; in others it is 0. */
static int64_t position(const job *j, const tn_seen *seen)
{
    return j->causal ? seen->to - 1 : 0;
}

static void forward_task(void *arg, int64_t task, int thread)
{
    job *j = arg;
    int64_t tiles = tn_ranges(j->queries, QUERIES), from = task % tiles * QUERIES;
    int64_t h = task / tiles % j->heads, b = task / tiles / j->heads,
            g = h / (j->heads / j->kv_heads);
    int64_t row = b * j->queries + from, col = h * j->size, kv_col = g * j->size;
    forward_tile(j, thread, columns(j->q, row, col), columns(j->k, b * j->keys, kv_col),
                 columns(j->v, b * j->keys, kv_col), columns(j->o, row, col),
                 tn_min(QUERIES, j->queries - from), j->seen + row, position(j, j->seen + row),
                 j->logs ? j->logs + (b * j->heads + h) * j->queries + from : NULL);
}

void tn_attention_forward(tn_tape *t, tn_node *n)
{
    const tn_tensor *q = n->in[0];
    size_t rows = (size_t)(q->dim[0] * n->attr.i[0] * q->dim[1]);
    if (n->wanted)
        n->saved = tn_keep(t, rows * sizeof(tn_real));
    job j = job_of(t, n, QUERIES * KEYS);
    if (!j.memory || (n->wanted && !n->saved))
        return;
    tn_parallel_for(j.context, j.batch * j.heads * tn_ranges(j.queries, QUERIES), forward_task, &j);
    if (atomic_load(&j.failed))
        tn_no_memory(t, n);
}

/* ---- backward ---- */

/* All queries and keys of one query head in one batch row. */
typedef struct head {
    view q, k, v, o, dq, dk, dv, dout;
    const tn_real *logs;
    const tn_seen *seen;
} head;

static head head_of(const job *j, int64_t b, int64_t h)
{
    int64_t g = h / (j->heads / j->kv_heads), row = b * j->queries, key = b * j->keys;
    int64_t col = h * j->size, kv_col = g * j->size, own = (b * j->heads + h) * j->keys;
    const view own_k = { j->own_k, j->size }, own_v = { j->own_v, j->size };
    return (head){
        .q = columns(j->q, row, col),
        .k = columns(j->k, key, kv_col),
        .v = columns(j->v, key, kv_col),
        .o = columns(j->o, row, col),
        .dq = columns(j->dq, row, col),
        .dk = j->own_k ? columns(own_k, own, 0) : columns(j->dk, key, kv_col),
        .dv = j->own_v ? columns(own_v, own, 0) : columns(j->dv, key, kv_col),
        .dout = columns(j->dout, row, col),
        .logs = j->logs + (b * j->heads + h) * j->queries,
        .seen = j->seen + row,
    };
}

/* Writes P and dS of queries [i, i+rows) and keys [c, c+keys). Both are (QUERIES,KEYS). */
static void make_tile(job *j, int thread, const head *h, int64_t i, int64_t rows, int64_t c,
                      int64_t keys, tn_real *p, tn_real *ds)
{
    const int64_t size = j->size, edge = position(j, h->seen + i) - c;
    scores(j, thread, matrix(columns(h->q, i, 0), rows, size),
           matrix(columns(h->k, c, 0), keys, size), edge, p);
    scores(j, thread, matrix(columns(h->dout, i, 0), rows, size),
           matrix(columns(h->v, c, 0), keys, size), edge, ds);
    tn_real slope[KEYS]; /* of the cap at each score */
    for (int64_t r = 0; r < rows; r++, p += KEYS, ds += KEYS) {
        const tn_seen seen = columns_of(h->seen[i + r], c, keys);
        const int64_t n = seen.to - seen.from;
        tn_real *pr = p + seen.from, *dr = ds + seen.from;
        const tn_real dot =
            j->kernels->dot(size, h->dout.x + (i + r) * h->dout.ld, h->o.x + (i + r) * h->o.ld);
        finish_scores(j, n, pr);
        for (int64_t k = 0; k < n && j->cap != 0; k++)
            slope[k] = 1 - pr[k] / j->cap * (pr[k] / j->cap);
        j->kernels->exp_sum(n, pr, h->logs[i + r], pr);
        for (int64_t k = 0; k < n; k++)
            dr[k] = pr[k] * (dr[k] - dot) * j->scale;
        for (int64_t k = 0; k < n && j->cap != 0; k++)
            dr[k] *= slope[k];
        clear_outside(p, seen, keys);
        clear_outside(ds, seen, keys);
    }
}

/* C += A B, unless c.x is NULL. `triangle` and `edge` say which part of A is 0 (gemm.h). */
static void add_product(job *j, int thread, tn_matrix a, tn_triangle triangle, int64_t edge, view b,
                        view c)
{
    if (c.x)
        multiply(j, thread, tn_product_of(a, matrix(b, a.cols, j->size), 1, c.x, c.ld),
                 j->causal ? triangle : TN_NO_TRIANGLE, edge);
}

/* Adds the part of keys [c, c+KEYS) to the gradients of one query head. */
static void backward_keys(job *j, int thread, const head *h, int64_t c)
{
    tn_real *tile = j->memory + thread * j->room; // P and dS (2,QUERIES,KEYS)
    for (int64_t i = 0; i < j->queries; i += QUERIES) {
        const int64_t rows = tn_min(QUERIES, j->queries - i), from = tn_max(c, h->seen[i].from);
        const int64_t keys = tn_min(c + KEYS, h->seen[i + rows - 1].to) - from;
        if (keys <= 0)
            continue; /* no query of the tile sees one of these keys */
        const int64_t edge = position(j, h->seen + i) - from;
        make_tile(j, thread, h, i, rows, from, keys, tile, tile + QUERIES * KEYS);
        tn_matrix p = matrix((view){ tile, KEYS }, rows, keys);
        tn_matrix ds = matrix((view){ tile + QUERIES * KEYS, KEYS }, rows, keys);
        add_product(j, thread, tn_transposed(p), TN_A_UPPER, -edge, columns(h->dout, i, 0),
                    columns(h->dv, from, 0));
        add_product(j, thread, tn_transposed(ds), TN_A_UPPER, -edge, columns(h->q, i, 0),
                    columns(h->dk, from, 0));
        add_product(j, thread, ds, TN_A_LOWER, edge, columns(h->k, from, 0), columns(h->dq, i, 0));
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
    head h = head_of(j, task / j->heads, task % j->heads);
    if (j->beta_q == 0)
        clear(h.dq, j->queries, j->size);
    if (j->own_k || j->beta_k == 0)
        clear(h.dk, j->keys, j->size);
    if (j->own_v || j->beta_v == 0)
        clear(h.dv, j->keys, j->size);
    for (int64_t c = 0; c < h.seen[j->queries - 1].to; c += KEYS)
        backward_keys(j, thread, &h, c);
}

/* to (D) = beta to + row `key` of own (S,D) of each query head in the group, in order. */
static void add_heads(const job *j, int64_t key, const tn_real *own, tn_real beta, tn_real *to)
{
    for (int64_t h = 0; own && h < j->heads / j->kv_heads; h++)
        for (int64_t i = 0; i < j->size; i++)
            tn_accumulate(&to[i], h ? 1 : beta, own[(h * j->keys + key) * j->size + i]);
}

/* A task is one key/value head of one batch row. */
static void add_heads_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    job *j = arg;
    const int64_t b = task / j->kv_heads, col = task % j->kv_heads * j->size;
    const int64_t own = task * (j->heads / j->kv_heads) * j->keys * j->size;
    for (int64_t key = 0; key < j->keys; key++) {
        const int64_t row = b * j->keys + key;
        add_heads(j, key, j->own_k ? j->own_k + own : NULL, j->beta_k, columns(j->dk, row, col).x);
        add_heads(j, key, j->own_v ? j->own_v + own : NULL, j->beta_v, columns(j->dv, row, col).x);
    }
}

/* Gets the memory for the gradients of the operands. False if memory is out. */
static bool ask_for_gradients(tn_tape *t, const tn_node *n, job *j)
{
    j->dq = (view){ tn_grad(t, n, 0, &j->beta_q), j->q.ld };
    if (tn_attention_is_fused(n)) {
        if (!j->dq.x)
            return false;
        j->beta_k = j->beta_v = j->beta_q;
        j->dk = (view){ j->dq.x + (j->k.x - j->q.x), j->k.ld };
        j->dv = (view){ j->dq.x + (j->v.x - j->q.x), j->v.ld };
    } else {
        j->dk = (view){ tn_grad(t, n, 1, &j->beta_k), j->k.ld };
        j->dv = (view){ tn_grad(t, n, 2, &j->beta_v), j->v.ld };
    }
    if (j->heads == j->kv_heads)
        return true;
    const size_t own = (size_t)(j->batch * j->heads * j->keys * j->size) * sizeof(tn_real);
    j->own_k = j->dk.x ? tn_temporary(t, own) : NULL;
    j->own_v = j->dv.x ? tn_temporary(t, own) : NULL;
    return (j->own_k || !j->dk.x) && (j->own_v || !j->dv.x);
}

/* o = softmax(scale q k^T) v. The formulas of dq, dk and dv are at the top of the file. */
void tn_attention_backward(tn_tape *t, const tn_node *n)
{
    job j = job_of(t, n, 2 * QUERIES * KEYS);
    if (!j.memory || !ask_for_gradients(t, n, &j))
        return;
    tn_parallel_for(j.context, j.batch * j.heads, backward_task, &j);
    if (j.own_k || j.own_v)
        tn_parallel_for(j.context, j.batch * j.kv_heads, add_heads_task, &j);
    if (atomic_load(&j.failed))
        tn_no_memory(t, n);
}
