/* inspect.c - tenon inspect: prints what a folder or file holds, without building a model. */
#include "apps/commands/inspect.h"
#include "apps/folder/swap.h"
#include "apps/run/need.h"
#include "apps/run/run.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"
#include "apps/run/spool.h"
#include "data/gguf.h"
#include "nn/family.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- safetensors ---- */

/* The longer of a width and of a tensor's name. */
static int wider(int width, const tn_entry *entry)
{
    const int n = (int)strlen(entry->name);
    return n > width ? n : width;
}

static void print_entry(const tn_entry *entry, int width, const char *type)
{
    char shape[160] = "", bytes[SHOWN];
    size_t n = 0;
    for (int i = 0; i < entry->ndim; i++)
        n += (size_t)snprintf(shape + n, sizeof shape - n, "%s%lld", i ? "," : "",
                              (long long)entry->dim[i]);
    lines_show("  %-*s  %-5s (%s)  %s\n", width, entry->name, type, shape,
               show_bytes((double)entry->size, bytes));
}

static int print_safetensors(const char *path, tn_error *e)
{
    char bytes[SHOWN], count[SHOWN];
    int64_t numbers = 0;
    double size = 0;
    int width = 0;
    tn_safetensors *s = tn_safetensors_open(path, e);
    if (!s)
        return e->code;
    for (int64_t i = 0; i < tn_safetensors_count(s); i++) {
        numbers += tn_entry_count(tn_safetensors_at(s, i));
        width = wider(width, tn_safetensors_at(s, i));
        size += (double)tn_safetensors_at(s, i)->size;
    }
    lines_show("%s: %lld tensor%s, %s numbers, %s\n", path, (long long)tn_safetensors_count(s),
               show_s(tn_safetensors_count(s)), show_count(numbers, count),
               show_bytes(size, bytes));
    for (int64_t i = 0; i < tn_safetensors_count(s); i++)
        print_entry(tn_safetensors_at(s, i), width,
                    tn_file_type_name(tn_safetensors_at(s, i)->type));
    tn_safetensors_close(s);
    return 0;
}

/* ---- GGUF ---- */

/* A key and its value, in one line. */
static void print_key(const tn_gguf *g, const tn_gguf_value *v)
{
    tn_error not_text = { 0 };
    const char *text = NULL;
    int64_t whole;
    uint64_t natural;
    double x;
    bool yes = false;
    lines l = lines_begin();
    lines_add(&l, "  %-44s ", v->key);
    if (v->array)
        lines_add(&l, "array of %lld\n", (long long)v->count);
    else if (tn_gguf_int(v, 0, &whole))
        lines_add(&l, "%lld\n", (long long)whole);
    else if (tn_gguf_float(v, 0, &x))
        lines_add(&l, "%g\n", x);
    else if (v->kind == TN_GGUF_U64) { /* above 2^63-1 */
        memcpy(&natural, v->bytes, sizeof natural);
        lines_add(&l, "%llu\n", (unsigned long long)natural);
    } else if (v->kind == TN_GGUF_STRING) {
        tn_gguf_get_string(g, v->key, &text, &not_text);
        lines_add(&l, "%.80s\n", text ? text : "a string that is not UTF-8");
    } else if (v->kind == TN_GGUF_BOOL) {
        tn_gguf_get_bool(g, v->key, &yes, &not_text);
        lines_add(&l, "%s\n", yes ? "true" : "false");
    } else {
        lines_add(&l, "a number that is not finite\n");
    }
}

/* Of a folder or a GGUF file. A tokenizer that cannot be read is no error: the line says why. */
static int print_tokenizer(const char *path, tn_error *e)
{
    char first[SHOWN];
    tn_error inner = { 0 };
    if (!tn_tokenizer_file(path, e))
        return e->code;
    tn_tokenizer *k = tn_tokenizer_open(path, &inner);
    if (k)
        lines_show("tokenizer  %s, %lld token%s, end token %d%s\n", tn_tokenizer_kind(k),
                   (long long)tn_tokenizer_size(k), show_s(tn_tokenizer_size(k)),
                   tn_tokenizer_end(k), show_first(k, first));
    else if (inner.code == TN_ENOMEM)
        *e = inner;
    else
        lines_show("tokenizer  not supported: %s\n", inner.text);
    tn_tokenizer_free(k);
    return e->code;
}

static int print_gguf(const char *path, tn_error *e)
{
    char bytes[SHOWN], count[SHOWN];
    int64_t numbers = 0;
    double size = 0;
    int width = 0;
    tn_gguf *g = tn_gguf_open(path, e);
    if (!g)
        return e->code;
    for (int64_t i = 0; i < tn_gguf_count(g); i++) {
        numbers += tn_entry_count(tn_gguf_at(g, i));
        width = wider(width, tn_gguf_at(g, i));
        size += (double)tn_gguf_at(g, i)->size;
    }
    lines_show("%s: GGUF, %lld key%s, %lld tensor%s, %s numbers, %s\n", path,
               (long long)tn_gguf_keys(g), show_s(tn_gguf_keys(g)), (long long)tn_gguf_count(g),
               show_s(tn_gguf_count(g)), show_count(numbers, count), show_bytes(size, bytes));
    for (int64_t i = 0; i < tn_gguf_keys(g); i++)
        print_key(g, tn_gguf_key(g, i));
    for (int64_t i = 0; i < tn_gguf_count(g); i++)
        print_entry(tn_gguf_at(g, i), width, tn_gguf_type(g, tn_gguf_at(g, i)));
    tn_gguf_close(g);
    return print_tokenizer(path, e);
}

/* ---- JSON files ---- */

/* Prints those members of an object that fit into a line. */
static int print_json(const char *path, tn_error *e)
{
    const tn_json *root = tn_json_read(path, e);
    lines_show("%s%s\n", root ? path : "", root ? ":" : "");
    for (const tn_json *v = root ? root->child : NULL; v; v = v->next) {
        if (v->kind == TN_ARRAY || v->kind == TN_OBJECT)
            lines_show("  %-30s %s of %lld\n", v->key ? v->key : "",
                       v->kind == TN_ARRAY ? "array" : "object", (long long)v->count);
        else
            lines_show("  %-30s %.80s\n", v->key ? v->key : "",
                       v->kind == TN_NULL ? "null" : v->text);
    }
    tn_json_free(root);
    return e->code;
}

/* ---- folders ---- */

static int print_file(const char *folder, const char *name, tn_error *e)
{
    const size_t n = strlen(name);
    char *path = tn_path_join(folder, name);
    if (!path)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    if (n > 12 && !strcmp(name + n - 12, ".safetensors"))
        print_safetensors(path, e);
    else if (strcmp(name, "tokenizer.json") && n > 5 && !strcmp(name + n - 5, ".json"))
        print_json(path, e);
    else
        lines_show("%s\n", path);
    free(path);
    return e->code;
}

/* ---- what training would take ---- */

/* What can be opened. */
static void print_supported(const tn_model *m)
{
    lines_show(
        "supported  yes: %s, %lld block%s of width %lld, %lld head%s (%lld of keys), %lld token%s, "
        "%lld position%s\n",
        m->family->type, (long long)m->layers, show_s(m->layers), (long long)m->width,
        (long long)m->heads, show_s(m->heads), (long long)m->kv_heads, (long long)m->vocab,
        show_s(m->vocab), (long long)m->positions, show_s(m->positions));
}

/* One line: LoRA, or all weights. The options of train have its defaults here. */
static int print_need(tn_context *c, const options *o, bool lora, tn_error *e)
{
    char parts[NEED_SHOWN], name[80] = "all weights";
    const tn_lora_options adapters = { .rank = o->lora_rank,
                                       .alpha = o->lora_alpha,
                                       .targets = o->target_modules };
    const tn_open_options how = { .sketch = true,
                                  .frozen = lora,
                                  .base_dtype = lora ? o->base_dtype : NULL };
    tn_model *m = tn_model_open_as(c, o->model, &how, e);
    if (m && lora)
        print_supported(m);
    if (m && lora && need_types(m->params, parts))
        lines_show("weights    frozen: %s\n", parts);
    if (m && lora && !tn_lora_add(m, &adapters, e))
        snprintf(name, sizeof name, "LoRA r=%lld on %s", (long long)o->lora_rank,
                 o->target_modules);
    tn_optim *adamw = e->code ? NULL : tn_optim_new(m->params, tn_optim_find("adamw"), NULL, e);
    if (adamw) {
        const int64_t width = setup_length(&(setup){ .model = m }, o), rows = o->batch_size;
        const need n = need_of_training(m, tn_optim_state_bytes(adamw), rows, width);
        if (lora)
            lines_show("to train, %lld rows of %lld token%s, adamw:\n", (long long)rows,
                       (long long)width, show_s(width));
        lines_show("  %-22s  %s%s\n", name, need_show(&n, parts),
                   need_fits(&n) ? "" : ", more than is available");
    }
    tn_optim_free(adamw);
    tn_model_free(m);
    return e->code;
}

/* Prints whether the model can be opened, and the memory that training it needs, from its shapes.
   If it cannot be opened, prints the reason; that is no error. */
static int print_needs(const options *o, tn_error *e)
{
    char room[SHOWN];
    tn_error inner = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    if (!c)
        tn_fail(&inner, TN_ENOMEM, "%s: out of memory", o->model);
    else if (!print_need(c, o, true, &inner) && !print_need(c, o, false, &inner))
        lines_show("  %-22s  %s\n", "available", show_bytes((double)tn_memory_room(), room));
    tn_context_free(c);
    if (inner.code == TN_ENOMEM)
        *e = inner;
    else if (inner.code)
        lines_show("supported  no: %s\n", inner.text);
    return e->code;
}

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

/* Adds the line of a model without a weight file. */
static void print_random(const char *folder)
{
    tn_error e = { 0 };
    if (tn_model_weights(folder, &e) == TN_ABSENT)
        lines_show(
            "weights    random: no weight file, so train and compare start from random ones\n");
}

static int unfinished(const struct dirent *d)
{
    uint64_t number;
    return swap_waits(d->d_name, &number);
}

/* What a run left that was killed while it saved. The next save to this folder removes only its own. */
static void print_unfinished(const char *folder)
{
    struct dirent **names;
    const int n = scandir(folder, &names, unfinished, alphasort);
    for (int i = 0; i < n; i++) {
        lines_show(
            "%s/%s: left by a save that did not end; if none is running, it can be removed\n",
            folder, names[i]->d_name);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
}

static int print_folder(const options *o, tn_error *e)
{
    const char *folder = o->model;
    struct dirent **names;
    const int n = scandir(folder, &names, visible, alphasort);
    if (n < 0)
        return tn_fail(e, errno == ENOMEM ? TN_ENOMEM : TN_EIO, "%s: cannot be read: %s", folder,
                       strerror(errno));
    if (!n)
        tn_fail(e, TN_EFORMAT, "%s: an empty folder; expected a model, an adapter or a checkpoint",
                folder);
    bool is_model = false;
    for (int i = 0; i < n; i++) {
        is_model = is_model || !strcmp(names[i]->d_name, "config.json");
        if (!e->code)
            print_file(folder, names[i]->d_name, e);
        free(names[i]);
    }
    free(names);
    print_unfinished(folder);
    if (!e->code)
        print_tokenizer(folder, e);
    tn_error inner = { 0 };
    is_model = is_model || tn_model_weights(folder, &inner) == TN_FILE;
    if (!e->code && is_model)
        print_random(folder);
    if (!e->code && is_model)
        print_needs(o, e);
    return e->code;
}

/* Prints a file of a known name or content. Any other file is tried as safetensors. */
static int print_other(const options *o, tn_error *e)
{
    const char *path = o->model;
    const size_t n = strlen(path);
    tn_error inner = { 0 };
    if (n > 5 && !strcmp(path + n - 5, ".json"))
        return print_json(path, e);
    if (n > 12 && !strcmp(path + n - 12, ".safetensors"))
        return print_safetensors(path, e);
    if (tn_gguf_is(path) || (n > 5 && !strcmp(path + n - 5, ".gguf")))
        return print_gguf(path, e) ? e->code : print_needs(o, e);
    if (print_safetensors(path, &inner) == TN_EFORMAT)
        return tn_fail(e, TN_EFORMAT,
                       "%s: expected a folder, a .safetensors file, a .gguf file, or --data FILE "
                       "--model FOLDER",
                       path);
    *e = inner;
    return e->code;
}

static void print_path(const options *o, tn_error *e)
{
    const char *path = o->model;
    switch (tn_path_is(path, NULL, e)) {
    case TN_FOLDER: print_folder(o, e); break;
    case TN_FILE: print_other(o, e); break;
    default:
        tn_fail(e, TN_EIO, "%s: %s; expected a folder, a .safetensors, a .gguf or a .json", path,
                strerror(ENOENT));
    }
}

int command_inspect(const options *o, tn_error *e)
{
    const char *path = o->arguments ? o->argument[0] : o->model;
    options asked = *o;
    spool in = { 0 };
    asked.model = path;
    if (!o->split)
        asked.split = "train";
    if (o->arguments && o->model)
        tn_fail(e, APP_USAGE, "--model %s: expected no PATH beside it, found \"%s\"", o->model,
                path);
    else if (o->data[0] && !spool_open(&in, &asked, e))
        inspect_data(&asked, e);
    else if (!path && !e->code)
        tn_fail(
            e, APP_USAGE,
            "a path is missing; expected a folder, a .safetensors or .gguf file, or --data FILE "
            "--model FOLDER");
    else if (!e->code)
        print_path(&asked, e);
    spool_close(&in, e);
    return 0;
}
