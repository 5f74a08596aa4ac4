/* bench.h - the benchmarks, and what they share: medians, the peak of the processor, contexts.

       double v[BENCH_RUNS];
       for (int i = 0; i < BENCH_RUNS; i++) {
           double start = now_seconds();
           work();
           v[i] = now_seconds() - start;
       }
       printf("%g s\n", bench_median(v, BENCH_RUNS)); */
#ifndef TN_APP_BENCH_H
#define TN_APP_BENCH_H

#include "apps/options/options.h"
#include "core/op.h"
#include "optim/optim.h"

enum { BENCH_RUNS = 5 };

/* ---- what they share (bench_measure.c) ---- */

double bench_median(double *v, int64_t n); /* sorts v */
/* GFLOP/s of multiply-adds in registers on all threads of the context: the median of BENCH_RUNS. */
double bench_flops(tn_context *c);
/* NULL: this CPU does not have the instruction set, or memory is out and e is set. */
tn_context *bench_context(const char *isa, int threads, tn_error *e);
/* The number of threads that --threads gives; --threads 0 means one per CPU. */
int bench_threads(const options *o);

/* The benchmarks; each prints its table and returns the exit status. */
int bench_peak(const options *o, tn_error *e);
int bench_matmul(const options *o, tn_error *e);
int bench_ops(const options *o, tn_error *e);
int bench_step(const options *o, tn_error *e);
int bench_mlp(const options *o, tn_error *e); /* bench step --mode mlp */
/* Makes LoRA pairs of --pairs, --width and --lora-rank. Returns NULL with an error if it cannot. */
tn_params *bench_pairs(tn_context *c, const options *o, tn_error *e);
typedef struct bench_cost {
    double seconds, bytes;
} bench_cost; /* per step; of state per trained number */
/* The cost of an optimizer on such pairs: the median of steps after its warm-up. */
bench_cost bench_cost_of(tn_context *c, const tn_optim_def *d, const options *o, tn_error *e);
int bench_optimizers(const options *o, tn_error *e);
/* How many steps at the beginning do other work than later ones: the setting warmup_steps. */
int64_t bench_warm_up(const tn_optim *optim);

#endif
