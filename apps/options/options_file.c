/* options_file.c - config files: lines `name = value` or `name: value`, # comments. */
#include "apps/options/options_set.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIG_MOST = 1 << 20 };

/* Cuts comment, blanks and a pair of quotes off a line or value, in place. */
static char *trimmed(char *s)
{
    s += strspn(s, " \t\r");
    size_t n = strlen(s);
    while (n && strchr(" \t\r", s[n - 1]))
        n--;
    s[n] = 0;
    if (n > 1 && (*s == '"' || *s == '\'') && s[n - 1] == *s) {
        s[n - 1] = 0;
        s++;
    }
    return s;
}

/* A # at the start or behind a blank begins a comment, except in a quoted value. */
static void cut_comment(char *line)
{
    char quote = 0;
    for (char *s = line; *s; s++) {
        const bool begins = !quote && s > line && strchr(" \t=:", s[-1]);
        if (quote ? *s == quote : begins && (*s == '"' || *s == '\''))
            quote = quote ? 0 : *s;
        else if (!quote && *s == '#' && (s == line || s[-1] == ' ' || s[-1] == '\t')) {
            *s = 0;
            return;
        }
    }
}

static int read_line(options *o, const command *c, char *line, int64_t number, const bool before[],
                     tn_error *e)
{
    char where[300];
    snprintf(where, sizeof where, "%.240s:%lld: ", o->config, (long long)number);
    cut_comment(line);
    char *name = trimmed(line);
    if (!*name)
        return 0;
    char *end = strpbrk(name, "=:");
    if (!end)
        return tn_fail(e, TN_EFORMAT, "%s\"%.80s\"; expected name = value", where, name);
    *end = 0;
    name = trimmed(name);
    char *value = trimmed(end + 1);
    const int i = option_find(name, strlen(name), c->letter);
    if (i == OPT_config)
        return tn_fail(e, TN_EFORMAT, "%s%s: expected no config file inside another", where, name);
    if (i < 0)
        return option_unknown(name, strlen(name), c, where, e);
    if (before[i]) /* the command line said so */
        return 0;
    if (o->given[i] && options_table[i].kind != OPTION_LIST)
        return tn_fail(e, TN_EFORMAT, "%s%s is set a second time", where, name);
    return option_set(o, i, value, where, e);
}

int options_read(options *o, const command *c, tn_error *e)
{
    bool before[OPTIONS];
    size_t size;
    memcpy(before, o->given, sizeof before);
    before[OPT_iters] = before[OPT_epochs] = before[OPT_iters] || before[OPT_epochs]; /* one thing */
    o->file = tn_file_read(o->config, CONFIG_MOST, &size, e);
    if (!o->file)
        return e->code;
    if (strlen(o->file) != size)
        return tn_fail(e, TN_EFORMAT, "%s: a zero byte at %zu; expected text", o->config,
                       strlen(o->file));
    int64_t number = 1;
    const bool marked = !strncmp(o->file, "\xEF\xBB\xBF", 3); /* a byte order mark */
    for (char *line = o->file + (marked ? 3 : 0); line && !e->code; number++) {
        char *next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        read_line(o, c, line, number, before, e);
        line = next;
    }
    return e->code;
}
