/* config_kept.c - what is read and saved keeps the keys of its config that we do not know. */
#include "nn/folders/config_kept.h"
#include "nn/model.h"

#include <stdlib.h>
#include <string.h>

/* These describe the files that were read, not the model, or are what we write under other names. */
static const char *const left_out[] = { "torch_dtype",   "dtype",      "rope_parameters",
                                        "rope_scaling",  "rope_theta", "text_config",
                                        "_name_or_path", NULL };

static bool is_listed(const char *const *keys, const char *key)
{
    for (; *keys; keys++)
        if (!strcmp(*keys, key))
            return true;
    return false;
}

void tn_config_add_keys(tn_text *text, const tn_json *theirs, const char *const *but, tn_error *e)
{
    tn_text all = { 0 };
    size_t n = text->n;
    const tn_json *ours =
        e->code || text->failed ? NULL : tn_json_parse(text->s, n, "a config", 0, e);
    if (!ours)
        return;
    while (n && text->s[n - 1] != '}')
        n--;
    while (n && strchr("} \n", text->s[n - 1]))
        n--;
    tn_text_bytes(&all, text->s, n);
    for (const tn_json *v = theirs->child; v; v = v->next) {
        if (tn_json_find(ours, v->key) || is_listed(but, v->key))
            continue;
        tn_text_add(&all, ",\n  ");
        tn_text_quote(&all, v->key, strlen(v->key));
        tn_text_add(&all, ": ");
        tn_text_json(&all, v, 1);
    }
    tn_text_add(&all, "\n}\n");
    tn_json_free(ours);
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
    if (!path || gone.code == TN_ENOMEM)
        tn_fail(e, TN_ENOMEM, "%s: out of memory for its config", m->source);
    if (theirs && theirs->kind == TN_OBJECT)
        tn_config_add_keys(ours, tn_config_text(theirs), left_out, e);
    tn_json_free(theirs);
    free(path);
}
