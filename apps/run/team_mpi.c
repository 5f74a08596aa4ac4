/* team_mpi.c - the exchange between processes by MPI (team.h). */
#define _GNU_SOURCE /* sched_getaffinity */
#include "apps/run/team.h"

#include <fcntl.h>
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many numbers, or bytes, are exchanged at once: MPI counts in int. */
enum { PIECE = 1 << 22, BYTES = 1 << 30 };

#define REAL (sizeof(tn_real) == sizeof(float) ? MPI_FLOAT : MPI_DOUBLE)

void team_built(char *out, size_t room)
{
    char name[MPI_MAX_LIBRARY_VERSION_STRING];
    int n;
    MPI_Get_library_version(name, &n);
    name[strcspn(name, ",\n")] = 0;
    snprintf(out, room, "%s", name);
}

/* MPI_Init of a process that no launcher started takes half a second, and may fail. */
static bool is_launched(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK",
                                         "PMI_SIZE" };
    bool launched = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        launched = launched || getenv(names[i]);
    return launched;
}

/* The CPUs that the processes of this host may use, divided by their number; at most those that
   this process may use. */
static int share_of_cpus(void)
{
    MPI_Comm host;
    int local, most, all = (int)sysconf(_SC_NPROCESSORS_ONLN);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
    MPI_Comm_size(host, &local);
    most = all;
#ifdef CPU_COUNT
    cpu_set_t mine, together;
    CPU_ZERO(&mine);
    if (sched_getaffinity(0, sizeof mine, &mine))
        CPU_SET(0, &mine);
    MPI_Allreduce(&mine, &together, (int)sizeof mine, MPI_BYTE, MPI_BOR, host);
    most = CPU_COUNT(&mine);
    all = CPU_COUNT(&together);
#endif
    MPI_Comm_free(&host);
    const int share = all / local < most ? all / local : most;
    return share > 0 ? share : 1;
}

/* Memory for the exchange; the program ends without it. */
static team *make_team(int number, int size)
{
    team *t = malloc(sizeof *t);
    int *counts = calloc((size_t)size * 4, sizeof *counts);
    tn_real *parts = malloc((size_t)(PIECE + size) * sizeof *parts);
    if (!t || !counts || !parts) {
        MPI_Abort(MPI_COMM_WORLD, 1);
        exit(1);
    }
    *t = (team){ number, size, share_of_cpus(), false, counts, parts };
    return t;
}

team *team_begin(tn_error *e)
{
    int level, number, size;
    if (e->code || !is_launched())
        return NULL;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_rank(MPI_COMM_WORLD, &number);
    const int nowhere = number ? open("/dev/null", O_WRONLY) : -1;
    for (int fd = 1; fd <= 2 && nowhere >= 0; fd++)
        dup2(nowhere, fd);
    if (size > 1)
        return make_team(number, size);
    MPI_Finalize();
    return NULL;
}

void team_end(team *t)
{
    if (!t)
        return;
    MPI_Barrier(MPI_COMM_WORLD); /* mpirun may end all processes when the first one ends */
    MPI_Finalize();
    free(t->counts);
    free(t->parts);
    free(t);
}

int team_agree(team *t, tn_error *e)
{
    if (!t || t->failed)
        return e->code;
    const int mine = e->code ? t->number : t->size;
    int first;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    t->failed = first < t->size;
    if (t->failed)
        MPI_Bcast(e, (int)sizeof *e, MPI_BYTE, first, MPI_COMM_WORLD);
    if (t->failed && first && (e->code == TN_EIO || e->code == TN_ENOMEM))
        tn_error_add(e, " (in process %d)", first);
    return e->code;
}

/* Goes the exchange on? */
static bool exchanges(team *t, tn_error *e)
{
    return !team_agree(t, e) && t && !t->failed;
}

int team_most(team *t, int *value, int n, tn_error *e)
{
    if (exchanges(t, e))
        MPI_Allreduce(MPI_IN_PLACE, value, n, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    return e->code;
}

int team_tell(team *t, void *data, size_t bytes, tn_error *e)
{
    const bool goes = exchanges(t, e);
    for (size_t at = 0; goes && at < bytes; at += BYTES)
        MPI_Bcast((char *)data + at, (int)(bytes - at < BYTES ? bytes - at : BYTES), MPI_BYTE, 0,
                  MPI_COMM_WORLD);
    return e->code;
}

/* Process k adds the numbers from at[k] on, count[k] of them. From each process this one gets as
   many as it adds itself. */
typedef struct division {
    int *count, *at, *got, *got_at; /* (size) */
} division;

static division divide(const team *t, int64_t n)
{
    const division d = { t->counts, t->counts + t->size, t->counts + 2 * t->size,
                         t->counts + 3 * t->size };
    for (int k = 0; k < t->size; k++) {
        d.at[k] = (int)(n * k / t->size);
        d.count[k] = (int)(n * (k + 1) / t->size) - d.at[k];
    }
    for (int k = 0; k < t->size; k++) {
        d.got[k] = d.count[t->number];
        d.got_at[k] = k * d.got[k];
    }
    return d;
}

static int64_t piece_length(int64_t at, int64_t n)
{
    return n - at < PIECE ? n - at : PIECE;
}

int team_add(team *t, tn_real *sum, const tn_real *x, int64_t n, tn_error *e)
{
    const bool goes = exchanges(t, e);
    for (int64_t at = 0; goes && at < n; at += PIECE) {
        const division d = divide(t, piece_length(at, n));
        MPI_Alltoallv(x + at, d.count, d.at, REAL, t->parts, d.got, d.got_at, REAL, MPI_COMM_WORLD);
        for (int k = 0; k < t->size; k++)
            team_plus(sum + at + d.at[t->number], t->parts + d.got_at[k], d.got[k]);
    }
    if (!t && !e->code)
        team_plus(sum, x, n);
    return e->code;
}

int team_gather(team *t, tn_real *sum, int64_t n, tn_error *e)
{
    const bool goes = exchanges(t, e);
    for (int64_t at = 0; goes && at < n; at += PIECE) {
        const division d = divide(t, piece_length(at, n));
        MPI_Allgatherv(MPI_IN_PLACE, 0, REAL, sum + at, d.count, d.at, REAL, MPI_COMM_WORLD);
    }
    return e->code;
}

int team_add_few(team *t, double *sum, const double *x, int n, tn_error *e)
{
    double *all = (double *)(void *)(t ? t->parts : NULL); /* (size,n) */
    const bool goes = exchanges(t, e);
    if (goes)
        MPI_Allgather(x, n, MPI_DOUBLE, all, n, MPI_DOUBLE, MPI_COMM_WORLD);
    for (int k = 0; k < team_size(t) && !e->code; k++)
        for (int i = 0; i < n; i++)
            sum[i] += goes ? all[k * n + i] : x[i];
    return e->code;
}
