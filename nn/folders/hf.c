/* hf.c - reads and writes Hugging Face folders: config.json and safetensors. */
#include "nn/model.h"
#include "nn/folders/weights.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HEAD[] = "lm_head.weight";

/* ---- reading ---- */

/* Is it a constant? Older files have some beside the weights. */
static bool is_buffer(const char *name)
{
    static const char *const ends[] = { "attn.bias", "attn.masked_bias", "rotary_emb.inv_freq" };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (tn_target_matches(name, ends[i], strlen(ends[i])))
            return true;
    return false;
}

/* The weight of a tensor in a file; -1: none. Its name may lack the first part ("transformer."). */
static int64_t find_weight(const tn_model *m, const char *name)
{
    for (int64_t i = 0; i < tn_params_count(m->params); i++) {
        const char *full = tn_params_at(m->params, i)->name, *dot = strchr(full, '.');
        if (!strcmp(name, full) || (dot && strchr(dot + 1, '.') && !strcmp(name, dot + 1)))
            return i;
    }
    return -1;
}

/* If the head is tied to the embedding and the file has both, they must have the same values. */
static void check_tied_head(const tn_model *m, const tn_safetensors *file, const tn_entry *head,
                            tn_error *e)
{
    tn_tensor *copy = tn_tensor_new(TN_REAL, 2, m->head->dim, false);
    if (!copy)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", tn_safetensors_path(file));
    else if (!tn_weight_read(file, head, copy, e) &&
             memcmp(copy->x, m->head->x, (size_t)tn_tensor_count(copy) * sizeof *copy->x))
        tn_fail(e, TN_EFORMAT,
                "%s: tensor \"%s\" differs from the embedding; expected the same, as config.json "
                "says tie_word_embeddings is true",
                tn_safetensors_path(file), head->name);
    tn_tensor_free(copy);
}

/* The files of a tied model may hold both head and embedding, or only the head. */
static void read_tied_head(const tn_model *m, const tn_weights *w, bool *done, tn_error *e)
{
    const tn_safetensors *file;
    const tn_entry *head = tn_weights_find(w, HEAD, &file);
    int64_t k = 0;
    while (tn_params_at(m->params, k)->w != m->head)
        k++;
    if (head && done[k])
        check_tied_head(m, file, head, e);
    else if (head)
        done[k] = !tn_weight_read(file, head, m->head, e);
}

/* Reads all tensors of a file. done[i] becomes true when weight i has been read. */
static void read_file(const tn_model *m, const tn_safetensors *file, bool *done, tn_error *e)
{
    for (int64_t i = 0; i < tn_safetensors_count(file) && !e->code; i++) {
        const tn_entry *entry = tn_safetensors_at(file, i);
        int64_t k = find_weight(m, entry->name);
        if (k < 0 && (is_buffer(entry->name) || (m->tied && !strcmp(entry->name, HEAD))))
            continue;
        if (k < 0 || done[k])
            tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" %s", tn_safetensors_path(file), entry->name,
                    k < 0 ? "has no place in the model that config.json describes"
                          : "is there twice");
        else
            done[k] = !tn_weight_read(file, entry, tn_params_at(m->params, k)->w, e);
    }
}

static void read_weights(const tn_model *m, const tn_weights *w, tn_error *e)
{
    int64_t n = tn_params_count(m->params), missing = 0, first = 0;
    bool *done = calloc((size_t)n, sizeof *done);
    if (!done)
        tn_fail(e, TN_ENOMEM, "out of memory for the model");
    for (int64_t f = 0; f < w->count && !e->code; f++)
        read_file(m, w->files[f], done, e);
    if (m->tied && !e->code)
        read_tied_head(m, w, done, e);
    for (int64_t i = n; i-- > 0 && !e->code;) {
        missing += !done[i];
        first = done[i] ? first : i;
    }
    const char *path = missing ? tn_safetensors_path(w->files[0]) : NULL;
    const char *name = missing ? tn_params_at(m->params, first)->name : NULL;
    if (missing == 1)
        tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" is missing", path, name);
    else if (missing)
        tn_fail(e, TN_EFORMAT, "%s: %lld tensors are missing, the first is \"%s\"", path,
                (long long)missing, name);
    free(done);
}

/* Refuses a folder that does not exist, or that lacks a file of a model folder. */
static int check_folder(const char *folder, tn_error *e)
{
    const tn_presence is = tn_path_is(folder, NULL, e);
    if (is == TN_ABSENT)
        tn_fail(e, TN_EIO, "%s: %s; expected a model folder", folder, strerror(ENOENT));
    else if (is == TN_FILE)
        tn_fail(e, TN_EIO, "%s: not a folder; expected a model folder", folder);
    else if (tn_path_is(folder, "config.json", e) == TN_ABSENT)
        tn_fail(e, TN_EIO, "%s: config.json%s missing; expected a model folder", folder,
                tn_path_is(folder, "model.safetensors", e) == TN_ABSENT
                    ? " and model.safetensors are"
                    : " is");
    return e->code;
}

/* The tensor of a weight; NULL: no file has it. Its name in a file may lack the first part. */
static const tn_entry *find_entry(const tn_weights *w, const char *name)
{
    const tn_safetensors *file;
    const tn_entry *entry = tn_weights_find(w, name, &file);
    const char *dot = strchr(name, '.');
    return entry || !dot ? entry : tn_weights_find(w, dot + 1, &file);
}

/* For a config.json that does not decide it. The head is tied to the embedding if the files lack
   one of the two, or if both have the same bytes. */
static bool is_tied(const tn_weights *w, const tn_json *config)
{
    tn_error unknown = { 0 }; /* an unknown family is refused later */
    const tn_safetensors *file;
    const tn_family *family = tn_family_find(config, &unknown);
    const tn_entry *head = tn_weights_find(w, HEAD, &file);
    const tn_entry *embedding = family ? find_entry(w, family->embedding) : NULL;
    return !head || !embedding ||
           (embedding->type == head->type && embedding->size == head->size &&
            !memcmp(embedding->bytes, head->bytes, head->size));
}

static tn_model *open_model(tn_context *c, const char *folder, const tn_json *config,
                            const tn_weights *w, bool sketch, tn_error *e)
{
    tn_model start = { .stored = tn_weights_numbers(w), .tied = is_tied(w, config) };
    if (w->count && !start.stored)
        tn_fail(e, TN_EFORMAT, "%s: no number in its weight files; expected a model's", folder);
    tn_model *m = tn_model_make(c, config, folder, &start, sketch, e);
    if (m && w->count && !sketch)
        read_weights(m, w, e);
    if (m)
        m->source = strdup(folder);
    if (m && !m->source)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    return m;
}

/* generation_config.json may be absent. It names more tokens that end a text. */
static void read_generation_config(tn_model *m, const char *folder, tn_error *e)
{
    static const char name[] = "generation_config.json";
    if (tn_path_is(folder, name, e) == TN_ABSENT)
        return;
    char *path = e->code ? NULL : tn_path_join(folder, name);
    const tn_json *config = path ? tn_json_read(path, e) : NULL;
    const tn_json *ids = tn_json_find(config, "eos_token_id");
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    if (config && config->kind != TN_OBJECT)
        tn_json_refuse(config, "an object", e);
    if (ids)
        tn_model_add_ends(m, ids, e);
    tn_json_free(config);
    free(path);
}

static tn_model *open_folder(tn_context *c, const char *folder, bool sketch, tn_error *e)
{
    if (tn_given(e, c && folder, "tn_model_open") || check_folder(folder, e))
        return NULL;
    tn_weights w = { 0 };
    tn_model *m = NULL;
    char *path = tn_path_newest(folder, "config.json");
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    const tn_json *config = path ? tn_json_read(path, e) : NULL;
    if (config && !tn_weights_open(&w, folder, e))
        m = open_model(c, folder, config, &w, sketch, e);
    if (m)
        read_generation_config(m, folder, e);
    tn_weights_close(&w);
    tn_json_free(config);
    free(path);
    if (!e->code)
        return m;
    tn_model_free(m);
    return NULL;
}

tn_model *tn_model_open(tn_context *c, const char *folder, tn_error *e)
{
    return open_folder(c, folder, false, e);
}

tn_model *tn_model_sketch(tn_context *c, const char *folder, tn_error *e)
{
    return open_folder(c, folder, true, e);
}

/* ---- writing ---- */

static int save_weights(const tn_model *m, const char *folder, tn_file_type type, tn_error *e)
{
    char *path = tn_path_join(folder, "model.safetensors");
    if (!path)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    tn_params_save(m->params, NULL, path, type, e);
    free(path);
    return e->code;
}

int tn_model_save(const tn_model *m, const char *folder, tn_file_type type, tn_error *e)
{
    const int missing = tn_given(e, m && folder, __func__);
    if (missing)
        return missing;
    if (tn_model_refuse_sketch(m, e))
        return e->code;
    if (m->adapters)
        return tn_fail(e, TN_ESTATE, "the model has adapters; merge them before it is saved");
    if (tn_folder_make(folder, e) || save_weights(m, folder, type, e))
        return e->code;
    tn_text text = { 0 };
    m->family->config(m, &text);
    return tn_text_save(&text, folder, "config.json", e);
}
