/* lab.h - optimizers, small problems and pictures for the experiments of `tenon lab`.
   The chosen optimizers, a run of one of them on a problem small enough to understand, and the
   pictures.

       lab_task t = { .out = 17, .in = 11, .r = 4, .a = A, .b = B, .loss = ..., .problem = &y };
       double lr = lab_rate(l, &l->chosen[k], &t, e);
       lab_run(l, &l->chosen[k], lr, &t, each, arg, e);
       lab_show(l, charts, n, LAB_GRID, e);

   Letters as in the papers: the product is s A B^T with A = lora_B (out,r) and B = lora_A^T (in,r).
   Errors stick to e; a run whose numbers stop being finite just ends. */
#ifndef TN_APP_LAB_H
#define TN_APP_LAB_H

#include "apps/options/choice.h"
#include "apps/chart/curves.h"

enum { LAB_MOST = 8, LAB_LABEL = 40 };

typedef struct lab_choice { /* an optimizer with the settings of its claim and of --opt */
    const tn_optim_def *def;
    const char *set[TN_MAX_HYPER + MAX_LIST + 1];
    char claim[128];       /* text of the first ones */
    bool claims;           /* --opt changes no setting that the claim needs */
    char label[LAB_LABEL]; /* name and settings */
} lab_choice;

typedef struct lab {
    const options *o;
    tn_context *context;
    uint64_t seed;
    lab_choice chosen[LAB_MOST];
    int count;
    int width; /* of a column of labels */
} lab;

typedef struct experiment {
    const char *name, *help;
    const char *optimizers; /* comma-separated; --optimizers replaces them */
    const char *always;     /* optimizers that always run; or NULL */
    int (*run)(const lab *l, tn_error *e);
} experiment;

int lab_invariance(const lab *l, tn_error *e);
int lab_first_steps(const lab *l, tn_error *e);
int lab_init_scale(const lab *l, tn_error *e);
int lab_conditioning(const lab *l, tn_error *e);
int lab_paths(const lab *l, tn_error *e);
int lab_rank(const lab *l, tn_error *e);
int lab_alpha(const lab *l, tn_error *e);

/* Sets a setting. It replaces one of the same name. */
void lab_set(lab_choice *c, const char *setting);

typedef enum lab_layout { LAB_WIDE, LAB_GRID } lab_layout;

/* Draws the charts in the terminal, and in the file of --svg. */
int lab_show(const lab *l, const chart *c, int n, lab_layout layout, tn_error *e);

/* ---- a run (lab_run.c) ---- */

typedef struct lab_task {
    int64_t out, in, r;  /* of a pair; r 0: one weight Z (out,in) in place of the product */
    double s;            /* scale of the pair; 0: 1 */
    const double *a, *b; /* start of A (out,r) and B (in,r); of Z in a */
    /* The loss of the product z (out,in); writes its gradient into g. */
    double (*loss)(const void *problem, const double *z, double *g);
    const void *problem;
    int steps;
} lab_task;

typedef struct lab_state { /* before a step; the last one: after all steps */
    int step;              /* steps done */
    double loss;
    const double *z;      /* the product */
    const tn_real *a, *b; /* lora_B (out,r), lora_A (r,in); Z in a */
    const tn_optim *optim;
} lab_state;

/* Calls each(arg, now) for every step from 0 to t->steps, unless the loss stops being finite. */
int lab_run(const lab *l, const lab_choice *how, double lr, const lab_task *t,
            void (*each)(void *arg, const lab_state *now), void *arg, tn_error *e);
/* --learning-rate, or a rate that works well on this task (see LAB_RATES). */
double lab_rate(const lab *l, const lab_choice *how, const lab_task *t, tn_error *e);
#define LAB_RATES                                                                                  \
    "Rate: the smallest of 1e-4, 3e-4, ... 1 whose last loss is the lowest, to a thousandth of "   \
    "the first one.\n--learning-rate sets one.\n\n"
typedef struct lab_goal {
    int64_t out, in;
    const double *y; /* (out,in) */
} lab_goal;
/* The task of fitting y: the loss is 1/2 ||z - y||^2. The task reads the goal, a and b. */
lab_task lab_fit(const lab_goal *y, int64_t r, const double *a, const double *b, int steps);
/* Fills x with N(0, std^2), from a stream of the seed. */
void lab_normal(const lab *l, const char *stream, double std, int64_t n, double *x);

#endif
