/* tasks.c - the table of tasks, and their splits. */
#include "data/data.h"

#include <string.h>

#define TASK(name) extern const tn_task tn_task_##name;
#include "data/tasks/tasks.def"
#undef TASK

const tn_task *const tn_tasks[] = {
#define TASK(name) &tn_task_##name,
#include "data/tasks/tasks.def"
#undef TASK
    NULL
};

const tn_task *tn_task_find(const char *name)
{
    for (const tn_task *const *t = tn_tasks; name && *t != NULL; t++) {
        if (!strcmp((*t)->name, name))
            return *t;
    }
    return NULL;
}

/* A record of a split is the first of 4096 candidates that belongs to the split. If a tenth of the
   prompts belongs to it, the probability is 10^-187 that no candidate does. */
enum { CANDIDATES = 4096 };

int tn_task_record(const tn_task *k, uint64_t seed, const char *split, uint64_t index,
                   tn_record *out)
{
    static const struct {
        const char *name;
        uint64_t from, to;
    } splits[] = {
        { "train", 0, 80 },
        { "valid", 80, 90 },
        { "test", 90, 100 },
    };
    for (size_t s = 0; k && split && out && s < sizeof splits / sizeof *splits; s++) {
        for (uint64_t j = 0; !strcmp(split, splits[s].name) && j < CANDIDATES; j++) {
            k->record(seed, index * CANDIDATES + j, out);
            const uint64_t place = (tn_hash64(out->prompt, strlen(out->prompt), 0) >> 32) % 100;
            if (place >= splits[s].from && place < splits[s].to)
                return TN_OK;
        }
    }
    return TN_EARG;
}
