/* file.c - reads, maps and writes whole files.

   A save must leave the old file or the new one at every instant, also when the power fails:
   write beside the target, flush that, rename it over the target, flush the folder. */
#define _GNU_SOURCE /* O_TMPFILE, mkostemp */
#include "data/formats/file.h"
#include "data/formats/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int refused(const char *path, const char *what, tn_error *e)
{
    int code = errno == ENOMEM ? TN_ENOMEM : TN_EIO;
    return tn_fail(e, code, "%s: cannot %s: %s", path, what, strerror(errno));
}

/* Sets the error of a file that cannot be opened; tn_path_is explains broken links. Returns -1. */
static int not_opened(int at, const char *path, tn_error *e)
{
    const int why = errno;
    if (at == AT_FDCWD)
        tn_path_is(path, NULL, e);
    errno = why;
    refused(path, "open", e);
    return -1;
}

/* Opens a regular file. Others are refused: they could block (a FIFO) or never end (/dev/zero).
   Returns -1 when it is refused. */
static int open_regular(int at, const char *name, int flags, const char *path, size_t *size,
                        tn_error *e)
{
    if (e->code)
        return -1;
    struct stat st;
    int fd = tn_at_open(at, name, O_RDONLY | O_NONBLOCK | flags);
    if (fd < 0)
        return not_opened(at, path, e);
    lseek(fd, 0, SEEK_SET); /* on macOS /dev/fd/N stands where N stands */
    if (tn_at_stat_self(fd, &st))
        refused(path, "open", e);
    else if (!S_ISREG(st.st_mode))
        tn_fail(e, TN_EIO, "%s: a folder or device; expected a file", path);
    if (!e->code) {
        *size = (size_t)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

int tn_file_open(const char *path, size_t *size, tn_error *e)
{
    return open_regular(AT_FDCWD, path, 0, path, size, e);
}

size_t tn_file_get(int fd, void *out, size_t n, size_t at)
{
    size_t done = 0;
    while (done < n) {
        const ssize_t some = pread(fd, (char *)out + done, n - done, (off_t)(at + done));
        if (some == 0)
            errno = EIO; /* it has become shorter */
        if (some > 0)
            done += (size_t)some;
        else if (some == 0 || errno != EINTR)
            break;
    }
    return done;
}

bool tn_file_put(int fd, const void *bytes, size_t n)
{
    const char *from = bytes;
    while (n > 0) {
        const ssize_t some = write(fd, from, n);
        if (some < 0 && errno != EINTR)
            return false;
        from += some > 0 ? some : 0;
        n -= some > 0 ? (size_t)some : 0;
    }
    return true;
}

const char *tn_file_temporary(void)
{
    const char *named = getenv("TMPDIR");
    return named && *named ? named : access("/var/tmp", W_OK) ? "/tmp" : "/var/tmp";
}

int tn_file_unnamed(void)
{
    int file = -1;
#ifdef O_TMPFILE /* Linux; not all file systems know it */
    file = tn_at_open(AT_FDCWD, tn_file_temporary(), O_TMPFILE | O_RDWR);
    if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
        return file;
#endif
    char *path = tn_path_join(tn_file_temporary(), "tenon-XXXXXX");
    file = path ? mkostemp(path, O_CLOEXEC) : -1;
    if (file >= 0)
        unlink(path);
    free(path);
    return file;
}

static int read_all(int fd, char *bytes, size_t size, const char *path, tn_error *e)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, bytes + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return refused(path, "read", e);
        if (n == 0)
            return tn_fail(e, TN_EIO, "%s: ended after %zu bytes; expected %zu", path, done, size);
        done += (size_t)n;
    }
    return TN_OK;
}

static char *read_file(int at, const char *name, int flags, const char *path, size_t most,
                       size_t *size, tn_error *e)
{
    size_t n;
    int fd = open_regular(at, name, flags, path, &n, e);
    if (fd < 0)
        return NULL;
    char *bytes = NULL;
    if (n > most)
        tn_fail(e, TN_EFORMAT, "%s: %zu bytes; expected at most %zu", path, *size = n, most);
    else if (!(bytes = malloc(n + 1)))
        tn_fail(e, TN_ENOMEM, "%s: no memory for %zu bytes", path, n);
    else
        read_all(fd, bytes, n, path, e);
    close(fd);
    if (e->code) {
        free(bytes);
        return NULL;
    }
    bytes[n] = 0;
    *size = n;
    return bytes;
}

char *tn_file_read(const char *path, size_t most, size_t *size, tn_error *e)
{
    if (tn_given(e, path && size, __func__))
        return NULL;
    return read_file(AT_FDCWD, path, 0, path, most, size, e);
}

char *tn_file_read_at(int at, const char *name, const char *path, size_t most, size_t *size,
                      tn_error *e)
{
    return read_file(at, name, O_NOFOLLOW, path, most, size, e);
}

size_t tn_text_mark(const char *path, const char *text, size_t n, tn_error *e)
{
    if (tn_given(e, path && (text || !n), __func__))
        return 0;
    static const struct {
        const char *name, *bytes;
        size_t n;
    } marks[] = {
        { NULL, "\xEF\xBB\xBF", 3 },
        { "UTF-32", "\xFF\xFE\0\0", 4 }, /* before UTF-16, whose mark it begins with */
        { "UTF-32", "\0\0\xFE\xFF", 4 },
        { "UTF-16", "\xFF\xFE", 2 },
        { "UTF-16", "\xFE\xFF", 2 },
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (n < marks[i].n || memcmp(text, marks[i].bytes, marks[i].n) != 0)
            continue;
        if (marks[i].name != NULL)
            tn_fail(e, TN_EFORMAT, "%s: a text in %s; expected UTF-8", path, marks[i].name);
        return marks[i].name == NULL ? marks[i].n : 0;
    }
    return 0;
}

char *tn_text_read(const char *path, size_t most, size_t *size, tn_error *e)
{
    if (tn_given(e, path && size, __func__))
        return NULL;
    char *text = tn_file_read(path, most, size, e);
    const size_t mark = text == NULL ? 0 : tn_text_mark(path, text, *size, e);
    if (e->code) {
        free(text);
        return NULL;
    }
    *size -= mark;
    memmove(text, text + mark, *size + 1);
    return text;
}

const void *tn_file_map(const char *path, size_t least, size_t most, size_t *size, tn_error *e)
{
    int fd = open_regular(AT_FDCWD, path, 0, path, size, e);
    if (fd < 0)
        return NULL;
    void *map = MAP_FAILED;
    if (*size < least)
        tn_fail(e, TN_EFORMAT, "%s: %zu bytes; expected at least %zu", path, *size, least);
    else if (*size > most)
        tn_fail(e, TN_EFORMAT, "%s: %zu bytes; expected at most %zu", path, *size, most);
    else if ((map = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        refused(path, "map", e);
    close(fd);
    return map == MAP_FAILED ? NULL : map;
}

void tn_file_pass(const void *map, size_t from, size_t to)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), first = from - from % page;
    madvise((char *)map + first, to - to % page - first, MADV_DONTNEED); /* a hint: it may fail */
}

void tn_file_pass_bytes(const void *bytes, size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uintptr_t from = ((uintptr_t)bytes + page - 1) / page * page;
    const uintptr_t to = ((uintptr_t)bytes + n) / page * page;
    if (from < to)
        madvise((char *)bytes + (from - (uintptr_t)bytes), to - from, MADV_DONTNEED);
}

/* Opens the folder that the path in `copy` lies in. It may cut the copy. */
static int open_around(char *copy)
{
    char *slash = strrchr(copy, '/');
    if (!slash)
        return tn_at_open(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
    if (slash == copy)
        return tn_at_open(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
    *slash = 0;
    return tn_at_open(AT_FDCWD, copy, O_RDONLY | O_DIRECTORY);
}

tn_writer tn_writer_open(const char *path, tn_error *e)
{
    tn_writer w = { .path = path, .at = -1, .fd = -1, .e = e };
    const char *slash = strrchr(path, '/');
    struct stat st;
    if (e->code)
        return w;
    w.name = slash ? slash + 1 : path;
    const size_t n = strlen(path), before = (size_t)(w.name - path);
    w.copy = malloc(n + sizeof TN_UNFINISHED);
    if (!w.copy) {
        tn_fail(e, TN_ENOMEM, "%s: no memory to write", path);
        return w;
    }
    memcpy(w.copy, path, n);
    memcpy(w.copy + n, TN_UNFINISHED, sizeof TN_UNFINISHED);
    w.temp = w.copy + before;
    w.at = open_around(w.copy);
    /* A link or a device is refused: a rename would replace it by a file, which nobody intends. */
    if (!*w.name || (w.at >= 0 && !tn_at_stat(w.at, w.name, &st, AT_SYMLINK_NOFOLLOW) &&
                     !S_ISREG(st.st_mode))) {
        tn_fail(e, TN_EIO, "%s: a folder, link or device; expected a file or nothing", path);
        return w;
    }
    if (w.at >= 0) {
        if (!tn_at_stat(w.at, w.temp, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
            tn_at_remove(w.at, w.temp, false); /* the rest of an interrupted save */
        w.fd = tn_at_open(w.at, w.temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
    }
    if (w.fd < 0)
        refused(path, "write", e);
    return w;
}

void tn_writer_add(tn_writer *w, const void *bytes, size_t n)
{
    if (!w->e->code && !tn_file_put(w->fd, bytes, n))
        refused(w->path, "write", w->e);
}

int tn_writer_close(tn_writer *w)
{
    tn_error *e = w->e;
    if (w->fd >= 0) {
        /* A failed flush is final: the system may have dropped the data that it could not write. */
        if (!e->code && tn_at_flush(w->fd))
            refused(w->path, "flush", e);
        if (close(w->fd) && errno != EINTR && !e->code) /* an interrupted close closes, too */
            refused(w->path, "close", e);
        if (!e->code && tn_at_rename(w->at, w->temp, w->at, w->name, w->how))
            refused(w->path, w->how ? "make" : "replace", e);
        if (e->code)
            tn_at_remove(w->at, w->temp, false);
        else if (tn_at_flush(w->at)) /* a rename is on the disk when its folder is flushed */
            refused(w->path, "flush the folder of", e);
    }
    if (w->at >= 0)
        close(w->at);
    free(w->copy);
    *w = (tn_writer){ .at = -1, .fd = -1, .e = e };
    return e->code;
}

int tn_file_write(const char *path, const void *bytes, size_t size, tn_error *e)
{
    const int missing = tn_given(e, path && (bytes || !size), __func__);
    if (missing)
        return missing;
    tn_writer w = tn_writer_open(path, e);
    tn_writer_add(&w, bytes, size);
    return tn_writer_close(&w);
}

int tn_file_create(const char *path, const void *bytes, size_t size, tn_error *e)
{
    const int missing = tn_given(e, path && (bytes || !size), __func__);
    if (missing)
        return missing;
    tn_writer w = tn_writer_open(path, e);
    w.how = TN_RENAME_NEW;
    tn_writer_add(&w, bytes, size);
    return tn_writer_close(&w);
}

int tn_folder_make(const char *path, tn_error *e)
{
    const int missing = tn_given(e, path, __func__);
    if (missing)
        return missing;
    if (!e->code && tn_at_make(AT_FDCWD, path) && errno != EEXIST)
        refused(path, "make this folder", e);
    return e->code;
}
