/* files.c - reads the records of several files as one, and keeps a share of them apart. */
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

/* Opens file i in the place of the one before. */
static tn_jsonl *open_file(tn_records *r, int64_t i, tn_error *e)
{
    tn_jsonl_close(r->file);
    r->at = i;
    r->file = tn_jsonl_open(r->paths[i], r->format, e);
    return r->file;
}

/* Reads the files of which a share is kept, and chooses it. */
static int choose(tn_records *r, double share, tn_error *e)
{
    tn_jsonl_record record;
    for (int64_t i = 0; i < r->count && share != 0 && !e->code; i++) {
        if (r->sides[i] == TN_SIDE_ALL || !open_file(r, i, e))
            continue;
        while (tn_jsonl_next(r->file, &record, e))
            if (!record.skip)
                tn_share_add(&r->share, &record, e);
    }
    tn_share_choose(&r->share, share);
    return e->code;
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
    if (r && !copy_options(r, o, e) && !choose(r, o->share, e))
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
    return side == TN_SIDE_ALL || tn_share_has(&r->share, record) == (side == TN_SIDE_VALID);
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
