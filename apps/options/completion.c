/* completion.c - writes the script that completes commands and options in bash; see manual.h.
   The words that an option or a command allows are here for every shell. */
#include "apps/options/manual.h"
#include "optim/optim.h"

#include <string.h>

void completion_list(tn_text *out, const char *list, const char *between)
{
    for (; *list; list++)
        if (strchr(",|", *list))
            tn_text_add(out, "%s", between);
        else
            tn_text_bytes(out, list, 1);
}

static void add_optimizers(tn_text *out)
{
    for (int i = 0; tn_optims[i]; i++)
        tn_text_add(out, "%s ", tn_optims[i]->name);
}

static void add_tasks(tn_text *out)
{
    for (int i = 0; tn_tasks[i]; i++)
        tn_text_add(out, "%s ", tn_tasks[i]->name);
}

void completion_words(int i, tn_text *out)
{
    const option *row = &options_table[i];
    if (i == OPT_optimizer || i == OPT_optimizers)
        add_optimizers(out);
    else if (i == OPT_task)
        add_tasks(out);
    else if (row->value[0] >= 'a')
        completion_list(out, row->value, " ");
}

void completion_arguments(const command *c, tn_text *out)
{
    if (c->arguments[0] >= 'a') {
        completion_list(out, c->arguments, " ");
        tn_text_add(out, " ");
    }
    if (c->letter == 'o')
        add_optimizers(out);
    if (c->letter == 'k')
        add_tasks(out);
}

bool completion_is_file(int i)
{
    static const char *const files[] = { "PATH", "DIR", "FILE" };
    for (size_t k = 0; k < sizeof files / sizeof *files; k++)
        if (!strcmp(options_table[i].value, files[k]))
            return true;
    return false;
}

/* Adds the words that may follow option i. If it has none, bash completes names of files. */
static void add_values(int i, tn_text *out)
{
    const option *row = &options_table[i];
    char name[64];
    if (row->kind == OPTION_FLAG)
        return;
    tn_text_add(out, "    --%s", option_dashed(row->name, name));
    for (const char *s = row->alias; *s; s += s[strcspn(s, ",")] == ',') {
        const int n = (int)strcspn(s, ",");
        tn_text_add(out, " | %s%.*s", n > 1 ? "--" : "-", n, s);
        s += n;
    }
    tn_text_add(out, ") words='");
    completion_words(i, out);
    tn_text_add(out, "' ;;\n");
}

static void add_command(const command *c, tn_text *out)
{
    char name[64];
    tn_text_add(out, "        %s%s", c->name, *c->synonyms ? " | " : "");
    completion_list(out, c->synonyms, " | ");
    tn_text_add(out, ") words='");
    completion_arguments(c, out);
    for (int i = 0; i < OPTIONS; i++) {
        const option *row = &options_table[i];
        if (!strchr(row->commands, c->letter))
            continue;
        tn_text_add(out, "--%s ", option_dashed(row->name, name));
        if (row->kind == OPTION_FLAG && *row->def)
            tn_text_add(out, "--no-%s ", name);
    }
    tn_text_add(out, "--help --help-all' ;;\n");
}

void manual_bash(tn_text *out)
{
    tn_text_add(
        out, "# made by: tenon --completion\n"
             "_tenon() {\n"
             "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=\n"
             "    [[ $cur != = ]] || cur= # --name=value is three words\n"
             "    [[ $prev != = ]] || prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
             "    case $prev in\n");
    for (int i = 0; i < OPTIONS; i++)
        add_values(i, out);
    tn_text_add(out, "    *)\n        case ${COMP_WORDS[1]} in\n");
    for (const command *c = commands; c->name; c++)
        add_command(c, out);
    tn_text_add(out, "        esac ;;\n    esac\n    ((COMP_CWORD > 1)) || words='");
    for (const command *c = commands; c->name; c++)
        tn_text_add(out, "%s ", c->name);
    tn_text_add(out, "--help --version'\n"
                     "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                     "}\n"
                     "complete -o default -F _tenon tenon\n");
}
