/* source.c - which data a run reads: a text, records in a file or a folder, or a task. */
#include "apps/run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { /* records of a task, where nothing says how many */
    TASK_EVALUATED = 500,
    TASK_EPOCH = 10000,
    TASK_MOST = 1000000 /* they are made before the first step: seconds, a few hundred MB */
};

static const char *const part_names[PARTS] = { "train", "valid", "test" };

static bool ends(const char *path, const char *suffix)
{
    const size_t n = strlen(path), k = strlen(suffix);
    return n > k && !strcmp(path + n - k, suffix);
}

part part_find(const char *name)
{
    for (int i = 0; i < PARTS; i++)
        if (!strcmp(name, part_names[i]))
            return (part)i;
    return PARTS;
}

const tn_task *data_task(const options *o, int64_t *count, tn_error *e)
{
    char name[64];
    *count = -1;
    if (!o->task && (!o->data || strncmp(o->data, "task:", 5)))
        return NULL;
    const char *text = o->task ? o->task : o->data + 5;
    const char *colon = o->task ? NULL : strchr(text, ':');
    const size_t n = colon ? (size_t)(colon - text) : strlen(text);
    snprintf(name, sizeof name, "%.*s", n > 60 ? 60 : (int)n, text);
    if (colon && (!read_count(colon + 1, count) || *count < 1)) {
        tn_fail(e, APP_USAGE, "--data task:%.80s: expected task:NAME or task:NAME:COUNT", text);
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

/* How many records of a task a part has: for training as many fresh ones as the steps take, up to a
   limit. A part that was asked for alone has what --count or task:NAME:COUNT says. */
static int64_t task_count(const options *o, part which, int64_t said)
{
    int64_t n;
    if (which != PART_TRAIN || o->split)
        return o->count > 0 ? o->count : o->split && said > 0 ? said : TASK_EVALUATED;
    if (said > 0)
        return said;
    if (o->iters <= 0 || __builtin_mul_overflow(o->iters, o->batch_size, &n) ||
        __builtin_mul_overflow(n, o->grad_accumulation_steps, &n))
        return TASK_EPOCH;
    return n < TASK_MOST ? n : TASK_MOST;
}

/* The part of a text; `compare` has the end's second half for tests, `eval` the whole unless told.
 */
static tn_dataset *text_part(const options *o, part which, const tn_tokenizer *k,
                             const tn_data_options *d, tn_error *e)
{
    const double from = 1 - o->valid_split, middle = o->out ? 1 - o->valid_split / 2 : 1;
    if (which == PART_TRAIN)
        return tn_dataset_text(o->data, k, 0, from, d, e);
    if (which == PART_VALID)
        return o->valid_split > 0 ? tn_dataset_text(o->data, k, from, middle, d, e) : NULL;
    if (o->out)
        return middle < 1 ? tn_dataset_text(o->data, k, middle, 1, d, e) : NULL;
    return tn_dataset_text(o->data, k, o->given[OPT_valid_split] ? from : 0, 1, d, e);
}

/* folder/PART.jsonl in new memory; NULL and no error when only the training part is there. */
static char *folder_part(const options *o, part which, tn_error *e)
{
    char name[16];
    struct stat st;
    const bool needed = which == PART_TRAIN || o->split;
    snprintf(name, sizeof name, "%s.jsonl", part_names[which]);
    char *path = tn_path_join(o->data, name);
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", o->data);
    if (path && !needed && stat(path, &st)) {
        free(path);
        return NULL;
    }
    return path;
}

tn_dataset *data_part(const options *o, part which, const tn_tokenizer *k, int64_t length,
                      tn_error *e)
{
    int64_t count;
    struct stat st;
    const tn_data_options d = { .max_length = length, .no_mask = !o->mask_prompt };
    const tn_task *task = data_task(o, &count, e);
    if (e->code)
        return NULL;
    double usual; /* which stands in every config.used */
    if (read_real(options_table[OPT_valid_split].def, &usual) && o->valid_split != usual &&
        (task || !ends(o->data, ".txt"))) {
        tn_fail(e, APP_USAGE, "--valid-split: only for a .txt; expected a folder with train.jsonl and "
                "valid.jsonl");
        return NULL;
    }
    if (task)
        return tn_dataset_task(task->name, (uint64_t)o->seed, part_names[which], 0,
                               task_count(o, which, count), k, &d, e);
    if (!stat(o->data, &st) && S_ISDIR(st.st_mode)) {
        char *path = folder_part(o, which, e);
        tn_dataset *data = path ? tn_dataset_jsonl(path, k, &d, e) : NULL;
        free(path);
        return data;
    }
    if (ends(o->data, ".txt"))
        return text_part(o, which, k, &d, e);
    if (!ends(o->data, ".jsonl"))
        tn_fail(e, APP_USAGE, "--data %.200s: expected a .txt, a .jsonl, a folder or task:NAME",
                o->data);
    const bool all = which == PART_TRAIN ||
        (which == PART_TEST && !o->out); /* eval reads the file it is given */
    return all ? tn_dataset_jsonl(o->data, k, &d, e) : NULL;
}

uint64_t data_hash(const tn_dataset *d)
{
    const int64_t records = tn_dataset_facts(d).records;
    uint64_t hash = tn_hash64(&records, sizeof records, 0);
    for (int64_t i = 0; i < records; i++) {
        int64_t prompt = 0;
        const int64_t length = tn_dataset_record(d, i, &prompt);
        const int64_t size[2] = { length, prompt };
        hash = tn_hash64(size, sizeof size, hash);
        for (int64_t at = 0; at < length; at++) {
            int32_t id;
            tn_dataset_ids(d, i, at, 1, &id);
            hash = tn_hash64(&id, sizeof id, hash);
        }
    }
    return hash;
}

/* ---- a tokenizer for the data ---- */

enum { TEXT_MOST = 1 << 30 };

/* Adds all texts of one record. */
static void add_record(const char *line, size_t n, const char *path, int64_t number, tn_text *out,
                       tn_error *e)
{
    const tn_json *record = tn_json_parse(line, n, path, number, e);
    for (const tn_json *v = record ? record->child : NULL; v; v = v->next)
        if (v->kind == TN_STRING)
            tn_text_bytes(out, v->text, v->length);
    tn_json_free(record);
}

static void add_records(const char *path, tn_text *out, tn_error *e)
{
    size_t size = 0;
    char *text = tn_file_read(path, TEXT_MOST, &size, e);
    int64_t number = 1;
    for (size_t at = 0; text && at < size && !e->code; number++) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t n = end ? (size_t)(end - text) - at : size - at;
        if (strspn(text + at, " \t\r") < n)
            add_record(text + at, n, path, number, out, e);
        at += n + 1;
    }
    free(text);
}

/* The characters that the data's training part has. */
static void add_data(const options *o, tn_text *out, tn_error *e)
{
    int64_t count;
    struct stat st;
    if (data_task(o, &count, e)) { /* tasks are printable ASCII */
        for (char c = ' '; c <= '~'; c++)
            tn_text_bytes(out, &c, 1);
        tn_text_add(out, "\n");
    } else if (!e->code && !stat(o->data, &st) && S_ISDIR(st.st_mode)) {
        char *path = folder_part(o, PART_TRAIN, e);
        if (path)
            add_records(path, out, e);
        free(path);
    } else if (!e->code && ends(o->data, ".jsonl")) {
        add_records(o->data, out, e);
    } else if (!e->code) {
        size_t size = 0;
        char *text = tn_file_read(o->data, TEXT_MOST, &size, e);
        if (text)
            tn_text_bytes(out, text, size);
        free(text);
    }
}

tn_tokenizer *tokenizer_from_data(const options *o, tn_error *e)
{
    if (!strcmp(o->tokenizer, "bytes"))
        return tn_tokenizer_bytes(e);
    tn_text text = { 0 };
    tn_error inner = { 0 };
    add_data(o, &text, e);
    if (text.failed)
        tn_fail(e, TN_ENOMEM, "the texts for a tokenizer: out of memory");
    tn_tokenizer *k = e->code ? NULL : tn_tokenizer_chars(text.s ? text.s : "", text.n, &inner);
    if (inner.code)
        tn_fail(e, inner.code, "%s: %s", o->data ? o->data : o->task, inner.text);
    tn_text_free(&text);
    return k;
}
