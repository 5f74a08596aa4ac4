/* draw.c - random choices for made-up records. */
#include "data/tasks/draw.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

tn_draws tn_draws_new(uint64_t seed, const char *maker, uint64_t index)
{
    return (tn_draws){ .seed = seed, .stream = tn_hash64(&index, sizeof index, tn_stream(maker)) };
}

uint32_t tn_draw(tn_draws *d, uint32_t n)
{
    return (uint32_t)((uint64_t)tn_random(d->seed, d->stream, 0, d->used++) * n >> 32);
}

/* Fisher and Yates' shuffle. */
static void shuffle(tn_draws *d, int *a, int n)
{
    for (int i = n; i-- > 1;) {
        const int j = (int)tn_draw(d, (uint32_t)i + 1), kept = a[i];
        a[i] = a[j];
        a[j] = kept;
    }
}

void tn_draw_fields(tn_draws *d, int fields, int take, int *order)
{
    for (int i = 0; i < fields; i++)
        order[i] = i;
    shuffle(d, order + 1, fields - 1);
    if (tn_draw(d, 2)) {
        shuffle(d, order, take);
        return;
    }
    for (int i = 1; i < take; i++) { /* insertion sort, ascending */
        for (int j = i; order[j - 1] > order[j]; j--) {
            const int kept = order[j];
            order[j] = order[j - 1];
            order[j - 1] = kept;
        }
    }
}

void tn_draw_word(tn_draws *d, int syllables, char out[TN_WORD])
{
    static const char *const onset[] = {
        "b", "c", "d", "f",  "g",  "h",  "j",  "k",  "l",  "m",  "n",  "p",  "r",  "s",  "t",  "v",
        "w", "y", "z", "br", "ch", "cl", "dr", "fl", "gr", "pl", "qu", "sh", "st", "th", "tr",
    };
    static const char *const vowel[] = { "a", "e", "i", "o",  "u",  "a",
                                         "e", "i", "o", "ai", "ea", "oo" };
    static const char *const coda[] = { "", "", "", "d", "l", "n", "r", "s" };
    enum {
        ONSETS = sizeof onset / sizeof *onset,
        VOWELS = sizeof vowel / sizeof *vowel,
        CODAS = sizeof coda / sizeof *coda
    };
    size_t n = 0;
    for (int i = 0; i < syllables && n + 6 <= TN_WORD; i++) {
        const char *first = onset[tn_draw(d, ONSETS)], *middle = vowel[tn_draw(d, VOWELS)];
        const char *last = coda[tn_draw(d, CODAS)];
        n += (size_t)snprintf(out + n, TN_WORD - n, "%s%s%s", first, middle, last);
    }
}

void tn_put(char out[TN_TASK_TEXT], const char *format, ...)
{
    const size_t used = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + used, TN_TASK_TEXT - used, format, args);
    va_end(args);
}
