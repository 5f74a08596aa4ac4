/* recipe.c - makes the optimizer of a run from the options (recipe.h). */
#include "apps/run/recipe.h"
#include "apps/options/choice.h"

#include <string.h>

/* The library refuses these, too, but by the names of its fields. */
static int check_flags(const tn_optim_def *def, const options *o, const recipe *how, double lr,
                       tn_error *e)
{
    const struct {
        const char *setting, *option;
        double value;
        bool is_set;
    } flags[] = { { "lr", "--learning-rate", lr, lr > 0 },
                  { def->decay, "--weight-decay", o->weight_decay,
                    def->decay && o->weight_decay >= 0 } };
    if (def->clip == TN_CLIP_REFUSED && o->max_grad_norm > 0)
        tn_fail(e, APP_USAGE,
                "%s: --max-grad-norm is %g: clipping raw gradients breaks the invariance; "
                "expected 0",
                def->name, o->max_grad_norm);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        for (const char *const *s = how->set; s && *s && flags[i].is_set && !e->code; s++)
            if (strcspn(*s, "=") == strlen(flags[i].setting) &&
                !strncmp(*s, flags[i].setting, strlen(flags[i].setting)))
                tn_fail(e, APP_USAGE, "%s: \"%s\" beside %s %g; use only one", def->name, *s,
                        flags[i].option, flags[i].value);
    return e->code;
}

bool recipe_has_preset(const recipe *how)
{
    const char *const *set = how->set;
    while (set && *set && strncmp(*set, "preset=", strlen("preset=")))
        set++;
    return set && *set;
}

tn_optim *recipe_optim(tn_params *p, const options *o, const recipe *how, double lr,
                       const tn_schedule *schedule, tn_error *e)
{
    const tn_optim_def *def = e->code ? NULL : choice_find(how->optimizer, e);
    const tn_optim_options made = { .lr = lr,
                                    .set = how->set,
                                    .weight_decay = o->weight_decay,
                                    .decay_all = !strcmp(o->weight_decay_on, "all"),
                                    .max_grad_norm = o->max_grad_norm,
                                    .schedule = *schedule };
    tn_optim *out = def && !check_flags(def, o, how, lr, e) ? tn_optim_new(p, def, &made, e) : NULL;
    if (e->code == TN_EARG)
        e->code = APP_USAGE;
    return out;
}

int recipe_check_rate(const options *o, double lr, tn_error *e)
{
    if (!e->code && lr > 0 && o->lr_min > lr && !o->find_lr)
        tn_fail(e, APP_USAGE, "--lr-min %g: expected at most the learning rate %g", o->lr_min, lr);
    return e->code;
}

/* Makes the optimizer for one weight and frees it, so that its own checks run. */
int recipe_check(const options *o, const recipe *how, tn_error *e)
{
    const tn_schedule constant = { 0 };
    for (const char *const *s = how->set; s && *s && !(how->lr > 0) && !e->code; s++)
        if (!strncmp(*s, "lr=", 3))
            tn_fail(e, APP_USAGE, "--opt %.80s: expected a rate by --learning-rate", *s);
    if (e->code)
        return e->code;
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_params *p = c ? tn_params_new(c) : NULL;
    if (p && tn_params_add(p, "weight", 2, (int64_t[]){ 1, 1 }))
        tn_optim_free(recipe_optim(p, o, how, how->lr, &constant, e));
    else
        tn_fail(e, TN_ENOMEM, "the optimizer: out of memory");
    tn_params_free(p);
    tn_context_free(c);
    return recipe_check_rate(o, how->lr, e);
}
