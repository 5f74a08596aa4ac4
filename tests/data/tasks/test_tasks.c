/* test_tasks.c - every task: its records, its splits, its score. */
#include "data/data.h"
#include "tests/support/tests.h"

#include <ctype.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TASKS = 4, RECORDS = 1000 };

static bool is_ascii(const char *s)
{
    while (*s >= ' ' && *s <= '~')
        s++;
    return *s == '\0';
}

START_TEST(registry)
{
    int n = 0;
    for (; tn_tasks[n] != NULL; n++) {
        ck_assert_ptr_eq(tn_task_find(tn_tasks[n]->name), tn_tasks[n]);
        ck_assert(strlen(tn_tasks[n]->title) > 10);
    }
    ck_assert_int_eq(n, TASKS);
    ck_assert_ptr_null(tn_task_find("restaurants"));
}
END_TEST

/* The form of a record, its score, and the score of a completion with one character changed. */
START_TEST(records)
{
    const tn_task *k = tn_tasks[_i];
    for (uint64_t i = 0; i < RECORDS; i++) {
        tn_record r, again;
        k->record(3, i, &r);
        k->record(3, i, &again);
        ck_assert(!strcmp(r.prompt, again.prompt) && !strcmp(r.completion, again.completion));
        const size_t p = strlen(r.prompt), c = strlen(r.completion);
        ck_assert_msg(p > 8 && c > 1 && !strcmp(r.prompt + p - 3, " =>"), "%s", r.prompt);
        ck_assert(r.completion[0] == ' ' && r.completion[c - 1] != ' ');
        ck_assert_ptr_null(strstr(r.completion, "  "));
        ck_assert(is_ascii(r.prompt) && is_ascii(r.completion));
        ck_assert_int_lt((int)(p + c), 250);
        tn_score s = k->score(&r, r.completion);
        ck_assert_msg(s.exact && s.parts >= 1, "%s|%s", r.prompt, r.completion);
        again.completion[tn_random(4, 0, 0, i) % c] ^= 1;
        s = k->score(&r, again.completion);
        ck_assert(!s.exact && s.parts >= 0 && s.parts <= 1);
        ck_assert(!k->score(&r, "").exact && k->score(&r, "").parts < 1e-9);
        ck_assert(!k->score(&r, strcat(again.completion, " ")).exact);
    }
}
END_TEST

static int by_string(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* No prompt is in two splits, and asking for a record twice gives the same record. */
START_TEST(splits)
{
    static const char *const split[] = { "train", "valid", "test" };
    static const int64_t count[] = { 4 * RECORDS, RECORDS, RECORDS };
    const tn_task *k = tn_tasks[_i];
    void *seen = NULL; /* a tree of prompts, each followed by the number of its split */
    tn_record r, again;
    for (int s = 0; s < 3; s++) {
        for (int64_t i = 0; i < count[s]; i++) {
            ck_assert_int_eq(tn_task_record(k, 3, split[s], (uint64_t)i, &r), 0);
            const size_t n = strlen(r.prompt);
            char *kept = malloc(n + 2);
            memcpy(kept, r.prompt, n + 1);
            kept[n + 1] = (char)s;
            const char *const *found = tsearch(kept, &seen, by_string);
            ck_assert_msg((*found)[n + 1] == s, "%s is in %s and elsewhere", kept, split[s]);
            if (*found != kept)
                free(kept);
        }
        ck_assert_int_eq(tn_task_record(k, 3, split[s], (uint64_t)count[s] - 1, &again), 0);
        ck_assert_str_eq(r.prompt, again.prompt);
        ck_assert_str_eq(r.completion, again.completion);
        ck_assert_int_eq(tn_task_record(k, 4, split[s], (uint64_t)count[s] - 1, &again), 0);
        ck_assert_str_ne(r.prompt, again.prompt);
    }
    ck_assert_int_eq(tn_task_record(k, 3, "dev", 0, &r), TN_EARG);
    tdestroy(seen, free);
}
END_TEST

static int by_int(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* The median is near 150 characters. */
START_TEST(restaurant_lengths)
{
    int length[RECORDS];
    tn_record r;
    for (int i = 0; i < RECORDS; i++) {
        tn_task_record(tn_task_find("restaurant"), 1, "train", (uint64_t)i, &r);
        length[i] = (int)(strlen(r.prompt) + strlen(r.completion));
    }
    qsort(length, RECORDS, sizeof *length, by_int);
    ck_assert_int_gt(length[RECORDS / 2], 140);
    ck_assert_int_lt(length[RECORDS / 2], 165);
}
/* clang-format off */
END_TEST

static const struct part {
    const char *prompt, *completion, *answer;
    bool exact;
    double parts;
} parts[] = {
    { "name[A B], food[Thai], near[C] =>", " A B is a Thai restaurant near C.", " A B is a Thai restaurant near C.", 1, 1 },
    { "name[A B], food[Thai], near[C] =>", " A B is a Thai restaurant near C.", " A B is a Thai pub near Cd.", 0, 2 / 3.0 },
    { "name[A B], food[Thai], near[C] =>", " A B is a Thai restaurant near C.", " A C is a Thais pub near C.", 0, 1 / 3.0 },
    { "name[A], family[yes] =>", " A is a restaurant that welcomes families.", " A is a restaurant for adults only.", 0, 0.5 },
    { "family[no], name[A] =>", " A is a restaurant for adults only.", " A is a pub for adults only.", 0, 1 },
    { "area[old town], name[A] =>", " A is a restaurant in the old town.", " A is a restaurant in the town.", 0, 0.5 },
};
/* clang-format on */

START_TEST(restaurant_parts)
{
    const struct part *p = &parts[_i];
    tn_record r;
    strcpy(r.prompt, p->prompt);
    strcpy(r.completion, p->completion);
    const tn_score s = tn_task_find("restaurant")->score(&r, p->answer);
    ck_assert_int_eq(s.exact, p->exact);
    ck_assert_double_eq_tol(s.parts, p->parts, 1e-12);
}
END_TEST

/* The same facts always give the same sentence. The order of the fields in the prompt does not
   matter. */
START_TEST(restaurant_is_canonical)
{
    static const char *const keys[] = { "name", "price", "food", "area", "near", "family" };
    int shuffled = 0;
    for (uint64_t i = 0; i < RECORDS; i++) {
        tn_record r;
        char sentence[TN_TASK_TEXT] = "", value[6][64] = { "" };
        const char *last = r.prompt;
        tn_task_find("restaurant")->record(8, i, &r);
        for (int k = 0; k < 6; k++) {
            char opening[16];
            snprintf(opening, sizeof opening, "%s[", keys[k]);
            const char *at = strstr(r.prompt, opening);
            if (at != NULL)
                sscanf(strchr(at, '[') + 1, "%63[^]]", value[k]);
            shuffled += at != NULL && at < last;
            last = at != NULL ? at : last;
        }
        const char *next = *value[1] ? value[1] : *value[2] ? value[2] : "r";
        snprintf(sentence, sizeof sentence, " %s is %s%s%s%s%s restaurant%s%s%s%s%s.", value[0],
                 strchr("aeioAEIO", *next) ? "an" : "a", *value[1] ? " " : "", value[1],
                 *value[2] ? " " : "", value[2], *value[3] ? " in the " : "", value[3],
                 *value[4] ? " near " : "", value[4],
                 !*value[5]         ? ""
                 : *value[5] == 'y' ? " that welcomes families"
                                    : " for adults only");
        ck_assert_str_eq(sentence, r.completion);
    }
    ck_assert_int_gt(shuffled, RECORDS / 4);
}
END_TEST

/* The value of a number in words. -1 if the words are no number. */
static int number(const char *words)
{
    static const char *const small[] = { "zero",    "one",     "two",       "three",    "four",
                                         "five",    "six",     "seven",     "eight",    "nine",
                                         "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                                         "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
                                         "twenty",  "thirty",  "forty",     "fifty",    "sixty",
                                         "seventy", "eighty",  "ninety",    "hundred" };
    int sum = 0;
    char copy[64], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok_r(copy, " -", &rest); w != NULL; w = strtok_r(NULL, " -", &rest)) {
        int i = 0;
        while (i < 29 && strcmp(w, small[i]))
            i++;
        if (i == 29)
            return -1;
        sum = i == 28 ? sum * 100 : sum + (i <= 20 ? i : 10 * (i - 18));
    }
    return sum;
}

START_TEST(arithmetic)
{
    int large = 0;
    for (uint64_t i = 0; i < 5 * RECORDS; i++) {
        tn_record r;
        char a[64], b[64], sign[8];
        tn_task_find("arithmetic")->record(8, i, &r);
        ck_assert_int_eq(sscanf(r.prompt, "%63s %7s %63s =>", a, sign, b), 3);
        const int sum = number(a) + (*sign == 'p' ? number(b) : -number(b));
        ck_assert(number(a) >= 0 && number(b) >= 0);
        ck_assert_msg(number(r.completion + 1) == sum, "%s|%s", r.prompt, r.completion);
        large += sum >= 100;
    }
    ck_assert_int_gt(large, RECORDS / 2);
}
END_TEST

START_TEST(lookup)
{
    for (uint64_t i = 0; i < RECORDS; i++) {
        tn_record r;
        char key[64], pair[64 + TN_TASK_TEXT];
        int keys = 0, pairs = 0;
        tn_task_find("lookup")->record(8, i, &r);
        ck_assert_int_eq(sscanf(strchr(r.prompt, ';') + 2, "%63s", key), 1);
        snprintf(pair, sizeof pair, "%s:%s", key, r.completion);
        for (const char *at = r.prompt; (at = strstr(at, key)) != NULL; at++) {
            keys += (at == r.prompt || at[-1] == ' ') && at[strlen(key)] == ':';
            pairs += (at == r.prompt || at[-1] == ' ') && !strncmp(at, pair, strlen(pair));
        }
        ck_assert_msg(keys == 1 && pairs == 1, "%s|%s", r.prompt, r.completion);
    }
}
END_TEST

/* An answer names only what its question names: the order and the thing. Nothing of the tables'
   marks is left. */
START_TEST(support)
{
    int orders = 0;
    for (uint64_t i = 0; i < RECORDS; i++) {
        tn_record r;
        char order[6] = "";
        tn_task_find("support")->record(8, i, &r);
        const char *digits = strpbrk(r.completion, "0123456789");
        if (digits && strspn(digits, "0123456789") == 5) {
            memcpy(order, digits, 5);
            ck_assert_msg(strstr(r.prompt, order) != NULL, "%s|%s", r.prompt, r.completion);
            orders++;
        }
        const char *bike = strstr(r.completion, "bike");
        ck_assert_msg(!bike || strstr(r.prompt, "bike"), "%s|%s", r.prompt, r.completion);
        ck_assert_ptr_null(strpbrk(r.prompt, "{}"));
        ck_assert_ptr_null(strpbrk(r.completion, "{}"));
    }
    ck_assert_int_gt(orders, RECORDS / 4);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, registry);
    tcase_add_loop_test(c, records, 0, TASKS);
    tcase_add_loop_test(c, splits, 0, TASKS);
    tcase_add_test(c, restaurant_lengths);
    tcase_add_loop_test(c, restaurant_parts, 0, sizeof parts / sizeof *parts);
    tcase_add_test(c, restaurant_is_canonical);
    tcase_add_test(c, arithmetic);
    tcase_add_test(c, lookup);
    tcase_add_test(c, support);
}
