/* bench_measure.c - what the benchmarks share: medians, the peak of the processor, contexts. */
#include "apps/bench/bench.h"
#include "apps/report/machine.h"

#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *v, int64_t n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

typedef struct peak {
    const tn_context *c;
    int64_t rounds;
} peak;

static void peak_body(void *arg, int64_t i, int thread)
{
    const peak *p = arg;
    (void)i;
    (void)thread;
    tn_peak(p->c, p->rounds);
}

double bench_flops(tn_context *c)
{
    enum { TRIAL = 20000 };
    const double seconds = 4e-3; /* of one run */
    double start = now_seconds();
    double done = tn_peak(c, TRIAL);
    peak p = { c, (int64_t)(TRIAL * seconds / (now_seconds() - start)) + 1 };
    int threads = tn_context_threads(c);
    double rate[BENCH_RUNS];
    for (int i = 0; i < BENCH_RUNS; i++) {
        start = now_seconds();
        tn_parallel_for(c, threads, peak_body, &p);
        rate[i] = done / TRIAL * (double)p.rounds * threads / (now_seconds() - start) * 1e-9;
    }
    return bench_median(rate, BENCH_RUNS);
}

tn_context *bench_context(const char *isa, int threads, tn_error *e)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = threads, .isa = isa });
    if (!c && !strcmp(isa ? isa : "scalar", "scalar"))
        tn_fail(e, TN_ENOMEM, "no memory for %d threads", threads);
    return c;
}

int bench_threads(const options *o)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = (int)o->threads, .isa = "scalar" });
    int threads = c ? tn_context_threads(c) : 1;
    tn_context_free(c);
    return threads;
}
