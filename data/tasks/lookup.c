/* lookup.c - a task: find a key in a list, "kel: 42, rao: 17, mi: 93; rao =>" " 17". */
#include "data/tasks/draw.h"

#include <string.h>

enum { MOST = 6 }; /* pairs */

static bool known(char key[MOST][TN_WORD], int n, const char *word)
{
    for (int i = 0; i < n; i++) {
        if (!strcmp(key[i], word))
            return true;
    }
    return false;
}

static void record(uint64_t seed, uint64_t index, tn_record *out)
{
    tn_draws d = tn_draws_new(seed, "lookup", index);
    char key[MOST][TN_WORD] = { "" };
    int value[MOST];
    const int n = 3 + (int)tn_draw(&d, MOST - 2);
    *out = (tn_record){ "", "" };
    for (int i = 0; i < n; i++) {
        do
            tn_draw_word(&d, 1, key[i]);
        while (known(key, i, key[i]));
        value[i] = 10 + (int)tn_draw(&d, 90);
        tn_put(out->prompt, "%s%s: %d", i ? ", " : "", key[i], value[i]);
    }
    const uint32_t asked = tn_draw(&d, (uint32_t)n);
    tn_put(out->prompt, "; %s =>", key[asked]);
    tn_put(out->completion, " %d", value[asked]);
}

static tn_score score(const tn_record *r, const char *answer)
{
    const bool exact = !strcmp(answer, r->completion);
    return (tn_score){ .exact = exact, .parts = exact };
}

const tn_task tn_task_lookup = {
    .name = "lookup",
    .title = "a list of keys and values and one of its keys to that key's value",
    .record = record,
    .score = score,
};
