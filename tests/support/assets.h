/* assets.h - visits every file with a suffix under $TENON_ASSETS.
   This is a folder with real models and tokenizers. If it is not set, no file is visited. */
#ifndef TN_ASSETS_H
#define TN_ASSETS_H

#include "data/data.h"

#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

typedef void assets_visit(const char *path);

static inline void assets_under(const char *folder, const char *suffix, assets_visit *visit)
{
    DIR *d = opendir(folder);
    if (!d)
        return;
    for (struct dirent *f; (f = readdir(d));) {
        size_t n = strlen(f->d_name), tail = strlen(suffix);
        char *path = tn_path_join(folder, f->d_name);
        ck_assert_ptr_nonnull(path);
        if (f->d_type == DT_DIR && f->d_name[0] != '.')
            assets_under(path, suffix, visit);
        else if (f->d_type == DT_REG && n > tail && !strcmp(f->d_name + n - tail, suffix))
            visit(path);
        free(path);
    }
    closedir(d);
}

static inline void assets_each(const char *suffix, assets_visit *visit)
{
    if (getenv("TENON_ASSETS"))
        assets_under(getenv("TENON_ASSETS"), suffix, visit);
}

#endif
