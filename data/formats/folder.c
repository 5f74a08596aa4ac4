/* folder.c - opens, renames, removes and lists files by the descriptor of a folder. */
#define _GNU_SOURCE /* renameat2 */
#include "data/formats/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

int tn_at_open(int at, const char *name, int flags)
{
    int fd;
    do
        fd = openat(at, name, flags | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int tn_folder_open(int at, const char *name)
{
    return tn_at_open(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

int tn_at_make(int at, const char *name)
{
    int failed;
    do
        failed = mkdirat(at, name, 0777);
    while (failed && errno == EINTR);
    return failed;
}

int tn_at_stat(int at, const char *name, struct stat *out, int flags)
{
    int failed;
    do
        failed = fstatat(at, name, out, flags);
    while (failed && errno == EINTR);
    return failed;
}

int tn_at_stat_self(int at, struct stat *out)
{
    int failed;
    do
        failed = fstat(at, out);
    while (failed && errno == EINTR);
    return failed;
}

ssize_t tn_at_link(int at, const char *name, char *target, size_t room)
{
    ssize_t n;
    do
        n = readlinkat(at, name, target, room);
    while (n < 0 && errno == EINTR);
    return n;
}

/* POSIX has no flags: each system has its own function for them. */
static int rename_how(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    if (!flags)
        return renameat(from_at, from, to_at, to);
#if defined RENAME_EXCL /* macOS */
    return renameatx_np(from_at, from, to_at, to,
                        flags == TN_RENAME_SWAP ? RENAME_SWAP : RENAME_EXCL);
#elif defined RENAME_NOREPLACE
    return renameat2(from_at, from, to_at, to,
                     flags == TN_RENAME_SWAP ? RENAME_EXCHANGE : RENAME_NOREPLACE);
#elif defined SYS_renameat2 /* Linux with a libc that does not name it; its flags are ours */
    return (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
#endif
    errno = EINVAL;
    return -1;
}

int tn_at_rename(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    int failed;
    do
        failed = rename_how(from_at, from, to_at, to, flags);
    while (failed && errno == EINTR);
    struct stat st;
    /* Where that is not known: looks for `to`, then renames. */
    if (failed && flags == TN_RENAME_NEW && (errno == EINVAL || errno == ENOTSUP) &&
        tn_at_stat(to_at, to, &st, AT_SYMLINK_NOFOLLOW))
        return tn_at_rename(from_at, from, to_at, to, 0);
    return failed;
}

int tn_at_remove(int at, const char *name, bool folder)
{
    int failed;
    do
        failed = unlinkat(at, name, folder ? AT_REMOVEDIR : 0);
    while (failed && errno == EINTR);
    return failed;
}

static int flush(int fd)
{
#ifdef F_FULLFSYNC /* macOS: its fsync leaves the bytes in the memory of the drive */
    const int failed = fcntl(fd, F_FULLFSYNC);
    if (!failed || errno == EINTR)
        return failed;
#endif
    return fsync(fd);
}

int tn_at_flush(int fd)
{
    int failed;
    do
        failed = flush(fd);
    while (failed && errno == EINTR);
    return failed && errno == EINVAL ? 0
                                     : failed; /* some network file systems cannot flush a folder */
}

static int in_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The next entry except "." and "..". NULL at the end, or with errno set. */
static const struct dirent *next_entry(DIR *d)
{
    const struct dirent *f;
    do {
        errno = 0;
        f = readdir(d);
    } while ((!f && errno == EINTR) ||
             (f && (!strcmp(f->d_name, ".") || !strcmp(f->d_name, ".."))));
    return f;
}

char **tn_folder_names(int at, const char *path, tn_error *e)
{
    size_t n = 0, room = 16;
    char **names = calloc(room, sizeof *names);
    int fd = tn_folder_open(at, "."); /* a new descriptor with its own position in the list */
    DIR *d = NULL;
    while (fd >= 0 && !(d = fdopendir(fd)) && errno == EINTR)
        ;
    if (!names || (!d && errno == ENOMEM))
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    for (const struct dirent *f; d && !e->code && (f = next_entry(d)) != NULL;) {
        if (n + 1 == room) {
            room *= 2;
            char **more = realloc(names, room * sizeof *names);
            names = more ? more : names;
            if (!more)
                tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
        }
        if (!e->code && !(names[n] = strdup(f->d_name)))
            tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
        else if (!e->code)
            names[++n] = NULL;
    }
    if (!e->code && errno)
        tn_fail(e, TN_EIO, "%s: cannot list this folder: %s", path, strerror(errno));
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    if (e->code) {
        tn_folder_names_free(names);
        return NULL;
    }
    qsort(names, n, sizeof *names, in_order);
    return names;
}

void tn_folder_names_free(char **names)
{
    for (size_t i = 0; names && names[i]; i++)
        free(names[i]);
    free(names);
}

static bool is_listed(const char *name, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        const size_t n = strlen(names[i]);
        if (!strncmp(name, names[i], n) && (!name[n] || !strcmp(name + n, TN_UNFINISHED)))
            return true;
    }
    return false;
}

/* Opens the folder `name` as *fd and returns the names in it. The first of them that is not in
   `names` is copied to `other`; without such a name that is empty. Returns NULL, with errno, if the
   folder cannot be read. */
static char **names_in(int at, const char *name, const char *const *names, int *fd, char other[256])
{
    tn_error e = { 0 };
    struct stat st;
    *fd = tn_folder_open(at, name);
    char **all = *fd < 0 ? NULL : tn_folder_names(*fd, name, &e);
    *other = 0;
    for (size_t i = 0; all && all[i] && !*other; i++)
        if (!is_listed(all[i], names) || tn_at_stat(*fd, all[i], &st, AT_SYMLINK_NOFOLLOW) ||
            !S_ISREG(st.st_mode))
            snprintf(other, 256, "%s", all[i]);
    return all;
}

bool tn_folder_has_others(int at, const char *name, const char *const *names, char other[256])
{
    int fd;
    tn_folder_names_free(names_in(at, name, names, &fd, other));
    if (fd >= 0)
        close(fd);
    return *other != 0;
}

int tn_folder_remove(int at, const char *name, const char *const *names)
{
    char other[256];
    int fd;
    char **all = names_in(at, name, names, &fd, other);
    int why = all ? 0 : errno;
    if (*other)
        why = ENOTEMPTY;
    for (size_t i = 0; all && all[i] && !why; i++)
        why = tn_at_remove(fd, all[i], false) ? errno : 0;
    tn_folder_names_free(all);
    if (fd >= 0)
        close(fd);
    if (!why)
        return tn_at_remove(at, name, true);
    errno = why;
    return -1;
}
