/* generate.c - tenon generate: continues or answers prompts, up to 16 of them in one batch. */
#include "apps/ask/answer.h"
#include "apps/ask/prompts.h"
#include "apps/run/input.h"
#include "apps/run/run.h"
#include "apps/report/machine.h"
#include "apps/report/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 16 };

typedef struct job {
    const setup *s;
    const options *o;
    ask how;
    prompts prompts;
    int64_t rows; /* of all prompts, each as often as --num-samples says */
    tn_error *e;
} job;

typedef struct batch { /* rows first, first + 1 ... */
    const job *j;
    int64_t first, rows;
    const int32_t *ids[BATCH];
    int32_t *out[BATCH];
    int64_t length[BATCH], made[BATCH];
    answer answers[BATCH];
    bool stop[BATCH];
    double start, seconds[BATCH]; /* until the row's last token */
} batch;

static int read_prompts(job *j)
{
    for (int r = 0; j->o->prompt[r] && !j->e->code; r++) {
        tn_text text = { 0 };
        if (!strcmp(j->o->prompt[r], "-"))
            input_read(&text, j->e);
        else
            tn_text_add(&text, "%s", j->o->prompt[r]);
        prompts_add(&j->prompts, &text, j->e);
    }
    return j->o->prompt_file ? prompts_read(&j->prompts, j->o->prompt_file, j->e) : j->e->code;
}

/* ---- answers ---- */

static void take_token(void *arg, int64_t row, int32_t token)
{
    batch *b = arg;
    b->seconds[row] = now_seconds() - b->start;
    b->stop[row] = answer_add(&b->answers[row], token, b->j->e);
}

/* Why row r ended: the end of the text, --stop, --max-tokens, or the last position. */
static const char *reason(const batch *b, int64_t r)
{
    const bool last = b->made[r] == b->j->s->model->positions - b->length[r] + 1;
    return b->answers[r].stopped               ? "stop"
           : b->made[r] >= b->j->o->max_tokens ? "length"
           : last                              ? "positions"
                                               : "end";
}

static const prompt_entry *entry_of(const batch *b, int64_t r)
{
    return &b->j->prompts.all[(b->first + r) / b->j->o->num_samples];
}

/* {"prompt","text","prompt_tokens","tokens","seconds","reason"} */
static void print_json(const batch *b, int64_t r)
{
    const prompt_entry *p = entry_of(b, r);
    tn_text out = { 0 };
    tn_text_add(&out, "{\"prompt\":");
    tn_text_quote(&out, p->text.s, p->text.n);
    tn_text_add(&out, ",\"text\":");
    tn_text_quote(&out, b->answers[r].text.s, b->answers[r].text.n);
    tn_text_add(&out, ",\"prompt_tokens\":%lld,\"tokens\":%lld", (long long)p->n,
                (long long)b->made[r]);
    json_real(&out, "seconds", b->seconds[r], 4);
    json_text(&out, "reason", reason(b, r));
    tn_text_add(&out, "}\n");
    show_text(&out, "an answer", b->j->e);
}

/* Plain text is shown with its prompt, which the answer continues. `held` is the state after it. */
static void show_prompt(const batch *b, int64_t r, bool shown, tn_held *held)
{
    tn_text text = { 0 };
    if (b->j->how.chat)
        return;
    tn_decode_next(b->j->s->tokenizer, b->ids[r], b->length[r], held, &text);
    if (shown)
        show_answer(&text, "a token", b->j->e);
    else
        tn_text_free(&text);
}

static void print_row(const batch *b, int64_t r)
{
    tn_text end = { 0 };
    tn_held held = { 0 };
    show_prompt(b, r, true, &held);
    tn_text_bytes(&end, b->answers[r].text.s, b->answers[r].text.n);
    tn_text_add(&end, "\n%s", b->first + r + 1 < b->j->rows ? "---\n" : "");
    show_answer(&end, "an answer", b->j->e);
}

/* Prints which rows ended because the model has no more positions. */
static void note_positions(const batch *b)
{
    const int64_t positions = b->j->s->model->positions;
    for (int64_t r = 0; r < b->rows; r++)
        if (!strcmp(reason(b, r), "positions"))
            show_note("--prompt %lld: ended after %lld token%s of --max-tokens %lld, at the end of "
                      "the model's %lld positions",
                      (long long)((b->first + r) / b->j->o->num_samples) + 1, (long long)b->made[r],
                      show_s(b->made[r]), (long long)b->j->o->max_tokens, (long long)positions);
}

static void print_rows(batch *b)
{
    const job *j = b->j;
    for (int64_t r = 0; r < b->rows && !j->e->code; r++) {
        answer_close(&b->answers[r], j->e);
        if (j->e->code)
            return;
        if (j->o->json)
            print_json(b, r);
        else if (!b->answers[r].shown)
            print_row(b, r);
        else
            show("\n");
    }
    if (!j->e->code && !j->o->quiet)
        note_positions(b);
}

static int run_batch(batch *b)
{
    const job *j = b->j;
    tn_sampling how = ask_sampling(&j->how, j->s, j->o);
    how.first_row = b->first;
    how.stop = b->stop;
    const bool shown = j->rows == 1 && !j->o->json;
    for (int64_t r = 0; r < b->rows && !j->e->code; r++) {
        b->ids[r] = entry_of(b, r)->ids;
        b->length[r] = entry_of(b, r)->n;
        b->answers[r] =
            (answer){ .tokenizer = j->s->tokenizer, .stops = j->o->stop, .shown = shown };
        show_prompt(b, r, shown && !j->e->code, &b->answers[r].held);
        if (!(b->out[r] = malloc((size_t)how.max_tokens * sizeof *b->out[r])))
            tn_fail(j->e, TN_ENOMEM, "%lld tokens: out of memory", (long long)how.max_tokens);
    }
    b->start = now_seconds();
    if (!j->e->code)
        tn_generate(j->s->model, b->rows, b->ids, b->length, &how, b->out, b->made, take_token, b,
                    j->e);
    for (int64_t r = 0; r < b->rows; r++)
        b->seconds[r] = b->made[r] ? b->seconds[r] : now_seconds() - b->start;
    print_rows(b);
    for (int64_t r = 0; r < b->rows; r++) {
        answer_free(&b->answers[r]);
        free(b->out[r]);
    }
    return j->e->code;
}

static int generate(job *j)
{
    prompts_encode(&j->prompts, &j->how, j->s, j->o, j->e);
    if (!j->e->code && __builtin_mul_overflow(j->prompts.count, j->o->num_samples, &j->rows))
        tn_fail(j->e, APP_USAGE, "--num-samples: too many");
    for (int64_t first = 0; first < j->rows && !j->e->code; first += BATCH) {
        const int64_t left = j->rows - first;
        run_batch(&(batch){ .j = j, .first = first, .rows = left < BATCH ? left : BATCH });
    }
    return j->e->code;
}

int command_generate(const options *o, tn_error *e)
{
    setup s = { 0 };
    job j = { .s = &s, .o = o, .prompts = { .flag = "--prompt" }, .e = e };
    for (int r = 0, inputs = 0; o->prompt[r]; r++)
        if (!strcmp(o->prompt[r], "-") && inputs++)
            return tn_fail(e, APP_USAGE, "--prompt -: given twice; there is one standard input");
    if (!setup_trained(&s, o, e) && !ask_begin(&j.how, &s, o, e) && !read_prompts(&j)) {
        if (!o->quiet)
            ask_tell(&j.how);
        generate(&j);
    }
    prompts_free(&j.prompts);
    ask_end(&j.how);
    setup_close(&s);
    return 0;
}
