/* reference.h - what eval measures the rewards of preferences against.

       tn_text against = { 0 };
       reference_open(&s, o, &against, &e);      s.reference is made, s.other perhaps opened
       against.n == 0: there are no rewards      tn_text_free(&against) in any case

   It is what --reference names, or else what the training began with: config.used of the run says
   so. An adapter whose run began without another one is compared with the model without it. */
#ifndef TN_APP_REFERENCE_H
#define TN_APP_REFERENCE_H

#include "apps/run/setup.h"

/* `against` gets what the reference is, for people. If it is not known, a note
   says why, and nothing is added. */
int reference_open(setup *s, const options *o, tn_text *against, tn_error *e);

#endif
