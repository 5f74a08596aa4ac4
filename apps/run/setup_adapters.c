/* setup_adapters.c - the adapters that a run trains: new ones, or those of --adapter-path. */
#include "apps/run/setup.h"
#include "nn/model.h"

#include <math.h>
#include <string.h>

bool option_of_lora(int i)
{
    return i == OPT_lora_rank || i == OPT_lora_alpha || i == OPT_lora_dropout ||
           i == OPT_target_modules || i == OPT_base_dtype || i == OPT_adapter_path;
}

bool option_of_new_adapters(int i)
{
    return option_of_lora(i) && i != OPT_lora_dropout && i != OPT_base_dtype &&
           i != OPT_adapter_path;
}

/* Does the list name the layers that have adapters, and no others? */
static bool names_adapted(const tn_model *m, const char *names)
{
    tn_target t;
    bool same = true;
    for (int64_t i = 0; same && m->family->target(m, i, &t); i++)
        same = tn_target_is_wanted(&t, names) == (!t.columns && t.layer->lora);
    return same;
}

/* Rank, alpha and layers are those of the adapter. An option that says otherwise is refused. */
static int check_given(const setup *s, const options *o, tn_error *e)
{
    const tn_lora_options *has = s->model->lora;
    const char *from = o->adapter_path;
    if (o->given[OPT_lora_rank] && o->lora_rank != has->rank)
        return tn_fail(e, APP_USAGE, "--lora-rank %lld: %s has rank %lld; expected this or none",
                       (long long)o->lora_rank, from, (long long)has->rank);
    if (o->given[OPT_lora_alpha] && fabs(o->lora_alpha - has->alpha) > 1e-9 * has->alpha)
        return tn_fail(e, APP_USAGE, "--lora-alpha %g: %s has alpha %g; expected this or none",
                       o->lora_alpha, from, has->alpha);
    if (o->target_modules && !names_adapted(s->model, o->target_modules))
        return tn_fail(e, APP_USAGE, "--target-modules %s: %s adapts %s; expected these or none",
                       o->target_modules, from, has->targets);
    return e->code;
}

/* Training continues with the dropout that the adapter was made with, unless one is given. */
static void set_dropout(tn_model *m, double p)
{
    tn_target t;
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        for (tn_adapter *a = t.columns ? NULL : t.layer->lora; a; a = a->next)
            a->dropout = p;
    m->lora->dropout = p;
}

static int continue_adapters(const setup *s, const options *o, tn_error *e)
{
    if (check_given(s, o, e))
        return e->code;
    if (o->given[OPT_lora_dropout])
        set_dropout(s->model, o->lora_dropout);
    return 0;
}

int setup_adapters(const setup *s, const options *o, tn_error *e)
{
    if (o->adapter_path)
        return continue_adapters(s, o, e);
    return tn_lora_add(s->model,
                       &(tn_lora_options){ .rank = o->lora_rank,
                                           .alpha = o->lora_alpha,
                                           .dropout = o->lora_dropout,
                                           .targets = o->target_modules },
                       e);
}
