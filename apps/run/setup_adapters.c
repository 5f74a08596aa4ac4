/* setup_adapters.c - the adapters that a run trains: new ones, or those of --adapter-path. */
#include "apps/run/setup.h"
#include "nn/model.h"
#include "nn/pattern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool option_of_lora(int i)
{
    return i == OPT_lora_rank || i == OPT_lora_alpha || i == OPT_lora_dropout ||
           i == OPT_target_modules || i == OPT_base_dtype || i == OPT_adapter_path ||
           i == OPT_num_layers || i == OPT_use_rslora || i == OPT_init_lora_weights ||
           i == OPT_rank_pattern || i == OPT_alpha_pattern;
}

bool option_of_new_adapters(int i)
{
    return option_of_lora(i) && i != OPT_lora_dropout && i != OPT_base_dtype &&
           i != OPT_adapter_path;
}

/* ---- patterns ---- */

typedef struct patterns { /* of --rank-pattern or --alpha-pattern */
    tn_lora_pattern all[MAX_LIST + 1];
} patterns;

static const double most_rank = 65536;

/* Reads the texts "KEY=NUMBER"; ranks: the numbers are whole. */
static void read_patterns(const char *const *list, bool ranks, patterns *p, tn_error *e)
{
    const char *flag = ranks ? "--rank-pattern" : "--alpha-pattern";
    for (int i = 0; list[i] && !e->code; i++) {
        const char *equals = strrchr(list[i], '=');
        double *x = &p->all[i].value;
        if (!equals || equals == list[i] || !read_real(equals + 1, x) || !(*x > 0) ||
            (ranks && (*x > most_rank || *x != floor(*x))))
            tn_fail(e, APP_USAGE, "%s: \"%.80s\"; expected KEY=%s", flag, list[i],
                    ranks ? "R, a whole number from 1 to 65536" : "A, a number above 0");
        else if (!(p->all[i].layers = strndup(list[i], (size_t)(equals - list[i]))))
            tn_fail(e, TN_ENOMEM, "%s: out of memory", flag);
        else
            tn_pattern_check(p->all[i].layers, flag, APP_USAGE, e);
    }
}

/* Refuses a pattern that matches no layer with an adapter: it would have no effect. */
static int check_patterns(const tn_model *m, const tn_lora_options *how, const patterns *p,
                          const char *flag, tn_error *e)
{
    for (int i = 0; p->all[i].layers && !e->code; i++) {
        tn_target t;
        bool found = false;
        for (int64_t k = 0; !found && m->family->target(m, k, &t); k++)
            found = tn_lora_wants(m, how, &t) && tn_pattern_matches(p->all[i].layers, t.name, true);
        if (!found)
            tn_fail(e, APP_USAGE, "--%s: \"%.80s\" matches no layer that gets an adapter", flag,
                    p->all[i].layers);
    }
    return e->code;
}

static void free_patterns(patterns *p)
{
    for (int i = 0; p->all[i].layers; i++)
        free((char *)(uintptr_t)p->all[i].layers);
}

int setup_refuse_adapters(const options *o, tn_error *e)
{
    char name[64];
    for (int i = 0; i < OPTIONS && !e->code; i++)
        if (option_of_lora(i) && o->given[i])
            tn_fail(e, APP_USAGE, "--%s: only for --fine-tune-type lora or dora",
                    option_dashed(options_table[i].name, name));
    return e->code;
}

int setup_check_adapters(const options *o, tn_error *e)
{
    patterns ranks = { 0 }, alphas = { 0 };
    if (o->fine_tune_type && !strcmp(o->fine_tune_type, "full"))
        setup_refuse_adapters(o, e);
    if (o->num_layers == 0)
        tn_fail(e, APP_USAGE, "--num-layers 0: no layer; expected 1 or more, or -1 for all");
    if (tn_pattern_is_one(o->target_modules))
        tn_pattern_check(o->target_modules, "--target-modules", APP_USAGE, e);
    read_patterns(o->rank_pattern, true, &ranks, e);
    read_patterns(o->alpha_pattern, false, &alphas, e);
    free_patterns(&ranks);
    free_patterns(&alphas);
    return e->code;
}

/* ---- an adapter that is trained on ---- */

/* Do the names mean the layers that have adapters, and no others? */
static bool names_adapted(const tn_model *m, const char *names)
{
    const tn_lora_options o = { .targets = names, .last_blocks = m->lora->last_blocks };
    tn_target t;
    bool same = true;
    for (int64_t i = 0; same && m->family->target(m, i, &t); i++)
        same = tn_lora_wants(m, &o, &t) == (!t.columns && t.layer->lora);
    return same;
}

/* The first adapted layer whose rank or scale is not what these options make it; NULL: none. */
static const char *other_size(const tn_model *m, const tn_lora_options *o, tn_target *t)
{
    for (int64_t i = 0; m->family->target(m, i, t); i++) {
        const tn_adapter *a = t->columns ? NULL : t->layer->lora;
        const tn_lora_size z = tn_lora_size_of(o, t->name);
        if (a && (a->a->dim[0] != z.rank || fabs(a->s - z.s) > 1e-9 * a->s))
            return t->name;
    }
    return NULL;
}

/* How the adapter was made stays. An option that says otherwise is refused. */
static int check_start(const setup *s, const options *o, tn_error *e)
{
    const tn_lora_options *has = s->model->lora;
    const char *from = o->adapter_path, *init = has->init ? has->init : "no other start";
    const int64_t last = o->num_layers > 0 && o->num_layers < s->model->layers ? o->num_layers : 0;
    if (o->fine_tune_type && !strcmp(o->fine_tune_type, "dora") != has->dora)
        return tn_fail(e, APP_USAGE, "--fine-tune-type %s: %s is of type %s; expected this or none",
                       o->fine_tune_type, from, has->dora ? "dora" : "lora");
    if (o->given[OPT_use_rslora] && o->use_rslora != has->rslora)
        return tn_fail(e, APP_USAGE, "--use-rslora: %s was made with%s it; expected the same", from,
                       has->rslora ? "" : "out");
    if (o->init_lora_weights && strcmp(o->init_lora_weights, init))
        return tn_fail(e, APP_USAGE, "--init-lora-weights %s: %s has %s; expected this or none",
                       o->init_lora_weights, from, init);
    if (o->given[OPT_num_layers] && last != has->last_blocks)
        return tn_fail(e, APP_USAGE, "--num-layers %lld: %s adapts %s; expected these or none",
                       (long long)o->num_layers, from, has->targets);
    return e->code;
}

/* Rank, alpha and layers are those of the adapter. */
static int check_sizes(const setup *s, const options *o, tn_lora_options how, tn_error *e)
{
    const tn_lora_options *has = s->model->lora;
    const char *from = o->adapter_path;
    tn_target t;
    if (o->given[OPT_lora_rank] && o->lora_rank != has->rank)
        return tn_fail(e, APP_USAGE, "--lora-rank %lld: %s has rank %lld; expected this or none",
                       (long long)o->lora_rank, from, (long long)has->rank);
    if (o->given[OPT_lora_alpha] && fabs(o->lora_alpha - has->alpha) > 1e-9 * has->alpha)
        return tn_fail(e, APP_USAGE, "--lora-alpha %g: %s has alpha %g; expected this or none",
                       o->lora_alpha, from, has->alpha);
    if (o->given[OPT_target_modules] && !names_adapted(s->model, o->target_modules))
        return tn_fail(e, APP_USAGE, "--target-modules %s: %s adapts %s; expected these or none",
                       o->target_modules, from, has->targets);
    how.rank = has->rank;
    how.alpha = has->alpha;
    how.rslora = has->rslora;
    if ((o->rank_pattern[0] || o->alpha_pattern[0]) && other_size(s->model, &how, &t))
        return tn_fail(e, APP_USAGE,
                       "--rank-pattern, --alpha-pattern: %s has rank %lld and scale %g in %s; "
                       "expected these or none",
                       t.name, (long long)t.layer->lora->a->dim[0], t.layer->lora->s, from);
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

static int continue_adapters(const setup *s, const options *o, const tn_lora_options *how,
                             tn_error *e)
{
    if (check_start(s, o, e) || check_sizes(s, o, *how, e))
        return e->code;
    if (o->given[OPT_lora_dropout])
        set_dropout(s->model, o->lora_dropout);
    return 0;
}

int setup_adapters(const setup *s, const options *o, tn_error *e)
{
    patterns ranks = { 0 }, alphas = { 0 };
    read_patterns(o->rank_pattern, true, &ranks, e);
    read_patterns(o->alpha_pattern, false, &alphas, e);
    const tn_lora_options how = { .rank = o->lora_rank,
                                  .alpha = o->lora_alpha,
                                  .dropout = o->lora_dropout,
                                  .targets = o->target_modules,
                                  .last_blocks = o->num_layers > 0 ? o->num_layers : 0,
                                  .rslora = o->use_rslora,
                                  .dora = o->fine_tune_type && !strcmp(o->fine_tune_type, "dora"),
                                  .init = o->init_lora_weights,
                                  .rank_pattern = ranks.all,
                                  .alpha_pattern = alphas.all };
    if (!e->code && o->num_layers > s->model->layers)
        tn_fail(e, APP_USAGE, "--num-layers %lld: the model has %lld; expected at most these",
                (long long)o->num_layers, (long long)s->model->layers);
    if (!e->code && o->adapter_path)
        continue_adapters(s, o, &how, e);
    else if (!e->code && !tn_lora_add(s->model, &how, e) &&
             !check_patterns(s->model, &how, &ranks, "rank-pattern", e))
        check_patterns(s->model, &how, &alphas, "alpha-pattern", e);
    free_patterns(&ranks);
    free_patterns(&alphas);
    return e->code;
}
