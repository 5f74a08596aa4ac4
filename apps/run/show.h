/* show.h - numbers as people read them (1,240   3.6 MB   6m12s), and facts of the machine.

       char text[SHOWN];
       printf("%s tokens\n", show_count(facts.tokens, text));

   Each writes into out (SHOWN bytes) and returns it. */
#ifndef TN_APP_SHOW_H
#define TN_APP_SHOW_H

#include "data/data.h"

enum { SHOWN = 48 };

char *show_count(int64_t n, char *out);
char *show_bytes(double bytes, char *out);
char *show_time(double seconds, char *out);
char *show_real(double x, char *out); /* the shortest text that is read as exactly this number */
/* ", 2 cut at 64, 1 skipped": the records that do not fit a row; ", the last 57 left out": tokens of
   a text that fill no row. Nothing where all fit. */
char *show_cuts(const tn_data_facts *f, int64_t length, char *out);
double now_seconds(void);       /* of a clock that never goes back */
double memory_peak(void);       /* bytes of this process at its largest */
void machine_cpu(char *out, size_t room); /* name of the CPU */
/* A name as JSON text, or a number that is null when it is not finite. */
void json_text(tn_text *out, const char *key, const char *value);
void json_real(tn_text *out, const char *key, double value, int digits);
/* Prints a text and frees it; prints nothing, and says so, when memory ran out. */
void show_text(tn_text *t, const char *what, tn_error *e);
/* A shell word: quoted when it needs it. */
void show_word(const char *word, tn_text *out);

#endif
