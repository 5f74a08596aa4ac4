/* preference.h - DPO in a run: the loss that the data ask for, its reference, and its figures.

       preference_open(&s, o, &e);                       after the adapters: s.reference is made
       double *reference = preference_log_probs(&s, batch, &e);
       tn_tensor *loss = preference_loss(&s, o, batch, reference, pairs, &sum);
       preference_evaluate(&s, o, loader, &eval, &e);    also fills s.pairs

   Records with "chosen" and "rejected" ask for DPO: nothing needs to be said. A setup without such
   records has no reference, and its loss is that of tokens. */
#ifndef TN_APP_PREFERENCE_H
#define TN_APP_PREFERENCE_H

#include "apps/run/setup.h"

/* Refuses data and options that do not fit together: --loss, preferences in one part alone, an
   option that has no meaning for them. */
int preference_check(const setup *s, const options *o, tn_error *e);
/* Checks, and makes the reference if the data are preferences: the model without its new adapters,
   or a copy of the weights of --adapter-path or of a whole model that is trained. */
int preference_open(setup *s, const options *o, tn_error *e);
double preference_beta(const options *o);
/* "the model without the adapter", and so on, for people. */
const char *preference_reference(const setup *s, const options *o);
/* The reference's log-probabilities of the batch, to be freed. The setup's tape is emptied. NULL:
   see e. */
double *preference_log_probs(setup *s, const tn_batch *b, tn_error *e);
/* The loss of the batch on that tape, divided by `pairs`; its sums are added to *sum. NULL: the
   tape has the error. */
tn_tensor *preference_loss(setup *s, const options *o, const tn_batch *b, const double *reference,
                           int64_t pairs, tn_dpo *sum);
/* Evaluates all batches of the loader: the mean over pairs, its standard error, and the sums in
   s->pairs. */
int preference_evaluate(setup *s, const options *o, tn_loader *l, tn_eval *out, tn_error *e);
/* Bytes of the weights that are copied for the reference. */
double preference_bytes(const setup *s, const options *o);
/* Rows of a batch of records: a pair has two. */
int64_t preference_rows(const setup *s, int64_t records);

#endif
