/* completion_zsh.c - writes the script that completes commands and options in zsh; see manual.h. */
#include "apps/options/manual.h"
#include "apps/options/options_set.h"

#include <string.h>

/* Adds a text that is inside single quotes. Characters that end a part of a specification of
   _arguments or _describe get a backslash. */
static void add_escaped(tn_text *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            tn_text_add(out, "'\\''");
        else
            tn_text_add(out, "%s%c", strchr("[]:\\", *text) ? "\\" : "", *text);
}

/* Adds what completes a word: one of a list, a file, or nothing. */
static void add_action(tn_text *out, const tn_text *words, bool file)
{
    if (words->n)
        tn_text_add(out, "(%s)", words->s);
    else
        tn_text_add(out, file ? "_files" : " ");
}

/* Adds the names of an option with `between` between them. `sign` follows those of several letters.
   Returns how many there are. A flag that is on by default is offered as --no-NAME. */
static int add_names(tn_text *out, const option *row, const char *between, const char *sign)
{
    char name[64];
    int count = 1;
    tn_text_add(out, "--%s%s%s", row->kind == OPTION_FLAG && *row->def ? "no-" : "",
                option_dashed(row->name, name), sign);
    for (const char *s = row->alias; *s; s += s[strcspn(s, ",")] == ',') {
        const int n = (int)strcspn(s, ",");
        tn_text_add(out, "%s%s%.*s%s", between, n > 1 ? "--" : "-", n, s, n > 1 ? sign : "");
        s += n;
        count++;
    }
    return count;
}

/* Adds the specifications of an option, one for each name: '(--iters -n)'{--iters=,-n}'[...]:N: '.
   The first part keeps the option from being offered again. */
static void add_option(const command *c, int i, tn_text *out)
{
    const option *row = &options_table[i];
    const bool flag = row->kind == OPTION_FLAG;
    tn_text words = { 0 }, says = { 0 }, names = { 0 };
    completion_words(i, &words);
    option_says(row, c->letter, &says);
    const int count = add_names(&names, row, ",", flag ? "" : "=");
    tn_text_add(out, "            ");
    if (row->kind == OPTION_LIST) {
        tn_text_add(out, "'*'");
    } else if (count > 1) {
        tn_text_add(out, "'(");
        add_names(out, row, " ", "");
        tn_text_add(out, ")'");
    }
    tn_text_add(out, count > 1 ? "{%s}'[" : "%s'[", names.n ? names.s : "");
    add_escaped(out, says.n ? says.s : "");
    tn_text_add(out, "]");
    if (!flag) {
        tn_text_add(out, ":");
        add_escaped(out, row->value);
        tn_text_add(out, ":");
        add_action(out, &words, completion_is_file(i));
    }
    tn_text_add(out, "' \\\n");
    out->failed = out->failed || words.failed || says.failed || names.failed;
    tn_text_free(&words);
    tn_text_free(&says);
    tn_text_free(&names);
}

static void add_command(const command *c, tn_text *out)
{
    tn_text words = { 0 };
    completion_arguments(c, &words);
    tn_text_add(out, "    %s%s", c->name, *c->synonyms ? " | " : "");
    completion_list(out, c->synonyms, " | ");
    tn_text_add(out, ")\n        _arguments \\\n");
    for (int i = 0; i < OPTIONS; i++)
        if (strchr(options_table[i].commands, c->letter))
            add_option(c, i, out);
    if (c->most) {
        tn_text_add(out, "            '1:");
        add_escaped(out, words.n ? "word" : c->arguments);
        tn_text_add(out, ":");
        add_action(out, &words, true);
        tn_text_add(out, "' \\\n");
    }
    tn_text_add(out, "            '(-)--help[lists the usual options]' \\\n"
                     "            '(-)--help-all[lists all options]' ;;\n");
    out->failed = out->failed || words.failed;
    tn_text_free(&words);
}

void manual_zsh(tn_text *out)
{
    tn_text_add(out, "#compdef tenon\n# made by: tenon --completion zsh\n"
                     "if ((CURRENT == 2)); then\n    local -a all=(\n");
    for (const command *c = commands; c->name; c++) {
        tn_text_add(out, "        '%s:", c->name);
        add_escaped(out, c->help);
        tn_text_add(out, "'\n");
    }
    tn_text_add(out, "        '--help:lists the commands' '--version:how it was built')\n"
                     "    _describe command all\nelse\n    shift words\n    ((CURRENT--))\n"
                     "    case $words[1] in\n");
    for (const command *c = commands; c->name; c++)
        add_command(c, out);
    tn_text_add(out, "    esac\nfi\n");
}
