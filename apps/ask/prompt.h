/* prompt.h - the token ids of a prompt, as the model expects them. */
#ifndef TN_APP_PROMPT_H
#define TN_APP_PROMPT_H

#include "data/data.h"

typedef struct prompt {
    int32_t *ids; /* to be freed */
    int64_t n, room;
} prompt;

/* The ids that the tokenizer call of Transformers gives: the token that the tokenizer puts before a
   text, if it has one, and those of the text. One that it puts after a text is left out, because a
   prompt goes on. special: names of special tokens become these tokens.
   An empty prompt without a first token becomes the end token, which separates texts; n is 0 if the
   tokenizer has neither. */
int prompt_encode(const tn_tokenizer *k, tn_span text, bool special, prompt *out, tn_error *e);

#endif
