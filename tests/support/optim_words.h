/* optim_words.h - translates the settings of a reference case into ours.
   A test must fail if a setting is unknown: otherwise the case would run without it.

       static const word words[] = { { NULL, "wd", NULL, "weight_decay=" },
                                     { "balora", "best", "0", "" } };
       char ours[512];
       const char *unknown = in_our_words(settings, "balora", def, words, 2, ours, sizeof ours); */
#ifndef TN_OPTIM_WORDS_H
#define TN_OPTIM_WORDS_H

#include "optim/optim.h"

typedef struct word {
    const char *of; /* the optimizer's name in the file; NULL: any */
    const char *key;
    const char *value; /* as in the file, "1" for true, "0" for false, "null"; NULL: any */
    const char *ours;  /* "name=": with the file's value; "name=value"; "": the test sets it */
} word;

/* Appends our settings to out. A key that is the name of a setting of def keeps its name; with the
   value null it is left out, so the default holds. Other keys are translated by `words`. Returns
   the first key that is neither, or NULL. */
const char *in_our_words(const tn_json *settings, const char *of, const tn_optim_def *def,
                         const word *words, size_t count, char *out, size_t room);

#endif
