/* score.c - generates answers to records and scores them.
   Answers to a task are scored by the task's rule, other answers by comparing texts. */
#include "apps/ask/score.h"
#include "apps/ask/prompt.h"

#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 32 }; /* answers made in one batch; a row does not depend on the others */

typedef struct answers {
    const setup *s;
    int64_t rows;
    tn_record record[AT_ONCE]; /* of a task */
    tn_text wanted[AT_ONCE];   /* the completions */
    bool continues[AT_ONCE];   /* the prompt has text */
    int32_t *ids[AT_ONCE], *out[AT_ONCE];
    int64_t length[AT_ONCE], made[AT_ONCE];
} answers;

/* Adds a row: its prompt as tokens. */
static int ask(answers *a, tn_span text, tn_span wanted, tn_error *e)
{
    const setup *s = a->s;
    const int64_t r = a->rows;
    prompt made = { 0 };
    prompt_encode(s->tokenizer, text, false, &made, e);
    if (e->code || made.n == 0) { /* an answer needs a first token */
        free(made.ids);
        return e->code;
    }
    a->rows++;
    a->ids[r] = made.ids;
    a->length[r] = made.n;
    a->continues[r] = text.n > 0;
    tn_text_bytes(&a->wanted[r], wanted.s, wanted.n);
    /* A prompt that is longer than the model can read is cut. Its answer is then probably wrong. */
    if (a->length[r] > s->model->positions)
        a->length[r] = s->model->positions;
    return 0;
}

/* Tokens of the longest right answer, with its end token. A longer answer is wrong. */
static int64_t longest_answer(const answers *a)
{
    int64_t most = 1;
    for (int64_t r = 0; r < a->rows; r++)
        if ((int64_t)a->wanted[r].n + 1 > most) /* no token is shorter than a byte */
            most = (int64_t)a->wanted[r].n + 1;
    return most < a->s->model->positions ? most : a->s->model->positions;
}

/* Is the answer right? Without an end token in the tokenizer only the answer's beginning counts. */
static void judge(const answers *a, int64_t r, answer_score *out, tn_error *e)
{
    const setup *s = a->s;
    tn_text text = { 0 };
    tn_held held = { .begun = a->continues[r] };
    tn_decode_next(s->tokenizer, a->out[r], a->made[r], &held, &text);
    tn_decode_end(&held, &text);
    const char *made = tn_text_done(&text, "an answer", e);
    const char *wanted = tn_text_done(&a->wanted[r], "an answer", e);
    const size_t n = a->wanted[r].n;
    const bool whole = tn_tokenizer_end(s->tokenizer) < 0 ? text.n >= n : text.n == n;
    if (!e->code) {
        const tn_score score = s->task ? s->task->score(&a->record[r], made)
                                       : (tn_score){ .exact = whole && !memcmp(made, wanted, n) };
        out->exact += score.exact;
        out->parts += score.parts;
        out->records++;
    }
    tn_text_free(&text);
}

static void forget(answers *a)
{
    for (int64_t r = 0; r < a->rows; r++) {
        free(a->ids[r]);
        free(a->out[r]);
        tn_text_free(&a->wanted[r]);
        a->ids[r] = a->out[r] = NULL;
    }
    a->rows = 0;
}

/* Generates the answers, judges them, and removes all rows. */
static int answer(answers *a, answer_score *out, tn_error *e)
{
    const int64_t most = longest_answer(a);
    for (int64_t r = 0; r < a->rows && !e->code; r++)
        if (!(a->out[r] = malloc((size_t)most * sizeof *a->out[r])))
            tn_fail(e, TN_ENOMEM, "answers: out of memory");
    const int32_t end = tn_tokenizer_end(a->s->tokenizer);
    const tn_sampling greedy = { .max_tokens = most, .end = &end, .tape = a->s->tape };
    if (a->rows && !e->code)
        tn_generate(a->s->model, a->rows, (const int32_t *const *)a->ids, a->length, &greedy,
                    a->out, a->made, NULL, NULL, e);
    for (int64_t r = 0; r < a->rows && !e->code; r++)
        judge(a, r, out, e);
    forget(a);
    return e->code;
}

static void ask_task(answers *a, const options *o, int64_t count, answer_score *out, tn_error *e)
{
    for (int64_t i = 0; i < count && !e->code; i++) {
        tn_record *r = &a->record[a->rows];
        tn_task_record(a->s->task, (uint64_t)o->seed, o->split, (uint64_t)i, r);
        ask(a, (tn_span){ r->prompt, strlen(r->prompt) },
            (tn_span){ r->completion, strlen(r->completion) }, e);
        if (a->rows == AT_ONCE)
            answer(a, out, e);
    }
}

static void ask_files(answers *a, const options *o, part which, answer_score *out, tn_error *e)
{
    tn_records *file = data_records(o, which, e);
    tn_jsonl_record r;
    while (file && tn_records_next(file, &r, e)) {
        if (r.kind == TN_RECORD_PAIR)
            ask(a, r.prompt, r.text, e);
        if (a->rows == AT_ONCE)
            answer(a, out, e);
    }
    tn_records_close(file);
}

int score_answers(const setup *s, const options *o, part which, answer_score *out, tn_error *e)
{
    *out = (answer_score){ 0 };
    const tn_data_facts f = tn_dataset_facts(s->data[which]);
    answers *a = calloc(1, sizeof *a);
    if (!a)
        tn_fail(e, TN_ENOMEM, "answers: out of memory");
    if (!e->code) {
        a->s = s;
        if (s->task)
            ask_task(a, o, f.records + f.skipped, out, e);
        else
            ask_files(a, o, which, out, e);
        answer(a, out, e);
    }
    out->parts /= out->records ? (double)out->records : 1;
    free(a);
    return e->code;
}
