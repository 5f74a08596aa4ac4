/* adam.h - the elementwise step of Adam, for every page that ends with one. Internal header. */
#ifndef TN_ADAM_H
#define TN_ADAM_H

#include "optim/optim.h"

/* The first of .hyper. Only adam.c and adamw.c have the last one. Other pages have other settings
   in its place. */
enum { TN_ADAM_LR, TN_ADAM_BETA1, TN_ADAM_BETA2, TN_ADAM_EPS, TN_ADAM_DECAY, TN_ADAM_AMSGRAD };

/* How a step corrects the start of the moments at zero. */
typedef enum tn_bias {
    TN_BIAS_CORRECTED, /* (5) of adam.c, as torch */
    TN_BIAS_BUT_EPS,   /* (7) */
    TN_BIAS_KEPT       /* (8) */
} tn_bias;

typedef struct tn_adam {
    const tn_real *g; /* the gradient, of the shape of the weight */
    double rate;      /* eta */
    tn_bias bias;
    tn_real *top; /* AMSGrad's w of (6), or NULL */
    /* The decay, of weights that decay: */
    double coupled; /* lambda of (1); 0: none */
    double shrink;  /* factor of x_{t-1}; 1: no decay before the step */
    double fade;    /* share of x_t that is subtracted after the step; 0: none */
} tn_adam;

/* The equations of adam.c for factor k of u. The first two slots of u are m and v. */
void tn_adam_step(const tn_unit *u, int k, tn_adam how);
/* AdamW on g at this rate, with the weight decay of u->h: for tn_adam_step. */
tn_adam tn_adamw(const tn_unit *u, const tn_real *g, double rate);
bool tn_adam_needs(const tn_unit *u, int slot, int k); /* .needs of adam.c and adamw.c */

#endif
