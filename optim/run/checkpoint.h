/* checkpoint.h - what checkpoint.c and checkpoint_save.c share. Internal header. */
#ifndef TN_CHECKPOINT_H
#define TN_CHECKPOINT_H

#include "optim/run/optimizer.h"

/* The tensors of one file of a checkpoint: the trained weights, or the blocks of state. */
typedef struct tn_saved {
    const char *file, *one, *all, *which; /* "weight", "weights", "that are trained" */
    tn_entry *entries; /* their names and bytes are those of the params or of the optimizer */
    int64_t count;
} tn_saved;

/* The caller frees .entries, which is NULL when memory is out. */
tn_saved tn_saved_weights(const tn_params *p);
tn_saved tn_saved_state(const tn_optim *o);

/* Refuses NULL (see tn_given), params that are not those of the optimizer, params of a sketch, and
   weights that the optimizer no longer trains (tn_units_check). */
int tn_checkpoint_given(const char *folder, const tn_params *p, const tn_optim *o,
                        const tn_run_state *r, const char *function, tn_error *e);

#endif
