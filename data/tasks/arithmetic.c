/* arithmetic.c - sums and differences in words, "twelve plus thirty-one =>" " forty-three".
   The numbers are 0 to 99 and no difference is negative. */
#include "data/tasks/draw.h"

#include <string.h>

/* A number below 200 in words. */
static void put_number(char out[TN_TASK_TEXT], int n)
{
    static const char *const small[] = {
        "zero",     "one",     "two",     "three",     "four",     "five",     "six",
        "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    };
    static const char *const tens[] = {
        "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    };
    if (n >= 100)
        tn_put(out, n % 100 ? "one hundred " : "one hundred");
    if (n >= 100 && n % 100 == 0)
        return;
    n %= 100;
    if (n < 20)
        tn_put(out, "%s", small[n]);
    else
        tn_put(out, "%s%s%s", tens[n / 10], n % 10 ? "-" : "", n % 10 ? small[n % 10] : "");
}

static void record(uint64_t seed, uint64_t index, tn_record *out)
{
    tn_draws d = tn_draws_new(seed, "arithmetic", index);
    const int a = (int)tn_draw(&d, 100), b = (int)tn_draw(&d, 100);
    const int large = a > b ? a : b, small = a > b ? b : a;
    const bool sum = tn_draw(&d, 2);
    *out = (tn_record){ "", "" };
    put_number(out->prompt, sum ? a : large);
    tn_put(out->prompt, sum ? " plus " : " minus ");
    put_number(out->prompt, sum ? b : small);
    tn_put(out->prompt, " =>");
    tn_put(out->completion, " ");
    put_number(out->completion, sum ? a + b : large - small);
}

static tn_score score(const tn_record *r, const char *answer)
{
    const bool exact = !strcmp(answer, r->completion);
    return (tn_score){ .exact = exact, .parts = exact };
}

const tn_task tn_task_arithmetic = {
    .name = "arithmetic",
    .title = "sums and differences of numbers below one hundred, in words",
    .record = record,
    .score = score,
};
