/* options.c - reads the command line; options_file.c reads config files. */
#include "apps/options/options.h"
#include "apps/options/options_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) offsetof(options, name)

const option options_table[OPTIONS] = {
#define TEXT(name, alias, value, def, commands, class, help)                                       \
    { #name, alias, value, def, OPTION_TEXT, 0, 0, commands, class, help, FIELD(name) },
#define COUNT(name, alias, value, def, lo, hi, commands, class, help)                              \
    { #name, alias, value, def, OPTION_COUNT, lo, hi, commands, class, help, FIELD(name) },
#define REAL(name, alias, value, def, lo, hi, commands, class, help)                               \
    { #name, alias, value, def, OPTION_REAL, lo, hi, commands, class, help, FIELD(name) },
#define FLAG(name, alias, def, commands, class, help)                                              \
    { #name, alias, "", (def) ? "on" : "", OPTION_FLAG, 0, 0, commands, class, help, FIELD(name) },
#define LIST(name, alias, value, commands, class, help)                                            \
    { #name, alias, value, "", OPTION_LIST, 0, 0, commands, class, help, FIELD(name) },
#include "apps/options/options.def"
#undef TEXT
#undef COUNT
#undef REAL
#undef FLAG
#undef LIST
};

char *option_dashed(const char *name, char *out)
{
    size_t n = 0;
    for (; name[n] && n < 63; n++)
        out[n] = name[n] == '_' ? '-' : name[n];
    out[n] = 0;
    return out;
}

/* Are the first n bytes of a the name b? Dashes and underscores count as equal. */
static bool same_name(const char *a, size_t n, const char *b, size_t length)
{
    if (n != length)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char x = a[i] == '-' ? '_' : a[i], y = b[i] == '-' ? '_' : b[i];
        if (x != y)
            return false;
    }
    return true;
}

bool word_in(const char *word, size_t n, const char *list, const char *separators)
{
    while (*list) {
        const size_t length = strcspn(list, separators);
        if (same_name(word, n, list, length))
            return true;
        list += length + (list[length] != 0);
    }
    return false;
}

int option_find(const char *name, size_t n, char letter)
{
    for (int i = 0; i < OPTIONS; i++) {
        const option *row = &options_table[i];
        if (strchr(row->commands, letter) &&
            (same_name(name, n, row->name, strlen(row->name)) || word_in(name, n, row->alias, ",")))
            return i;
    }
    return -1;
}

static bool is_time(const option *row)
{
    return !strcmp(row->value, "TIME");
}

static bool read_flag(const char *text, bool *out)
{
    *out = word_in(text, strlen(text), "true,yes,on,1", ",");
    return *out || word_in(text, strlen(text), "false,no,off,0", ",");
}

/* Sets the error "expected ..." for row i. `where` is "FILE:LINE: --" or "--". */
static int refuse(int i, const char *text, const char *where, tn_error *e)
{
    const option *row = &options_table[i];
    const int code = strcmp(where, "--") ? TN_EFORMAT : APP_USAGE;
    char name[64];
    option_dashed(row->name, name);
    if (row->kind == OPTION_TEXT || row->kind == OPTION_LIST)
        return tn_fail(e, code, "%s%s: \"%.80s\"; expected %s", where, name, text, row->value);
    if (row->kind == OPTION_FLAG)
        return tn_fail(e, code, "%s%s: \"%.80s\"; expected true or false", where, name, text);
    if (is_time(row))
        return tn_fail(e, code, "%s%s: \"%.80s\"; expected a time, such as 90s, 15m or 1h30m",
                       where, name, text);
    return tn_fail(e, code, "%s%s: \"%.80s\"; expected a %snumber from %.7g to %.7g", where, name,
                   text, row->kind == OPTION_COUNT ? "whole " : "", row->lo, row->hi);
}

static int set_list(options *o, int i, const char *text, const char *where, tn_error *e)
{
    const char **list = (const char **)((char *)o + options_table[i].offset);
    const int code = strcmp(where, "--") ? TN_EFORMAT : APP_USAGE;
    const size_t length = strcspn(text, "=");
    for (int n = 0; n < MAX_LIST; n++) {
        if (!list[n]) {
            list[n] = text;
            return 0;
        }
        if (i == OPT_opt && length && !strncmp(list[n], text, length) && text[length] &&
            list[n][length] == '=' &&
            strncmp(text, "preset=", 7)) /* of two values a user could mean either */
            return tn_fail(e, code, "%sopt %.80s: beside %.80s; expected one value of it", where,
                           text, list[n]);
    }
    return tn_fail(e, code, "%s%s: given more than %d times", where, options_table[i].name,
                   MAX_LIST);
}

/* Takes one of the words of row i in the spelling of its list: "q8-0" is "q8_0". */
static bool choose(options *o, int i, const char *text)
{
    const size_t n = strlen(text);
    for (const char *word = options_table[i].value; *word; word += *word == '|') {
        const size_t length = strcspn(word, "|");
        if (same_name(text, n, word, length) && length < sizeof o->chosen[i]) {
            memcpy(o->chosen[i], word, length);
            o->chosen[i][length] = 0;
            *(const char **)((char *)o + options_table[i].offset) = o->chosen[i];
            return true;
        }
        word += length;
    }
    return false;
}

int option_set(options *o, int i, const char *text, const char *where, tn_error *e)
{
    const option *row = &options_table[i];
    void *field = (char *)o + row->offset;
    bool fits = true;
    switch (row->kind) {
    case OPTION_TEXT:
        *(const char **)field = text;
        fits = *text && (row->value[0] < 'a' || choose(o, i, text));
        break;
    case OPTION_COUNT:
        fits = read_count(text, (int64_t *)field) && *(int64_t *)field >= (int64_t)row->lo &&
               *(int64_t *)field <= (int64_t)row->hi; /* as doubles 9e18 and 9e18 + 1 are equal */
        break;
    case OPTION_REAL:
        fits = (is_time(row) ? read_time : read_real)(text, (double *)field) &&
               *(double *)field >= row->lo && *(double *)field <= row->hi;
        break;
    case OPTION_FLAG: fits = read_flag(text, (bool *)field); break;
    case OPTION_LIST:
        fits = *text || i != OPT_data;
        if (fits && set_list(o, i, text, where, e))
            return e->code;
        break;
    }
    if (!fits)
        return refuse(i, text, where, e);
    o->given[i] = true;
    return 0;
}

/* Gives every field its default, or the value for "not set". */
static void set_defaults(options *o)
{
    tn_error none = { 0 };
    *o = (options){ 0 };
    for (int i = 0; i < OPTIONS; i++) {
        const option *row = &options_table[i];
        void *field = (char *)o + row->offset;
        if (*row->def)
            option_set(o, i, row->def, "--", &none);
        else if (row->kind == OPTION_COUNT)
            *(int64_t *)field = NOT_SET;
        else if (row->kind == OPTION_REAL)
            *(double *)field = NOT_SET;
        o->given[i] = false;
    }
}

/* Is `word` the first words of a name, as "adapter" is of "adapter_path"? */
static bool begins(const char *name, const char *word)
{
    return strlen(name) > strlen(word) && same_name(name, strlen(word), word, strlen(word)) &&
           name[strlen(word)] == '_';
}

/* The option of a command that was meant: its name, or else an alias, is near, or it is the only
   one that begins with the word. NULL: none is. */
static const char *nearest_option(const char *word, const command *c)
{
    char near[64] = "", name[64];
    const char *found = NULL, *longer = NULL;
    int begun = 0;
    for (int i = 0; i < 2 * OPTIONS; i++) {
        const option *row = &options_table[i % OPTIONS];
        if (!strchr(row->commands, c->letter))
            continue;
        for (const char *s = i < OPTIONS ? row->name : row->alias; *s; s += *s == ',') {
            const size_t length = strcspn(s, ",");
            snprintf(name, sizeof name, "%.*s", (int)length, s);
            if (tn_nearest(word, (const char *const[]){ found ? near : NULL, name }, 2) == name) {
                memcpy(near, name, sizeof near);
                found = row->name;
            }
            s += length;
        }
        if (i < OPTIONS && begins(row->name, word)) {
            begun++;
            longer = row->name;
        }
    }
    return found ? found : begun == 1 ? longer : NULL;
}

int option_unknown(const char *name, size_t n, const command *c, const char *where, tn_error *e)
{
    const int code = strcmp(where, "--") ? TN_EFORMAT : APP_USAGE;
    char word[64], near[64], here[80] = "";
    const word_meaning m = word_find(name, n, c->letter);
    const char *own = m.option ? m.option : name;
    const size_t length = m.option ? strlen(own) : n;
    snprintf(word, sizeof word, "%.*s", n > 60 ? 60 : (int)n, name);
    if (m.option)
        snprintf(here, sizeof here, ", here --%s,", m.option);
    if (m.says)
        return tn_fail(e, code, "%s%s: %s", where, word, m.says);
    for (const command *other = commands; other->name; other++)
        if (option_find(own, length, other->letter) >= 0)
            return tn_fail(e, code, "%s%s%s is an option of %s, not of %s", where, word, here,
                           other->name, c->name);
    const char *nearest = nearest_option(word, c);
    if (nearest)
        return tn_fail(e, code, "%s%s: unknown option; did you mean --%s?", where, word,
                       option_dashed(nearest, near));
    return tn_fail(e, code, "%s%s: unknown option; see tenon %s --help", where, word, c->name);
}

/* The row of a name, an alias, or a word of another program. -1: none; *done: such a word, and
   there is nothing to do. */
static int find_any(const char *name, size_t n, char letter, bool *done)
{
    const int i = option_find(name, n, letter);
    const word_meaning m = i < 0 ? word_find(name, n, letter) : (word_meaning){ 0 };
    *done = m.known && !m.option && !m.says;
    return m.option ? option_find(m.option, strlen(m.option), letter) : i;
}

/* May row i be given only once? For such rows a user could mean both values. For other rows the
   last value counts. */
static bool is_once(int i)
{
    return i == OPT_task || i == OPT_adapter_path || i == OPT_config || i == OPT_optimizers ||
           i == OPT_target_modules || i == OPT_lr_grid;
}

/* Reads --no-NAME as NAME=false. Returns its row, -1 if there is none. */
static int find_negated(const char *name, size_t n, char letter, tn_error *e)
{
    bool done;
    if (n <= 3 || strncmp(name, "no", 2) || (name[2] != '-' && name[2] != '_'))
        return -1;
    const int i = find_any(name + 3, n - 3, letter, &done);
    if (i >= 0 && options_table[i].kind != OPTION_FLAG)
        tn_fail(e, APP_USAGE, "--%s: only switches can be negated", name);
    return i;
}

/* Reads one option at argv[k]. Returns how many words it took, or sets e. */
static int parse_option(options *o, const command *c, int k, tn_error *e)
{
    const char *name = o->argv[k] + 1 + (o->argv[k][1] == '-');
    const char *equals = strchr(name, '=');
    const size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const char *value = equals ? equals + 1 : NULL;
    const char *next = k + 1 < o->argc ? o->argv[k + 1] : NULL;
    const bool truth = /* scripts for Transformers write --do_train True */
        !value && !c->most && next && word_in(next, strlen(next), "True,true,False,false", ",");
    char dashed[64];
    bool done;
    int i = find_any(name, n, c->letter, &done);
    if (done)
        return 1 + truth;
    if (i < 0 && !equals && (i = find_negated(name, n, c->letter, e)) >= 0)
        value = "false";
    if (i < 0)
        return option_unknown(name, n, c, "--", e);
    const bool flag = options_table[i].kind == OPTION_FLAG;
    const int words = value || (flag && !truth) ? 1 : 2;
    if (!value && flag)
        value = !truth || strchr("tT", *next) ? "true" : "false";
    if (!value && !next)
        return tn_fail(e, APP_USAGE, "--%.60s: a value is missing; expected %s", name,
                       options_table[i].value);
    if (o->given[i] && is_once(i))
        return tn_fail(e, APP_USAGE, "--%s: given twice; expected one",
                       option_dashed(options_table[i].name, dashed));
    bool on;
    if (flag && o->given[i] && read_flag(value, &on) &&
        on != *(const bool *)((const char *)o + options_table[i].offset))
        return tn_fail(e, APP_USAGE, "--%s and --no-%s: use only one",
                       option_dashed(options_table[i].name, dashed), dashed);
    if (!e->code)
        option_set(o, i, value ? value : next, "--", e);
    return words;
}

int options_parse(options *o, const command *c, int argc, char **argv, tn_error *e)
{
    set_defaults(o);
    o->argc = argc;
    o->argv = argv;
    for (int k = 2; k < argc && !e->code;) {
        if (!strcmp(argv[k], "--help") || !strcmp(argv[k], "-h"))
            return APP_HELP;
        if (!strcmp(argv[k], "--help-all"))
            return APP_HELP_ALL;
        if (argv[k][0] == '-' && argv[k][1]) {
            k += parse_option(o, c, k, e);
        } else if (o->arguments < c->most) {
            o->argument[o->arguments++] = argv[k++];
        } else {
            tn_fail(e, APP_USAGE, "\"%.80s\": expected an option; see tenon %s --help", argv[k],
                    c->name);
        }
    }
    if (!e->code && o->config)
        options_read(o, c, e);
    return e->code;
}

void options_free(options *o)
{
    free(o->file);
    o->file = NULL;
    for (int i = 0; i < 3; i++) {
        free(o->followed[i]);
        o->followed[i] = NULL;
    }
}
