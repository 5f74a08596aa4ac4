/* bench_ops.c - tenon bench ops: times the large sample of every op, forward and backward. */
#include "apps/bench/bench.h"
#include "apps/report/lines.h"
#include "apps/report/machine.h"

#include <string.h>

enum { RUNS = 15 };               /* of a sample, at most */
static const double enough = 0.5; /* seconds for one sample */

/* Work of one call: operations, or bytes if reading and writing them takes the time. */
typedef struct work {
    double forward, backward;
    bool flops;
} work;

/* Multiply-adds of an op whose time they decide. 0: they do not. */
static double products(const tn_op *op, tn_tensor *const in[], const tn_tensor *out)
{
    static const char *const dense[] = { "matmul", "linear", "linear_xent" };
    for (size_t i = 0; i < sizeof dense / sizeof *dense; i++)
        if (!strcmp(op->name, dense[i]))
            return (double)tn_rows(in[0]) * (double)tn_tensor_count(in[1]);
    if (!strcmp(op->name, "bmm"))
        return (double)tn_tensor_count(out) * (double)tn_cols(in[0]);
    if (!strcmp(op->name, "conv2d"))
        return (double)tn_tensor_count(out) * (double)(tn_tensor_count(in[1]) / in[1]->dim[0]);
    if (!strcmp(op->name, "lora"))
        return (double)tn_rows(in[1]) * (double)(tn_tensor_count(in[2]) + tn_tensor_count(in[3]));
    if (!strcmp(op->name, "attention")) /* the scores, and their product with v; causal: half */
        return (double)tn_tensor_count(out) * (double)(in[1]->dim[1] + 1);
    return 0;
}

/* Bytes of the operands and the result. Of a table only the rows that the op picks count. */
static double bytes(const tn_op *op, tn_tensor *const in[], const tn_tensor *out)
{
    double sum = (double)tn_tensor_count(out) * sizeof(tn_real);
    if (!strcmp(op->name, "embed"))
        return 2 * sum;
    for (int i = 0; i < op->inputs; i++)
        if (in[i] && (i == 0 || in[i] != in[0]))
            sum += (double)tn_tensor_bytes(in[i]);
    return sum;
}

/* Backward does twice the work of forward: two products, or it reads and writes twice as much. But
   forward of linear_xent computes the gradients already, and a view moves nothing. */
static work work_of(const tn_op *op, tn_tensor *const in[], const tn_tensor *out)
{
    double flops = 2 * products(op, in, out);
    if (!strcmp(op->name, "linear_xent"))
        return (work){ 3 * flops, 0, true };
    double n = flops > 0 ? flops : bytes(op, in, out);
    bool view = op->view && out->x == in[0]->x;
    return (work){ view ? 0 : n, view || !op->backward ? 0 : 2 * n, flops > 0 };
}

static tn_tensor *new_operand(const tn_op *op, const tn_sample *s, int i, tn_error *e)
{
    bool ids = op->ids >> i & 1;
    int rank = 0;
    while (rank < TN_MAX_NDIM && s->in[i][rank])
        rank++;
    tn_tensor *a = tn_tensor_new(ids ? TN_I32 : TN_REAL, rank, s->in[i],
                                 op->backward && !ids && !(op->fixed >> i & 1));
    if (!a) {
        tn_fail(e, TN_ENOMEM, "%s: no memory for its operands", op->name);
        return NULL;
    }
    int64_t n = tn_tensor_count(a), low = s->negative_ids ? -1 : 0;
    uint64_t span = (uint64_t)(s->ids - low), stream = (uint64_t)i;
    if (!ids)
        tn_fill_normal(a->x, n, 0.5, 1, stream);
    for (int64_t j = 0; op->positive >> i & 1 && j < n; j++)
        a->x[j] = (tn_real)0.6 + a->x[j] * a->x[j];
    for (int64_t j = 0; ids && j < n; j++)
        a->i[j] = (int32_t)(low + (int64_t)(tn_random(1, stream, 0, (uint64_t)j) % span));
    return a;
}

typedef struct timing {
    double forward, backward; /* seconds */
    work work;
} timing;

/* Backward starts from the sum of the result, so it includes writing ones into the gradient. */
static timing time_op(tn_tape *t, const tn_op *op, const tn_sample *s, tn_tensor *const in[])
{
    double forward[RUNS] = { 0 }, backward[RUNS] = { 0 };
    timing out = { 0 };
    int k = -1; /* the first run warms up */
    for (double end = now_seconds() + enough; !tn_tape_error(t) && k < RUNS; k++) {
        double start = now_seconds();
        if (k > 0 && start > end)
            break;
        tn_tensor *y = tn_apply(t, op, in, s->attr);
        double middle = now_seconds();
        tn_tensor *loss = y && op->backward && tn_tensor_count(y) > 1 ? tn_sum(t, y) : y;
        double again = now_seconds();
        if (op->backward)
            tn_backward(t, loss);
        if (k >= 0) {
            forward[k] = middle - start;
            backward[k] = now_seconds() - again;
        } else if (y) {
            out.work = work_of(op, in, y);
        }
        tn_tape_reset(t);
        for (int i = 0; i < op->inputs; i++)
            if (in[i])
                in[i]->has_grad = false;
    }
    out.forward = bench_median(forward, k > 0 ? k : 1);
    out.backward = bench_median(backward, k > 0 ? k : 1);
    return out;
}

enum { NAMES = 14 }; /* columns */

static void print_part(lines *l, double seconds, double amount)
{
    if (amount > 0)
        lines_cell(l, 19, " %9.1f %8.1f", 1e6 * seconds, 1e-9 * amount / seconds);
    else
        lines_cell(l, 19, " %9.1f %8s", 1e6 * seconds, "-");
}

static void print_row(const tn_op *op, tn_tensor *const in[], const timing *t, tn_error *e)
{
    char shape[64];
    tn_text shapes = { 0 };
    for (int i = 0; i < op->inputs; i++)
        if (in[i] && (i == 0 || in[i] != in[0]))
            tn_text_add(&shapes, "%s%s", i ? " " : "", tn_tensor_shape(in[i], shape));
    const char *operands = tn_text_done(&shapes, op->name, e);
    if (operands) {
        lines l = lines_begin();
        l.indent = NAMES;
        lines_cell(&l, NAMES, "%s", op->name);
        print_part(&l, t->forward, t->work.forward);
        print_part(&l, t->backward, t->work.backward);
        lines_cell(&l, 11, "  %-8s ", t->work.flops ? "GFLOP/s" : "GB/s");
        lines_cell(&l, shapes.n, "%s", operands);
        lines_add(&l, "\n");
    }
    tn_text_free(&shapes);
}

static void bench_sample(tn_tape *t, const tn_op *op, const tn_sample *s, tn_error *e)
{
    tn_tensor *in[TN_MAX_INPUTS] = { NULL };
    for (int i = 0; i < op->inputs && !e->code; i++)
        if (s->in[i][0])
            in[i] = s->same >> i & 1 ? in[0] : new_operand(op, s, i, e);
    timing time = e->code ? (timing){ 0 } : time_op(t, op, s, in);
    if (tn_tape_error(t))
        tn_fail(e, tn_tape_code(t), "%s", tn_tape_error(t));
    if (!e->code)
        print_row(op, in, &time, e);
    for (int i = 0; i < op->inputs; i++)
        if (i == 0 || in[i] != in[0])
            tn_tensor_free(in[i]);
}

enum { CHAIN = 1000 };

/* Times the tape itself, per op: a chain of ops on one number, where nothing else takes time. */
static void bench_overhead(tn_tape *t, tn_error *e)
{
    double ns[RUNS];
    tn_tensor *x = tn_tensor_new(TN_REAL, 1, (int64_t[]){ 1 }, true);
    if (!x)
        tn_fail(e, TN_ENOMEM, "overhead: no memory for its operand");
    for (int k = 0; k < RUNS && !e->code; k++) {
        double start = now_seconds();
        tn_tensor *y = x;
        for (int i = 0; i < CHAIN; i++)
            y = tn_scale(t, y, 1);
        if (tn_backward(t, y))
            tn_fail(e, tn_tape_code(t), "%s", tn_tape_error(t));
        tn_tape_reset(t);
        ns[k] = 1e9 * (now_seconds() - start) / CHAIN;
    }
    if (!e->code)
        lines_show(
            "\noverhead of the tape: %.0f ns per op, forward and backward (scale of (1), %d in a "
            "chain)\n",
            bench_median(ns, RUNS), CHAIN);
    tn_tensor_free(x);
}

int bench_ops(const options *o, tn_error *e)
{
    tn_context *c = bench_context(NULL, (int)o->threads, e);
    tn_tape *t = c ? tn_tape_new(c) : NULL;
    if (!t)
        tn_fail(e, TN_ENOMEM, "%lld threads: out of memory", (long long)o->threads);
    else
        lines_show("%s, %d thread%s; medians of up to %d runs\n", tn_context_isa(c),
                   tn_context_threads(c), tn_context_threads(c) > 1 ? "s" : "", RUNS);
    lines_show("%-14s %9s %8s %9s %8s\n", "op", "fwd us", "rate", "bwd us", "rate");
    for (int i = 0; tn_ops[i] && !e->code; i++)
        for (const tn_sample *s = tn_ops[i]->samples; s && s->in[0][0] && !e->code; s++)
            if (s->bench)
                bench_sample(t, tn_ops[i], s, e);
    if (!e->code)
        bench_overhead(t, e);
    tn_tape_free(t);
    tn_context_free(c);
    return e->code != 0;
}
