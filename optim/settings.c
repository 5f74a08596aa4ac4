/* settings.c - the list of optimizers, and hyper-parameters by name. */
#include "optim/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIM(name) extern const tn_optim_def tn_optim_##name;
#include "optim/optim.def"
#undef OPTIM

const tn_optim_def *const tn_optims[] = {
#define OPTIM(name) &tn_optim_##name,
#include "optim/optim.def"
#undef OPTIM
    NULL
};

const tn_optim_def *tn_optim_find(const char *name)
{
    for (const tn_optim_def *const *d = tn_optims; *d; d++)
        if (!strcmp((*d)->name, name))
            return *d;
    return NULL;
}

const tn_hyper tn_optim_common[] = {
    { "balora", 0, "LoRA pairs are balanced after the step, 1: by SVD; 2: by the least change" },
    { "balora_every", 1, "steps from one balancing to the next" },
    { 0 },
};

/* Setting i of TN_SETTINGS, whose name is NULL if there is none. */
static tn_hyper setting(const tn_optim_def *def, int i)
{
    return i < TN_MAX_HYPER ? def->hyper[i] : tn_optim_common[i - TN_MAX_HYPER];
}

int tn_settings_find(const tn_optim_def *def, const char *name, size_t length)
{
    for (int i = 0; i < TN_SETTINGS; i++) {
        const char *own = setting(def, i).name;
        if (own && strlen(own) == length && !strncmp(own, name, length))
            return i;
    }
    return -1;
}

/* Letters to insert, remove or replace to get from a (n letters) to b: Levenshtein's distance. */
static int distance(const char *a, size_t n, const char *b)
{
    enum { MOST = 64 };
    int row[MOST + 1];
    size_t m = strlen(b);
    if (n > MOST || m > MOST)
        return MOST;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int corner = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int replaced = corner + (a[i - 1] != b[j - 1]),
                shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];
            corner = row[j];
            row[j] = replaced < shorter + 1 ? replaced : shorter + 1;
        }
    }
    return row[m];
}

static const char *nearest(const tn_optim_def *def, const char *name, size_t length)
{
    const char *best = def->hyper[0].name;
    for (int i = 1; i < TN_SETTINGS; i++) {
        const char *own = setting(def, i).name;
        if (own && distance(name, length, own) < distance(name, length, best))
            best = own;
    }
    return best;
}

static int set(const tn_optim_def *def, const char *text, double *h, tn_error *e);

/* "preset=NAME": the settings that the name stands for, one after the other. */
static int set_preset(const tn_optim_def *def, const char *name, double *h, tn_error *e)
{
    char list[256], *rest = list;
    int i = 0;
    while (i < TN_MAX_PRESETS && def->presets[i].name && strcmp(def->presets[i].name, name))
        i++;
    if (i == TN_MAX_PRESETS || !def->presets[i].name)
        return tn_fail(e, TN_EARG, "%s has no preset \"%.64s\"; `tenon optimizers %s` lists them",
                       def->name, name, def->name);
    snprintf(list, sizeof list, "%s", def->presets[i].settings);
    for (char *one; !e->code && (one = strtok_r(rest, " ", &rest)) != NULL;)
        set(def, one, h, e);
    return e->code;
}

static int set(const tn_optim_def *def, const char *text, double *h, tn_error *e)
{
    if (!strncmp(text, "preset=", 7))
        return set_preset(def, text + 7, h, e);
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    int i = tn_settings_find(def, text, length);
    if (i < 0)
        return tn_fail(e, TN_EARG, "%s has no setting \"%.*s\"; the nearest is \"%s\"", def->name,
                       (int)(length < 64 ? length : 64), text, nearest(def, text, length));
    char *end = NULL;
    double value = equals ? strtod(equals + 1, &end) : NAN;
    if (!equals || end == equals + 1 || *end || !isfinite(value))
        return tn_fail(e, TN_EARG, "%s: \"%s\" is no setting; expected %s=NUMBER", def->name, text,
                       setting(def, i).name);
    h[i] = value;
    return TN_OK;
}

static int set_decay(const tn_optim_def *def, double value, double *h, tn_error *e)
{
    if (!(value >= 0))
        return TN_OK;
    if (def->decay) {
        h[tn_settings_find(def, def->decay, strlen(def->decay))] = value;
        return TN_OK;
    }
    return value > 0 ? tn_fail(e, TN_EARG, "%s has no weight decay", def->name) : TN_OK;
}

static const char *check_common(const double *h)
{
    if (h[TN_BALORA] != 0 && h[TN_BALORA] != 1 && h[TN_BALORA] != 2)
        return "balora must be 0, 1 or 2";
    if (!(h[TN_BALORA_EVERY] >= 1 && h[TN_BALORA_EVERY] == floor(h[TN_BALORA_EVERY])))
        return "balora_every must be a whole number above 0";
    return NULL;
}

int tn_settings_read(const tn_optim_def *def, const tn_optim_options *options, double *h,
                     tn_error *e)
{
    for (int i = 0; i < TN_SETTINGS; i++)
        h[i] = setting(def, i).value;
    if (options->lr != 0)
        h[0] = options->lr;
    set_decay(def, options->weight_decay, h, e);
    for (const char *const *s = options->set; s && *s && !e->code; s++)
        set(def, *s, h, e);
    if (e->code)
        return e->code;
    if (!(h[0] > 0 && isfinite(h[0])))
        return tn_fail(e, TN_EARG, "%s: lr is %g; expected a number above 0", def->name, h[0]);
    const char *wrong = def->check ? def->check(h) : NULL;
    if (!wrong)
        wrong = check_common(h);
    return wrong ? tn_fail(e, TN_EARG, "%s: %s", def->name, wrong) : TN_OK;
}
