/* test_trajectories.c - 50 steps, compared with the original implementations.
   The test runs every case of trajectories.json whose optimizer we have. It compares weights after
   eight numbers of steps, and state after two. tests/golden/trajectories has some cases, and
   $TENON_ASSETS/golden/trajectories has more. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_trajectory.h"
#include "tests/support/optim_words.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct family {
    const char *key, *algo; /* names in the file; algo NULL: any */
    const char *name;       /* our name */
    const char *extra;      /* settings that the name implies; those of the case come after */
    const char *state[3];   /* elementwise state: names in the file, for our slots in order;
                               "B A": the factors may differ in signs, so products are compared */
} family;

/* clang-format off */
static const family families[] = {
    { "torch_sgd", NULL, "sgd", "", { "buf" } },
    { "torch_adam", NULL, "adam", "", { "m", "v" } },
    { "torch_adamw", NULL, "adamw", "", { "m", "v" } },
    { "torch_amsgrad", "adam", "adam", "", { "m", "v", "vmax" } },
    { "torch_amsgrad", "adamw", "adamw", "", { "m", "v", "vmax" } },
    { "riem_gpt2", "sgdr", "scaled-gd", "preset=gpt2", { NULL } },
    { "riem_mistral", "sgdr", "scaled-gd", "preset=mistral", { NULL } },
    { "riem_gpt2", "adamwr", "scaled-adam", "preset=gpt2", { "m", "v" } },
    { "riem_mistral", "adamwr", "scaled-adam", "preset=mistral", { "m", "v" } },
    { "lora_rite", NULL, "lora-rite", "preset=authors", { NULL } },
    { "rite_clamped_port", NULL, "lora-rite", "preset=authors eps_root=1e-12", { NULL } }, /* eps squared */
    { "lion", NULL, "lion", "", { "m" } },
    { "lamb", NULL, "lamb", "", { NULL } },
    { "lamb_nobias", NULL, "lamb", "bias_correction=0", { "m", "v" } },
    { "torch_rmsprop", NULL, "rmsprop", "", { "square_avg", "grad_avg", "buf" } },
    { "loraplus", NULL, "loraplus", "", { "m", "v" } },
    { "torch_adafactor", NULL, "adafactor", "", { "row_var", "col_var" } },
    { "riem_mixofshow", "sgdr", "scaled-gd", "preset=mix-of-show", { NULL } },
    { "riem_mixofshow", "adamwr", "scaled-adam", "preset=mix-of-show", { "m", "v" } },
    { "riem_objgen", "adamw", "scaled-adam", "preset=object-generation", { "m", "v" } },
    { "riem_peft", "sgd", "scaled-gd", "preset=peft", { NULL } },
    { "riem_peft", "adamw", "scaled-adam", "preset=peft", { "m", "v" } },
    { "torch_muon", NULL, "muon", "", { "buf" } },
    { "torch_muon_bf16", NULL, "muon", "", { "buf" } },
    { "muon", NULL, "muon", "eps_added=1", { "buf" } },
    { "shampoo", NULL, "shampoo", "", { "pre_cond_0", "pre_cond_1" } },
    { "balora", "sgd", "sgd", "balora=1", { "B A" } },
    { "balora_best", "adamw", "adamw", "balora=2", { "m", "v" } },
    { "lorafa", NULL, "lorafa", "", { "m", "v" } },
    { "altlora", "", "altlora", "preset=class", { "m" } },
    { "altlora", "plus", "altlora-plus", "preset=class", { "m", "v" } },
    { "reflora", "sgd", "reflora", "adamw=0", { NULL } },
    { "reflora", "adamw", "reflora", "", { "m", "v" } },
    { "reflora_s", "sgd", "reflora-s", "adamw=0", { NULL } },
    { "reflora_s", "adamw", "reflora-s", "", { "m", "v" } },
    { "balora_rite", NULL, "lora-rite", "preset=authors balora=1", { "B A" } },
    { "stable_lora", NULL, "stable-lora", "", { "m", "v" } },
    { "sgd_sai", NULL, "sgd-sai", "wait=0", { "buf", "gsnr" } },
};

typedef struct count { int ours, others, states; double worst; } count;
/* clang-format on */

static const family *family_of(const tn_json *item)
{
    const char *key = "", *algo = "";
    tn_error e = { 0 };
    tn_json_get_string(item, "optimizer", &key, &e);
    tn_json_get_string(tn_json_find(item, "settings"), "algo", &algo, &e);
    if (real_of(tn_json_find(item, "settings"), "plus", 0) != 0)
        algo = "plus";
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(families[i].key, key) && (!families[i].algo || !strcmp(families[i].algo, algo)))
            return &families[i];
    return NULL;
}

/* An empty translation means: algo and plus choose the family; trajectory_start reads
   max_grad_norm; the others are among the family's own settings. */
static const word words[] = {
    { NULL, "algo", NULL, "" },
    { "altlora", "plus", NULL, "" },
    { "altlora", "beta2", NULL, "" }, /* only altlora-plus has it, like eps */
    { "altlora", "eps", NULL, "" },
    { "shampoo", "momentum", "0.0", "" },
    { NULL, "max_grad_norm", NULL, "" },
    { NULL, "correct_bias", NULL, "bias_correction=" },
    { NULL, "adjust", "null", "" },
    { NULL, "adjust", "original", "match_rms=0" },
    { NULL, "adjust", "match_rms_adamw", "match_rms=1" },
    { NULL, "adjust", "spectral_unclamped", "match_rms=2" },
    { NULL, "every", NULL, "balora_every=" },
    { "balora", "best", "0", "" },
    { "balora_best", "best", "1", "" },
    { "riem_gpt2", "copy", "gpt2", "" },
    { "riem_mistral", "copy", "mistral", "" },
    { "riem_mixofshow", "copy", "mix-of-show", "" },
    { "reflora", "scalar", "0", "" },
    { "reflora_s", "scalar", "1", "" },
    { "lamb_nobias", "debias", "0", "" },
};

/* Writes the settings of a case in our words. Returns NULL, or the key that is not known. */
static const char *settings_of(const tn_json *settings, const family *f, char *out, size_t room)
{
    snprintf(out, room, "%s ", f->extra);
    return in_our_words(settings, f->key, tn_optim_find(f->name), words,
                        sizeof words / sizeof *words, out, room);
}

static bool compare_mark(trajectory *r, const family *f, int mark, double loss, double wanted_loss)
{
    bool states = false;
    ck_assert_msg(fabs(loss - wanted_loss) <= 100 * r->limit * (1 + fabs(wanted_loss)),
                  "%s: loss after %d steps is %.12g, expected %.12g", r->name, mark, loss,
                  wanted_loss);
    const bool rite = !strcmp(f->name, "lora-rite"), port = !strcmp(f->key, "rite_clamped_port");
    for (int i = 0; i < r->p.pairs; i++) {
        if (f->state[0] && !strcmp(f->state[0], "B A"))
            trajectory_product(r, i, mark);
        else
            trajectory_weights(r, i, mark);
        states = trajectory_state(r, f->state, i, mark) || states;
        states = (rite && trajectory_rite(r, port, i, mark)) || states;
    }
    return states;
}

static void one_case(const char *folder, const tn_json *index, const tn_json *item, count *sum)
{
    const family *f = family_of(item);
    sum->ours += f != NULL;
    sum->others += f == NULL;
    if (!f)
        return;
    char settings[512];
    trajectory r;
    const char *unknown = settings_of(tn_json_find(item, "settings"), f, settings, sizeof settings);
    ck_assert_msg(!unknown, "a case of %s has \"%s\", which no setting here stands for", f->key,
                  unknown);
    trajectory_start(&r, folder, item, f->name, settings);
    int64_t marks, losses, done = 0;
    double *mark = read_numbers(index, "marks", &marks),
           *loss = read_doubles(r.file, "loss", &losses);
    ck_assert_int_eq(marks, losses);
    for (int64_t i = 0; i < marks; i++) {
        for (; done < (int64_t)mark[i]; done++) {
            trajectory_gradients(&r, (int)done);
            problem_step(&r.p);
        }
        sum->states += compare_mark(&r, f, (int)done, trajectory_gradients(&r, (int)done), loss[i]);
    }
    sum->worst = r.worst > sum->worst ? r.worst : sum->worst;
    trajectory_free(&r);
    free(mark);
    free(loss);
}

static count every_case(const char *folder)
{
    tn_error e = { 0 };
    char *path = tn_path_join(folder, "trajectories.json");
    const tn_json *index = tn_json_read(path, &e);
    must(&e);
    count sum = { 0 };
    const tn_json *cases = tn_json_find(index, "cases");
    ck_assert_ptr_nonnull(cases);
    for (const tn_json *item = cases->child; item; item = item->next)
        one_case(folder, index, item, &sum);
    printf("%s: %d runs of our optimizers (%d states compared), %d of others; at most %.2g of the "
           "limit\n",
           folder, sum.ours, sum.states, sum.others, sum.worst);
    tn_json_free(index);
    free(path);
    return sum;
}

START_TEST(committed_runs)
{
    count sum = every_case(GOLDEN "trajectories");
    ck_assert_int_eq(sum.ours, 114);
    ck_assert_int_eq(sum.others, 0);
}
END_TEST

START_TEST(all_runs)
{
    char *folder = assets("golden/trajectories");
    if (folder)
        ck_assert_int_ge(every_case(folder).ours, 116);
    free(folder);
}
END_TEST

/* The settings with which a case runs, or the key because of which it does not run. */
START_TEST(a_setting_that_is_not_known_fails)
{
    static const struct {
        const char *key, *settings, *ours, *unknown;
    } cases[] = {
        { "balora", "{\"lr\": 0.1, \"every\": 5}", "balora=1 lr=0.1 balora_every=5 ", NULL },
        { "balora", "{\"best\": 1}", NULL, "best" },
        { "torch_muon", "{\"adjust\": \"spectral_unclamped\"}", " match_rms=2 ", NULL },
        { "torch_muon", "{\"adjust\": \"spectral\"}", NULL, "adjust" },
        { "torch_muon", "{\"ns_coefficients\": [1, 2, 3]}", NULL, "ns_coefficients" },
        { "torch_adam", "{\"lr\": 1, \"foreach\": true}", NULL, "foreach" },
        { "torch_adam", "{\"foreach\": null}", NULL, "foreach" },
        { "torch_adam", "{\"eps\": \"small\"}", NULL, "eps" },
        { "torch_adam", "{\"eps\": null, \"amsgrad\": true}", " amsgrad=1 ", NULL },
        { "altlora", "{\"beta2\": 0.9, \"carry\": 0}", NULL, "carry" },
        { "shampoo", "{\"interval\": 3}", " interval=3 ", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tn_error e = { 0 };
        char out[512];
        const family *f = families;
        while (strcmp(f->key, cases[i].key) != 0)
            f++;
        const tn_json *s =
            tn_json_parse(cases[i].settings, strlen(cases[i].settings), "case", 0, &e);
        must(&e);
        const char *unknown = settings_of(s, f, out, sizeof out);
        ck_assert_msg(!unknown == !cases[i].unknown &&
                          (!unknown || !strcmp(unknown, cases[i].unknown)),
                      "%s %s: unknown is %s", f->key, cases[i].settings,
                      unknown ? unknown : "none");
        if (cases[i].ours)
            ck_assert_msg(strstr(out, cases[i].ours) != NULL, "%s %s: \"%s\"", f->key,
                          cases[i].settings, out);
        tn_json_free(s);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, a_setting_that_is_not_known_fails);
    tcase_add_test(c, committed_runs);
    tcase_add_test(c, all_runs);
}
