/* test_settings.c - every setting of every optimizer of the table: it changes a run, and what is
   out of its range is refused. Settings by name are in test_optim.c. */
#include "tests/optim_mixed.h"
#include "tests/tests.h"

#include <stdio.h>
#include <string.h>

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
    tcase_add_test(c, every_setting_does_something);
    tcase_add_test(c, settings_out_of_range_are_refused);
}
