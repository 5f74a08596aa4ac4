/* optim_words.h - the settings of a reference case, translated into ours.
   A setting that is not known fails the test: a case is not run without it.

       static const word words[] = { { NULL, "wd", NULL, "weight_decay=" },
                                     { "balora", "best", "0", "" } };
       char ours[512];
       const char *unknown = in_our_words(settings, "balora", def, words, 2, ours, sizeof ours); */
#ifndef TN_OPTIM_WORDS_H
#define TN_OPTIM_WORDS_H

#include "optim/optim.h"

typedef struct word {
    const char *of; /* optimizer of the file; NULL: any */
    const char *key;
    const char *value; /* as in the file, "1" for true, "0" for false, "null"; NULL: any */
    const char *ours;  /* "name=": takes the value; "name=value"; "": the test says it elsewhere */
} word;

/* Appends to out the settings of def that the keys name, null leaving a default, and what the words
   say of the other keys. Returns the first key that is neither, or NULL. */
const char *in_our_words(const tn_json *settings, const char *of, const tn_optim_def *def,
                         const word *words, size_t count, char *out, size_t room);

#endif
