/* optim_trajectory.h - one run of trajectories.json.
   Its start, its gradients, and the comparison of a pair with the file after `mark` steps,
   within the file's limit.

       trajectory r;
       trajectory_start(&r, folder, item, "lion", "beta1=0.5");
       trajectory_gradients(&r, 0);
       problem_step(&r.p);
       trajectory_weights(&r, 0, 1);
       trajectory_free(&r); */
#ifndef TN_OPTIM_TRAJECTORY_H
#define TN_OPTIM_TRAJECTORY_H

#include "tests/support/optim_problem.h"

typedef struct trajectory {
    problem p;
    tn_safetensors *file;
    const char *name;
    double scale, limit; /* of the gradients; of |got - want| */
    double *y[MAX_PAIRS], *noise[MAX_PAIRS];
    double worst; /* difference so far, in limits */
} trajectory;

/* A number of the file; otherwise: it is not there. */
double real_of(const tn_json *object, const char *key, double otherwise);

/* item is a case of folder/trajectories.json. */
void trajectory_start(trajectory *r, const char *folder, const tn_json *item, const char *optimizer,
                      const char *settings);
void trajectory_free(trajectory *r);
double trajectory_gradients(trajectory *r, int t); /* at t; returns the loss there */

void trajectory_weights(trajectory *r, int pair, int mark);
void trajectory_product(trajectory *r, int pair, int mark);
/* names: of elementwise state in the file, for our slots in order, up to NULL. False: the file has
   no state at this mark. */
bool trajectory_state(trajectory *r, const char *const names[3], int pair, int mark);
/* State of lora-rite, which is free up to a basis; port: under the names of the clamped port. */
bool trajectory_rite(trajectory *r, bool port, int pair, int mark);

#endif
