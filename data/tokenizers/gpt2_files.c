/* gpt2_files.c - reads GPT-2's vocab.json and merges.txt.

   vocab.json is {"token": id, ...}. merges.txt may begin with a line "#version: ...", then has one
   merge "a b" per line in order of rank. "<|endoftext|>" is the end token. */
#include "data/tokenizers/readers.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 256 << 20 };

/* The lines of the text; *merges becomes their number. */
static int read_merges(tn_reader r, const char *text, size_t size, tn_parts_of *p)
{
    int64_t lines = 1, line = 0;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    p->merge = malloc((size_t)lines * sizeof *p->merge);
    if (p->merge == NULL)
        return tn_fail(r.e, TN_ENOMEM, "%s: out of memory", r.path);
    for (size_t at = 0, n; at < size; at += n + 1) {
        const char *end = memchr(text + at, '\n', size - at);
        n = end ? (size_t)(end - text) - at : size - at;
        const size_t kept = n - (n > 0 && text[at + n - 1] == '\r');
        const bool version = line++ == 0 && kept >= 9 && !memcmp(text + at, "#version:", 9);
        if (version || kept == 0)
            continue;
        if (!tn_merge_of_text(text + at, kept, &p->merge[p->merges++]))
            return tn_fail(r.e, TN_EFORMAT,
                           "%s:%lld: a line without two parts; expected a merge \"a b\"", r.path,
                           (long long)line);
    }
    return TN_OK;
}

static int find_end(tn_parts_of *p)
{
    static const char end[] = "<|endoftext|>";
    for (int64_t id = 0; id < p->size; id++) {
        if (p->token[id].n != strlen(end) || memcmp(p->token[id].s, end, strlen(end)) != 0)
            continue;
        p->added[p->n_added++] = (tn_added){ .id = (int32_t)id, .special = true };
        p->type[id] = TN_TOKEN_CONTROL;
    }
    return TN_OK;
}

tn_tokenizer *tn_read_gpt2(tn_reader vocab, tn_reader merges)
{
    tn_parts_of p = { .path = merges.path,
                      .rules = { .byte_level = true,
                                 .split = TN_SPLIT_GPT2,
                                 .unknown = -1,
                                 .begin = -1,
                                 .after = -1 } };
    tn_tokenizer *k = NULL;
    size_t size = 0;
    const tn_json *root = tn_json_read(vocab.path, vocab.e);
    char *text = root ? tn_text_read(merges.path, MOST_BYTES, &size, merges.e) : NULL;
    if (text != NULL && !tn_parts_new(&p, root->count, 1))
        tn_fail(vocab.e, TN_ENOMEM, "%s: out of memory", vocab.path);
    else if (text != NULL && !tn_parts_vocab(vocab, &p, root, root->count) &&
             !read_merges(merges, text, size, &p) && !find_end(&p))
        k = tn_tokenizer_of(&p, vocab.e);
    tn_parts_end(&p);
    tn_json_free(root);
    free(text);
    return k;
}
