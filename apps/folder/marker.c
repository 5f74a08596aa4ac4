/* marker.c - reads and writes .tenon-run, which lists the files of a run. */
#include "apps/folder/marker.h"
#include "apps/options/options.h"
#include "data/formats/file.h"
#include "data/formats/folder.h"
#include "data/formats/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 1 << 16, PART = 4096 }; /* bytes of a marker; bytes read at once */

int output_name_find(const output_kind *kind, const char *name)
{
    for (int i = 0; kind->names[i].name; i++)
        if (!strcmp(kind->names[i].name, name))
            return i;
    return -1;
}

unsigned marker_results(const output_kind *kind)
{
    unsigned results = 0;
    for (int i = 0; kind->names[i].name; i++)
        results |= (unsigned)kind->names[i].result << i;
    return results;
}

unsigned marker_followers(const output_kind *kind)
{
    unsigned followers = 0;
    for (int i = 0; kind->names[i].name; i++)
        followers |= (unsigned)kind->names[i].follows << i;
    return followers;
}

void marker_add_older(const output_kind *kind, const marker *old, unsigned files, bool resume,
                      marker *m)
{
    const bool stays = (old->own & marker_results(kind)) != 0;
    for (int i = 0; stays && kind->names[i].name; i++) {
        const struct output_name *n = &kind->names[i];
        const int older = n->older ? output_name_find(kind, n->older) : -1;
        if (older < 0 || old->own >> older & 1 || !((files & old->own) >> i & 1) ||
            (n->head && resume))
            continue;
        m->own |= 1u << older;
        m->hash[older] = old->hash[i];
    }
}

static uint64_t read_number(const tn_json *root, const char *key, tn_error *e)
{
    const tn_json *v = tn_json_find(root, key);
    if (!v)
        return 0;
    if (v->kind != TN_STRING || v->length != 16 || strspn(v->text, "0123456789abcdef") != 16)
        tn_json_refuse(v, "a number of 16 hexadecimal digits", e);
    return e->code ? 0 : strtoull(v->text, NULL, 16);
}

static int read_members(const output_kind *kind, const tn_json *root, const char *path, marker *m,
                        tn_error *e)
{
    const char *name = "";
    tn_json_get_string(root, "command", &name, e);
    snprintf(m->command, sizeof m->command, "%s", name);
    m->run = read_number(root, "run", e);
    m->before = read_number(root, "before", e);
    tn_json_get_bool(root, "unnumbered", &m->unnumbered, e);
    if (!e->code && (!m->run || !*name))
        return tn_fail(e, TN_EFORMAT, "%s: it has no %s; expected what a run of tenon writes", path,
                       m->run ? "command" : "run");
    const tn_json *files = tn_json_find(root, "files");
    for (const tn_json *v = files ? files->child : NULL; v; v = v->next) {
        const int i = v->kind == TN_STRING ? output_name_find(kind, v->text) : -1;
        if (i >= 0)
            m->own |= 1u << i;
    }
    const tn_json *hashes = tn_json_find(root, "hashes");
    for (int i = 0; kind->names[i].name && hashes && !e->code; i++)
        m->hash[i] = read_number(hashes, kind->names[i].name, e);
    m->there = !e->code;
    return e->code;
}

uint64_t marker_hash(int at, const char *folder, const char *name, tn_error *e)
{
    unsigned char bytes[PART];
    ssize_t n = 0;
    tn_bulk_hash h = tn_bulk_hash_start(0);
    const int fd = e->code ? -1 : tn_at_open(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    while (fd >= 0 && ((n = read(fd, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0)
            tn_bulk_hash_add(&h, bytes, (size_t)n);
    if (!e->code && (fd < 0 || n < 0))
        tn_fail(e, TN_EIO, "%s/%s: cannot be read: %s", folder, name, strerror(errno));
    if (fd >= 0)
        close(fd);
    return e->code ? 0 : tn_bulk_hash_end(&h);
}

int marker_read(const output_kind *kind, int at, const char *folder, marker *m, tn_error *e)
{
    struct stat st;
    size_t size;
    *m = (marker){ 0 };
    if (e->code || (tn_at_stat(at, MARKER, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT))
        return e->code;
    char *path = tn_path_join(folder, MARKER);
    if (!path)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    char *text = tn_file_read_at(at, MARKER, path, MOST, &size, e);
    const tn_json *root = text ? tn_json_parse(text, size, path, 0, e) : NULL;
    if (root)
        read_members(kind, root, path, m, e);
    tn_json_free(root);
    free(text);
    free(path);
    return e->code;
}

int marker_write(const output_kind *kind, const char *folder, const marker *m, tn_error *e)
{
    tn_text t = { 0 };
    const char *comma = "";
    tn_text_add(&t,
                "{\n  \"about\": \"what a run of tenon wrote here beside its checkpoints: a later "
                "one may replace that, and nothing else\",\n"
                "  \"tenon\": \"%s\",\n  \"command\": \"%s\",\n  \"run\": \"%016" PRIx64 "\",\n",
                TN_VERSION, kind->command, m->run);
    if (m->before)
        tn_text_add(&t, "  \"before\": \"%016" PRIx64 "\",\n", m->before);
    if (m->unnumbered)
        tn_text_add(&t, "  \"unnumbered\": true,\n");
    tn_text_add(&t, "  \"files\": [");
    for (int i = 0; kind->names[i].name; i++)
        if (m->own >> i & 1) {
            tn_text_add(&t, "%s\"%s\"", comma, kind->names[i].name);
            comma = ", ";
        }
    tn_text_add(&t, "],\n  \"hashes\": {");
    comma = "";
    for (int i = 0; kind->names[i].name; i++)
        if (m->own >> i & 1 && m->hash[i]) {
            tn_text_add(&t, "%s\"%s\": \"%016" PRIx64 "\"", comma, kind->names[i].name, m->hash[i]);
            comma = ", ";
        }
    tn_text_add(&t, "}\n}\n");
    return tn_text_save(&t, folder, MARKER, e);
}
