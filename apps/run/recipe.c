/* recipe.c - makes the optimizer of a run from the options (recipe.h). */
#include "apps/run/recipe.h"
#include "apps/options/choice.h"

#include <string.h>

/* The library names the fields of its options. Users of a command know the flags instead. */
static void name_flags(tn_error *e)
{
    static const char *const names[][2] = { { ": max_grad_norm is", ": --max-grad-norm is" },
                                            { " beside lr of", " beside --learning-rate" },
                                            { " beside weight_decay of",
                                              " beside --weight-decay" } };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const tn_error of = *e;
        const char *at = strstr(of.text, names[i][0]);
        if (!at)
            continue;
        e->code = TN_OK;
        tn_fail(e, of.code, "%.*s%s%s", (int)(at - of.text), of.text, names[i][1],
                at + strlen(names[i][0]));
    }
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
    tn_optim *out = def ? tn_optim_new(p, def, &made, e) : NULL;
    if (e->code == TN_EARG)
        e->code = APP_USAGE;
    name_flags(e);
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
