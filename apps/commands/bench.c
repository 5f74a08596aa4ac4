/* bench.c - tenon bench: how fast machine, products, ops, training steps and optimizers are. */
#include "apps/bench/bench.h"

#include <string.h>

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
    tn_fail(e, APP_USAGE, "bench \"%s\": expected peak, matmul, ops, step or optimizers", name);
    return 2;
}
