/* preference.c - DPO in a run: the loss that the data ask for, its reference, and its figures. */
#include "apps/run/preference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double BETA = 0.1; /* TRL's default */

double preference_beta(const options *o)
{
    return o->dpo_beta == NOT_SET ? BETA : o->dpo_beta;
}

/* Are the data preferences? A part that is not read counts as the others. */
static bool has_pairs(const setup *s)
{
    bool pairs = false;
    for (int i = 0; i < PARTS; i++)
        pairs = pairs || tn_dataset_facts(s->data[i]).pairs;
    return pairs;
}

/* Refuses options of the one loss with the data of the other. */
static int check_options(const options *o, bool pairs, tn_error *e)
{
    char name[DATA_NAME];
    if (o->loss && !strcmp(o->loss, "dpo") && !pairs)
        return tn_fail(e, APP_USAGE,
                       "--loss dpo: %s has no preferences; expected records with \"chosen\" and "
                       "\"rejected\"",
                       data_name(o, name));
    if (o->loss && !strcmp(o->loss, "sft") && pairs)
        return tn_fail(e, APP_USAGE,
                       "--loss sft: the records of %s have \"chosen\" and \"rejected\"; expected "
                       "--loss dpo, or --data-format of what else they have",
                       data_name(o, name));
    if (o->given[OPT_dpo_beta] && !pairs)
        return tn_fail(e, APP_USAGE,
                       "--dpo-beta: only for records with \"chosen\" and \"rejected\"");
    if (o->reference && !pairs)
        return tn_fail(e, APP_USAGE,
                       "--reference: only for records with \"chosen\" and \"rejected\"");
    if (!o->mask_prompt && pairs)
        return tn_fail(e, APP_USAGE,
                       "--no-mask-prompt: not for preferences; both answers have the same prompt");
    return e->code;
}

int preference_check(const setup *s, const options *o, tn_error *e)
{
    char name[DATA_NAME];
    const bool pairs = has_pairs(s);
    for (int i = 0; i < PARTS && !e->code; i++)
        if (s->data[i] && tn_dataset_facts(s->data[i]).pairs != pairs)
            tn_fail(
                e, TN_EFORMAT,
                "%s: preferences (\"chosen\" and \"rejected\") in one part and other records in "
                "the other; expected the same kind in both",
                data_name(o, name));
    return e->code ? e->code : check_options(o, pairs, e);
}

/* New adapters change nothing at first: without them the model is what it was. */
static bool copies(const setup *s, const options *o)
{
    return s->full || o->adapter_path;
}

int preference_open(setup *s, const options *o, tn_error *e)
{
    if (e->code || preference_check(s, o, e) || !has_pairs(s))
        return e->code;
    const bool numbers = !tn_params_is_sketch(s->model->params); /* a dry run has none at first */
    s->reference =
        copies(s, o) && numbers ? tn_reference_copy(s->model, e) : tn_reference_base(s->model, e);
    return e->code;
}

double preference_bytes(const setup *s, const options *o)
{
    return s->reference && copies(s, o)
               ? (double)tn_params_trained(s->model->params) * (double)sizeof(tn_real)
               : 0;
}

const char *preference_reference(const setup *s, const options *o)
{
    return s->full           ? "the model before step 1"
           : o->adapter_path ? "the adapter before step 1"
                             : "the model without the adapter";
}

int64_t preference_rows(const setup *s, int64_t records)
{
    return s->reference ? 2 * records : records;
}

double *preference_log_probs(setup *s, const tn_batch *b, tn_error *e)
{
    double *out = calloc((size_t)(2 * b->pairs), sizeof *out);
    if (!out)
        tn_fail(e, TN_ENOMEM, "the reference: out of memory");
    else if (!tn_reference_log_probs(s->reference, s->tape, b, out, e))
        return out;
    free(out);
    return NULL;
}

tn_tensor *preference_loss(setup *s, const options *o, const tn_batch *b, const double *reference,
                           int64_t pairs, tn_dpo *sum)
{
    const double beta = preference_beta(o);
    tn_tensor *p = tn_model_log_probs(s->model, s->tape, b); // (2 pairs)
    tn_dpo_add(p, reference, beta, sum);
    return p ? tn_dpo_loss(s->tape, p, reference, beta, pairs) : NULL;
}

int preference_evaluate(setup *s, const options *o, tn_loader *l, tn_eval *out, tn_error *e)
{
    tn_dpo *sum = &s->pairs;
    if (tn_evaluate_dpo(s->reference, s->tape, l, 0, preference_beta(o), sum, e))
        return e->code;
    const double n = (double)sum->pairs, mean = sum->loss / n;
    const double spread = fmax(sum->square / n - mean * mean, 0);
    *out = (tn_eval){ .loss = mean,
                      .error = n > 1 ? sqrt(spread / (n - 1)) : (double)NAN,
                      .tokens = sum->tokens,
                      .rows = sum->pairs };
    return e->code;
}
