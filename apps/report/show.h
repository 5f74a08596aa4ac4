/* show.h - what people read: standard output and numbers (1,240   3.6 MB   6m12s).

       char text[SHOWN];
       show("%s tokens\n", show_count(facts.tokens, text));

   Every text goes to standard output by show(), because a string may come from a stranger's file.
   show_count, _bytes, _time and _real write to out (SHOWN bytes) and return it. */
#ifndef TN_APP_SHOW_H
#define TN_APP_SHOW_H

#include "nn/nn.h"

#include <stdio.h>

enum { SHOWN = 48 };

char *show_count(int64_t n, char *out);
char *show_bytes(double bytes, char *out);
/* "2.3026 +- 0.0412"; without the second part if the standard error is not known (NaN). */
char *show_loss(double loss, double error, char *out);
/* Of pairs: the mean rewards, their difference, and the share whose chosen answer has the larger
   reward. All are 0 if there are no pairs. */
typedef struct rewards {
    double chosen, rejected, margin, accuracy;
} rewards;
rewards rewards_of(const tn_dpo *sum);
char *show_rewards(const tn_dpo *sum, char *out); /* "margin 0.6123  accuracy 0.850" of pairs */
char *show_time(double seconds, char *out);
char *show_real(double x, char *out); /* the shortest text that reads as this number */
/* ", first token 1" if the tokenizer puts a token before each text, ", last token 2" if after it. */
char *show_first(const tn_tokenizer *k, char *out);
const char *show_s(int64_t n); /* the end of a word for n things: "", or "s" if n is not 1 */
/* Adds `,"key":` and a text, or a number, which becomes null if it is not finite. */
void json_text(tn_text *out, const char *key, const char *value);
void json_real(tn_text *out, const char *key, double value, int digits);
/* Adds the mean rewards of pairs, their margin and their accuracy, under TRL's names. */
void json_rewards(tn_text *out, const tn_dpo *sum);
/* Prints as printf does, but control characters of strings become visible (tn_format of core.h). */
void show(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same to standard error. */
void show_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints one line "tenon: note: ..." to standard error, for facts that are no errors. */
void show_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes all n bytes to a stream without a buffer (main makes stdout such a stream), which can go
   on after a signal. Returns false with the reason in errno; ferror then stays set. */
bool write_whole(FILE *f, const char *bytes, size_t n);
/* Prints a text of the program itself and frees it. If memory ran out in the text, only sets e. */
void show_text(tn_text *t, const char *what, tn_error *e);
/* The same for a text of a model or user. A file or pipe gets its exact bytes. On a terminal
   control characters become visible, except line ends and tabs. */
void show_answer(tn_text *t, const char *what, tn_error *e);
/* Adds a shell word, in quotes if necessary, or as $'...' if it has control characters. */
void show_word(const char *word, tn_text *out);

#endif
