/* guard.c - refuses to write where the command reads, or over files that are not its own. */
#include "apps/folder/guard.h"
#include "apps/report/show.h"
#include "data/formats/file.h"
#include "data/formats/folder.h"
#include "optim/run/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is read ---- */

/* Files and folders, known by device and inode. */
typedef struct thing {
    dev_t dev;
    ino_t ino;
    char *name;
} thing;
typedef struct things {
    thing *all;
    size_t n, room;
} things;

static void add_thing(things *t, const struct stat *st, const char *folder, const char *name,
                      tn_error *e)
{
    if (t->n == t->room) {
        const size_t room = t->room ? 2 * t->room : 32;
        thing *more = realloc(t->all, room * sizeof *more);
        t->all = more ? more : t->all;
        t->room = more ? room : t->room;
    }
    char *path = t->n < t->room ? tn_path_join(folder, name) : NULL;
    if (path)
        t->all[t->n++] = (thing){ st->st_dev, st->st_ino, path };
    else
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
}

static void free_things(things *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->all[i].name);
    free(t->all);
}

static bool is_written(const output *out, const char *name)
{
    return output_name_find(out->kind, name) >= 0 || !strncmp(name, ".tenon-", 7) ||
           (out->kind->checkpoints && !strncmp(name, "checkpoint-", 11));
}

/* Lists the files of a folder; in OUT only those that the command may write. */
static void list_things(const output *out, int at, const char *folder, bool inside, things *t,
                        tn_error *e)
{
    char **names = at < 0 ? NULL : tn_folder_names(at, folder, e);
    for (size_t i = 0; names && names[i] && !e->code; i++) {
        struct stat st;
        if ((!inside && !is_written(out, names[i])) ||
            tn_at_stat(at, names[i], &st, AT_SYMLINK_NOFOLLOW))
            continue;
        add_thing(t, &st, folder, names[i], e);
        if (!inside && S_ISDIR(st.st_mode) && !e->code) {
            const int fd = tn_folder_open(at, names[i]);
            list_things(out, fd, t->all[t->n - 1].name, true, t, e);
            if (fd >= 0)
                close(fd);
        }
    }
    tn_folder_names_free(names);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static const char *find_thing(const things *t, const struct stat *st)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->all[i].dev == st->st_dev && t->all[i].ino == st->st_ino)
            return t->all[i].name;
    return NULL;
}

/* The nearest folder above the open one that is in the list; NULL: none. */
static const char *find_around(const things *t, int fd)
{
    const char *found = NULL;
    struct stat st, above;
    char up[4096] = ""; /* "../../": the system takes no longer path */
    bool top = tn_at_stat_self(fd, &st) != 0;
    for (size_t n = 0; !top && !found && n + 4 <= sizeof up; n += 3, st = above) {
        memcpy(up + n, "../", 4);
        top = tn_at_stat(fd, up, &above, 0) || is_same(&above, &st);
        found = top ? NULL : find_thing(t, &above);
    }
    return found;
}

/* The first file in the folder, after following links, that is in the list; NULL: none. */
static const char *find_inside(const things *t, int fd, tn_error *e)
{
    const char *found = NULL;
    struct stat st;
    tn_error wrong = { 0 }; /* a folder that cannot be listed cannot be read either */
    char **names = tn_folder_names(fd, "a folder that is read", &wrong);
    for (size_t i = 0; names && names[i] && !found; i++)
        if (!tn_at_stat(fd, names[i], &st, 0))
            found = find_thing(t, &st);
    if (wrong.code == TN_ENOMEM)
        *e = wrong;
    tn_folder_names_free(names);
    return found;
}

/* The folder `path`, or the one around the file `path`. */
static int open_around(const char *path, bool folder)
{
    char *copy = strdup(path), *slash = copy && !folder ? strrchr(copy, '/') : NULL;
    if (slash)
        slash[slash == copy] = 0;
    const int fd =
        !copy ? -1 : tn_at_open(AT_FDCWD, folder || slash ? copy : ".", O_RDONLY | O_DIRECTORY);
    free(copy);
    return fd;
}

static int check_read(const output *out, const things *t, const char *flag, const char *path,
                      tn_error *e)
{
    struct stat st, here;
    if (tn_at_stat(AT_FDCWD, path, &st, 0) || tn_at_stat_self(out->at, &here))
        return e->code; /* it does not exist: reading it reports the error */
    const bool folder = S_ISDIR(st.st_mode);
    if (is_same(&st, &here))
        return tn_fail(e, APP_USAGE, "%s %s: the folder of --%s; expected another",
                       out->kind->option, out->folder, flag);
    const char *found = find_thing(t, &st);
    const int fd = found ? -1 : open_around(path, folder);
    if (fd >= 0 && folder)
        found = find_inside(t, fd, e);
    if (fd >= 0 && !found)
        found = find_around(t, fd);
    if (fd >= 0)
        close(fd);
    if (found && !e->code)
        tn_fail(e, APP_USAGE,
                "%s %s: %s could be replaced, and --%s %s reads it; expected another "
                "folder",
                out->kind->option, out->folder, found, flag, path);
    return e->code;
}

/* Is one of the folders that the run reads the folder around the picture? */
static const char *find_read(const output *out, const struct stat *around)
{
    enum { OTHERS = 3 };
    const char *const folders[OTHERS] = { out->folder, out->o->model, out->o->adapter_path };
    struct stat st;
    for (int i = 0; i < OTHERS + MAX_LIST; i++) {
        const char *folder = i < OTHERS ? folders[i] : out->o->data[i - OTHERS];
        if (folder && !tn_at_stat(AT_FDCWD, folder, &st, 0) && is_same(&st, around))
            return folder;
    }
    return NULL;
}

/* The picture of --dump-graph is a file of its own. It may not take a name that the result, or
   somebody who reads the model or the data, looks for. */
static int check_picture(const output *out, const things *t, tn_error *e)
{
    struct stat around;
    const char *path = out->o->dump_graph, *where = NULL;
    const int fd = path ? open_around(path, false) : -1;
    if (fd < 0)
        return e->code; /* opening the picture reports the error */
    const bool known = !tn_at_stat_self(fd, &around);
    if (known)
        where = find_read(out, &around);
    if (known && !where)
        where = find_thing(t, &around);
    if (known && !where)
        where = find_around(t, fd);
    close(fd);
    return where ? tn_fail(e, APP_USAGE, "--dump-graph %s: in %s; expected another folder", path,
                           where)
                 : e->code;
}

/* A resume may read the config.used that its own run wrote. */
static bool is_own_config(const output *out, const char *path)
{
    struct stat own, st;
    return out->resume && !tn_at_stat(out->at, "config.used", &own, AT_SYMLINK_NOFOLLOW) &&
           !tn_at_stat(AT_FDCWD, path, &st, 0) && is_same(&st, &own);
}

int guard_reads(const output *out, tn_error *e)
{
    static const int reads[] = { OPT_model, OPT_adapter_path, OPT_config };
    things t = { 0 };
    list_things(out, out->at, out->folder, false, &t, e);
    for (size_t i = 0; i < sizeof reads / sizeof *reads && !e->code; i++) {
        const option *row = &options_table[reads[i]];
        const char *path = *(const char *const *)((const char *)out->o + row->offset);
        char name[64];
        if (path && !(reads[i] == OPT_config && is_own_config(out, path)))
            check_read(out, &t, option_dashed(row->name, name), path, e);
    }
    for (int i = 0; out->o->data[i] && !e->code; i++)
        check_read(out, &t, "data", out->o->data[i], e);
    if (!e->code)
        check_picture(out, &t, e);
    free_things(&t);
    return e->code;
}

/* ---- what is in the way ---- */

/* The owner of an entry. NOBODY: it is not in the way. OLD: there is no marker to decide it. */
typedef enum owner { NOBODY, OURS, OLD, STRANGER } owner;

/* The owner of an entry with the name of a checkpoint. `inside` gets the name of a file in it that
   is in the way. */
static owner owner_of_checkpoint(const output *out, const char *name, char inside[256], tn_error *e)
{
    tn_checkpoint_id id;
    const bool stays = out->m.there && !out->o->overwrite;
    if (!tn_checkpoint_identify(out->at, name, &id, e))
        return STRANGER;
    if (!stays && tn_checkpoint_has_others(out->at, name, inside))
        return STRANGER;
    if (!out->m.there)
        return OLD;
    const bool known = id.run ? id.run == out->m.run || id.run == out->m.before : out->m.unnumbered;
    return known || (stays && id.damaged) ? OURS : STRANGER;
}

static owner owner_of(const output *out, const char *name, char inside[256], tn_error *e)
{
    const int i = output_name_find(out->kind, name);
    struct stat st;
    *inside = 0;
    if (out->kind->checkpoints && tn_checkpoint_number(name) >= 0)
        return owner_of_checkpoint(out, name, inside, e);
    if (i < 0 || tn_at_stat(out->at, name, &st, AT_SYMLINK_NOFOLLOW))
        return strcmp(name, MARKER) ? NOBODY : OURS;
    if (!S_ISREG(st.st_mode))
        return STRANGER;
    return out->m.own >> i & 1 ? OURS : out->m.there && !out->adopted ? STRANGER : OLD;
}

/* Does this file in OUT begin with `head`, as tenon's file of that name does? */
static bool is_of_tenon(const output *out, const char *name, const char *head)
{
    char start[64] = "";
    const int fd = tn_at_open(out->at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = -1;
    while (fd >= 0 && (n = read(fd, start, strlen(head))) < 0 && errno == EINTR)
        ;
    if (fd >= 0)
        close(fd);
    return n == (ssize_t)strlen(head) && !memcmp(start, head, (size_t)n);
}

int guard_adopt(output *out, tn_error *e)
{
    tn_checkpoint_id id = { 0 };
    char **names = tn_folder_names(out->at, out->folder, e);
    for (size_t i = 0; names && names[i]; i++) {
        tn_checkpoint_id one;
        if (tn_checkpoint_identify(out->at, names[i], &one, e) && !one.damaged &&
            one.step >= id.step)
            id = one;
    }
    tn_folder_names_free(names);
    out->adopted = !e->code && tn_checkpoint_before(out->at, INT64_MAX, 0, e) >= 0;
    if (!out->adopted)
        return e->code;
    out->m = (marker){ .there = true, .run = id.run, .unnumbered = !id.run };
    strcpy(out->m.command, out->kind->command);
    for (int i = 0; out->kind->names[i].name; i++) {
        const struct output_name *n = &out->kind->names[i];
        const char *head = strcmp(n->name, out->kind->old_file) ? n->head : out->kind->old_text;
        if (head && is_of_tenon(out, n->name, head))
            out->m.own |= 1u << i;
    }
    return e->code;
}

/* Is file i, which the marker lists, not what the run wrote? */
static bool is_changed(const output *out, int i, tn_error *e)
{
    const struct output_name *n = &out->kind->names[i];
    struct stat st;
    if ((out->resume && !n->result) || tn_at_stat(out->at, n->name, &st, AT_SYMLINK_NOFOLLOW) ||
        !S_ISREG(st.st_mode))
        return false; /* owner_of refuses what is not a file */
    if (n->head)
        return st.st_size > 0 && !is_of_tenon(out, n->name, n->head);
    return out->m.hash[i] && marker_hash(out->at, out->folder, n->name, e) != out->m.hash[i];
}

int guard_changed(output *out, tn_error *e)
{
    for (int i = 0; out->kind->names[i].name && !e->code; i++)
        if (out->m.own >> i & 1 && is_changed(out, i, e)) {
            out->m.own &= ~(1u << i);
            out->changed |= 1u << i;
        }
    return e->code;
}

/* Adds "rm -r OUT", or, if OUT holds other files too, the rm of what is in the way. */
static void add_removal(const output *out, char **names, bool all, tn_text *line, tn_error *e)
{
    char inside[256];
    tn_text_add(line, "rm -r");
    for (size_t i = 0; names[i] && !all; i++) {
        char *path =
            owner_of(out, names[i], inside, e) == OLD ? tn_path_join(out->folder, names[i]) : NULL;
        if (path) {
            tn_text_add(line, " ");
            show_word(path, line);
        }
        free(path);
    }
    if (all) {
        tn_text_add(line, " ");
        show_word(out->folder, line);
    }
}

static int refuse_old(const output *out, char **names, bool all, tn_error *e)
{
    tn_text line = { 0 };
    add_removal(out, names, all, &line, e);
    const char *text = tn_text_done(&line, out->folder, e);
    tn_error whole = { 0 };
    if (text)
        tn_fail(&whole, TN_ESTATE,
                "%s: written by a tenon that did not mark what is its own, so "
                "that nothing here is replaced; to remove it: %s",
                out->folder, text);
    if (strlen(whole.text) + 1 < sizeof whole.text)
        tn_fail(e, TN_ESTATE, "%s", whole.text);
    else /* a command that is cut off would remove other files */
        tn_fail(e, TN_ESTATE,
                "written by a tenon that did not mark what is its own, so that nothing "
                "there is replaced; expected another folder than %s",
                out->folder);
    tn_text_free(&line);
    return e->code;
}

static int refuse_stranger(const output *out, const char *name, tn_error *e)
{
    const int i = output_name_find(out->kind, name);
    if (i >= 0 && out->changed >> i & 1)
        return tn_fail(e, TN_ESTATE,
                       "%s/%s: in the way of what tenon %s writes, and changed since a run wrote "
                       "it; expected another folder, or that file elsewhere",
                       out->folder, name, out->kind->command);
    return tn_fail(e, TN_ESTATE,
                   "%s/%s: in the way of what tenon %s writes, and not known to be of an "
                   "older run; expected another folder",
                   out->folder, name, out->kind->command);
}

int guard_names(const output *out, tn_error *e)
{
    char first[512] = "", inside[256];
    bool old = false, strangers = false, all = true;
    char **names = tn_folder_names(out->at, out->folder, e);
    for (size_t i = 0; names && names[i] && !e->code && !strangers; i++) {
        const owner whose = owner_of(out, names[i], inside, e);
        strangers = whose == STRANGER;
        if (strangers || (whose == OLD && !old))
            snprintf(first, sizeof first, "%s%s%s", names[i], *inside ? "/" : "", inside);
        old = old || whose == OLD;
        all = all && whose == OLD;
    }
    if (!e->code && old && !strangers && out->kind->old_file &&
        is_of_tenon(out, out->kind->old_file, out->kind->old_text))
        refuse_old(out, names, all, e);
    else if (!e->code && *first)
        refuse_stranger(out, first, e);
    tn_folder_names_free(names);
    return e->code;
}
