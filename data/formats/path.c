/* path.c - joins names of files, and finds out whether a path is absent or cannot be read. */
#include "data/data.h"
#include "data/formats/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *tn_path_join(const char *folder, const char *name)
{
    if (!folder || !name)
        return NULL;
    size_t a = strlen(folder), b = strlen(name);
    bool slash = a && folder[a - 1] != '/';
    char *path = malloc(a + slash + b + 1);
    if (!path)
        return NULL;
    memcpy(path, folder, a);
    if (slash)
        path[a] = '/';
    memcpy(path + a + slash, name, b + 1);
    return path;
}

/* Errors of stat which mean that no file is there, or that the whole folder cannot be read. */
static bool is_for_all(int why)
{
    return why == ENOENT || why == ENOTDIR || why == EACCES || why == ELOOP || why == ENAMETOOLONG;
}

char *tn_path_newest(const char *folder, const char *name)
{
    struct stat st;
    char *waits = tn_path_join(folder, ".tenon-new");
    if (!waits)
        return NULL;
    const bool there = !tn_at_stat(AT_FDCWD, waits, &st, AT_SYMLINK_NOFOLLOW) || !is_for_all(errno);
    char *path = there ? tn_path_join(waits, name) : NULL;
    free(waits);
    if (there &&
        (!path || !tn_at_stat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) || errno != ENOENT))
        return path; /* opening it reports the error */
    free(path);
    return tn_path_join(folder, name);
}

/* Finds out what a path is that stat refuses. A part of it may be a broken link, and a link is not
   absent. So the path is cut from its end until a part of it is found. */
static tn_presence not_found(char *path, tn_error *e)
{
    char target[256], *slash;
    struct stat st;
    const int why = errno;
    ssize_t n = tn_at_link(AT_FDCWD, path, target, sizeof target);
    while ((why == ENOENT || why == ELOOP) && n < 0 && errno == why &&
           (slash = strrchr(path, '/')) != NULL) {
        *slash = 0;
        n = tn_at_link(AT_FDCWD, path, target, sizeof target);
    }
    if (n >= 0 && tn_at_stat(AT_FDCWD, path, &st, 0))
        tn_fail(e, TN_EIO, "%s: a link to %.*s, which cannot be followed: %s", path, (int)n, target,
                strerror(why));
    else if (why != ENOENT)
        tn_fail(e, why == ENOMEM ? TN_ENOMEM : TN_EIO, "%s: %s", path, strerror(why));
    return e->code ? TN_UNREADABLE : TN_ABSENT;
}

tn_presence tn_path_is(const char *folder, const char *name, tn_error *e)
{
    if (tn_given(e, folder, __func__))
        return TN_UNREADABLE;
    struct stat st;
    tn_presence is = TN_UNREADABLE;
    const char *here = *folder ? folder : ".";
    char *path = e->code ? NULL : name ? tn_path_newest(folder, name) : strdup(here);
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    else if (tn_at_stat(AT_FDCWD, path, &st, 0))
        is = not_found(path, e);
    else
        is = S_ISDIR(st.st_mode) ? TN_FOLDER : TN_FILE;
    free(path);
    return is;
}
