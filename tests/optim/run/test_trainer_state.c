/* test_trainer_state.c - trainer_state.json is read as written; files with a fault are refused. */
#include "optim/run/trainer_state.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes a folder with the state of step 12. */
static char *make(double best)
{
    char *folder = temporary();
    tn_error e = { 0 };
    tn_state s = { .optimizer = "adamw",
                   .run = { .step = 12,
                            .batches = 24,
                            .tokens = 360,
                            .planned = 20,
                            .records = 7,
                            .best = best,
                            .best_step = 8,
                            .progress = 2 * best,
                            .waited = 5,
                            .options_hash = 77,
                            .data_hash = 78 },
                   .base = { .config = 79, .frozen = 80 } };
    put_file(folder, TN_STATE_WEIGHTS, "weights");
    put_file(folder, TN_STATE_MOMENTS, "moments");
    tn_state_save(folder, &s, &e);
    must(&e);
    return folder;
}

static char *read_text(const char *folder)
{
    char path[600];
    size_t size;
    tn_error e = { 0 };
    snprintf(path, sizeof path, "%s/" TN_STATE_FILE, folder);
    char *text = tn_file_read(path, 1 << 20, &size, &e);
    must(&e);
    return text;
}

START_TEST(reads_back_what_it_wrote)
{
    for (int none = 0; none < 2; none++) {
        char *folder = make(none ? (double)NAN : 1.0 / 3);
        tn_state s;
        tn_error e = { 0 };
        tn_state_load(folder, &s, &e);
        tn_state_check_files(folder, &s, &e);
        must(&e);
        ck_assert_int_eq(s.format, 5);
        ck_assert_str_eq(s.optimizer, "adamw");
        ck_assert_int_eq(s.run.step, 12);
        ck_assert_int_eq(s.run.batches, 24);
        ck_assert_int_eq(s.run.tokens, 360);
        ck_assert_int_eq(s.run.planned, 20);
        ck_assert_int_eq(s.run.records, 7);
        ck_assert(none ? isnan(s.run.best) : s.run.best == 1.0 / 3);
        ck_assert(none ? isnan(s.run.progress) : s.run.progress == 2.0 / 3);
        ck_assert_int_eq(s.run.best_step, 8);
        ck_assert_int_eq(s.run.waited, 5);
        ck_assert_uint_eq(s.run.options_hash, 77);
        ck_assert_uint_eq(s.run.data_hash, 78);
        ck_assert_uint_eq(s.base.config, 79);
        ck_assert_uint_eq(s.base.frozen, 80);
        put_file(folder, TN_STATE_MOMENTS, "momentum");
        tn_state_check_files(folder, &s, &e);
        must_fail(&e, TN_EFORMAT, TN_STATE_MOMENTS ": its checksum is");
        discard(folder);
    }
}
END_TEST

typedef struct edit { /* the value of a key is replaced; value NULL: the key is removed */
    const char *key, *value, *refusal; /* refusal NULL: accepted */
} edit;

static const edit edits[] = {
    { "step", "12", NULL },
    { "step", "0", NULL },
    { "step", "9007199254740992", NULL },
    { "step", "9007199254740993", "step is 9007199254740993; expected a whole number from 0" },
    { "step", "-12", "step is -12; expected a whole number from 0 to 2^53" },
    { "step", "99999999999999999999", "step is 99999999999999999999; expected" },
    { "step", "12.0", "step is 12.0; expected" },
    { "step", "\"12\"", "step is 12; expected" },
    { "step", "null", "step is null; expected" },
    { "step", "{}", "step is an object; expected" },
    { "step", "[12]", "step is an array; expected" },
    { "step", NULL, "step is missing" },
    { "step", "12, \"step\": 12", "step" }, /* twice */
    { "step", "12, \"spare\": 1", "spare is unknown; expected the keys of format 5" },
    { "batches", "4611686018427387904", "batches is 4611686018427387904; expected" },
    { "batches", NULL, "batches is missing" },
    { "tokens", "-1", "tokens is -1; expected" },
    { "tokens", NULL, "tokens is missing" },
    { "planned", "-1", "planned is -1; expected" },
    { "planned", NULL, "planned is missing" },
    { "records", "1e3", "records is 1e3; expected" },
    { "records", NULL, "records is missing" },
    { "best", NULL, NULL },
    { "best", "-3", NULL },
    { "best_step", "-3", "best_step is -3; expected a whole number" },
    { "best_step", NULL, "best_step is missing" },
    { "progress", NULL, NULL },
    { "progress", "[]", "progress is an array; expected a finite number" },
    { "waited", "1.5", "waited is 1.5; expected a whole number" },
    { "waited", NULL, "waited is missing" },
    { "best", "1e999", "best is 1e999; expected a finite number" },
    { "best", "\"low\"", "best is low; expected a finite number" },
    { "format", "99", "format is 99; expected 1 to 5, which this version of tenon reads" },
    { "format", "0", "format is 0; expected 1 to 5" },
    { "noises", "-1", "noises is -1; expected a whole number" },
    { "low", NULL, NULL },
    { "format", "4", "over is unknown; expected the keys of format 4" },
    { "format", "3", "best_step is unknown; expected the keys of format 3" },
    { "format", "2", "best_step is unknown; expected the keys of format 2" },
    { "format", "1", "planned is unknown; expected the keys of format 1" },
    { "format", "true", "format is true; expected 1 to 5" },
    { "format", NULL, "format is missing" },
    { "optimizer", "7", "optimizer is 7; expected the name of an optimizer" },
    { "optimizer", "\"a\\u0000b\"", "optimizer is a; expected the name" },
    { "optimizer", "\"0123456789012345678901234567890123456789012345678901234567890123\"",
      "expected the name of an optimizer" },
    { "optimizer", NULL, "optimizer is missing" },
    { "options", "\"4d\"", "options is 4d; expected a hash of 16 digits" },
    { "options", "\" 00000000000004d\"", "expected a hash of 16 digits" },
    { "options", "\"-00000000000004d\"", "expected a hash of 16 digits" },
    { "options", "77", "options is 77; expected a hash" },
    { "data", NULL, "data is missing" },
    { "config", NULL, "config is missing" },
    { "frozen", NULL, "frozen is missing" },
    { "frozen", "false", "frozen is false; expected a hash" },
    { "files", "{}", TN_STATE_WEIGHTS " is missing" },
    { "files", "[]", "files is an array; expected an object" },
    { "files",
      "{\"model.safetensors\": \"0000000000000001\", \"optimizer.safetensors\": "
      "\"0000000000000001\", \"tokenizer.json\": 1}",
      "tokenizer.json is 1; expected a hash" },
    { "files", "{\"model.safetensors\": 1}", TN_STATE_WEIGHTS " is 1; expected a hash" },
    { "files", NULL, "files is missing" },
};

/* The checksum is right each time: somebody who edits the file may compute it again. */
START_TEST(every_key_is_checked)
{
    const edit *row = &edits[_i];
    char *folder = make(0.5), *text = read_text(folder), name[64];
    tn_text out = { 0 };
    snprintf(name, sizeof name, "  \"%s\": ", row->key);
    char *at = strstr(text, name), *end = at ? strstr(at, ",\n") + 2 : NULL;
    char *checksum = strstr(text, "  \"checksum\"");
    ck_assert(at && checksum);
    *checksum = 0;
    tn_text_bytes(&out, text, (size_t)(at - text));
    if (row->value)
        tn_text_add(&out, "%s%s,\n", name, row->value);
    tn_text_add(&out, "%s", end);
    tn_text_add(&out, "  \"checksum\": \"%016" PRIx64 "\"\n}\n", tn_hash64(out.s, out.n, 0));
    put_file(folder, TN_STATE_FILE, out.s);
    tn_state s;
    tn_error e = { 0 };
    tn_state_load(folder, &s, &e);
    if (row->refusal)
        must_fail(&e, TN_EFORMAT, row->refusal);
    must(&e);
    tn_text_free(&out);
    free(text);
    discard(folder);
}
END_TEST

typedef struct text {
    const char *text, *refusal;
} text;

static const text texts[] = {
    { "", "has no checksum" },
    { "{}\n", "has no checksum" },
    { "[ 1,\n", "expected ',' or ']'" },
    { "7", "expected nothing behind the value" },
    { "{\n", "expected" },
};

START_TEST(another_text_is_refused)
{
    char *folder = make(0.5);
    tn_text out = { 0 };
    tn_state s;
    tn_error e = { 0 };
    tn_text_add(&out, "%s", texts[_i].text);
    if (_i >= 2) {
        const uint64_t hash = tn_hash64(out.s, out.n, 0);
        tn_text_add(&out, "  \"checksum\": \"%016" PRIx64 "\"\n}\n", hash);
    }
    put_file(folder, TN_STATE_FILE, out.s ? out.s : "");
    tn_state_load(folder, &s, &e);
    must_fail(&e, TN_EFORMAT, texts[_i].refusal);
    tn_text_free(&out);
    discard(folder);
}
/* clang-format off */
END_TEST

typedef struct count { const char *name; tn_run_state run; } count;
/* clang-format on */

static const count unfit[] = {
    { "step is -1", { .step = -1 } },
    { "batches is -3", { .batches = -3 } },
    { "tokens is 9007199254740993", { .tokens = 9007199254740993 } },
    { "planned is -1", { .planned = -1 } },
    { "records is -1", { .records = -1 } },
};

/* A state that could not be read again is not written. */
START_TEST(counts_out_of_range_are_not_written)
{
    char *folder = temporary(), path[600];
    tn_state s = { .optimizer = "sgd", .run = unfit[_i].run };
    tn_error e = { 0 };
    put_file(folder, TN_STATE_WEIGHTS, "weights");
    put_file(folder, TN_STATE_MOMENTS, "moments");
    tn_state_save(folder, &s, &e);
    must_fail(&e, TN_EARG, unfit[_i].name);
    snprintf(path, sizeof path, "%s/" TN_STATE_FILE, folder);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_null(f);
    discard(folder);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, reads_back_what_it_wrote);
    tcase_add_loop_test(c, every_key_is_checked, 0, sizeof edits / sizeof *edits);
    tcase_add_loop_test(c, another_text_is_refused, 0, sizeof texts / sizeof *texts);
    tcase_add_loop_test(c, counts_out_of_range_are_not_written, 0, sizeof unfit / sizeof *unfit);
}
