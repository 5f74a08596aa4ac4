/* optim_trajectory.h - replays one run of trajectories.json.
   It makes the weights and the gradients, and compares a pair after `mark` steps with the file. The
   file has the limit of the difference.

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
    double scale, limit; /* factor of the gradients; limit of |got - want| */
    double *y[MAX_PAIRS], *noise[MAX_PAIRS];
    double worst; /* the largest difference so far, divided by the limit */
} trajectory;

/* The number object[key], or `otherwise` if there is none. */
double real_of(const tn_json *object, const char *key, double otherwise);

/* item is a case of folder/trajectories.json. */
void trajectory_start(trajectory *r, const char *folder, const tn_json *item, const char *optimizer,
                      const char *settings);
void trajectory_free(trajectory *r);
double trajectory_gradients(trajectory *r, int t); /* sets those of step t; returns the loss */

void trajectory_weights(trajectory *r, int pair, int mark);
void trajectory_product(trajectory *r, int pair, int mark);
/* Compares elementwise state. names[k] is the name in the file for our slot k; NULL ends the list.
   False if the file has no state at this mark. */
bool trajectory_state(trajectory *r, const char *const names[3], int pair, int mark);
/* Compares the state of lora-rite, which depends on a basis. `port`: the file has the names of the
   clamped port. False if the file has no state at this mark. */
bool trajectory_rite(trajectory *r, bool port, int pair, int mark);

#endif
