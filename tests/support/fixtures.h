/* fixtures.h - files that tests read and write.

       tn_model *m = tn_model_open(c, GOLDEN "tiny_models/gpt2", &e);
       must(&e);
       char *folder = temporary();  ...  discard(folder);

   Ownership: the caller frees what assets() and the readers return, and ends temporary() with
   discard(). If a file, tensor or key is missing, the test fails. */
#ifndef TN_FIXTURES_H
#define TN_FIXTURES_H

#include "data/data.h"

#define GOLDEN "tests/golden/"

/* The path $TENON_ASSETS/NAME. The file must exist. If the variable is not set, prints that the
   test is skipped and returns NULL. */
char *assets(const char *name);
char *temporary(void);      /* a new empty folder */
void discard(char *folder); /* removes the folder and everything in it, and frees the path */
void remove_all(const char *folder); /* removes the folder and everything in it */
void put_file(const char *folder, const char *name, const char *text);
void copy_file(const char *from, const char *to, const char *name);
void must(const tn_error *e); /* if there is an error, the test fails with its text */
/* Fails unless the error has this code and a text that contains `part`. Then clears the error. */
void must_fail(tn_error *e, int code, const char *part);
/* The largest |a - b|, divided by the largest |b|. */
double difference(const tn_real *a, const double *b, int64_t n);
/* The numbers of a tensor (f64 or f32) of a safetensors file. */
double *read_doubles(const tn_safetensors *s, const char *name, int64_t *n);
/* The numbers of the array object[key]. */
double *read_numbers(const tn_json *object, const char *key, int64_t *n);

#endif
