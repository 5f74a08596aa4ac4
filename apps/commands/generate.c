/* generate.c - tenon generate: continues prompts, all of them in one batch. */
#include "apps/run/input.h"
#include "apps/run/prompt.h"
#include "apps/run/run.h"
#include "apps/run/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct batch { /* prompts and their continuations */
    int64_t rows;
    int32_t *ids[MAX_LIST], *out[MAX_LIST];
    int64_t length[MAX_LIST], made[MAX_LIST];
} batch;

static int encode_prompt(const setup *s, const options *o, batch *b, int64_t r, tn_error *e)
{
    tn_text text = { 0 };
    tn_error inner = { 0 };
    prompt made = { 0 };
    if (!strcmp(o->prompt[r], "-"))
        input_read(&text, e);
    else
        tn_text_add(&text, "%s", o->prompt[r]);
    const char *bytes = tn_text_done(&text, "--prompt", e);
    const size_t mark = bytes ? tn_text_mark("--prompt", bytes, text.n, e) : 0;
    if (!e->code)
        prompt_encode(s->tokenizer, (tn_span){ bytes + mark, text.n - mark }, o->special, &made,
                      &inner);
    if (inner.code)
        tn_fail(e, inner.code, "--prompt: %s", inner.text);
    tn_text_free(&text);
    b->ids[r] = made.ids;
    b->length[r] = made.n;
    if (!e->code && !made.n)
        tn_fail(e, APP_USAGE, "--prompt: empty; expected text, because the model has no end token");
    return e->code;
}

typedef struct teller {
    const setup *s;
    tn_held held;
    tn_error *e;
} teller;

/* Shows the tokens of a single prompt as soon as they form complete characters. */
static void show_tokens(teller *t, const int32_t *ids, int64_t n)
{
    tn_text text = { 0 };
    tn_decode_next(t->s->tokenizer, ids, n, &t->held, &text);
    show_answer(&text, "a token", t->e);
    fflush(stdout);
}

static void show_token(void *arg, int64_t row, int32_t token)
{
    (void)row;
    show_tokens(arg, &token, 1);
}

static void show_end(teller *t)
{
    tn_text text = { 0 };
    tn_decode_end(&t->held, &text);
    tn_text_add(&text, "\n");
    show_answer(&text, "a token", t->e);
}

static void print_rows(const setup *s, const options *o, const batch *b, tn_error *e)
{
    for (int64_t r = 0; r < b->rows && !e->code; r++) {
        tn_text text = { 0 };
        tn_held held = { 0 };
        tn_decode_next(s->tokenizer, b->ids[r], b->length[r], &held, &text);
        tn_decode_next(s->tokenizer, b->out[r], b->made[r], &held, &text);
        tn_decode_end(&held, &text);
        tn_text_add(&text, "\n%s", r + 1 < b->rows && o->prompt[r + 1] ? "---\n" : "");
        show_answer(&text, "an answer", e);
    }
}

/* Prints which rows ended because the model has no more positions. */
static void note_positions(const setup *s, const options *o, const batch *b)
{
    const int64_t positions = s->model->positions;
    for (int64_t r = 0; r < b->rows; r++)
        if (b->made[r] == positions - b->length[r] + 1 && b->made[r] < o->max_tokens)
            show_note("--prompt %lld: ended after %lld tokens of --max-tokens %lld, at the end of "
                      "the model's %lld positions",
                      (long long)r + 1, (long long)b->made[r], (long long)o->max_tokens,
                      (long long)positions);
}

static int generate(setup *s, const options *o, batch *b, tn_error *e)
{
    const int64_t positions = s->model->positions;
    const int64_t most = o->max_tokens < positions ? o->max_tokens : positions;
    for (; o->prompt[b->rows] && !e->code; b->rows++) {
        const int64_t r = b->rows;
        if (encode_prompt(s, o, b, r, e))
            continue;
        if (b->length[r] > positions)
            return tn_fail(e, TN_EARG, "--prompt: %lld tokens; expected at most the model's %lld",
                           (long long)b->length[r], (long long)positions);
    }
    for (int64_t r = 0; r < b->rows && !e->code; r++)
        if (!(b->out[r] = malloc((size_t)most * sizeof *b->out[r])))
            tn_fail(e, TN_ENOMEM, "%lld tokens: out of memory", (long long)most);
    const int32_t end = tn_tokenizer_end(s->tokenizer);
    const tn_sampling how = { .temperature = o->temp,
                              .top_k = o->top_k,
                              .top_p = o->top_p,
                              .seed = (uint64_t)o->seed,
                              .max_tokens = most,
                              .end = &end,
                              .tape = s->tape };
    teller t = { .s = s, .e = e };
    if (!e->code && b->rows == 1)
        show_tokens(&t, b->ids[0], b->length[0]);
    if (!e->code)
        tn_generate(s->model, b->rows, (const int32_t *const *)b->ids, b->length, &how, b->out,
                    b->made, b->rows == 1 ? show_token : NULL, &t, e);
    if (!e->code && b->rows > 1)
        print_rows(s, o, b, e);
    else if (!e->code)
        show_end(&t);
    if (!e->code)
        note_positions(s, o, b);
    return e->code;
}

int command_generate(const options *o, tn_error *e)
{
    setup s = { 0 };
    batch b = { 0 };
    for (int r = 0, inputs = 0; o->prompt[r]; r++)
        if (!strcmp(o->prompt[r], "-") && inputs++)
            return tn_fail(e, APP_USAGE, "--prompt -: given twice; there is one standard input");
    if (!setup_trained(&s, o, e))
        generate(&s, o, &b, e);
    for (int r = 0; r < MAX_LIST; r++) {
        free(b.ids[r]);
        free(b.out[r]);
    }
    setup_close(&s);
    return 0;
}
