/* gradients.h - one block of memory for the gradients of many tensors. Internal header. */
#ifndef TN_GRADIENTS_H
#define TN_GRADIENTS_H

#include "core/core.h"

/* Moves the gradients of n different tensors of the caller into one block, in this order, unless
   they fill one already. All of them must have memory for a gradient. *numbers and *count are the
   block, NULL and 0 for n = 0: each tensor begins at a multiple of 64 bytes, and the gaps between
   them hold zeros. The block ends with its last tensor. On TN_ENOMEM nothing has changed. */
int tn_gradients_join(tn_tensor *const w[], int64_t n, tn_real **numbers, int64_t *count);
/* The tensor has no memory for a gradient any more. */
void tn_gradient_free(tn_tensor *a);

#endif
