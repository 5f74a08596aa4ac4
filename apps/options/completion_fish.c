/* completion_fish.c - writes the script that completes commands and options in fish; see manual.h. */
#include "apps/options/manual.h"
#include "apps/options/options_set.h"

#include <string.h>

/* Adds a text between single quotes. */
static void add_quoted(tn_text *out, const char *text)
{
    tn_text_add(out, "'");
    for (; *text; text++)
        tn_text_add(out, "%s%c", strchr("'\\", *text) ? "\\" : "", *text);
    tn_text_add(out, "'");
}

/* Begins a line for words that follow the command c. */
static void add_begin(const command *c, tn_text *out)
{
    tn_text_add(out, "complete -c tenon -n '__tenon_is %s", c->name);
    if (*c->synonyms)
        tn_text_add(out, " ");
    completion_list(out, c->synonyms, " ");
    tn_text_add(out, "'");
}

/* Adds the line of an option: its names, the words it allows, what it does. */
static void add_option(const command *c, int i, tn_text *out)
{
    const option *row = &options_table[i];
    const bool flag = row->kind == OPTION_FLAG;
    char name[64];
    tn_text words = { 0 }, says = { 0 };
    completion_words(i, &words);
    option_says(row, c->letter, &says);
    add_begin(c, out);
    tn_text_add(out, " -l %s%s", flag && *row->def ? "no-" : "", option_dashed(row->name, name));
    for (const char *s = row->alias; *s; s += s[strcspn(s, ",")] == ',') {
        const int n = (int)strcspn(s, ",");
        tn_text_add(out, " -%c %.*s", n > 1 ? 'l' : 's', n, s);
        s += n;
    }
    if (words.n) {
        tn_text_add(out, " -x -a ");
        add_quoted(out, words.s);
    } else if (!flag) {
        tn_text_add(out, completion_is_file(i) ? " -r" : " -x");
    }
    tn_text_add(out, " -d ");
    add_quoted(out, says.n ? says.s : "");
    tn_text_add(out, "\n");
    out->failed = out->failed || words.failed || says.failed;
    tn_text_free(&words);
    tn_text_free(&says);
}

static void add_command(const command *c, tn_text *out)
{
    tn_text words = { 0 };
    completion_arguments(c, &words);
    tn_text_add(out, "complete -c tenon -n '__tenon_is \"\"' -f -a %s -d ", c->name);
    add_quoted(out, c->help);
    tn_text_add(out, "\n");
    if (words.n) {
        add_begin(c, out);
        tn_text_add(out, " -f -a ");
        add_quoted(out, words.s);
        tn_text_add(out, "\n");
    }
    out->failed = out->failed || words.failed;
    tn_text_free(&words);
    for (int i = 0; i < OPTIONS; i++)
        if (strchr(options_table[i].commands, c->letter))
            add_option(c, i, out);
    add_begin(c, out);
    tn_text_add(out, " -l help -d 'lists the usual options'\n");
    add_begin(c, out);
    tn_text_add(out, " -l help-all -d 'lists all options'\n");
}

void manual_fish(tn_text *out)
{
    tn_text_add(out, "# made by: tenon --completion fish\n"
                     "function __tenon_is # is the command one of these?\n"
                     "    set -l words (commandline -opc)\n"
                     "    contains -- \"$words[2]\" $argv\n"
                     "end\n");
    for (const command *c = commands; c->name; c++)
        add_command(c, out);
    tn_text_add(out, "complete -c tenon -n '__tenon_is \"\"' -f -l help -l version\n");
}
