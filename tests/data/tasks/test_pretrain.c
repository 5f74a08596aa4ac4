/* test_pretrain.c - the records that a base model learns from. */
#include "data/data.h"
#include "tests/support/tests.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BASE = 20000, TASK = 2000, RUN = 12 };

static int by_string(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int by_run(const void *a, const void *b)
{
    return memcmp(a, b, RUN);
}

static void add(void **tree, const char *text, size_t n, int (*order)(const void *, const void *))
{
    char *kept = strndup(text, n);
    if (*(char **)tsearch(kept, tree, order) != kept)
        free(kept);
}

/* Adds every piece of RUN characters of a completion to the tree, unless it overlaps a value of the
   prompt. */
static void add_fixed(void **tree, const tn_record *r)
{
    char text[TN_TASK_TEXT];
    strcpy(text, r->completion);
    for (const char *at = r->prompt; (at = strchr(at, '[')) != NULL;) {
        char value[TN_TASK_TEXT] = "";
        sscanf(++at, "%1023[^]]", value);
        for (char *found = text; (found = strstr(found, value)) != NULL;)
            memset(found, '\1', strlen(value));
    }
    for (size_t i = 0; i + RUN <= strlen(text); i++) {
        if (memchr(text + i, '\1', RUN) == NULL)
            add(tree, text + i, RUN, by_run);
    }
}

static bool holds_run(void *const *tree, const char *text)
{
    for (size_t i = 0; i + RUN <= strlen(text); i++) {
        if (tfind(text + i, tree, by_run) != NULL)
            return true;
    }
    return false;
}

/* The base text contains no fixed text, no prompt and no field of a task. */
START_TEST(apart_from_tasks)
{
    static const char *const words[] = { "name[",   "price[", "food[",   "area[",      "near[",
                                         "family[", " plus ", " minus ", "restaurant", "; " };
    void *fixed = NULL, *prompts = NULL;
    tn_record r;
    for (int t = 0; tn_tasks[t] != NULL; t++) {
        for (uint64_t i = 0; i < TASK; i++) {
            tn_tasks[t]->record(1, i, &r);
            add_fixed(&fixed, &r);
            add(&prompts, r.prompt, strlen(r.prompt), by_string);
        }
    }
    ck_assert(tfind(" that welcomes families", &fixed, by_run) != NULL); /* the search works */
    ck_assert(tfind(" restaurant in the ", &fixed, by_run) != NULL);
    for (uint64_t i = 0; i < BASE; i++) {
        tn_base_record(1, i, i % 3 == 0, &r);
        if (holds_run(&fixed, r.prompt) || holds_run(&fixed, r.completion) ||
            tfind(r.prompt, &prompts, by_string) != NULL)
            ck_abort_msg("%s|%s", r.prompt, r.completion);
        for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
            if (strstr(r.prompt, words[w]) || strstr(r.completion, words[w]))
                ck_abort_msg("%s in %s|%s", words[w], r.prompt, r.completion);
        }
    }
    tdestroy(fixed, free);
    tdestroy(prompts, free);
}
END_TEST

/* A record has the form of the tasks and the promised length. The sentence has every value of the
   prompt. */
START_TEST(form)
{
    const bool short_only = _i;
    int generic = 0;
    for (uint64_t i = 0; i < 5000; i++) {
        tn_record r, again;
        tn_base_record(7, i, short_only, &r);
        tn_base_record(7, i, short_only, &again);
        ck_assert(!strcmp(r.prompt, again.prompt) && !strcmp(r.completion, again.completion));
        const size_t p = strlen(r.prompt), c = strlen(r.completion);
        ck_assert(p > 3 && !strcmp(r.prompt + p - 3, " =>") && r.completion[0] == ' ' &&
                  r.completion[c - 1] == '.');
        ck_assert_uint_lt(p + c, short_only ? 90 : 250);
        for (const char *at = r.prompt; (at = strchr(at, '[')) != NULL;) {
            char value[64] = "";
            ck_assert_int_eq(sscanf(++at, "%63[^]]", value), 1);
            ck_assert_msg(strstr(r.completion, value) != NULL, "%s|%s", r.prompt, r.completion);
        }
        ck_assert_ptr_null(strpbrk(r.completion, "[]*@~&#|"));
        generic += strstr(r.completion, " has ") != NULL;
    }
    ck_assert_msg(generic > 1500 && generic < 2500, "%d", generic);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, apart_from_tasks);
    tcase_add_loop_test(c, form, 0, 2);
}
