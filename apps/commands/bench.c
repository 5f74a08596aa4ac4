/* bench.c - tenon bench: how fast machine, products, ops, training steps and optimizers are. */
#include "apps/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

const char *const bench_isas[] = { "scalar", "avx2", "avx512", NULL };

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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

double bench_memory(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)used.ru_maxrss / 1024;
}

/* clang-format off */
typedef struct peak { const tn_context *c; int64_t rounds; } peak;
/* clang-format on */

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
    double start = bench_now();
    double done = tn_peak(c, TRIAL);
    peak p = { c, (int64_t)(TRIAL * seconds / (bench_now() - start)) + 1 };
    int threads = tn_context_threads(c);
    double rate[BENCH_RUNS];
    for (int i = 0; i < BENCH_RUNS; i++) {
        start = bench_now();
        tn_parallel_for(c, threads, peak_body, &p);
        rate[i] = done / TRIAL * (double)p.rounds * threads / (bench_now() - start) * 1e-9;
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

int command_bench(const options *o, tn_error *e)
{
    static const struct {
        const char *name;
        int (*run)(const options *o, tn_error *e);
    } table[] = {
        { "peak", bench_peak }, { "matmul", bench_matmul },         { "ops", bench_ops },
        { "step", bench_step }, { "optimizers", bench_optimizers },
    };
    const char *name = o->arguments ? o->argument[0] : "";
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(name, table[i].name))
            return table[i].run(o, e);
    tn_fail(e, APP_USAGE, "bench: found \"%s\"; expected peak, matmul, ops, step or optimizers",
            name);
    return 2;
}
