/* fixtures.h - files that tests read and write.

       tn_model *m = tn_model_open(c, GOLDEN "tiny_models/gpt2", &e);
       must(&e);
       char *folder = temporary();  ...  discard(folder);

   Ownership: what assets() and the readers return is freed by the caller; temporary() is ended by
   discard(). What must be there and is not fails the test. */
#ifndef TN_FIXTURES_H
#define TN_FIXTURES_H

#include "data/data.h"

#define GOLDEN "tests/golden/"

/* $TENON_ASSETS/NAME, which must be there if the variable is set; else NULL, and says so. */
char *assets(const char *name);
char *temporary(void);      /* a new empty folder */
void discard(char *folder); /* removes the folder with all that is in it, and frees its path */
void remove_all(const char *folder); /* removes the folder with all that is in it */
void put_file(const char *folder, const char *name, const char *text);
void copy_file(const char *from, const char *to, const char *name);
void must(const tn_error *e); /* no error, or the test fails with its text */
/* The error holds this code and a text that contains `part`. Clears it. */
void must_fail(tn_error *e, int code, const char *part);
/* Largest |a - b| over the largest |b|. */
double difference(const tn_real *a, const double *b, int64_t n);
/* A tensor of a safetensors file in double. */
double *read_doubles(const tn_safetensors *s, const char *name, int64_t *n);
/* The numbers of the array object[key]. */
double *read_numbers(const tn_json *object, const char *key, int64_t *n);

#endif
