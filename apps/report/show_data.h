/* show_data.h - what a data set has, in words: records and tokens, what is cut and what left out.

       tn_text t = { 0 };
       show_data_facts(d, o, 256, true, &t);
       1,240 records (chat), 402,113 tokens, 211,870 in the loss, 3 cut at 256 tokens, 1 skipped
       (line 77: no assistant turn) */
#ifndef TN_APP_SHOW_DATA_H
#define TN_APP_SHOW_DATA_H

#include "apps/options/options.h"
#include "data/data.h"

/* length: the largest number of tokens in a row. drawn: windows are drawn from all of a text, so
   that nothing of it is left over. */
void show_data_facts(const tn_dataset *d, const options *o, int64_t length, bool drawn,
                     tn_text *out);
/* Only what is cut, skipped and left over, with a comma before each; nothing if all fits. */
void show_data_cuts(const tn_dataset *d, const options *o, int64_t length, bool drawn,
                    tn_text *out);

#endif
