/* eval.c - tenon eval: loss and perplexity, and how many answers are exactly right.
   Answers are counted for tasks and for records with a completion. */
#include "apps/run/score.h"
#include "apps/run/show.h"

#include <math.h>

static void print_loss(const setup *s, const options *o, const tn_data_facts *f, const tn_eval *v)
{
    char cuts[SHOWN];
    const double perplexity = tn_exp_of(v->loss);
    show("data        %s\n", o->task ? o->task : o->data);
    show("tokens      %lld in %lld rows%s\n", (long long)v->tokens, (long long)v->rows,
         show_cuts(f, setup_length(s, o), cuts));
    if (!isnan(v->error)) {
        show("loss        %.6f +- %.6f\n", v->loss, v->error);
        show("perplexity  %.5g +- %.2g\n", perplexity, perplexity * v->error);
    } else {
        show("loss        %.6f\nperplexity  %.5g\n", v->loss, perplexity);
    }
}

static int evaluate(setup *s, const options *o, part which, tn_error *e)
{
    tn_eval v;
    answer_score score;
    const tn_data_facts f = tn_dataset_facts(s->data[which]);
    if (!evaluate_part(s, o, which, 0, &v, e))
        print_loss(s, o, &f, &v);
    if (e->code || score_answers(s, o, which, &score, e) || !score.records)
        return e->code;
    show("exact       %lld of %lld (%.1f %%)", (long long)score.exact, (long long)score.records,
         100.0 * (double)score.exact / (double)score.records);
    if (o->mask_prompt && score.records == f.records && !f.truncated) /* rows are answers */
        show(", teacher-forced %lld", (long long)v.exact);
    show("\n");
    if (s->task)
        show("parts       %.4f of the facts of an answer are right, on average\n", score.parts);
    return 0;
}

/* If a folder has no test.jsonl and no split is given, the error explains how
   to use valid.jsonl. */
static void hint_split(const options *o, tn_error *e)
{
    tn_error inner = { 0 };
    if (o->data && !o->split && e->code == TN_EIO &&
        tn_path_is(o->data, NULL, &inner) == TN_FOLDER &&
        tn_path_is(o->data, "test.jsonl", &inner) == TN_ABSENT &&
        tn_path_is(o->data, "valid.jsonl", &inner) == TN_FILE)
        tn_error_add(e, "; --split valid reads valid.jsonl");
}

int command_eval(const options *o, tn_error *e)
{
    setup s = { 0 };
    options asked = *o;
    if (!o->split)
        asked.split = "test";
    const part which = part_find(asked.split);
    setup_trained(&s, o, e);
    setup_data(&s, &asked, which, e);
    hint_split(o, e);
    if (!e->code && !s.data[which])
        tn_fail(e, APP_USAGE, "--data %s: has no %s part", o->data, asked.split);
    setup_count(&s, o, e);
    if (!e->code)
        evaluate(&s, &asked, which, e);
    setup_close(&s);
    return 0;
}
