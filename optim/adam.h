/* adam.h - the elementwise step of Adam, for every page that ends in one. Internal header. */
#ifndef TN_ADAM_H
#define TN_ADAM_H

#include "optim/optim.h"

enum { TN_ADAM_LR, TN_ADAM_BETA1, TN_ADAM_BETA2, TN_ADAM_EPS, TN_ADAM_DECAY }; /* first of .hyper */

typedef enum tn_bias { /* of the moments, which start as zeros */
    TN_BIAS_CORRECTED, /* (5) of adam.c, as torch */
    TN_BIAS_BUT_EPS,   /* (7) */
    TN_BIAS_KEPT       /* (8) */
} tn_bias;

typedef struct tn_adam {
    const tn_real *g;        /* the gradient */
    double rate;             /* eta */
    double coupled, shrink;  /* lambda of (1); what the weight is multiplied by first; both only for
                                weights that decay */
    double fade;             /* share of a weight that decays which is taken off after the step */
    tn_bias bias;
    tn_real *top;            /* AMSGrad's largest v, or NULL */
} tn_adam;

/* The equations of adam.c for factor k of u, whose first two slots are m and v. */
void tn_adam_step(const tn_unit *u, int k, tn_adam how);
/* AdamW on g at a rate, with the weight decay of u->h. */
tn_adam tn_adamw(const tn_unit *u, const tn_real *g, double rate);

#endif
