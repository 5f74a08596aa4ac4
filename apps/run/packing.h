/* packing.h - the batches of a training run, and whether their records lie side by side.

       packing how;
       tn_loader *l = packing_loader(data, &(tn_loader_options){ .batch = 4 }, o, &how, &e);

   Packing changes how the records of a batch lie in memory, not which records it has: a run has the same
   steps with it, each with the same loss up to rounding. */
#ifndef TN_APP_PACKING_H
#define TN_APP_PACKING_H

#include "apps/options/options.h"
#include "data/data.h"

typedef struct packing {
    bool on;
    double padding; /* without packing: the share of padding in all that is computed, 0 to 1 */
} packing;

/* A loader for training. Its records are packed if --packing says so; if it is not set, if padding
   would be more than a tenth of the first epoch's batches. The caller frees the loader. */
tn_loader *packing_loader(const tn_dataset *d, const tn_loader_options *how, const options *o,
                          packing *out, tn_error *e);
void packing_show(const packing *p); /* a line about it, for records */

#endif
