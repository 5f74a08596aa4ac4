/* files.c - reads the records of several files as one, and keeps a share of them apart. */
#include "data/sets/jsonl.h"
#include "data/sets/share.h"

#include <stdlib.h>
#include <string.h>

struct tn_records {
    char **paths;      /* (count) */
    tn_side *sides;    /* (count) */
    int64_t count, at; /* at: the file that is open, or the next one */
    tn_record_format format;
    tn_share share;
    tn_jsonl *file; /* NULL: none is open */
};

/* ---- the share ---- */

typedef struct choosing {
    tn_share *all;
    const char *path;
    tn_record_format format;
    bool list;
} choosing;

static void note_keys(const void *arg, tn_section *b)
{
    const choosing *c = arg;
    tn_jsonl_record r;
    tn_jsonl *j = tn_jsonl_of(c->path, c->format, b, c->list, &b->e);
    tn_share *keys = j ? calloc(1, sizeof *keys) : NULL;
    if (j && !keys)
        tn_fail(&b->e, TN_ENOMEM, "the validation share: out of memory");
    while (keys && tn_jsonl_next(j, &r, &b->e))
        if (!r.skip)
            tn_share_add(keys, &r, &b->e);
    b->made[0] = keys;
    tn_jsonl_close(j);
}

static void take_keys(void *arg, tn_section *b, tn_error *e)
{
    choosing *c = arg;
    tn_share *keys = b->made[0];
    if (!keys)
        return;
    tn_share_join(c->all, keys, e);
    tn_share_free(keys);
    free(keys);
}

int tn_share_keys(tn_share *s, const char *path, tn_record_format format, const tn_data_options *o,
                  tn_error *e)
{
    choosing c = { .all = s, .path = path, .format = format };
    tn_sections f = tn_jsonl_sections(path, &c.list, e);
    f.work = note_keys;
    f.take = take_keys;
    f.arg = &c;
    tn_sections_run(&f, o, e);
    tn_input_close(&f.in);
    return e->code;
}

int tn_share_files(tn_share *s, const tn_records_options *files, const tn_data_options *o,
                   tn_error *e)
{
    for (int64_t i = 0; i < files->count && files->share != 0 && files->sides && !e->code; i++)
        if (files->sides[i] != TN_SIDE_ALL)
            tn_share_keys(s, files->paths[i], files->format, o, e);
    tn_share_choose(s, files->share);
    return e->code;
}

/* ---- a reader ---- */

/* Opens file i in the place of the one before. */
static tn_jsonl *open_file(tn_records *r, int64_t i, tn_error *e)
{
    tn_jsonl_close(r->file);
    r->at = i;
    r->file = tn_jsonl_open(r->paths[i], r->format, e);
    return r->file;
}

static int copy_options(tn_records *r, const tn_records_options *o, tn_error *e)
{
    r->format = o->format;
    r->paths = calloc((size_t)o->count, sizeof *r->paths);
    r->sides = calloc((size_t)o->count, sizeof *r->sides);
    bool made = r->paths && r->sides;
    r->count = made ? o->count : 0;
    for (int64_t i = 0; i < r->count; i++) {
        r->paths[i] = o->paths[i] ? strdup(o->paths[i]) : NULL;
        r->sides[i] = o->sides ? o->sides[i] : TN_SIDE_ALL;
        made = made && r->paths[i];
    }
    return made ? TN_OK : tn_fail(e, TN_ENOMEM, "the files of records: out of memory");
}

tn_records *tn_records_open(const tn_records_options *o, tn_error *e)
{
    if (tn_given(e, o && o->paths && o->count > 0, __func__))
        return NULL;
    tn_records *r = calloc(1, sizeof *r);
    if (!r)
        tn_fail(e, TN_ENOMEM, "the files of records: out of memory");
    if (r && !copy_options(r, o, e) && !tn_share_files(&r->share, o, &(tn_data_options){ 0 }, e))
        open_file(r, 0, e);
    if (!e->code)
        return r;
    tn_records_close(r);
    return NULL;
}

/* Is a record on the side of its file that is read? */
static bool is_taken(const tn_records *r, const tn_jsonl_record *record)
{
    const tn_side side = r->sides[r->at];
    return tn_share_side(side, side != TN_SIDE_ALL && tn_share_has(&r->share, record));
}

bool tn_records_next(tn_records *r, tn_jsonl_record *out, tn_error *e)
{
    if (tn_given(e, r && out, __func__))
        return false;
    while (r->file) {
        while (tn_jsonl_next(r->file, out, e))
            if (is_taken(r, out))
                return true;
        if (e->code || r->at + 1 == r->count)
            break;
        open_file(r, r->at + 1, e);
    }
    return false;
}

const char *tn_records_path(const tn_records *r)
{
    return r ? r->paths[r->at] : NULL;
}

void tn_records_close(tn_records *r)
{
    if (!r)
        return;
    tn_jsonl_close(r->file);
    tn_share_free(&r->share);
    for (int64_t i = 0; i < r->count; i++)
        free(r->paths[i]);
    free(r->paths);
    free(r->sides);
    free(r);
}
