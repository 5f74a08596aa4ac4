/* path.c - names of files: joining them, and what is there. */
#include "data/data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *tn_path_join(const char *folder, const char *name)
{
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

char *tn_path_newest(const char *folder, const char *name)
{
    struct stat st;
    char *waits = tn_path_join(folder, ".tenon-new");
    char *path = waits ? tn_path_join(waits, name) : NULL;
    free(waits);
    if (path && !lstat(path, &st))
        return path;
    free(path);
    return tn_path_join(folder, name);
}

/* A path that stat refuses. Part of it may be a link, which is there wherever it leads: the path is
   cut from its end until something is found. */
static tn_presence not_found(char *path, tn_error *e)
{
    char target[256], *slash;
    struct stat st;
    const int why = errno;
    ssize_t n = readlink(path, target, sizeof target);
    while ((why == ENOENT || why == ELOOP) && n < 0 && errno == why &&
           (slash = strrchr(path, '/')) != NULL) {
        *slash = 0;
        n = readlink(path, target, sizeof target);
    }
    if (n >= 0 && stat(path, &st))
        tn_fail(e, TN_EIO, "%s: a link to %.*s, which cannot be followed: %s", path, (int)n, target,
                strerror(why));
    else if (why != ENOENT)
        tn_fail(e, why == ENOMEM ? TN_ENOMEM : TN_EIO, "%s: %s", path, strerror(why));
    return e->code ? TN_UNREADABLE : TN_ABSENT;
}

tn_presence tn_path_is(const char *folder, const char *name, tn_error *e)
{
    struct stat st;
    tn_presence is = TN_UNREADABLE;
    const char *here = *folder ? folder : ".";
    char *path = e->code ? NULL : name ? tn_path_newest(folder, name) : strdup(here);
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    else if (stat(path, &st))
        is = not_found(path, e);
    else
        is = S_ISDIR(st.st_mode) ? TN_FOLDER : TN_FILE;
    free(path);
    return is;
}
