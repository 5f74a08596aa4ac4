/* formats.h - every format of files that is read: what its tests need.
   A format has a valid file, a function that uses it, and rows: each row is the file with one
   change.

       const format *f = format_find("json");
       folder_new(folder);
       f->furnish(folder);                          writes all files that are needed; f->file is valid
       bytes b = format_made(f, folder, &f->rows[k]);
       file_write(folder, f->file, b);
       f->use(folder, &e);                          reads it and uses what was read

   test_faults.c runs every row. fuzz.c gives the same functions to libFuzzer, with the rows as
   seeds (seeds.c). found/FORMAT/ holds the files that a fuzzer found; test_faults.c runs them,
   too. */
#ifndef TN_FUZZ_FORMATS_H
#define TN_FUZZ_FORMATS_H

#include "data/data.h"

/* clang-format off */
typedef struct bytes { char *s; size_t n; } bytes; /* s: to be freed */
/* clang-format on */

/* In rows of JSON formats ' means ", and ` means ', so that the rows can be read. */

/* One change of the valid text: the first `from` in it becomes `to`. If from is NULL, `to` is the
   whole text. If it is "", `to` is added at the end. If to is NULL, the text ends before `from`. */
typedef struct row {
    const char *from, *to;
    const char *says; /* part of the refusal: what is wrong and where; NULL: the file is accepted */
    bool raw;         /* changes the file itself, not the text that is packed into it */
} row;

#define END                                                                                        \
    {                                                                                              \
        "", "", "", false                                                                          \
    }

typedef struct format {
    const char *name, *file;             /* the file: its name in the folder */
    const char *named;                   /* what a refusal must name; NULL: the file */
    bool json;                           /* its texts are JSON */
    void (*furnish)(const char *folder); /* writes the file and all other files that are needed */
    int (*use)(const char *folder, tn_error *e);
    /* Make a file from a text, and a text from a file. NULL: the file is the text. */
    bytes (*pack)(bytes text), (*unpack)(bytes file);
    const row *rows; /* ended by END */
} format;

extern const format *const formats[];        /* ended by NULL */
const format *format_find(const char *name); /* NULL: there is none */

/* The valid file with one change. Ends the program if `from` is not in it. */
bytes format_made(const format *f, const char *folder, const row *r);
char *unquoted(const char *text, bool json); /* ' becomes " in JSON; to be freed */
/* NULL if the refusal is one line of text that names the file. Otherwise what is wrong with it. */
const char *format_complaint(const format *f, const char *folder, const tn_error *e);

/* Saves a tokenizer in a folder of this one, opens it there, and compares size and end token. Ends
   the program if that is not possible. */
void tokenizer_again(const tn_tokenizer *k, const char *folder, tn_error *e);

/* Opens the tokenizer of a folder, encodes and decodes texts, and saves it. Ends the program if an
   id is not one of the vocabulary. */
int tokenizer_use(const char *folder, tn_error *e);

/* ---- files ---- */

void folder_new(char path[64]); /* in $TMPDIR */
void folder_end(const char *path);
void file_write(const char *folder, const char *name, bytes b);
void file_text(const char *folder, const char *name, const char *text);
void file_json(const char *folder, const char *name, const char *text);
bytes file_read(const char *folder, const char *name);
char *path_in(const char *folder, const char *name); /* to be freed */

#endif
