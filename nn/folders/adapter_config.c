/* adapter_config.c - reads PEFT's adapter_config.json: what LoRA is asked for, and what is refused.
   Source: huggingface/peft, tuners/lora/config.py and model.py, tuners/tuners_utils.py. */
#include "nn/folders/adapter_config.h"
#include "nn/pattern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool tn_adapter_is_off(const tn_json *v)
{
    return !v || v->kind == TN_NULL || (v->kind == TN_BOOL && v->text[0] == 'f') ||
           ((v->kind == TN_ARRAY || v->kind == TN_OBJECT) && !v->count) ||
           (v->kind == TN_STRING && !v->length);
}

/* ---- what is refused ---- */

/* Refuses a start that changes the base weights. */
static void check_start(const tn_json *start, tn_error *e)
{
    static const char *const bases[] = { "pissa", "olora", "corda", "lora_ga", "loftq" };
    for (size_t i = 0; start && start->kind == TN_STRING && i < sizeof bases / sizeof *bases; i++)
        if (!strncmp(start->text, bases[i], strlen(bases[i])))
            tn_json_refuse(start,
                           "true: the base weights that belong to this start were changed with it",
                           e);
}

/* Refuses options that change what is computed in a way that tenon does not support. */
static void check_switches(const tn_json *json, tn_error *e)
{
    static const char *const off[] = {
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
    const char *type = "LORA", *bias = "none";
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (!tn_adapter_is_off(tn_json_find(json, off[i])))
            tn_json_refuse(tn_json_find(json, off[i]),
                           "null or false: this kind of adapter is not computed", e);
    tn_json_get_string(json, "peft_type", &type, e);
    if (!e->code && strcmp(type, "LORA"))
        tn_json_refuse(tn_json_find(json, "peft_type"), "\"LORA\"", e);
    tn_json_get_string(json, "bias", &bias, e);
    if (!e->code && strcmp(bias, "none"))
        tn_json_refuse(tn_json_find(json, "bias"), "\"none\"", e);
    check_start(tn_json_find(json, "init_lora_weights"), e);
}

/* ---- what is read ---- */

/* Reads rank_pattern or alpha_pattern: an object of patterns and numbers. */
static tn_lora_pattern *read_patterns(const tn_json *object, bool ranks, tn_error *e)
{
    if (e->code || tn_adapter_is_off(object))
        return NULL;
    if (object->kind != TN_OBJECT) {
        tn_json_refuse(object, "an object", e);
        return NULL;
    }
    tn_lora_pattern *all = calloc((size_t)object->count + 1, sizeof *all);
    if (!all)
        tn_fail(e, TN_ENOMEM, "out of memory for the patterns of an adapter");
    int64_t n = 0, rank;
    for (const tn_json *v = object->child; v && !e->code; v = v->next, n++) {
        tn_error wrong = { 0 };
        all[n].layers = v->key;
        if (tn_pattern_check(v->key, "another key", TN_EFORMAT, &wrong))
            tn_json_refuse(v, wrong.text, e);
        else if (!tn_json_real(v, &all[n].value))
            tn_json_refuse(v, "a number", e);
        else if (ranks && (!tn_json_int(v, &rank) || rank < 1 || rank > 1 << 16))
            tn_json_refuse(v, "a whole number from 1 to 65536", e);
    }
    return all;
}

static void read_options(tn_adapter_config *c, tn_error *e)
{
    tn_lora_options *o = &c->o;
    const tn_json *start = tn_json_find(c->json, "init_lora_weights");
    *o = (tn_lora_options){ .rank = 8, .alpha = 8, .targets = "" };
    tn_json_get_int(c->json, "r", &o->rank, e);
    tn_json_get_real(c->json, "lora_alpha", &o->alpha, e);
    tn_json_get_real(c->json, "lora_dropout", &o->dropout, e);
    tn_json_get_bool(c->json, "use_rslora", &o->rslora, e);
    tn_json_get_bool(c->json, "use_dora", &o->dora, e);
    if (start && start->kind == TN_STRING)
        o->init = tn_lora_init_find(start->text);
    c->patterns[0] = read_patterns(tn_json_find(c->json, "rank_pattern"), true, e);
    c->patterns[1] = read_patterns(tn_json_find(c->json, "alpha_pattern"), false, e);
    o->rank_pattern = c->patterns[0];
    o->alpha_pattern = c->patterns[1];
    if (!e->code && !(o->dropout >= 0 && o->dropout < 1))
        tn_json_refuse(tn_json_find(c->json, "lora_dropout"), "at least 0 and below 1", e);
}

int tn_adapter_config_read(tn_adapter_config *c, const char *path, tn_error *e)
{
    *c = (tn_adapter_config){ .json = tn_json_read(path, e) };
    if (!c->json)
        return e->code;
    if (c->json->kind != TN_OBJECT)
        return tn_json_refuse(c->json, "an object", e);
    check_switches(c->json, e);
    read_options(c, e);
    return e->code;
}

void tn_adapter_config_free(tn_adapter_config *c)
{
    free(c->patterns[0]);
    free(c->patterns[1]);
    tn_json_free(c->json);
    *c = (tn_adapter_config){ 0 };
}

/* ---- blocks ---- */

/* Does the part of a path before its number end with a name that layers_pattern has? */
static bool is_list_of_blocks(const tn_json *patterns, const char *before)
{
    if (tn_adapter_is_off(patterns))
        return strchr(before, '.') != NULL; /* "model.layers": two names come before the number */
    if (patterns->kind == TN_STRING)
        return tn_pattern_matches(patterns->text, before, true);
    for (const tn_json *v = patterns->child; v; v = v->next)
        if (v->kind == TN_STRING && tn_pattern_matches(v->text, before, true))
            return true;
    return false;
}

/* The first number of a path that layers_pattern allows. -1: there is none. */
static int64_t block_of(const tn_json *patterns, const char *layer)
{
    for (const char *s = strchr(layer, '.'); s; s = strchr(s + 1, '.')) {
        char *end, before[sizeof(tn_target){ 0 }.name];
        const long long n = strtoll(s + 1, &end, 10);
        if (s[1] < '0' || s[1] > '9' || *end != '.' || (size_t)(s - layer) >= sizeof before)
            continue;
        memcpy(before, layer, (size_t)(s - layer));
        before[s - layer] = 0;
        if (is_list_of_blocks(patterns, before))
            return n;
    }
    return -1;
}

/* layers_to_transform is a block's number or a list of numbers. */
bool tn_adapter_in_blocks(const tn_json *config, const char *layer)
{
    const tn_json *blocks = tn_json_find(config, "layers_to_transform");
    if (tn_adapter_is_off(blocks))
        return true;
    int64_t n;
    const int64_t block = block_of(tn_json_find(config, "layers_pattern"), layer);
    if (tn_json_int(blocks, &n))
        return n == block && block >= 0;
    for (const tn_json *v = blocks->child; v; v = v->next)
        if (tn_json_int(v, &n) && n == block && block >= 0)
            return true;
    return false;
}
