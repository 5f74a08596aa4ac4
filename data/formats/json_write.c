/* json_write.c - writes a JSON value as text again, in lines with two spaces for each level. */
#include "data/data.h"

#include <string.h>

static void write_value(tn_text *out, const tn_json *v, int level);

static void write_members(tn_text *out, const tn_json *v, int level)
{
    const bool object = v->kind == TN_OBJECT;
    tn_text_add(out, object ? "{" : "[");
    for (const tn_json *m = v->child; m; m = m->next) {
        tn_text_add(out, "%s\n%*s", m == v->child ? "" : ",", 2 * (level + 1), "");
        if (object) {
            tn_text_quote(out, m->key, strlen(m->key));
            tn_text_add(out, ": ");
        }
        write_value(out, m, level + 1);
    }
    if (v->child)
        tn_text_add(out, "\n%*s", 2 * level, "");
    tn_text_add(out, object ? "}" : "]");
}

static void write_value(tn_text *out, const tn_json *v, int level)
{
    switch (v->kind) {
    case TN_NULL: tn_text_add(out, "null"); break;
    case TN_STRING: tn_text_quote(out, v->text, v->length); break;
    case TN_ARRAY:
    case TN_OBJECT: write_members(out, v, level); break;
    default: tn_text_bytes(out, v->text, v->length);
    }
}

void tn_text_json(tn_text *out, const tn_json *v, int level)
{
    if (out && v)
        write_value(out, v, level);
}
