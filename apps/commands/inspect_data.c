/* inspect_data.c - prints records as training sees them: the tokens with and without loss. */
#include "apps/commands/inspect.h"
#include "apps/run/setup.h"
#include "apps/run/show.h"

#include <stdlib.h>

enum { SHOWN_RECORDS = 3, SHOWN_TOKENS = 200 };

/* Prints the text of n ids of a record from id `from` on. An id without text is a number. */
static void print_tokens(const tn_tokenizer *k, const tn_dataset *d, int64_t record, int64_t from,
                         int64_t n, tn_error *e)
{
    int32_t ids[SHOWN_TOKENS];
    const int64_t shown = n < SHOWN_TOKENS ? n : SHOWN_TOKENS;
    tn_text text = { 0 };
    tn_dataset_ids(d, record, from, shown, ids);
    for (int64_t i = 0; i < shown; i++) {
        const size_t before = text.n;
        tn_decode_token(k, ids[i], true, &text); /* a character may be several ids */
        if (text.n == before)
            tn_text_add(&text, "<%d>", ids[i]);
    }
    const char *whole = tn_text_done(&text, "a record", e);
    show("%s", whole ? whole : "");
    tn_text_free(&text);
    if (n > SHOWN_TOKENS)
        show("... %lld more", (long long)(n - SHOWN_TOKENS));
}

/* Prints a record in parts, which carry loss or do not. */
static void print_parts(const tn_dataset *d, const tn_tokenizer *k, int64_t record, int64_t length,
                        tn_error *e)
{
    bool *learnt = calloc((size_t)length + 1, sizeof *learnt);
    int64_t without = 0;
    if (!learnt) {
        tn_fail(e, TN_ENOMEM, "a record: out of memory");
        return;
    }
    tn_dataset_learnt(d, record, 0, length, learnt);
    if (length > 1) /* nothing predicts the first; it is shown with what follows */
        learnt[0] = learnt[1];
    for (int64_t i = 0; i < length; i++)
        without += !learnt[i];
    show(", %lld without loss\n", (long long)without);
    for (int64_t from = 0, to; from < length && !e->code; from = to) {
        for (to = from; to < length && learnt[to] == learnt[from];)
            to++;
        show(learnt[from] ? "  with     " : "  without  ");
        print_tokens(k, d, record, from, to - from, e);
        show("\n");
    }
    free(learnt);
}

static void print_records(const tn_dataset *d, const tn_tokenizer *k, int64_t count, tn_error *e)
{
    const tn_data_facts f = tn_dataset_facts(d);
    show("%lld %s, %lld tokens, %lld in the loss, %lld cut, %lld skipped", (long long)f.records,
         f.text ? "windows" : "records", (long long)f.tokens, (long long)f.loss_tokens,
         (long long)f.truncated, (long long)f.skipped);
    if (f.left)
        show(", the last %lld in no window", (long long)f.left);
    show("\n");
    for (int64_t i = 0; i < f.records && i < count && !e->code; i++) {
        int64_t prompt = 0;
        const int64_t length = tn_dataset_record(d, i, &prompt);
        show("\nrecord %lld: %lld tokens", (long long)i, (long long)length);
        print_parts(d, k, i, length, e);
    }
}

int inspect_data(const options *o, tn_error *e)
{
    setup s = { 0 };
    char name[DATA_NAME];
    const part which = part_find(o->split);
    if (o->model) {
        setup_model(&s, o, 0, e);
        setup_data(&s, o, which, e);
    } else if (o->tokenizer) {
        const int64_t length = o->max_seq_length > 0 ? o->max_seq_length : 2048;
        s.tokenizer = data_tokenizer(o, e);
        s.data[which] = s.tokenizer ? data_part(o, which, s.tokenizer, length, e) : NULL;
    } else {
        tn_fail(e, APP_USAGE, "--data: expected --model or --tokenizer beside it, to make tokens");
    }
    if (!e->code && !s.data[which])
        tn_fail(e, APP_USAGE, "--data %s: has no %s part", data_name(o, name), o->split);
    if (!e->code)
        print_records(s.data[which], s.tokenizer, o->count > 0 ? o->count : SHOWN_RECORDS, e);
    setup_close(&s);
    return e->code;
}
