/* team_none.c - a program without MPI: every process is alone (team.h). */
#include "apps/options/options.h"
#include "apps/run/team.h"

#include <stdio.h>
#include <stdlib.h>

void team_built(char *out, size_t room)
{
    snprintf(out, room, "no MPI");
}

/* Processes that mpirun started would all do the same work, and write the same folder. */
team *team_begin(tn_error *e)
{
    static const char *const sizes[] = { "OMPI_COMM_WORLD_SIZE", "PMI_SIZE" };
    for (int i = 0; i < 2; i++) {
        const char *size = getenv(sizes[i]);
        if (!e->code && size && atoi(size) > 1)
            tn_fail(e, APP_USAGE,
                    "mpirun started %d processes, and this program was built without MPI; "
                    "expected one process, or a program made by: make WITH_MPI=1",
                    atoi(size));
    }
    return NULL;
}

void team_end(team *t)
{
    (void)t;
}

int team_agree(team *t, tn_error *e)
{
    (void)t;
    return e->code;
}

int team_most(team *t, int *value, int n, tn_error *e)
{
    (void)value, (void)n;
    return team_agree(t, e);
}

int team_tell(team *t, void *data, size_t bytes, tn_error *e)
{
    (void)data, (void)bytes;
    return team_agree(t, e);
}

int team_add(team *t, tn_real *sum, const tn_real *x, int64_t n, tn_error *e)
{
    if (!team_agree(t, e))
        team_plus(sum, x, n);
    return e->code;
}

int team_gather(team *t, tn_real *sum, int64_t n, tn_error *e)
{
    (void)sum, (void)n;
    return team_agree(t, e);
}

int team_add_few(team *t, double *sum, const double *x, int n, tn_error *e)
{
    for (int i = 0; i < n && !team_agree(t, e); i++)
        sum[i] += x[i];
    return e->code;
}
