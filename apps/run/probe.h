/* probe.h - the logits of a few made-up tokens, to see how far two models are apart.

       probe p = { 0 };
       probe_take(&p, m, &e);                       a model with its adapter
       tn_lora_merge(m, &e);
       double d = probe_difference(&p, m, &e);      the largest difference of a logit
       probe_end(&p); */
#ifndef TN_APP_PROBE_H
#define TN_APP_PROBE_H

#include "nn/nn.h"

typedef struct probe { /* starts as { 0 } */
    int64_t tokens, vocab;
    tn_real *logits; /* (tokens,vocab) */
    double largest;  /* |logit| */
} probe;

/* Runs the model on the tokens. */
int probe_take(probe *p, const tn_model *m, tn_error *e);
/* Runs another model of this vocabulary on them; on the first of them if it has fewer positions,
   and p->tokens becomes their number. Logits that are not finite, of one of the two, are
   refused (TN_ENONFINITE). 0 after an error. */
double probe_difference(probe *p, const tn_model *m, tn_error *e);
void probe_end(probe *p);

#endif
