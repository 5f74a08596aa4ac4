/* test_settings.c - settings and presets by name.
   For every optimizer of the table: every setting changes a run, and values out of its range are
   refused. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_mixed.h"
#include "tests/support/optim_named.h"
#include "tests/support/tests.h"

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
        { "lora-rite", "temperature=1", -1, -1,
          "no setting \"temperature\"; `tenon optimizers lora-rite` lists them" },
        { "sgd", "momentun=0.9", -1, -1, "the nearest is \"momentum\"" },
        { "sgd", "momentum", -1, -1, "\"momentum\" is not a setting; expected momentum=NUMBER" },
        { "sgd", "momentum=", -1, -1, "expected momentum=NUMBER" },
        { "sgd", "momentum=0.9x", -1, -1, "expected momentum=NUMBER" },
        { "sgd", "momentum=nan", -1, -1, "expected momentum=NUMBER" },
        { "sgd", "momentum=0x1", -1, -1, "expected momentum=NUMBER" },
        { "sgd", "momentum= 0", -1, -1, "expected momentum=NUMBER" },
        { "adamw", "weight_decay=0.5", 0.9, -1,
          "\"weight_decay=0.5\" beside weight_decay of 0.9; use only one" },
        { "lora-muon", "beta=0.5", 0.9, -1, "lora-muon has no weight decay" },
        { "sgd", "momentum=1", -1, -1, "sgd: momentum is 1; expected at least 0 and below 1" },
        { "sgd", "nesterov=1", -1, -1, "nesterov needs a momentum" },
        { "adam", "beta2=1", -1, -1, "beta2 is 1; expected at least 0 and below 1" },
        { "adamw", "eps=0", -1, -1, "eps is 0; expected above 0" },
        { "adamw", "lr=-1", -1, -1, "adamw: lr is -1; expected above 0" },
        { "scaled-gd", "delta=-1", -1, -1, "delta is -1; expected at least 0" },
        { "scaled-adam", "weight_decay=-1", -1, -1, "weight_decay is -1; expected at least 0" },
        { "lora-rite", "clip=-1", -1, -1, "clip is -1; expected at least 0" },
        { "lora-rite", "lr=1", -1, 1, "breaks the invariance" },
        { "sgd", "balora=3", -1, -1, "sgd: balora is 3; expected 0, 1 or 2" },
        { "sgd", "balora_every=1.5", -1, -1, "balora_every is 1.5; expected whole, from 1 to 1e9" },
        { "sgd", "balor=1", -1, -1, "sgd has no setting \"balor\"; the nearest is \"balora\"" },
        { "lion", "beta1=1", -1, -1, "beta1 is 1; expected at least 0 and below 1" },
        { "lamb", "clamp=-1", -1, -1, "clamp is -1; expected at least 0" },
        { "rmsprop", "alpha=1", -1, -1, "alpha is 1; expected at least 0 and below 1" },
        { "loraplus", "ratio=0", -1, -1, "ratio is 0; expected above 0" },
        { "adafactor", "beta2_decay=0.8", -1, -1, "beta2_decay is 0.8; expected at most 0" },
        { "adafactor", "d=0", -1, -1, "d is 0; expected above 0" },
        { "muon", "ns_steps=0", -1, -1, "ns_steps is 0; expected whole, from 1 to 100" },
        { "shampoo", "interval=1.5", -1, -1, "interval is 1.5; expected whole, from 1 to 1e9" },
        { "stable-lora", "shrink=1", -1, -1, "shrink is 1; expected at least 0 and below 1" },
        { "sgd-sai", "eps=0", -1, -1, "eps is 0; expected above 0" },
        { "lora-tsd", "rounds=101", -1, -1, "rounds is 101; expected whole, from 1 to 100" },
        { "altlora", "alternate=0.5", -1, -1, "expected whole, from 0 to 1e9" },
        { "scaled-gd", "decay_after=-2", -1, -1, "decay_after is -2; expected -1, 0 or 1" },
        { "lamb", "bias_correction=2", -1, -1, "bias_correction is 2; expected 0 or 1" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        named_refused(p, wrong[i].name,
                      &(tn_optim_options){ .set = (const char *[]){ wrong[i].set, NULL },
                                           .weight_decay = wrong[i].decay,
                                           .max_grad_norm = wrong[i].norm },
                      TN_EARG, wrong[i].part);
    tn_error e = { 0 };
    tn_optim *o =
        tn_optim_new(p, tn_optim_find("lora-rite"),
                     &(tn_optim_options){
                         .lr = 0.5,
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
    tn_error e = { 0 };
    o = tn_optim_new(p, tn_optim_find("muon"),
                     &(tn_optim_options){
                         .lr = 0.5,
                         .weight_decay = 0.25,
                         .max_grad_norm = -1,
                         .set = (const char *[]){ "match_rms=0", "preset=moonlight", NULL } },
                     &e);
    must(&e);
    ck_assert(tn_optim_hyper(o, "lr") == 0.5);
    ck_assert(tn_optim_hyper(o, "weight_decay") == 0.25);
    ck_assert(tn_optim_hyper(o, "match_rms") == 0);
    tn_optim_free(o);
    ck_assert_ptr_null(tn_optim_new(p, tn_optim_find("moon"), &(tn_optim_options){ 0 }, &e));
    ck_assert_ptr_nonnull(strstr(e.text, "no optimizer is given"));
    named_refused(p, "muon",
                  &(tn_optim_options){ .set = (const char *[]){ "preset=jordan", NULL },
                                       .weight_decay = -1 },
                  TN_EARG, "muon has no preset \"jordan\"");
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

/* The hash of three runs: a usual one, one from lora_B = 0, and one whose first gradients are zero.
   0 if the settings are refused. */
static uint64_t outcome(const tn_optim_def *def, const char *settings)
{
    static const struct {
        kind kind;
        double lora_b;
    } runs[] = { { NORMAL, 1 }, { NORMAL, 0 }, { ZERO_FIRST, 1 } };
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

/* True if some value of the setting changes a run, alone or together with a preset or another
   setting. */
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

/* For each range: the nearest values outside, and some inside. */
static const struct {
    const char *outside[4], *inside[4];
} edges[] = {
    [TN_ANY] = { { NULL }, { "-1e300", "0.5" } },
    [TN_ABOVE_0] = { { "0", "-1" }, { "1e-300", "1e300" } },
    [TN_FROM_0] = { { "-5e-324" }, { "0", "1e300" } },
    [TN_TO_0] = { { "5e-324" }, { "0", "-1e300" } },
    [TN_SHARE] = { { "1", "-5e-324" }, { "0", "0.99999999999999989" } },
    [TN_SWITCH] = { { "-1", "2", "0.5" }, { "0", "1" } },
    [TN_0_TO_2] = { { "-1", "3", "1.5" }, { "0", "1", "2" } },
    [TN_SIGN] = { { "-2", "2", "0.5" }, { "-1", "0", "1" } },
    [TN_COUNT] = { { "0", "1000000001", "1.5" }, { "1", "1e9" } },
    [TN_WHOLE] = { { "-1", "1000000001", "0.5" }, { "0", "1e9" } },
    [TN_1_TO_100] = { { "0", "101", "1.5" }, { "1", "100" } },
};

START_TEST(settings_out_of_range_are_refused)
{
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        for (int i = 0; setting(*def, i); i++) {
            const tn_hyper *h = setting(*def, i);
            const char *with =
                strcmp(h->name, "nesterov") ? "" : "momentum=0.5 "; /* sgd needs it for nesterov */
            for (int k = 0; k < 4; k++) {
                const char *out = edges[h->range].outside[k], *in = edges[h->range].inside[k];
                char settings[TEXT];
                snprintf(settings, sizeof settings, "%s=%s", h->name, out ? out : "nan");
                ck_assert_msg(!legal(*def, settings), "%s: %s", (*def)->name, settings);
                snprintf(settings, sizeof settings, "%s%s=%s", with, h->name, in ? in : "");
                ck_assert_msg(!in || legal(*def, settings), "%s: %s", (*def)->name, settings);
            }
        }
}
END_TEST

START_TEST(a_second_name_finds_one_optimizer)
{
    int names = 0;
    for (const tn_optim_def *const *def = tn_optims; *def; def++) {
        ck_assert_ptr_eq(tn_optim_find((*def)->name), *def);
        if (!(*def)->also)
            continue;
        ck_assert_ptr_eq(tn_optim_find((*def)->also), *def);
        names++;
    }
    ck_assert_int_gt(names, 0);
    ck_assert_str_eq(tn_optim_find("lora-pro")->name, "projected-gd");
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, a_second_name_finds_one_optimizer);
    tcase_add_test(c, settings_by_name);
    tcase_add_test(c, presets_are_settings_that_pass);
    tcase_add_test(c, every_setting_does_something);
    tcase_add_test(c, settings_out_of_range_are_refused);
}
