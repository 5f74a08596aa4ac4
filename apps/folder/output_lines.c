/* output_lines.c - opens the files of a run to which it adds lines, with those of before a resume. */
#include "apps/folder/output.h"
#include "apps/report/show.h"
#include "apps/folder/swap.h"
#include "data/formats/file.h"
#include "data/formats/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes the kept lines of the older file. If the run waited, they are in this same file. */
static bool cut(FILE *f, size_t size)
{
    int failed;
    do
        failed = ftruncate(fileno(f), (off_t)size);
    while (failed && errno == EINTR);
    return !failed;
}

typedef struct keeping { /* by the rule; else `kept` bytes, or with -1 all complete lines */
    int64_t kept;
    output_rule rule;
    int64_t step;
} keeping;

static size_t kept_of(const keeping *k, const char *text, size_t size)
{
    if (!text)
        return 0;
    if (k->rule)
        return k->rule(text, size, k->step);
    if (k->kept >= 0)
        return (size_t)k->kept < size ? (size_t)k->kept : size;
    while (size > 0 && text[size - 1] != '\n')
        size--;
    return size;
}

static void keep_lines(const output *out, const char *name, const keeping *k, FILE *to, tn_error *e)
{
    struct stat st;
    size_t size = 0;
    const int at = out->waiting ? out->work_at : out->at;
    if (tn_at_stat(at, name, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
        return;
    char *path = tn_path_join(out->waiting ? out->work : out->folder, name);
    char *text = path ? tn_file_read_at(at, name, path, SIZE_MAX / 2, &size, e) : NULL;
    const size_t whole = kept_of(k, text, size);
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", out->folder);
    else if (out->waiting ? !cut(to, whole) : whole && !write_whole(to, text, whole))
        swap_failed(path, "keep its whole lines", e);
    free(text);
    free(path);
}

static FILE *open_lines(const output *out, const char *name, const keeping *k, tn_error *e)
{
    const int fd =
        e->code ? -1 : tn_at_open(out->work_at, name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "a");
    if (!e->code && !f)
        swap_failed(out->work, "make a file in this folder", e);
    if (f)
        setvbuf(f, NULL, _IONBF, 0); /* as write_whole wants it */
    if (f && out->resume)
        keep_lines(out, name, k, f, e);
    if (f && !e->code)
        return f;
    if (f)
        fclose(f);
    else if (fd >= 0)
        close(fd);
    return NULL;
}

FILE *output_lines(const output *out, const char *name, int64_t kept, tn_error *e)
{
    return open_lines(out, name, &(keeping){ .kept = kept }, e);
}

FILE *output_records(const output *out, const char *name, output_rule rule, int64_t step,
                     tn_error *e)
{
    return open_lines(out, name, &(keeping){ .rule = rule, .step = step }, e);
}
