/* options_help.c - prints --help and values, and suggests the nearest name for an unknown one. */
#include "apps/options/options_set.h"
#include "apps/run/show.h"
#include "optim/optim.h"

#include <string.h>

enum { HELP_COLUMN = 34, COLUMNS = 100, INDENT = 18 };

/* Adds words to a line of `column` columns. Words beyond COLUMNS go to new lines, indented. */
static int wrap(tn_text *out, int column, int indent, const char *words)
{
    for (const char *s = words; *s;) {
        const int n = (int)strcspn(s, " ");
        if (column + 1 + n > COLUMNS) {
            tn_text_add(out, "\n%*s", indent, "");
            column = indent;
        }
        tn_text_add(out, " %.*s", n, s);
        column += 1 + n;
        s += n + (s[n] == ' ');
    }
    return column;
}

bool option_is_choice(const option *row)
{
    return strchr(row->value, '|') && strlen(row->value) > 14;
}

void option_says(const option *row, char letter, tn_text *out)
{
    bool shown = true;
    for (const char *s = row->help; *s; s++)
        if (*s == '{') {
            const char *text = strchr(s, ':');
            shown = memchr(s, letter, (size_t)(text - s)) != NULL;
            s = text;
        } else if (*s == '}') {
            shown = true;
        } else if (shown) {
            tn_text_bytes(out, s, 1);
        }
    if (option_is_choice(row))
        tn_text_add(out, ": %s", row->value);
    if (*row->def)
        tn_text_add(out, " [%s]", row->def);
}

bool option_is_needed(const option *row, const command *c)
{
    return word_in(row->name, strlen(row->name), c->needs, ",|/");
}

/* Adds the help of an option: short alias, name, value, help, default. */
static void option_help(const option *row, char letter, tn_text *out)
{
    char left[160], name[64], brief[8] = "   ";
    tn_text help = { 0 };
    for (const char *s = row->alias; *s; s = strchr(s, ',') ? strchr(s, ',') + 1 : "")
        if (!s[1] || s[1] == ',')
            snprintf(brief, sizeof brief, "-%c,", *s);
    const bool on = row->kind == OPTION_FLAG && *row->def;
    const int n =
        snprintf(left, sizeof left, "  %s --%s%s %s", brief, on ? "[no-]" : "",
                 option_dashed(row->name, name), option_is_choice(row) ? "NAME" : row->value);
    option_says(row, letter, &help);
    tn_text_add(out, "%-*s", HELP_COLUMN, left);
    if (help.failed)
        tn_text_join(out, &help);
    else
        wrap(out, n > HELP_COLUMN ? n : HELP_COLUMN, HELP_COLUMN, help.s);
    tn_text_add(out, "\n");
    tn_text_free(&help);
}

/* ---- the settings of the optimizers ---- */

static void add_settings(tn_text *out)
{
    tn_text_add(out, "\nsettings of the optimizers, NAME=DEFAULT (--opt; lr: --learning-rate)\n");
    for (int i = 0; tn_optims[i]; i++) {
        const tn_optim_def *d = tn_optims[i];
        char text[400];
        const int name = 2 + (int)strlen(d->name);
        int column = name > INDENT ? name : INDENT;
        tn_text_add(out, "  %-*s", INDENT - 2, d->name);
        for (int k = 0; k < TN_MAX_HYPER && d->hyper[k].name; k++) {
            const bool last = k + 1 == TN_MAX_HYPER || !d->hyper[k + 1].name;
            const tn_hyper *h = &d->hyper[k];
            snprintf(text, sizeof text, "%s=%g%s%s%s%s", h->name, h->value, k ? " (" : "",
                     k ? h->help : "", k ? ")" : "", last ? "" : ",");
            column = wrap(out, column, INDENT, text);
        }
        tn_text_add(out, "\n");
    }
}

/* ---- the help of a command ---- */

void options_help(const command *c, tn_text *out)
{
    tn_text_add(out, "tenon %s%s%s [options] - %s\n", c->name, *c->arguments ? " " : "",
                c->arguments, c->help);
    for (int needed = 1; needed >= 0; needed--)
        for (int i = 0; i < OPTIONS; i++) {
            const option *row = &options_table[i];
            if (strchr(row->commands, c->letter) && option_is_needed(row, c) == (needed == 1))
                option_help(row, c->letter, out);
        }
    tn_text_add(out,
                "Defaults are in [brackets]. --name=value works, too; 8k is 8000, 1M 1000000.\n");
    if (strchr(options_table[OPT_opt].commands, c->letter))
        tn_text_add(out, "`tenon optimizers NAME` lists what --opt sets, with defaults.\n");
    if (strchr(options_table[OPT_optimizer].commands, c->letter))
        add_settings(out);
}

void options_value(const options *o, int i, tn_text *out)
{
    const option *row = &options_table[i];
    const void *field = (const char *)o + row->offset;
    const double real = row->kind == OPTION_REAL ? *(const double *)field : 0;
    char number[SHOWN];
    if (row->kind == OPTION_TEXT && *(const char *const *)field)
        tn_text_add(out, "%s", *(const char *const *)field);
    else if (row->kind == OPTION_COUNT && (o->given[i] || *row->def))
        tn_text_add(out, "%lld", (long long)*(const int64_t *)field);
    else if (row->kind == OPTION_REAL && real != NOT_SET)
        tn_text_add(out, "%s", show_real(real, number));
    else if (row->kind == OPTION_FLAG)
        tn_text_add(out, "%s", *(const bool *)field ? "true" : "false");
}

int unknown_name(const char *what, const char *word, const char *const *names, int n,
                 const char *place, tn_error *e)
{
    const char *near = tn_nearest(word, names, n);
    return tn_fail(e, APP_USAGE, "%s \"%.60s\": unknown; %s %s%s", what, word,
                   near ? "did you mean" : "see", near ? near : place, near ? "?" : "");
}
