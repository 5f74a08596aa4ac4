/* adapter_missing.c - finds layers that an adapter's config names and its file lacks.
   PEFT leaves them as they are in the base, and warns. Source: huggingface/peft,
   tuners/tuners_utils.py (check_target_module_exists) and peft_model.py (load_adapter). */
#include "nn/model.h"

#include <stdlib.h>
#include <string.h>

/* Does the name of a layer end with a string of the list, by the rule of target_modules? */
static bool is_listed(const tn_json *list, const char *layer)
{
    for (const tn_json *v = list ? list->child : NULL; v; v = v->next)
        if (v->kind == TN_STRING && tn_target_matches(layer, v->text, v->length))
            return true;
    return false;
}

/* The last number of a path: 7 for "transformer.h.7.attn". -1: there is no number. */
static int64_t block_of(const char *layer)
{
    int64_t block = -1;
    for (const char *s = strchr(layer, '.'); s; s = strchr(s + 1, '.')) {
        char *end;
        const long long n = strtoll(s + 1, &end, 10);
        if (s[1] >= '0' && s[1] <= '9' && *end == '.')
            block = n;
    }
    return block;
}

/* layers_to_transform is a block's number or a list of numbers. Null or empty: all blocks. */
static bool is_in_blocks(const tn_json *blocks, const char *layer)
{
    int64_t n;
    if (!blocks || blocks->kind == TN_NULL || (blocks->kind == TN_ARRAY && !blocks->count))
        return true;
    if (tn_json_int(blocks, &n))
        return n == block_of(layer);
    for (const tn_json *v = blocks->child; v; v = v->next)
        if (tn_json_int(v, &n) && n == block_of(layer))
            return true;
    return false;
}

/* Is it a regular expression of Python? These are not read, so the layers they name are unknown. */
static bool is_regex(const tn_json *v)
{
    return v && v->kind == TN_STRING && strcmp(v->text, "all-linear");
}

static bool is_named(const tn_model *m, const tn_json *config, const tn_target *t)
{
    const tn_json *names = tn_json_find(config, "target_modules");
    if (t->columns || is_listed(tn_json_find(config, "exclude_modules"), t->name) ||
        !is_in_blocks(tn_json_find(config, "layers_to_transform"), t->name))
        return false;
    if (!names || names->kind == TN_NULL)
        return tn_target_is_wanted(t, m->family->lora_targets);
    return names->kind == TN_STRING || is_listed(names, t->name);
}

int tn_adapter_note_missing(tn_model *m, const tn_json *config, const char *path, tn_error *e)
{
    int64_t named = 0, missing = 0;
    tn_target t, first = { 0 };
    tn_text note = { 0 };
    if (e->code || is_regex(tn_json_find(config, "target_modules")) ||
        is_regex(tn_json_find(config, "exclude_modules")))
        return e->code;
    for (int64_t i = 0; m->family->target(m, i, &t); i++) {
        if (!is_named(m, config, &t))
            continue;
        named++;
        if (t.layer->lora)
            continue;
        first = missing++ ? first : t;
    }
    if (!missing)
        return 0;
    tn_text_add(&note,
                "%s: %lld of %lld layers that target_modules names are missing, the first "
                "is %s; they stay as the base has them",
                path, (long long)missing, (long long)named, first.name);
    if (!tn_text_done(&note, path, e))
        tn_text_free(&note);
    m->note = note.s;
    return e->code;
}
