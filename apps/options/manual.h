/* manual.h - pages of the manual and a script for bash, from the tables of commands and options.
   The pages are made in manual.c, the script in completion.c.

       tn_text page = { 0 };
       manual_page(command_find("train"), &page);     tenon-train.1
       manual_bash(&page);

   make install puts them where man and bash look for them. */
#ifndef TN_APP_MANUAL_H
#define TN_APP_MANUAL_H

#include "apps/options/options.h"

/* The page tenon-NAME.1 of a command; NULL: tenon.1, which lists the commands. */
void manual_page(const command *c, tn_text *out);
/* A script that bash reads: it completes commands, options, the words that an option allows, and
   names of optimizers and tasks. All else is completed as a file. */
void manual_bash(tn_text *out);

#endif
