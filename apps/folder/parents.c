/* parents.c - makes the missing folders of a path, and removes them again. */
#include "apps/folder/parents.h"
#include "apps/folder/swap.h"
#include "data/formats/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* The last name of a path; "" if it ends with a slash. */
static char *last_name(char *path)
{
    char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Removes the folder and those above it, `n` in all, up to the first that is not empty. */
static void remove_up(char *path, int n)
{
    while (n > 0 && *path) {
        char *name = last_name(path);
        const bool names_none = !*name || !strcmp(name, "."); /* "new/" and "new/." are "new" */
        if (!names_none && tn_at_remove(AT_FDCWD, path, true))
            return;
        n -= !names_none;
        *(name > path ? name - 1 : path) = 0;
    }
}

int parents_make(const char *folder, tn_error *e)
{
    int made = 0;
    char *path = strdup(folder);
    if (!path) {
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
        return 0;
    }
    for (char *s = path + 1, *before = path;; s++) {
        const char kept = *s;
        if (kept && kept != '/')
            continue;
        *s = 0;
        const bool is_new = !tn_at_make(AT_FDCWD, path);
        if (!is_new && errno != EEXIST) {
            swap_failed(path, "make the folder", e);
            *before = 0;
            remove_up(path, made);
            made = 0;
            break;
        }
        made = strcmp(last_name(path), "..") ? made + is_new : 0;
        *s = kept;
        before = s;
        if (!kept)
            break;
    }
    free(path);
    return made;
}

void parents_unmake(const char *folder, int made)
{
    char *path = made ? strdup(folder) : NULL;
    if (path)
        remove_up(path, made);
    free(path);
}
