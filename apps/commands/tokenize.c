/* tokenize.c - tenon tokenize: the ids and pieces of texts, or how many tokens they have. */
#define _GNU_SOURCE /* memmem */
#include "apps/run/input.h"
#include "apps/run/run.h"
#include "apps/report/show.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MOST = 1 << 30 };

/* The ids of a text. */
typedef struct tokens {
    int32_t *ids;
    int64_t n, room;
} tokens;

/* A line of a token: its id, and its text as a JSON string, or its bytes if it is a part of a
   character. */
static void add_piece(const tn_tokenizer *k, int32_t id, tn_text *out, tn_error *e)
{
    static const char wrong[] = "\xEF\xBF\xBD";
    tn_text piece = { 0 }, quoted = { 0 };
    tn_decode_token(k, id, true, &piece);
    const char *bytes = tn_text_done(&piece, "the tokens", e);
    tn_text_quote(&quoted, bytes ? bytes : "", piece.n);
    const char *text = tn_text_done(&quoted, "the tokens", e);
    tn_text_add(out, "%8d  ", id);
    if (bytes && text && memmem(text, quoted.n, wrong, 3) && !memmem(bytes, piece.n, wrong, 3))
        for (size_t i = 0; i < piece.n; i++)
            tn_text_add(out, "%s%02X", i ? " " : "bytes ", (unsigned char)bytes[i]);
    else
        tn_text_join(out, &quoted);
    tn_text_add(out, "\n");
    tn_text_free(&piece);
    tn_text_free(&quoted);
}

static void print_tokens(const tn_tokenizer *k, const options *o, const tokens *t, tn_error *e)
{
    tn_text out = { 0 };
    if (o->only_count)
        tn_text_add(&out, "%lld\n", (long long)t->n);
    for (int64_t i = 0; i < t->n && !o->only_count && !e->code; i++) {
        if (o->ids)
            tn_text_add(&out, "%s%d", i ? " " : "", t->ids[i]);
        else
            add_piece(k, t->ids[i], &out, e);
    }
    if (o->ids && !o->only_count)
        tn_text_add(&out, "\n");
    show_answer(&out, "the tokens", e);
}

/* Appends a token that the tokenizer puts around a text; -1: none. */
static void add_token(tokens *t, int32_t id, tn_error *e)
{
    if (id < 0 || e->code)
        return;
    int32_t *more = t->n < t->room ? t->ids : realloc(t->ids, (size_t)(t->n + 1) * sizeof *more);
    if (more == NULL) {
        tn_fail(e, TN_ENOMEM, "out of memory");
        return;
    }
    t->ids = more;
    t->room = t->n < t->room ? t->room : t->n + 1;
    t->ids[t->n++] = id;
}

/* Encodes a text and prints its tokens. where: its file, or the option. */
static int print_text(const tn_tokenizer *k, const options *o, const char *where, tn_span text,
                      tn_error *e)
{
    tokens t = { 0 };
    tn_error inner = { 0 };
    add_token(&t, o->special ? tn_tokenizer_begin(k) : -1, &inner);
    (o->special ? tn_encode_template : tn_encode)(k, text.s, text.n, &t.ids, &t.n, &t.room, NULL,
                                                  &inner);
    add_token(&t, o->special ? tn_tokenizer_after(k) : -1, &inner);
    if (inner.code)
        tn_fail(e, inner.code, "%s: %s", where, inner.text);
    else
        print_tokens(k, o, &t, e);
    free(t.ids);
    return e->code;
}

static int print_prompt(const tn_tokenizer *k, const options *o, const char *prompt, tn_error *e)
{
    tn_text text = { 0 };
    if (!strcmp(prompt, "-"))
        input_read(&text, e);
    else
        tn_text_add(&text, "%s", prompt);
    const char *bytes = tn_text_done(&text, "--prompt", e);
    if (bytes != NULL && !e->code)
        print_text(k, o, "--prompt", (tn_span){ bytes, text.n }, e);
    tn_text_free(&text);
    return e->code;
}

static int print_file(const tn_tokenizer *k, const options *o, const char *path, tn_error *e)
{
    size_t size = 0;
    if (!strcmp(path, "-"))
        return print_prompt(k, o, path, e);
    char *text = tn_text_read(path, FILE_MOST, &size, e);
    if (text != NULL)
        print_text(k, o, path, (tn_span){ text, size }, e);
    free(text);
    return e->code;
}

int command_tokenize(const options *o, tn_error *e)
{
    if (o->arguments == (o->prompt[0] != NULL))
        return tn_fail(e, APP_USAGE, "%s; expected a FILE or --prompt TEXT",
                       o->arguments ? "a file and --prompt" : "no text");
    tn_tokenizer *k = tn_tokenizer_open(o->model, e);
    if (k != NULL && o->arguments)
        print_file(k, o, o->argument[0], e);
    for (int i = 0; k != NULL && o->prompt[i] != NULL && !e->code; i++)
        print_prompt(k, o, o->prompt[i], e);
    tn_tokenizer_free(k);
    return 0;
}
