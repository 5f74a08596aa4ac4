/* adapter_missing.c - finds layers that an adapter's config names and its file lacks.
   PEFT leaves them as they are in the base, and warns. Source: huggingface/peft,
   tuners/tuners_utils.py (check_target_module_exists) and peft_model.py (load_adapter). */
#include "nn/folders/adapter_config.h"
#include "nn/pattern.h"

#include <stdlib.h>
#include <string.h>

/* Does a list name the layer, by the rule of target_modules? A string is a pattern for whole
   paths. */
static bool is_listed(const tn_json *names, const char *layer)
{
    if (names && names->kind == TN_STRING)
        return tn_pattern_matches(names->text, layer, false);
    for (const tn_json *v = names ? names->child : NULL; v; v = v->next)
        if (v->kind == TN_STRING && tn_target_matches(layer, v->text, v->length))
            return true;
    return false;
}

static bool is_all_linear(const tn_json *v)
{
    return v && v->kind == TN_STRING && !strcmp(v->text, "all-linear");
}

/* Is it a pattern that we cannot read? Then the layers that it names are unknown. */
static bool is_unknown(const tn_json *v)
{
    tn_error e = { 0 };
    return v && v->kind == TN_STRING && !is_all_linear(v) &&
           tn_pattern_check(v->text, "", TN_EFORMAT, &e);
}

/* PEFT does not look at layers_to_transform if target_modules is a pattern. */
static bool is_named(const tn_model *m, const tn_json *config, const tn_target *t)
{
    const tn_json *names = tn_json_find(config, "target_modules");
    char path[TN_MODULE_PATH];
    tn_module_path(m, t->name, false, path);
    const bool pattern = names && names->kind == TN_STRING && !is_all_linear(names);
    if (t->columns || is_listed(tn_json_find(config, "exclude_modules"), path) ||
        (!pattern && !tn_adapter_in_blocks(config, path)))
        return false;
    if (!names || names->kind == TN_NULL)
        return tn_target_is_wanted(t, m->family->lora_targets);
    return is_all_linear(names) ? !t->head : is_listed(names, path);
}

int tn_adapter_note_missing(tn_model *m, const tn_json *config, const char *path, tn_error *e)
{
    int64_t named = 0, missing = 0;
    tn_target t, first = { 0 };
    tn_text note = { 0 };
    if (e->code || is_unknown(tn_json_find(config, "target_modules")) ||
        is_unknown(tn_json_find(config, "exclude_modules")))
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
