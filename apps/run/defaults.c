/* defaults.c - the learning rate and the length of a run for which none is given. */
#include "apps/run/defaults.h"
#include "nn/family.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rates for models up to WIDTH: of LoRA on all linear layers, rank 8, alpha 16, of all weights of a
   trained model, and of random weights. Those of wider models fall as the root of WIDTH / width, but
   SGD's with LoRA does not: its gradients are clipped, and its best rate was 1.0 to 1.6 at widths of
   64, 128 and 576. Without LoRA they fall as WIDTH / width: at 576 the best one was 1/6 of that at 64
   and 128. Narrow models of other families than GPT-2 take LoRA's rate times `narrow`: larger ones
   spoil such a model on short exact answers. From NARROW on the root is as small. Optimizers of
   pairs leave whole weights to AdamW. Optimizers without a row have one rate for all models: that of
   `tenon optimizers`. */
enum { WIDTH = 128, NARROW = 512 };
static const struct rule {
    const char *name;
    double lora, narrow, full, random;
    bool by_scale;  /* the best rate is proportional to r / alpha, see `tenon lab alpha` */
    bool any_width; /* with LoRA the best rate is the same at every width */
} rules[] = {
    { "adamw", 8e-3, 0.5, 1.2e-3, 2.4e-3, false, false },
    { "adam", 8e-3, 0.5, 1.2e-3, 2.4e-3, false, false },
    { "scaled-adam", 8e-3, 0.7, 1.2e-3, 2.4e-3, false, false },
    { "lora-rite", 4e-3, 0.5, 1.2e-3, 2.4e-3, true, false },
    { "muon", 8e-3, 0.5, 6.4e-3, 3.6e-2, false, false },
    { "sgd", 1.2, 0.5, 0.5, 0.5, false, true },
};
static const double usual_scale = 16.0 / 8;
/* DPO takes this share of the rate: it adds up over the tokens of an answer, and with larger rates
   the chosen answers become unlikely, too, or the run diverges. */
static const double dpo_share = 0.1;

static const struct rule *find(const tn_optim_def *def)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (!strcmp(rules[i].name, def->name))
            return &rules[i];
    return NULL;
}

double default_share(const setup *s)
{
    return s->reference ? dpo_share : 1;
}

static bool is_narrow(const setup *s)
{
    const tn_model *m = s->model;
    return !s->full && m->width < NARROW && m->family && strcmp(m->family->type, "gpt2");
}

double default_rate(const tn_optim_def *def, const setup *s)
{
    const struct rule *r = find(def);
    if (!r)
        return def->hyper[0].value * default_share(s);
    const double share = WIDTH / fmax((double)s->model->width, WIDTH);
    const tn_lora_options *lora = s->model->lora;
    double rate = !s->full ? r->lora : s->random ? r->random : r->full;
    if (s->full || !r->any_width)
        rate *= s->full ? share : sqrt(share);
    if (is_narrow(s))
        rate = fmin(rate, r->narrow * r->lora);
    if (lora && r->by_scale)
        rate *= usual_scale * (lora->rslora ? sqrt((double)lora->rank) : (double)lora->rank) /
                lora->alpha;
    rate *= default_share(s);
    char text[SHOWN];
    snprintf(text, sizeof text, "%.1e", rate);
    return strtod(text, NULL);
}

const char *default_rate_reason(const tn_optim_def *def, const setup *s, char out[SHOWN])
{
    const char *what = !s->full    ? "LoRA"
                       : s->random ? "random weights"
                                   : "all weights",
               *loss = s->reference ? ", DPO" : "";
    if (find(def))
        snprintf(out, SHOWN, "%s%s, %s, %s%swidth %lld", def->name, loss, what,
                 is_narrow(s) ? s->model->family->type : "", is_narrow(s) ? ", " : "",
                 (long long)s->model->width);
    else
        snprintf(out, SHOWN, "%s%s", def->name, loss);
    return out;
}

enum { STEPS = 600, PASSES = 10, DPO_PASSES = 3 };

double default_epochs(const setup *s, double records, double rows)
{
    const double passes = STEPS * rows / records, most = s->reference ? DPO_PASSES : PASSES;
    return passes < 1 ? 1 : passes > most ? most : passes;
}
