/* answer.h - the text of an answer as its tokens come, and the texts that end it (--stop).

       answer a = { .tokenizer = k, .stops = o->stop, .shown = true };
       if (answer_add(&a, id, &e)) ...                 a stop was found: no more tokens are needed
       answer_close(&a, &e);                           shows what was held back
       puts(a.text.s); answer_free(&a);

   A stop may begin in one token and end in another. So bytes that could begin one are shown only when
   it is certain that they do not. The text ends before the stop. */
#ifndef TN_APP_ANSWER_H
#define TN_APP_ANSWER_H

#include "data/data.h"

typedef struct answer {
    const tn_tokenizer *tokenizer;
    const char *const *stops; /* ended by NULL */
    bool shown;               /* on standard output, as it comes */
    bool stopped;             /* a stop was found */
    tn_text text;
    size_t done; /* bytes of the text that were shown */
    tn_held held;
} answer;

bool answer_add(answer *a, int32_t id, tn_error *e);
void answer_close(answer *a, tn_error *e);
void answer_free(answer *a);

#endif
