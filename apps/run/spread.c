/* spread.c - what the processes of a run agree on: that they do the same work, and when it ends. */
#include "apps/run/spread.h"
#include "apps/run/signals.h"
#include "apps/run/source.h"
#include "optim/run/optimizer.h"

#include <stdio.h>
#include <string.h>

int spread_check(const options *o, const command *c, tn_error *e)
{
    const int n = team_size(o->team);
    if (n == 1 || e->code)
        return e->code;
    if (!strchr(options_table[OPT_output_dir].commands, c->letter))
        return tn_fail(e, APP_USAGE,
                       "%s: mpirun started %d processes; expected one: only training runs on more",
                       c->name, n);
    if (o->grad_accumulation_steps % n)
        return tn_fail(e, APP_USAGE,
                       "--grad-accumulation-steps %lld: %d processes share the batches of a step; "
                       "expected %d, or a multiple of it (--batch-size is the rows of one of these "
                       "batches)",
                       (long long)o->grad_accumulation_steps, n, n);
    if (data_standard(o))
        return tn_fail(e, APP_USAGE,
                       "--data -: %d processes cannot read one standard input; expected a file", n);
    return e->code;
}

typedef struct work { /* what must be the same in all processes */
    char program[64];
    uint64_t options, data;
} work;

int spread_same(const run *r, tn_error *e)
{
    if (team_size(r->o->team) == 1)
        return e->code;
    work mine = { .options = r->state.options_hash, .data = r->state.data_hash };
    snprintf(mine.program, sizeof mine.program, "tenon %s, kernels %s", TN_VERSION,
             tn_context_isa(r->s->context));
    work first = mine;
    team_tell(r->o->team, &first, sizeof first, e);
    if (!e->code && strcmp(first.program, mine.program))
        tn_fail(e, TN_ESTATE,
                "process %d: the program is %s; expected %s, as in process 0 (TN_ISA chooses the "
                "kernels)",
                team_number(r->o->team), mine.program, first.program);
    if (!e->code && (first.options != mine.options || first.data != mine.data))
        tn_fail(e, TN_ESTATE,
                "process %d: the %s other than in process 0; expected the same on all hosts",
                team_number(r->o->team),
                first.data != mine.data ? "training data are" : "options or weights are");
    return team_agree(r->o->team, e);
}

int spread_begin(run *r, tn_error *e)
{
    team *all = r->o->team;
    if (team_size(all) == 1)
        return e->code;
    tn_params *p = r->s->model->params;
    const tn_run_state mine = r->state;
    tn_state_block b;
    team_tell(all, &r->state, sizeof r->state, e);
    r->state.tokenizer = mine.tokenizer;
    r->state.adapter_config = mine.adapter_config;
    if (r->state.step == 0)
        return e->code;
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        const tn_tensor *w = tn_params_at(p, i)->w;
        if (w->wants_grad)
            team_tell(all, w->x, tn_tensor_bytes(w), e);
    }
    for (int64_t i = 0; tn_optim_state(r->optim, i, &b); i++)
        team_tell(all, b.data, tn_state_block_bytes(&b), e);
    tn_optim_set_steps(r->optim, r->state.step);
    return e->code;
}

bool spread_goes_on(run *r, int *stop, tn_error *e)
{
    team *all = r->o->team;
    const bool leads = team_number(all) == 0;
    int said[] = { leads ? *stop != 0 : signals_stop(), leads ? (int)run_ends(r) : 0 };
    team_most(all, said, 2, e);
    *stop = *stop ? *stop : said[0];
    r->end = (run_end)said[1];
    return !e->code && !*stop && r->end == RUN_GOES_ON;
}
