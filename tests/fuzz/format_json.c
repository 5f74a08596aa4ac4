/* format_json.c - any JSON document: it is read, visited, written and read again. */
#include "tests/fuzz/formats.h"

#include "data/data.h"

#include <stdlib.h>
#include <string.h>

#define TEXT                                                                                       \
    "{'a': [1, -2.5, 3e2, 0], 'b': {'c': 'd\\n\\u00e9', 'e': true},\n"                             \
    " 'f': null, 'g': false, 'h': 'caf\xc3\xa9'}\n"

#define OPEN_16 "[[[[[[[[[[[[[[[["
#define OPEN_64 OPEN_16 OPEN_16 OPEN_16 OPEN_16
#define CLOSE_16 "]]]]]]]]]]]]]]]]"
#define CLOSE_64 CLOSE_16 CLOSE_16 CLOSE_16 CLOSE_16

static const row rows[] = {
    { NULL, "", ":1: found the end at column 1", false },
    { NULL, " \n", ":2: found the end at column 1", false },
    { NULL, "nul", ":1: found `n` at column 1", false },
    { NULL, "1 2", ":1: found `2` at column 3", false },
    { NULL, "{'a':1}}", ":1: found `}` at column 8", false },
    { NULL, "[1,]", ":1: found `]` at column 4", false },
    { NULL, "[,1]", ":1: found `,` at column 2", false },
    { NULL, "{'a':1,}", ":1: found `}` at column 8", false },
    { NULL, "{,'a':1}", ":1: found `,` at column 2", false },
    { NULL, "{'a' 1}", ":1: found `1` at column 6", false },
    { NULL, "{'a':}", ":1: found `}` at column 6", false },
    { NULL, "{a:1}", ":1: found `a` at column 2", false },
    { NULL, "{`a`:1}", ":1: found ``` at column 2", false },
    { NULL, "[1", ":1: found the end at column 3", false },
    { NULL, "{'a':1", ":1: found the end at column 7", false },
    { NULL, "'open", ":1: found the end at column 6", false },
    { NULL, "'a\nb'", ":1: found byte 0x0A at column 3", false },
    { NULL, "'a\tb'", ":1: found byte 0x09 at column 3", false },
    { NULL, "'a\\x'", ":1: found `x` at column 4", false },
    { NULL, "'\\u12'", ":1: found \\u at column 2", false },
    { NULL, "'\\u12G4'", ":1: found \\u at column 2", false },
    { NULL, "'\\ud800'", ":1: found half of a surrogate pair at column 2", false },
    { NULL, "'\\udc00'", ":1: found half of a surrogate pair at column 2", false },
    { NULL, "'\\ud800\\u0041'", ":1: found half of a surrogate pair at column 2", false },
    { NULL, "01", ":1: found `1` at column 2", false },
    { NULL, "-", ":1: found the end at column 2", false },
    { NULL, "+1", ":1: found `+` at column 1", false },
    { NULL, "1.", ":1: found the end at column 3", false },
    { NULL, ".5", ":1: found `.` at column 1", false },
    { NULL, "1e", ":1: found the end at column 3", false },
    { NULL, "1e+", ":1: found the end at column 4", false },
    { NULL, "0x10", ":1: found `x` at column 2", false },
    { NULL, "NaN", ":1: found `N` at column 1", false },
    { NULL, "Infinity", ":1: found `I` at column 1", false },
    { NULL, "True", ":1: found `T` at column 1", false },
    { NULL, "tru", ":1: found `t` at column 1", false },
    { NULL, "[1 2]", ":1: found `2` at column 4", false },
    { NULL, "'\xff'", ":1: found byte 0xFF at column 2", false },
    { NULL, "'\xc3'", ":1: found byte 0xC3 at column 2", false },
    { NULL, "'\xc0\xaf'", ":1: found byte 0xC0 at column 2", false },
    { NULL, "'\xed\xa0\x80'", ":1: found byte 0xED at column 2", false },
    { NULL, "'\xf5\x80\x80\x80'", ":1: found byte 0xF5 at column 2", false },
    { NULL, "[" OPEN_64 CLOSE_64 "]", ":1: found a value nested too deeply at column 65", false },
    { "'f'", "'a'", ":2: found the key 'a' again at column 7", false },
    { "'g'", "'\\u0061'", ":2: found the key 'a' again at column 23", false },
    { "}", NULL, ":1: found the end at column 59", false },
    { "'h'", NULL, ":2: found the end at column 25", false },
    { "[1,", "[1, // no\n", ":1: found `/` at column 11", false },
    { "", "x", ":3: found `x` at column 1", false },
    { "", "{}", ":3: found `{` at column 1", false },
    { NULL, "// c\n1", ":1: found `/` at column 1", false },
    /* valid */
    { NULL, "null", NULL, false },
    { NULL, "0", NULL, false },
    { NULL, "-0", NULL, false },
    { NULL, "-0.0e-0", NULL, false },
    { NULL, "1E400", NULL, false },
    { NULL, "'\\ud83c\\udde9'", NULL, false },
    { NULL, "'\\u0000'", NULL, false },
    { NULL, "[]", NULL, false },
    { NULL, "{}", NULL, false },
    { NULL, "{'':0}", NULL, false },
    { NULL, OPEN_64 CLOSE_64, NULL, false },
    { NULL, " \t\r\n[ 1 ,\n2 ] \n", NULL, false },
    { NULL, "'\\'\\\\\\/\\b\\f\\n\\r\\t'", NULL, false },
    { NULL, "'\xf4\x8f\xbf\xbf'", NULL, false },
    { NULL, "'\x7f'", NULL, false },
    { NULL, "99999999999999999999999999", NULL, false },
    { NULL, "{'a':{'a':{'a':1}}}", NULL, false },
    { NULL, "{'a':1,'A':2}", NULL, false },
    END,
};

static void furnish(const char *folder)
{
    file_json(folder, "x.json", TEXT);
}

static void write_value(const tn_json *v, tn_text *out)
{
    if (v->kind == TN_NULL)
        tn_text_add(out, "null");
    else if (v->kind == TN_STRING)
        tn_text_quote(out, v->text, v->length);
    else if (v->kind != TN_ARRAY && v->kind != TN_OBJECT)
        tn_text_add(out, "%s", v->text);
    else
        tn_text_add(out, v->kind == TN_ARRAY ? "[" : "{");
    for (const tn_json *c = v->child; c; c = c->next) {
        if (v->kind == TN_OBJECT) {
            tn_text_quote(out, c->key, strlen(c->key));
            tn_text_add(out, ":");
        }
        write_value(c, out);
        tn_text_add(out, c->next ? "," : "");
    }
    tn_text_add(out, v->kind == TN_ARRAY ? "]" : v->kind == TN_OBJECT ? "}" : "");
}

/* True if both hold the same values in the same order. */
static bool same(const tn_json *a, const tn_json *b)
{
    if (a->kind != b->kind || a->count != b->count || a->length != b->length ||
        (a->text && memcmp(a->text, b->text, a->length)))
        return false;
    const tn_json *c = a->child, *d = b->child;
    for (; c && d; c = c->next, d = d->next)
        if ((c->key && strcmp(c->key, d->key)) || !same(c, d))
            return false;
    return !c && !d;
}

static int use(const char *folder, tn_error *e)
{
    tn_text text = { 0 };
    char *path = path_in(folder, "x.json");
    const tn_json *root = tn_json_read(path, e), *again = NULL;
    for (const tn_json *v = root ? root->child : NULL; v && root->kind == TN_OBJECT; v = v->next) {
        tn_error wrong[4] = { 0 };
        int64_t n;
        double x;
        bool b;
        const char *s;
        if (tn_json_find(root, v->key) != v)
            abort();
        tn_json_get_int(root, v->key, &n, &wrong[0]);
        tn_json_get_real(root, v->key, &x, &wrong[1]);
        tn_json_get_bool(root, v->key, &b, &wrong[2]);
        tn_json_get_string(root, v->key, &s, &wrong[3]);
    }
    if (root) {
        write_value(root, &text);
        const char *written = tn_text_done(&text, path, e);
        again = written ? tn_json_parse(written, text.n, path, 0, e) : NULL;
        if (!again || !same(root, again))
            abort();
    }
    tn_json_free(again);
    tn_json_free(root);
    tn_text_free(&text);
    free(path);
    return e->code;
}

const format format_json = {
    .name = "json", .json = true, .file = "x.json", .furnish = furnish, .use = use, .rows = rows
};
