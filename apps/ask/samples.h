/* samples.h - what a model in training answers to the same prompts again and again (--sample).

       samples s = { 0 };
       samples_open(&s, &setup, o, &e);                     nothing if none are asked for
       samples_take(&s, each, arg, &e);                     after an evaluation
       samples_close(&s);

   The answers are the likeliest tokens. The ops run on a tape of their own and no weight changes, so a
   run has the same bits with and without them. Records that are chats give the prompts their template;
   without such records prompts are plain text, as `generate` does it with the result. */
#ifndef TN_APP_SAMPLES_H
#define TN_APP_SAMPLES_H

#include "apps/ask/prompts.h"

typedef struct samples {
    const setup *s;
    const options *o;
    ask how;
    prompts prompts;
} samples;

/* A prompt and the answer to it, of so many tokens. */
typedef int samples_each(void *arg, tn_span prompt, tn_span answer, int64_t tokens);

int samples_open(samples *s, const setup *with, const options *o, tn_error *e);
/* Calls each(arg, ...) for each prompt, in order, until a call returns something else than 0. */
int samples_take(samples *s, samples_each *each, void *arg, tn_error *e);
void samples_close(samples *s);

#endif
