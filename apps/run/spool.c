/* spool.c - --data -: standard input, written to a file (spool.h). */
#include "apps/run/spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AT_ONCE = 1 << 16, MOST = 1 << 30 }; /* bytes read at once; of a data file */

static const char *const names[] = { "stdin.jsonl", "stdin.txt" };
enum { RECORDS, TEXT };

/* Is standard input among the data? Twice is refused. */
static bool is_asked(const options *o, tn_error *e)
{
    int n = 0;
    for (int i = 0; o->data[i]; i++)
        n += !strcmp(o->data[i], "-");
    if (n > 1 && !e->code)
        tn_fail(e, APP_USAGE, "--data -: given twice; standard input can be read once");
    return n == 1 && !e->code;
}

/* Reads up to n bytes; fewer only at the end. */
static size_t read_some(char *bytes, size_t n, tn_error *e)
{
    size_t done = 0;
    while (done < n) {
        const ssize_t got = read(STDIN_FILENO, bytes + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            tn_fail(e, TN_EIO, "standard input: cannot be read: %s", strerror(errno));
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

/* A new folder for temporary files, in new memory. */
static char *make_folder(tn_error *e)
{
    const char *tmp = getenv("TMPDIR");
    char *folder = tn_path_join(tmp && *tmp ? tmp : "/tmp", "tenon-XXXXXX");
    if (!folder)
        tn_fail(e, TN_ENOMEM, "standard input: out of memory");
    else if (mkdtemp(folder))
        return folder;
    else
        tn_fail(e, TN_EIO, "%s: cannot make this folder: %s", folder, strerror(errno));
    free(folder);
    return NULL;
}

/* Copies standard input to the file, whose first n bytes are given. */
static int copy_input(FILE *f, const char *path, char *bytes, size_t n, tn_error *e)
{
    for (; n > 0 && !e->code; n = read_some(bytes, AT_ONCE, e))
        if (fwrite(bytes, 1, n, f) != n)
            tn_fail(e, TN_EIO, "%s: cannot write: %s", path, strerror(errno));
    if (fclose(f) && !e->code)
        tn_fail(e, TN_EIO, "%s: cannot write: %s", path, strerror(errno));
    return e->code;
}

int spool_open(spool *s, options *o, tn_error *e)
{
    char bytes[AT_ONCE];
    if (!is_asked(o, e))
        return e->code;
    const size_t n = read_some(bytes, sizeof bytes, e);
    if (n == 0 && !e->code)
        tn_fail(e, TN_EFORMAT, "standard input: empty; expected records or a text, for --data -");
    s->folder = e->code ? NULL : make_folder(e);
    if (s->folder)
        s->path = tn_path_join(s->folder, names[begins_records(bytes, n) ? RECORDS : TEXT]);
    if (s->folder && !s->path)
        tn_fail(e, TN_ENOMEM, "standard input: out of memory");
    FILE *f = s->path ? fopen(s->path, "wbx") : NULL;
    if (s->path && !f)
        tn_fail(e, TN_EIO, "%s: cannot write: %s", s->path, strerror(errno));
    o->standard_input = s->path;
    return f ? copy_input(f, s->path, bytes, n, e) : e->code;
}

/* Refuses standard input that has something else than the file. A terminal is not read. */
static int check_same(const char *path, tn_error *e)
{
    char bytes[AT_ONCE];
    size_t size = 0, at = 0, n;
    char *kept = isatty(STDIN_FILENO) ? NULL : tn_file_read(path, MOST, &size, e);
    bool same = true;
    while (kept && same && (n = read_some(bytes, sizeof bytes, e)) > 0) {
        same = n <= size - at && !memcmp(kept + at, bytes, n);
        at += n;
    }
    free(kept);
    if (!same || (at > 0 && at < size))
        tn_fail(e, APP_USAGE,
                "--data -: standard input is not that of the run that is resumed, which is kept as "
                "%s; expected the same, or nothing",
                path);
    return e->code;
}

int spool_resume(spool *s, options *o, const char *folder, tn_error *e)
{
    if (!is_asked(o, e))
        return e->code;
    for (int i = 0; i < 2 && !s->path && !e->code; i++)
        if (tn_path_is(folder, names[i], e) == TN_FILE &&
            !(s->path = tn_path_newest(folder, names[i])))
            tn_fail(e, TN_ENOMEM, "standard input: out of memory");
    if (!s->path && !e->code)
        tn_fail(e, TN_EIO, "%s: no %s or %s; expected what --data - read when the run began",
                folder, names[RECORDS], names[TEXT]);
    o->standard_input = s->path;
    return e->code ? e->code : check_same(s->path, e);
}

int spool_save(const spool *s, const char *folder, tn_error *e)
{
    size_t size = 0;
    if (!s->folder || e->code)
        return e->code;
    char *path = tn_path_join(folder, strrchr(s->path, '/') + 1);
    char *bytes = path ? tn_file_read(s->path, MOST, &size, e) : NULL;
    if (!path)
        tn_fail(e, TN_ENOMEM, "standard input: out of memory");
    if (bytes)
        tn_file_write(path, bytes, size, e);
    free(bytes);
    free(path);
    return e->code;
}

void spool_close(spool *s)
{
    if (s->folder && s->path)
        unlink(s->path);
    if (s->folder)
        rmdir(s->folder);
    free(s->folder);
    free(s->path);
    *s = (spool){ 0 };
}
