/* ending.h - whether a training can teach where an answer ends. */
#ifndef APPS_ENDING_H
#define APPS_ENDING_H

#include "apps/run/setup.h"

typedef enum ending {
    ENDING_LEARNT,
    ENDING_NONE, /* the tokenizer has no end token */
    /* The head is frozen, and its row for the end token has the direction of another token's: both
       then get the same logit. Models have such rows for tokens that they never saw. */
    ENDING_LIKE_OTHERS
} ending;
/* Of answers that are not chats. *other becomes the other token, of 256 that are compared. */
ending ending_of(const setup *s, int64_t *other, tn_error *e);

#endif
