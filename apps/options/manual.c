/* manual.c - writes the pages of the manual; see manual.h. */
#include "apps/options/manual.h"
#include "apps/options/options_set.h"

#include <stdio.h>
#include <string.h>

/* ---- pages, in the macros of man(7) ---- */

/* Adds text for roff. Special characters are written by name. A dash can be copied into a shell. */
static void add_roff(tn_text *out, const char *text)
{
    static const struct {
        char c;
        const char *name;
    } names[] = { { '\\', "\\e" },   { '-', "\\-" },   { '`', "\\(ga" },
                  { '\'', "\\(aq" }, { '^', "\\(ha" }, { '~', "\\(ti" } };
    if (*text == '.')
        tn_text_add(out, "%s", "\\&");
    for (; *text; text++) {
        const char *name = NULL;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (names[i].c == *text)
                name = names[i].name;
        tn_text_bytes(out, name ? name : text, name ? strlen(name) : 1);
    }
}

/* Adds text in a font: B bold, I slanted, R plain. */
static void add_font(tn_text *out, char font, const char *text)
{
    tn_text_add(out, "\\f%c", font);
    add_roff(out, text);
    tn_text_add(out, "%s", "\\fR");
}

static void add_line(tn_text *out, const char *text)
{
    add_roff(out, text);
    tn_text_add(out, "\n");
}

static void add_option(const option *row, char letter, tn_text *out)
{
    char name[64], left[80];
    tn_text help = { 0 };
    tn_text_add(out, ".TP\n");
    for (const char *s = row->alias; *s; s += s[strcspn(s, ",")] == ',') {
        const int n = (int)strcspn(s, ",");
        snprintf(name, sizeof name, "%s%.*s", n > 1 ? "--" : "-", n, s);
        add_font(out, 'B', name);
        tn_text_add(out, ", ");
        s += n;
    }
    const bool on = row->kind == OPTION_FLAG && *row->def;
    snprintf(left, sizeof left, "--%s%s", on ? "[no-]" : "", option_dashed(row->name, name));
    add_font(out, 'B', left);
    if (*row->value) {
        const bool words = row->value[0] >= 'a' && !option_is_choice(row);
        tn_text_add(out, " ");
        add_font(out, words ? 'B' : 'I', option_is_choice(row) ? "NAME" : row->value);
    }
    option_says(row, letter, &help);
    if (help.failed)
        tn_text_join(out, &help);
    else {
        tn_text_add(out, "\n");
        add_line(out, help.s);
    }
    tn_text_free(&help);
}

/* Adds the first lines of a page: its name with a dash, what it is, how it is called. */
static void add_head(const char *name, const char *says, tn_text *out)
{
    tn_text_add(out, ".\\\" made by: tenon --man\n.TH ");
    for (const char *s = name; *s; s++)
        tn_text_add(out, "%s%c", *s == '-' ? "\\" : "", *s >= 'a' && *s <= 'z' ? *s - 32 : *s);
    tn_text_add(out, " 1 \"\" \"tenon %s\" \"tenon\"\n.SH NAME\n", TN_VERSION);
    add_roff(out, name);
    tn_text_add(out, " \\- ");
    add_line(out, says);
    tn_text_add(out, ".SH SYNOPSIS\n");
}

static void add_end(tn_text *out)
{
    tn_text_add(out, ".SH EXIT STATUS\n0 after success, 1 after an error, 2 after wrong usage, 130 "
                     "after a signal.\n.SH SEE ALSO\n");
}

static void command_page(const command *c, tn_text *out)
{
    char name[32];
    snprintf(name, sizeof name, "tenon-%s", c->name);
    add_head(name, c->help, out);
    snprintf(name, sizeof name, "tenon %s", c->name);
    add_font(out, 'B', name);
    if (*c->arguments) {
        tn_text_add(out, " ");
        add_roff(out, c->arguments);
    }
    tn_text_add(out, " [\\fIoptions\\fR]\n.SH OPTIONS\n");
    const char *title = "";
    for (int needed = 1; needed >= 0; needed--)
        for (int i = 0; i < OPTIONS; i++) {
            if (!strchr(options_table[i].commands, c->letter) ||
                option_is_needed(&options_table[i], c) != (needed == 1))
                continue;
            if (!needed && strcmp(title, option_title(i)))
                tn_text_add(out, ".SS %s\n", option_title(i));
            title = needed ? title : option_title(i);
            add_option(&options_table[i], c->letter, out);
        }
    tn_text_add(out, ".PP\nDefaults are in [brackets]. \\-\\-name=value works, too; 8k is 8000, 1M "
                     "1000000.\n");
    add_end(out);
    tn_text_add(out, ".BR tenon (1)");
    if (strchr(options_table[OPT_opt].commands, c->letter))
        tn_text_add(out, ",\n.B tenon optimizers\n.IR NAME ,\nwhich lists what \\-\\-opt sets");
    tn_text_add(out, "\n");
}

void manual_page(const command *c, tn_text *out)
{
    if (c) {
        command_page(c, out);
        return;
    }
    add_head("tenon", "trains and fine-tunes language models on the CPU", out);
    tn_text_add(out, ".B tenon\n\\fICOMMAND\\fR [\\fIoptions\\fR]\n.SH COMMANDS\n");
    for (c = commands; c->name; c++) {
        tn_text_add(out, ".TP\n");
        add_font(out, 'B', c->name);
        for (const char *s = c->synonyms; *s; s += s[strcspn(s, ",")] == ',') {
            char word[32];
            const int n = (int)strcspn(s, ",");
            snprintf(word, sizeof word, "%.*s", n, s);
            tn_text_add(out, ", ");
            add_font(out, 'B', word);
            s += n;
        }
        tn_text_add(out, "\n");
        add_line(out, c->help);
    }
    tn_text_add(
        out,
        ".PP\n.B tenon\n\\fICOMMAND\\fR \\fB\\-\\-help\\fR\nlists what a command "
        "needs and its usual options, \\fB\\-\\-help\\-all\\fR all of them.\n.B tenon \\-\\-version\nprints how the program was built.\n"
        ".SH ENVIRONMENT\n.TP\n.B TN_ISA\nscalar, avx2, avx512 or neon: the instruction set "
        "that the kernels use. Results in f32 do not depend on it.\n"
        ".TP\n.B TN_TRACE\n1: each op becomes a line on standard error, with its time, "
        "shapes and weight, and whether its result has an infinity or a NaN.\n");
    add_end(out);
    for (c = commands; c->name; c++)
        tn_text_add(out, ".BR tenon\\-%s (1)%s\n", c->name, c[1].name ? "," : "");
}
