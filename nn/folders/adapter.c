/* adapter.c - reads LoRA adapters from PEFT's adapter_config.json and adapter_model.safetensors.
   Source: huggingface/peft, tuners/lora/config.py and layer.py, utils/save_and_load.py. */
#include "nn/model.h"
#include "nn/folders/weights.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct config {
    const tn_json *json;
    int64_t rank;
    double alpha, dropout;
    bool rslora;
} config;

/* ---- reading ---- */

/* An option that is absent, null, false or empty does not change what is computed. */
static bool is_off(const tn_json *v)
{
    return !v || v->kind == TN_NULL || (v->kind == TN_BOOL && v->text[0] == 'f') ||
           ((v->kind == TN_ARRAY || v->kind == TN_OBJECT) && !v->count) ||
           (v->kind == TN_STRING && !v->length);
}

/* Refuses options that change what is computed in a way that tenon does not support. */
static void check_switches(const tn_json *json, tn_error *e)
{
    static const char *const off[] = {
        "use_dora",
        "use_qalora",
        "use_bdlora",
        "lora_bias",
        "alora_invocation_tokens",
        "trainable_token_indices",
        "target_parameters",
        "modules_to_save",
        "layer_replication",
        "megatron_config",
        "arrow_config",
        "kasa_config",
        "monteclora_config",
        "velora_config",
    };
    static const char *const bases[] = { "pissa", "olora", "corda", "lora_ga", "loftq" };
    const char *type = "LORA", *bias = "none";
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (!is_off(tn_json_find(json, off[i])))
            tn_json_refuse(tn_json_find(json, off[i]),
                           "null or false: this kind of adapter is not computed", e);
    tn_json_get_string(json, "peft_type", &type, e);
    if (!e->code && strcmp(type, "LORA"))
        tn_json_refuse(tn_json_find(json, "peft_type"), "\"LORA\"", e);
    tn_json_get_string(json, "bias", &bias, e);
    if (!e->code && strcmp(bias, "none"))
        tn_json_refuse(tn_json_find(json, "bias"), "\"none\"", e);
    const tn_json *start = tn_json_find(json, "init_lora_weights");
    for (size_t i = 0; start && start->kind == TN_STRING && i < sizeof bases / sizeof *bases; i++)
        if (!strncmp(start->text, bases[i], strlen(bases[i])))
            tn_json_refuse(start,
                           "true: the base weights that belong to this start were changed with it",
                           e);
}

static int read_config(config *c, tn_error *e)
{
    if (c->json->kind != TN_OBJECT)
        return tn_json_refuse(c->json, "an object", e);
    check_switches(c->json, e);
    c->rank = 8;
    c->alpha = 8;
    tn_json_get_int(c->json, "r", &c->rank, e);
    tn_json_get_real(c->json, "lora_alpha", &c->alpha, e);
    tn_json_get_real(c->json, "lora_dropout", &c->dropout, e);
    tn_json_get_bool(c->json, "use_rslora", &c->rslora, e);
    for (int i = 0; i < 2; i++) {
        const tn_json *pattern = tn_json_find(c->json, i ? "rank_pattern" : "alpha_pattern");
        if (!is_off(pattern) && pattern->kind != TN_OBJECT)
            tn_json_refuse(pattern, "an object", e);
    }
    if (!e->code && !(c->dropout >= 0 && c->dropout < 1))
        tn_json_refuse(tn_json_find(c->json, "lora_dropout"), "at least 0 and below 1", e);
    return e->code;
}

/* alpha of a layer: the value of the first key in alpha_pattern that matches. Keys are regular
   expressions; only plain names are read. */
static double read_alpha(const config *c, const char *layer, tn_error *e)
{
    const tn_json *pattern = tn_json_find(c->json, "alpha_pattern");
    if (is_off(pattern))
        return c->alpha;
    for (const tn_json *v = pattern->child; v; v = v->next) {
        double alpha;
        if (v->key[strcspn(v->key, "\\^$*+?()[]{}|")])
            tn_json_refuse(v, "a key that is the name of a layer, no regular expression", e);
        else if (!tn_json_real(v, &alpha))
            tn_json_refuse(v, "a number", e);
        else if (tn_target_matches(layer, v->key, strlen(v->key)))
            return alpha;
    }
    return c->alpha;
}

/* The target of a tensor "base_model.model.LAYER.WHAT.weight". */
static bool find_target(const tn_model *m, const char *name, const char *what, tn_target *t)
{
    char full[sizeof t->name + 64];
    for (int64_t i = 0; m->family->target(m, i, t); i++) {
        snprintf(full, sizeof full, "%s%s.%s.weight", TN_PEFT_PREFIX, t->name, what);
        if (!t->columns && !strcmp(full, name))
            return true;
    }
    return false;
}

/* Checks that every tensor is a factor of a layer, and that both factors are there. Returns the
   number of layers. */
static int64_t check_tensors(const tn_model *m, const tn_safetensors *file, tn_error *e)
{
    int64_t factors[2] = { 0 };
    tn_target t;
    for (int64_t i = 0; i < tn_safetensors_count(file) && !e->code; i++) {
        const tn_entry *entry = tn_safetensors_at(file, i);
        bool is_a = find_target(m, entry->name, "lora_A", &t);
        if (!is_a && !find_target(m, entry->name, "lora_B", &t)) {
            tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" has no place in this model",
                    tn_safetensors_path(file), entry->name);
            break;
        }
        char other[sizeof t.name + 64];
        snprintf(other, sizeof other, "%s%s.%s.weight", TN_PEFT_PREFIX, t.name,
                 is_a ? "lora_B" : "lora_A");
        if (!tn_safetensors_find(file, other))
            tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" is there without \"%s\"",
                    tn_safetensors_path(file), entry->name, other);
        factors[is_a]++;
    }
    if (!e->code && !factors[1])
        tn_fail(e, TN_EFORMAT, "%s: no tensor; expected lora_A and lora_B",
                tn_safetensors_path(file));
    return factors[1];
}

/* The rank of a layer is that of its lora_A. Without rank_pattern it must be r. */
static int64_t read_rank(const config *c, const tn_safetensors *file, const tn_entry *a,
                         tn_error *e)
{
    int64_t rank = a->ndim ? a->dim[0] : 0;
    bool fits = !is_off(tn_json_find(c->json, "rank_pattern")) || rank == c->rank;
    if (!fits || rank < 1)
        tn_fail(e, TN_ESHAPE,
                "%s: tensor \"%s\" has %lld rows; expected r of adapter_config.json, %lld",
                tn_safetensors_path(file), a->name, (long long)rank, (long long)c->rank);
    return rank;
}

/* Reads the factors of one layer, if the file has them. */
static void read_layer(tn_model *m, const config *c, const tn_safetensors *file, const tn_target *t,
                       tn_error *e)
{
    char name[sizeof t->name + 64];
    snprintf(name, sizeof name, "%s%s.lora_A.weight", TN_PEFT_PREFIX, t->name);
    const tn_entry *a = tn_safetensors_find(file, name);
    snprintf(name, sizeof name, "%s%s.lora_B.weight", TN_PEFT_PREFIX, t->name);
    const tn_entry *b = tn_safetensors_find(file, name);
    if (!a || !b)
        return;
    int64_t rank = read_rank(c, file, a, e);
    double s = read_alpha(c, t->name, e) / (c->rslora ? sqrt((double)rank) : (double)rank);
    if (!e->code && !(s > 0))
        tn_fail(e, TN_EFORMAT, "%s: the scale of %s is %g; expected lora_alpha above 0",
                tn_safetensors_path(file), t->name, s);
    if (e->code || tn_weight_check(file, a, 2, (int64_t[]){ rank, t->in }, e) ||
        tn_weight_check(file, b, 2, (int64_t[]){ t->width, rank }, e))
        return;
    tn_adapter *adapter = tn_lora_put(m, t, rank, s, c->dropout, e);
    if (adapter && !tn_weight_read(file, a, adapter->a, e))
        tn_weight_read(file, b, adapter->b, e);
}

static void read_layers(tn_model *m, const config *c, const tn_safetensors *file, tn_error *e)
{
    int64_t count = check_tensors(m, file, e);
    tn_lora_options o = {
        .rank = c->rank, .alpha = c->alpha, .dropout = c->dropout, .targets = ""
    };
    int64_t before = e->code ? e->code : tn_lora_begin(m, count, &o, e);
    if (before < 0)
        return;
    tn_target t;
    for (int64_t i = 0; !e->code && m->family->target(m, i, &t); i++)
        if (!t.columns)
            read_layer(m, c, file, &t, e);
    if (!e->code && !tn_lora_keep_names(m, e))
        tn_adapter_note_missing(m, c->json, tn_safetensors_path(file), e);
    tn_lora_end(m, before, e);
}

static void open_files(tn_model *m, const char *folder, const char *config_path, const char *path,
                       tn_error *e)
{
    if (tn_path_is(folder, "adapter_model.safetensors", e) == TN_ABSENT &&
        tn_path_is(folder, "adapter_model.bin", e) != TN_ABSENT)
        tn_fail(e, TN_EFORMAT,
                "%s: the adapter is adapter_model.bin, a pickle, which is not read; expected "
                "adapter_model.safetensors, which loading and saving it with PEFT writes",
                folder);
    config c = { .json = tn_json_read(config_path, e) };
    tn_safetensors *file = c.json && !read_config(&c, e) ? tn_safetensors_open(path, e) : NULL;
    if (file)
        read_layers(m, &c, file, e);
    tn_safetensors_close(file);
    tn_json_free(c.json);
}

static int refuse_no_folder(const char *folder, tn_error *e)
{
    const tn_presence is = tn_path_is(folder, NULL, e);
    if (is == TN_ABSENT || is == TN_FILE)
        tn_fail(e, TN_EIO, "%s: %s; expected an adapter folder", folder,
                strerror(is == TN_ABSENT ? ENOENT : ENOTDIR));
    return e->code;
}

bool tn_adapter_is_checkpoint(const char *folder, tn_error *e)
{
    return tn_path_is(folder, "adapter_config.json", e) == TN_ABSENT &&
           tn_path_is(folder, "trainer_state.json", e) == TN_FILE;
}

int tn_adapter_open(tn_model *m, const char *folder, tn_error *e)
{
    const int missing = tn_given(e, m && folder, __func__);
    if (missing)
        return missing;
    if (tn_model_refuse_sketch(m, e))
        return e->code;
    if (m->adapters)
        return tn_fail(e, TN_ESTATE, "the model has adapters already; merge them first");
    free(m->note);
    m->note = NULL;
    if (!refuse_no_folder(folder, e) && tn_adapter_is_checkpoint(folder, e))
        return tn_adapter_open_checkpoint(m, folder, e);
    char *config_path = tn_path_newest(folder, "adapter_config.json");
    char *path = tn_path_newest(folder, "adapter_model.safetensors");
    if (!config_path || !path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    else if (!e->code)
        open_files(m, folder, config_path, path, e);
    free(config_path);
    free(path);
    return e->code;
}
