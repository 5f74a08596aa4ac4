/* records.c - data sets of records in files. */
#include "data/sets/dataset.h"
#include "data/sets/jsonl.h"
#include "data/sets/share.h"

#include <stdlib.h>
#include <string.h>

/* Encodes a record after the last one: the first token, the prompt, the text, the end token. */
int tn_dataset_encode_pair(tn_maker m, tn_span prompt, tn_span completion, int64_t *masked,
                           tn_error *e)
{
    const int64_t first = m.d->n;
    tn_error inner = { 0 };
    if (tn_dataset_begin(m, e))
        return e->code;
    if (tn_dataset_encode(m, prompt, false, &inner))
        return tn_fail(e, inner.code, "in the prompt: %s", inner.text);
    *masked = m.o->no_mask ? 0 : m.d->n - first;
    if (tn_dataset_encode(m, completion, prompt.n > 0, &inner))
        return tn_fail(e, inner.code, "in the text: %s", inner.text);
    const int32_t end = tn_tokenizer_end(m.k);
    return end < 0 ? TN_OK : tn_dataset_append(m.d, &end, 1, e);
}

int tn_dataset_add_pair(tn_maker m, tn_span prompt, tn_span completion, tn_error *e)
{
    const int64_t first = m.d->n;
    int64_t masked = 0;
    return tn_dataset_encode_pair(m, prompt, completion, &masked, e)
               ? e->code
               : tn_dataset_keep(m.d, first, masked, e);
}

static int refuse_kind(bool pair, tn_error *e)
{
    return tn_fail(e, TN_EFORMAT, "%s among records that %s; expected one of the two alone",
                   pair ? "\"chosen\" and \"rejected\"" : "a record without \"chosen\"",
                   pair ? "have neither" : "have it");
}

/* Refuses a preference among other records, and another record among preferences. */
static int check_kind(tn_dataset *d, const tn_jsonl_record *r, tn_error *e)
{
    const bool pair = r->kind == TN_RECORD_PREFERENCE;
    if (d->facts.records == 0)
        d->facts.pairs = pair;
    if (!d->first_line[pair])
        d->first_line[pair] = r->line;
    return d->facts.pairs == pair ? TN_OK : refuse_kind(pair, e);
}

/* Adds a record, or notes why it is left out. */
static int add(tn_maker m, const tn_jsonl_record *r, const char *path, tn_error *e)
{
    tn_data_facts *f = &m.d->facts;
    const int64_t records = f->records;
    tn_skip why = r->kind == TN_RECORD_PREFERENCE ? TN_SKIP_EQUAL
                  : r->kind == TN_RECORD_CHAT     ? TN_SKIP_NO_ANSWER
                                                  : TN_SKIP_NO_TEXT;
    if (check_kind(m.d, r, e))
        return e->code;
    if (r->skip) {
        f->skipped++;
    } else {
        bool equal = false;
        if (r->kind == TN_RECORD_PREFERENCE)
            tn_dataset_add_preference(m, r, &equal, e);
        else if (r->kind == TN_RECORD_CHAT)
            tn_dataset_add_chat(m, r, e);
        else
            tn_dataset_add_pair(m, r->prompt, r->text, e);
        why = equal ? TN_SKIP_EQUAL : TN_SKIP_NO_ROOM;
    }
    f->formats[r->format] += f->records - records;
    return e->code || f->records > records ? e->code : tn_dataset_note(m.d, why, path, r->line, e);
}

/* ---- data sets of files: one, or training and validation data ---- */

/* What makes the two sets. */
typedef struct pair {
    tn_maker m[2];
    tn_record_format format;
    tn_share kept; /* of the files that are divided */
    tn_share seen; /* all of the second set, if the first may have the same records */
} pair;

/* A file, and which of its records go into which set. */
typedef struct source {
    pair *p;
    const char *path;
    bool list, goes[2];
    tn_side sides[2];
    int64_t before[2]; /* tokens of the sets before this file */
} source;

/* The number of the record's set; 2: it goes nowhere. */
static int set_of(const source *s, const tn_jsonl_record *r)
{
    const bool kept = tn_share_has(&s->p->kept, r);
    for (int i = 0; i < 2; i++)
        if (s->goes[i] && tn_share_side(s->sides[i], kept))
            return i;
    return 2;
}

static void make_section(const void *arg, tn_section *b)
{
    const source *s = arg;
    tn_jsonl_record r;
    tn_jsonl *in = tn_jsonl_of(s->path, s->p->format, b, s->list, &b->e);
    while (in && tn_jsonl_next(in, &r, &b->e)) {
        const int to = set_of(s, &r);
        tn_error inner = { 0 };
        if (to == 2)
            continue;
        tn_maker m = s->p->m[to];
        if (!b->made[to])
            b->made[to] = tn_dataset_start(m.k, m.o, &b->e);
        m.d = b->made[to];
        if (m.d && add(m, &r, s->path, &inner))
            tn_dataset_fail(s->path, r.line, &inner, &b->e);
        if (m.d && to == 0)
            m.d->facts.repeated += tn_share_has(&s->p->seen, &r);
    }
    tn_jsonl_close(in);
}

/* Refuses a record of a section that is of the other kind than those of the sections before. */
static void check_kinds(const tn_dataset *d, const tn_dataset *part, const char *path, tn_error *e)
{
    tn_error inner = { 0 };
    const int64_t line = part->first_line[!d->facts.pairs];
    if (d->facts.records && line && refuse_kind(!d->facts.pairs, &inner))
        tn_dataset_fail(path, line, &inner, e);
}

static void take_section(void *arg, tn_section *b, tn_error *e)
{
    const source *s = arg;
    for (int i = 0; i < 2; i++)
        if (b->made[i])
            check_kinds(s->p->m[i].d, b->made[i], s->path, e);
    for (int i = 0; i < 2; i++) {
        tn_dataset *d = s->p->m[i].d;
        if (b->made[i] && !e->code && !tn_dataset_merge(d, b->made[i], e))
            tn_dataset_expect(d, s->before[i], b->rest, e);
        tn_dataset_free(b->made[i]);
    }
}

static int read_source(source *s, tn_error *e)
{
    tn_sections b = tn_jsonl_sections(s->path, &s->list, e);
    b.work = make_section;
    b.take = take_section;
    b.arg = s;
    for (int i = 0; i < 2; i++)
        s->before[i] = s->p->m[i].d ? s->p->m[i].d->n : 0;
    tn_sections_run(&b, s->p->m[0].o, e);
    tn_input_close(&b.in);
    return e->code;
}

static tn_side side_of(const tn_records_options *f, int64_t i)
{
    return f->sides ? f->sides[i] : TN_SIDE_ALL;
}

/* Do both lists have this file, the second what is kept of it? */
static bool is_divided(const tn_records_options f[2], int64_t i, int64_t j)
{
    return side_of(&f[0], i) == TN_SIDE_TRAIN && side_of(&f[1], j) == TN_SIDE_VALID &&
           !strcmp(f[0].paths[i], f[1].paths[j]);
}

static void add_source(pair *p, const tn_records_options *f, int64_t i, int set, source *to)
{
    to->p = p;
    to->path = f->paths[i];
    to->goes[set] = true;
    to->sides[set] = side_of(f, i);
}

/* The files of both lists, each once, so that both sets have theirs in the order of their list. */
static int64_t list_sources(pair *p, const tn_records_options f[2], source *out)
{
    int64_t n = 0, next = 0;
    for (int64_t i = 0; i < f[0].count; i++) {
        int64_t j = next;
        while (j < f[1].count && !is_divided(f, i, j))
            j++;
        for (; j < f[1].count && next < j; next++)
            add_source(p, &f[1], next, 1, &out[n++]);
        add_source(p, &f[0], i, 0, &out[n]);
        if (j < f[1].count)
            add_source(p, &f[1], next++, 1, &out[n]);
        n++;
    }
    for (; next < f[1].count; next++)
        add_source(p, &f[1], next, 1, &out[n++]);
    return n;
}

/* Notes what the second set has, unless all files are divided: equal records are on one side. */
static int note_seen(pair *p, const tn_records_options f[2], const source *s, int64_t n,
                     tn_error *e)
{
    bool alone[2] = { false, false };
    for (int64_t i = 0; i < n; i++)
        for (int set = 0; set < 2; set++)
            alone[set] = alone[set] || (s[i].goes[set] && !s[i].goes[!set]);
    if (!f[0].count || !f[1].count || (!alone[0] && !alone[1]))
        return e->code;
    tn_share_join(&p->seen, &p->kept, e);
    for (int64_t i = 0; i < n && !e->code; i++)
        if (!s[i].goes[0] && s[i].sides[1] == TN_SIDE_ALL)
            tn_share_keys(&p->seen, s[i].path, p->format, p->m[0].o, e);
    tn_share_choose(&p->seen, 1);
    return e->code;
}

/* Ends a set that is made. NULL: no record is on these sides. */
static tn_dataset *end_set(tn_dataset *d, const tn_records_options *f, tn_error *e)
{
    if (d == NULL || (!e->code && f->sides && d->facts.records + d->facts.skipped == 0)) {
        tn_dataset_free(d);
        return NULL;
    }
    if (!e->code)
        tn_dataset_settle(d, e);
    return tn_dataset_finish(d, e->code ? "" : f->paths[0], e);
}

/* Makes one data set for each list that has files. */
static int make_sets(const tn_records_options f[2], const tn_tokenizer *k, const tn_data_options *o,
                     tn_dataset *out[2], tn_error *e)
{
    pair p = { .format = f[0].count ? f[0].format : f[1].format };
    const int64_t count = f[0].count + f[1].count;
    source *s = calloc((size_t)count + 1, sizeof *s);
    if (s == NULL)
        tn_fail(e, TN_ENOMEM, "data set: out of memory");
    for (int i = 0; i < 2; i++)
        p.m[i] = (tn_maker){ f[i].count && !e->code ? tn_dataset_start(k, o, e) : NULL, k, o };
    const int64_t n = e->code ? 0 : list_sources(&p, f, s);
    if (!e->code)
        tn_share_files(&p.kept, &f[f[0].count ? 0 : 1], o, e);
    if (!e->code)
        note_seen(&p, f, s, n, e);
    for (int64_t i = 0; i < n && !e->code; i++)
        read_source(&s[i], e);
    out[0] = end_set(p.m[0].d, &f[0], e);
    out[1] = end_set(p.m[1].d, &f[1], e);
    if (e->code) {
        tn_dataset_free(out[0]);
        out[0] = NULL;
    }
    tn_share_free(&p.kept);
    tn_share_free(&p.seen);
    free(s);
    return e->code;
}

tn_dataset *tn_dataset_files(const tn_records_options *files, const tn_tokenizer *k,
                             const tn_data_options *o, tn_error *e)
{
    tn_dataset *out[2] = { NULL, NULL };
    if (!tn_given(e, files && files->paths && files->count > 0 && k && o, __func__))
        make_sets((const tn_records_options[2]){ *files, { 0 } }, k, o, out, e);
    return out[0];
}

int tn_dataset_both(const tn_records_options files[2], const tn_tokenizer *k,
                    const tn_data_options *o, tn_dataset *out[2], tn_error *e)
{
    const bool given = files && out && k && o && (files[0].paths || !files[0].count) &&
                       (files[1].paths || !files[1].count);
    if (out)
        out[0] = out[1] = NULL;
    const int missing = tn_given(e, given, __func__);
    return missing ? missing : make_sets(files, k, o, out, e);
}

tn_dataset *tn_dataset_jsonl(const char *path, const tn_tokenizer *k, const tn_data_options *o,
                             tn_error *e)
{
    if (tn_given(e, path, __func__))
        return NULL;
    return tn_dataset_files(&(tn_records_options){ .paths = &path, .count = 1 }, k, o, e);
}
