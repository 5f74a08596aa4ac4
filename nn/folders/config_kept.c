/* config_kept.c - a model that is read and saved keeps the keys of its config.json that we do not know. */
#include "nn/folders/config_kept.h"
#include "nn/model.h"

#include <stdlib.h>
#include <string.h>

/* These describe the files that were read, not the model, or are what we write under other names. */
static bool is_left_out(const char *key)
{
    static const char *const keys[] = { "torch_dtype",  "dtype",      "rope_parameters",
                                        "rope_scaling", "rope_theta", "text_config",
                                        "_name_or_path" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i]))
            return true;
    return false;
}

/* Adds a value as JSON. The parser has limited its depth. */
static void add_value(const tn_json *v, tn_text *out)
{
    const bool object = v->kind == TN_OBJECT;
    switch (v->kind) {
    case TN_NULL: tn_text_add(out, "null"); return;
    case TN_BOOL:
    case TN_NUMBER: tn_text_bytes(out, v->text, v->length); return;
    case TN_STRING: tn_text_quote(out, v->text, v->length); return;
    default: break;
    }
    tn_text_add(out, object ? "{" : "[");
    for (const tn_json *c = v->child; c; c = c->next) {
        if (object)
            tn_text_quote(out, c->key, strlen(c->key));
        tn_text_add(out, object ? ": " : "");
        add_value(c, out);
        tn_text_add(out, c->next ? ", " : "");
    }
    tn_text_add(out, object ? "}" : "]");
}

/* The text of our object without its last bracket, and the keys of `theirs` behind it. */
static void add_keys(const tn_json *ours, const tn_json *theirs, tn_text *text)
{
    size_t n = text->n;
    while (n && text->s[n - 1] != '}')
        n--;
    while (n && strchr("} \n", text->s[n - 1]))
        n--;
    tn_text all = { 0 };
    tn_text_bytes(&all, text->s, n);
    for (const tn_json *v = theirs->child; v; v = v->next) {
        if (tn_json_find(ours, v->key) || is_left_out(v->key))
            continue;
        tn_text_add(&all, ",\n  ");
        tn_text_quote(&all, v->key, strlen(v->key));
        tn_text_add(&all, ": ");
        add_value(v, &all);
    }
    tn_text_add(&all, "\n}\n");
    tn_text_free(text);
    *text = all;
}

void tn_config_keep(const tn_model *m, tn_text *ours, tn_error *e)
{
    tn_error gone = { 0 };
    if (e->code || ours->failed || !m->source ||
        tn_path_is(m->source, "config.json", &gone) != TN_FILE)
        return;
    char *path = tn_path_join(m->source, "config.json");
    const tn_json *theirs = path ? tn_json_read(path, &gone) : NULL;
    const tn_json *known = theirs ? tn_json_parse(ours->s, ours->n, path, 0, e) : NULL;
    if (!path || gone.code == TN_ENOMEM)
        tn_fail(e, TN_ENOMEM, "%s: out of memory for its config", m->source);
    if (known && theirs->kind == TN_OBJECT && known->count)
        add_keys(known, tn_config_text(theirs), ours);
    tn_json_free(known);
    tn_json_free(theirs);
    free(path);
}
