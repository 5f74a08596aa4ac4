/* show_data.h - what a data set has, in words: records and tokens, what is cut and what left out.

       show_data(&l, d, o, 256, true, e);
       1,240 records (chat), 402,113 tokens, 211,870 in the loss, 3 cut at 256 tokens, 1 skipped
       (line 77: no assistant turn) */
#ifndef TN_APP_SHOW_DATA_H
#define TN_APP_SHOW_DATA_H

#include "apps/options/options.h"
#include "apps/report/lines.h"
#include "data/data.h"

/* Adds the rest of a line. length: the largest number of tokens in a row. drawn: windows are
   drawn from all of a text, so that nothing of it is left over. */
void show_data(lines *l, const tn_dataset *d, const options *o, int64_t length, bool drawn,
               tn_error *e);
/* Only what is cut, skipped and left over, with a comma before each; nothing if all fits. */
void show_data_cuts(lines *l, const tn_dataset *d, const options *o, int64_t length, tn_error *e);

#endif
