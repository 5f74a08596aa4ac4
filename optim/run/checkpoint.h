/* checkpoint.h - what saving and loading a checkpoint share. Internal header. */
#ifndef TN_CHECKPOINT_H
#define TN_CHECKPOINT_H

#include "optim/run/optimizer.h"

/* How a number of tn_real lies in the files of a checkpoint. */
static inline tn_file_type tn_checkpoint_real(void)
{
    return sizeof(tn_real) == sizeof(float) ? TN_FILE_F32 : TN_FILE_F64;
}

/* tn_given for all but e; refuses params other than the optimizer's, and those of a sketch. */
int tn_checkpoint_given(const char *folder, const tn_params *p, const tn_optim *o,
                        const tn_run_state *r, const char *function, tn_error *e);
/* The first of n floats (TN_FILE_F32) or doubles (TN_FILE_F64) that is infinite or NaN, in *value too;
   n: none is. The bytes need no alignment. */
int64_t tn_checkpoint_not_finite(const void *bytes, int64_t n, tn_file_type type, double *value);

#endif
