/* pieces.c - takes apart what --data names (pieces.h). */
#include "apps/run/pieces.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- folders ---- */

/* The names of a part's file, without the ending. */
static const char *const stems[PARTS][4] = { { "train" },
                                             { "valid", "validation", "val" },
                                             { "test" } };
static const struct {
    const char *text;
    data_kind kind;
} endings[] = { { ".jsonl", DATA_RECORDS },
                { ".json", DATA_RECORDS },
                { ".txt", DATA_TEXT },
                { ".bin", DATA_TOKENS } };
enum { ENDINGS = sizeof endings / sizeof *endings, FILE_NAME = 24 };

data_kind data_kind_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && dot > name && i < ENDINGS; i++)
        if (!strcmp(dot, endings[i].text))
            return endings[i].kind;
    return DATA_OTHER;
}

/* Writes the name of the part's file in a folder to `name`: "" if there is none. Two are refused. */
static int name_in_folder(const char *folder, part which, char name[FILE_NAME], tn_error *e)
{
    char found[FILE_NAME];
    *name = 0;
    for (int i = 0; stems[which][i]; i++)
        for (int k = 0; k < ENDINGS && !e->code; k++) {
            snprintf(found, sizeof found, "%s%s", stems[which][i], endings[k].text);
            if (tn_path_is(folder, found, e) == TN_ABSENT || e->code)
                continue;
            if (*name)
                return tn_fail(e, APP_USAGE, "%s: %s and %s; expected one of them", folder, name,
                               found);
            memcpy(name, found, sizeof found);
        }
    return e->code;
}

/* ---- one of --data ---- */

static int no_memory(const char *path, tn_error *e)
{
    return tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
}

/* Adds a file. A file of a folder belongs to one part as a whole. */
static piece *add_file(pieces *p, char *path, data_kind kind, tn_error *e)
{
    if (!path) {
        no_memory("--data", e);
        return NULL;
    }
    piece *new = &p->piece[p->n++];
    *new = (piece){ .kind = kind, .path = path, .to = 1 };
    return new;
}

/* The file of a folder. A folder may lack all parts but the one that is needed. */
static int add_folder(const options *o, const char *folder, part which, pieces *p, tn_error *e)
{
    char name[FILE_NAME];
    const bool needed = which == PART_TRAIN || o->split;
    if (name_in_folder(folder, which, name, e) || (!*name && !needed))
        return e->code;
    if (!*name) /* opening it reports that it is not there */
        snprintf(name, sizeof name, "%s.jsonl", part_names[which]);
    add_file(p, tn_path_join(folder, name), data_kind_of(name), e);
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
    if (!e->code)
        p->piece[p->n++] = new;
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
    *p = (pieces){ 0 };
}
