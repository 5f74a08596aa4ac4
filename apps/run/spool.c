/* spool.c - --data -: standard input, written to a file (spool.h). */
#include "apps/run/spool.h"
#include "apps/run/source.h"
#include "data/formats/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AT_ONCE = 1 << 16 }; /* bytes that are read at once */

static const char *const names[] = { "stdin.jsonl", "stdin.txt" };
enum { RECORDS, TEXT };

/* Is standard input among the data? (It is there once: see check.h.) */
static bool is_asked(const options *o, const tn_error *e)
{
    return data_standard(o) > 0 && !e->code;
}

static int no_memory(tn_error *e)
{
    return tn_fail(e, TN_ENOMEM, "standard input: out of memory");
}

/* Reads up to AT_ONCE bytes; fewer only at the end. */
static size_t read_some(int file, const char *path, char *bytes, tn_error *e)
{
    size_t done = 0;
    while (done < AT_ONCE && !e->code) {
        const ssize_t got = read(file, bytes + done, AT_ONCE - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            tn_fail(e, TN_EIO, "%s: cannot be read: %s", path, strerror(errno));
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

/* Do these bytes begin records, and not a text? */
static bool begins_records(const char *bytes, size_t n)
{
    size_t at = n >= 3 && !memcmp(bytes, "\xEF\xBB\xBF", 3) ? 3 : 0;
    while (at < n && memchr(" \t\r\n", bytes[at], 4))
        at++;
    return at < n && (bytes[at] == '{' || bytes[at] == '[');
}

/* Writes the first n bytes, and what follows them in the file, to `path`. */
static int copy_all(int file, const char *from, const char *path, char *bytes, size_t n,
                    tn_error *e)
{
    tn_writer w = tn_writer_open(path, e);
    for (; n > 0 && !e->code; n = read_some(file, from, bytes, e))
        tn_writer_add(&w, bytes, n);
    return tn_writer_close(&w);
}

static const char standard[] = "standard input";

/* Writes the first n bytes, and the rest of standard input, to a file without a name. */
static int keep(spool *s, char *bytes, size_t n, tn_error *e)
{
    const int file = tn_file_unnamed();
    bool kept = file >= 0;
    s->file = file + 1;
    for (; n > 0 && kept && !e->code; n = read_some(STDIN_FILENO, standard, bytes, e))
        kept = tn_file_put(file, bytes, n);
    if (!kept)
        tn_fail(e, TN_EIO,
                "standard input: cannot be kept in %s: %s; expected room for it there, or in the "
                "folder that TMPDIR names",
                tn_file_temporary(), strerror(errno));
    snprintf(s->open, sizeof s->open, "/dev/fd/%d", file);
    return e->code;
}

int spool_open(spool *s, options *o, tn_error *e)
{
    if (!is_asked(o, e))
        return e->code;
    char *bytes = malloc(AT_ONCE);
    const size_t n = bytes ? read_some(STDIN_FILENO, standard, bytes, e) : 0;
    if (!bytes)
        no_memory(e);
    else if (n == 0)
        tn_fail(e, TN_EFORMAT, "standard input: empty; expected records or a text, for --data -");
    o->standard_name = names[n && begins_records(bytes, n) ? RECORDS : TEXT];
    if (!e->code && !keep(s, bytes, n, e))
        o->standard_input = s->open;
    s->name = o->standard_name;
    free(bytes);
    return e->code;
}

static int open_again(const char *path, tn_error *e)
{
    size_t size;
    return e->code ? -1 : tn_file_open(path, &size, e);
}

/* Do both have the same bytes? Standard input that is empty is not compared. */
static bool is_same(int file, const char *path, char *bytes[2], tn_error *e)
{
    size_t n = AT_ONCE;
    for (bool first = true; n == AT_ONCE && !e->code; first = false) {
        n = read_some(STDIN_FILENO, standard, bytes[0], e);
        if (first && n == 0)
            return true;
        if (read_some(file, path, bytes[1], e) != n || memcmp(bytes[0], bytes[1], n) != 0)
            return false;
    }
    return true;
}

/* Refuses standard input that has something else than the file. A terminal is not read. */
static int check_same(const char *path, tn_error *e)
{
    if (isatty(STDIN_FILENO))
        return e->code;
    char *bytes[2] = { malloc(AT_ONCE), malloc(AT_ONCE) };
    const int file = open_again(path, e);
    if (!bytes[0] || !bytes[1])
        no_memory(e);
    else if (file >= 0 && !is_same(file, path, bytes, e) && !e->code)
        tn_fail(e, APP_USAGE,
                "--data -: standard input is not that of the run that is resumed, which is kept as "
                "%s; expected the same, or nothing",
                path);
    if (file >= 0)
        close(file);
    free(bytes[0]);
    free(bytes[1]);
    return e->code;
}

int spool_resume(spool *s, options *o, const char *folder, tn_error *e)
{
    if (!is_asked(o, e))
        return e->code;
    for (int i = 0; i < 2 && !s->path && !e->code; i++)
        if (tn_path_is(folder, names[i], e) == TN_FILE &&
            !(s->path = tn_path_newest(folder, o->standard_name = names[i])))
            no_memory(e);
    if (!s->path && !e->code)
        tn_fail(e, TN_EIO, "%s: no %s or %s; expected what --data - read when the run began",
                folder, names[RECORDS], names[TEXT]);
    o->standard_input = s->path;
    return e->code ? e->code : check_same(s->path, e);
}

int spool_save(spool *s, const char *folder, tn_error *e)
{
    if (!s->file || e->code)
        return e->code;
    char *path = tn_path_join(folder, s->name), *bytes = malloc(AT_ONCE);
    const int file = open_again(s->open, e);
    if (!path || !bytes)
        no_memory(e);
    else if (file >= 0)
        copy_all(file, standard, path, bytes, read_some(file, standard, bytes, e), e);
    if (file >= 0)
        close(file);
    if (!e->code && ftruncate(s->file - 1, 0)) /* the copy is enough: the data sets are made */
        tn_fail(e, TN_EIO, "standard input: its temporary file cannot be emptied: %s",
                strerror(errno));
    free(bytes);
    free(path);
    return e->code;
}

void spool_close(spool *s, tn_error *e)
{
    char *at = s->file ? strstr(e->text, s->open) : NULL;
    if (e->code && at) { /* its path says nothing */
        char rest[sizeof e->text];
        snprintf(rest, sizeof rest, "%s", at + strlen(s->open));
        snprintf(at, (size_t)(e->text + sizeof e->text - at), "%s%s", standard, rest);
    }
    if (s->file)
        close(s->file - 1);
    free(s->path);
    *s = (spool){ 0 };
}
