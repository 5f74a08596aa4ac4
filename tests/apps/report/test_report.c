/* test_report.c - log.csv and the event file of TensorBoard: their bytes, and after a resume. */
#include "apps/report/events.h"
#include "tests/support/apps.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

static void same_hex(const tn_text *t, size_t from, const char *hex)
{
    tn_text is = { 0 };
    for (size_t i = from; i < t->n; i++)
        tn_text_add(&is, "%02x", (unsigned)(unsigned char)t->s[i]);
    ck_assert_str_eq(is.s, hex);
    tn_text_free(&is);
}

/* Bytes that tensorflow's writer makes: the first record, and one of a number, whose Event was
   encoded by the package protobuf. */
START_TEST(bytes_are_those_of_others)
{
    tn_text t = { 0 };
    events_version(0, &t);
    same_hex(&t, 0,
             "1800000000000000a37f4b22"
             "0900000000000000001a0d627261696e2e4576656e743a32"
             "eedf28a3");
    const size_t first = t.n;
    events_number(1.5, 300, "train/loss", 0.25, &t);
    same_hex(&t, first,
             "2100000000000000017becf609000000000000f83f10ac022a130a110a0a7472"
             "61696e2f6c6f7373150000803e6557981f");
    ck_assert_uint_eq(events_whole(t.s, t.n), t.n);
    for (size_t n = 0; n < t.n; n++)
        ck_assert_uint_eq(events_whole(t.s, n), n < first ? 0 : first);
    for (size_t i = first; i < t.n; i++) { /* a changed byte ends what is whole */
        t.s[i] ^= 4;
        ck_assert_uint_eq(events_whole(t.s, t.n), first);
        t.s[i] ^= 4;
    }
    tn_text_free(&t);
}
END_TEST

#define RUN                                                                                        \
    "train --model m --tokenizer chars --data t.txt --iters 8 --steps-per-report 1 --steps-per-eval 3 --progress none --save-every 4 "

/* log.csv has the numbers of log.jsonl, and no step twice after a resume from an older checkpoint. */
START_TEST(csv_has_each_step_once)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, RUN "-o o --report-to csv,tensorboard"), 0);
    ck_assert_int_eq(
        shell(&p,
              "cut -d , -f 1,2,4,5 o/log.csv | tail -n +2 >a; "
              "sed -n 's/.*split\":\"\\([a-z]*\\)\",\"step\":\\([0-9]*\\),.*\"loss\":\\([^,]*\\),"
              "\"learning_rate\":\\([^,]*\\),.*/\\1,\\2,\\3,\\4/p; s/.*split\":\"valid\",\"step\":"
              "\\([0-9]*\\),\"loss\":\\([^,]*\\),.*/valid,\\1,\\2,/p' o/log.jsonl | cmp - a && "
              "test $(wc -l <a) = 12"),
        0);
    ck_assert_int_eq(shell(&p, "awk -F , 'NF != 14' o/log.csv | grep -c .  >n; test $(cat n) = 0"),
                     0);
    ck_assert_int_eq(
        shell(&p, "rm -r o/checkpoint-8 o/checkpoint-6 o/best; printf 'train,8' >>o/log.csv; "
                  "printf xx >>"
                  "o/" EVENTS_FILE "; cp o/" EVENTS_FILE " before"),
        0);
    ck_assert_int_eq(tenon(&p, RUN "-o o --report-to csv,tensorboard --resume"), 0);
    ck_assert_int_eq(shell(&p, "cut -d , -f 1,2,4,5 o/log.csv | tail -n +2 | cmp - a"), 0);
    size_t size;
    tn_error e = { 0 };
    char *bytes = tn_file_read("o/" EVENTS_FILE, 1 << 20, &size, &e);
    must(&e);
    ck_assert_uint_eq(events_whole(bytes, size), size); /* the two bytes are gone */
    free(bytes);
    place_end(&p);
}
END_TEST

typedef struct row {
    const char *to;
    int status;
    const char *check;
} row;

static const row rows[] = {
    { "", 0, "test -e o/log.csv -a ! -e o/" EVENTS_FILE },
    { "--report-to jsonl", 0, "test ! -e o/log.csv -a -e o/log.jsonl" },
    { "--report-to none", 0, "test ! -e o/log.csv -a -e o/log.jsonl" },
    { "--report-to tensorboard", 0, "test ! -e o/log.csv -a -e o/" EVENTS_FILE },
    { "--report-to wandb", 2, "grep -q 'expected jsonl, csv, tensorboard or none' err" },
    { "--report-to csv,wand", 2, "grep -q '\"wand\": expected' err" },
};

START_TEST(files_that_are_asked_for)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, RUN "-o o %s", rows[_i].to), rows[_i].status);
    ck_assert_int_eq(shell(&p, "%s", rows[_i].check), 0);
    if (!rows[_i].status) /* a later run replaces them all */
        ck_assert_int_eq(tenon(&p, RUN "-o o --overwrite --seed 3 %s", rows[_i].to), 0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, bytes_are_those_of_others);
    tcase_add_test(c, csv_has_each_step_once);
    tcase_add_loop_test(c, files_that_are_asked_for, 0, sizeof rows / sizeof *rows);
}
