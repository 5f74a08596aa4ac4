/* test_config_used.c - config.used repeats a run, whatever its strings contain. */
#include "apps/run/config_used.h"
#include "tests/support/apps.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS = 400, LONGEST = 12 };

/* A random number below `most`, number i of this trial and row. */
static uint64_t draw(uint64_t trial, int row, uint64_t i, uint64_t most)
{
    return tn_random(7, 100 * (uint64_t)row + i / 64, (uint32_t)trial, i % 64) % most;
}

/* A random text of characters that have a meaning in config files, and other bytes. */
static char *random_text(uint64_t trial, int row, uint64_t number, bool may_be_empty)
{
    static const char odd[] = "  \"\"''##\\\\\n\r\t=:nx0a-,\x01\x1f\x7f\xEF\xBB\xBF\xC3\xA9\xFF";
    const uint64_t n = !may_be_empty + draw(trial, row, 32 * number, LONGEST);
    char *out = calloc(1, n + 1);
    for (uint64_t k = 0; k < n; k++) {
        const uint64_t c = draw(trial, row, 32 * number + k + 1, 2 * sizeof odd);
        out[k] =
            c < sizeof odd - 1 ? odd[c] : (char)(1 + draw(trial, row, 32 * number + k + 14, 255));
    }
    return out;
}

/* A random one of "a|b|c". */
static char *random_word(uint64_t trial, int row, const char *words)
{
    uint64_t n = 1;
    for (const char *s = words; *s; s++)
        n += *s == '|';
    for (uint64_t skip = draw(trial, row, 0, n); skip > 0; skip--)
        words = strchr(words, '|') + 1;
    return strndup(words, strcspn(words, "|"));
}

/* Sets option i to a random value. Texts are added to `kept`, so that they can be freed. */
static void set_row(options *o, int i, uint64_t trial, char **kept, int *n)
{
    const option *row = &options_table[i];
    void *field = (char *)o + row->offset;
    const double share = (double)draw(trial, i, 1, 1 << 30) / (1 << 30);
    o->given[i] = true;
    if (row->kind == OPTION_COUNT)
        *(int64_t *)field = (int64_t)(row->lo + floor(share * (row->hi - row->lo)));
    else if (row->kind == OPTION_REAL)
        *(double *)field = fmin(row->hi, row->lo + pow(share, 20) * (row->hi - row->lo));
    else if (row->kind == OPTION_FLAG)
        *(bool *)field = draw(trial, i, 0, 2);
    else if (row->kind == OPTION_TEXT)
        *(const char **)field = kept[(*n)++] = row->value[0] < 'a'
                                                   ? random_text(trial, i, 0, false)
                                                   : random_word(trial, i, row->value);
    for (uint64_t k = 0; row->kind == OPTION_LIST && k < draw(trial, i, 0, MAX_LIST + 1); k++)
        ((const char **)field)[k] = kept[(*n)++] = random_text(trial, i, k + 1, i != OPT_data);
}

static void compare_row(const options *a, const options *b, int i, const char *file)
{
    const option *row = &options_table[i];
    tn_text x = { 0 }, y = { 0 };
    const char *const *list = (const char *const *)((const char *)a + row->offset);
    const char *const *other = (const char *const *)((const char *)b + row->offset);
    options_value(a, i, &x);
    options_value(b, i, &y);
    ck_assert_msg(x.n == y.n && (!x.n || !memcmp(x.s, y.s, x.n)), "%s in\n%s", row->name, file);
    for (int k = 0; row->kind == OPTION_LIST && k <= MAX_LIST && (list[k] || other[k]); k++)
        ck_assert_msg(list[k] && other[k] && !strcmp(list[k], other[k]), "%s in\n%s", row->name,
                      file);
    tn_text_free(&x);
    tn_text_free(&y);
}

/* Random options of train and of compare are written and read: all are equal. */
START_TEST(gives_back_every_value)
{
    const char *name = _i ? "compare" : "train";
    const char letter = command_find(name)->letter;
    char *kept[OPTIONS * (MAX_LIST + 1)];
    scratch s;
    scratch_open(&s);
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        options o = { 0 }, back;
        int n = 0;
        tn_error e = { 0 };
        tn_text text = { 0 };
        for (int i = 0; i < OPTIONS; i++)
            if (strchr(options_table[i].commands, letter))
                set_row(&o, i, trial, kept, &n);
        config_options(&o, name, false, &text);
        char *path = strdup(scratch_write(&s, "c", text.s, text.n));
        char *words[] = { (char *)"tenon", (char *)(uintptr_t)name, (char *)"--config", path };
        options_parse(&back, command_find(name), 4, words, &e);
        ck_assert_msg(!e.code, "%s in\n%s", e.text, text.s);
        for (int i = 0; i < OPTIONS; i++)
            if (strchr(options_table[i].commands, letter) && options_table[i].class != HOST &&
                i != OPT_valid_split) /* this is written only for a .txt that exists */
                compare_row(&o, &back, i, text.s);
        options_free(&back);
        tn_text_free(&text);
        free(path);
        while (n > 0)
            free(kept[--n]);
    }
    scratch_close(&s);
}
/* clang-format off */
END_TEST

static const char *const names[] = { /* as written for printf(1) between single quotes */
    "a # b.txt", " a.txt", "a\\nb = 1.txt", "it'\\''s \\042so\\042.txt", "a\\134nb.txt",
    "a\\134 \\042 # '\\''.txt", "\\303\\251\\377.txt", "\\357\\273\\277.txt", "a\\rb\\t.txt",
    "# model = n.txt", "\\042.txt", "'\\''.txt",
};
/* clang-format on */

/* A run on a file with an odd name is repeated from its config.used alone. The files are the same,
   also those that depend on --save-every. */
START_TEST(repeats_the_run)
{
    place p = place_make();
    ck_assert_int_eq(
        shell(&p,
              "name=$(printf '%s'); cp t.txt \"$name\" && "
              "\"$T\" train --model m --tokenizer chars --data \"$name\" --iters 3 --save-every 2 "
              "--valid-split 0.2 --opt beta1=0.8 -o o >out 2>err",
              names[_i]),
        0);
    ck_assert_int_eq(shell(&p, "rm t.txt"), 0);
    ck_assert_int_eq(tenon(&p, "train --config o/config.used -o r"), 0);
    place_same(&p, "o", "r");
    ck_assert_int_eq(shell(&p, "test -d r/checkpoint-2"), 0);
    place_end(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, gives_back_every_value, 0, 2);
}

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, repeats_the_run, 0, sizeof names / sizeof *names);
}
