/* test_settings.c - settings and presets by name, and every setting of every optimizer of the
   table: it changes a run, and what is out of its range is refused. */
#include "tests/fixtures.h"
#include "tests/optim_mixed.h"
#include "tests/optim_named.h"
#include "tests/tests.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

START_TEST(settings_by_name)
{
    static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", NULL };
    static const int64_t dims[][3] = { { 2, 2, 4 }, { 2, 4, 2 } };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = named(c, names, dims);
    static const struct {
        const char *name, *set;
        double decay, norm;
        const char *part;
    } wrong[] = {
        { "lora-rite", "beta=0.5", -1, -1,
          "lora-rite has no setting \"beta\"; the nearest is \"beta1\"" },
        { "lora-rite", "weightdecay=1", -1, -1, "the nearest is \"weight_decay\"" },
        { "sgd", "momentun=0.9", -1, -1, "the nearest is \"momentum\"" },
        { "sgd", "momentum", -1, -1, "\"momentum\" is no setting; expected momentum=NUMBER" },
        { "sgd", "momentum=", -1, -1, "expected momentum=NUMBER" },
        { "sgd", "momentum=0.9x", -1, -1, "expected momentum=NUMBER" },
        { "sgd", "momentum=nan", -1, -1, "expected momentum=NUMBER" },
        { "sgd", "momentum=1", -1, -1, "sgd: momentum must be at least 0 and below 1" },
        { "sgd", "nesterov=1", -1, -1, "nesterov needs a momentum" },
        { "adam", "beta2=1", -1, -1, "beta1 and beta2" },
        { "adamw", "eps=0", -1, -1, "eps must be above 0" },
        { "adamw", "lr=-1", -1, -1, "adamw: lr is -1; expected a number above 0" },
        { "scaled-gd", "delta=-1", -1, -1, "delta must be at least 0" },
        { "scaled-adam", "weight_decay=-1", -1, -1, "weight_decay must be at least 0" },
        { "lora-rite", "clip=-1", -1, -1, "clip, skip, cap" },
        { "lora-rite", "lr=1", -1, 1, "would break its invariance" },
        { "sgd", "balora=3", -1, -1, "sgd: balora must be 0, 1 or 2" },
        { "sgd", "balora_every=1.5", -1, -1, "balora_every must be a whole number above 0" },
        { "sgd", "balor=1", -1, -1, "sgd has no setting \"balor\"; the nearest is \"balora\"" },
        { "lion", "beta1=1", -1, -1, "beta1 and beta2" },
        { "lamb", "clamp=-1", -1, -1, "weight_decay and clamp must be at least 0" },
        { "rmsprop", "alpha=1", -1, -1, "alpha and momentum" },
        { "loraplus", "ratio=0", -1, -1, "ratio must be above 0" },
        { "adafactor", "beta2_decay=0.8", -1, -1, "beta2_decay must be at most 0" },
        { "adafactor", "d=0", -1, -1, "d must be above 0" },
        { "muon", "ns_steps=0", -1, -1, "ns_steps must be at least 1" },
        { "shampoo", "interval=1.5", -1, -1, "interval a whole number and at least 1" },
        { "stable-lora", "shrink=1", -1, -1, "shrink must be at least 0 and below 1" },
        { "sgd-sai", "eps=0", -1, -1, "eps must be above 0" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        named_refused(p, wrong[i].name,
                &(tn_optim_options){ .set = (const char *[]){ wrong[i].set, NULL },
                                     .weight_decay = wrong[i].decay,
                                     .max_grad_norm = wrong[i].norm },
                TN_EARG, wrong[i].part);
    tn_error e = { 0 };
    tn_optim *o = tn_optim_new(
        p, tn_optim_find("lora-rite"),
        &(tn_optim_options){ .lr = 0.5,
                             .weight_decay = 0.25,
                             .max_grad_norm = -1,
                             .set = (const char *[]){ "beta1=0.75", "escape=1", "balora=2", NULL } },
        &e);
    must(&e);
    ck_assert(tn_optim_hyper(o, "lr") == 0.5);
    ck_assert(tn_optim_hyper(o, "beta1") == 0.75);
    ck_assert(tn_optim_hyper(o, "beta2") == 0.999);
    ck_assert(tn_optim_hyper(o, "escape") == 1);
    ck_assert(tn_optim_hyper(o, "weight_decay") == 0.25);
    ck_assert(tn_optim_hyper(o, "skip") == 0);
    ck_assert(tn_optim_hyper(o, "balora") == 2);
    ck_assert(tn_optim_hyper(o, "balora_every") == 1);
    ck_assert(isnan(tn_optim_hyper(o, "nothing")));
    ck_assert_ptr_eq(tn_optim_definition(o), tn_optim_find("lora-rite"));
    tn_optim_free(o);
    ck_assert_ptr_null(tn_optim_find("adamax"));
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

START_TEST(presets_are_settings_that_pass)
{
    static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", NULL };
    static const int64_t dims[][3] = { { 2, 2, 4 }, { 2, 4, 2 } };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = named(c, names, dims);
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int i = 0; i < TN_MAX_PRESETS && (*def)->presets[i].name; i++) {
            char set[64];
            snprintf(set, sizeof set, "preset=%s", (*def)->presets[i].name);
            tn_optim_free(named_optimizer(p, (*def)->name, (const char *const[]){ set, NULL }));
        }
    tn_optim *o = named_optimizer(p, "muon", (const char *const[]){ "preset=moonlight", NULL });
    ck_assert(tn_optim_hyper(o, "match_rms") == 1);
    ck_assert(tn_optim_hyper(o, "lr") == 0.001);
    tn_optim_free(o);
    named_refused(p, "muon", &(tn_optim_options){ .set = (const char *[]){ "preset=jordan", NULL },
                                            .weight_decay = -1 },
            TN_EARG, "muon has no preset \"jordan\"");
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

/* A hash of three runs: a usual one, one from lora_B = 0, one that begins with gradients of zero. 0:
   these settings are refused. */
static uint64_t outcome(const tn_optim_def *def, const char *settings)
{
    static const struct { kind kind; double lora_b; } runs[] = {
        { NORMAL, 1 }, { NORMAL, 0 }, { ZERO_FIRST, 1 } };
    uint64_t hash = 0;
    for (int k = 0; k < 3 && legal(def, settings); k++) {
        problem p;
        mixed_part(&p, (size){ 9, 7, 3 }, 0, 0, (scale){ 1, runs[k].lora_b });
        must_try(&p, def, settings);
        for (int t = 1; t <= 6; t++) {
            mixed_gradients(&p, runs[k].kind, (scale){ 1, 1 }, t);
            problem_step(&p);
        }
        hash = 31 * hash + tn_params_hash(p.params, false);
        problem_free(&p);
    }
    return hash;
}

/* Does this setting change a run, be it beside a preset or another setting that it needs? */
static bool alive(const tn_optim_def *def, const char *name)
{
    char context[TEXT], both[2 * TEXT];
    for (int k = 0; variant(def, k, context); k++) {
        uint64_t plain = outcome(def, context);
        for (int j = 0; j < VALUES && plain; j++) {
            snprintf(both, sizeof both, "%s %s=%g", context, name, values[j]);
            uint64_t other = outcome(def, both);
            if (other && other != plain)
                return true;
        }
    }
    return false;
}

START_TEST(every_setting_does_something)
{
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int i = 0; setting(*def, i); i++)
            ck_assert_msg(alive(*def, setting(*def, i)->name), "%s: setting %s changes nothing",
                          (*def)->name, setting(*def, i)->name);
}
END_TEST

/* Settings that take any number: switches, whose help says what 1 means, and those that are negative
   already. */
static bool takes_any(const tn_optim_def *def, const tn_hyper *h)
{
    static const char *const any[][2] = { { "sgd", "dampening" } }; /* as torch */
    for (size_t i = 0; i < sizeof any / sizeof *any; i++)
        if (!strcmp(any[i][0], def->name) && !strcmp(any[i][1], h->name))
            return true;
    return h->value < 0 || strstr(h->help, "1:");
}

START_TEST(settings_out_of_range_are_refused)
{
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int i = 0; setting(*def, i); i++) {
            const tn_hyper *h = setting(*def, i);
            char settings[TEXT];
            snprintf(settings, sizeof settings, "%s=-1", h->name);
            ck_assert_msg(takes_any(*def, h) || !legal(*def, settings), "%s: %s", (*def)->name,
                          settings);
            snprintf(settings, sizeof settings, "%s=1", h->name);
            bool decay = !strncmp(h->name, "beta", 4) || !strcmp(h->name, "momentum");
            ck_assert_msg(!decay || !legal(*def, settings), "%s: %s", (*def)->name, settings);
        }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, settings_by_name);
    tcase_add_test(c, presets_are_settings_that_pass);
    tcase_add_test(c, every_setting_does_something);
    tcase_add_test(c, settings_out_of_range_are_refused);
}
