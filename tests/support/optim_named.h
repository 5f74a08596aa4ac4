/* optim_named.h - weights with given names and shapes, for rules of optimizers about names.

       static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", "bias", NULL };
       static const int64_t dims[][3] = { { 2, 2, 4 }, { 2, 4, 2 }, { 1, 3 } };   rank, sides
       tn_params *p = named(context, names, dims);
       tn_optim *o = named_optimizer(p, "sgd", (const char *const[]){ "momentum=0.9", NULL });
       named_gradients(p, 1);
       ck_assert_int_eq(tn_optim_step(o), 0); */
#ifndef TN_OPTIM_NAMED_H
#define TN_OPTIM_NAMED_H

#include "optim/optim.h"

tn_params *named(tn_context *c, const char *const names[], const int64_t dims[][3]);
/* Sets the gradients of step k. They depend on the names of the weights, not on their order. */
void named_gradients(tn_params *p, int64_t k);
/* Makes an optimizer with these settings. An error fails the test. */
tn_optim *named_optimizer(tn_params *p, const char *name, const char *const *set);
/* Fails unless tn_optim_new refuses, with this code and a text that contains `part`. */
void named_refused(tn_params *p, const char *name, const tn_optim_options *o, int code,
                   const char *part);

#endif
