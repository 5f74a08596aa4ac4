/* pieces.c - takes apart what --data names (pieces.h). */
#include "apps/run/pieces.h"
#include "data/formats/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define KINDS_TEXT "a .txt, a .jsonl, a .bin of token ids, a folder or task:NAME"

const char *const part_names[PARTS] = { "train", "valid", "test" };

/* ---- tasks ---- */

const tn_task *pieces_task(const char *text, bool name_alone, int64_t *count, tn_error *e)
{
    char name[64];
    const char *at = name_alone ? text : text + 5, *colon = name_alone ? NULL : strchr(at, ':');
    const size_t n = colon ? (size_t)(colon - at) : strlen(at);
    *count = -1;
    snprintf(name, sizeof name, "%.*s", n > 60 ? 60 : (int)n, at);
    if (colon && (!read_count(colon + 1, count) || *count < 1)) {
        tn_fail(e, APP_USAGE, "--data task:%.80s: expected task:NAME or task:NAME:COUNT", at);
        return NULL;
    }
    const tn_task *task = tn_task_find(name);
    const char *names[64];
    int known = 0;
    for (; tn_tasks[known] && known < 64; known++)
        names[known] = tn_tasks[known]->name;
    if (!task)
        unknown_name("task", name, names, known, "tenon task", e);
    return task;
}

/* ---- names of files ---- */

static const struct {
    const char *text;
    data_kind kind;
} endings[] = { { ".jsonl", DATA_RECORDS },
                { ".json", DATA_RECORDS },
                { ".txt", DATA_TEXT },
                { ".bin", DATA_TOKENS } };
enum { ENDINGS = sizeof endings / sizeof *endings };

data_kind data_kind_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && dot > name && i < ENDINGS; i++)
        if (!strcasecmp(dot, endings[i].text))
            return endings[i].kind;
    return DATA_OTHER;
}

/* The names of a part's file, without the ending. */
static const char *const stems[PARTS][4] = { { "train" },
                                             { "valid", "validation", "val" },
                                             { "test" } };

/* The bytes of a name before the number of a shard: of "fineweb_train_000001.bin" those of
   "fineweb_train". Without a number those before the ending. */
static size_t before_number(const char *name)
{
    const size_t all = (size_t)(strrchr(name, '.') - name);
    size_t n = all;
    while (n > 0 && name[n - 1] >= '0' && name[n - 1] <= '9')
        n--;
    return n > 1 && n < all && name[n - 1] == '_' ? n - 1 : all;
}

/* Does a file of a folder have data of this part? Those of token ids may be numbered, and have other
   words before the part's. */
static bool is_of_part(const char *name, part which)
{
    const data_kind kind = data_kind_of(name);
    if (kind == DATA_OTHER || *name == '.')
        return false;
    const bool ids = kind == DATA_TOKENS;
    size_t n = ids ? before_number(name) : (size_t)(strrchr(name, '.') - name), from = ids ? n : 0;
    while (from > 0 && name[from - 1] != '_')
        from--;
    for (int i = 0; stems[which][i]; i++)
        if (n - from == strlen(stems[which][i]) &&
            !strncasecmp(name + from, stems[which][i], n - from))
            return true;
    return false;
}

/* ---- folders ---- */

/* The shorter number is the smaller one. */
static int by_number(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    const size_t n = strlen(*x), m = strlen(*y);
    return n != m ? (n > m) - (n < m) : strcmp(*x, *y);
}

/* Moves the part's files to the front of the names and returns how many there are. More than one
   must be the shards of one sequence: equal but for their numbers. */
static int find_in_folder(const char *folder, part which, char **names, tn_error *e)
{
    int n = 0;
    for (int i = 0; names[i]; i++)
        if (is_of_part(names[i], which)) {
            char *found = names[i];
            names[i] = names[n];
            names[n++] = found;
        }
    qsort(names, (size_t)n, sizeof *names, by_number);
    for (int i = 1; i < n && !e->code; i++) {
        const size_t at = before_number(names[0]);
        if (data_kind_of(names[0]) != DATA_TOKENS || names[0][at] != '_' ||
            before_number(names[i]) != at || names[i][at] != '_' || strncmp(names[0], names[i], at))
            tn_fail(e, APP_USAGE, "%s: %s and %s; expected one of them", folder, names[0],
                    names[i]);
    }
    return n;
}

/* The part's file is missing: says what is taken for it, and which data lie in the folder. */
static int refuse_folder(const char *folder, part which, char *const *names, tn_error *e)
{
    enum { SHOWN_NAMES = 5 };
    int shown = 0, all = 0, ids = 0;
    const char *valid = NULL;
    for (int i = 0; names[i]; i++) {
        all += *names[i] != '.' && data_kind_of(names[i]) != DATA_OTHER;
        ids += *names[i] != '.' && data_kind_of(names[i]) == DATA_TOKENS;
    }
    tn_fail(e, TN_EIO, "%s: no file of the %s part; expected", folder, part_names[which]);
    for (int k = 0; k < ENDINGS; k++)
        tn_error_add(e, "%s %s%s",
                     !k                ? ""
                     : k + 1 < ENDINGS ? ","
                                       : " or",
                     stems[which][0], endings[k].text);
    if (ids)
        tn_error_add(e, ", also NAME_%s.bin, or shards %s_NUMBER.bin or NAME_%s_NUMBER.bin",
                     stems[which][0], stems[which][0], stems[which][0]);
    tn_error_add(e, "; %s", all ? "found" : "found no .jsonl, .json, .txt or .bin");
    for (int i = 0; names[i] && shown < SHOWN_NAMES; i++) {
        if (*names[i] == '.' || data_kind_of(names[i]) == DATA_OTHER)
            continue;
        tn_error_add(e, "%s %.60s", shown++ ? "," : "", names[i]);
        valid = !valid && is_of_part(names[i], PART_VALID) ? names[i] : valid;
    }
    if (all > shown)
        tn_error_add(e, " and %d more", all - shown);
    if (valid && which == PART_TEST)
        tn_error_add(e, " (--split valid reads %.60s)", valid);
    return e->code;
}

/* ---- one of --data ---- */

static int no_memory(const char *path, tn_error *e)
{
    return tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
}

/* Adds a piece. NULL: memory is out. */
static piece *add_piece(pieces *p, tn_error *e)
{
    if (p->n == p->room) {
        const int room = p->room ? 2 * p->room : 8;
        piece *more = realloc(p->piece, (size_t)room * sizeof *more);
        if (!more) {
            no_memory("--data", e);
            return NULL;
        }
        p->piece = more;
        p->room = room;
    }
    return &p->piece[p->n++];
}

/* Adds a file; takes the path. A file of a folder belongs to one part as a whole. */
static piece *add_file(pieces *p, char *path, data_kind kind, tn_error *e)
{
    if (!path)
        no_memory("--data", e);
    piece *new = path ? add_piece(p, e) : NULL;
    if (new)
        *new = (piece){ .kind = kind, .path = path, .to = 1 };
    else
        free(path);
    return new;
}

/* The file of a folder, or its shards. A folder may lack all parts but the one that is needed. */
static int add_folder(const options *o, const char *folder, part which, pieces *p, tn_error *e)
{
    const int at = tn_at_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        tn_fail(e, TN_EIO, "%s: cannot list this folder: %s", folder, strerror(errno));
    char **names = at < 0 ? NULL : tn_folder_names(at, folder, e);
    const int n = names ? find_in_folder(folder, which, names, e) : 0;
    for (int i = 0; i < n && !e->code; i++)
        add_file(p, tn_path_join(folder, names[i]), data_kind_of(names[i]), e);
    if (!e->code && !n && (which == PART_TRAIN || o->split))
        refuse_folder(folder, which, names, e);
    tn_folder_names_free(names);
    if (at >= 0)
        close(at);
    return e->code;
}

/* Which part of a text is read. `compare` tests on the second half of its end. `eval` takes the
   whole text, unless --valid-split is given. */
static void divide_text(const options *o, part which, pieces *p, piece *text)
{
    const double split = 1 - o->valid_split, middle = 1 - o->valid_split / 2;
    const bool all = which == PART_TEST && !o->out && !o->given[OPT_valid_split];
    text->from = which == PART_TRAIN || all ? 0 : which == PART_TEST && o->out ? middle : split;
    text->to = which == PART_TRAIN ? split : which == PART_VALID && o->out ? middle : 1;
    if (which != PART_TRAIN && text->from >= text->to) { /* --valid-split 0 */
        free(text->path);
        p->n--;
    }
}

/* The same of records. `compare` has no test part of them. */
static void divide_records(const options *o, part which, pieces *p, piece *records)
{
    const bool all = which == PART_TEST && !o->given[OPT_valid_split];
    records->side = which == PART_TRAIN ? TN_SIDE_TRAIN : all ? TN_SIDE_ALL : TN_SIDE_VALID;
    if (which == PART_TEST && o->out) {
        free(records->path);
        p->n--;
    }
}

static int add_single(const options *o, int i, part which, pieces *p, tn_error *e)
{
    const data_kind kind = data_kind_of(data_file_name(o, i));
    if (kind == DATA_OTHER)
        return tn_fail(e, APP_USAGE, "--data %.200s: expected " KINDS_TEXT, o->data[i]);
    piece *new = add_file(p, strdup(data_path(o, i)), kind, e);
    if (new)
        (kind == DATA_RECORDS ? divide_records : divide_text)(o, which, p, new);
    return e->code;
}

static int add_path(const options *o, int i, part which, pieces *p, tn_error *e)
{
    const char *path = data_path(o, i);
    const tn_presence is = tn_path_is(path, NULL, e);
    if (is == TN_ABSENT)
        tn_fail(e, TN_EIO, "%s: %s; expected " KINDS_TEXT, path, strerror(ENOENT));
    return e->code           ? e->code
           : is == TN_FOLDER ? add_folder(o, path, which, p, e)
                             : add_single(o, i, which, p, e);
}

static int add_task(const char *text, bool name_alone, pieces *p, tn_error *e)
{
    piece new = { .kind = DATA_TASK };
    new.task = pieces_task(text, name_alone, &new.count, e);
    piece *at = e->code ? NULL : add_piece(p, e);
    if (at)
        *at = new;
    return e->code;
}

int pieces_find(const options *o, part which, pieces *out, tn_error *e)
{
    *out = (pieces){ 0 };
    if (o->task && !e->code)
        add_task(o->task, true, out, e);
    for (int i = 0; o->data[i] && !e->code; i++)
        if (!strncmp(o->data[i], "task:", 5))
            add_task(o->data[i], false, out, e);
        else
            add_path(o, i, which, out, e);
    return e->code;
}

void pieces_free(pieces *p)
{
    for (int i = 0; i < p->n; i++)
        free(p->piece[i].path);
    free(p->piece);
    *p = (pieces){ 0 };
}
