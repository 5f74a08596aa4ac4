/* formats.h - every format of files that is read, as its tests see it.
   A valid file, what a program does with it, and files made from it with one change each.

       const format *f = format_find("json");
       folder_new(folder);
       f->furnish(folder);                          all that the format needs, f->file is valid
       bytes b = format_made(f, folder, &f->rows[k]);
       file_write(folder, f->file, b);
       f->use(folder, &e);                          reads it and uses what was read

   test_faults.c runs every row; fuzz.c gives the same functions to libFuzzer, with the rows as its
   seeds (seeds.c). What a fuzzer found lies in found/FORMAT/ and is run by test_faults.c, too. */
#ifndef TN_FUZZ_FORMATS_H
#define TN_FUZZ_FORMATS_H

#include "core/core.h"

/* clang-format off */
typedef struct bytes { char *s; size_t n; } bytes; /* s: to be freed */
/* clang-format on */

/* In texts of JSON ' stands for ", and ` for ', so that they can be read here. */

/* One change of the valid text: `from`, which is in it once or more, becomes `to` where it stands
   first. from NULL: `to` is the whole text; "": it is added at the end. to NULL: the text ends
   before `from`. */
typedef struct row {
    const char *from, *to;
    const char *says; /* part of the one line of the refusal: what and where; NULL: accepted */
    bool raw;         /* the change is of the file, not of the text that is packed into it */
} row;

#define END                                                                                        \
    {                                                                                              \
        "", "", "", false                                                                          \
    }

typedef struct format {
    const char *name, *file;             /* the file: its name in the folder */
    const char *named;                   /* what a refusal names; NULL: the file */
    bool json;                           /* its texts are JSON */
    void (*furnish)(const char *folder); /* writes everything, the file too */
    int (*use)(const char *folder, tn_error *e);
    /* The file of a text and the text of a file, where they are not the same; NULL: they are. */
    bytes (*pack)(bytes text), (*unpack)(bytes file);
    const row *rows; /* ended by END */
} format;

extern const format *const formats[];        /* ended by NULL */
const format *format_find(const char *name); /* NULL: there is none */

/* The furnished file with one change. Ends the program when `from` is not there. */
bytes format_made(const format *f, const char *folder, const row *r);
char *unquoted(const char *text, bool json); /* ' becomes " in JSON; to be freed */
/* Why this is no good refusal: it is not one line of text that names the file. NULL: it is. */
const char *format_complaint(const format *f, const char *folder, const tn_error *e);

/* ---- files ---- */

void folder_new(char path[64]); /* in $TMPDIR */
void folder_end(const char *path);
void file_write(const char *folder, const char *name, bytes b);
void file_text(const char *folder, const char *name, const char *text);
void file_json(const char *folder, const char *name, const char *text);
bytes file_read(const char *folder, const char *name);
char *path_in(const char *folder, const char *name); /* to be freed */

#endif
