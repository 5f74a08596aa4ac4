/* loss.h - what cross_entropy and linear_xent share. Internal header.

       loss = 1/M sum over rows with label >= 0 of  (log sum exp z) - z[label]
       dz   = dloss / M (softmax(z) - onehot(label));  0 in the other rows

   M is the number of those rows, or `tokens` (attr.i[0]) if that is positive. With m = max z the
   loss of a row is (m - z[label]) + log(sum exp(z - m)). Losses are added in the order of rows, in
   double. */
#ifndef TN_LOSS_H
#define TN_LOSS_H

#include "core/ops/ops.h"

/* Refuses labels if there are not as many as rows, or if one is not less than `classes`. */
int tn_check_labels(tn_tape *t, const tn_node *n, const tn_tensor *labels, int64_t rows,
                    int64_t classes);
int64_t tn_rows_that_count(const tn_tensor *labels);
/* 1 / M, or 0 if no row counts. */
double tn_loss_weight(const tn_node *n, int64_t rows);
/* The loss of a row from its maximum, its sum of exponentials and its label's logit. */
tn_real tn_row_loss(const tn_kernels *k, tn_real max, tn_real sum, tn_real label);

#endif
