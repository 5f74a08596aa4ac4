/* generate.c - tenon generate: continues or answers prompts, up to 16 of them in one batch. */
#include "apps/ask/answer.h"
#include "apps/ask/ask.h"
#include "apps/run/input.h"
#include "apps/ask/prompt.h"
#include "apps/run/run.h"
#include "apps/report/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 16, FILE_MOST = 1 << 26 };

typedef struct entry { /* a prompt */
    tn_text text;
    int32_t *ids;
    int64_t n;
} entry;

typedef struct job {
    const setup *s;
    const options *o;
    ask how;
    entry *entries;
    int64_t count, room, rows; /* rows: of all prompts, each as often as --num-samples says */
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

/* ---- prompts ---- */

static int add_entry(job *j, tn_text *text)
{
    if (j->count == j->room) {
        const int64_t room = j->room ? 2 * j->room : BATCH;
        entry *more = realloc(j->entries, (size_t)room * sizeof *more);
        if (!more) {
            tn_text_free(text);
            return tn_fail(j->e, TN_ENOMEM, "the prompts: out of memory");
        }
        j->entries = more;
        j->room = room;
    }
    j->entries[j->count++] = (entry){ .text = *text };
    return j->e->code;
}

/* Adds the lines of --prompt-file that are not blank. */
static int add_lines(job *j)
{
    size_t size, mark;
    char *all = tn_text_read(j->o->prompt_file, FILE_MOST, &size, j->e);
    mark = all ? tn_text_mark(j->o->prompt_file, all, size, j->e) : 0;
    const char *end = all ? all + size : NULL;
    for (const char *line = all ? all + mark : NULL; line && line < end && !j->e->code;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((next ? next : end) - line);
        tn_text text = { 0 };
        n -= n && line[n - 1] == '\r';
        tn_text_bytes(&text, line, n);
        if (n)
            add_entry(j, &text);
        else
            tn_text_free(&text);
        line = next ? next + 1 : NULL;
    }
    if (!j->e->code && !j->count)
        tn_fail(j->e, TN_EFORMAT, "%s: no line with a prompt", j->o->prompt_file);
    free(all);
    return j->e->code;
}

static int read_prompts(job *j)
{
    for (int r = 0; j->o->prompt[r] && !j->e->code; r++) {
        tn_text text = { 0 };
        if (!strcmp(j->o->prompt[r], "-"))
            input_read(&text, j->e);
        else
            tn_text_add(&text, "%s", j->o->prompt[r]);
        add_entry(j, &text);
    }
    return j->o->prompt_file && !j->e->code ? add_lines(j) : j->e->code;
}

/* A prompt as the user's message of a chat. */
static int encode_message(const job *j, entry *p, tn_span text, tn_error *e)
{
    const char *system = j->o->system_prompt;
    const tn_message m[] = { ask_message("system", system ? system : "",
                                         system ? strlen(system) : 0),
                             ask_message("user", text.s, text.n) };
    tn_chat_ids ids = { 0 };
    ask_messages(&j->how, m + !system, 1 + (system != NULL), &ids, e);
    p->ids = ids.ids;
    p->n = ids.n;
    free(ids.learnt);
    return e->code;
}

static int encode_prompt(const job *j, entry *p)
{
    tn_error inner = { 0 }, *e = j->e;
    prompt made = { 0 };
    const char *bytes = tn_text_done(&p->text, "--prompt", e);
    const size_t mark = bytes ? tn_text_mark("--prompt", bytes, p->text.n, e) : 0;
    const tn_span text = { bytes ? bytes + mark : "", p->text.n - mark };
    const int64_t positions = j->s->model->positions;
    if (!e->code && j->how.chat) {
        encode_message(j, p, text, &inner);
    } else if (!e->code) {
        prompt_encode(j->s->tokenizer, text, j->o->special, &made, &inner);
        p->ids = made.ids;
        p->n = made.n;
    }
    if (inner.code)
        return tn_fail(e, inner.code, "--prompt: %s", inner.text);
    if (!e->code && !p->n)
        return tn_fail(e, APP_USAGE,
                       "--prompt: empty; expected text, because the model has no end token");
    if (!e->code && p->n > positions)
        return tn_fail(e, TN_EARG, "--prompt: %lld tokens; expected at most the model's %lld",
                       (long long)p->n, (long long)positions);
    return e->code;
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

static const entry *entry_of(const batch *b, int64_t r)
{
    return &b->j->entries[(b->first + r) / b->j->o->num_samples];
}

/* {"prompt","text","prompt_tokens","tokens","seconds","reason"} */
static void print_json(const batch *b, int64_t r)
{
    const entry *p = entry_of(b, r);
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
            show_note("--prompt %lld: ended after %lld tokens of --max-tokens %lld, at the end of "
                      "the model's %lld positions",
                      (long long)((b->first + r) / b->j->o->num_samples) + 1, (long long)b->made[r],
                      (long long)b->j->o->max_tokens, (long long)positions);
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
    for (int64_t i = 0; i < j->count && !j->e->code; i++)
        encode_prompt(j, &j->entries[i]);
    if (!j->e->code && __builtin_mul_overflow(j->count, j->o->num_samples, &j->rows))
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
    job j = { .s = &s, .o = o, .e = e };
    for (int r = 0, inputs = 0; o->prompt[r]; r++)
        if (!strcmp(o->prompt[r], "-") && inputs++)
            return tn_fail(e, APP_USAGE, "--prompt -: given twice; there is one standard input");
    for (int i = 0; o->stop[i]; i++)
        if (!*o->stop[i])
            return tn_fail(e, APP_USAGE, "--stop: empty; expected a text");
    if (!setup_trained(&s, o, e) && !ask_begin(&j.how, &s, o, e) && !read_prompts(&j)) {
        if (!o->quiet)
            ask_tell(&j.how);
        generate(&j);
    }
    for (int64_t i = 0; i < j.count; i++) {
        tn_text_free(&j.entries[i].text);
        free(j.entries[i].ids);
    }
    free(j.entries);
    ask_end(&j.how);
    setup_close(&s);
    return 0;
}
