/* recipe.h - the optimizer of a run: its name, its rate, its settings.

       const recipe how = { .optimizer = "adamw", .lr = NOT_SET };
       recipe_check(o, &how, &e);                           before anything is opened
       tn_optim *p = recipe_optim(params, o, &how, 1e-3, &schedule, &e);

   Errors: APP_USAGE, with the names of the options. */
#ifndef TN_APP_RECIPE_H
#define TN_APP_RECIPE_H

#include "apps/options/options.h"
#include "optim/optim.h"

typedef struct recipe {
    const char *optimizer;
    double lr;              /* NOT_SET: that of a preset, or of defaults.h */
    const char *const *set; /* its settings, ended by NULL; or NULL */
} recipe;

bool recipe_has_preset(const recipe *how); /* which may have a rate of its own */
/* Makes the optimizer for the params at the rate lr; 0 or NOT_SET: that of the preset. The rest of
   how it works is in the options. The caller frees it. NULL: see e. */
tn_optim *recipe_optim(tn_params *p, const options *o, const recipe *how, double lr,
                       const tn_schedule *schedule, tn_error *e);
/* Refuses what no model makes right: an optimizer or a setting that is unknown or out of range, or
   that contradicts other options. */
int recipe_check(const options *o, const recipe *how, tn_error *e);
/* Refuses an --lr-min above the rate. */
int recipe_check_rate(const options *o, double lr, tn_error *e);

#endif
