/* scratch.h - a temporary folder for the files of a test.

       scratch s;
       scratch_open(&s);
       FILE *f = fopen(scratch_path(&s, "a.json"), "w"); ...
       scratch_close(&s);
*/
#ifndef TN_SCRATCH_H
#define TN_SCRATCH_H

#include "tests/support/fixtures.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct scratch {
    char folder[256], path[512];
} scratch;

static inline void scratch_open(scratch *s)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(s->folder, sizeof s->folder, "%s/tenon-XXXXXX", tmp ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(s->folder));
}

/* The path of a file in the folder, valid until the next call. */
static inline const char *scratch_path(scratch *s, const char *name)
{
    snprintf(s->path, sizeof s->path, "%s/%s", s->folder, name);
    return s->path;
}

static inline const char *scratch_write(scratch *s, const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(scratch_path(s, name), "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
    return s->path;
}

static inline void scratch_close(scratch *s)
{
    remove_all(s->folder);
}

#endif
