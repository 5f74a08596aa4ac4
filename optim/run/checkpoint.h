/* checkpoint.h - what checkpoint.c and checkpoint_save.c share. Internal header. */
#ifndef TN_CHECKPOINT_H
#define TN_CHECKPOINT_H

#include "optim/run/optimizer.h"

/* The type of a tn_real in the files of a checkpoint. */
static inline tn_file_type tn_checkpoint_real(void)
{
    return sizeof(tn_real) == sizeof(float) ? TN_FILE_F32 : TN_FILE_F64;
}

/* The type of a block of state there. */
static inline tn_file_type tn_checkpoint_type(const tn_state_block *b)
{
    return b->real ? tn_checkpoint_real() : TN_FILE_F64;
}

/* Refuses a NULL (see tn_given), params other than the optimizer's, those of a sketch, and weights
   that are no longer the optimizer's (tn_units_check). */
int tn_checkpoint_given(const char *folder, const tn_params *p, const tn_optim *o,
                        const tn_run_state *r, const char *function, tn_error *e);
/* The first of n floats (TN_FILE_F32) or doubles (TN_FILE_F64) that is infinite or NaN, in *value
   too; n: none is. The bytes need no alignment. */
int64_t tn_checkpoint_not_finite(const void *bytes, int64_t n, tn_file_type type, double *value);

#endif
