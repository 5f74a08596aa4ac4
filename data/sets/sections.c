/* sections.c - reads a file in sections, which all threads work on (sections.h).

   The calling thread reads some sections, all threads work on these, then the calling thread takes
   what they made, in the order of the file. So the result does not depend on the threads. */
#include "data/sets/sections.h"
#include "core/op.h"
#include "data/formats/file.h"
#include "data/formats/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTION = 1 << 20, PER_THREAD = 4, MOST_SECTIONS = 256 };

/* ---- the file ---- */

static bool state_of(int fd, size_t *size, int64_t changed[2])
{
    struct stat st;
    if (tn_at_stat_self(fd, &st))
        return false;
#ifdef __APPLE__
    const struct timespec at = st.st_mtimespec;
#else
    const struct timespec at = st.st_mtim;
#endif
    *size = (size_t)st.st_size;
    changed[0] = at.tv_sec;
    changed[1] = at.tv_nsec;
    return true;
}

tn_input tn_input_open(const char *path, tn_error *e)
{
    tn_input in = { .path = path };
    in.fd = tn_file_open(path, &in.size, e);
    if (in.fd >= 0 && !state_of(in.fd, &in.size, in.changed))
        tn_fail(e, TN_EIO, "%s: cannot open: %s", path, strerror(errno));
    if (!e->code && in.size == 0)
        tn_fail(e, TN_EFORMAT, "%s: 0 bytes; expected at least 1", path);
    return in;
}

void tn_input_close(tn_input *in)
{
    if (in->fd >= 0)
        close(in->fd);
    in->fd = -1;
}

int tn_input_check(const tn_input *in, tn_error *e)
{
    size_t size = 0;
    int64_t changed[2] = { 0 };
    if (e->code || (state_of(in->fd, &size, changed) && size == in->size &&
                    !memcmp(changed, in->changed, sizeof changed)))
        return e->code;
    return tn_fail(e, TN_EIO,
                   "%s: has changed while it was read; expected it to stay until the token ids are "
                   "made",
                   in->path);
}

int tn_input_read(const tn_input *in, void *out, size_t n, size_t at, tn_error *e)
{
    if (e->code)
        return e->code;
    errno = 0;
    const size_t done = tn_file_get(in->fd, out, n, at);
    if (done == n || tn_input_check(in, e))
        return e->code;
    return tn_fail(e, TN_EIO, "%s: cannot read: %s", in->path, strerror(errno));
}

/* ---- sections ---- */

static int make_room(tn_section *b, size_t bytes, const char *path, tn_error *e)
{
    if (bytes <= b->bytes)
        return e->code;
    char *more = realloc(b->room, bytes);
    if (more == NULL)
        return tn_fail(e, TN_ENOMEM, "%s: no memory for %zu bytes", path, bytes);
    b->room = more;
    b->bytes = bytes;
    return e->code;
}

static int64_t count_lines(const char *s, size_t n)
{
    int64_t lines = 0;
    for (const char *end = s + n; n > 0 && (s = memchr(s, '\n', (size_t)(end - s))) != NULL; s++)
        lines++;
    return lines;
}

bool tn_sections_read(tn_sections *f, tn_section *b, tn_error *e)
{
    const size_t left = f->to > f->at ? f->to - f->at : 0;
    size_t want = left < SECTION ? left : SECTION, has = 0, size = 0;
    while (left > 0 && size == 0 && !e->code) {
        if (has > f->longest) {
            tn_fail(e, TN_EFORMAT, "%s:%lld: %s of more than %zu bytes; expected fewer", f->in.path,
                    (long long)f->line + 1, f->kind, f->longest);
            break;
        }
        want = has ? (left / 2 < has ? left : 2 * has) : want;
        if (make_room(b, want, f->in.path, e) ||
            tn_input_read(&f->in, b->room + has, want - has, f->at + has, e))
            break;
        has = want;
        size = has == left ? has : f->cut(f->arg, b->room, has);
    }
    if (size == 0 || e->code)
        return false;
    b->text = (tn_span){ b->room, size };
    b->from = f->at;
    b->line = f->line;
    b->last = size == left;
    f->at += size;
    b->rest = (double)(f->to - f->at) / (double)(f->at - f->from);
    f->line += count_lines(b->room, size);
    return true;
}

typedef struct job {
    tn_sections *f;
    tn_section *b;
} job;

static void work(void *arg, int64_t i, int thread)
{
    const job *j = arg;
    (void)thread;
    j->f->work(j->f->arg, &j->b[i]);
}

/* Lets all threads work on n sections, and takes what they made up to the first error. */
static int work_on(tn_sections *f, tn_section *b, int64_t n, tn_context *c, tn_error *e)
{
    job j = { f, b };
    if (c == NULL || n == 1)
        for (int64_t i = 0; i < n; i++)
            work(&j, i, 0);
    else if (tn_parallel_for(c, n, work, &j))
        tn_fail(e, TN_ESTATE,
                "%s: the context runs on another thread; expected one thread at a time",
                f->in.path);
    for (int64_t i = 0; i < n; i++) {
        f->take(f->arg, &b[i], e);
        if (b[i].e.code)
            tn_fail(e, b[i].e.code, "%s", b[i].e.text);
        b[i].made[0] = b[i].made[1] = NULL;
        b[i].e = (tn_error){ 0 };
    }
    return e->code;
}

int tn_sections_run(tn_sections *f, const tn_data_options *o, tn_error *e)
{
    const int threads = o->context ? tn_context_threads(o->context) : 1;
    const int most = threads == 1                           ? 1
                     : threads < MOST_SECTIONS / PER_THREAD ? threads * PER_THREAD
                                                            : MOST_SECTIONS;
    tn_section *b = e->code ? NULL : calloc((size_t)most, sizeof *b);
    tn_error ends = { 0 }; /* of reading: sections before it come first */
    f->at = f->from;
    f->line = 0;
    if (b == NULL)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", f->in.path);
    for (int n = 1; n > 0 && !e->code && !ends.code;) {
        for (n = 0; n < most && tn_sections_read(f, &b[n], &ends);)
            n++;
        if (work_on(f, b, n, n > 0 ? o->context : NULL, e))
            break;
        if (o->watch && !o->watch(o->watch_arg, f->in.path, f->at - f->from, f->to - f->from))
            tn_fail(e, TN_ESTATE, "%s: stopped while it was read", f->in.path);
    }
    if (ends.code)
        tn_fail(e, ends.code, "%s", ends.text);
    tn_input_check(&f->in, e);
    for (int i = 0; i < most; i++)
        free(b[i].room);
    free(b);
    return e->code;
}
