/* test_sections.c - files of many sections, on one thread and on three.
   Their records, their errors, and what happens when they change meanwhile. The oracle encodes one
   text after the other. */
#include "data/sets/dataset.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RECORDS = 6000, ROW = 700 };

/* Lines of 0 to 1500 bytes with ends of both kinds, blank ones among them: about 4 sections. */
static tn_text write_lines(void)
{
    tn_text out = { 0 };
    for (uint64_t i = 0; i < RECORDS; i++) {
        tn_text_add(&out, "{\"prompt\":\"%llu\",\"completion\":\"", (unsigned long long)i);
        for (uint64_t k = 0, n = tn_random(5, 1, 0, i) % 1500; k < n; k++)
            tn_text_bytes(&out, &(char){ (char)(' ' + tn_random(5, 2, (uint32_t)i, k) % 2) }, 1);
        tn_text_add(&out, i % 3 ? "\"}\n" : i % 2 ? "\"}\r\n" : "\"}\n \n");
    }
    for (size_t i = 0; i < out.n; i++) /* the two signs: space and a letter */
        out.s[i] = out.s[i] == '!' ? 'x' : out.s[i];
    return out;
}

typedef struct fixture {
    scratch s;
    tn_error e;
    tn_tokenizer *k;
    tn_context *c;
    tn_text text;
    char *path;
} fixture;

static void open_fixture(fixture *f)
{
    *f = (fixture){ .text = write_lines() };
    scratch_open(&f->s);
    f->k = tn_tokenizer_bytes(&f->e);
    f->c = tn_context_new(&(tn_options){ .threads = 3 });
    f->path = strdup(scratch_write(&f->s, "a.jsonl", f->text.s, f->text.n));
    ck_assert_uint_gt(f->text.n, 4 << 20);
}

static void close_fixture(fixture *f)
{
    tn_context_free(f->c);
    tn_tokenizer_free(f->k);
    tn_text_free(&f->text);
    free(f->path);
    scratch_close(&f->s);
}

/* The same records, one after the other: the ids are the bytes, and the end token. */
static tn_dataset *from_memory(fixture *f, const tn_data_options *o)
{
    int32_t **ids = calloc(RECORDS, sizeof *ids);
    int64_t *length = calloc(RECORDS, sizeof *length), *prompt = calloc(RECORDS, sizeof *prompt);
    tn_jsonl *j = tn_jsonl_open(f->path, TN_FORMAT_ANY, &f->e);
    tn_jsonl_record r;
    int64_t n = 0;
    for (; j && tn_jsonl_next(j, &r, &f->e); n++) {
        int64_t room = 0;
        ck_assert_int_lt(n, RECORDS);
        tn_encode(f->k, r.prompt.s, r.prompt.n, &ids[n], &length[n], &room, NULL, &f->e);
        prompt[n] = length[n];
        tn_encode(f->k, r.text.s, r.text.n, &ids[n], &length[n], &room, NULL, &f->e);
        ids[n] = realloc(ids[n], ((size_t)length[n] + 1) * sizeof **ids);
        ids[n][length[n]++] = tn_tokenizer_end(f->k);
    }
    tn_jsonl_close(j);
    ck_assert_int_eq(n, RECORDS);
    tn_dataset *d = tn_dataset_records(n, (const int32_t *const *)ids, length, prompt, o, &f->e);
    must(&f->e);
    for (int64_t i = 0; i < n; i++)
        free(ids[i]);
    free(ids);
    free(length);
    free(prompt);
    return d;
}

static void check_same(const tn_dataset *a, const tn_dataset *b)
{
    const tn_data_facts x = tn_dataset_facts(a), y = tn_dataset_facts(b);
    ck_assert_int_eq(x.records, y.records);
    ck_assert_int_eq(x.tokens, y.tokens);
    ck_assert_int_eq(x.loss_tokens, y.loss_tokens);
    ck_assert_int_eq(x.truncated, y.truncated);
    ck_assert_int_eq(x.answers_cut, y.answers_cut);
    ck_assert_int_eq(x.skipped, y.skipped);
    ck_assert_uint_eq(tn_dataset_hash(a, 0), tn_dataset_hash(b, 0));
    ck_assert_uint_eq(tn_dataset_hash(a, 100), tn_dataset_hash(b, 100));
    for (int64_t i = 0; i < x.records; i += 7)
        ck_assert_int_eq(tn_dataset_cut(a, i), tn_dataset_cut(b, i));
}

START_TEST(sections_are_one_file)
{
    fixture f;
    open_fixture(&f);
    const tn_data_options o = { .max_length = ROW, .context = _i ? f.c : NULL };
    tn_dataset *file = tn_dataset_jsonl(f.path, f.k, &o, &f.e);
    must(&f.e);
    tn_dataset *memory = from_memory(&f, &o);
    ck_assert_int_gt(tn_dataset_facts(file).truncated, 0);
    check_same(file, memory);
    tn_dataset_free(file);
    tn_dataset_free(memory);
    close_fixture(&f);
}
END_TEST

static const char *const tokenizers[] = { GOLDEN "tokenizer/gpt2",   GOLDEN "tokenizer/smollm",
                                          GOLDEN "tokenizer/llama3", GOLDEN "tokenizer/qwen2",
                                          GOLDEN "tokenizer/llama2", GOLDEN "tokenizer/gemma",
                                          GOLDEN "tokenizer/bytes",  GOLDEN "tokenizer/chars" };

/* A text of words in sections has the ids that one call of tn_encode gives. */
START_TEST(sections_are_one_text)
{
    static const char *const ends[] = { " ", ". ", "\n", "  ", " 12 ", "\xC3\xA9 " };
    tn_error e = { 0 };
    scratch s;
    tn_text text = { 0 };
    for (uint64_t i = 0; text.n < 3 << 20; i++) {
        for (uint64_t k = 0, n = 1 + tn_random(7, 1, 0, i) % 9; k < n; k++)
            tn_text_bytes(&text, &"etaoin"[tn_random(7, 2, (uint32_t)i, k) % 6], 1);
        tn_text_add(&text, "%s", ends[i % 6]);
    }
    scratch_open(&s);
    tn_context *c = tn_context_new(&(tn_options){ .threads = 3 });
    tn_tokenizer *k = tn_tokenizer_open(tokenizers[_i], &e);
    must(&e);
    int32_t *ids = NULL;
    int64_t n = 0, room = 0, unknown = 0;
    tn_encode(k, text.s, text.n, &ids, &n, &room, &unknown, &e);
    const tn_data_options o = { .max_length = ROW, .context = c, .skip_unknown = true };
    tn_dataset *file = tn_dataset_text(scratch_write(&s, "a.txt", text.s, text.n), k, 0, 1, &o, &e);
    must(&e);
    const int64_t begin = tn_tokenizer_begin(k) >= 0;
    int32_t found[ROW + 1];
    ck_assert_int_eq(tn_dataset_facts(file).tokens, n + begin);
    ck_assert_int_eq(tn_dataset_facts(file).unknown, unknown);
    for (int64_t i = 0; i < tn_dataset_facts(file).records; i++) {
        tn_dataset_ids(file, i, 0, ROW, found);
        for (int64_t t = 0; t < ROW; t++)
            if (i || t >= begin)
                ck_assert_int_eq(found[t], ids[i * ROW + t - begin]);
    }
    tn_dataset_free(file);
    tn_tokenizer_free(k);
    tn_context_free(c);
    tn_text_free(&text);
    free(ids);
    scratch_close(&s);
}
END_TEST

/* The first wrong line is named, wherever the sections end and whichever thread is faster. */
START_TEST(the_first_error_counts)
{
    static const int lines[] = { 2500, 5000, 7000 };
    fixture f;
    open_fixture(&f);
    FILE *out = fopen(f.path, "w");
    int line = 0;
    char expected[100];
    for (char *s = f.text.s, *next; *s; s = next) {
        next = strchr(s, '\n') + 1;
        line++;
        for (int i = _i % 3; i < 3; i++)
            if (line == lines[i])
                *strchr(s, s[1] == '\n' ? '\n' : '{') = '?';
        fwrite(s, 1, (size_t)(next - s), out);
    }
    fclose(out);
    const tn_data_options o = { .max_length = ROW, .context = _i < 3 ? f.c : NULL };
    tn_dataset *d = tn_dataset_jsonl(f.path, f.k, &o, &f.e);
    ck_assert_ptr_null(d);
    snprintf(expected, sizeof expected, "a.jsonl:%d: found '?' at column", lines[_i % 3]);
    must_fail(&f.e, TN_EFORMAT, expected);
    close_fixture(&f);
}
END_TEST

/* A record of another kind is refused by its line, also where all records of its section are of
   that kind, and where an error comes after it. */
START_TEST(kinds_are_not_mixed)
{
    static const char pair[] = "{\"prompt\":\"p\",\"chosen\":\"%06d\",\"rejected\":\"b\"}\n";
    static const char text[] = "{\"prompt\":\"p\",           \"completion\":\"%06d\"}\n";
    enum { LINES = 48, FIRST = (1 << 20) / LINES }; /* bytes of a line; lines of a section */
    const bool pairs = _i % 2;
    fixture f;
    open_fixture(&f);
    FILE *out = fopen(f.path, "w");
    char expected[100], line[100];
    ck_assert_int_eq(snprintf(line, sizeof line, pair, 1), LINES);
    ck_assert_int_eq(snprintf(line, sizeof line, text, 1), LINES);
    for (int i = 0; i < FIRST; i++)
        fprintf(out, pairs ? pair : text, i);
    for (int i = 0; i < FIRST; i++)
        fprintf(out, pairs == (i > 5 && _i / 2) ? pair : text, i);
    fclose(out);
    const tn_data_options o = { .max_length = ROW, .context = f.c };
    tn_dataset *d = tn_dataset_jsonl(f.path, f.k, &o, &f.e);
    ck_assert_ptr_null(d);
    snprintf(expected, sizeof expected, "a.jsonl:%d: %s among records that", FIRST + 1,
             pairs ? "a record without \"chosen\"" : "\"chosen\" and \"rejected\"");
    must_fail(&f.e, TN_EFORMAT, expected);
    close_fixture(&f);
}
END_TEST

/* ---- while it is read ---- */

typedef struct meanwhile {
    const char *path;
    int how, calls;
} meanwhile;

static bool change(void *arg, const char *path, size_t done, size_t all)
{
    meanwhile *m = arg;
    ck_assert_str_eq(path, m->path);
    ck_assert_uint_le(done, all);
    if (m->calls++ == 0 && m->how == 0)
        ck_assert_int_eq(truncate(m->path, 2000), 0);
    if (m->calls == 1 && m->how == 1) {
        FILE *f = fopen(m->path, "r+");
        fputc('{', f);
        fclose(f);
    }
    return m->how != 2;
}

/* A file that becomes shorter is no signal that ends the program, and nothing is made of it. */
START_TEST(a_file_changes_while_it_is_read)
{
    fixture f;
    open_fixture(&f);
    meanwhile m = { .path = f.path, .how = _i % 3 };
    const tn_data_options o = {
        .max_length = ROW, .context = _i < 3 ? NULL : f.c, .watch = change, .watch_arg = &m
    };
    const bool text = _i >= 6;
    tn_dataset *d = text ? tn_dataset_text(f.path, f.k, 0, 1, &o, &f.e)
                         : tn_dataset_jsonl(f.path, f.k, &o, &f.e);
    ck_assert_ptr_null(d);
    must_fail(&f.e, m.how == 2 ? TN_ESTATE : TN_EIO,
              m.how == 2 ? "a.jsonl: stopped while it was read"
                         : "a.jsonl: has changed while it was read; expected it to stay");
    close_fixture(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, sections_are_one_file, 0, 2);
    tcase_add_loop_test(c, sections_are_one_text, 0, sizeof tokenizers / sizeof *tokenizers);
    tcase_add_loop_test(c, the_first_error_counts, 0, 6);
    tcase_add_loop_test(c, kinds_are_not_mixed, 0, 4);
    tcase_add_loop_test(c, a_file_changes_while_it_is_read, 0, 9);
}
