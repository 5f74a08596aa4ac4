/* score.c - answers a task's records and scores the answers by the task's own rule. */
#include "apps/run/score.h"

#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 32 }; /* answers made in one batch; a row does not depend on the others */

typedef struct answers {
    tn_record record[AT_ONCE];
    int32_t *ids[AT_ONCE], *out[AT_ONCE];
    int64_t length[AT_ONCE], made[AT_ONCE];
} answers;

static int prepare(const setup *s, answers *a, int64_t r, int64_t most, tn_error *e)
{
    int64_t room = 0;
    const char *prompt = a->record[r].prompt;
    a->length[r] = 0; /* tn_encode appends */
    if (tn_encode(s->tokenizer, prompt, strlen(prompt), &a->ids[r], &a->length[r], &room, NULL, e))
        return e->code;
    if (a->length[r] >=
        s->model->positions) /* longer than the model can read: cut, and likely wrong */
        a->length[r] = s->model->positions - 1;
    if (!(a->out[r] = malloc((size_t)most * sizeof *a->out[r])))
        return tn_fail(e, TN_ENOMEM, "task %s: out of memory", s->task->name);
    return 0;
}

/* Tokens of the longest right answer, end token included: what goes on beyond it is wrong. */
static int64_t longest_answer(const answers *a, int64_t rows)
{
    int64_t most = 1;
    for (int64_t r = 0; r < rows; r++) {
        const int64_t answer = (int64_t)strlen(a->record[r].completion) + 1;
        most = answer > most ? answer : most;
    }
    return most < TN_TASK_TEXT ? most : TN_TASK_TEXT;
}

static int score_rows(const setup *s, answers *a, int64_t rows, task_score *out, tn_error *e)
{
    for (int64_t r = 0; r < rows && !e->code; r++)
        prepare(s, a, r, TN_TASK_TEXT, e);
    if (e->code)
        return e->code;
    const tn_sampling greedy = { .max_tokens = longest_answer(a, rows),
                                 .stop = tn_tokenizer_end(s->tokenizer) };
    if (tn_generate(s->model, rows, (const int32_t *const *)a->ids, a->length, &greedy, a->out,
                    a->made, NULL, NULL, e))
        return e->code;
    for (int64_t r = 0; r < rows; r++) {
        tn_text text = { 0 };
        tn_decode(s->tokenizer, a->out[r], a->made[r], &text);
        const char *answer = tn_text_done(&text, s->task->name, e);
        const tn_score score = answer ? s->task->score(&a->record[r], answer) : (tn_score){ 0 };
        tn_text_free(&text);
        out->exact += score.exact;
        out->parts += score.parts;
        out->records++;
    }
    return e->code;
}

int score_task(const setup *s, const options *o, int64_t count, task_score *out,
               tn_error *e)
{
    *out = (task_score){ 0 };
    answers *a = calloc(1, sizeof *a);
    if (!a)
        return tn_fail(e, TN_ENOMEM, "task %s: out of memory", s->task->name);
    for (int64_t at = 0; at < count && !e->code; at += AT_ONCE) {
        const int64_t rows = count - at < AT_ONCE ? count - at : AT_ONCE;
        for (int64_t r = 0; r < rows; r++)
            tn_task_record(s->task, (uint64_t)o->seed, o->split, (uint64_t)(at + r), &a->record[r]);
        score_rows(s, a, rows, out, e);
        for (int64_t r = 0; r < rows; r++) {
            free(a->ids[r]);
            free(a->out[r]);
            a->ids[r] = a->out[r] = NULL;
        }
    }
    free(a);
    out->parts /= out->records ? (double)out->records : 1;
    return e->code;
}
