/* dpo.c - learning from preferences: DPO, its reference, and its figures on data without gradients.

   Rafailov et al., "Direct preference optimization", arXiv:2305.18290, equation 7:

       loss = -log sigmoid(margin)      margin = reward(chosen) - reward(rejected)
       reward = beta (log p - log p_ref)

   -log sigmoid(a - b) is the cross-entropy of the two logits a and b with label 0: so the loss is
   made of ops that are there, and large margins cannot overflow. */
#include "core/context.h"
#include "core/op.h"
#include "nn/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- log-probabilities ---- */

/* Is place i of the batch the first of a record? */
static bool begins(const tn_batch *b, int64_t i)
{
    return b->places ? b->places[i] == 0 : i % b->width == 0;
}

static int64_t count_records(const tn_batch *b)
{
    int64_t n = 0;
    for (int64_t i = 0; i < b->rows * b->width; i++)
        n += begins(b, i);
    return n;
}

/* The loss of the labels [from, to) of the batch, summed -> (1); h (B T,C). */
static tn_tensor *sum_part(const tn_model *m, tn_tape *t, const tn_batch *b, tn_tensor *h,
                           int64_t from, int64_t to)
{
    const int64_t n = to - from;
    tn_tensor *labels = tn_tape_input(t, TN_I32, 1, &n);
    tn_tensor *part = tn_slice(t, h, 0, from, to); // (n,C)
    if (!labels || !part)
        return NULL;
    memcpy(labels->i, b->labels + from, (size_t)n * sizeof *labels->i);
    if (m->output.lora)
        return tn_cross_entropy(t, tn_model_head(m, t, part), labels, 1);
    return tn_linear_xent(t, part, m->head, labels, 1, m->logit_cap);
}

/* The same for each record; room for all in `sums`. */
static tn_tensor *sum_records(const tn_model *m, tn_tape *t, const tn_batch *b, tn_tensor *h,
                              tn_tensor **sums)
{
    const int64_t all = b->rows * b->width;
    int n = 0;
    for (int64_t from = 0, to; from < all && !tn_tape_code(t); from = to) {
        for (to = from + 1; to < all && !begins(b, to);)
            to++;
        sums[n++] = sum_part(m, t, b, h, from, to);
    }
    return tn_tape_code(t) ? NULL : tn_neg(t, tn_concat(t, n, sums, 0));
}

tn_tensor *tn_model_log_probs(const tn_model *m, tn_tape *t, const tn_batch *b)
{
    if (tn_tape_given(t, m && b && b->ids && b->labels, __func__))
        return NULL;
    tn_tensor *h = tn_batch_hidden(m, t, b); // (B,T,C)
    h = h ? tn_reshape(t, h, 2, (int64_t[]){ b->rows * b->width, m->width }) : NULL;
    tn_tensor **sums = h ? malloc((size_t)count_records(b) * sizeof *sums) : NULL;
    if (h && !sums)
        tn_refuse(t, &tn_op_concat, TN_ENOMEM, "out of memory");
    tn_tensor *p = sums ? sum_records(m, t, b, h, sums) : NULL;
    free(sums);
    return p;
}

/* ---- the loss ---- */

static const tn_op dpo = { .name = "dpo" }; /* of messages */

/* The reference's numbers (n) as an input of the tape. */
static tn_tensor *input(tn_tape *t, const double *reference, int64_t n)
{
    tn_tensor *a = tn_tape_input(t, TN_REAL, 1, &n);
    for (int64_t i = 0; a && i < n; i++)
        a->x[i] = (tn_real)reference[i];
    return a;
}

static tn_tensor *zeros(tn_tape *t, int64_t n)
{
    tn_tensor *a = tn_tape_input(t, TN_I32, 1, &n);
    if (a)
        memset(a->i, 0, (size_t)n * sizeof *a->i);
    return a;
}

tn_tensor *tn_dpo_loss(tn_tape *t, tn_tensor *log_p, const double *reference, double beta,
                       int64_t pairs)
{
    if (tn_tape_given(t, log_p && reference, __func__))
        return NULL;
    const int64_t n = tn_tensor_count(log_p);
    if (n % 2 || !(beta > 0) || isinf(beta)) {
        tn_refuse(t, &dpo, TN_EARG,
                  "%lld log-probabilities and beta %g; expected an even number and beta above "
                  "0",
                  (long long)n, beta);
        return NULL;
    }
    tn_tensor *gain = tn_sub(t, tn_reshape(t, log_p, 1, &n), input(t, reference, n));
    tn_tensor *rewards = tn_reshape(t, tn_scale(t, gain, beta), 2, (int64_t[]){ n / 2, 2 });
    return tn_cross_entropy(t, rewards, zeros(t, n / 2), pairs);
}

void tn_dpo_add(const tn_tensor *log_p, const double *reference, double beta, tn_dpo *sum)
{
    if (!log_p || !reference || !sum)
        return;
    for (int64_t i = 0; i + 1 < tn_tensor_count(log_p); i += 2) {
        const double chosen = beta * ((double)log_p->x[i] - reference[i]);
        const double rejected = beta * ((double)log_p->x[i + 1] - reference[i + 1]);
        const double margin = chosen - rejected, small = tn_exp_of(-fabs(margin));
        const double loss = tn_log_of(1 + small) + fmax(-margin, 0);
        sum->loss += loss;
        sum->square += loss * loss;
        sum->chosen += chosen;
        sum->rejected += rejected;
        sum->right += chosen > rejected;
        sum->likelier += log_p->x[i] > log_p->x[i + 1];
        sum->pairs++;
    }
}

/* ---- the reference ---- */

struct tn_reference {
    tn_model *m;
    const tn_model *other; /* it computes instead of m; NULL: m does */
    int64_t count; /* of weights that were copied; 0: the adapters are switched off instead */
    tn_tensor **w,
        **x; /* (count) the model's weights; tensors with the values that are not in use */
};

tn_reference *tn_reference_base(tn_model *m, tn_error *e)
{
    if (tn_given(e, m, __func__))
        return NULL;
    tn_reference *r = calloc(1, sizeof *r);
    if (!r)
        tn_fail(e, TN_ENOMEM, "the reference: out of memory");
    else
        r->m = m;
    return r;
}

/* Copies weight w. False when memory is out. */
static bool copy(tn_reference *r, tn_tensor *w)
{
    tn_tensor *x = tn_tensor_new(w->dtype, w->ndim, w->dim, false);
    if (!x)
        return false;
    memcpy(x->data, w->data, tn_tensor_bytes(w));
    r->w[r->count] = w;
    r->x[r->count++] = x;
    return true;
}

tn_reference *tn_reference_copy(tn_model *m, tn_error *e)
{
    tn_reference *r = tn_reference_base(m, e);
    if (!r)
        return NULL;
    const size_t n = (size_t)tn_params_count(m->params);
    r->w = calloc(n, sizeof *r->w);
    r->x = calloc(n, sizeof *r->x);
    bool made = r->w && r->x;
    if (made && tn_model_refuse_sketch(m, e))
        made = false;
    for (int64_t i = 0; i < (int64_t)n && made; i++)
        if (tn_params_at(m->params, i)->w->wants_grad)
            made = copy(r, tn_params_at(m->params, i)->w);
    if (made && r->count)
        return r;
    tn_fail(e, made ? TN_ESTATE : TN_ENOMEM, "the reference: %s",
            made ? "no weight is trained" : "out of memory");
    tn_reference_free(r);
    return NULL;
}

tn_reference *tn_reference_other(tn_model *m, const tn_model *other, tn_error *e)
{
    if (tn_given(e, m && other, __func__))
        return NULL;
    if (m->vocab != other->vocab || m->context != other->context) {
        tn_fail(e, TN_EARG, "the reference: %lld tokens in its vocabulary%s; expected %lld",
                (long long)other->vocab, m->context != other->context ? ", in another context" : "",
                (long long)m->vocab);
        return NULL;
    }
    tn_reference *r = tn_reference_base(m, e);
    if (r)
        r->other = other;
    return r;
}

void tn_reference_free(tn_reference *r)
{
    for (int64_t i = 0; r && i < r->count; i++)
        tn_tensor_free(r->x[i]);
    if (r) {
        free(r->w);
        free(r->x);
    }
    free(r);
}

/* Exchanges the values of the model's weights with the others. Called twice, it changes nothing. */
static void exchange(const tn_reference *r)
{
    for (int64_t i = 0; i < r->count; i++) {
        void *kept = r->w[i]->data;
        r->w[i]->data = r->x[i]->data;
        r->x[i]->data = kept;
    }
}

/* From now on the model computes as the reference, or as itself. */
static void become(const tn_reference *r, bool reference)
{
    if (r->count)
        exchange(r);
    else if (!r->other)
        tn_lora_switch(r->m, !reference);
}

int tn_reference_log_probs(tn_reference *r, tn_tape *t, const tn_batch *b, double *out, tn_error *e)
{
    const int missing = tn_given(e, r && t && b && out, __func__);
    if (missing)
        return missing;
    const tn_mode mode = tn_tape_mode(t);
    tn_tape_reset(t);
    tn_tape_eval(t);
    become(r, true);
    const tn_tensor *p = tn_model_log_probs(r->other ? r->other : r->m, t, b);
    become(r, false);
    for (int64_t i = 0; p && i < tn_tensor_count(p); i++)
        out[i] = (double)p->x[i];
    if (!p)
        tn_fail(e, tn_tape_code(t), "the reference: %s", tn_tape_error(t));
    tn_tape_reset(t);
    tn_tape_set_mode(t, mode);
    return e->code;
}

/* ---- evaluation ---- */

/* Adds a batch of pairs; `reference` has room for its records. */
static int add_batch(tn_reference *r, tn_tape *t, const tn_batch *b, double beta, double *reference,
                     tn_dpo *sum, tn_error *e)
{
    if (tn_reference_log_probs(r, t, b, reference, e))
        return e->code;
    tn_tape_eval(t);
    const tn_tensor *p = tn_model_log_probs(r->m, t, b);
    if (p)
        tn_dpo_add(p, reference, beta, sum);
    else
        tn_fail(e, tn_tape_code(t), "evaluation: %s", tn_tape_error(t));
    tn_tape_reset(t);
    return e->code;
}

int tn_evaluate_dpo(tn_reference *r, tn_tape *t, tn_loader *l, int64_t batches, double beta,
                    tn_dpo *out, tn_error *e)
{
    const int missing = tn_given(e, r && t && l && out, __func__);
    if (missing)
        return missing;
    const tn_batch *b = NULL;
    const tn_mode mode = tn_tape_mode(t);
    *out = (tn_dpo){ 0 };
    tn_loader_seek(l, 0);
    for (int64_t i = 0; !e->code && (!batches || i < batches) && (b = tn_loader_next(l)); i++) {
        double *reference = malloc((size_t)count_records(b) * sizeof *reference);
        if (!b->pairs)
            tn_fail(e, TN_EARG, "evaluation: records that are no pairs; expected preferences");
        else if (reference)
            add_batch(r, t, b, beta, reference, out, e);
        else
            tn_fail(e, TN_ENOMEM, "evaluation: out of memory");
        free(reference);
        out->tokens += b->tokens;
    }
    tn_loader_seek(l, 0);
    tn_tape_set_mode(t, mode);
    if (!e->code && !out->pairs)
        return tn_fail(e, TN_EARG, "evaluation: no pairs");
    if (!e->code && !isfinite(out->loss))
        return tn_fail(e, TN_ENONFINITE, "evaluation: the loss is %g", fabs(out->loss));
    return e->code;
}
