/* bench.h - what the benchmarks share: time, medians, memory, the peak of the processor.

       double v[BENCH_RUNS];
       for (int i = 0; i < BENCH_RUNS; i++) {
           double start = bench_now();
           work();
           v[i] = bench_now() - start;
       }
       printf("%g s\n", bench_median(v, BENCH_RUNS)); */
#ifndef TN_APP_BENCH_H
#define TN_APP_BENCH_H

#include "apps/options/options.h"
#include "core/op.h"
#include "optim/optim.h"

enum { BENCH_RUNS = 5 };

double bench_now(void);                    /* seconds */
double bench_median(double *v, int64_t n); /* sorts v */
double bench_memory(void);                 /* the most this process ever held, MiB */
/* GFLOP/s of multiply-adds in registers on all threads of the context: the median of BENCH_RUNS. */
double bench_flops(tn_context *c);
/* A context, or NULL: this CPU does not have the instruction set (or memory is out: e is set). */
tn_context *bench_context(const char *isa, int threads, tn_error *e);
extern const char *const bench_isas[]; /* every name of an instruction set, ended by NULL */
/* How many threads "all" means for these options. */
int bench_threads(const options *o);

/* The benchmarks; each prints its table and returns the exit status. */
int bench_peak(const options *o, tn_error *e);
int bench_matmul(const options *o, tn_error *e);
int bench_ops(const options *o, tn_error *e);
int bench_step(const options *o, tn_error *e);
int bench_mlp(const options *o, tn_error *e); /* bench step --mode mlp */
/* LoRA pairs as --pairs, --width and --lora-rank say. NULL and an error otherwise. */
tn_params *bench_pairs(tn_context *c, const options *o, tn_error *e);
typedef struct bench_cost {
    double seconds, bytes;
} bench_cost; /* of a step; of the state, a trained number */
/* Of an optimizer on such pairs: the median of steps behind its warm-up. */
bench_cost bench_cost_of(tn_context *c, const tn_optim_def *d, const options *o, tn_error *e);
int bench_optimizers(const options *o, tn_error *e);
/* Steps at the start of a run whose work is not that of all later ones: the setting warmup_steps. */
int64_t bench_warm_up(const tn_optim *optim);

#endif
