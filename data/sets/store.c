/* store.c - an array that grows: in memory, and in a file once it is large (store.h). */
#include "data/sets/store.h"
#include "data/formats/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int no_memory(tn_error *e)
{
    return tn_fail(e, TN_ENOMEM, "data set: out of memory");
}

static int refused(const char *what, tn_error *e)
{
    return tn_fail(e, TN_EIO,
                   "%s: cannot %s the token ids of a large data set: %s; expected room for them "
                   "there, or in the folder that TMPDIR names",
                   tn_file_temporary(), what, strerror(errno));
}

static int put(int file, const void *bytes, size_t n, tn_error *e)
{
    return tn_file_put(file, bytes, n) ? e->code : refused("keep", e);
}

/* Moves what is in memory to a file. */
static int move_out(tn_store *s, tn_error *e)
{
    const int file = tn_file_unnamed();
    if (file < 0)
        return refused("keep", e);
    s->file = file + 1;
    put(file, s->bytes, s->n, e);
    free(s->bytes);
    s->bytes = NULL;
    s->room = 0;
    return e->code;
}

int tn_store_add(tn_store *s, const void *bytes, size_t n, tn_error *e)
{
    if (e->code || n == 0)
        return e->code;
    if (!s->file && n > TN_STORE_MEMORY - s->n && move_out(s, e))
        return e->code;
    if (!s->file && n > s->room - s->n) {
        const size_t want = s->n + n > 2 * s->room ? s->n + n : 2 * s->room;
        char *more = realloc(s->bytes, want);
        if (more == NULL)
            return no_memory(e);
        s->bytes = more;
        s->room = want;
    }
    if (s->file)
        put(s->file - 1, bytes, n, e);
    else
        memcpy(s->bytes + s->n, bytes, n);
    s->n += e->code ? 0 : n;
    return e->code;
}

int tn_store_fill(tn_store *s, bool value, size_t n, tn_error *e)
{
    bool some[4096];
    memset(some, value, sizeof some);
    for (size_t part; n > 0 && !e->code; n -= part) {
        part = n < sizeof some ? n : sizeof some;
        tn_store_add(s, some, part, e);
    }
    return e->code;
}

int tn_store_widen(tn_store *s, tn_error *e)
{
    enum { PART = 16384 };
    tn_store wide = { 0 };
    uint16_t *from = malloc(PART * sizeof *from);
    int32_t *to = malloc(PART * sizeof *to);
    if (!from || !to)
        no_memory(e);
    for (size_t at = 0, n; at < s->n && !e->code; at += n) {
        n = s->n - at < PART * sizeof *from ? s->n - at : PART * sizeof *from;
        if (!s->file)
            memcpy(from, s->bytes + at, n);
        else if (tn_file_get(s->file - 1, from, n, at) != n)
            refused("read", e);
        for (size_t i = 0; i < n / sizeof *from; i++)
            to[i] = from[i];
        tn_store_add(&wide, to, 2 * n, e);
    }
    free(from);
    free(to);
    tn_store_free(e->code ? &wide : s);
    if (!e->code)
        *s = wide;
    return e->code;
}

int tn_store_done(tn_store *s, tn_error *e)
{
    if (e->code || !s->file)
        return e->code;
    void *map = mmap(NULL, s->n, PROT_READ, MAP_SHARED, s->file - 1, 0);
    if (map == MAP_FAILED)
        return refused("map", e);
    s->bytes = map;
    return TN_OK;
}

void tn_store_pass(const tn_store *s, size_t from, size_t to)
{
    if (s->file && s->bytes && from < to)
        tn_file_pass(s->bytes, from, to);
}

int tn_store_expect(double bytes, tn_error *e)
{
    struct statvfs fs;
    const char *folder = tn_file_temporary();
    int failed = e->code || !(bytes > 0);
    while (!failed && statvfs(folder, &fs))
        failed = errno != EINTR;
    if (failed) /* not known: writing shows it */
        return e->code;
    const double room = (double)fs.f_bavail * (double)fs.f_frsize;
    if (bytes > room)
        tn_fail(e, TN_EIO,
                "%s: %.3g GB are free on this disk; expected about %.3g GB for the token ids of a "
                "large data set there, or in the folder that TMPDIR names",
                folder, room / 1e9, bytes / 1e9);
    return e->code;
}

void tn_store_free(tn_store *s)
{
    if (s->file && s->bytes)
        munmap(s->bytes, s->n);
    else
        free(s->bytes);
    if (s->file)
        close(s->file - 1);
    *s = (tn_store){ 0 };
}
