/* gguf.c - opens a GGUF file, closes it, and finds keys and tensors by their names. */
#include "data/formats/gguf_file.h"
#include "data/formats/file.h"
#include "data/formats/folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int tn_gguf_by_name(const void *a, const void *b)
{
    return strcmp(**(const char *const *const *)a, **(const char *const *const *)b);
}

/* Takes no memory: a lack of it would look like a file of another kind. */
bool tn_gguf_is(const char *path)
{
    char head[4];
    struct stat st;
    const int fd = path ? tn_at_open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK) : -1;
    if (fd < 0)
        return false;
    const bool is = !tn_at_stat_self(fd, &st) && S_ISREG(st.st_mode) &&
                    tn_file_get(fd, head, sizeof head, 0) == sizeof head &&
                    !memcmp(head, "GGUF", sizeof head);
    close(fd);
    return is;
}

static tn_gguf *new_gguf(const char *path, tn_error *e)
{
    tn_gguf *g = calloc(1, sizeof *g);
    if (g)
        g->path = strdup(path);
    if (!g || !g->path)
        tn_fail(e, TN_ENOMEM, "%s: no memory to open it", path);
    return g;
}

/* Ends a file that cannot be opened. */
static tn_gguf *unless_refused(tn_gguf *g, const tn_error *e)
{
    if (!e->code)
        return g;
    tn_gguf_close(g);
    return NULL;
}

tn_gguf *tn_gguf_open(const char *path, tn_error *e)
{
    if (tn_given(e, path, __func__))
        return NULL;
    tn_gguf *g = new_gguf(path, e);
    if (!e->code)
        g->map = tn_file_map(path, 1, SIZE_MAX, &g->size, e);
    if (!e->code)
        tn_gguf_read(g, g->map, g->size, e);
    return unless_refused(g, e);
}

tn_gguf *tn_gguf_parse(const char *path, const void *bytes, size_t have, size_t size, tn_error *e)
{
    tn_gguf *g = new_gguf(path, e);
    if (!e->code) {
        g->size = size;
        tn_gguf_read(g, bytes, have, e);
    }
    return unless_refused(g, e);
}

void tn_gguf_close(tn_gguf *g)
{
    if (!g)
        return;
    if (g->map)
        munmap((void *)g->map, g->size);
    for (int64_t i = 0; i < g->n_values; i++) {
        free((void *)g->values[i].key);
        free(g->texts[i]);
    }
    for (int64_t i = 0; i < g->n; i++)
        free((void *)g->tensors[i].entry.name);
    free(g->values);
    free(g->texts);
    free(g->tensors);
    free(g->by_key);
    free(g->by_name);
    free(g->path);
    free(g);
}

static const void *find(const char *name, const char *const **names, int64_t n)
{
    const char *const *key = &name;
    const char *const **found = bsearch(&key, names, (size_t)n, sizeof *names, tn_gguf_by_name);
    return found ? *found : NULL;
}

const tn_gguf_value *tn_gguf_value_of(const tn_gguf *g, const char *key)
{
    return g && key ? find(key, g->by_key, g->n_values) : NULL;
}

const tn_entry *tn_gguf_find(const tn_gguf *g, const char *name)
{
    return g && name ? find(name, g->by_name, g->n) : NULL;
}
