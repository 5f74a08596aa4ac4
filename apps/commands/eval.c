/* eval.c - tenon eval: loss and perplexity, and how many answers and choices are right.
   Answers are counted for tasks and for records with a completion, choices for questions, and of
   preferences the pairs whose chosen answer is preferred. */
#include "apps/ask/choices.h"
#include "apps/ask/score.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"
#include "apps/report/show_data.h"
#include "apps/run/preference.h"
#include "apps/run/reference.h"
#include "apps/run/spool.h"

#include <math.h>
#include <string.h>

typedef struct found {
    tn_eval v;
    tn_data_facts f;
    answer_score answers;
    choice_score choices;
    tn_text against; /* the reference of preferences; empty: it is not known */
} found;

/* Which part of the data was read. */
static void print_data(lines *l, const options *o, part which)
{
    char name[DATA_NAME];
    const char *side = data_side(o, which);
    lines_add(l, "data        %s", data_name(o, name));
    if (!strcmp(side, "all"))
        lines_add(l, ", all of it (--split valid: only the part that train keeps apart)\n");
    else
        lines_add(l, ", the %s part\n", side);
}

static void print_tokens(lines *l, const setup *s, const options *o, part which, const found *r,
                         tn_error *e)
{
    const tn_eval *v = &r->v;
    print_data(l, o, which);
    lines_add(l, "tokens      %lld in %lld %s%s", (long long)v->tokens, (long long)v->rows,
              r->f.pairs ? "pair" : "row", show_s(v->rows));
    if (v->rows < r->f.records && o->chunks > 0)
        lines_add(l, " of %lld\n", (long long)r->f.records);
    else
        show_data_cuts(l, s->data[which], o, setup_length(s, o), e);
}

static void print_loss(const setup *s, const options *o, part which, const found *r, tn_error *e)
{
    lines all = lines_begin(), *l = &all;
    const tn_eval *v = &r->v;
    const double perplexity = tn_exp_of(v->loss);
    print_tokens(l, s, o, which, r, e);
    if (!isnan(v->error)) {
        lines_add(l, "loss        %.6f +- %.6f\n", v->loss, v->error);
        lines_add(l, "perplexity  %.5g +- %.2g\n", perplexity, perplexity * v->error);
    } else {
        lines_add(l, "loss        %.6f\nperplexity  %.5g\n", v->loss, perplexity);
    }
}

/* Rows are answers: what the model says after the right tokens before it can be counted, too. */
static bool has_forced(const options *o, const found *r)
{
    return o->mask_prompt && r->answers.records == r->f.records && !r->f.truncated;
}

static void print_answers(const setup *s, const options *o, const found *r)
{
    lines all = lines_begin(), *l = &all;
    const answer_score *a = &r->answers;
    lines_add(l, "exact       %lld of %lld (%.1f %%)", (long long)a->exact, (long long)a->records,
              100.0 * (double)a->exact / (double)a->records);
    if (has_forced(o, r))
        lines_add(l, ", teacher-forced %lld", (long long)r->v.exact);
    lines_add(l, "\n");
    if (s->task)
        lines_add(l, "parts       %.4f of the facts of an answer are right, on average\n",
                  a->parts);
}

static void print_choices(const choice_score *c)
{
    const double n = (double)c->questions;
    lines_show(
        "choices     %lld of %lld right by the sum of log-probabilities (%.1f %%), %lld by their "
        "mean (%.1f %%)\n",
        (long long)c->by_sum, (long long)c->questions, 100.0 * (double)c->by_sum / n,
        (long long)c->by_mean, 100.0 * (double)c->by_mean / n);
}

static void print_json(const setup *s, const options *o, part which, const found *r, tn_error *e)
{
    tn_text t = { 0 };
    char name[DATA_NAME];
    const tn_eval *v = &r->v;
    const double perplexity = tn_exp_of(v->loss);
    tn_text_add(&t, "{\"tokens\":%lld,\"rows\":%lld", (long long)v->tokens, (long long)v->rows);
    json_text(&t, "data", data_name(o, name));
    json_text(&t, "part", data_side(o, which));
    json_real(&t, "loss", v->loss, 9);
    json_real(&t, "loss_error", v->error, 6);
    json_real(&t, "perplexity", perplexity, 9);
    json_real(&t, "perplexity_error", perplexity * v->error, 6);
    if (r->answers.records)
        tn_text_add(&t, ",\"answers\":%lld,\"exact\":%lld", (long long)r->answers.records,
                    (long long)r->answers.exact);
    if (r->answers.records && has_forced(o, r))
        tn_text_add(&t, ",\"exact_forced\":%lld", (long long)v->exact);
    if (r->answers.records && s->task)
        json_real(&t, "parts", r->answers.parts, 6);
    if (r->choices.questions)
        tn_text_add(&t, ",\"questions\":%lld,\"right_by_sum\":%lld,\"right_by_mean\":%lld",
                    (long long)r->choices.questions, (long long)r->choices.by_sum,
                    (long long)r->choices.by_mean);
    tn_text_add(&t, "}\n");
    show_text(&t, "the result", e);
}

/* ---- preferences ---- */

static void print_pairs(const setup *s, const options *o, part which, const found *r, tn_error *e)
{
    const tn_dpo *p = &s->pairs;
    const double n = (double)p->pairs;
    const rewards mean = rewards_of(p);
    lines all = lines_begin(), *l = &all;
    char loss[SHOWN];
    print_tokens(l, s, o, which, r, e);
    if (r->against.n) {
        lines_add(l, "loss        %s  (DPO, beta %g, against %s)\n",
                  show_loss(r->v.loss, r->v.error, loss), preference_beta(o), r->against.s);
        lines_add(l, "margin      %.4f: rewards %.4f of the chosen answers, %.4f of the rejected\n",
                  mean.margin, mean.chosen, mean.rejected);
        lines_add(
            l,
            "accuracy    %lld of %lld pairs (%.1f %%): the chosen answer has the larger reward\n",
            (long long)p->right, (long long)p->pairs, 100.0 * (double)p->right / n);
    }
    lines_add(
        l, "likelier    %lld of %lld chosen answers (%.1f %%), by the sum of log-probabilities\n",
        (long long)p->likelier, (long long)p->pairs, 100.0 * (double)p->likelier / n);
}

static void print_pairs_json(const setup *s, const options *o, part which, const found *r,
                             tn_error *e)
{
    tn_text t = { 0 };
    char name[DATA_NAME];
    const tn_dpo *p = &s->pairs;
    tn_text_add(&t, "{\"tokens\":%lld,\"pairs\":%lld", (long long)p->tokens, (long long)p->pairs);
    json_text(&t, "data", data_name(o, name));
    json_text(&t, "part", data_side(o, which));
    if (r->against.n) {
        json_text(&t, "reference", r->against.s);
        json_real(&t, "loss", r->v.loss, 9);
        json_real(&t, "loss_error", r->v.error, 6);
        json_real(&t, "dpo_beta", preference_beta(o), 9);
        json_rewards(&t, p);
    }
    tn_text_add(&t, ",\"likelier\":%lld}\n", (long long)p->likelier);
    show_text(&t, "the result", e);
}

static int evaluate_pairs(setup *s, const options *o, part which, found *r, tn_error *e)
{
    if (preference_check(s, o, e))
        return e->code;
    if (!reference_open(s, o, &r->against, e) && r->against.failed)
        tn_fail(e, TN_ENOMEM, "the reference: out of memory");
    if (!evaluate_part(s, o, which, 0, &r->v, e))
        (o->json ? print_pairs_json : print_pairs)(s, o, which, r, e);
    tn_text_free(&r->against);
    return e->code;
}

static int evaluate(setup *s, const options *o, part which, tn_error *e)
{
    found r = { .f = tn_dataset_facts(s->data[which]) };
    if (r.f.pairs || preference_check(s, o, e))
        return e->code ? e->code : evaluate_pairs(s, o, which, &r, e);
    if (evaluate_part(s, o, which, o->chunks, &r.v, e))
        return e->code;
    if (!o->json)
        print_loss(s, o, which, &r, e);
    if (score_answers(s, o, which, &r.answers, e))
        return e->code;
    if (r.answers.records && !o->json)
        print_answers(s, o, &r);
    if (score_choices(s, o, which, &r.choices, e))
        return e->code;
    if (r.choices.questions && !o->json)
        print_choices(&r.choices);
    if (o->json)
        print_json(s, o, which, &r, e);
    return e->code;
}

static int evaluate_data(const options *o, tn_error *e)
{
    setup s = { 0 };
    char name[DATA_NAME];
    options asked = *o;
    if (!o->split)
        asked.split = "test";
    const part which = part_find(asked.split);
    if ((o->stride > 0 || o->chunks > 0) && !data_is_text(o))
        return tn_fail(e, APP_USAGE, "--%s: only for a .txt or .bin, which is cut into windows",
                       o->stride > 0 ? "stride" : "chunks");
    if (o->stride > 0 && o->max_seq_length > 0 && o->stride > o->max_seq_length)
        return tn_fail(e, APP_USAGE, "--stride %lld: expected at most --max-seq-length %lld",
                       (long long)o->stride, (long long)o->max_seq_length);
    setup_trained(&s, o, e);
    setup_data(&s, &asked, which, e);
    if (!e->code && !s.data[which])
        tn_fail(e, APP_USAGE, "--data %s: has no %s part", data_name(o, name), asked.split);
    if (!e->code)
        evaluate(&s, &asked, which, e);
    setup_close(&s);
    return 0;
}

int command_eval(const options *o, tn_error *e)
{
    spool in = { 0 };
    options asked = *o;
    if (!spool_open(&in, &asked, e))
        evaluate_data(&asked, e);
    spool_close(&in, e);
    return 0;
}
