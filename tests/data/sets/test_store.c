/* test_store.c - arrays that grow beyond memory, and data sets that are in them.
   The same ids from memory are the oracle: their data set has never been in a file. */
#include "data/sets/dataset.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <string.h>
#include <unistd.h>

enum { PART = 1 << 20, PARTS = 70, TEXT = 34 << 20, WINDOW = 1000 };

static unsigned char byte_at(size_t i)
{
    return (unsigned char)(i % 251 + (i >> 20));
}

/* Bytes of all parts, of which the first 64 MiB were in memory before. */
START_TEST(a_store_has_what_was_added)
{
    tn_error e = { 0 };
    tn_store s = { 0 };
    unsigned char *part = malloc(PART);
    for (size_t i = 0; i < PARTS; i++) {
        for (size_t k = 0; k < PART; k++)
            part[k] = byte_at(i * PART + k);
        ck_assert_int_eq(s.file != 0, i > TN_STORE_MEMORY / PART);
        tn_store_add(&s, part, PART, &e);
    }
    tn_store_fill(&s, true, 5000, &e);
    tn_store_done(&s, &e);
    must(&e);
    ck_assert_uint_eq(s.n, (size_t)PART * PARTS + 5000);
    size_t wrong = 0;
    for (int pass = 0; pass < 2; pass++) { /* what was given back is read again */
        for (size_t i = 0; i < (size_t)PART * PARTS; i++)
            wrong += (unsigned char)s.bytes[i] != byte_at(i);
        tn_store_pass(&s, 0, s.n);
    }
    for (size_t i = (size_t)PART * PARTS; i < s.n; i++)
        wrong += s.bytes[i] != 1;
    ck_assert_uint_eq(wrong, 0);
    tn_store_free(&s);
    free(part);
}
END_TEST

/* Numbers of two bytes become the same of four: in memory, and from memory into a file. */
START_TEST(numbers_become_wider)
{
    tn_error e = { 0 };
    tn_store s = { 0 };
    const size_t n = _i ? 40 << 20 : 100001;
    uint16_t *part = malloc(n * sizeof *part);
    for (size_t i = 0; i < n; i++)
        part[i] = (uint16_t)(i * 7);
    tn_store_add(&s, part, n * sizeof *part, &e);
    ck_assert_int_eq(s.file != 0, _i);
    tn_store_widen(&s, &e);
    tn_store_done(&s, &e);
    must(&e);
    ck_assert_uint_eq(s.n, n * sizeof(int32_t));
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += ((int32_t *)(void *)s.bytes)[i] != part[i];
    ck_assert_uint_eq(wrong, 0);
    tn_store_free(&s);
    free(part);
}
END_TEST

/* A folder without room for the file is named, and nothing is lost. */
START_TEST(no_folder_for_the_file)
{
    tn_error e = { 0 };
    tn_store s = { 0 };
    char *part = calloc(PART, 1);
    setenv("TMPDIR", "/no/such/folder", 1);
    for (int i = 0; i < PARTS; i++)
        tn_store_add(&s, part, PART, &e);
    must_fail(&e, TN_EIO,
              "/no/such/folder: cannot keep the token ids of a large data set: No such file or "
              "directory; expected room for them there, or in the folder that TMPDIR names");
    tn_store_free(&s);
    free(part);
}
END_TEST

/* The batches of a loader, as a hash. */
static uint64_t batches_of(const tn_dataset *d, int64_t n)
{
    tn_error e = { 0 };
    tn_loader *l = tn_loader_new(d, &(tn_loader_options){ .batch = 8, .seed = 3 }, &e);
    must(&e);
    const uint64_t hash = tn_loader_hash(l, n);
    tn_loader_free(l);
    return hash;
}

/* A text of bytes whose ids are more than 64 MiB: the ids of its tokenizer are the bytes. */
START_TEST(a_text_in_a_file_is_that_in_memory)
{
    tn_error e = { 0 };
    scratch s;
    char *text = malloc(TEXT);
    int32_t *ids = malloc(TEXT * sizeof *ids);
    for (size_t i = 0; i < TEXT; i++) {
        text[i] = (char)('a' + tn_random(1, 1, 0, i) % 26);
        ids[i] = text[i];
    }
    scratch_open(&s);
    const char *path = scratch_write(&s, "a.txt", text, TEXT);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    const tn_data_options o = { .max_length = WINDOW };
    tn_dataset *file = tn_dataset_text(path, k, 0, 1, &o, &e);
    tn_dataset *memory = tn_dataset_tokens(ids, TEXT, &o, &e);
    must(&e);
    tn_tokenizer_free(k);
    ck_assert_int_eq(unlink(path), 0); /* neither is needed any more */
    ck_assert(file->store[TN_STORE_IDS].file && !memory->store[TN_STORE_IDS].file);
    /* no disk has room for 10^10 times as much */
    ck_assert(!tn_dataset_expect(memory, 0, 1e10, &e) && !tn_dataset_expect(file, 0, 0, &e) &&
              !tn_dataset_expect(file, file->n, 1e10, &e));
    tn_dataset_expect(file, 0, 1e10, &e);
    must_fail(&e, TN_EIO,
              " for the token ids of a large data set there, or in the folder that TMPDIR");
    ck_assert_uint_eq(tn_dataset_hash(file, 0), tn_dataset_hash(memory, 0));
    ck_assert_uint_eq(batches_of(file, 100), batches_of(memory, 100));
    tn_dataset_free(file);
    tn_dataset_free(memory);
    free(text);
    free(ids);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, a_store_has_what_was_added);
    tcase_add_loop_test(c, numbers_become_wider, 0, 2);
    tcase_add_test(c, no_folder_for_the_file);
    tcase_add_test(c, a_text_in_a_file_is_that_in_memory);
}
