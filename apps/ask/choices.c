/* choices.c - scores the choices of questions (choices.h).
   Several questions are one batch of rows: a row is a prompt and one of its choices, and only the
   choice counts. */
#include "apps/ask/choices.h"
#include "apps/ask/prompt.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 64 }; /* a question with more choices is refused */

typedef struct question {
    int64_t choices, answer;
} question;

typedef struct asked {
    const setup *s;
    const options *o;
    tn_records *file;
    int64_t rows, questions;
    int32_t *ids[ROWS];
    int64_t length[ROWS], prompt[ROWS];
    question question[ROWS];
    choice_score *out;
} asked;

/* Adds the row of a choice. */
static int add_row(asked *a, const tn_jsonl_record *r, const tn_json *choice, tn_error *e)
{
    const tn_tokenizer *k = a->s->tokenizer;
    const int64_t most = setup_length(a->s, a->o), row = a->rows;
    prompt p;
    prompt_encode(k, r->prompt, false, &p, e);
    const int64_t before = p.n;
    if (!e->code)
        (r->prompt.n ? tn_encode_after : tn_encode)(k, choice->text, choice->length, &p.ids, &p.n,
                                                    &p.room, NULL, e);
    if (!e->code && (p.n == before || before == 0))
        tn_fail(e, TN_EFORMAT, "a choice without tokens, or without a token before it");
    const int64_t left = p.n > most ? p.n - most : 0; /* out of the beginning */
    if (!e->code && left)
        memmove(p.ids, p.ids + left, (size_t)most * sizeof *p.ids);
    a->ids[row] = p.ids;
    a->length[row] = p.n - left;
    a->prompt[row] = before > left + 1 ? before - left : 1;
    a->rows++;
    return e->code;
}

static void judge(asked *a, const double *loss, const int64_t *tokens)
{
    int64_t row = 0;
    for (int64_t q = 0; q < a->questions; row += a->question[q++].choices) {
        int64_t sum = 0, mean = 0;
        const double *l = loss + row;
        const int64_t *n = tokens + row;
        for (int64_t i = 1; i < a->question[q].choices; i++) {
            sum = l[i] < l[sum] ? i : sum;
            mean = l[i] / (double)n[i] < l[mean] / (double)n[mean] ? i : mean;
        }
        a->out->by_sum += sum == a->question[q].answer;
        a->out->by_mean += mean == a->question[q].answer;
        a->out->questions++;
    }
}

/* Scores all rows, and removes them. */
static int score_rows(asked *a, tn_error *e)
{
    double loss[ROWS];
    int64_t tokens[ROWS];
    tn_dataset *d = NULL;
    if (a->rows && !e->code)
        d = tn_dataset_records(a->rows, (const int32_t *const *)a->ids, a->length, a->prompt,
                               &(tn_data_options){ .max_length = setup_length(a->s, a->o) }, e);
    tn_loader *l =
        d ? tn_loader_new(d, &(tn_loader_options){ .batch = a->o->batch_size, .in_order = true }, e)
          : NULL;
    if (l && !tn_evaluate_rows(a->s->model, a->s->tape, l, a->rows, loss, tokens, e))
        judge(a, loss, tokens);
    tn_loader_free(l);
    tn_dataset_free(d);
    for (int64_t r = 0; r < a->rows; r++)
        free(a->ids[r]);
    a->rows = a->questions = 0;
    return e->code;
}

static int ask(asked *a, const tn_jsonl_record *r, tn_error *e)
{
    tn_error inner = { 0 };
    if (r->choices->count > ROWS)
        return tn_fail(e, TN_EFORMAT, "%s:%lld: %lld choices; expected at most %d",
                       tn_records_path(a->file), (long long)r->line, (long long)r->choices->count,
                       ROWS);
    if (a->rows + r->choices->count > ROWS && score_rows(a, e))
        return e->code;
    for (const tn_json *v = r->choices->child; v && !inner.code; v = v->next)
        add_row(a, r, v, &inner);
    if (inner.code)
        return tn_fail(e, inner.code, "%s:%lld: %s", tn_records_path(a->file), (long long)r->line,
                       inner.text);
    a->question[a->questions++] = (question){ r->choices->count, r->answer };
    return 0;
}

int score_choices(const setup *s, const options *o, part which, choice_score *out, tn_error *e)
{
    *out = (choice_score){ 0 };
    if (s->task || e->code)
        return e->code;
    asked *a = calloc(1, sizeof *a);
    tn_records *file = data_records(o, which, e);
    tn_jsonl_record r;
    if (!a)
        tn_fail(e, TN_ENOMEM, "choices: out of memory");
    else
        *a = (asked){ .s = s, .o = o, .file = file, .out = out };
    while (file && !e->code && tn_records_next(file, &r, e))
        if (r.kind == TN_RECORD_QUESTION)
            ask(a, &r, e);
    if (a)
        score_rows(a, e);
    tn_records_close(file);
    free(a);
    return e->code;
}
