/* source_tokenizer.c - makes a tokenizer from the data of a run (source.h). */
#include "apps/run/letters.h"
#include "apps/run/pieces.h"

#include <string.h>

/* Adds the characters of all records, but no other members of the file. */
static void add_records(const char *path, tn_record_format format, letters *out, tn_error *e)
{
    tn_jsonl *file = tn_jsonl_open(path, format, e);
    tn_jsonl_record r;
    while (file && tn_jsonl_next(file, &r, e)) {
        const tn_span rejected = { r.rejected.s ? r.rejected.s : "", r.rejected.n };
        if (memchr(r.prompt.s, 0, r.prompt.n) || memchr(r.text.s, 0, r.text.n) ||
            memchr(rejected.s, 0, rejected.n)) {
            tn_fail(e, TN_EFORMAT, "%s:%lld: the character U+0000; expected text for a vocabulary",
                    path, (long long)r.line);
            break;
        }
        letters_add(out, path, r.prompt.s, r.prompt.n, 0, e);
        letters_add(out, path, r.text.s, r.text.n, 0, e);
        letters_add(out, path, rejected.s, rejected.n, 0, e);
    }
    tn_jsonl_close(file);
}

/* Adds the characters for a vocabulary: printable ASCII for a task, all of a text, or the records
   of the training part, with those that are kept for validation. */
static void add_data(const options *o, letters *out, tn_error *e)
{
    pieces p;
    pieces_find(o, PART_TRAIN, &p, e);
    for (int i = 0; i < p.n && !e->code; i++) {
        const piece *at = &p.piece[i];
        if (at->kind == DATA_TOKENS)
            tn_fail(e, APP_USAGE,
                    "%s: token ids have no characters; expected --tokenizer bytes or a model's",
                    at->path);
        if (at->kind == DATA_TEXT)
            letters_add_file(out, at->path, e);
        else if (at->kind == DATA_RECORDS)
            add_records(at->path, tn_record_format_find(o->data_format), out, e);
        for (char c = '\n'; c <= '~' && at->kind == DATA_TASK; c = c == '\n' ? ' ' : (char)(c + 1))
            letters_add(out, "task", &c, 1, 0, e);
    }
    pieces_free(&p);
}

tn_tokenizer *data_tokenizer(const options *o, tn_error *e)
{
    char name[DATA_NAME];
    if (!strcmp(o->tokenizer, "bytes"))
        return tn_tokenizer_bytes(e);
    tn_error inner = { 0 };
    letters seen = letters_begin(e);
    if (!e->code)
        add_data(o, &seen, e);
    tn_tokenizer *k = e->code ? NULL : letters_tokenizer(&seen, &inner);
    if (inner.code)
        tn_fail(e, inner.code, "%s: %s", data_name(o, name), inner.text);
    letters_end(&seen);
    return k;
}
