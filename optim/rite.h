/* rite.h - the steps that lora_rite.c and lora_rite_paper.c share; rite.c has their equations.
   x is the factor that moves, TN_LORA_A or TN_LORA_B. The basis of its moments is that of its
   partner y. Internal header.

       tn_rite m = tn_rite_of(u);
       tn_rite_bases(u, &m, 0);                                             (1), (2): both factors
       tn_rite_transport(u, x, &m);                                         (3), (4)
       tn_rite_second_moment(u, x, &m, a, b);                               (6)
       tn_rite_root(u, x, &m, (tn_rite_floor){ .rho = rho, .eps = eps });   (7)
       tn_rite_first_moment(u, x, &m, a, b);                                (8)
       tn_rite_move(u, x, &m, 1, eta);                                      (9)
       tn_rite_follow(u, x, &m, 0, 1, eta);                                 or (d)

   All moments use values from before the step: (3) to (8) of both factors come before (9) of
   either. Nothing here fails: a matrix without an inverse has its pseudo-inverse. */
#ifndef TN_RITE_H
#define TN_RITE_H

#include "optim/algebra/basis.h"

/* The state. TN_RITE_V + x, TN_RITE_T + x and TN_RITE_RHO + x belong to factor x. */
enum {
    TN_RITE_D,
    TN_RITE_OLD,                /* TN_LIKE_X: M T^T, and the factor before the step */
    TN_RITE_V,                  /* TN_R_BY_R, two */
    TN_RITE_T = TN_RITE_V + 2,  /* TN_R_BY_R, two: T of the factor before the step */
    TN_RITE_RHO = TN_RITE_T + 2 /* TN_SCALAR, two: (5), which each page has for itself */
};

/* .slots of both pages, in the order of these names. */
/* clang-format off */
#define TN_RITE_SLOTS { { "d", TN_LIKE_X }, { "old", TN_LIKE_X }, { "v.A", TN_R_BY_R }, { "v.B", TN_R_BY_R }, \
                        { "t.A", TN_R_BY_R }, { "t.B", TN_R_BY_R }, { "rho.A", TN_SCALAR }, { "rho.B", TN_SCALAR } }
/* clang-format on */

typedef struct tn_rite {    /* the scratch of a unit; (r,r) where nothing else is noted */
    double *gram[2], *t[2]; /* of each factor: X^T X and its T */
    double *uu[2];          /* of each factor: U^T U at c = 1 */
    double *c;              /* (2), of each factor: what U is multiplied by */
    double *cross;          /* Y^T Y_old of the factor at hand */
    double *moved;          /* V' of the factor at hand */
    double *h;              /* H of the factor at hand */
    double *w;              /* (2 r) eigenvalues */
    double *p, *k, *l;      /* of one function at a time */
    double *work;           /* of basis.h */
    size_t bytes;           /* of all pieces */
} tn_rite;

typedef struct tn_rite_floor { /* (7): what bounds the inverse root */
    double rho, eps;
    double share; /* (c), 0 .. 1 */
    double cut;   /* (a), a share of the largest eigenvalue */
} tn_rite_floor;

tn_rite tn_rite_of(const tn_unit *u);     /* the pieces of u->memory */
size_t tn_rite_scratch(const tn_unit *u); /* their bytes, for .scratch */

/* (1) and (2) of both factors: gram, t, uu, and c = 1. cut: as in tn_basis. */
void tn_rite_bases(const tn_unit *u, const tn_rite *m, double cut);
/* (3) and (4): cross and moved. */
void tn_rite_transport(const tn_unit *u, int x, const tn_rite *m);
/* For (5), after (4): eigenvalues, ascending, of V into w[0 .. r) and of V' into w[r .. 2 r). */
void tn_rite_spectra(const tn_unit *u, int x, const tn_rite *m);
void tn_rite_second_moment(const tn_unit *u, int x, const tn_rite *m, double a, double b); /* (6) */
void tn_rite_root(const tn_unit *u, int x, const tn_rite *m, tn_rite_floor f);             /* (7) */
void tn_rite_first_moment(const tn_unit *u, int x, const tn_rite *m, double a, double b);  /* (8) */
/* Rank of factor y: how many columns its basis has. */
int64_t tn_rite_rank(const tn_unit *u, int y, const tn_rite *m);
/* rms(M). M has the rows of factor x and r columns. */
double tn_rite_rms(const tn_unit *u, int x, const tn_rite *m);
/* (9) with weight decay: X = keep X - eta D. Before that, X and its T become the old ones. */
void tn_rite_move(const tn_unit *u, int x, const tn_rite *m, double keep, double eta);
/* (d), after (9) of the partner: X = keep X - eta D K. Before that, as in tn_rite_move. */
void tn_rite_follow(const tn_unit *u, int x, const tn_rite *m, double cut, double keep, double eta);
void tn_rite_balance(const tn_unit *u); /* (e) */

#endif
