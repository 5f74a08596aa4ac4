/* test_dataset.c - data sets of a text: what is read and refused, and the memory that they take. */
#include "data/data.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <string.h>
#include <sys/resource.h>

/* clang-format off */
typedef struct set { scratch s; tn_tokenizer *k; tn_dataset *d; tn_error e; } set;
/* clang-format on */

static void open_text(set *t, const char *text, double from, double to, tn_data_options o)
{
    *t = (set){ .k = NULL };
    scratch_open(&t->s);
    t->k = tn_tokenizer_bytes(&t->e);
    const char *path = scratch_write(&t->s, "a.txt", text, strlen(text));
    t->d = tn_dataset_text(path, t->k, from, to, &o, &t->e);
}

static void close_set(set *t)
{
    ck_assert((t->d == NULL) == (t->e.code != 0));
    tn_dataset_free(t->d);
    tn_tokenizer_free(t->k);
    scratch_close(&t->s);
}

/* Two windows share one token: the last label of the first is the first input of the second. */
START_TEST(windows)
{
    set t;
    int32_t ids[2];
    int64_t prompt;
    open_text(&t, "0123456789", 0, 1, (tn_data_options){ .max_length = 3 });
    tn_data_facts f = tn_dataset_facts(t.d);
    ck_assert(f.text && f.records == 3 && f.tokens == 10 && f.loss_tokens == 9 && f.left == 0);
    ck_assert(tn_dataset_record(t.d, 1, &prompt) == 4 && prompt == 0);
    tn_dataset_ids(t.d, 1, 2, 2, ids);
    ck_assert(ids[0] == '5' && ids[1] == '6');
    close_set(&t);
    open_text(&t, "012345678", 0, 1,
              (tn_data_options){ .max_length = 3 }); /* one token too few for a third window */
    f = tn_dataset_facts(t.d);
    ck_assert(f.records == 2 && f.left == 2); /* 8 tokens could be predicted, 6 are */
    close_set(&t);
    open_text(&t, "012", 0, 1, (tn_data_options){ .max_length = 3 });
    ck_assert_ptr_nonnull(strstr(t.e.text, "a.txt: a text of 3 tokens; expected at least 4"));
    close_set(&t);
    open_text(&t, "0123", 0, 1, (tn_data_options){ .max_length = 1 });
    ck_assert_int_eq(t.e.code, TN_EARG);
    close_set(&t);
}
END_TEST

/* A text is cut into two parts at any fraction. No byte is lost, and no character is cut. */
START_TEST(fractions)
{
    static const char marked[] = "\xEF\xBB\xBF"
                                 "ab\xE2\x82\xAC\xF0\x9F\x99\x82"
                                 "cd\xC3\xA9\xE2\x82\xAC"
                                 "efgh";
    const char *text = marked + 3,
               *whole = _i % 2 ? marked : text; /* a byte order mark changes nothing */
    const tn_data_options o = { .max_length = 2 };
    const double at = 0.25 + _i / 2 / 40.0;
    set a, b;
    open_text(&a, whole, 0, at, o);
    open_text(&b, whole, at, 1, o);
    ck_assert_msg(a.d != NULL && b.d != NULL, "%s%s", a.e.text, b.e.text);
    const int64_t first = tn_dataset_facts(a.d).tokens;
    ck_assert_int_eq(first + tn_dataset_facts(b.d).tokens, (int64_t)strlen(text));
    ck_assert_int_ne((unsigned char)text[first] & 0xC0, 0x80);
    close_set(&a);
    close_set(&b);
}
END_TEST

START_TEST(malformed_text)
{
    set t;
    open_text(&t, "0123456789\xFF", 0.5, 1, (tn_data_options){ .max_length = 3 });
    ck_assert_ptr_nonnull(strstr(t.e.text, "a.txt: byte 10: malformed UTF-8; expected text"));
    close_set(&t);
    open_text(&t, "", 0, 1, (tn_data_options){ .max_length = 3 });
    ck_assert_int_eq(t.e.code, TN_EFORMAT);
    close_set(&t);
}
END_TEST

/* A text that is shorter than a window becomes one window, if the options ask for this. */
START_TEST(short_texts)
{
    const tn_data_options o = { .max_length = 9, .short_text = true };
    set t;
    int64_t prompt;
    for (int64_t n = 0; n < 12; n++) {
        char text[16] = "0123456789abcd";
        text[n] = 0;
        open_text(&t, text, 0, 1, o);
        ck_assert_msg((t.d != NULL) == (n >= 2), "%s", t.e.text);
        if (n == 1)
            ck_assert_ptr_nonnull(
                strstr(t.e.text, "a.txt: a text of 1 token; expected at least 2"));
        if (n >= 2) {
            const tn_data_facts f = tn_dataset_facts(t.d);
            const int64_t window = n - 1 < 9 ? n - 1 : 9;
            ck_assert(f.records == 1 && f.loss_tokens == window && f.left == n - 1 - window);
            ck_assert_int_eq(tn_dataset_record(t.d, 0, &prompt), window + 1);
        }
        close_set(&t);
    }
}
/* clang-format off */
END_TEST

/* Bytes before and after the characters of a text, and what is refused. */
static const struct odd { const char *bytes; size_t n; const char *error; } odds[] = {
    { "\xEF\xBB\xBF" "0123456789", 13, NULL },
    { "0123456789", 10, NULL },
    { "01234\xEF\xBB\xBF", 8, NULL }, /* a mark elsewhere is a character: three bytes */
    { "\xEF\xBB\xBF", 3, "a.txt: a text of 0 tokens" },
    { "\xFF\xFE" "0\0001\000", 6, "a.txt: a text in UTF-16; expected UTF-8" },
    { "\xFE\xFF\0000\0001", 6, "a.txt: a text in UTF-16; expected UTF-8" },
    { "\xFF\xFE\000\0000\000\000\000", 8, "a.txt: a text in UTF-32; expected UTF-8" },
    { "\000\000\xFE\xFF\000\000\0000", 8, "a.txt: a text in UTF-32; expected UTF-8" },
    { "0\0001\0002\000", 6, "a.txt: byte 1: a zero byte; expected UTF-8 text" },
    { "0123456\000", 8, "a.txt: byte 7: a zero byte" },
};
/* clang-format on */

START_TEST(odd_texts)
{
    const struct odd *r = &odds[_i];
    const tn_data_options o = { .max_length = 3 };
    const bool marked = !strncmp(r->bytes, "\xEF\xBB\xBF", 3);
    set t = { .k = NULL };
    int32_t ids[4];
    scratch_open(&t.s);
    t.k = tn_tokenizer_bytes(&t.e);
    t.d = tn_dataset_text(scratch_write(&t.s, "a.txt", r->bytes, r->n), t.k, 0, 1, &o, &t.e);
    if (r->error) {
        ck_assert_msg(strstr(t.e.text, r->error) != NULL, "%s", t.e.text);
    } else {
        ck_assert_msg(t.d != NULL, "%s", t.e.text);
        ck_assert_int_eq(tn_dataset_facts(t.d).tokens, (int64_t)r->n - 3 * marked);
        tn_dataset_ids(t.d, 0, 0, 4, ids);
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(ids[i], '0' + i);
    }
    close_set(&t);
}
END_TEST

/* A text that is read in several pieces. Wherever a piece may end, it ends inside a character. */
START_TEST(long_text)
{
    enum { SIZE = 5 << 20, PART = 1000 };
    char *text = malloc(SIZE + 1);
    set t;
    for (int i = 0; i < SIZE; i++)
        text[i] = "\xF0\x9F\x99\x82x"[i % 5]; /* four bytes and one */
    text[SIZE] = 0;
    open_text(&t, text, 0, 1, (tn_data_options){ .max_length = PART });
    ck_assert_msg(t.d != NULL, "%s", t.e.text);
    ck_assert_int_eq(tn_dataset_facts(t.d).tokens, SIZE);
    int wrong = 0;
    for (int64_t i = 0; i < tn_dataset_facts(t.d).records; i++) {
        int32_t ids[PART];
        tn_dataset_ids(t.d, i, 0, PART, ids);
        for (int64_t j = 0; j < PART; j++)
            wrong += ids[j] != (unsigned char)text[i * PART + j];
    }
    ck_assert_int_eq(wrong, 0);
    close_set(&t);
    text[SIZE - 2] = (char)0xFF;
    open_text(&t, text, 0, 1, (tn_data_options){ .max_length = PART });
    ck_assert_ptr_nonnull(strstr(t.e.text, "a.txt: byte 5242875: malformed UTF-8"));
    close_set(&t);
    free(text);
}
END_TEST

#ifndef TN_DEBUG
static int64_t peak(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_maxrss * INT64_C(1024);
}

/* A data set takes twice the size of the file, and a little more. */
START_TEST(memory)
{
    enum { SIZE = 16 << 20, LINE = 256, SLACK = 6 << 20 };
    static const char start[] = "{\"text\":\"", end[] = "\"}\n";
    tn_error e = { 0 };
    scratch s;
    char line[LINE + 1];
    scratch_open(&s);
    memset(line, 'a', LINE);
    memcpy(line, start, sizeof start - 1);
    memcpy(line + LINE - sizeof end + 1, end, sizeof end - 1);
    FILE *f = fopen(scratch_path(&s, "a"), "wb");
    for (int i = 0; i < SIZE / LINE; i++)
        fwrite(line, 1, LINE, f);
    ck_assert_int_eq(fclose(f), 0);
    tn_tokenizer *k = tn_tokenizer_bytes(&e);
    const int64_t before = peak();
    const tn_data_options o = { .max_length = LINE };
    tn_dataset *d =
        _i ? tn_dataset_jsonl(s.path, k, &o, &e) : tn_dataset_text(s.path, k, 0, 1, &o, &e);
    ck_assert_msg(d != NULL, "%s", e.text);
    ck_assert_int_le(peak() - before, 2 * SIZE + SLACK);
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    scratch_close(&s);
}
END_TEST

#endif

/* Ids of 16 bits, and one that needs more. */
START_TEST(vocabulary)
{
    tn_text t = { 0 };
    tn_error e = { 0 };
    int32_t last;
    for (uint32_t c = 0x20000; c < 0x2FFFF + (uint32_t)_i; c++) {
        const char s[4] = { (char)0xF0, (char)(0x80 | c >> 12), (char)(0x80 | (c >> 6 & 63)),
                            (char)(0x80 | (c & 63)) };
        tn_text_bytes(&t, s, 4);
    }
    tn_tokenizer *k = tn_tokenizer_chars(t.s, t.n, &e);
    scratch s;
    scratch_open(&s);
    tn_dataset *d = tn_dataset_text(scratch_write(&s, "a.txt", t.s, t.n), k, 0, 1,
                                    &(tn_data_options){ .max_length = 65534 + _i }, &e);
    ck_assert_int_eq(tn_tokenizer_size(k), 65536 + _i);
    must(&e);
    for (int64_t i = 0; i < 65535 + _i; i++) {
        tn_dataset_ids(d, 0, i, 1, &last);
        ck_assert_int_eq(last, i);
    }
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    tn_text_free(&t);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, windows);
    tcase_add_loop_test(c, fractions, 0, 40);
    tcase_add_test(c, malformed_text);
    tcase_add_test(c, short_texts);
    tcase_add_loop_test(c, odd_texts, 0, sizeof odds / sizeof *odds);
    tcase_add_test(c, long_text);
#ifndef TN_DEBUG /* sanitizers keep freed memory */
    tcase_add_loop_test(c, memory, 0, 2);
#endif
    tcase_add_loop_test(c, vocabulary, 0, 2);
}
