/* chat.c - tenon chat: reads questions and commands, one in each line. */
#include "apps/report/lines.h"
#include "apps/report/show.h"
#include "apps/ask/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum order { SAY, RESET, SYSTEM, SAVE, UNDO, ADAPTER, HELP, QUIT, ORDERS } order;

static const struct {
    const char *name, *brief, *argument, *help; /* brief: mlx-lm's word; "": none */
} orders[ORDERS] = {
    [RESET] = { "/reset", "r", "", "forget all questions and answers" },
    [SYSTEM] = { "/system", "", "TEXT", "another system message (without TEXT: none)" },
    [SAVE] = { "/save", "", "FILE",
               "write the messages to FILE, as a line that train --data reads" },
    [UNDO] = { "/undo", "", "", "take the last question and its answer back" },
    [ADAPTER] = { "/adapter", "", "[on|off]", "switch the adapter off, or on again" },
    [HELP] = { "/help", "h", "", "this list" },
    [QUIT] = { "/quit", "q", "", "the end (so is the end of the input)" },
};

/* The order of a line, and what follows its name. */
static order find_order(const char *line, const char **rest)
{
    const size_t n = strcspn(line, " ");
    *rest = line + n + strspn(line + n, " ");
    for (order i = RESET; i < ORDERS; i++)
        if (!strcmp(line, orders[i].brief) ||
            (strlen(orders[i].name) == n && !strncmp(line, orders[i].name, n)))
            return i;
    return SAY;
}

static void print_help(void)
{
    for (order i = RESET; i < ORDERS; i++)
        lines_show("  %-9s %-9s %s%s%s\n", orders[i].name, orders[i].argument, orders[i].help,
                   *orders[i].brief ? "; also " : "", orders[i].brief);
    lines_show("Every other line is a question. Ctrl-C stops an answer.\n");
}

static void switch_adapter(talk *t, const char *rest)
{
    if (!t->s->model->adapters) {
        show_note("there is no adapter; tenon chat --adapter-path PATH has one");
        return;
    }
    if (*rest && strcmp(rest, "on") && strcmp(rest, "off")) {
        show_note("/adapter \"%.40s\"; expected on or off", rest);
        return;
    }
    talk_adapter(t, *rest ? rest[1] == 'n' : t->off);
    show_note("the adapter is %s", t->off ? "off" : "on");
}

static int unknown_order(const char *line, tn_error *e)
{
    const char *names[ORDERS];
    char word[32];
    for (order i = RESET; i < ORDERS; i++)
        names[i] = orders[i].name;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(line, " "), line);
    return unknown_name("chat", word, names + RESET, ORDERS - RESET, "/help", e);
}

/* Follows one line. Returns false if it is the last. Errors of a line are told; the talk goes on. */
static bool follow(talk *t, const char *line)
{
    tn_error e = { 0 };
    const char *rest;
    const order what = find_order(line, &rest);
    if (what == QUIT)
        return false;
    switch (what) {
    case RESET:
        talk_reset(t);
        show_note("all questions and answers are forgotten");
        break;
    case SYSTEM:
        if (!talk_system(t, rest, strlen(rest), &e))
            show_note(*rest ? "the system message is another" : "there is no system message");
        break;
    case SAVE:
        if (!*rest)
            show_note("/save: expected a FILE");
        else if (!talk_save(t, rest, &e))
            show_note("saved %s", rest);
        break;
    case UNDO:
        show_note(talk_undo(t) ? "the last question and its answer are taken back"
                               : "there is nothing to take back");
        break;
    case ADAPTER: switch_adapter(t, rest); break;
    case HELP: print_help(); break;
    default:
        if (*line == '/')
            unknown_order(line, &e);
        else if (*line)
            talk_say(t, line, strlen(line), &e);
    }
    if (e.code)
        show_error("tenon: %s\n", e.text);
    return true;
}

/* Reads a line without its end. False: the input has ended. */
static bool read_line(char **line, size_t *room, bool terminal, tn_error *e)
{
    if (terminal)
        show("> ");
    ssize_t n = getline(line, room, stdin);
    if (n < 0) {
        if (ferror(stdin))
            tn_fail(e, TN_EIO, "standard input: cannot be read");
        if (terminal)
            show("\n");
        return false;
    }
    while (n && ((*line)[n - 1] == '\n' || (*line)[n - 1] == '\r'))
        (*line)[--n] = 0;
    if (strlen(*line) != (size_t)n)
        return !tn_fail(e, TN_EFORMAT, "standard input: a zero byte; expected text");
    return true;
}

int command_chat(const options *o, tn_error *e)
{
    setup s = { 0 };
    talk t = { 0 };
    const bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    char *line = NULL;
    size_t room = 0;
    if (!setup_trained(&s, o, e) && !talk_begin(&t, &s, o, e)) {
        if (!o->quiet)
            show_note("chat template %s (%s)%s", tn_chat_name(t.how.chat), t.how.why,
                      terminal ? "; /help lists what can be done" : "");
        while (read_line(&line, &room, terminal, e) && follow(&t, line))
            ;
    }
    free(line);
    talk_end(&t);
    setup_close(&s);
    return 0;
}
