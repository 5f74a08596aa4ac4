/* tenon.c - the program: finds the command, runs it, prints what went wrong.

   Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted after saving. */
#include "apps/options/manual.h"
#include "apps/run/best.h"
#include "apps/run/check.h"
#include "apps/run/team.h"
#include "apps/run/run.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"
#include "apps/run/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND(letter, name, synonyms, arguments, most, needs, help)                              \
    int command_##name(const options *o, tn_error *e);
#include "apps/commands/commands.def"
#undef COMMAND

/* What each command does, in the order of `commands`. Returns the exit status, unless e is set. */
static int (*const run_command[])(const options *o, tn_error *e) = {
#define COMMAND(letter, name, synonyms, arguments, most, needs, help) command_##name,
#include "apps/commands/commands.def"
#undef COMMAND
};

static void print_help(tn_error *e)
{
    char name[32];
    tn_text out = { 0 };
    tn_text_add(&out, "tenon - trains and fine-tunes language models on the CPU\n\n"
                      "usage: tenon COMMAND [options]\n\n");
    for (const command *c = commands; c->name; c++) {
        tn_text_add(&out, "%*s", snprintf(name, sizeof name, "  %-12s", c->name), name);
        help_wrap(&out, 14, 14, c->help);
        tn_text_add(&out, "\n");
    }
    tn_text_add(&out, "\n");
    help_wrap(&out, 0, 0,
              "tenon COMMAND --help lists what a command needs and its usual options, --help-all "
              "all of them. tenon --version prints how it was built. tenon --man [COMMAND] "
              "prints a page for man -l -, tenon --completion [bash|zsh|fish] a script for the "
              "shell (bash, if none is named). The environment variable TN_TRACE=1 prints each "
              "op of a step to standard error.");
    tn_text_add(&out, "\n");
    show_text(&out, "the help", e);
}

/* $TN_ISA must name an instruction set of this CPU. No other is used instead. */
static int check_isa(tn_error *e)
{
    const char *isa = getenv("TN_ISA");
    tn_context *c = isa ? tn_context_new(&(tn_options){ .threads = 1 }) : NULL;
    if (isa && !c) {
        tn_fail(e, APP_USAGE, "TN_ISA is \"%.40s\"; expected scalar", isa);
        for (int i = 1; tn_isas[i]; i++)
            tn_error_add(e, "%s %s", i == 1 ? ", or" : " or", tn_isas[i]);
        if (tn_isas[1])
            tn_error_add(e, " on a CPU that has it");
    }
    tn_context_free(c);
    return e->code;
}

static void print_version(tn_error *e)
{
    if (check_isa(e))
        return;
    tn_context *c = tn_context_new(&(tn_options){ 0 });
    char mpi[64];
    team_built(mpi, sizeof mpi);
    lines_show("tenon %s, compiler %s, kernels %s, threads %d, %s\n", TN_VERSION, __VERSION__,
               c ? tn_context_isa(c) : "none", c ? tn_context_threads(c) : 0, mpi);
    tn_context_free(c);
}

static int unknown_command(const char *word, tn_error *e)
{
    const char *names[32];
    int n = 0;
    for (; commands[n].name && n < 32; n++)
        names[n] = commands[n].name;
    return unknown_name("command", word, names, n, "tenon --help", e);
}

/* The page of the manual for a command; without a command for the program. */
static void print_manual(const char *word, tn_error *e)
{
    const command *c = word ? command_find(word) : NULL;
    tn_text page = { 0 };
    if (word && !c) {
        unknown_command(word, e);
        return;
    }
    manual_page(c, &page);
    show_text(&page, "the manual", e);
}

static void print_completion(const char *shell, tn_error *e)
{
    static const char *const shells[] = { "bash", "zsh", "fish" };
    static void (*const write_script[])(tn_text *) = { manual_bash, manual_zsh, manual_fish };
    tn_text script = { 0 };
    for (int i = 0; i < 3; i++)
        if (!strcmp(shell, shells[i])) {
            write_script[i](&script);
            show_text(&script, "the script", e);
            return;
        }
    unknown_name("shell", shell, shells, 3, "tenon --help", e);
}

static int carry_out(const command *c, int argc, char **argv, team *all, tn_error *e)
{
    options o;
    int status = 0;
    if (check_isa(e))
        return status;
    const int code = options_parse(&o, c, argc, argv, e);
    o.team = all;
    if (code == APP_HELP || code == APP_HELP_ALL) {
        tn_text help = { 0 };
        options_help(c, code == APP_HELP_ALL, &help);
        show_text(&help, "the help", e);
    } else if (!code && !options_check(&o, c, e) && !check_values(&o, c, e) &&
               !best_follow(&o, e)) {
        status = run_command[c - commands](&o, e);
    }
    options_free(&o);
    return status;
}

/* "tenon help train" is "tenon train --help". */
static int help_with(char *program, char *word, team *all, tn_error *e)
{
    char help[] = "--help", *words[] = { program, word, help };
    const command *c = command_find(word);
    return c ? carry_out(c, 3, words, all, e) : unknown_command(word, e);
}

/* If descriptors 0 to 2 were closed, the next files would get them, and messages would go into a
   file. Output is not buffered, so that show() can go on after a signal. */
static int open_standard(tn_error *e)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return tn_fail(e, TN_EIO, "/dev/null: cannot open: %s", strerror(errno));
    setvbuf(stdout, NULL, _IONBF, 0);
    return e->code;
}

/* Refuses if something that was printed could not be written. Commands that write files go on when
   nobody reads what they print; the others ended at once (signals.h). */
static void check_output(tn_error *e)
{
    errno = 0;
    if (ferror(stdout)) /* write once more: it fails again and sets errno */
        fputc('\n', stdout);
    if (ferror(stdout) && errno != EPIPE) /* who reads no more of it wants no message, either */
        tn_fail(e, TN_EIO, "standard output: %s", errno ? strerror(errno) : "a write failed");
}

static bool writes_files(const command *c)
{
    static const int places[] = { OPT_output_dir, OPT_save_path, OPT_out, OPT_svg };
    bool writes = false;
    for (size_t i = 0; c && i < sizeof places / sizeof *places; i++)
        writes = writes || strchr(options_table[places[i]].commands, c->letter);
    return writes;
}

/* What the first word asks for. Returns the exit status, unless e is set. */
static int carry_out_word(const char *word, int argc, char **argv, team *all, tn_error *e)
{
    const command *c = command_find(word);
    if (c)
        return carry_out(c, argc, argv, all, e);
    if (!strcmp(word, "help") && argc > 2)
        return help_with(argv[0], argv[2], all, e);
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help"))
        print_help(e);
    else if (!strcmp(word, "--version"))
        print_version(e);
    else if (!strcmp(word, "--man"))
        print_manual(argc > 2 ? argv[2] : NULL, e);
    else if (!strcmp(word, "--completion"))
        print_completion(argc > 2 ? argv[2] : "bash", e);
    else if (!*word)
        tn_fail(e, APP_USAGE, "a command is missing; see tenon --help");
    else
        unknown_command(word, e);
    return 0;
}

int main(int argc, char **argv)
{
    tn_error e = { 0 };
    if (open_standard(&e))
        return 1;
    const char *word = argc > 1 ? argv[1] : "";
    signals_begin(writes_files(command_find(word)));
    team *all = team_begin(&e);
    const bool leads = team_number(all) == 0;
    int status = e.code ? 0 : carry_out_word(word, argc, argv, all, &e);
    check_output(&e);
    if (team_agree(all, &e)) {
        char line[sizeof e.text + 16];
        snprintf(line, sizeof line, "tenon: %s\n", e.text);
        write_whole(stderr, line, strlen(line));
        status = e.code == APP_USAGE ? 2 : 1;
    }
    team_end(all);
    return leads ? status : 0;
}
