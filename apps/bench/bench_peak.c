/* bench_peak.c - tenon bench peak: the rate of multiply-adds in registers, and of memory. */
#include "apps/bench/bench.h"
#include "apps/report/lines.h"
#include "apps/report/machine.h"

#include <stdlib.h>

enum { CHUNK = 1 << 20, CHUNKS = 128, ARRAYS = 3 }; /* bytes of a chunk; chunks of an array */

typedef struct memory {
    unsigned char *at[ARRAYS];
    uint64_t sum[CHUNKS]; /* of what was read: without it a compiler could leave the reading out */
} memory;

static void fill(void *arg, int64_t i, int thread)
{
    memory *m = arg;
    (void)thread;
    for (int a = 0; a < ARRAYS; a++) {
        float *x = (float *)(void *)(m->at[a] + i * CHUNK);
        for (size_t j = 0; j < CHUNK / sizeof *x; j++)
            x[j] = 1;
    }
}

static void read_all(void *arg, int64_t i, int thread)
{
    memory *m = arg;
    const uint64_t *x = (const uint64_t *)(const void *)(m->at[0] + i * CHUNK);
    uint64_t sum = 0;
    (void)thread;
    for (size_t j = 0; j < CHUNK / sizeof *x; j++)
        sum += x[j];
    m->sum[i] = sum;
}

static void triad(void *arg, int64_t i, int thread)
{
    memory *m = arg;
    float *x = (float *)(void *)(m->at[0] + i * CHUNK);
    const float *y = (const float *)(const void *)(m->at[1] + i * CHUNK);
    const float *z = (const float *)(const void *)(m->at[2] + i * CHUNK);
    (void)thread;
    for (size_t j = 0; j < CHUNK / sizeof *x; j++)
        x[j] = y[j] + 3 * z[j];
}

/* GB/s of a function `body` that reads or writes `arrays` arrays. */
static double memory_rate(tn_context *c, memory *m, int arrays,
                          void (*body)(void *arg, int64_t i, int thread))
{
    double rate[BENCH_RUNS];
    for (int i = 0; i < BENCH_RUNS; i++) {
        double start = now_seconds();
        tn_parallel_for(c, CHUNKS, body, m);
        rate[i] = 1e-9 * arrays * CHUNKS * CHUNK / (now_seconds() - start);
    }
    return bench_median(rate, BENCH_RUNS);
}

static int memory_table(int threads, tn_error *e)
{
    memory m = { 0 };
    double rate[2][2] = { { 0 } };
    for (int a = 0; a < ARRAYS; a++)
        if (!(m.at[a] = malloc((size_t)CHUNKS * CHUNK)))
            tn_fail(e, TN_ENOMEM, "no memory for arrays of %d MiB", CHUNKS);
    for (int t = 0; t < 2 && !e->code; t++) {
        tn_context *c = bench_context(NULL, t ? threads : 1, e);
        if (!c)
            break;
        tn_parallel_for(c, CHUNKS, fill, &m);
        rate[0][t] = memory_rate(c, &m, 1, read_all);
        rate[1][t] = memory_rate(c, &m, ARRAYS, triad);
        tn_context_free(c);
    }
    lines_show("%-10s %12.1f %12.1f   GB/s, %d MiB read\n", "read", rate[0][0], rate[0][1], CHUNKS);
    lines_show("%-10s %12.1f %12.1f   GB/s, a = b + 3 c over three arrays of that size\n", "triad",
               rate[1][0], rate[1][1]);
    for (int a = 0; a < ARRAYS; a++)
        free(m.at[a]);
    return e->code;
}

int bench_peak(const options *o, tn_error *e)
{
    int threads = bench_threads(o);
    lines_show("%-10s %12s %4d threads\n", "", "1 thread", threads);
    for (int i = 0; tn_isas[i] && !e->code; i++) {
        double rate[2] = { 0 };
        for (int t = 0; t < 2; t++) {
            tn_context *c = bench_context(tn_isas[i], t ? threads : 1, e);
            if (c)
                rate[t] = bench_flops(c);
            tn_context_free(c);
        }
        if (rate[0] > 0)
            lines_show("%-10s %12.1f %12.1f   GFLOP/s, multiply-adds in registers\n", tn_isas[i],
                       rate[0], rate[1]);
    }
    return e->code || memory_table(threads, e);
}
