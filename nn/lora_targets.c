/* lora_targets.c - the names of layers that LoRA may adapt, and which of them are wanted. */
#include "nn/model.h"
#include "nn/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A layer's name is its weight's name without ".weight". A part of its columns adds ".NAME". */
static tn_target make_target(tn_linear_layer *l, const char *columns)
{
    if (!l || !l->w || !l->name)
        return (tn_target){ 0 };
    const bool in_out = l->layout == TN_IN_OUT;
    tn_target t = { .layer = l,
                    .columns = columns != NULL,
                    .in = l->w->dim[in_out ? 0 : 1],
                    .width = l->w->dim[in_out ? 1 : 0] };
    const size_t length = strlen(l->name), end = strlen(".weight");
    const bool ends = length > end && !strcmp(l->name + length - end, ".weight");
    const int n = (int)(ends ? length - end : length);
    snprintf(t.name, sizeof t.name, "%.*s%s%s", n, l->name, columns ? "." : "",
             columns ? columns : "");
    return t;
}

tn_target tn_target_layer(tn_linear_layer *l)
{
    return make_target(l, NULL);
}

int tn_target_head(const tn_model *m, tn_target *out)
{
    if (!m || !out)
        return 0;
    *out = make_target((tn_linear_layer *)&m->output, NULL); /* as the layers of m->impl */
    out->head = true;
    return out->layer != NULL;
}

tn_target tn_target_columns(tn_linear_layer *l, const char *name, int64_t col, int64_t width)
{
    tn_target t = name ? make_target(l, name) : (tn_target){ 0 };
    t.col = t.layer ? col : 0;
    t.width = t.layer ? width : 0;
    return t;
}

bool tn_target_matches(const char *path, const char *name, size_t length)
{
    size_t n = strlen(path);
    return length && n >= length && !memcmp(path + n - length, name, length) &&
           (n == length || path[n - length - 1] == '.');
}

const char *tn_module_path(const tn_model *m, const char *layer, bool old, char out[TN_MODULE_PATH])
{
    const size_t model = strlen("model.");
    const bool inner = m->nested && !strncmp(layer, "model.", model);
    snprintf(out, TN_MODULE_PATH, "%s%s",
             !m->nested ? ""
             : old      ? "language_model."
             : inner    ? "model.language_model."
                        : "",
             layer + (inner && !old ? model : 0));
    return out;
}

/* Moves *names to the first name of the list. Returns its length without spaces around it. */
static size_t first_name(const char **names)
{
    *names += strspn(*names, " ,");
    size_t n = strcspn(*names, ",");
    while (n && (*names)[n - 1] == ' ')
        n--;
    return n;
}

static bool is_all_linear(const char *name, size_t length)
{
    return length == strlen("all-linear") && !memcmp(name, "all-linear", length);
}

bool tn_target_is_wanted(const tn_target *t, const char *names)
{
    if (tn_pattern_is_one(names))
        return !t->columns && tn_pattern_matches(names, t->name, false);
    for (size_t n; (n = first_name(&names)) > 0; names += n)
        if (is_all_linear(names, n) ? !t->columns && !t->head
                                    : tn_target_matches(t->name, names, n))
            return true;
    return false;
}

int64_t tn_target_block(const char *layer)
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

/* Is the layer in one of the last blocks? last 0: in any. */
static bool is_in_last(const tn_model *m, const tn_target *t, int64_t last)
{
    return last == 0 || tn_target_block(t->name) >= m->layers - last;
}

bool tn_lora_wants(const tn_model *m, const tn_lora_options *o, const tn_target *t)
{
    return tn_target_is_wanted(t, o->targets) && is_in_last(m, t, o->last_blocks);
}

/* Refuses a name of a list that matches no layer. */
static void check_names(const tn_model *m, const char *names, tn_error *e)
{
    tn_target t;
    for (size_t n; (n = first_name(&names)) > 0; names += n) {
        bool found = is_all_linear(names, n);
        for (int64_t i = 0; !found && m->family->target(m, i, &t); i++)
            found = tn_target_matches(t.name, names, n);
        if (!found && m->family->target(m, 0, &t))
            tn_fail(e, TN_EARG,
                    "target \"%.*s\" matches no layer; expected the end of a path "
                    "such as %s, or \"all-linear\"",
                    (int)n, names, t.name);
    }
}

int64_t tn_lora_count(const tn_model *m, const tn_lora_options *o, tn_error *e)
{
    tn_target t;
    int64_t count = 0;
    const bool pattern = tn_pattern_is_one(o->targets);
    if (pattern)
        tn_pattern_check(o->targets, "the targets", TN_EARG, e);
    else
        check_names(m, o->targets, e);
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        count += tn_lora_wants(m, o, &t);
    if (!count && pattern && m->family->target(m, 0, &t))
        tn_fail(e, TN_EARG, "the pattern \"%s\" matches no layer; expected whole paths such as %s",
                o->targets, t.name);
    if (!count)
        tn_fail(e, TN_EARG, "no layer is named as a target");
    return e->code ? 0 : count;
}

/* The shortest end of an adapted layer's path that matches adapted layers only ("c_attn"). Layers
   before the last blocks, if only these are adapted, do not count. */
static const char *short_name(const tn_model *m, const char *path)
{
    const int64_t last = m->lora->last_blocks;
    for (const char *end = path + strlen(path); end > path; end--) {
        bool only = end[-1] == '.';
        tn_target t;
        for (int64_t i = 0; only && m->family->target(m, i, &t); i++)
            only = t.layer->lora || t.columns || !is_in_last(m, &t, last) ||
                   !tn_target_matches(t.name, end, strlen(end));
        if (only)
            return end;
    }
    return path;
}

void tn_lora_names(const tn_model *m, const char *quote, tn_text *out)
{
    tn_target t;
    tn_text found = { 0 }; /* ",c_attn,mlp.c_proj," */
    tn_text_add(&found, ",");
    for (int64_t i = 0; m->family->target(m, i, &t); i++) {
        char key[sizeof t.name + 2];
        if (t.columns || !t.layer->lora)
            continue;
        snprintf(key, sizeof key, ",%s,", short_name(m, t.name));
        if (found.failed || strstr(found.s, key))
            continue;
        tn_text_add(&found, "%s", key + 1);
        tn_text_add(out, "%s%s%.*s%s", out->n ? "," : "", quote, (int)strlen(key) - 2, key + 1,
                    quote);
    }
    out->failed = out->failed || found.failed;
    tn_text_free(&found);
}

int tn_lora_keep_names(tn_model *m, tn_error *e)
{
    tn_text names = { 0 };
    tn_lora_names(m, "", &names);
    if (!tn_text_done(&names, "the adapters", e)) {
        tn_text_free(&names);
        return e->code;
    }
    free((char *)m->lora->targets);
    m->lora->targets = names.s;
    return 0;
}
