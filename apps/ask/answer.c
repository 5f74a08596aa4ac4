/* answer.c - finds stops in the text of an answer, and shows it (answer.h). */
#define _GNU_SOURCE /* memmem */
#include "apps/ask/answer.h"
#include "apps/report/show.h"

#include <string.h>

/* Cuts the text at the first stop that ends behind byte `from`. */
static void find_stop(answer *a, size_t from)
{
    size_t first = a->text.n;
    for (int i = 0; a->stops && a->stops[i]; i++) {
        const size_t n = strlen(a->stops[i]), begin = from + 1 > n ? from + 1 - n : 0;
        const char *at =
            begin < a->text.n ? memmem(a->text.s + begin, a->text.n - begin, a->stops[i], n) : NULL;
        if (at && (size_t)(at - a->text.s) < first)
            first = (size_t)(at - a->text.s);
    }
    a->stopped = first < a->text.n;
    a->text.n = first;
    if (a->stopped)
        a->text.s[first] = 0;
}

/* How many bytes at the end of the text may begin a stop. */
static size_t held_back(const answer *a)
{
    size_t most = 0;
    for (int i = 0; a->stops && a->stops[i]; i++) {
        size_t n = strlen(a->stops[i]) - 1;
        n = n < a->text.n ? n : a->text.n;
        while (n > most && memcmp(a->text.s + a->text.n - n, a->stops[i], n))
            n--;
        most = n > most ? n : most;
    }
    return most;
}

static void show_more(answer *a, size_t end, tn_error *e)
{
    tn_text more = { 0 };
    if (!a->shown || end <= a->done)
        return;
    tn_text_bytes(&more, a->text.s + a->done, end - a->done);
    a->done = end;
    show_answer(&more, "a token", e);
}

bool answer_add(answer *a, int32_t id, tn_error *e)
{
    const size_t before = a->text.n;
    if (a->stopped)
        return true;
    tn_decode_next(a->tokenizer, &id, 1, &a->held, &a->text);
    find_stop(a, before);
    show_more(a, a->text.n - (a->stopped ? 0 : held_back(a)), e);
    return a->stopped;
}

void answer_close(answer *a, tn_error *e)
{
    const size_t before = a->text.n;
    if (!a->stopped) {
        tn_decode_end(&a->held, &a->text);
        find_stop(a, before);
    }
    show_more(a, a->text.n, e);
    if (a->text.failed)
        tn_fail(e, TN_ENOMEM, "an answer: out of memory");
}

void answer_free(answer *a)
{
    tn_text_free(&a->text);
}
