/* test_groups.c - groups of weights with settings of their own.
   Against PyTorch's param_groups, and against one optimizer per group. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_named.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS = 4, SETTINGS = 6, STEPS = 6 };

/* ---- PyTorch ---- */

/* Groups of a case, and texts of the tree. */
typedef struct grouping {
    tn_group groups[GROUPS];
    const char *set[GROUPS][SETTINGS];
} grouping;

static const char *const *texts(const tn_json *array, const char **to)
{
    int n = 0;
    for (const tn_json *v = array ? array->child : NULL; v; v = v->next)
        to[n++] = v->text;
    ck_assert_int_lt(n, SETTINGS);
    return to;
}

static void read_groups(const tn_json *array, grouping *to)
{
    int n = 0;
    for (const tn_json *g = array->child; g; g = g->next, n++) {
        ck_assert_int_lt(n, GROUPS - 1);
        to->groups[n] = (tn_group){ tn_json_at(g, 0)->text, texts(tn_json_at(g, 1), to->set[n]) };
    }
}

static tn_params *params_of(tn_context *c, const tn_json *start)
{
    tn_params *p = tn_params_new(c);
    for (const tn_json *w = start->child; w; w = w->next) {
        int64_t n;
        double *x = read_numbers(start, w->key, &n);
        const bool bias = strstr(w->key, "bias") != NULL;
        tn_tensor *to = bias ? tn_params_add(p, w->key, TN_SHAPE(n))
                             : tn_params_add(p, w->key, TN_SHAPE(n / 2, 2));
        for (int64_t i = 0; i < n; i++)
            to->x[i] = (tn_real)x[i];
        free(x);
    }
    return p;
}

/* The gradient of the sum of (x - 1/4)^2 / 2 + x^3 / 10. */
static void set_gradients(tn_params *p)
{
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        tn_tensor *w = tn_params_at(p, i)->w;
        for (int64_t k = 0; k < tn_tensor_count(w); k++)
            w->g[k] = w->x[k] - (tn_real)0.25 + (tn_real)0.3 * w->x[k] * w->x[k];
        w->has_grad = true;
    }
}

static tn_optim_options options_of(const tn_json *c, const grouping *g, const char **set)
{
    tn_error e = { 0 };
    tn_optim_options o = { .groups = g->groups, .set = texts(tn_json_find(c, "set"), set) };
    o.schedule = (tn_schedule){ .kind = TN_LINEAR, .steps = STEPS };
    tn_json_get_real(c, "lr", &o.lr, &e);
    tn_json_get_real(c, "weight_decay", &o.weight_decay, &e);
    tn_json_get_real(c, "min", &o.schedule.min, &e);
    tn_json_get_bool(c, "decay_all", &o.decay_all, &e);
    must(&e);
    return o;
}

static void check_case(tn_context *context, const tn_json *c)
{
    const double tolerance = sizeof(tn_real) == sizeof(double) ? 1e-13 : 1e-6;
    const char *text = tn_json_find(c, "torch")->text, *set[SETTINGS] = { NULL };
    grouping g = { 0 };
    read_groups(tn_json_find(c, "groups"), &g);
    tn_error e = { 0 };
    const tn_optim_options how = options_of(c, &g, set);
    tn_params *p = params_of(context, tn_json_find(c, "start"));
    tn_optim *o = tn_optim_new(p, tn_optim_find(tn_json_find(c, "optimizer")->text), &how, &e);
    must(&e);
    for (int k = 0; k < STEPS; k++) {
        set_gradients(p);
        ck_assert_int_eq(tn_optim_step(o), 0);
    }
    const tn_json *want = tn_json_find(c, "want");
    for (const tn_json *w = want->child; w; w = w->next) {
        int64_t n;
        double *x = read_numbers(want, w->key, &n);
        const tn_tensor *found = tn_params_find(p, w->key)->w;
        ck_assert_int_eq(n, tn_tensor_count(found));
        for (int64_t i = 0; i < n; i++)
            ck_assert_msg(fabs((double)found->x[i] - x[i]) < tolerance,
                          "%s: number %ld of %s is %.15g, expected %.15g", text, (long)i, w->key,
                          (double)found->x[i], x[i]);
        free(x);
    }
    tn_optim_free(o);
    tn_params_free(p);
}

START_TEST(groups_are_those_of_pytorch)
{
    tn_error e = { 0 };
    const tn_json *root = tn_json_read(GOLDEN "groups.json", &e);
    must(&e);
    tn_context *c = tn_context_new(NULL);
    for (const tn_json *v = tn_json_find(root, "cases")->child; v; v = v->next)
        check_case(c, v);
    tn_context_free(c);
    tn_json_free(root);
}
END_TEST

/* ---- one optimizer per group ---- */

static const char *const names[] = {
    "x.lora_A.weight", "x.lora_B.weight", "x.bias", "y.lora_A.weight",
    "y.lora_B.weight", "y.bias",          NULL
};
static const int64_t dims[][3] = { { 2, 2, 4 }, { 2, 4, 2 }, { 1, 3 },
                                   { 2, 2, 5 }, { 2, 3, 2 }, { 1, 4 } };

/* An optimizer of all weights, or of those that are not frozen. */
static tn_optim *optimizer(tn_params *p, const char *freeze, const tn_optim_def *def,
                           const char *const *set, const tn_group *groups)
{
    tn_error e = { 0 };
    if (freeze)
        tn_params_freeze(p, freeze);
    tn_optim *o = tn_optim_new(p, def,
                               &(tn_optim_options){
                                   .weight_decay = -1,
                                   .set = set,
                                   .groups = groups,
                                   .schedule = { .kind = TN_COSINE, .steps = STEPS, .warmup = 2 } },
                               &e);
    must(&e);
    return o;
}

static void take_step(tn_params *p, tn_optim *o, int k)
{
    named_gradients(p, k);
    ck_assert_int_eq(tn_optim_step(o), 0);
}

static void same_weights(const tn_optim_def *def, const tn_params *p, const tn_params *q,
                         char which)
{
    for (int i = 0; names[i]; i++) {
        const tn_tensor *a = tn_params_find(p, names[i])->w, *b = tn_params_find(q, names[i])->w;
        if (names[i][0] == which)
            ck_assert_msg(!memcmp(a->x, b->x, tn_tensor_bytes(a)), "%s: %s differs", def->name,
                          names[i]);
    }
}

static bool has(const tn_optim_def *def, const char *setting)
{
    for (int i = 0; i < TN_MAX_HYPER && def->hyper[i].name; i++)
        if (!strcmp(def->hyper[i].name, setting))
            return true;
    return false;
}

/* Every optimizer, with two rates and AdamW's two rates, does to each group what it does alone.
   Clipping, which sees all weights at once, is off. */
START_TEST(a_group_is_an_optimizer_of_its_own)
{
    tn_context *c = tn_context_new(NULL);
    for (const tn_optim_def *const *def = tn_optims; *def; def++) {
        const bool leaves = (*def)->pairs || (*def)->matrices;
        const char *const clip =
            (*def)->clip == TN_CLIP_REFUSED && has(*def, "clip") ? "clip=0" : NULL;
        const char *const all[] = { "lr=0.03", clip, NULL };
        const char *const left[] = { leaves ? "fallback_lr=0.007" : "lr=0.007", "lr=0.007", clip,
                                     NULL };
        const tn_group groups[] = { { "y.*", (const char *const[]){ "lr=0.007", NULL } },
                                    { NULL, NULL } };
        tn_params *p = named(c, names, dims), *x = named(c, names, dims),
                  *y = named(c, names, dims);
        tn_optim *both = optimizer(p, NULL, *def, all, groups),
                 *one = optimizer(x, "y.*", *def, all, NULL),
                 *other = optimizer(y, "x.*", *def, left, NULL);
        for (int k = 0; k < STEPS; k++) {
            take_step(p, both, k);
            take_step(x, one, k);
            take_step(y, other, k);
        }
        same_weights(*def, p, x, 'x');
        same_weights(*def, p, y, 'y');
        ck_assert(tn_optim_hyper_of(both, "x.lora_B.weight", "lr") == 0.03);
        ck_assert(tn_optim_hyper_of(both, "y.lora_B.weight", "lr") == 0.007);
        ck_assert(tn_optim_hyper_of(both, "y.bias", "lr") == 0.007);
        ck_assert(tn_optim_hyper(both, "lr") == 0.03 && tn_optim_lr(both) == tn_optim_lr(one));
        ck_assert(isnan(tn_optim_hyper_of(both, "z", "lr")));
        ck_assert(isnan(tn_optim_hyper_of(both, "x.bias", "nothing")));
        tn_optim_free(both);
        tn_optim_free(one);
        tn_optim_free(other);
        tn_params_free(p);
        tn_params_free(x);
        tn_params_free(y);
    }
    tn_context_free(c);
}
END_TEST

/* The first group counts. A group of weights that are left over has AdamW's settings. */
START_TEST(a_weight_has_the_settings_of_its_first_group)
{
    tn_context *c = tn_context_new(NULL);
    tn_params *p = named(c, names, dims);
    const tn_group groups[] = {
        { "x.bias", (const char *const[]){ "eps=1e-5", NULL } },
        { "*.bias", (const char *const[]){ "beta1=0.5", "weight_decay=0.25", NULL } },
        { "x.*", (const char *const[]){ "lr=0.5", NULL } },
        { NULL, NULL },
    };
    tn_optim *o = optimizer(p, NULL, tn_optim_find("scaled-gd"), NULL, groups);
    const struct {
        const char *weight, *name;
        double value;
    } want[] = {
        { "x.bias", "eps", 1e-5 },        { "x.bias", "beta1", 0.9 },
        { "y.bias", "eps", 1e-8 },        { "y.bias", "beta1", 0.5 },
        { "x.bias", "lr", 1e-3 },         { "y.bias", "weight_decay", 0.25 },
        { "x.lora_A.weight", "lr", 0.5 }, { "y.lora_A.weight", "lr", tn_optim_hyper(o, "lr") },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        ck_assert_msg(tn_optim_hyper_of(o, want[i].weight, want[i].name) == want[i].value, "%s: %s",
                      want[i].weight, want[i].name);
    tn_optim_free(o);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

START_TEST(wrong_groups_are_refused)
{
    static const struct {
        const char *optimizer, *pattern, *set, *part;
    } wrong[] = {
        { "adamw", "z*", "lr=1",
          "group \"z*\" gets no weight; expected the pattern of a trained weight that no group "
          "before it matches" },
        { "adamw", "*.weight", "momentum=1",
          "group \"*.weight\": adamw has no setting \"momentum\"" },
        { "adamw", "*.weight", "beta1=1", "group \"*.weight\": adamw: beta1 is 1; expected" },
        { "adamw", "*.weight", "lr", "group \"*.weight\": adamw: \"lr\" is not a setting" },
        { "adamw", "*.weight", "preset=x", "group \"*.weight\": adamw has no preset \"x\"" },
        { "sgd", "*.weight", "nesterov=1", "group \"*.weight\": sgd: nesterov needs a momentum" },
        { "adamw", "*.weight", "balora=1",
          "group \"*.weight\": \"balora=1\" is a setting of all weights" },
        { "scaled-gd", "*.bias", "fallback_lr=1",
          "group \"*.bias\": \"fallback_lr=1\" is a setting of all weights; expected one such as lr" },
        { "scaled-gd", "*.weight", "fallback_lr=1",
          "\"fallback_lr=1\" is a setting of all weights" },
        { "scaled-gd", "*", "delta=1", "group \"*\": adamw has no setting \"delta\"" },
        { "scaled-gd", "x.lora_A.*", "lr=1",
          "x: its factors have different groups; scaled-gd needs both in one" },
    };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = named(c, names, dims);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        named_refused(p, wrong[i].optimizer,
                      &(tn_optim_options){
                          .weight_decay = -1,
                          .groups = (tn_group[]){ { wrong[i].pattern,
                                                    (const char *[]){ wrong[i].set, NULL } },
                                                  { NULL, NULL } } },
                      TN_EARG, wrong[i].part);
    named_refused(p, "adamw",
                  &(tn_optim_options){
                      .groups = (tn_group[]){ { "*", NULL }, { "x.*", NULL }, { NULL, NULL } } },
                  TN_EARG, "group \"x.*\" gets no weight");
    tn_params_freeze(p, "x.bias");
    named_refused(p, "adamw",
                  &(tn_optim_options){ .groups =
                                           (tn_group[]){ { "x.bias", NULL }, { NULL, NULL } } },
                  TN_EARG, "group \"x.bias\" gets no weight");
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

/* ---- runs that go on ---- */

static const tn_group resumed[] = {
    { "*.bias", (const char *const[]){ "lr=0.02", "weight_decay=0.1", NULL } },
    { "x.*", (const char *const[]){ "lr=0.5", NULL } },
    { NULL, NULL },
};

START_TEST(a_run_with_groups_resumes_to_the_bit)
{
    const tn_optim_def *def = tn_optim_find("lora-rite");
    tn_context *c = tn_context_new(NULL);
    char *folder = temporary();
    tn_error e = { 0 };
    tn_params *p = named(c, names, dims), *q = named(c, names, dims);
    tn_optim *o = optimizer(p, NULL, def, NULL, resumed),
             *again = optimizer(q, NULL, def, NULL, resumed);
    for (int k = 0; k < STEPS; k++) {
        if (k == STEPS / 2)
            tn_checkpoint_save(folder, p, o,
                               &(tn_run_state){ .step = k, .options_hash = tn_optim_hash(o) }, 1,
                               &e);
        take_step(p, o, k);
    }
    tn_run_state r = { .options_hash = tn_optim_hash(again) };
    tn_checkpoint_load(folder, q, again, &r, &e);
    must(&e);
    for (int k = STEPS / 2; k < STEPS; k++)
        take_step(q, again, k);
    same_weights(def, p, q, 'x');
    same_weights(def, p, q, 'y');
    tn_optim_free(again);
    again = optimizer(q, NULL, def, NULL, resumed + 1);
    r = (tn_run_state){ .options_hash = tn_optim_hash(again) };
    tn_checkpoint_load(folder, q, again, &r, &e);
    must_fail(&e, TN_EARG, "other options");
    tn_optim_free(o);
    tn_optim_free(again);
    tn_params_free(p);
    tn_params_free(q);
    tn_context_free(c);
    discard(folder);
}
END_TEST

/* Whatever changes a step changes the hash. The order of the weights does not. */
START_TEST(the_hash_knows_what_changes_a_step)
{
    static const char *const turned[] = {
        "y.bias",          "x.lora_B.weight", "x.bias", "x.lora_A.weight",
        "y.lora_B.weight", "y.lora_A.weight", NULL
    };
    static const int64_t sides[][3] = { { 1, 4 },    { 2, 4, 2 }, { 1, 3 },
                                        { 2, 2, 4 }, { 2, 3, 2 }, { 2, 2, 5 } };
    const char *const set[] = { "beta1=0.8", NULL };
    const tn_optim_options runs[] = {
        { .lr = 0.1 },
        { .lr = 0.2 },
        { .lr = 0.1, .set = set },
        { .lr = 0.1, .weight_decay = 0.5 },
        { .lr = 0.1, .decay_all = true },
        { .lr = 0.1, .max_grad_norm = 1 },
        { .lr = 0.1, .groups = resumed },
        { .lr = 0.1, .groups = resumed + 1 },
        { .lr = 0.1, .schedule = { .kind = TN_INVERSE_SQRT } },
        { .lr = 0.1, .schedule = { .warmup = 5 } },
        { .lr = 0.1, .schedule = { .kind = TN_LINEAR, .steps = 5 } },
        { .lr = 0.1, .schedule = { .kind = TN_LINEAR, .steps = 5, .min = 0.01 } },
        { .lr = 0.1, .schedule = { .kind = TN_WSD, .steps = 5, .decay = 2 } },
    };
    enum { RUNS = sizeof runs / sizeof *runs };
    uint64_t hash[RUNS + 1];
    tn_context *c = tn_context_new(NULL);
    tn_params *p = named(c, names, dims), *q = named(c, turned, sides);
    tn_error e = { 0 };
    for (int i = 0; i <= RUNS; i++) {
        tn_optim *o =
            tn_optim_new(p, tn_optim_find(i < RUNS ? "adamw" : "adam"), &runs[i % RUNS], &e);
        hash[i] = tn_optim_hash(o);
        tn_optim_free(o);
        for (int k = 0; k < i; k++)
            ck_assert_msg(hash[k] != hash[i], "runs %d and %d", k, i);
    }
    tn_optim *o = tn_optim_new(q, tn_optim_find("adamw"), &runs[0], &e);
    must(&e);
    ck_assert(tn_optim_hash(o) == hash[0]);
    tn_optim_free(o);
    tn_params_free(p);
    tn_params_free(q);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, groups_are_those_of_pytorch);
    tcase_add_test(c, a_group_is_an_optimizer_of_its_own);
    tcase_add_test(c, a_weight_has_the_settings_of_its_first_group);
    tcase_add_test(c, wrong_groups_are_refused);
    tcase_add_test(c, a_run_with_groups_resumes_to_the_bit);
    tcase_add_test(c, the_hash_knows_what_changes_a_step);
}
