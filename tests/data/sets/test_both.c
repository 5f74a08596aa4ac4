/* test_both.c - training and validation data that are made at once are those that are made alone.
   Records that both have are counted. */
#include "data/data.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <string.h>

enum { FILES = 3, RECORDS = 200 };

/* Records first .. first+RECORDS-1 of a series, one of them without a text. */
static char *write_records(scratch *s, const char *name, int first)
{
    tn_text out = { 0 };
    for (int i = first; i < first + RECORDS; i++)
        tn_text_add(&out, "{\"text\":\"record %d\"}\n", i);
    tn_text_add(&out, "{\"text\":\"\"}\n");
    char *path = strdup(scratch_write(s, name, out.s, out.n));
    tn_text_free(&out);
    return path;
}

/* clang-format off */
/* Files a (0..199), b (200..399) and c (150..349) and their sides in the two lists; 'A' all, 'T'
   what is not kept, 'V' what is. repeated: records of the first list that the second has, too; -1:
   some. */
static const struct row { const char *train, *valid; double share; int repeated; } rows[] = {
    { "aT", "aV", -1, 0 },
    { "aT", "aV", 0, 0 },            /* nothing is kept */
    { "aT", "aV", 0.99, 0 },
    { "aTbT", "aVbV", 0.25, 0 },
    { "aA", "bA", -1, 0 },
    { "aA", "cA", -1, 50 },          /* a folder whose parts have the same records */
    { "aAbT", "bV", 0.1, 0 },        /* a folder and a file beside it */
    { "aAcT", "cV", 0.5, -1 },       /* the same, which has records of the folder */
    { "aTbA", "cAaV", 0.1, -1 },
    { "bAaT", "cAaV", 0.1, -1 },
    { "aTbT", "aVcAbV", 0.3, -1 },
    { "aA", "", -1, 0 },
    { "", "aV", -1, 0 },
    { "aTcT", "aVcV", -1, 0 },       /* equal records of two files are on one side */
};
/* clang-format on */

typedef struct list {
    const char *paths[FILES];
    tn_side sides[FILES];
    tn_records_options o;
} list;

static void make_list(list *l, const char *text, char *const files[FILES], double share)
{
    *l = (list){ .o = { .share = share } };
    for (; *text; text += 2) {
        l->paths[l->o.count] = files[*text - 'a'];
        l->sides[l->o.count++] = text[1] == 'A'   ? TN_SIDE_ALL
                                 : text[1] == 'T' ? TN_SIDE_TRAIN
                                                  : TN_SIDE_VALID;
    }
    l->o.paths = l->paths;
    l->o.sides = l->sides;
}

START_TEST(both_are_as_one_by_one)
{
    const struct row *row = &rows[_i];
    tn_error e = { 0 };
    scratch s;
    scratch_open(&s);
    char *const files[FILES] = { write_records(&s, "a.jsonl", 0), write_records(&s, "b.jsonl", 200),
                                 write_records(&s, "c.jsonl", 150) };
    list l[2];
    make_list(&l[0], row->train, files, row->share);
    make_list(&l[1], row->valid, files, row->share);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    const tn_data_options o = { .max_length = 9 }; /* long ones are cut */
    tn_dataset *both[2];
    tn_dataset_both((const tn_records_options[2]){ l[0].o, l[1].o }, k, &o, both, &e);
    must(&e);
    for (int i = 0; i < 2; i++) {
        tn_dataset *one = l[i].o.count ? tn_dataset_files(&l[i].o, k, &o, &e) : NULL;
        const tn_data_facts a = tn_dataset_facts(both[i]), b = tn_dataset_facts(one);
        must(&e);
        ck_assert_int_eq(both[i] != NULL, one != NULL);
        ck_assert_int_eq(a.records, b.records);
        ck_assert_int_eq(a.skipped, b.skipped);
        ck_assert_int_eq(a.truncated, b.truncated);
        ck_assert_uint_eq(tn_dataset_hash(both[i], 0), tn_dataset_hash(one, 0));
        if (i == 0 && row->repeated >= 0)
            ck_assert_int_eq(a.repeated, row->repeated);
        else
            ck_assert_int_eq(a.repeated > 0, i == 0);
        tn_dataset_free(one);
        tn_dataset_free(both[i]);
    }
    tn_tokenizer_free(k);
    for (int i = 0; i < FILES; i++)
        free(files[i]);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, both_are_as_one_by_one, 0, sizeof rows / sizeof *rows);
}
