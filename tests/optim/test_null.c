/* test_null.c - every function of optim.h with NULL for each of its pointers. */
#include "optim/optim.h"
#include "tests/support/fixtures.h"
#include "tests/support/null.h"
#include "tests/support/tests.h"

#include <stdlib.h>

typedef struct fixture {
    null_fixture base;
    const char *name, *kind, *lr, *weight;
    char *saved, *checkpoint, *fresh;
    tn_params *params;
    tn_optim *optim;
    const tn_optim_def *def;
    const tn_optim_options *options;
    const tn_schedule *schedule;
    const tn_run_state *run;
    tn_run_state *loaded;
    const tn_unit *unit;
    tn_scratch *scratch;
    tn_state_block block;
    double real;
} fixture;

static null_fixture *open_fixture(void)
{
    static const tn_unit unit = { .factors = 1, .f[0].n = 2 };
    static const tn_schedule schedule = { 0 };
    static const tn_optim_options options = { .weight_decay = -1, .max_grad_norm = -1 };
    static const tn_run_state run = { .step = 1 };
    fixture *f = calloc(1, sizeof *f);
    *f = (fixture){ .name = "adamw",
                    .kind = "linear",
                    .lr = "lr",
                    .weight = "w",
                    .saved = temporary(),
                    .fresh = temporary(),
                    .def = tn_optim_find("adamw"),
                    .options = &options,
                    .schedule = &schedule,
                    .run = &run,
                    .loaded = calloc(1, sizeof *f->loaded),
                    .unit = &unit,
                    .scratch = calloc(1, sizeof *f->scratch) };
    f->base.c = tn_context_new(&(tn_options){ .threads = 1 });
    f->base.t = tn_tape_new(f->base.c);
    f->params = tn_params_new(f->base.c);
    tn_params_add(f->params, "w", 2, (int64_t[]){ 2, 2 });
    f->optim = tn_optim_new(f->params, f->def, &options, &f->base.e);
    f->scratch->memory = calloc(1, 64);
    tn_optim_step(f->optim);
    tn_checkpoint_save(f->saved, f->params, f->optim, &run, 1, &f->base.e);
    f->checkpoint = tn_path_join(f->saved, "checkpoint-1");
    must(&f->base.e);
    return &f->base;
}

static void close_fixture(null_fixture *base)
{
    fixture *f = (fixture *)base;
    tn_optim_free(f->optim);
    tn_params_free(f->params);
    tn_tape_free(f->base.t);
    tn_context_free(f->base.c);
    free(f->checkpoint);
    discard(f->saved);
    discard(f->fresh);
    free(f->loaded);
    free(f->scratch->memory);
    free(f->scratch);
    free(f);
}

#define HOLDS_ERROR(result) CODE((result)->code)

DROP(optim, tn_optim, tn_optim_free)

#define NULL_ROWS "tests/optim/null.def"
#include "tests/support/null_rows.h"

START_TEST(every_function_has_a_row)
{
    null_rows_are_all(&table, "optim/optim.h");
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, null_is_refused, 0, table.rows);
    tcase_add_test(c, every_function_has_a_row);
}
