/* optim_problem.h - LoRA pairs with a least squares loss, for the tests of optimizers.

       problem p;
       problem_new(&p, 2, sizes, 7);                 weights registered in an order shuffled by 7
       problem_optimizer(&p, "lora-rite", "lr=0.1 clip=0", -1);
       problem_gradients(&p, i, target, 1);          of 1/2 ||s B A - target||^2, for each pair i
       problem_step(&p); */
#ifndef TN_OPTIM_PROBLEM_H
#define TN_OPTIM_PROBLEM_H

#include "optim/optim.h"

enum { MAX_PAIRS = 4 };

/* clang-format off */
typedef struct pair_size { int64_t out, in, r; double s; } pair_size;
/* clang-format on */

typedef struct problem {
    tn_context *context;
    tn_params *params;
    tn_optim *optim;
    int pairs;
    pair_size size[MAX_PAIRS];
    tn_tensor *a[MAX_PAIRS], *b[MAX_PAIRS]; /* lora_A (R,in), lora_B (out,R) */
} problem;

void problem_new(problem *p, int pairs, const pair_size *size, uint64_t shuffle);
void problem_free(problem *p);
/* Makes an optimizer. settings: "name=value name=value". max_grad_norm as in tn_optim_options. An
   error fails the test. */
void problem_optimizer(problem *p, const char *name, const char *settings, double max_grad_norm);
/* The same, but returns what tn_optim_new returns. */
tn_optim *problem_try(problem *p, const tn_optim_def *def, const char *settings,
                      double max_grad_norm, tn_schedule schedule, tn_error *e);
void problem_step(problem *p);
/* Sets the gradients of pair i for the loss scale/2 ||s B A - target||^2, target (out,in). Returns
   the loss. */
double problem_gradients(problem *p, int i, const double *target, double scale);
/* Writes B A of pair i to out (out,in). */
void problem_product(const problem *p, int i, double *out);
/* Runs steps on a problem of one pair. The target has new noise in each step. */
void problem_descend(problem *p, int steps);
/* The largest difference of the products of two problems of one pair. */
double problem_difference(const problem *p, const problem *q);
/* The hash of all weights and of the optimizer's state. */
uint64_t state_hash(const tn_params *p, tn_optim *o);
/* The problem of optimizers.txt: one pair (5,4) with rank 2 and s = 1.5. */
void golden_problem(problem *p, bool zero, uint64_t shuffle);
double golden_gradients(problem *p); /* returns the loss */

/* ---- linear algebra for checks: A = lora_B (m,r), B = lora_A^T (n,r) as in the papers ---- */

double limit_of(double in_double, double in_float); /* the one of the two for this build */
/* One pair with normal factors of size 0.3. `zero`: lora_B is zero. */
void problem_pair(problem *p, int64_t out, int64_t in, int64_t r, double s, bool zero);
/* Sets the gradients gA = s G B and gB = s G^T A of the pair, where G (out,in) = dL/dW. */
void problem_set_gradient(problem *p, const double *g);
double *problem_factor(const problem *p, bool a); /* A or B, in new memory */
double normal(uint64_t stream, int64_t i);        /* random number i of the stream */
double *normals(int64_t n, uint64_t stream);      /* in new memory */
/* x (n,r) = q (n,r) rr (r,r): the columns of q are orthonormal. By Gram-Schmidt, done twice. */
void orthonormalise(int64_t n, int64_t r, const double *x, double *q, double *rr);
/* out (n,m) = x (n,r) y (r,m), or y^T if y is (m,r). */
void multiply(int64_t n, int64_t r, int64_t m, const double *x, const double *y, bool yt,
              double *out);
/* The projector (n,n) onto the columns of x (n,r), in new memory. */
double *projector(int64_t n, int64_t r, const double *x);

#endif
