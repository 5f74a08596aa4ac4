/* hf.c - opens and saves models: Hugging Face folders, and GGUF files (gguf_source.c). */
#include "nn/folders/config_kept.h"
#include "nn/model.h"
#include "nn/folders/gguf_model.h"
#include "nn/folders/weights.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char HEAD[] = "lm_head.weight";

/* ---- reading ---- */

static bool ends_with(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);
    return n >= m && !strcasecmp(path + n - m, end);
}

/* Refuses a file that is not in GGUF. */
static int refuse_file(const char *path, tn_error *e)
{
    static const char *const pickles[] = { ".bin", ".pt", ".pth", ".ckpt" };
    if (ends_with(path, ".safetensors"))
        return tn_fail(e, TN_EIO,
                       "%s: weights alone; expected the folder that has them and their config.json",
                       path);
    if (ends_with(path, ".json"))
        return tn_fail(e, TN_EIO, "%s: one file of a model; expected the folder that has it", path);
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++)
        if (ends_with(path, pickles[i]))
            return tn_fail(e, TN_EIO,
                           "%s: weights in a pickle, which is not read; expected a folder with "
                           "config.json and model.safetensors, which save_pretrained of "
                           "Transformers writes, or a GGUF file",
                           path);
    return tn_fail(e, TN_EIO,
                   "%s: not a folder and not in GGUF; expected a model folder or a GGUF file",
                   path);
}

/* Refuses a folder that does not exist, or that lacks a file of a model folder, and a file that is
   not in GGUF. */
static int check_path(const char *folder, tn_presence is, tn_error *e)
{
    if (is == TN_ABSENT)
        tn_fail(e, TN_EIO, "%s: %s; expected a model folder or a GGUF file", folder,
                strerror(ENOENT));
    else if (is == TN_FILE && !tn_gguf_is(folder))
        refuse_file(folder, e);
    else if (is == TN_FILE)
        return e->code;
    else if (tn_path_is(folder, "config.json", e) == TN_ABSENT)
        tn_fail(e, TN_EIO, "%s: config.json%s missing; expected a model folder", folder,
                tn_path_is(folder, "model.safetensors", e) == TN_ABSENT
                    ? " and model.safetensors are"
                    : " is");
    return e->code;
}

static int64_t numbers(const tn_source *w)
{
    int64_t n = 0;
    tn_stored t;
    for (int64_t i = 0; i < w->count; i++) {
        w->at(w, i, &t);
        n += tn_entry_count(t.entry);
    }
    return n;
}

/* For a config.json that does not decide it. The head is tied to the embedding if the files lack
   one of the two, or if both have the same bytes. */
static bool is_tied(const tn_source *w, const tn_family *family)
{
    tn_stored head, embedding;
    return !w->find(w, HEAD, &head) || !w->find(w, family->embedding, &embedding) ||
           (embedding.type == head.type && embedding.size == head.size &&
            !memcmp(embedding.bytes, head.bytes, head.size));
}

static tn_model *open_model(tn_context *c, const char *folder, const tn_json *config, tn_reading r,
                            bool sketch, tn_error *e)
{
    tn_source *w = r.source;
    tn_model start = { .tied = true };
    tn_error unknown = { 0 }; /* an unknown family is refused below */
    const tn_family *family = tn_family_find(config, &unknown);
    if (family && w) {
        w->nested = tn_config_text(config) != config;
        start.stored = numbers(w);
        start.tied = is_tied(w, family);
        bool tied = start.tied;
        tn_json_get_bool(tn_config_text(config), "tie_word_embeddings", &tied, e);
        w->embedding = tied ? family->embedding : NULL;
        w->head = tied ? HEAD : NULL;
        if (!start.stored)
            tn_fail(e, TN_EFORMAT, "%s: no number in its weight files; expected a model's", folder);
    }
    tn_model *m = e->code ? NULL : tn_model_make(c, config, folder, &start, &r, sketch, e);
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

int tn_reading_of(const tn_open_options *o, tn_reading *r, tn_error *e)
{
    static const char *const names[] = { "file", "f32", "bf16", "q8_0", "q4_0" };
    static const tn_dtype types[] = { TN_REAL, TN_REAL, TN_BF16, TN_Q8_0, TN_Q4_0 };
    enum { NAMES = sizeof names / sizeof *names };
    const char *name = o->base_dtype ? o->base_dtype : names[0];
    int i = 0;
    while (i < NAMES && strcmp(name, names[i]))
        i++;
    *r = (tn_reading){ .frozen = o->frozen, .converts = i > 0, .type = types[i % NAMES] };
    if (i == NAMES)
        tn_fail(e, TN_EARG, "base type \"%s\"; expected file, f32, bf16, q8_0 or q4_0", name);
    else if (i > 0 && !o->frozen)
        tn_fail(e, TN_EARG, "base type %s: only for a model whose weights are not trained", name);
    return e->code;
}

static const tn_json *read_config(const char *folder, tn_error *e)
{
    char *path = tn_path_newest(folder, "config.json");
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    const tn_json *config = path ? tn_json_read(path, e) : NULL;
    free(path);
    return config;
}

tn_model *tn_model_open_as(tn_context *c, const char *folder, const tn_open_options *o, tn_error *e)
{
    tn_reading r;
    if (tn_given(e, c && folder && o, __func__))
        return NULL;
    tn_reading_of(o, &r, e);
    const tn_presence is = e->code ? TN_UNREADABLE : tn_path_is(folder, NULL, e);
    const tn_json *config = NULL;
    tn_model *m = NULL;
    char *inner = is == TN_FOLDER ? tn_weights_gguf(folder, e) : NULL;
    if (e->code || (!inner && check_path(folder, is, e)))
        return NULL;
    if (inner || is == TN_FILE)
        r.source = tn_gguf_source(inner ? inner : folder, &config, e);
    else
        config = read_config(folder, e);
    if (config) /* what is not computed is refused before weights are read */
        tn_model_free(tn_model_make(c, config, folder, &(tn_model){ .tied = true },
                                    &(tn_reading){ 0 }, true, e));
    if (config && !r.source)
        r.source = tn_weights_open(folder, e);
    if (config && !e->code)
        m = open_model(c, inner ? inner : folder, config, r, o->sketch, e);
    if (m && is == TN_FOLDER)
        read_generation_config(m, folder, e);
    tn_source_drop(r.source);
    tn_json_free(config);
    free(inner);
    if (!e->code)
        return m;
    tn_model_free(m);
    return NULL;
}

tn_model *tn_model_open(tn_context *c, const char *folder, tn_error *e)
{
    return tn_model_open_as(c, folder, &(tn_open_options){ 0 }, e);
}

tn_model *tn_model_sketch(tn_context *c, const char *folder, tn_error *e)
{
    return tn_model_open_as(c, folder, &(tn_open_options){ .sketch = true }, e);
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
    tn_config_keep(m, &text, e);
    return tn_text_save(&text, folder, "config.json", e);
}
