/* show.h - what people read: standard output, numbers (1,240   3.6 MB   6m12s), the machine.

       char text[SHOWN];
       show("%s tokens\n", show_count(facts.tokens, text));

   Every text goes to standard output by show(), because what %s stands for may come from a
   stranger's file. The show_... of numbers write into out (SHOWN bytes) and return it. */
#ifndef TN_APP_SHOW_H
#define TN_APP_SHOW_H

#include "data/data.h"

#include <stdio.h>

enum { SHOWN = 48 };

char *show_count(int64_t n, char *out);
char *show_bytes(double bytes, char *out);
char *show_time(double seconds, char *out);
char *show_real(double x, char *out); /* the shortest text that is read as exactly this number */
/* ", 2 cut at 64, 1 skipped" for records that do not fit into a row; ", the last 57 left out" for
   tokens of a text that do not fill a row; "" where all fit. */
char *show_cuts(const tn_data_facts *f, int64_t length, char *out);
double now_seconds(void);                 /* of a clock that never goes back */
double memory_peak(void);                 /* bytes of this process at its largest */
void machine_cpu(char *out, size_t room); /* name of the CPU */
/* A name as JSON text, or a number that is null when it is not finite. */
void json_text(tn_text *out, const char *key, const char *value);
void json_real(tn_text *out, const char *key, double value, int digits);
/* Prints as printf does; control characters of strings are shown (tn_format of core.h). */
void show(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* One line "tenon: note: ..." to standard error, for what is worth knowing but no error. */
void show_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* All n bytes to a stream without a buffer (main makes stdout one): after a signal it goes
   on where it was, which a buffered one cannot. False: errno has the reason, and ferror stays. */
bool write_whole(FILE *f, const char *bytes, size_t n);
/* Prints a text of the program's own and frees it. When memory is out it only sets e. */
void show_text(tn_text *t, const char *what, tn_error *e);
/* The same for what a model wrote or a user gave: exact in a file or pipe; on a terminal control
   characters but line ends and tabs are shown. */
void show_answer(tn_text *t, const char *what, tn_error *e);
/* A shell word: quoted when it needs it, as $'...' when it has control characters. */
void show_word(const char *word, tn_text *out);

#endif
