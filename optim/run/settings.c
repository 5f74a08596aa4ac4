/* settings.c - the list of optimizers, and hyper-parameters by name. */
#include "optim/run/optimizer.h"

#include <float.h>
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
    for (const tn_optim_def *const *d = tn_optims; name && *d; d++)
        if (!strcmp((*d)->name, name) || ((*d)->also && !strcmp((*d)->also, name)))
            return *d;
    return NULL;
}

const tn_optim_def *tn_settings_fallback(const tn_optim_def *def)
{
    return def->fallback ? def->fallback : &tn_optim_adamw;
}

static const tn_hyper common[TN_SETTINGS - TN_MAX_HYPER] = {
    { "balora", 0, TN_0_TO_2,
      "balances LoRA pairs after the step, 0: no; 1: by SVD; 2: by the smallest change" },
    { "balora_every", 1, TN_COUNT, "balance after every so many steps" },
    { "fallback_lr", 1e-3, TN_ABOVE_0, "learning rate of the weights that are left to AdamW" },
};

const tn_hyper *tn_optim_common(const tn_optim_def *def, int i)
{
    bool leaves = def && (def->pairs || def->matrices) && def->fallback != def;
    return def && i >= 0 && i < (leaves ? TN_SETTINGS : TN_FALLBACK_LR) - TN_MAX_HYPER ? &common[i]
                                                                                       : NULL;
}

/* Setting i of TN_SETTINGS; its name is NULL if there is none. */
static tn_hyper setting(const tn_optim_def *def, int i)
{
    const tn_hyper *h = i < TN_MAX_HYPER ? &def->hyper[i] : tn_optim_common(def, i - TN_MAX_HYPER);
    tn_hyper found = h ? *h : (tn_hyper){ 0 };
    if (i == TN_FALLBACK_LR && h)
        found.value = tn_settings_fallback(def)->hyper[0].value;
    return found;
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

static int unknown(const tn_optim_def *def, const char *name, size_t length, tn_error *e)
{
    const char *names[TN_SETTINGS];
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1),
             name);
    for (int i = 0; i < TN_SETTINGS; i++)
        names[i] = setting(def, i).name;
    const char *near = tn_nearest(word, names, TN_SETTINGS);
    if (near)
        return tn_fail(e, TN_EARG, "%s has no setting \"%s\"; the nearest is \"%s\"", def->name,
                       word, near);
    return tn_fail(e, TN_EARG, "%s has no setting \"%s\"; `tenon optimizers %s` lists them",
                   def->name, word, def->name);
}

static const char *const preset = "preset=";

static bool is_preset(const char *text)
{
    return !strncmp(text, preset, strlen(preset));
}

static int set(const tn_optim_def *def, const char *text, double *h, tn_error *e)
{
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    int i = tn_settings_find(def, text, length);
    if (i < 0)
        return unknown(def, text, length, e);
    char *end = NULL;
    bool number = equals && strchr("+-.0123456789", equals[1]) && !strpbrk(equals, "xX");
    double value = number ? strtod(equals + 1, &end) : NAN;
    if (!number || end == equals + 1 || *end || !isfinite(value))
        return tn_fail(e, TN_EARG, "%s: \"%s\" is not a setting; expected %s=NUMBER", def->name,
                       text, setting(def, i).name);
    h[i] = value;
    return TN_OK;
}

/* "preset=NAME": sets each setting of the preset. */
static int set_preset(const tn_optim_def *def, const char *text, double *h, tn_error *e)
{
    const char *name = text + strlen(preset);
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

/* Sets a setting that has a field in tn_optim_options. It must not be repeated in `set`. */
static int set_field(const tn_optim_def *def, const char *name, double value,
                     const tn_optim_options *options, double *h, tn_error *e)
{
    size_t length = strlen(name);
    for (const char *const *s = options->set; s && *s; s++)
        if (!strncmp(*s, name, length) && (*s)[length] == '=')
            return tn_fail(e, TN_EARG, "%s: \"%s\" beside %s of %g; use only one", def->name, *s,
                           name, value);
    h[tn_settings_find(def, name, length)] = value;
    return TN_OK;
}

/* DBL_TRUE_MIN is the first number above 0, 1 - DBL_EPSILON / 2 the last below 1. */
static const struct {
    double least, most;
    bool whole;
    const char *text;
} ranges[] = {
    [TN_ANY] = { -DBL_MAX, DBL_MAX, false, "any number" },
    [TN_ABOVE_0] = { DBL_TRUE_MIN, DBL_MAX, false, "above 0" },
    [TN_FROM_0] = { 0, DBL_MAX, false, "at least 0" },
    [TN_TO_0] = { -DBL_MAX, 0, false, "at most 0" },
    [TN_SHARE] = { 0, 1 - DBL_EPSILON / 2, false, "at least 0 and below 1" },
    [TN_SWITCH] = { 0, 1, true, "0 or 1" },
    [TN_0_TO_2] = { 0, 2, true, "0, 1 or 2" },
    [TN_SIGN] = { -1, 1, true, "-1, 0 or 1" },
    [TN_COUNT] = { 1, 1e9, true, "whole, from 1 to 1e9" },
    [TN_WHOLE] = { 0, 1e9, true, "whole, from 0 to 1e9" },
    [TN_1_TO_100] = { 1, 100, true, "whole, from 1 to 100" },
};

const char *tn_range_text(tn_range range)
{
    return ranges[range].text;
}

static int check(const tn_optim_def *def, const double *h, tn_error *e)
{
    for (int i = 0; i < TN_SETTINGS && !e->code; i++) {
        tn_hyper s = setting(def, i);
        bool inside = h[i] >= ranges[s.range].least && h[i] <= ranges[s.range].most;
        bool broken = ranges[s.range].whole && h[i] != floor(h[i]);
        if (s.name && (!inside || broken))
            tn_fail(e, TN_EARG, "%s: %s is %g; expected %s", def->name, s.name, h[i],
                    ranges[s.range].text);
    }
    const char *wrong = def->check && !e->code ? def->check(h) : NULL;
    return wrong ? tn_fail(e, TN_EARG, "%s: %s", def->name, wrong) : e->code;
}

/* Is it a setting that every optimizer has? */
static bool is_common(const char *text)
{
    const size_t length = strcspn(text, "=");
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (strlen(common[i].name) == length && !strncmp(common[i].name, text, length))
            return true;
    return false;
}

static void set_presets(const tn_optim_def *def, const char *const *given, double *h, tn_error *e)
{
    for (const char *const *s = given; s && *s && !e->code; s++)
        if (is_preset(*s))
            set_preset(def, *s, h, e);
}

static void set_singles(const tn_optim_def *def, const char *const *given, double *h, tn_error *e)
{
    for (const char *const *s = given; s && *s && !e->code; s++)
        if (!is_preset(*s))
            set(def, *s, h, e);
}

int tn_settings_change(const tn_optim_def *def, const char *const *given, double *h, tn_error *e)
{
    for (const char *const *s = given; s && *s && !e->code; s++)
        if (is_common(*s))
            tn_fail(e, TN_EARG, "\"%s\" is a setting of all weights; expected one such as lr", *s);
    set_presets(def, given, h, e);
    set_singles(def, given, h, e);
    return e->code ? e->code : check(def, h, e);
}

/* First the defaults, then presets, then fields and single settings. */
int tn_settings_read(const tn_optim_def *def, const tn_optim_options *options, double *h,
                     tn_error *e)
{
    for (int i = 0; i < TN_SETTINGS; i++)
        h[i] = setting(def, i).value;
    set_presets(def, options->set, h, e);
    if (!(options->lr <= 0) && !e->code) /* NaN is refused below */
        set_field(def, "lr", options->lr, options, h, e);
    if (options->weight_decay >= 0 && def->decay && !e->code)
        set_field(def, def->decay, options->weight_decay, options, h, e);
    if (options->weight_decay > 0 && !def->decay)
        tn_fail(e, TN_EARG, "%s has no weight decay", def->name);
    set_singles(def, options->set, h, e);
    return e->code ? e->code : check(def, h, e);
}
