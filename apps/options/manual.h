/* manual.h - pages of the manual and a script for bash, from the tables of commands and options.
   The pages are made in manual.c, the script in completion.c.

       tn_text page = { 0 };
       manual_page(command_find("train"), &page);     tenon-train.1
       manual_bash(&page);

   make install puts them into the folders of man and bash. */
#ifndef TN_APP_MANUAL_H
#define TN_APP_MANUAL_H

#include "apps/options/options.h"

/* Writes the page tenon-NAME.1 of a command. NULL: tenon.1, which lists the commands. */
void manual_page(const command *c, tn_text *out);
/* Writes a script for bash. It completes commands, options, the words that an option allows, and
   names of optimizers and tasks. Other words are completed as files. */
void manual_bash(tn_text *out);

#endif
