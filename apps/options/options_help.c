/* options_help.c - prints --help and values, and suggests the nearest name for an unknown one. */
#include "apps/options/options_set.h"
#include "apps/report/columns.h"
#include "apps/report/show.h"
#include "optim/optim.h"

#include <string.h>

enum {
    HELP_COLUMN = 28,
    LEFT = 18, /* of a name and its value */
    MOST = 79, /* columns; fewer on a narrower terminal */
    INDENT = 18
};

int help_wrap(tn_text *out, int column, int indent, const char *words)
{
    const int fit = (int)columns_to_fit(), columns = fit > 2 * indent && fit < MOST ? fit : MOST;
    const int room = columns - indent - 1;
    for (const char *s = words; *s;) {
        int n = (int)strcspn(s, " ");
        for (int k = room; n > room && k > 0; k--) /* a|b|c that is too long */
            if (s[k - 1] == '|')
                n = k;
        if (column + 1 + n > columns && column > indent) {
            tn_text_add(out, "\n%*s", indent, "");
            column = indent;
        }
        tn_text_add(out, "%s%.*s", column ? " " : "", n, s);
        column += (column > 0) + n;
        s += n + (s[n] == ' ');
    }
    return column;
}

static void add_line(const char *words, tn_text *out)
{
    help_wrap(out, 0, 0, words);
    tn_text_add(out, "\n");
}

bool option_is_choice(const option *row)
{
    return strchr(row->value, '|') && strlen(row->name) + strlen(row->value) > LEFT;
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
    if (*row->def && !strchr(row->help, '[')) /* the help may say more about it */
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
        help_wrap(out, n > HELP_COLUMN ? n : HELP_COLUMN, HELP_COLUMN, help.s);
    tn_text_add(out, "\n");
    tn_text_free(&help);
}

/* ---- the settings of the optimizers ---- */

static void add_settings(tn_text *out)
{
    tn_text_add(out, "\n");
    add_line("settings of the optimizers, NAME=DEFAULT (--opt; lr: --learning-rate)", out);
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
            column = help_wrap(out, column, INDENT, text);
        }
        tn_text_add(out, "\n");
    }
}

/* ---- the help of a command ---- */

/* The titles of the rows: a title stands before the first row below it, the rows are NULL. */
static const char *const titles[] = {
#define GROUP(title) title,
#define TEXT(name, alias, value, def, commands, class, help) NULL,
#define COUNT(name, alias, value, def, lo, hi, commands, class, help) NULL,
#define REAL(name, alias, value, def, lo, hi, commands, class, help) NULL,
#define FLAG(name, alias, def, commands, class, help) NULL,
#define LIST(name, alias, value, commands, class, help) NULL,
#include "apps/options/options.def"
#undef TEXT
#undef COUNT
#undef REAL
#undef FLAG
#undef LIST
};

const char *option_title(int i)
{
    const char *title = "";
    for (size_t k = 0; i >= 0 && k < sizeof titles / sizeof *titles; k++)
        if (titles[k])
            title = titles[k];
        else
            i--;
    return title;
}

/* Is row i in the short help of a command that has marked options? */
static bool is_marked(int i, char letter)
{
    const char *mark = strchr(options_table[i].commands, letter);
    return mark && mark[1] == '!';
}

/* "usage: tenon train --model PATH --data PATH [options]": of needs "a|b" and "a/b" the first. */
static void add_usage(const command *c, tn_text *out)
{
    char name[64], words[80];
    tn_text_add(out, "usage: tenon %s", c->name);
    int column = 13 + (int)strlen(c->name);
    for (const char *s = c->needs; *s; s += s[strcspn(s, ",")] ? strcspn(s, ",") + 1 : strlen(s)) {
        const option *row = &options_table[option_find(s, strcspn(s, ",|/"), c->letter)];
        snprintf(words, sizeof words, "--%s %s", option_dashed(row->name, name), row->value);
        column = help_wrap(out, column, 8, words);
    }
    if (*c->arguments)
        column = help_wrap(out, column, 8, c->arguments);
    help_wrap(out, column, 8, "[options]");
    tn_text_add(out, "\n");
}

/* The options that are not needed, under their titles. Returns how many are left out. */
static int add_options(const command *c, bool all, tn_text *out)
{
    const char *title = "";
    int left = 0;
    bool marks = false;
    for (int i = 0; i < OPTIONS; i++)
        marks = marks || is_marked(i, c->letter);
    for (int i = 0; i < OPTIONS; i++) {
        const option *row = &options_table[i];
        if (!strchr(row->commands, c->letter) || option_is_needed(row, c))
            continue;
        if (!all && marks && !is_marked(i, c->letter)) {
            left++;
            continue;
        }
        if (strcmp(title, option_title(i)))
            tn_text_add(out, "%s:\n", option_title(i));
        title = option_title(i);
        option_help(row, c->letter, out);
    }
    return left;
}

void options_help(const command *c, bool all, tn_text *out)
{
    char text[160];
    snprintf(text, sizeof text, "%s - %s", c->name, c->help);
    tn_text_add(out, "tenon");
    help_wrap(out, 5, 5, text);
    tn_text_add(out, "\n");
    add_usage(c, out);
    for (int i = 0; i < OPTIONS; i++)
        if (strchr(options_table[i].commands, c->letter) && option_is_needed(&options_table[i], c))
            option_help(&options_table[i], c->letter, out);
    const int left = add_options(c, all, out);
    add_line("Defaults are in [brackets]. --name=value works, too; 8k is 8000.", out);
    snprintf(text, sizeof text, "tenon %s --help-all lists %d more options.", c->name, left);
    if (left)
        add_line(text, out);
    if (strchr(options_table[OPT_opt].commands, c->letter))
        add_line("`tenon optimizers NAME` lists what --opt sets, with defaults.", out);
    if (all && strchr(options_table[OPT_optimizer].commands, c->letter))
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
