/* test_piece_cache.c - what the cache of pieces gives is what was put in.
   Also when it is full, and while other threads fill it. */
#include "core/op.h"
#include "data/tokenizers/tokenizer.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES = 100000, PARTS = 8 };

/* Piece i, and its ids: as many as its first digit says, and one more. */
static size_t piece_of(int i, char out[16])
{
    return (size_t)snprintf(out, 16, "%d", i * 7919 % PIECES);
}

static int64_t ids_of(int i, int32_t out[16])
{
    char s[16];
    piece_of(i, s);
    const int64_t n = s[0] - '0' + 1;
    for (int64_t k = 0; k < n; k++)
        out[k] = (int32_t)(i * 16 + k);
    return n;
}

/* Asks for a piece, and puts it in if it is not there. Returns whether it was there. */
static bool ask(tn_piece_cache *c, int i, tn_word *w, tn_error *e)
{
    char s[16];
    int32_t ids[16];
    const size_t n = piece_of(i, s);
    const int64_t count = ids_of(i, ids);
    w->n = 0;
    if (!tn_piece_cache_get(c, s, n, w, e)) {
        ck_assert_int_eq(w->n, 0);
        tn_piece_cache_put(c, s, n, ids, count);
        return false;
    }
    ck_assert_int_eq(w->n, count);
    ck_assert_mem_eq(w->id, ids, (size_t)count * sizeof *ids);
    return true;
}

START_TEST(a_cache_gives_what_it_was_given)
{
    tn_error e = { 0 };
    tn_word w = { 0 };
    tn_piece_cache *c = tn_piece_cache_new("a", &e);
    int there = 0;
    for (int i = 0; i < PIECES; i++)
        ck_assert(!ask(c, i, &w, &e)); /* all are different */
    for (int i = 0; i < PIECES; i++)
        there += ask(c, i, &w, &e);
    ck_assert_msg(there > 40000 && there <= 65536, "%d", there);
    must(&e);
    char large[40] = "";
    tn_piece_cache_put(c, large, sizeof large, (const int32_t[]){ 1 }, 1); /* too long to be kept */
    ck_assert(!tn_piece_cache_get(c, large, sizeof large, &w, &e));
    ck_assert(!tn_piece_cache_get(c, large, 0, &w, &e));
    tn_word_end(&w);
    tn_piece_cache_free(c);
}
END_TEST

/* Each part asks for the same pieces, from another place on. */
static void ask_part(void *arg, int64_t part, int thread)
{
    tn_error e = { 0 };
    tn_word w = { 0 };
    (void)thread;
    for (int i = 0; i < PIECES; i++)
        ask(arg, (i + (int)part * PIECES / PARTS) % PIECES, &w, &e);
    must(&e);
    tn_word_end(&w);
}

START_TEST(threads_share_a_cache)
{
    tn_error e = { 0 };
    tn_context *context = tn_context_new(&(tn_options){ .threads = 4 });
    tn_piece_cache *c = tn_piece_cache_new("a", &e);
    ck_assert_int_eq(tn_parallel_for(context, PARTS, ask_part, c), 0);
    tn_piece_cache_free(c);
    tn_context_free(context);
}
END_TEST

/* A text has the same ids whether its pieces are in the cache or not: a tokenizer that saw other
   words first, so many that there is no place left, gives what a new one gives. */
START_TEST(ids_do_not_depend_on_what_came_before)
{
    static const char *const folders[] = { GOLDEN "tokenizer/gpt2", GOLDEN "tokenizer/llama2" };
    tn_error e = { 0 };
    tn_text words = { 0 };
    for (uint64_t i = 0; i < PIECES; i++) {
        tn_text_add(&words, " ");
        for (uint64_t k = 0, n = 2 + tn_random(9, 1, 0, i) % 8; k < n; k++)
            tn_text_bytes(&words, &"etaoinsh"[tn_random(9, 2, (uint32_t)i, k) % 8], 1);
    }
    tn_tokenizer *k[2] = { tn_tokenizer_open(folders[_i], &e), tn_tokenizer_open(folders[_i], &e) };
    int32_t *ids[2] = { NULL, NULL };
    int64_t n[2] = { 0 }, room[2] = { 0 }, skipped[2] = { 0 };
    must(&e);
    tn_encode(k[0], words.s, words.n, &ids[0], &n[0], &room[0], &skipped[0], &e);
    n[0] = 0;
    const char *half = strchr(words.s + words.n / 2, ' ');
    for (int i = 0; i < 2; i++) {
        skipped[i] = 0;
        tn_encode(k[i], half, strlen(half), &ids[i], &n[i], &room[i], &skipped[i], &e);
    }
    must(&e);
    ck_assert_int_eq(n[0], n[1]);
    ck_assert_int_eq(skipped[0], skipped[1]);
    ck_assert_mem_eq(ids[0], ids[1], (size_t)n[0] * sizeof *ids[0]);
    for (int i = 0; i < 2; i++) {
        tn_tokenizer_free(k[i]);
        free(ids[i]);
    }
    tn_text_free(&words);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, a_cache_gives_what_it_was_given);
    tcase_add_test(c, threads_share_a_cache);
    tcase_add_loop_test(c, ids_do_not_depend_on_what_came_before, 0, 2);
}
