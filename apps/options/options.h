/* options.h - the command line and config files of every command, from one table (options.def).

       options o;
       tn_error e = { 0 };
       if (options_parse(&o, command_find("train"), argc, argv, &e)) return usage(&e);
       printf("%g\n", o.given[OPT_learning_rate] ? o.learning_rate : best);
       options_free(&o);

   Ownership: texts belong to argv or to the options, until options_free. Errors: tn_fail with
   APP_USAGE for the command line (exit status 2), another code for the content of a file (1). */
#ifndef TN_APP_OPTIONS_H
#define TN_APP_OPTIONS_H

#include "apps/commands/commands.h"
#include "core/core.h"
#include "data/data.h"

enum { APP_USAGE = -100, APP_HELP = -101, APP_HELP_ALL = -102, MAX_LIST = 16, MAX_ARGUMENTS = 8 };

typedef enum option_kind {
    OPTION_TEXT,
    OPTION_COUNT,
    OPTION_REAL,
    OPTION_FLAG,
    OPTION_LIST
} option_kind;
typedef enum option_class { NUMBERS, FILES, HOST } option_class; /* see options.def */

enum { /* OPT_model, ...: rows of options_table */
#define TEXT(name, alias, value, def, commands, class, help) OPT_##name,
#define COUNT(name, alias, value, def, lo, hi, commands, class, help) OPT_##name,
#define REAL(name, alias, value, def, lo, hi, commands, class, help) OPT_##name,
#define FLAG(name, alias, def, commands, class, help) OPT_##name,
#define LIST(name, alias, value, commands, class, help) OPT_##name,
#include "apps/options/options.def"
#undef TEXT
#undef COUNT
#undef REAL
#undef FLAG
#undef LIST
       OPTIONS
};

/* A number that is not set, here and in tn_optim_options: no option has a negative default. */
enum { NOT_SET = -1 };

/* The values: a field of each row's name. A text that is not set is NULL, a number NOT_SET. NULL
   ends a list. */
typedef struct options {
#define TEXT(name, alias, value, def, commands, class, help) const char *name;
#define COUNT(name, alias, value, def, lo, hi, commands, class, help) int64_t name;
#define REAL(name, alias, value, def, lo, hi, commands, class, help) double name;
#define FLAG(name, alias, def, commands, class, help) bool name;
#define LIST(name, alias, value, commands, class, help) const char *name[MAX_LIST + 1];
#include "apps/options/options.def"
#undef TEXT
#undef COUNT
#undef REAL
#undef FLAG
#undef LIST
    bool given[OPTIONS];                     /* on the command line or in the config file */
    const char *argument[MAX_ARGUMENTS + 1]; /* words that are no options; NULL ends them */
    int arguments;
    int argc; /* the command line, for the resume command */
    char **argv;
    char *file;                 /* text of the config file */
    struct team *team;          /* of main, which frees them (team.h); NULL: one process */
    const char *standard_input; /* what opens the file of --data - (spool.h); NULL: none */
    const char *standard_name;  /* its name, with an ending */
    char *followed[3];          /* paths that best_follow made */
    char chosen[OPTIONS][16];   /* a word of a list, in the spelling of the list */
} options;

typedef struct option {
    const char *name;                /* with underscores */
    const char *alias, *value, *def; /* alias: comma-separated */
    option_kind kind;
    double lo, hi;
    const char *commands;
    option_class class;
    const char *help;
    size_t offset; /* of the field */
} option;

extern const option options_table[OPTIONS];

/* Reads argv[2..argc) and the config file. Returns 0, APP_HELP or APP_HELP_ALL if help was asked
   for, or another code with the reason in e. */
int options_parse(options *o, const command *c, int argc, char **argv, tn_error *e);
/* Refuses options that lack one that the command needs (commands.def), or contradict each other. */
int options_check(const options *o, const command *c, tn_error *e);
void options_free(options *o);
/* Writes a command's help in lines of at most 79 columns: what is needed first, in less than 60
   lines. all: every option, and for `train` the settings of the optimizers. */
void options_help(const command *c, bool all, tn_text *out);
/* Adds words to a line that has `column` columns. Words beyond column 79, or beyond
   those of a narrower terminal, go to new lines, indented. Returns the column after the last
   word. */
int help_wrap(tn_text *out, int column, int indent, const char *words);
/* The value of row i as text; empty if it is not set. */
void options_value(const options *o, int i, tn_text *out);
/* Writes a line of a config file that reads as this value, whatever characters it has. */
void options_line(const char *name, const char *value, tn_text *out);
/* Writes the name with dashes into out (64 bytes). Returns out. */
char *option_dashed(const char *name, char *out);
/* Refuses a word that is not among the names: `WHAT "WORD": unknown; did you mean NAME?`. If no
   name is near, the end is `see PLACE`. */
int unknown_name(const char *what, const char *word, const char *const *names, int n,
                 const char *place, tn_error *e);
/* A number as the options read it: "1e-3"; counts take k (1,000) and M (1,000,000). */
bool read_real(const char *text, double *out);
bool read_count(const char *text, int64_t *out);
bool read_time(const char *text, double *out); /* seconds: "90s", "15m", "1h30m", "2d", "90" */

#endif
