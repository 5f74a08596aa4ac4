/* rite.h - the algebra that lora_rite.c and lora_rite_paper.c share; its equations stand in rite.c.
   Internal header.

       tn_rite m = tn_rite_of(u);
       tn_rite_bases(u, &m, 0);                                      (1), (2) of both factors
       tn_rite_transport(u, i, &m);                                  (3), (4) of factor i
       tn_rite_second_moment(u, i, &m, a, b);                        (5)
       tn_rite_root(u, i, &m, (tn_rite_floor){ .rho = rho, .eps = eps });   (6)
       tn_rite_first_moment(u, i, &m, a, b);                         (7)
       tn_rite_move(u, i, &m, 1, eta);                               (8), after (3) to (7) of both
       tn_rite_follow(u, i, &m, 0, 1, eta);                          (9), of the one that moves last

   All moments go by values from before the step, so both factors move last. */
#ifndef TN_RITE_H
#define TN_RITE_H

#include "optim/algebra/basis.h"

/* Slots of the state. TN_RITE_V + i and so on belong to factor i: 0 lora_A, 1 lora_B. */
enum {
    TN_RITE_D, TN_RITE_OLD, /* TN_LIKE_X: D and the factor before the step */
    TN_RITE_V,              /* TN_R_BY_R, two */
    TN_RITE_T = TN_RITE_V + 2,
    TN_RITE_RHO = TN_RITE_T + 2 /* TN_SCALAR, two; what it means is the optimizer's */
};

typedef struct tn_rite { /* where things lie in the memory of a unit; (r,r) unless said */
    double *gram[2], *t[2]; /* of each factor: X^T X, and its T */
    double *uu[2];          /* of each factor: U^T U at c = 1 */
    double *c;              /* (2): what U is multiplied by */
    double *cross, *moved;  /* of the factor at hand: Y^T Y_old, V' */
    double *h;              /* of the factor at hand: H */
    double *p, *k, *spare, *w, *work;
} tn_rite;

typedef struct tn_rite_floor { /* of (6): what keeps the root from blowing up */
    double rho, eps;
    double share, cut; /* of the largest eigenvalue: how far the others go to it; what counts as 0 */
} tn_rite_floor;

tn_rite tn_rite_of(const tn_unit *u);
size_t tn_rite_scratch(const tn_unit *u); /* bytes, for .scratch */

/* (1) and (2): gram, t, uu and c = 1 of both factors; cut as in tn_basis. */
void tn_rite_bases(const tn_unit *u, const tn_rite *m, double cut);
/* (3) and (4): cross and moved. */
void tn_rite_transport(const tn_unit *u, int i, const tn_rite *m);
/* Eigenvalues, ascending, of V into w[0 .. r) and of V' into w[r .. 2 r): before (5). */
void tn_rite_spectra(const tn_unit *u, int i, const tn_rite *m);
void tn_rite_second_moment(const tn_unit *u, int i, const tn_rite *m, double a, double b); /* (5) */
void tn_rite_root(const tn_unit *u, int i, const tn_rite *m, tn_rite_floor f);             /* (6) */
void tn_rite_first_moment(const tn_unit *u, int i, const tn_rite *m, double a, double b);  /* (7) */
/* Directions of the basis Q of factor i's moments: the rank of Y. */
int64_t tn_rite_directions(const tn_unit *u, int i, const tn_rite *m);
/* rms(M), which has the rows of factor i and r columns. */
double tn_rite_rms(const tn_unit *u, int i, const tn_rite *m);
/* (8) with weight decay, X = keep X - eta D, after X and its T were put away as the old ones. */
void tn_rite_move(const tn_unit *u, int i, const tn_rite *m, double keep, double eta);
/* (9) for factor i, after (8) of the other: X = keep X - eta D K, and the same is put away. */
void tn_rite_follow(const tn_unit *u, int i, const tn_rite *m, double cut, double keep, double eta);
/* Gives both factors the same norm: A sqrt(b/a), B sqrt(a/b), a = ||A|| + 1e-6, b likewise. */
void tn_rite_balance(const tn_unit *u);

#endif
