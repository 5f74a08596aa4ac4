/* gguf_folder.c - the GGUF file in a folder (gguf_file.h). */
#include "data/formats/folder.h"
#include "data/formats/gguf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_named(const char *name)
{
    const size_t n = strlen(name);
    return n > 5 && !strcmp(name + n - 5, ".gguf");
}

/* Keeps the path of a GGUF file as the one that was found; a second one is refused. */
static void consider(const char *folder, const char *name, char **found, tn_error *e)
{
    char *path = tn_path_join(folder, name);
    if (!path) {
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    } else if (!tn_gguf_is(path)) {
        free(path);
    } else if (*found) {
        tn_fail(e, TN_EFORMAT, "%s: several GGUF files, %s and %s; expected the path of one",
                folder, strrchr(*found, '/') + 1, name);
        free(path);
    } else {
        *found = path;
    }
}

char *tn_gguf_in(const char *folder, tn_error *e)
{
    if (e->code)
        return NULL;
    char *found = NULL;
    const int at = tn_at_open(AT_FDCWD, *folder ? folder : ".", O_RDONLY | O_DIRECTORY);
    if (at < 0) {
        tn_fail(e, errno == ENOMEM ? TN_ENOMEM : TN_EIO, "%s: cannot open this folder: %s", folder,
                strerror(errno));
        return NULL;
    }
    char **names = tn_folder_names(at, folder, e);
    for (size_t i = 0; names && names[i] && !e->code; i++)
        if (is_named(names[i]))
            consider(folder, names[i], &found, e);
    tn_folder_names_free(names);
    close(at);
    if (!e->code)
        return found;
    free(found);
    return NULL;
}

char *tn_gguf_of(const char *path, tn_error *e)
{
    const tn_presence is = tn_path_is(path, NULL, e);
    if (is == TN_FOLDER)
        return tn_gguf_in(path, e);
    const bool own = is == TN_FILE && tn_gguf_is(path);
    char *copy = own ? strdup(path) : NULL;
    if (own && !copy)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    return copy;
}
