/* team.h - the processes that mpirun started for one training run, and what they exchange.

       team *all = team_begin(&e);               NULL: this process is alone
       team_add(all, sum, gradients, n, &e);     in each process, with its own gradients
       team_gather(all, sum, n, &e);             all processes have the sum now
       team_agree(all, &e);                      before the program ends
       team_end(all);

   Process 0 evaluates, decides, writes and prints. What the others print goes to /dev/null.

   Errors: every exchange begins with team_agree. So a process that fails only goes to the end of
   main and agrees there, while the others agree in their next exchange. Then all have the error of
   the first process that has one, and exchanges do nothing from then on.

   team_mpi.c is compiled with make WITH_MPI=1, else team_none.c: then a process is always alone.
   Threads: only the main thread may call these functions. */
#ifndef TN_APP_TEAM_H
#define TN_APP_TEAM_H

#include "core/core.h"

typedef struct team {
    int number, size; /* of this process, from 0; of all */
    int threads;      /* the share of this process in the CPUs of its host */
    bool failed;      /* all agreed on an error */
    int *counts;      /* (4,size), for the exchange */
    tn_real *parts;   /* what the others sent */
} team;

void team_built(char *out, size_t room); /* "Open MPI v4.1.4", or "no MPI" */
/* Refuses (APP_USAGE) a launcher of several processes if the program was built without MPI. */
team *team_begin(tn_error *e);
void team_end(team *t); /* waits for all processes */

/* If a process has an error, all have it now. Returns e->code, as all functions that follow. */
int team_agree(team *t, tn_error *e);
/* Each value becomes the largest that a process has. */
int team_most(team *t, int *value, int n, tn_error *e);
/* The bytes become those of process 0. */
int team_tell(team *t, void *data, size_t bytes, tn_error *e);
/* Adds the numbers of all processes to a sum, in the order of the processes. Each process adds a
   part of them. After several such calls team_gather gives the parts to all. */
int team_add(team *t, tn_real *sum, const tn_real *x, int64_t n, tn_error *e);
int team_gather(team *t, tn_real *sum, int64_t n, tn_error *e);
/* Adds a few numbers in the same order. All processes have the sum at once. */
int team_add_few(team *t, double *sum, const double *x, int n, tn_error *e);

static inline int team_size(const team *t)
{
    return t ? t->size : 1;
}

static inline int team_number(const team *t)
{
    return t ? t->number : 0;
}

static inline int team_threads(const team *t) /* 0: one per CPU */
{
    return t ? t->threads : 0;
}

static inline void team_plus(tn_real *sum, const tn_real *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += x[i];
}

#endif
