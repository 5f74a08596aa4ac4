/* folders.c - see folders.h. A folder named checkpoint-N is complete: it is filled under another
   name, flushed, and renamed. */
#include "optim/run/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char prefix[] = "checkpoint-", leftover[] = ".tmp";

char *tn_checkpoint_path(const char *folder, int64_t step, const char *suffix)
{
    char name[64];
    snprintf(name, sizeof name, "%s%lld%s", prefix, (long long)step, suffix);
    return tn_path_join(folder, name);
}

int64_t tn_checkpoint_number(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (strncmp(name, prefix, sizeof prefix - 1))
        return -1;
    int64_t n = 0;
    const char *s = name + sizeof prefix - 1;
    if (!*s || strlen(s) > 18)
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -1;
        n = 10 * n + (*s - '0');
    }
    return n;
}

bool tn_file_exists(const char *folder, const char *name)
{
    char *path = tn_path_join(folder, name);
    struct stat st;
    bool there = path && !stat(path, &st) && S_ISREG(st.st_mode);
    free(path);
    return there;
}

int64_t tn_checkpoint_before(const char *folder, int64_t below, const char *file)
{
    DIR *d = opendir(folder);
    if (!d)
        return -1;
    int64_t best = -1;
    for (const struct dirent *f; (f = readdir(d)) != NULL;) {
        int64_t n = tn_checkpoint_number(f->d_name);
        if (n <= best || n >= below)
            continue;
        char *path = tn_path_join(folder, f->d_name);
        if (path && tn_file_exists(path, file))
            best = n;
        free(path);
    }
    closedir(d);
    return best;
}

int tn_folder_flush(const char *path, tn_error *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* EINVAL: a file system that cannot flush folders, as some network ones. */
    if (fd < 0 || (fsync(fd) && errno != EINVAL))
        tn_fail(e, TN_EIO, "%s: cannot flush this folder: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return e->code;
}

int tn_folder_replace(const char *from, const char *to, const char *around, tn_error *e)
{
    if (tn_folder_flush(from, e))
        return e->code;
    if (rename(from, to)) {
        /* A checkpoint of this number is there: the two change places at once. */
        if ((errno != ENOTEMPTY && errno != EEXIST) ||
            renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE))
            return tn_fail(e, TN_EIO, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
        tn_folder_remove(from);
    }
    return tn_folder_flush(around, e);
}

void tn_folder_remove(const char *path)
{
    DIR *d = opendir(path);
    if (!d)
        return;
    for (const struct dirent *f; (f = readdir(d)) != NULL;)
        if (strcmp(f->d_name, ".") && strcmp(f->d_name, ".."))
            unlinkat(dirfd(d), f->d_name, 0);
    closedir(d);
    rmdir(path);
}

/* What a save that was cut short left behind. */
static void remove_leftovers(const char *folder)
{
    DIR *d = opendir(folder);
    if (!d)
        return;
    for (const struct dirent *f; (f = readdir(d)) != NULL;) {
        size_t n = strlen(f->d_name), m = sizeof leftover - 1;
        if (n <= m || strncmp(f->d_name, prefix, sizeof prefix - 1) ||
            strcmp(f->d_name + n - m, leftover))
            continue;
        char *path = tn_path_join(folder, f->d_name);
        if (path)
            tn_folder_remove(path);
        free(path);
    }
    closedir(d);
}

/* It becomes a leftover before its files go: what is cut short now is finished by the next save. */
static void retire(const char *folder, int64_t step)
{
    char *path = tn_checkpoint_path(folder, step, ""),
         *away = tn_checkpoint_path(folder, step, leftover);
    if (path && away && !rename(path, away))
        tn_folder_remove(away);
    free(path);
    free(away);
}

void tn_checkpoint_prune(const char *folder, int64_t newest, int keep, const char *file)
{
    remove_leftovers(folder);
    int64_t n = newest;
    for (int kept = 1; (n = tn_checkpoint_before(folder, n, file)) >= 0; kept++)
        if (kept >= keep)
            retire(folder, n);
}
