/* prompts.h - a list of prompts from options and files, and their tokens.

       prompts p = { .flag = "--prompt" };
       prompts_add(&p, &text, &e);
       prompts_read(&p, "prompts.txt", &e);               a prompt in each line
       prompts_encode(&p, &how, &s, o, &e);               how: see ask.h
       p.all[0].ids, p.all[0].n
       prompts_free(&p);

   Every function accepts an error that is already set and then does nothing. */
#ifndef TN_APP_PROMPTS_H
#define TN_APP_PROMPTS_H

#include "apps/ask/ask.h"

typedef struct prompt_entry {
    tn_text text;
    int32_t *ids; /* (n) */
    int64_t n;
    const char *file; /* which has it on line `line`; NULL: none, it is an option */
    int64_t line;
} prompt_entry;

typedef struct prompts {
    const char *flag;  /* for messages */
    prompt_entry *all; /* (count) */
    int64_t count, room;
} prompts;

int prompts_add(prompts *p, tn_text *text, tn_error *e); /* takes the text over */
/* Adds the lines of a file that are not blank. Refuses a file without any. The path must live as
   long as the prompts. */
int prompts_read(prompts *p, const char *path, tn_error *e);
/* The ids of all texts: as the user's message of a chat, or as plain text. */
int prompts_encode(prompts *p, const ask *how, const setup *s, const options *o, tn_error *e);
void prompts_free(prompts *p);

#endif
