/* evaluate.c - loss per token, its standard error, and rows answered exactly, without gradients.

   There are R rows. Row r has n_r labels that count, and L_r is the sum of -log p over them. The
   loss is l = sum L / sum n, a ratio of two sums over rows. Its standard error is, to first order,
   sqrt(R/(R-1) sum (L_r - l n_r)^2) / sum n. */
#include "core/context.h"
#include "core/kernels/kernels.h"
#include "core/op.h"
#include "nn/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct scored { /* a label that counts, and the model's score of it */
    int32_t place;      /* in the batch: row T + time */
    int32_t label;
    bool best;   /* is it the argmax? */
    double loss; /* -log p */
} scored;

typedef struct chunk {
    const tn_kernels *kernels;
    tn_tensor *logits; /* (N,V) of s[0..N). Scoring overwrites it */
    scored *s;
} chunk;

static void score(void *arg, int64_t i, int thread)
{
    (void)thread;
    const chunk *c = arg;
    scored *s = &c->s[i];
    int64_t V = c->logits->dim[1];
    tn_real *z = c->logits->x + i * V, max, label = z[s->label];
    s->best = tn_argmax_of(c->kernels, V, z, &max) == s->label;
    s->loss = tn_log_of((double)c->kernels->exp_sum(V, z, max, z)) + ((double)max - (double)label);
}

/* Scores n labels of hidden states h (B T,C), at most TN_EVALUATE_ROWS at a time. */
static void score_all(const tn_model *m, tn_tape *t, tn_tensor *h, scored *s, int64_t n)
{
    for (int64_t from = 0; from < n && !tn_tape_code(t); from += TN_EVALUATE_ROWS) {
        tn_mark mark = tn_tape_mark(t);
        int64_t N = n - from < TN_EVALUATE_ROWS ? n - from : TN_EVALUATE_ROWS;
        tn_tensor *places = tn_tape_input(t, TN_I32, 1, &N);
        for (int64_t i = 0; i < N && places; i++)
            places->i[i] = s[from + i].place;
        tn_tensor *z = tn_model_head(m, t, tn_embed(t, h, places)); // (N,V)
        if (z && tn_parallel_for(tn_tape_context(t), N, score,
                                 &(chunk){ tn_kernels_of(tn_tape_context(t)), z, s + from }))
            tn_refuse(t, &tn_op_cross_entropy, TN_ESTATE, TN_BUSY);
        tn_tape_rewind(t, mark);
    }
}

/* Scores the labels of a batch that count. NULL when memory is out or the tape holds an error. */
static scored *score_batch(const tn_model *m, tn_tape *t, const tn_batch *b)
{
    int64_t N = b->rows * b->width, n = 0;
    scored *s = calloc((size_t)N, sizeof *s);
    if (!s)
        return NULL;
    for (int64_t i = 0; i < N; i++) {
        if (b->labels[i] >= m->vocab)
            tn_refuse(t, &tn_op_cross_entropy, TN_EARG, "label %d; the vocabulary has %lld",
                      b->labels[i], (long long)m->vocab);
        if (b->labels[i] >= 0)
            s[n++] = (scored){ .place = (int32_t)i, .label = b->labels[i] };
    }
    tn_tensor *h = tn_batch_hidden(m, t, b); // (B,T,C)
    if (h)
        score_all(m, t, tn_reshape(t, h, 2, (int64_t[]){ N, m->width }), s, n);
    if (!tn_tape_code(t))
        return s;
    free(s);
    return NULL;
}

typedef struct row { /* of a batch: sum of the losses, labels that count, likeliest ones of these */
    double loss;
    int64_t n, best;
} row;

/* Row r of the batch, whose labels begin at s[*k]; *k moves to those of the next row. */
static row sum_row(const tn_batch *b, const scored *s, int64_t r, int64_t *k)
{
    row sum = { 0 };
    for (; *k < b->tokens && s[*k].place < (r + 1) * b->width; ++*k, sum.n++) {
        sum.loss += s[*k].loss;
        sum.best += s[*k].best;
    }
    return sum;
}

/* What the rows of the batches become: sums over all, or numbers for each. */
typedef struct sums { /* over rows: of L, L^2, L n, n^2 */
    double l, ll, ln, nn;
    tn_eval *out;    /* NULL: only the rows */
    double *loss;    /* (most) NULL: only the sums */
    int64_t *tokens; /* (most) */
    int64_t rows, most;
} sums;

static void add_batch(const tn_batch *b, const scored *s, sums *sum)
{
    for (int64_t r = 0, k = 0; r < b->rows; r++) {
        const row x = sum_row(b, s, r, &k);
        if (!sum->out) {
            if (sum->rows < sum->most) {
                sum->loss[sum->rows] = x.loss;
                sum->tokens[sum->rows++] = x.n;
            }
            continue;
        }
        sum->out->tokens += x.n;
        sum->out->rows += x.n > 0;
        sum->out->exact += x.n > 0 && x.best == x.n;
        sum->l += x.loss;
        sum->ll += x.loss * x.loss;
        sum->ln += x.loss * (double)x.n;
        sum->nn += (double)x.n * (double)x.n;
    }
}

static int finish(const sums *s, tn_eval *out, tn_error *e)
{
    double n = (double)out->tokens, R = (double)out->rows;
    if (!out->tokens)
        return tn_fail(e, TN_EARG, "evaluation: no token counts");
    out->loss = s->l / n;
    double spread = s->ll - 2 * out->loss * s->ln + out->loss * out->loss * s->nn;
    out->error = out->rows > 1 ? sqrt(fmax(spread, 0) * R / (R - 1)) / n : (double)NAN;
    if (!isfinite(out->loss))
        return tn_fail(e, TN_ENONFINITE, "evaluation: the loss is %g",
                       isnan(out->loss) ? (double)NAN : out->loss); /* without a sign */
    return 0;
}

/* One pass over the first batches, 0: over all. */
static int pass(const tn_model *m, tn_tape *t, tn_loader *l, int64_t batches, sums *sum,
                tn_error *e)
{
    const tn_batch *b = NULL;
    const tn_mode mode = tn_tape_mode(t);
    tn_tape_reset(t);
    tn_tape_eval(t);
    tn_loader_seek(l, 0);
    for (int64_t i = 0; !e->code && (!batches || i < batches) && (b = tn_loader_next(l)); i++) {
        scored *s = score_batch(m, t, b);
        if (s)
            add_batch(b, s, sum);
        else
            tn_fail(e, tn_tape_code(t) ? tn_tape_code(t) : TN_ENOMEM, "evaluation: %s",
                    tn_tape_error(t) ? tn_tape_error(t) : "out of memory");
        free(s);
        tn_tape_reset(t);
        if (!sum->out && sum->rows == sum->most)
            break;
    }
    tn_loader_seek(l, 0);
    tn_tape_set_mode(t, mode);
    return e->code;
}

int tn_evaluate(const tn_model *m, tn_tape *t, tn_loader *l, int64_t batches, tn_eval *out,
                tn_error *e)
{
    const int missing = tn_given(e, m && t && l && out, __func__);
    if (missing)
        return missing;
    sums sum = { .out = out };
    *out = (tn_eval){ 0 };
    return pass(m, t, l, batches, &sum, e) ? e->code : finish(&sum, out, e);
}

int tn_evaluate_rows(const tn_model *m, tn_tape *t, tn_loader *l, int64_t rows, double *loss,
                     int64_t *tokens, tn_error *e)
{
    const int missing = tn_given(e, m && t && l && loss && tokens, __func__);
    if (missing)
        return missing;
    sums sum = { .loss = loss, .tokens = tokens, .most = rows };
    if (rows < 1 || pass(m, t, l, 0, &sum, e))
        return e->code;
    if (sum.rows < rows)
        return tn_fail(e, TN_EARG, "evaluation: %lld rows; expected %lld", (long long)sum.rows,
                       (long long)rows);
    return TN_OK;
}

double tn_accuracy(const tn_tensor *scores, const tn_tensor *labels)
{
    if (!scores || !labels || scores->dtype != TN_REAL || labels->dtype != TN_I32 ||
        tn_tensor_count(labels) != tn_rows(scores))
        return (double)NAN;
    int64_t right = 0, counted = 0, V = tn_cols(scores);
    for (int64_t i = 0; i < tn_tensor_count(labels); i++) {
        const tn_real *z = scores->x + i * V;
        int64_t best = 0;
        for (int64_t k = 1; k < V; k++)
            best = z[k] > z[best] ? k : best;
        counted += labels->i[i] >= 0;
        right += labels->i[i] == best;
    }
    return counted ? (double)right / (double)counted : (double)NAN;
}
