/* attention.c - attention of H query heads on G key/value heads: its forms, and what a query sees.

   In every form (causal, a window, segments) a query sees the keys of one span, [from, to). From one
   query to the next neither end moves back. attention_tiles.c computes the result. */
#include "core/ops/attention.h"

#include <math.h>

/* ---- shapes ---- */

bool tn_attention_is_fused(const tn_node *n)
{
    return n->in[0] == n->in[1] && n->in[0] == n->in[2];
}

/* D, or 0 if the widths do not fit. */
int64_t tn_attention_head_size(const tn_node *n)
{
    const tn_tensor *q = n->in[0], *k = n->in[1];
    int64_t heads = n->attr.i[0], kv_heads = n->attr.i[1];
    int64_t across = tn_attention_is_fused(n) ? heads + 2 * kv_heads : heads,
            size = tn_cols(q) / across;
    bool fits =
        tn_cols(q) == across * size && (tn_attention_is_fused(n) || tn_cols(k) == kv_heads * size);
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

/* There may be more queries than keys only if queries have no position among the keys. */
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
    for (int i = 0; i < 2; i++)
        if (!(n->attr.r[i] >= 0) || isinf(n->attr.r[i]))
            return tn_refuse(t, n->op, TN_EARG, "%s %g; expected 0 (%s) or more",
                             i ? "soft cap" : "scale", n->attr.r[i], i ? "none" : "1/sqrt(D)");
    return placed && q->dim[1] > k->dim[1] ? tn_refuse_shapes(t, n) : check_start(t, n);
}

static int attention_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
    int64_t heads = n->attr.i[0], kv_heads = n->attr.i[1];
    if (heads < 1 || kv_heads < 1 || heads % kv_heads)
        return tn_refuse(t, n->op, TN_EARG,
                         "%lld heads on %lld key/value heads; expected a multiple, both at least 1",
                         (long long)heads, (long long)kv_heads);
    if (q->ndim != 3 || k->ndim != 3 || !tn_same_shape(k, v) || q->dim[0] != k->dim[0])
        return tn_refuse_shapes(t, n);
    if (heads > tn_cols(q) || !tn_attention_head_size(n))
        return tn_refuse_shapes(t, n);
    tn_shape_of(out, 3, q->dim[0], q->dim[1], heads * tn_attention_head_size(n), 1);
    return check_form(t, n);
}

bool tn_attention_is_causal(const tn_node *n)
{
    return !n->attr.i[2];
}

/* The spans of one batch row. Query i is at position `at` + i among the keys. Neighbouring keys
   with the same number in `segment` (S) are a segment. NULL: all keys are one segment. */
static void find_spans(const tn_node *n, int64_t at, const int32_t *segment, tn_seen *seen)
{
    const int64_t queries = n->in[0]->dim[1], keys = n->in[1]->dim[1];
    const int64_t window = tn_min(n->attr.i[3], keys);
    const bool causal = tn_attention_is_causal(n);
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

void tn_attention_spans(const tn_node *n, tn_seen *seen)
{
    const tn_tensor *q = n->in[0], *k = n->in[1], *start = n->in[3], *segments = n->in[4];
    for (int64_t b = 0; b < q->dim[0]; b++)
        find_spans(n, start ? start->i[b] : 0, segments ? segments->i + b * k->dim[1] : NULL,
                   seen + b * q->dim[1]);
}

/* ---- reference ---- */

/* The part (L,D) of a (B,L,width) that belongs to batch row b and to one head. */
static tn_tensor *one_head(tn_tape *t, tn_tensor *a, int64_t b, int64_t col, int64_t size)
{
    int64_t rows = a->dim[1], width = a->dim[2];
    tn_tensor *flat = tn_reshape(t, a, 2, (int64_t[]){ 1, a->dim[0] * rows * width });
    tn_tensor *row = tn_slice(t, flat, 1, b * rows * width, (b + 1) * rows * width);
    return tn_slice(t, tn_reshape(t, row, 2, (int64_t[]){ rows, width }), 1, col, col + size);
}

/* True if the query at position p sees key c. segment (S) or NULL. */
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
    int64_t heads = attr.i[0], kv_heads = attr.i[1], size = tn_attention_head_size(&n);
    int64_t k0 = tn_attention_is_fused(&n) ? heads * size : 0,
            v0 = tn_attention_is_fused(&n) ? (heads + kv_heads) * size : 0;
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
            if (attr.r[1] > 0)
                s = tn_scale(t, tn_tanh(t, tn_scale(t, s, 1 / attr.r[1])), attr.r[1]);
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
    .shape = attention_shape, .forward = tn_attention_forward, .backward = tn_attention_backward,
    .reference = attention_reference,
    .samples = (const tn_sample[]){
        { .in = { { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 } }, .attr = { .i = { 1, 1 } } },
        { .in = { { 2, 5, 6 }, { 2, 5, 6 }, { 2, 5, 6 } }, .attr = { .i = { 2, 2 } } },
        { .in = { { 2, 5, 12 }, { 2, 7, 6 }, { 2, 7, 6 } }, .attr = { .i = { 4, 2 } } },
        { .in = { { 2, 3, 6 }, { 2, 7, 6 }, { 2, 7, 6 }, { 2 } }, .attr = { .i = { 2, 2 } }, .ids = 5 },
        { .in = { { 2, 1, 6 }, { 2, 7, 2 }, { 2, 7, 2 }, { 2 } }, .attr = { .i = { 3, 1 } }, .ids = 7 },
        { .in = { { 2, 5, 20 }, { 2, 5, 20 }, { 2, 5, 20 } }, .attr = { .i = { 3, 1 } }, .same = 6 },
        { .in = { { 1, 130, 3 }, { 1, 130, 3 }, { 1, 130, 3 } }, .attr = { .i = { 1, 1 } }, .same = 6 },
        { .in = { { 1, 70, 2 }, { 1, 600, 2 }, { 1, 600, 2 }, { 1 } }, .attr = { .i = { 1, 1 } }, .ids = 531 },
        /* bidirectional; windows; segments; scale; soft cap */
        { .in = { { 2, 7, 6 }, { 2, 5, 6 }, { 2, 5, 6 } }, .attr = { .i = { 2, 2, 1 } } },
        { .in = { { 2, 9, 6 }, { 2, 9, 6 }, { 2, 9, 6 } }, .attr = { .i = { 2, 2, 1, 3 } } },
        { .in = { { 2, 5, 12 }, { 2, 9, 6 }, { 2, 9, 6 }, { 2 } }, .attr = { .i = { 4, 2, 0, 3 } }, .ids = 5 },
        { .in = { { 1, 300, 2 }, { 1, 300, 2 }, { 1, 300, 2 } }, .attr = { .i = { 1, 1, 0, 20 } } },
        { .in = { { 1, 300, 4 }, { 1, 300, 4 }, { 1, 300, 4 }, { 0 }, { 1, 300 } }, .attr = { .i = { 2, 1, 1, 270 } },
          .same = 6, .ids = 1 },
        { .in = { { 2, 9, 12 }, { 2, 9, 6 }, { 2, 9, 6 }, { 0 }, { 2, 9 } }, .attr = { .i = { 4, 2 } }, .ids = 2 },
        { .in = { { 2, 6, 6 }, { 2, 9, 6 }, { 2, 9, 6 }, { 2 }, { 2, 9 } }, .attr = { .i = { 2, 2, 1 } }, .ids = 2 },
        { .in = { { 2, 9, 6 }, { 2, 9, 3 }, { 2, 9, 3 } }, .attr = { .i = { 2, 1 }, .r = { 0.4 } } },
        { .in = { { 2, 9, 6 }, { 2, 9, 3 }, { 2, 9, 3 } }, .attr = { .i = { 2, 1 }, .r = { 0, 1.5 } } },
        { .in = { { 2, 256, 2304 }, { 2, 256, 2304 }, { 2, 256, 2304 } }, .attr = { .i = { 12, 12 } }, .same = 6,
          .bench = true },
        { .in = { { 4, 1, 768 }, { 4, 1024, 768 }, { 4, 1024, 768 }, { 4 } }, .attr = { .i = { 12, 12 } },
          .ids = 1024, .bench = true },
        { .in = { { 0 } } } },
    .refusals = (const tn_refusal[]){
        { { .in = { { 1, 2, 6 }, { 1, 2, 4 }, { 1, 2, 4 } }, .attr = { .i = { 3, 2 } } },
          "attention: 3 heads on 2 key/value heads; expected a multiple, both at least 1" },
        { { .in = { { 1, 2, 6 }, { 1, 2, 4 }, { 1, 2, 4 } }, .attr = { .i = { 2, 2 } } },
          "attention: shapes do not fit: (1,2,6) (1,2,4) (1,2,4)" },
        { { .in = { { 1, 3, 4 }, { 1, 2, 4 }, { 1, 2, 4 } }, .attr = { .i = { 2, 2 } } },
          "attention: shapes do not fit: (1,3,4) (1,2,4) (1,2,4)" },
        { { .in = { { 1, 2, 4 }, { 1, 2, 4 }, { 1, 2, 4 }, { 1 } }, .attr = { .i = { 2, 2 } }, .ids = 1,
            .negative_ids = true }, "attention: start -1 of row 0; expected 0 to 0" },
        { { .in = { { 1, 2, 4 }, { 1, 2, 4 }, { 1, 2, 4 } }, .same = 6, /* times 3 it is 2 in 64 bits */
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
        { { .in = { { 1, 2, 4 }, { 1, 2, 4 }, { 1, 2, 4 } }, .attr = { .i = { 2, 2 }, .r = { 0, NAN } } },
          "attention: soft cap nan; expected 0 (none) or more" },
        { .text = "" } } };
/* clang-format on */

tn_tensor *tn_attention(tn_tape *t, tn_tensor *q, tn_tensor *k, tn_tensor *v, tn_attention_form f)
{
    return tn_apply(t, &tn_op_attention, (tn_tensor *[]){ q, k, v, f.start, f.segments },
                    (tn_attr){ .i = { f.heads, f.kv_heads ? f.kv_heads : f.heads, f.bidirectional,
                                      f.window },
                               .r = { f.scale, f.soft_cap } });
}
