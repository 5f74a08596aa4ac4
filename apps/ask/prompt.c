/* prompt.c - encodes a prompt (prompt.h). */
#include "apps/ask/prompt.h"

#include <stdlib.h>

static int add(prompt *p, int32_t id, tn_error *e)
{
    if (p->n == p->room) {
        int32_t *more = realloc(p->ids, (size_t)(p->room + 16) * sizeof *more);
        if (!more)
            return tn_fail(e, TN_ENOMEM, "the prompt: out of memory");
        p->ids = more;
        p->room += 16;
    }
    p->ids[p->n++] = id;
    return 0;
}

int prompt_encode(const tn_tokenizer *k, tn_span text, bool special, prompt *out, tn_error *e)
{
    const int32_t begin = tn_tokenizer_begin(k), end = tn_tokenizer_end(k);
    *out = (prompt){ 0 };
    if (begin >= 0 && add(out, begin, e))
        return e->code;
    (special ? tn_encode_template : tn_encode)(k, text.s, text.n, &out->ids, &out->n, &out->room,
                                               NULL, e);
    return !e->code && !out->n && end >= 0 ? add(out, end, e) : e->code;
}
