/* test_token_file.c - files of token ids: nanoGPT's, without a header, and llm.c's. */
#include "data/data.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <string.h>

#define BYTE(n, i) (unsigned char)((n) >> 8 * i & 255)
#define NUMBER(n) BYTE(n, 0), BYTE(n, 1), BYTE(n, 2), BYTE(n, 3)
enum { HEADER = 1024, MANY = 700000 };

static const int32_t ids[] = { 0, 1, 255, 254, 7, 200, 3 };
static const unsigned char two[] = { 0, 0, 1, 0, 255, 0, 254, 0, 7, 0, 200, 0, 3, 0 };
static const unsigned char four[] = { NUMBER(0), NUMBER(1),   NUMBER(255), NUMBER(254),
                                      NUMBER(7), NUMBER(200), NUMBER(3) };

typedef struct header {
    int mark, version, tokens;
} header;

/* clang-format off */
static const struct file {
    const header *head; const unsigned char *bytes; size_t n; const char *error;
} files[] = {
    { NULL, two, sizeof two, NULL },
    { &(header){ 20240520, 1, 7 }, two, sizeof two, NULL },
    { &(header){ 20240801, 7, 7 }, four, sizeof four, NULL },
    { &(header){ 20240520, 2, 7 }, two, sizeof two, "a.bin: version 2; expected 1" },
    { &(header){ 20240801, 1, 7 }, four, sizeof four, "a.bin: version 1; expected 7" },
    { &(header){ 20240520, 1, 8 }, two, sizeof two, "a.bin: 1038 bytes; expected 8 tokens of 2 bytes after a header of 1024" },
    { &(header){ 20240801, 7, 7 }, two, sizeof two, "a.bin: 1038 bytes; expected 7 tokens of 4 bytes" },
    { &(header){ 20240520, 1, 7 }, two, 13, "a.bin: 1037 bytes; expected 7 tokens of 2 bytes" },
    { &(header){ 20240520, 1, 6 }, two, 13, "a.bin: 1037 bytes; expected ids of 2 bytes each" },
    { NULL, two, 13, "a.bin: 13 bytes; expected ids of 2 bytes each" },
    { NULL, (const unsigned char[]){ NUMBER(9), NUMBER(8), NUMBER(0), NUMBER(6), NUMBER(5), NUMBER(4), NUMBER(3), NUMBER(2) }, 32, "a.bin: every second id is 0, as in a file of four bytes each; expected two" },
    { NULL, two, 4, "a.bin: a text of 2 tokens; expected at least 4" },
    { NULL, two, 0, "a.bin: 0 bytes" },
    { NULL, (const unsigned char[]){ 1, 0, 0, 1, 1, 1, 3, 0 }, 8, "a.bin: token 2 is 257; expected an id below 257, the size of the vocabulary" },
    { &(header){ 20240801, 7, 4 }, (const unsigned char[]){ NUMBER(1), NUMBER(2), 255, 255, 255, 255, NUMBER(3) }, 16, "a.bin: token 2 is 4294967295; expected" },
};
/* clang-format on */

/* Writes a file of the bytes behind a header; NULL: without one. */
static const char *write_file(scratch *s, const header *head, const void *bytes, size_t n)
{
    unsigned char *all = calloc(1, HEADER + n + 1);
    const unsigned char start[] = { NUMBER(head ? head->mark : 0), NUMBER(head ? head->version : 0),
                                    NUMBER(head ? head->tokens : 0) };
    const size_t begin = head ? HEADER : 0;
    if (head)
        memcpy(all, start, sizeof start);
    if (n)
        memcpy(all + begin, bytes, n);
    const char *path = scratch_write(s, "a.bin", (char *)all, begin + n);
    free(all);
    return path;
}

/* The ids are those that the same numbers in memory give, or the file is refused. */
START_TEST(ids_are_those_of_the_file)
{
    const struct file *f = &files[_i];
    const tn_data_options o = { .max_length = 3 };
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    tn_dataset *file =
        tn_dataset_token_file(write_file(&s, f->head, f->bytes, f->n), k, 0, 1, &o, &e);
    if (f->error) {
        ck_assert_msg(!file && strstr(e.text, f->error), "%s", e.text);
        e = (tn_error){ 0 };
    } else {
        tn_dataset *own = tn_dataset_tokens(ids, sizeof ids / sizeof *ids, &o, &e);
        ck_assert_msg(file && own, "%s", e.text);
        ck_assert_uint_eq(tn_dataset_hash(file, 0), tn_dataset_hash(own, 0));
        tn_dataset_free(own);
    }
    tn_dataset_free(file);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

/* Both sides of any fraction have all ids, each once; a file is read in several sections. */
START_TEST(fractions_lose_no_id)
{
    const double at[] = { 0, 1e-6, 0.3333333, 0.9, 0.99999999 };
    const tn_data_options o = { .max_length = 2 };
    unsigned char *bytes = calloc(MANY, 2);
    for (int i = 0; i < MANY; i++)
        bytes[2 * i] = (unsigned char)(i % 251);
    for (int f = 0; f < 5; f++) {
        scratch s;
        tn_error e = { 0 };
        scratch_open(&s);
        tn_tokenizer *k = tn_tokenizer_bytes(&e);
        const char *path =
            write_file(&s, _i ? &(header){ 20240520, 1, MANY } : NULL, bytes, (size_t)2 * MANY);
        int64_t n = 0;
        for (int side = 0; side < 2; side++) {
            tn_error short_one = { 0 };
            tn_dataset *d =
                tn_dataset_token_file(path, k, side ? at[f] : 0, side ? 1 : at[f], &o, &short_one);
            const tn_data_facts facts = tn_dataset_facts(d);
            int32_t first[2] = { 0, 0 };
            tn_dataset_ids(d, 0, 0, 2, first);
            const int64_t cut = (int64_t)(at[f] * MANY), begin = side ? cut : 0;
            const int64_t part = side ? MANY - cut : cut;
            ck_assert_msg(d || part < 3, "%s", short_one.text); /* fewer are no window */
            ck_assert(!d || (first[0] == begin % 251 && first[1] == (begin + 1) % 251));
            n += d ? facts.tokens : part;
            tn_dataset_free(d);
        }
        ck_assert_int_eq(n, MANY);
        tn_tokenizer_free(k);
        scratch_close(&s);
    }
    free(bytes);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, ids_are_those_of_the_file, 0, sizeof files / sizeof *files);
    tcase_add_loop_test(c, fractions_lose_no_id, 0, 2);
}
