/* commands.c - the table of the commands, from commands.def, and finding one by a word. */
#include "apps/commands/commands.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

const command commands[] = {
#define COMMAND(letter, name, synonyms, arguments, most, needs, help)                              \
    { letter, #name, synonyms, arguments, most, needs, help },
#include "apps/commands/commands.def"
#undef COMMAND
    { .name = NULL }
};

/* Is the word the name of the command, or among its comma-separated synonyms? */
static bool is_command(const command *c, const char *word)
{
    const size_t n = strlen(word);
    if (!strcmp(word, c->name))
        return true;
    for (const char *s = strstr(c->synonyms, word); n && s; s = strstr(s + 1, word))
        if ((s == c->synonyms || s[-1] == ',') && (!s[n] || s[n] == ','))
            return true;
    return false;
}

const command *command_find(const char *name)
{
    for (const command *c = commands; c->name; c++)
        if (is_command(c, name))
            return c;
    return NULL;
}
