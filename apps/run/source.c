/* source.c - which data a run reads: a text, records in a file or a folder, or a task. */
#include "apps/run/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { /* records of a task if their number is not given */
       TASK_EVALUATED = 500,
       TASK_EPOCH = 10000,
       TASK_MOST = 1000000 /* making them takes seconds and a few hundred MB */
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

bool data_is_text(const options *o)
{
    tn_error e = { 0 }; /* an error is reported when the data are read */
    return o->data && strncmp(o->data, "task:", 5) && ends(o->data, ".txt") &&
           tn_path_is(o->data, NULL, &e) != TN_FOLDER;
}

/* A part of a text. `compare` tests on the second half of its end. `eval` takes the whole text,
   unless --valid-split is given. */
static tn_dataset *text_part(const options *o, part which, const tn_tokenizer *k,
                             const tn_data_options *d, tn_error *e)
{
    const double split = 1 - o->valid_split, middle = 1 - o->valid_split / 2;
    const bool all = which == PART_TEST && !o->out && !o->given[OPT_valid_split];
    const double from = which == PART_TRAIN || all     ? 0
                        : which == PART_TEST && o->out ? middle
                                                       : split;
    const double to = which == PART_TRAIN ? split : which == PART_VALID && o->out ? middle : 1;
    if (which != PART_TRAIN && from >= to) /* --valid-split 0 */
        return NULL;
    tn_dataset *data = tn_dataset_text(o->data, k, from, to, d, e);
    if (e->code == TN_EFORMAT && which != PART_TRAIN && from > 0)
        tn_error_add(e, " (in its end from %.4g %% on, by --valid-split)", 100 * from);
    return data;
}

/* folder/PART.jsonl in new memory. NULL without an error: the folder has only the training part. */
static char *folder_part(const options *o, part which, tn_error *e)
{
    char name[16];
    const bool needed = which == PART_TRAIN || o->split;
    snprintf(name, sizeof name, "%s.jsonl", part_names[which]);
    if (tn_path_is(o->data, name, e) == TN_ABSENT && !needed)
        return NULL;
    char *path = e->code ? NULL : tn_path_join(o->data, name);
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", o->data);
    return path;
}

char *data_file(const options *o, part which, tn_error *e)
{
    const tn_presence is = tn_path_is(o->data, NULL, e);
    if (is == TN_ABSENT)
        tn_fail(e, TN_EIO, "%s: %s; expected a .txt, a .jsonl, a folder or task:NAME", o->data,
                strerror(ENOENT));
    if (e->code)
        return NULL;
    if (is == TN_FOLDER)
        return folder_part(o, which, e);
    if (!ends(o->data, ".jsonl") && !ends(o->data, ".json")) {
        tn_fail(e, APP_USAGE, "--data %.200s: expected a .txt, a .jsonl, a folder or task:NAME",
                o->data);
        return NULL;
    }
    if (which != PART_TRAIN && (which != PART_TEST || o->out)) /* eval reads the file it is given */
        return NULL;
    char *path = strdup(o->data);
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", o->data);
    return path;
}

/* Adds the names of all chat templates to a message. */
static void add_names(tn_error *e)
{
    const char *name;
    for (int64_t i = 0; (name = tn_chat_template_name(i)) != NULL; i++)
        tn_error_add(e, " %s", name);
}

const tn_chat_template *data_chat(const options *o, tn_error *e)
{
    const tn_chat_template *t = tn_chat_template_find(o->chat_template);
    if (o->chat_template && !t) {
        tn_fail(e, APP_USAGE, "--chat-template \"%.80s\"; expected one of", o->chat_template);
        add_names(e);
    }
    if (o->chat_template || !o->model || e->code)
        return t;
    char *own = tn_chat_template_read(o->model, e);
    t = tn_chat_template_of(own);
    free(own);
    return t;
}

static tn_dataset *records(const char *path, const tn_tokenizer *k, const tn_data_options *d,
                           tn_error *e)
{
    tn_dataset *data = tn_dataset_jsonl(path, k, d, e);
    if (e->code != TN_EFORMAT || d->chat || !strstr(e->text, "expected a chat template"))
        return data;
    tn_error_add(e, " (--chat-template NAME; the model's own is not known):");
    add_names(e);
    return data;
}

tn_dataset *data_part(const options *o, part which, const tn_tokenizer *k, int64_t length,
                      tn_error *e)
{
    int64_t count;
    tn_data_options d = { .max_length = length,
                          .no_mask = !o->mask_prompt,
                          .short_text = which != PART_TRAIN || o->split,
                          .stride = o->stride > 0 ? o->stride : 0 };
    const tn_task *task = data_task(o, &count, e);
    if (!e->code && o->given[OPT_valid_split] && !data_is_text(o))
        tn_fail(e, APP_USAGE, "--valid-split: only for a .txt; %s",
                task ? "a task has a valid split of its own"
                     : "records are not split yet, expected a folder with train.jsonl and "
                       "valid.jsonl");
    if (e->code)
        return NULL;
    if (task)
        return tn_dataset_task(task->name, (uint64_t)o->seed, part_names[which], 0,
                               task_count(o, which, count), k, &d, e);
    if (data_is_text(o))
        return text_part(o, which, k, &d, e);
    char *path = data_file(o, which, e);
    d.chat = path ? data_chat(o, e) : NULL;
    tn_dataset *data = path && !e->code ? records(path, k, &d, e) : NULL;
    free(path);
    return data;
}

/* ---- a tokenizer for the data ---- */

enum { TEXT_MOST = 1 << 30 };

/* Adds the texts of all records, but no other members of the file. */
static void add_records(const char *path, tn_text *out, tn_error *e)
{
    tn_jsonl *file = tn_jsonl_open(path, e);
    tn_jsonl_record r;
    while (file && tn_jsonl_next(file, &r, e)) {
        if (memchr(r.prompt.s, 0, r.prompt.n) || memchr(r.text.s, 0, r.text.n))
            tn_fail(e, TN_EFORMAT, "%s:%lld: the character U+0000; expected text for a vocabulary",
                    path, (long long)r.line);
        tn_text_bytes(out, r.prompt.s, r.prompt.n);
        tn_text_bytes(out, r.text.s, r.text.n);
    }
    tn_jsonl_close(file);
}

/* Adds the characters for a vocabulary: printable ASCII for a task, all of a text, or the records
   of the training part. */
static void add_data(const options *o, tn_text *out, tn_error *e)
{
    int64_t count;
    if (data_task(o, &count, e)) { /* tasks are printable ASCII */
        for (char c = ' '; c <= '~'; c++)
            tn_text_bytes(out, &c, 1);
        tn_text_add(out, "\n");
    } else if (!e->code && data_is_text(o)) {
        out->s = tn_text_read(o->data, TEXT_MOST, &out->n, e); /* its memory becomes the text's */
    } else if (!e->code) {
        char *path = data_file(o, PART_TRAIN, e);
        if (path)
            add_records(path, out, e);
        free(path);
    }
}

tn_tokenizer *data_tokenizer(const options *o, tn_error *e)
{
    if (!strcmp(o->tokenizer, "bytes"))
        return tn_tokenizer_bytes(e);
    tn_text text = { 0 };
    tn_error inner = { 0 };
    add_data(o, &text, e);
    const char *letters = tn_text_done(&text, "the texts for a tokenizer", e);
    tn_tokenizer *k = e->code ? NULL : tn_tokenizer_chars(letters, text.n, &inner);
    if (inner.code)
        tn_fail(e, inner.code, "%s: %s", o->data ? o->data : o->task, inner.text);
    tn_text_free(&text);
    return k;
}
