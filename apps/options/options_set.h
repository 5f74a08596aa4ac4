/* options_set.h - shared by the files of the options: finds a row, sets its value, its help. */
#ifndef TN_APP_OPTIONS_SET_H
#define TN_APP_OPTIONS_SET_H

#include "apps/options/options.h"

/* Is the word (n bytes) in a list "a,b|c" with these separators? A dash equals an underscore. */
bool word_in(const char *word, size_t n, const char *list, const char *separators);
/* The row of that name or alias among the options of a command. -1: no row has it. */
int option_find(const char *name, size_t n, char letter);
/* The help of an option of a command: its words and its default. */
void option_says(const option *row, char letter, tn_text *out);
const char *option_title(int i); /* of the group of row i: "model and data" */
/* Is its value one of many words? These are in the help, not beside the name. */
bool option_is_choice(const option *row);
/* Does the command need this option, or one of a group with it? */
bool option_is_needed(const option *row, const command *c);
/* Sets row i from text. `where` is the text before the name in messages: "--" or "FILE:LINE: ". */
int option_set(options *o, int i, const char *text, const char *where, tn_error *e);
/* What a word of another program means to a command. */
typedef struct word_meaning {
    bool known;
    const char *option; /* the option that is the same; NULL: none is */
    const char *says;   /* what to tell its user. Both NULL: the command does so in any case. */
} word_meaning;
word_meaning word_find(const char *name, size_t n, char letter);
/* Sets the error for an unknown name: what the word means, or the nearest name. */
int option_unknown(const char *name, size_t n, const command *c, const char *where, tn_error *e);
/* Reads o->config. Values from the command line stay. */
int options_read(options *o, const command *c, tn_error *e);

#endif
