/* sections.h - reads a file in sections, which all threads work on. Internal header.

       tn_sections b = { .path = path, .cut = after_last_line, .longest = n, .work = work, .take = take,
                       .arg = arg };
       tn_sections_run(&b, o, e);

   A file is read, not mapped: if it becomes shorter meanwhile, that is an error and no signal. */
#ifndef TN_SECTIONS_H
#define TN_SECTIONS_H

#include "data/data.h"

/* A file that is open, as it was when it was opened. */
typedef struct tn_input {
    const char *path;
    int fd; /* -1: it is not open */
    size_t size;
    int64_t changed[2]; /* when: seconds, nanoseconds */
} tn_input;

tn_input tn_input_open(const char *path, tn_error *e);
/* Reads exactly n bytes from byte `at` on. */
int tn_input_read(const tn_input *in, void *out, size_t n, size_t at, tn_error *e);
/* Refuses a file that has changed since it was opened. */
int tn_input_check(const tn_input *in, tn_error *e);
void tn_input_close(tn_input *in);

typedef struct tn_section {
    tn_span text;  /* lives as long as the call that it is given to */
    size_t from;   /* where it begins in the file */
    int64_t line;  /* lines of the file before it */
    bool last;     /* the file ends with it */
    void *made[2]; /* what `work` made, for `take`; NULL at first */
    tn_error e;    /* of `work`, which stopped there: it comes after what `take` refuses */
    double rest;   /* bytes that are read after it, for each byte up to its end */
    char *room;    /* its memory */
    size_t bytes;
} tn_section;

typedef struct tn_sections {
    tn_input in;
    size_t from, to; /* bytes of the file that are read */
    size_t longest;  /* most bytes of a section; `cut` decides otherwise */
    /* How many of the n bytes, which are not the file's last, can be a section: 0 if more are needed. */
    size_t (*cut)(const void *arg, const char *s, size_t n);
    const char *kind; /* what is longer than `longest`, for messages: "a line" */
    void (*work)(const void *arg, tn_section *b); /* on any thread */
    /* On the thread of the caller, in the order of the file, so that errors come in this order, too;
       also after an error, to free what was made. */
    void (*take)(void *arg, tn_section *b, tn_error *e);
    void *arg;
    size_t at; /* where the next section begins */
    int64_t line;
} tn_sections;

/* Reads the next section into b. False: there is none, or there is an error. */
bool tn_sections_read(tn_sections *f, tn_section *b, tn_error *e);
/* All of them, on the threads of o->context. */
int tn_sections_run(tn_sections *f, const tn_data_options *o, tn_error *e);

#endif
