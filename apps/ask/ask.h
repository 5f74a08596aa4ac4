/* ask.h - how a model is asked: in which chat template, or as plain text, and what ends its answer.

       ask a = { 0 };
       ask_begin(&a, &s, o, &e);                           decides
       ask_tell(&a);                                       prints the decision
       if (a.chat) ask_messages(&a, messages, n, &ids, &e);
       ask_end(&a);

   The template is --chat-template. Without it, it is what the adapter, or else the model, was trained
   with, if a run of tenon made it (config.used). Else it is the model's own. --ignore-chat-template and
   --special are for plain text. */
#ifndef TN_APP_ASK_H
#define TN_APP_ASK_H

#include "apps/run/setup.h"

typedef struct ask {
    const tn_tokenizer *tokenizer;
    const tn_chat_template *chat; /* NULL: plain text */
    const char *why; /* the template is used, or that of the model is not; NULL: it has none */
    int32_t *ends;   /* (end_count) the tokens that end an answer */
    int64_t end_count;
} ask;

int ask_begin(ask *a, const setup *s, const options *o, tn_error *e);
void ask_tell(const ask *a);
/* The part of ask_begin for a.tokenizer and a.chat that are set: lists what ends an answer. */
int ask_ends(ask *a, const setup *s, tn_error *e);
/* Appends the ids of n messages and of what asks for an answer to ids. */
int ask_messages(const ask *a, const tn_message *m, int64_t n, tn_chat_ids *ids, tn_error *e);
void ask_end(ask *a);
/* The sampling that the options ask for. It has pointers into a. */
tn_sampling ask_sampling(const ask *a, const setup *s, const options *o);
/* A message of a text. */
tn_message ask_message(const char *role, const char *text, size_t n);

#endif
