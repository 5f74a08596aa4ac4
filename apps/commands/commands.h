/* commands.h - the commands of the program: their names, their help and what each needs.

       const command *c = command_find("finetune");      the row of `train`
       for (c = commands; c->name; c++) puts(c->help);

   The rows are in commands.def. apps/tenon.c calls command_NAME in apps/commands/NAME.c. The
   options use only this header of the commands. */
#ifndef TN_APP_COMMANDS_H
#define TN_APP_COMMANDS_H

typedef struct command {
    char letter;                 /* marks its options in options.def */
    const char *name, *synonyms; /* synonyms: comma-separated */
    const char *arguments;       /* as the help shows them */
    int most;                    /* arguments */
    const char *needs, *help;
} command;

extern const command commands[]; /* ended by a NULL name */

/* Finds a command by name or synonym. NULL: no command has it. */
const command *command_find(const char *name);

#endif
