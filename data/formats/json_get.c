/* json_get.c - finds the members of a parsed document, and reads numbers, texts and flags. */
#include "data/formats/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const tn_json *tn_json_find(const tn_json *object, const char *key)
{
    if (!object || !key || object->kind != TN_OBJECT)
        return NULL;
    for (const tn_json *m = object->child; m; m = m->next)
        if (!strcmp(m->key, key))
            return m;
    return NULL;
}

const tn_json *tn_json_at(const tn_json *array, int64_t i)
{
    if (!array || array->kind != TN_ARRAY || i < 0 || i >= array->count)
        return NULL;
    const tn_json *v = array->child;
    while (i--)
        v = v->next;
    return v;
}

bool tn_json_is_null(const tn_json *v)
{
    return !v || v->kind == TN_NULL;
}

bool tn_json_real(const tn_json *v, double *out)
{
    if (!v || !out || v->kind != TN_NUMBER)
        return false;
    char *end;
    double x = strtod(v->text, &end);
    if (*end || !isfinite(x))
        return false;
    *out = x;
    return true;
}

bool tn_json_int(const tn_json *v, int64_t *out)
{
    if (!v || !out || v->kind != TN_NUMBER)
        return false;
    char *end;
    errno = 0;
    long long i = strtoll(v->text, &end, 10);
    if (*end || errno)
        return false;
    *out = i;
    return true;
}

/* The member that a typed getter reads. NULL: it is absent or null, or there is an error in e. */
static const tn_json *wanted(const tn_json *object, const char *key, const void *value, tn_error *e)
{
    const tn_json *v = tn_given(e, key && value, "tn_json_get") ? NULL : tn_json_find(object, key);
    return v && v->kind != TN_NULL ? v : NULL;
}

void tn_json_get_int(const tn_json *object, const char *key, int64_t *value, tn_error *e)
{
    const tn_json *v = wanted(object, key, value, e);
    if (v && !tn_json_int(v, value))
        tn_json_refuse(v, v->kind == TN_NUMBER ? "an integer of 64 bits" : "an integer", e);
}

void tn_json_get_real(const tn_json *object, const char *key, double *value, tn_error *e)
{
    const tn_json *v = wanted(object, key, value, e);
    if (v && !tn_json_real(v, value))
        tn_json_refuse(v, v->kind == TN_NUMBER ? "a finite number" : "a number", e);
}

void tn_json_get_bool(const tn_json *object, const char *key, bool *value, tn_error *e)
{
    const tn_json *v = wanted(object, key, value, e);
    if (v && v->kind != TN_BOOL)
        tn_json_refuse(v, "true or false", e);
    else if (v)
        *value = v->text[0] == 't';
}

void tn_json_get_string(const tn_json *object, const char *key, const char **value, tn_error *e)
{
    const tn_json *v = wanted(object, key, value, e);
    if (v && v->kind != TN_STRING)
        tn_json_refuse(v, "a string", e);
    else if (v && strlen(v->text) != v->length)
        tn_json_refuse(v, "a string without U+0000", e);
    else if (v)
        *value = v->text;
}

/* Adds the path from the root as in RFC 6901, "/layers/3/name". It is cut to fit into an error. */
static void add_pointer(tn_text *t, const tn_json *v)
{
    const tn_json *way[TN_JSON_DEPTH + 1];
    size_t n = 0;
    for (; v->parent && n <= TN_JSON_DEPTH; v = v->parent)
        way[n++] = v;
    while (n--) {
        v = way[n];
        if (v->parent->kind == TN_ARRAY) {
            const tn_json *w = v->parent->child;
            size_t i = w ? 0 : (size_t)v->parent->count - 1; /* given to a taker: the newest */
            for (; w && w != v; w = w->next)
                i++;
            tn_text_add(t, "/%zu", i);
            continue;
        }
        tn_text_add(t, "/");
        for (const char *s = v->key; *s && t->n < sizeof((tn_error *)0)->text; s++)
            tn_text_add(t, *s == '~' ? "~0" : *s == '/' ? "~1" : "%c", *s);
    }
}

enum { SHOWN_BYTES = 40 };

/* Adds the kind of a value, and for a string also its text, cut between two characters. */
static void add_found(tn_text *t, const tn_json *v)
{
    static const char *const kinds[] = {
        [TN_NULL] = "null",          [TN_BOOL] = "a boolean", [TN_NUMBER] = "a number",
        [TN_STRING] = "the string ", [TN_ARRAY] = "an array", [TN_OBJECT] = "an object"
    };
    tn_text_add(t, "%s", kinds[v->kind]);
    if (v->kind != TN_STRING)
        return;
    size_t n = v->length < SHOWN_BYTES ? v->length : SHOWN_BYTES;
    while (n < v->length && n > 0 && ((unsigned char)v->text[n] & 0xC0) == 0x80)
        n--;
    tn_text_quote(t, v->text, n);
    if (n < v->length)
        tn_text_add(t, "...");
}

void tn_json_rename(const tn_json *root, tn_json_renamer *rename)
{
    if (root)
        ((tn_document *)root)->rename = rename;
}

static void add_named(tn_text *t, const tn_document *d, const char *text)
{
    if (d->rename)
        d->rename(&d->root, text, t);
    else
        tn_text_add(t, "%s", text);
}

/* Adds which value is wrong, and what it is. */
static void add_wrong(tn_text *t, const tn_document *d, const tn_json *v)
{
    tn_text where = { 0 };
    add_pointer(&where, v);
    const bool made = !where.n && d->rename; /* of keys: the file has no such object */
    if (made)
        tn_text_add(t, "these keys do not fit together");
    else if (where.n)
        add_named(t, d, where.s);
    else
        tn_text_add(t, where.failed ? "a value" : "the top value");
    if (!made) {
        tn_text_add(t, " is ");
        add_found(t, v);
    }
    tn_text_free(&where);
}

int tn_json_refuse(const tn_json *v, const char *expected, tn_error *e)
{
    const int missing = tn_given(e, v && expected, __func__);
    if (missing)
        return missing;
    const tn_json *root = v;
    while (root->parent)
        root = root->parent;
    const tn_document *d = (const tn_document *)root;
    char line[32] = "";
    if (d->line)
        snprintf(line, sizeof line, ":%lld", (long long)d->line);
    tn_text wrong = { 0 }, right = { 0 };
    add_wrong(&wrong, d, v);
    add_named(&right, d, expected);
    const bool failed = wrong.failed || right.failed;
    tn_fail(e, failed ? TN_ENOMEM : TN_EFORMAT, "%s%s: %s, expected %s", d->path, line,
            failed ? "a value is another" : wrong.s, failed ? expected : right.s);
    tn_text_free(&wrong);
    tn_text_free(&right);
    return e->code;
}
