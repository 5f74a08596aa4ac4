/* manual.h - pages of the manual and scripts for shells, from the tables of commands and options.
   The pages are made in manual.c, the scripts in completion.c (bash), completion_zsh.c and
   completion_fish.c.

       tn_text page = { 0 };
       manual_page(command_find("train"), &page);     tenon-train.1
       manual_bash(&page);

   make install puts them into the folders of man and of the shells. */
#ifndef TN_APP_MANUAL_H
#define TN_APP_MANUAL_H

#include "apps/options/options.h"

/* Writes the page tenon-NAME.1 of a command. NULL: tenon.1, which lists the commands. */
void manual_page(const command *c, tn_text *out);
/* Write a script for a shell. It completes commands, options, the words that an option allows, and
   names of optimizers and tasks. Other words are completed as files, in zsh and fish only where a
   file is expected. zsh and fish also show what a command or option does. */
void manual_bash(tn_text *out);
void manual_zsh(tn_text *out);
void manual_fish(tn_text *out);

/* ---- what the scripts share ---- */

/* Adds a list "a,b" or "a|b" with another text between its words. */
void completion_list(tn_text *out, const char *list, const char *between);
/* Adds the words that option i of the table allows, separated by spaces. Adds nothing if it allows
   any word. */
void completion_words(int i, tn_text *out);
/* The same for the argument of a command. */
void completion_arguments(const command *c, tn_text *out);
bool completion_is_file(int i); /* option i takes a file or a folder */

#endif
