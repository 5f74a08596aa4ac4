/* config.c - reads from config.json what every model family needs. */
#include "nn/family.h"

#include <stdio.h>
#include <string.h>

int64_t tn_config_size(const tn_json *config, const char *key, int64_t otherwise, int64_t most,
                       tn_error *e)
{
    if (tn_given(e, key, __func__))
        return otherwise;
    int64_t n = otherwise;
    char expected[128];
    const tn_json *value = tn_json_find(config, key);
    tn_json_get_int(config, key, &n, e);
    if (e->code || (n >= 1 && n <= most))
        return e->code ? otherwise : n;
    snprintf(expected, sizeof expected, "%s%s from 1 to %lld, not %lld", value ? "" : "a ",
             value ? "an integer" : key, (long long)most, (long long)n);
    tn_json_refuse(value ? value : config, expected, e);
    return otherwise;
}

static bool is_there(const tn_json *v)
{
    return v && v->kind != TN_NULL;
}

const char *tn_config_spelling(const tn_json *config, const char *key, const char *other,
                               tn_error *e)
{
    if (tn_given(e, key && other, __func__))
        return key;
    const tn_json *a = tn_json_find(config, key), *b = tn_json_find(config, other);
    char expected[160];
    if (!is_there(b))
        return key;
    if (!is_there(a))
        return other;
    if (a->kind != b->kind || !a->text || !b->text || strcmp(a->text, b->text)) {
        snprintf(expected, sizeof expected,
                 "what %s says, the other name of the same: %.40s, not %.40s", key,
                 a->text ? a->text : "?", b->text ? b->text : "?");
        tn_json_refuse(b, expected, e);
    }
    return key;
}

void tn_config_require(const tn_json *config, const char *key, const char *value, tn_error *e)
{
    if (tn_given(e, key && value, __func__))
        return;
    const tn_json *v = tn_json_find(config, key);
    char expected[160];
    if (!v || v->kind == TN_NULL || (v->text && !strcmp(v->text, value)))
        return;
    bool shown = v->text && v->kind != TN_STRING; /* tn_json_refuse shows a string itself */
    snprintf(expected, sizeof expected, "%s%s%.40s", value, shown ? ", not " : "",
             shown ? v->text : "");
    tn_json_refuse(v, expected, e);
}
