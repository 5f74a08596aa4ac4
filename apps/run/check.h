/* check.h - options that are wrong whatever the folders and the data hold.

       if (!options_check(&o, c, &e) && !check_values(&o, c, &e)) ...    nothing was opened yet

   So a wrong word is named before a folder that is missing or in use. What needs the model or the
   data is refused later, when they are open. */
#ifndef TN_APP_CHECK_H
#define TN_APP_CHECK_H

#include "apps/options/options.h"

/* Refuses (APP_USAGE) values of options that no model and no data make right. */
int check_values(const options *o, const command *c, tn_error *e);

#endif
