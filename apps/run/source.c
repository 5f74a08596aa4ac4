/* source.c - which data a run reads: texts, records in files or folders, tasks. */
#include "apps/report/reading.h"
#include "apps/run/pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { /* records of a task if their number is not given */
       TASK_EVALUATED = 500,
       TASK_EPOCH = 10000,
       TASK_MOST = 1000000 /* making them takes seconds and a few hundred MB */
};

part part_find(const char *name)
{
    for (int i = 0; i < PARTS; i++)
        if (!strcmp(name, part_names[i]))
            return (part)i;
    return PARTS;
}

const char *data_path(const options *o, int i)
{
    const bool piped = o->data[i] && !strcmp(o->data[i], "-") && o->standard_input;
    return piped ? o->standard_input : o->data[i];
}

const char *data_name(const options *o, char *out)
{
    if (!o->task && o->data[0] && !o->data[1] && !strcmp(o->data[0], "-"))
        return "standard input";
    if (o->task || !o->data[0] || !o->data[1])
        return o->task ? o->task : o->data[0];
    size_t n = 0;
    *out = 0;
    for (int i = 0; o->data[i] && n + 8 < DATA_NAME; i++)
        n += (size_t)snprintf(out + n, DATA_NAME - n, "%s%.60s", i ? " + " : "", o->data[i]);
    return out;
}

const tn_task *data_task(const options *o, int64_t *count, tn_error *e)
{
    *count = -1;
    if (o->task)
        return pieces_task(o->task, true, count, e);
    return o->data[0] && !o->data[1] && !strncmp(o->data[0], "task:", 5)
               ? pieces_task(o->data[0], false, count, e)
               : NULL;
}

/* How many records of a task a part has. Training has as many new ones as its steps take, up to a
   limit. A part that --split names has as many as --count or task:NAME:COUNT asks for. */
static int64_t task_count(const options *o, part which, int64_t given)
{
    int64_t n;
    if (which != PART_TRAIN || o->split)
        return o->count > 0 ? o->count : o->split && given > 0 ? given : TASK_EVALUATED;
    if (given > 0)
        return given;
    if (o->iters <= 0 || __builtin_mul_overflow(o->iters, o->batch_size, &n) ||
        __builtin_mul_overflow(n, o->grad_accumulation_steps, &n))
        return TASK_EPOCH;
    return n < TASK_MOST ? n : TASK_MOST;
}

const char *data_file_name(const options *o, int i)
{
    const char *path = data_path(o, i);
    return path == o->data[i] ? path : o->standard_name;
}

/* The kind of a file; of a folder or a task DATA_OTHER. */
static data_kind kind_of_file(const options *o, int i)
{
    tn_error e = { 0 }; /* an error is reported when the data are read */
    return strncmp(o->data[i], "task:", 5) && tn_path_is(data_path(o, i), NULL, &e) != TN_FOLDER
               ? data_kind_of(data_file_name(o, i))
               : DATA_OTHER;
}

bool data_is_text(const options *o)
{
    const data_kind is = o->data[0] && !o->data[1] ? kind_of_file(o, 0) : DATA_OTHER;
    return is == DATA_TEXT || is == DATA_TOKENS;
}

int data_standard(const options *o)
{
    int n = 0;
    for (int i = 0; o->data[i]; i++)
        n += !strcmp(o->data[i], "-");
    return n;
}

bool data_is_ids(const options *o)
{
    bool any = false;
    for (int which = 0; which < PARTS; which++) {
        pieces p;
        tn_error e = { 0 }; /* as above */
        pieces_find(o, (part)which, &p, &e);
        for (int i = 0; i < p.n; i++)
            any = any || p.piece[i].kind == DATA_TOKENS;
        pieces_free(&p);
    }
    return any;
}

bool data_is_divided(const options *o)
{
    for (int i = 0; o->data[i]; i++)
        if (kind_of_file(o, i) != DATA_OTHER)
            return true;
    return false;
}

const char *data_side(const options *o, part which)
{
    if (which != PART_TEST || o->out || !data_is_divided(o))
        return part_names[which];
    return o->given[OPT_valid_split] ? part_names[PART_VALID] : "all";
}

/* ---- records ---- */

/* Adds the names of all chat templates to a message. */
static void add_names(tn_error *e)
{
    const char *name;
    for (int64_t i = 0; (name = tn_chat_template_name(i)) != NULL; i++)
        tn_error_add(e, " %s", name);
}

const tn_chat_template *data_template(const options *o, tn_error *e)
{
    const tn_chat_template *t = tn_chat_template_find(o->chat_template);
    if (o->chat_template && !t && !e->code) {
        tn_fail(e, APP_USAGE, "--chat-template \"%.80s\"; expected one of", o->chat_template);
        add_names(e);
    }
    return t;
}

/* The template of chats; *none becomes true if none is named and the model has none at all. */
static const tn_chat_template *find_chat(const options *o, bool *none, tn_error *e)
{
    const tn_chat_template *t = data_template(o, e);
    *none = false;
    if (o->chat_template || !o->model || e->code)
        return t;
    char *own = tn_chat_template_read(o->model, e);
    *none = !own && !e->code;
    t = tn_chat_template_of(own);
    free(own);
    return t;
}

const tn_chat_template *data_chat(const options *o, tn_error *e)
{
    bool none;
    return find_chat(o, &none, e);
}

/* The files of records among the pieces, and which side of each is read. */
typedef struct files {
    const char *path[MAX_LIST];
    tn_side side[MAX_LIST];
    tn_records_options o;
} files;

static void list_files(const options *o, const pieces *p, files *out)
{
    *out = (files){ .o = { .share = o->given[OPT_valid_split] ? o->valid_split : -1,
                           .format = tn_record_format_find(o->data_format) } };
    for (int i = 0; i < p->n; i++) {
        if (p->piece[i].kind != DATA_RECORDS)
            continue;
        out->path[out->o.count] = p->piece[i].path;
        out->side[out->o.count++] = p->piece[i].side;
    }
    out->o.paths = out->path;
    out->o.sides = out->side;
}

tn_records *data_records(const options *o, part which, tn_error *e)
{
    pieces p;
    files f;
    pieces_find(o, which, &p, e);
    list_files(o, &p, &f);
    tn_records *r = f.o.count && !e->code ? tn_records_open(&f.o, e) : NULL;
    pieces_free(&p);
    return r;
}

/* Makes the records of n parts, one or two. */
static int make_records(const options *o, const pieces p[2], int n, const tn_tokenizer *k,
                        const tn_data_options *d, tn_dataset *out[2], tn_error *e)
{
    files f[2];
    tn_data_options with = *d;
    for (int i = 0; i < 2; i++)
        list_files(o, i < n ? &p[i] : &(pieces){ 0 }, &f[i]);
    if ((!f[0].o.count && !f[1].o.count) || e->code)
        return e->code;
    bool none;
    with.chat = find_chat(o, &none, e);
    if (none) /* Alpaca's template is part of the format of its records */
        with.alpaca = tn_chat_template_find("alpaca");
    const tn_records_options both[2] = { f[0].o, f[1].o };
    tn_dataset_both(both, k, &with, out, e);
    if (e->code == TN_ETEMPLATE) {
        tn_error_add(e, " (--chat-template NAME; the model %s):",
                     none || !o->model ? "has none" : "has one that is not known");
        add_names(e);
    }
    return e->code;
}

/* ---- a part ---- */

static tn_dataset *make_text(const piece *p, part which, const tn_tokenizer *k,
                             const tn_data_options *d, tn_error *e)
{
    tn_dataset *data = (p->kind == DATA_TOKENS ? tn_dataset_token_file
                                               : tn_dataset_text)(p->path, k, p->from, p->to, d, e);
    if (e->code == TN_EFORMAT && which != PART_TRAIN && p->from > 0)
        tn_error_add(e, " (in its end from %.4g %% on, by --valid-split)", 100 * p->from);
    return data;
}

/* The data sets of the pieces: that of all records (NULL: there are none), and one of each text and
   task. As one data set. Frees them. */
static tn_dataset *join_sets(const options *o, part which, const pieces *p, const tn_tokenizer *k,
                             const tn_data_options *d, tn_dataset *records, tn_error *e)
{
    int64_t n = records != NULL;
    tn_dataset **sets = calloc((size_t)p->n + 1, sizeof *sets);
    tn_data_options with = *d;
    if (!sets) {
        tn_dataset_free(records);
        tn_fail(e, TN_ENOMEM, "the data: out of memory");
        return NULL;
    }
    sets[0] = records;
    with.short_text = which != PART_TRAIN || o->split || p->n > 1;
    for (int i = 0; i < p->n && !e->code; i++) {
        const piece *at = &p->piece[i];
        if (at->kind == DATA_TEXT || at->kind == DATA_TOKENS)
            sets[n] = make_text(at, which, k, &with, e);
        else if (at->kind == DATA_TASK)
            sets[n] = tn_dataset_task(at->task->name, (uint64_t)o->seed, part_names[which], 0,
                                      task_count(o, which, at->count), k, &with, e);
        n += at->kind != DATA_RECORDS && sets[n] != NULL;
    }
    const bool alone = n == 1 && !e->code;
    tn_dataset *all = alone ? sets[0] : e->code ? NULL : tn_dataset_join(sets, n, e);
    for (int64_t i = 0; i < n && !alone; i++)
        tn_dataset_free(sets[i]);
    free(sets);
    return all;
}

int data_refuse_format(const options *o, tn_error *e)
{
    return tn_fail(e, APP_USAGE, "--data-format %s: only for records, in a .jsonl or .json",
                   o->data_format);
}

static int check_format(const options *o, const pieces *p, tn_error *e)
{
    bool any = !o->data_format || p->n == 0;
    for (int i = 0; i < p->n; i++)
        any = any || p->piece[i].kind == DATA_RECORDS;
    return any ? e->code : data_refuse_format(o, e);
}

int data_refuse_split(const options *o, tn_error *e)
{
    int64_t count;
    return tn_fail(e, APP_USAGE, "--valid-split: only for a .txt, a .bin or a .jsonl; %s",
                   data_task(o, &count, e) ? "a task has a valid split of its own"
                                           : "a folder has a file for each part");
}

static int check_split(const options *o, tn_error *e)
{
    if (!o->given[OPT_valid_split] || data_is_divided(o) || e->code)
        return e->code;
    return data_refuse_split(o, e);
}

/* The data sets of n parts, one or two. */
static int make_parts(const data_how *h, const part *which, int n, tn_dataset *out[2], tn_error *e)
{
    const options *o = h->o;
    pieces p[2] = { 0 };
    tn_dataset *records[2] = { NULL, NULL };
    reading shown = reading_begin(o);
    const tn_data_options d = { .max_length = h->length,
                                .no_mask = !o->mask_prompt,
                                .front = o->truncate && !strcmp(o->truncate, "front"),
                                .stride = o->stride > 0 ? o->stride : 0,
                                .context = h->context,
                                .watch = reading_watch,
                                .watch_arg = &shown };
    check_split(o, e);
    for (int i = 0; i < n && !e->code; i++) {
        pieces_find(o, which[i], &p[i], e);
        check_format(o, &p[i], e);
    }
    make_records(o, p, n, h->tokenizer, &d, records, e);
    for (int i = 0; i < n; i++) {
        out[i] = join_sets(o, which[i], &p[i], h->tokenizer, &d, records[i], e);
        pieces_free(&p[i]);
    }
    reading_end(&shown);
    for (int i = 0; i < n && e->code; i++) {
        tn_dataset_free(out[i]);
        out[i] = NULL;
    }
    return e->code;
}

tn_dataset *data_part(const data_how *h, part which, tn_error *e)
{
    tn_dataset *out[2] = { NULL, NULL };
    if (!e->code)
        make_parts(h, &which, 1, out, e);
    return out[0];
}

int data_both(const data_how *h, tn_dataset *out[2], tn_error *e)
{
    out[0] = out[1] = NULL;
    return e->code ? e->code : make_parts(h, (const part[]){ PART_TRAIN, PART_VALID }, 2, out, e);
}
