/* attention.c - attention of H query heads on G key/value heads, streamed in tiles.

       S = scale q k^T   P = softmax(S) over the keys that a query sees   o = P v

   Whatever the form (causal, a window, segments), query i sees the keys of one span, [from, to), and
   neither end moves back from one query to the next. So the tiles that count lie side by side.

   forward walks the keys of a tile of queries with a running maximum m and sum l of each row:
       m' = max(m, max S)   o = o exp(m - m') + exp(S - m') v   l = l exp(m - m') + sum exp(S - m')
   and ends with o / l. Kept for backward: L = m + log l, one number a row. backward makes P again:
       P = exp(S - L)   dv = P^T do   dP = do v^T   dS = P (dP - sum(do o))
       dq = scale dS k   dk = scale dS^T q

   Dao et al., "FlashAttention", arXiv:2205.14135; Milakov and Gimelshein, "Online normalizer
   calculation for softmax", arXiv:1805.02867. No (T,S) matrix is held, and tiles that no query sees
   are not computed. A task of forward is a tile of queries of one head, a task of backward
   one query head. If several query heads share a key/value head, each writes dk and dv of its own,
   which are added in order of the heads afterwards. The file is long because backward makes the
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

/* The keys that a query sees: [from, to). */
typedef struct span {
    int64_t from, to;
} span;

typedef struct job {
    tn_context *context;
    const tn_kernels *kernels;
    int64_t batch, queries, keys, heads, kv_heads, size; /* B T S H G D */
    span *seen;                                          /* (B,T) */
    bool causal;
    tn_real scale;
    view q, k, v, o; /* rows of all batches; heads side by side */
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
    const tn_tensor *q = n->in[0], *start = n->in[3];
    int64_t last = n->in[1]->dim[1] - q->dim[1];
    if (start && (start->ndim != 1 || start->dim[0] != q->dim[0]))
        return tn_refuse_shapes(t, n);
    for (int64_t b = 0; start && b < start->dim[0]; b++)
        if (start->i[b] < 0 || start->i[b] > last)
            return tn_refuse(t, n->op, TN_EARG, "start %d of row %lld; expected 0 to %lld",
                             start->i[b], (long long)b, (long long)last);
    return 0;
}

/* More queries than keys are possible only if a query has no place among the keys. */
static int check_form(tn_tape *t, const tn_node *n)
{
    const tn_tensor *q = n->in[0], *k = n->in[1], *start = n->in[3], *segments = n->in[4];
    const bool placed = !n->attr.i[2] || n->attr.i[3] || start || segments;
    if (segments &&
        (segments->ndim != 2 || segments->dim[0] != k->dim[0] || segments->dim[1] != k->dim[1]))
        return tn_refuse_shapes(t, n);
    if (n->attr.i[3] < 0)
        return tn_refuse(t, n->op, TN_EARG, "window %lld; expected 0 (none) or more",
                         (long long)n->attr.i[3]);
    if (!(n->attr.r[0] >= 0) || isinf(n->attr.r[0]))
        return tn_refuse(t, n->op, TN_EARG, "scale %g; expected 0 (1/sqrt(D)) or more",
                         n->attr.r[0]);
    return placed && q->dim[1] > k->dim[1] ? tn_refuse_shapes(t, n) : check_start(t, n);
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
    return check_form(t, n);
}

/* The spans of one batch row. Query i is at position `at` + i among the keys, of which there are
   `keys`. A segment is a run of equal numbers in `segment` (S); NULL: all is one segment. */
static void find_spans(const tn_node *n, int64_t at, const int32_t *segment, span *seen)
{
    const int64_t queries = n->in[0]->dim[1], keys = n->in[1]->dim[1];
    const int64_t window = tn_min(n->attr.i[3], keys);
    const bool causal = !n->attr.i[2];
    int64_t first = 0, end = segment ? 0 : keys; /* of the query's segment */
    for (int64_t i = 0; i < queries; i++) {
        const int64_t p = at + i;
        while (segment && end <= p) {
            first = end++;
            while (end < keys && segment[end] == segment[end - 1])
                end++;
        }
        seen[i].from = window ? tn_max(first, p - window + 1) : first;
        seen[i].to = causal ? p + 1 : window ? tn_min(end, p + window) : end;
    }
}

/* `room` numbers of scratch for each thread. Without memory: j.memory is NULL. */
static job job_of(tn_tape *t, const tn_node *n, int64_t room)
{
    tn_tensor *q = n->in[0], *k = n->in[1], *v = n->in[2], *start = n->in[3], *segments = n->in[4];
    job j = {
        .context = tn_tape_context(t),
        .kernels = tn_kernels_on(t),
        .batch = q->dim[0],
        .queries = q->dim[1],
        .keys = k->dim[1],
        .heads = n->attr.i[0],
        .kv_heads = n->attr.i[1],
        .size = head_size(n),
        .causal = !n->attr.i[2],
        .logs = n->saved,
        .room = room,
    };
    j.scale = (tn_real)(n->attr.r[0] > 0 ? n->attr.r[0] : 1 / sqrt((double)j.size));
    j.q = (view){ q->x, tn_cols(q) };
    j.k = (view){ k->x + (packed(n) ? j.heads * j.size : 0), tn_cols(k) };
    j.v = (view){ v->x + (packed(n) ? (j.heads + j.kv_heads) * j.size : 0), tn_cols(v) };
    j.o = (view){ n->out->x, tn_cols(n->out) };
    j.dout = (view){ n->out->g, tn_cols(n->out) };
    j.seen = tn_temporary(t, (size_t)(j.batch * j.queries) * sizeof *j.seen);
    for (int64_t b = 0; j.seen && b < j.batch; b++)
        find_spans(n, start ? start->i[b] : 0, segments ? segments->i + b * j.keys : NULL,
                   j.seen + b * j.queries);
    if (j.seen)
        j.memory =
            tn_temporary(t, (size_t)(tn_context_threads(j.context) * room) * sizeof *j.memory);
    return j;
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

/* C (rows,keys) = A B^T: the scores of a tile; query 0 of it is at key `edge`. */
static void scores(job *j, int thread, tn_matrix a, tn_matrix b, int64_t edge, tn_real *c)
{
    multiply(j, thread, tn_product_of(a, tn_transposed(b), 0, c, TILE),
             j->causal ? TN_C_LOWER : TN_NO_TRIANGLE, edge);
}

/* Of a tile of `keys` keys from key c on, the columns that a query sees; maybe none. */
static span columns_of(span seen, int64_t c, int64_t keys)
{
    int64_t from = tn_min(keys, tn_max(0, seen.from - c));
    return (span){ from, tn_max(from, tn_min(keys, seen.to - c)) };
}

/* Every number outside the span becomes 0. */
static void clear_outside(tn_real *row, span s, int64_t keys)
{
    memset(row, 0, (size_t)s.from * sizeof *row);
    memset(row + s.to, 0, (size_t)(keys - s.to) * sizeof *row);
}

/* ---- forward ---- */

/* One row of scores, of which the columns of a span count, into exp(S - m'); the rest of the tile
   becomes 0. Brings m, l and (unless this is the first tile) o up to the new maximum. */
static void stream_row(const job *j, span seen, bool first, tn_real *s, tn_real *m, tn_real *l,
                       tn_real *o)
{
    const tn_kernels *k = j->kernels;
    const int64_t n = seen.to - seen.from;
    k->scale(n, j->scale, s + seen.from);
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
    clear_outside(s, seen, TILE);
}

/* The o of `rows` queries, which see the keys of `seen`; the first is at position `at`. */
static void forward_tile(job *j, int thread, view q, view k, view v, view o, int64_t rows,
                         const span *seen, int64_t at, tn_real *logs)
{
    tn_real *s = j->memory + thread * j->room, m[TILE], l[TILE]; // s (TILE,TILE)
    for (int64_t i = 0; i < rows; i++) {
        m[i] = -(tn_real)INFINITY;
        l[i] = 0;
    }
    const int64_t first = seen[0].from / TILE * TILE, end = seen[rows - 1].to;
    for (int64_t c = first; c < end; c += TILE) {
        int64_t keys = tn_min(TILE, end - c);
        tn_matrix left = matrix(q, rows, j->size);
        scores(j, thread, left, matrix(columns(k, c, 0), keys, j->size), at - c, s);
        for (int64_t i = 0; i < rows; i++)
            stream_row(j, columns_of(seen[i], c, keys), c == first, s + i * TILE, &m[i], &l[i],
                       o.x + i * o.ld);
        tn_matrix p = matrix((view){ s, TILE }, rows, keys);
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

/* The position among the keys of a query that the spans of a causal form have. */
static int64_t position(const job *j, const span *seen)
{
    return j->causal ? seen->to - 1 : 0;
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
                 tn_min(TILE, j->queries - from), j->seen + row, position(j, j->seen + row),
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
    const span *seen;
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

/* P and dS of queries [i, i+rows) and keys [c, c+keys), both (TILE,TILE) with ld TILE. */
static void make_tile(job *j, int thread, const head *h, int64_t i, int64_t rows, int64_t c,
                      int64_t keys, tn_real *p, tn_real *ds)
{
    const int64_t size = j->size, edge = position(j, h->seen + i) - c;
    scores(j, thread, matrix(columns(h->q, i, 0), rows, size),
           matrix(columns(h->k, c, 0), keys, size), edge, p);
    scores(j, thread, matrix(columns(h->dout, i, 0), rows, size),
           matrix(columns(h->v, c, 0), keys, size), edge, ds);
    for (int64_t r = 0; r < rows; r++, p += TILE, ds += TILE) {
        const span seen = columns_of(h->seen[i + r], c, keys);
        const int64_t n = seen.to - seen.from;
        tn_real *pr = p + seen.from, *dr = ds + seen.from;
        const tn_real dot =
            j->kernels->dot(size, h->dout.x + (i + r) * h->dout.ld, h->o.x + (i + r) * h->o.ld);
        j->kernels->scale(n, j->scale, pr);
        j->kernels->exp_sum(n, pr, h->logs[i + r], pr);
        for (int64_t k = 0; k < n; k++)
            dr[k] = pr[k] * (dr[k] - dot) * j->scale;
        clear_outside(p, seen, keys);
        clear_outside(ds, seen, keys);
    }
}

/* C += A B, if anybody wants C. Query 0 of the tile is at key `edge`. */
static void add_product(job *j, int thread, tn_matrix a, tn_triangle triangle, int64_t edge, view b,
                        view c)
{
    if (c.x)
        multiply(j, thread, tn_product_of(a, matrix(b, a.cols, j->size), 1, c.x, c.ld),
                 j->causal ? triangle : TN_NO_TRIANGLE, edge);
}

/* What keys [c, c+TILE) add to the gradients of one query head. */
static void backward_keys(job *j, int thread, const head *h, int64_t c)
{
    tn_real *tile = j->memory + thread * j->room; // P and dS (2,TILE,TILE)
    for (int64_t i = 0; i < j->queries; i += TILE) {
        const int64_t rows = tn_min(TILE, j->queries - i), end = h->seen[i + rows - 1].to;
        if (end <= c || h->seen[i].from >= c + TILE)
            continue; /* no query of the tile sees one of these keys */
        const int64_t keys = tn_min(TILE, end - c), edge = position(j, h->seen + i) - c;
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
    head h = head_of(j, task / j->heads, task % j->heads);
    if (j->beta_q == 0)
        clear(h.dq, j->queries, j->size);
    if (j->own_k || j->beta_k == 0)
        clear(h.dk, j->keys, j->size);
    if (j->own_v || j->beta_v == 0)
        clear(h.dv, j->keys, j->size);
    for (int64_t c = 0; c < h.seen[j->queries - 1].to; c += TILE)
        backward_keys(j, thread, &h, c);
}

/* Row `key` of to (S,D) = beta to + the same row of each query head's own (S,D), in order. */
static void add_heads(const job *j, int64_t key, const tn_real *own, tn_real beta, tn_real *to)
{
    for (int64_t h = 0; own && h < j->heads / j->kv_heads; h++)
        for (int64_t i = 0; i < j->size; i++)
            tn_accumulate(&to[i], h ? 1 : beta, own[(h * j->keys + key) * j->size + i]);
}

/* A task is a key/value head of a batch row. */
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

/* The gradients of the operands. False if memory is out. */
static bool ask_for_gradients(tn_tape *t, const tn_node *n, job *j)
{
    j->dq = (view){ tn_grad(t, n, 0, &j->beta_q), j->q.ld };
    if (packed(n)) {
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

/* of o = softmax(scale q k^T) v: dq, dk and dv as at the top */
static void attention_backward(tn_tape *t, const tn_node *n)
{
    job j = job_of(t, n, 2 * TILE * TILE);
    if (!j.memory || !ask_for_gradients(t, n, &j))
        return;
    tn_parallel_for(j.context, j.batch * j.heads, backward_task, &j);
    if (j.own_k || j.own_v)
        tn_parallel_for(j.context, j.batch * j.kv_heads, add_heads_task, &j);
    if (atomic_load(&j.failed))
        tn_no_memory(t, n);
}

/* ---- reference ---- */

/* Rows of batch row b and one head, out of (B,L,width): (L,D). */
static tn_tensor *one_head(tn_tape *t, tn_tensor *a, int64_t b, int64_t col, int64_t size)
{
    int64_t rows = a->dim[1], width = a->dim[2];
    tn_tensor *flat = tn_reshape(t, a, 2, (int64_t[]){ 1, a->dim[0] * rows * width });
    tn_tensor *row = tn_slice(t, flat, 1, b * rows * width, (b + 1) * rows * width);
    return tn_slice(t, tn_reshape(t, row, 2, (int64_t[]){ rows, width }), 1, col, col + size);
}

/* Whether the query at position p sees key c. segment (S) or NULL. */
static bool sees(const tn_attr *attr, int64_t p, int64_t c, const int32_t *segment)
{
    const bool causal = !attr->i[2];
    const int64_t window = attr->i[3], from = tn_min(p, c), to = tn_max(p, c);
    for (int64_t i = from; segment && i < to; i++)
        if (segment[i] != segment[i + 1])
            return false;
    return !(causal && c > p) && !(window && to - from >= window);
}

/* (T,S): 0 where query i, at position at + i, sees key c, else -inf. */
static tn_tensor *mask(tn_tape *t, int64_t queries, int64_t keys, const tn_attr *attr, int64_t at,
                       const int32_t *segment)
{
    tn_tensor *m = tn_tape_input(t, TN_REAL, 2, (int64_t[]){ queries, keys });
    for (int64_t i = 0; m && i < queries; i++)
        for (int64_t c = 0; c < keys; c++)
            m->x[i * keys + c] = sees(attr, at + i, c, segment) ? 0 : -(tn_real)INFINITY;
    return m;
}

static tn_tensor *beside(tn_tape *t, tn_tensor *a, tn_tensor *b)
{
    return a ? tn_concat(t, 2, (tn_tensor *[]){ a, b }, 1) : b;
}

static tn_tensor *attention_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    tn_node n = { .in = { in[0], in[1], in[2] }, .attr = attr };
    int64_t heads = attr.i[0], kv_heads = attr.i[1], size = head_size(&n);
    int64_t k0 = packed(&n) ? heads * size : 0, v0 = packed(&n) ? (heads + kv_heads) * size : 0;
    int64_t batch = in[0]->dim[0], queries = in[0]->dim[1], keys = in[1]->dim[1];
    double scale = attr.r[0] > 0 ? attr.r[0] : 1 / sqrt((double)size);
    tn_tensor *all = NULL;
    for (int64_t b = 0; b < batch; b++) {
        tn_tensor *row = NULL; // (T, heads so far * D)
        for (int64_t h = 0; h < heads; h++) {
            int64_t g = h / (heads / kv_heads);
            tn_tensor *q = one_head(t, in[0], b, h * size, size),
                      *k = one_head(t, in[1], b, k0 + g * size, size);
            tn_tensor *v = one_head(t, in[2], b, v0 + g * size, size);
            tn_tensor *s = tn_scale(t, tn_linear(t, q, k, NULL, TN_OUT_IN), scale);
            s = tn_add(t, s,
                       mask(t, queries, keys, &attr, in[3] ? in[3]->i[b] : 0,
                            in[4] ? in[4]->i + b * keys : NULL));
            row = beside(t, row, tn_matmul(t, tn_softmax(t, s), v));
        }
        all = beside(t, all, tn_reshape(t, row, 2, (int64_t[]){ 1, queries * heads * size }));
    }
    return tn_reshape(t, all, 3, (int64_t[]){ batch, queries, heads * size });
}

/* clang-format off */
const tn_op tn_op_attention = { .name = "attention", .inputs = 5, .optional = 24, .ids = 24, .rows = 31,
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
        /* bidirectional; windows; segments; scale */
        { .in = { { 2, 7, 6 }, { 2, 5, 6 }, { 2, 5, 6 } }, .attr = { .i = { 2, 2, 1 } } },
        { .in = { { 2, 9, 6 }, { 2, 9, 6 }, { 2, 9, 6 } }, .attr = { .i = { 2, 2, 1, 3 } } },
        { .in = { { 2, 5, 12 }, { 2, 9, 6 }, { 2, 9, 6 }, { 2 } }, .attr = { .i = { 4, 2, 0, 3 } }, .ids = 5 },
        { .in = { { 1, 150, 2 }, { 1, 150, 2 }, { 1, 150, 2 } }, .attr = { .i = { 1, 1, 0, 20 } } },
        { .in = { { 1, 150, 4 }, { 1, 150, 4 }, { 1, 150, 4 }, { 0 }, { 1, 150 } }, .attr = { .i = { 2, 1, 1, 70 } },
          .same = 6, .ids = 1 },
        { .in = { { 2, 9, 12 }, { 2, 9, 6 }, { 2, 9, 6 }, { 0 }, { 2, 9 } }, .attr = { .i = { 4, 2 } }, .ids = 2 },
        { .in = { { 2, 6, 6 }, { 2, 9, 6 }, { 2, 9, 6 }, { 2 }, { 2, 9 } }, .attr = { .i = { 2, 2, 1 } }, .ids = 2 },
        { .in = { { 2, 9, 6 }, { 2, 9, 3 }, { 2, 9, 3 } }, .attr = { .i = { 2, 1 }, .r = { 0.4 } } },
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
        { { .in = { { 1, 2, 4 }, { 1, 2, 4 }, { 1, 2, 4 }, { 0 }, { 1, 3 } }, .attr = { .i = { 2, 2 } }, .ids = 1 },
          "attention: shapes do not fit: (1,2,4) (1,2,4) (1,2,4) (1,3)" },
        { { .in = { { 1, 3, 4 }, { 1, 2, 4 }, { 1, 2, 4 } }, .attr = { .i = { 2, 2, 1, 1 } } },
          "attention: shapes do not fit: (1,3,4) (1,2,4) (1,2,4)" },
        { { .in = { { 1, 2, 4 }, { 1, 2, 4 }, { 1, 2, 4 } }, .attr = { .i = { 2, 2, 0, -1 } } },
          "attention: window -1; expected 0 (none) or more" },
        { { .in = { { 1, 2, 4 }, { 1, 2, 4 }, { 1, 2, 4 } }, .attr = { .i = { 2, 2 }, .r = { -1 } } },
          "attention: scale -1; expected 0 (1/sqrt(D)) or more" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_attention(tn_tape *t, tn_tensor *q, tn_tensor *k, tn_tensor *v, tn_attention_form f)
{
    return tn_apply(t, &tn_op_attention, (tn_tensor *[]){ q, k, v, f.start, f.segments },
                    (tn_attr){ .i = { f.heads, f.kv_heads ? f.kv_heads : f.heads, f.bidirectional,
                                      f.window },
                               .r = { f.scale } });
}
