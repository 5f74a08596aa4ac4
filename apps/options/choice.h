/* choice.h - the optimizers that the options name, and their --opt settings.

       const char *names[MOST_OPTIMIZERS], *set[MAX_LIST + 1];
       int n = choice_names(o, "sgd,adam", names, MOST_OPTIMIZERS, e);
       choice_check(o, names, n, e);
       choice_settings(o, names[0], set);

   Errors: APP_USAGE, with the nearest name. */
#ifndef TN_APP_CHOICE_H
#define TN_APP_CHOICE_H

#include "apps/options/options.h"
#include "optim/optim.h"

enum { MOST_OPTIMIZERS = 64 };

/* Finds an optimizer by name. If there is none, it returns NULL, and e names the nearest. */
const tn_optim_def *choice_find(const char *name, tn_error *e);
/* Lists the names in --optimizers, or in the list `otherwise` (NULL: all), in the form of
   tn_optims. Returns how many. Refuses more than `most`, and a name that is given twice. */
int choice_names(const options *o, const char *otherwise, const char **names, int most,
                 tn_error *e);
/* Refuses an --opt NAME.K=V whose NAME is not among the names. */
int choice_check(const options *o, const char *const *names, int n, tn_error *e);
/* Lists the settings of --opt for this optimizer: "k=v", "NAME.k=v" with its name. NULL ends it. */
void choice_settings(const options *o, const char *name, const char *set[MAX_LIST + 1]);

#endif
