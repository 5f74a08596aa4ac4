/* test_invariance.c - invariance, compared with numbers made with NumPy.
   A becomes A T and B becomes B T^-T: some products must change, others must not. Settings, limits
   and numbers are from tests/golden/invariance.json. Formulas make its problem again. Letters as in
   the paper: A = lora_B, B = lora_A^T. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_closed.h"
#include "tests/support/optim_words.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 50, MOST = 20 };

static const pair_size p1 = { .out = 17, .in = 11, .r = 4, .s = 1.5 },
                       p2 = { .out = 12, .in = 20, .r = 3, .s = 0.75 };

/* The name in the file, our name, and our settings that are not settings in the file. */
typedef struct setting {
    const char *key, *name, *extra;
} setting;

static const setting optimizers[] = {
    { "rite_code", "lora-rite", "gauss_seidel=0 prior=0 cut=0" },
    { "rite_code_noclip", "lora-rite", "gauss_seidel=0 prior=0 cut=0" },
    { "rite_code_escape", "lora-rite", "gauss_seidel=0 prior=0 cut=0" },
    { "rite_code_skip1.35", "lora-rite", "gauss_seidel=0 prior=0 cut=0" },
    { "rite_code_skip0.75", "lora-rite", "gauss_seidel=0 prior=0 cut=0" },
    { "rite_code_all", "lora-rite", "gauss_seidel=0 prior=0 cut=0" },
    { "rite_rawclip", "lora-rite", "gauss_seidel=0 prior=0 cut=0" },
    { "scaledgd_d0", "scaled-gd", NULL },
    { "scaledgd_d1e-6", "scaled-gd", NULL },
    { "scaledadamw_d0_jacobi", "scaled-adam", "gauss_seidel=0" },
    { "scaledadamw_gs", "scaled-adam", "gauss_seidel=1" },
    { "sgd", "sgd", NULL },
    { "sgd_momentum", "sgd", NULL },
    { "adam", "adam", NULL },
    { "adamw", "adamw", NULL },
    { "lion", "lion", NULL },
    { "lion_wd", "lion", NULL },
    { "lamb", "lamb", NULL },
    { "lamb_eps1e-15", "lamb", NULL },
    { "loraplus", "loraplus", "lr=0.005 ratio=16" },
    { "adafactor", "adafactor", NULL },
    { "projgd_x0", "projected-gd", "split=0" },
    { "projgd_half", "projected-gd", "split=1" },
    { "lorapro_sylvester", "projected-gd", "split=2" },
    { "reflora_sgd", "reflora", "adamw=0 warmup_steps=0" },
    { "reflora_s_sgd", "reflora-s", "adamw=0 warmup_steps=0 rescale=0" },
    { "reflora_adamw", "reflora", "warmup_steps=0" },
    { "rite_paper", "lora-rite-paper", NULL },
    { "muon_rms", "muon", "match_rms=1" },
    { "muon_orig", "muon", "match_rms=0" },
    { "shampoo_2side", "shampoo", NULL },
    { "shampoo_rside", "shampoo", "max_side=4" },
    { "lora_muon_b0", "lora-muon", "gauss_seidel=0 cut=0" },
    { "lora_muon_b.9", "lora-muon", "gauss_seidel=0 cut=0" },
    { "lora_tsd", "lora-tsd", NULL },
    { "altlora_r0", "altlora", "alternate=1 bias_correction=0" },
    { "altlora_r1e-3", "altlora", "alternate=1 bias_correction=0" },
    { "altlora_plus", "altlora-plus", "alternate=1 bias_correction=0" },
};

enum { SETTINGS = sizeof optimizers / sizeof *optimizers };

/* ---- the problem ---- */

/* Multiplies all gradients by min(1, 1 / their norm), as a trainer does before a step. */
static void clip_raw(problem *p)
{
    double sum = 0;
    for (int64_t i = 0; i < 2 * p->pairs; i++) {
        const tn_tensor *w = tn_params_at(p->params, i)->w;
        for (int64_t k = 0; k < tn_tensor_count(w); k++)
            sum += (double)w->g[k] * (double)w->g[k];
    }
    for (int64_t i = 0; i < 2 * p->pairs && sum > 1; i++) {
        tn_tensor *w = tn_params_at(p->params, i)->w;
        for (int64_t k = 0; k < tn_tensor_count(w); k++)
            w->g[k] = (tn_real)((double)w->g[k] / sqrt(sum));
    }
}

/* ---- the file ---- */

static const char *text(const tn_json *o, const char *key)
{
    tn_error e = { 0 };
    const char *s = "";
    tn_json_get_string(o, key, &s, &e);
    must(&e);
    return s;
}

/* A number of the file. NaN if the file does not have it. */
static double number(const tn_json *o, const char *key)
{
    tn_error e = { 0 };
    double x = NAN;
    tn_json_get_real(o, key, &x, &e);
    must(&e);
    return x;
}

static const setting *setting_of(const char *key)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (!strcmp(optimizers[i].key, key))
            return &optimizers[i];
    return NULL;
}

/* An empty translation means: our table has the setting (extra), or the optimizer always does it,
   or, for raw_clip_global_norm, clip_raw does it. */
static const word words[] = {
    { "rite_paper", "wd", "0.0", "" },
    { NULL, "wd", NULL, "weight_decay=" },
    { NULL, "reg", NULL, "delta=" },
    { NULL, "ns_eps", NULL, "eps=" },
    { NULL, "variant", "code", "" },
    { NULL, "clamp", "1", "" },
    { "rite_rawclip", "raw_clip_global_norm", "1.0", "" },
    { "scaledadamw_d0_jacobi", "order", "jacobi", "" },
    { "scaledadamw_gs", "order", "gauss_seidel, B first", "" },
    { "loraplus", "lr_B", "0.005", "" },
    { "loraplus", "lr_A", "0.08", "" },
    { "projgd_x0", "X", "0", "" },
    { "projgd_half", "X", "symmetric split", "" },
    { "lorapro_sylvester", "X", "Sylvester", "" },
    { NULL, "variant", "paper", "" },
    { "rite_paper", "beta2", "0.999", "" },
    { "rite_paper", "clip", "0.0", "" },
    { "rite_paper", "skip", "0.0", "" },
    { "rite_paper", "cap", "0.0", "" },
    { "rite_paper", "escape", "1", "" },
    { "rite_paper", "balance", "0", "" },
    { "muon_rms", "scale", "0.2*sqrt(max(rows,cols))", "" },
    { "muon_orig", "scale", "A: sqrt(max(1,m/r)), B: sqrt(max(1,r/n)) (PEFT shapes)", "" },
    { "shampoo_2side", "exponents", "-1/4, -1/4", "" },
    { NULL, "accumulate", "sum", "" },
    { "shampoo_rside", "exponent", "-1/2", "" },
    { NULL, "first", "A", "" },
};

/* The settings of the file in our words. */
static void settings_of(const tn_json *o, const setting *ours, char *out, size_t room)
{
    out[0] = 0;
    const char *unknown = in_our_words(o, ours->key, tn_optim_find(ours->name), words,
                                       sizeof words / sizeof *words, out, room);
    ck_assert_msg(!unknown, "%s has \"%s\", which no setting here stands for", ours->key, unknown);
    size_t n = strlen(out);
    snprintf(out + n, room - n, "%s", ours->extra ? ours->extra : "");
}

/* Makes the optimizer of the row. `more` has settings that replace those of our table, or is
   NULL. */
static void optimizer_of(problem *p, const tn_json *root, const tn_json *row, const char *more)
{
    char settings[512];
    const char *key = text(row, "opt");
    setting ours = *setting_of(key);
    ours.extra = more ? more : ours.extra;
    settings_of(tn_json_find(tn_json_find(root, "optimizers"), key), &ours, settings,
                sizeof settings);
    problem_optimizer(p, ours.name, settings, 0);
}

static void begin(problem *p, const tn_json *root, const tn_json *row, const char *t,
                  const char *more)
{
    const char *which = text(row, "problem");
    pair_size size[2] = { strcmp(which, "P2") ? p1 : p2, p2 };
    problem_new(p, strcmp(which, "P1+P2") ? 1 : 2, size, 5);
    for (int i = 0; i < p->pairs; i++)
        closed_start(p, i, !strcmp(text(row, "start"), "zero"), t);
    optimizer_of(p, root, row, more);
}

static void advance(problem *p, const tn_json *row, int k)
{
    closed_gradients(p, k);
    if (!strcmp(text(row, "opt"), "rite_rawclip"))
        clip_raw(p);
    problem_step(p);
}

/* The largest difference of the products of two runs. */
static double deviation(const problem *p, const problem *q)
{
    double most = 0;
    for (int i = 0; i < p->pairs; i++) {
        double a[MOST * MOST], b[MOST * MOST];
        problem_product(p, i, a);
        problem_product(q, i, b);
        for (int64_t k = 0; k < p->size[i].out * p->size[i].in; k++)
            most = fabs(a[k] - b[k]) > most ? fabs(a[k] - b[k]) : most;
    }
    return most;
}

static const bool f32 = sizeof(tn_real) == sizeof(float);

/* True if the number of a cell must be reproduced to 1 %. The exception: after the first step of
   this cell three columns of lora_B differ by 1e-7 of their length. The Gram matrix then has
   eigenvalues of 1e-14 and 1e-15 of the largest one, and does not show whether the columns are
   independent. The number in the file needs the SVD of lora_B. */
static bool reproduces(const tn_json *cell, const char *name)
{
    return tn_json_find(cell, "golden") && strcmp(name, "altlora_plus P2 zero k1e3") != 0;
}

static void check_cell(const tn_json *root, const tn_json *cell)
{
    char name[128];
    snprintf(name, sizeof name, "%s %s %s %s", text(cell, "opt"), text(cell, "problem"),
             text(cell, "start"), text(cell, "T"));
    const char *class = text(cell, "class");
    double min1 = number(cell, "min1"), min50 = number(cell, "min50");
    double limit = number(cell, f32 ? "limit32" : "limit64"), most = 0;
    if (!strcmp(class, "free"))
        return;
    problem p, q;
    begin(&p, root, cell, "c1", NULL);
    begin(&q, root, cell, text(cell, "T"), NULL);
    for (int k = 1; k <= (isnan(min1) ? STEPS : 1); k++) {
        advance(&p, cell, k);
        advance(&q, cell, k);
        double now = deviation(&p, &q);
        most = now > most ? now : most;
    }
    if (!strcmp(class, "invariant"))
        ck_assert_msg(isnan(limit) || most <= limit, "%s: the product moved by %g, limit %g", name,
                      most, limit);
    else
        ck_assert_msg(most >= (isnan(min1) ? min50 : min1), "%s: the product moved by %g only",
                      name, most);
    if (reproduces(cell, name) && !f32)
        ck_assert_msg(fabs(most / number(cell, "dev50") - 1) < 0.01,
                      "%s: the product moved by %g, expected %g", name, most,
                      number(cell, "dev50"));
    problem_free(&p);
    problem_free(&q);
}

static void check_base(const tn_json *root, const tn_json *base)
{
    char name[128];
    snprintf(name, sizeof name, "%s %s %s", text(base, "opt"), text(base, "problem"),
             text(base, "start"));
    double limit = f32 ? 1e-4 : 1e-9 * (1 + number(base, "amp"));
    problem p;
    begin(&p, root, base, "c1", NULL);
    int64_t n;
    double *loss = read_numbers(base, "loss", &n);
    static const int at[] = { 0, 1, 10, 50 };
    ck_assert_int_eq(n, 4);
    for (int k = 0, next = 0; k <= STEPS; k++) {
        if (k)
            advance(&p, base, k);
        if (k < at[next])
            continue;
        double got = closed_gradients(&p, 0);
        ck_assert_msg(fabs(got - loss[next]) <= limit * loss[next],
                      "%s: loss after %d steps %.13g, expected %.13g", name, k, got, loss[next]);
        next++;
    }
    const pair_size *s = &p.size[0];
    double got[4] = { (double)p.b[0]->x[0], (double)p.b[0]->x[s->out * s->r - 1],
                      (double)p.a[0]->x[0], (double)p.a[0]->x[s->r * s->in - 1] };
    static const char *const corner[] = { "A00", "Alast", "B00", "Blast" };
    for (int i = 0; i < 4; i++)
        ck_assert_msg(fabs(got[i] - number(base, corner[i])) <= limit * (1 + fabs(got[i])),
                      "%s: %s is %.13g, expected %.13g", name, corner[i], got[i],
                      number(base, corner[i]));
    free(loss);
    problem_free(&p);
}

/* Checks every row of a list. Each row of our table must occur at least `least` times. */
static void each(const char *list, void (*check)(const tn_json *root, const tn_json *row),
                 int least)
{
    tn_error e = { 0 };
    const tn_json *root = tn_json_read(GOLDEN "invariance.json", &e);
    must(&e);
    int met[SETTINGS] = { 0 };
    for (const tn_json *row = tn_json_find(root, list)->child; row; row = row->next) {
        const setting *ours = setting_of(text(row, "opt"));
        ck_assert_msg(ours, "no setting here stands for %s", text(row, "opt"));
        met[ours - optimizers]++;
        check(root, row);
    }
    for (size_t i = 0; i < SETTINGS; i++)
        ck_assert_msg(met[i] >= least, "%s has %d %s", optimizers[i].key, met[i], list);
    tn_json_free(root);
}

START_TEST(problem_is_rebuilt)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < 17; i++)
        for (int j = 0; j < 4; j++) {
            sum += closed_a(i, j);
            squares += closed_a(i, j) * closed_a(i, j);
        }
    ck_assert_double_eq_tol(sum, 0.407294320960758, 1e-12);
    ck_assert_double_eq_tol(squares, 8.68879553336163, 1e-12);
    sum = 0;
    for (int i = 0; i < 17; i++)
        for (int j = 0; j < 11; j++)
            sum += closed_noise(50, i, j);
    ck_assert_double_eq_tol(sum, 5.91010128434549, 1e-11);
}
END_TEST

START_TEST(plain_runs)
{
    each("bases", check_base, 2);
}
END_TEST

START_TEST(cells)
{
    each("cells", check_cell, 14);
}
END_TEST

/* ---- lora-rite and lora-muon with their defaults, which the file does not have ---- */

/* Frees the optimizer. A new one continues with its state. */
static void resume(problem *p, const tn_json *root, const tn_json *row, const char *more)
{
    tn_optim *before = p->optim;
    tn_state_block from, to;
    p->optim = NULL;
    optimizer_of(p, root, row, more);
    for (int64_t i = 0; tn_optim_state(before, i, &from); i++) {
        ck_assert(tn_optim_state(p->optim, i, &to) && !strcmp(from.name, to.name));
        memcpy(to.data, from.data, (size_t)to.n * (to.real ? sizeof(tn_real) : sizeof(double)));
    }
    tn_optim_set_steps(p->optim, tn_optim_steps(before));
    tn_optim_free(before);
}

static void check_default(const tn_json *root, const tn_json *cell)
{
    static const struct {
        const char *more;
        bool resumes;
    } ways[] = {
        { "", false }, { "balora=1", false }, { "balance=1", false }, { "balora=1", true }
    };
    const char *name = setting_of(text(cell, "opt"))->name;
    const bool rite = !strcmp(name, "lora-rite");
    double limit = number(cell, f32 ? "limit32" : "limit64");
    if ((!rite && strcmp(name, "lora-muon") != 0) || strcmp(text(cell, "class"), "invariant") != 0)
        return;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        problem p, q;
        double most = 0;
        if (!rite && !strcmp(ways[i].more, "balance=1"))
            continue;
        begin(&p, root, cell, "c1", ways[i].more);
        begin(&q, root, cell, text(cell, "T"), ways[i].more);
        for (int k = 1; k <= STEPS; k++) {
            advance(&p, cell, k);
            advance(&q, cell, k);
            most = fmax(most, deviation(&p, &q));
            if (ways[i].resumes)
                resume(&q, root, cell, ways[i].more);
        }
        ck_assert_msg(isnan(limit) || most <= limit,
                      "%s %s %s %s %s%s: the product moved by %g, limit %g", text(cell, "opt"),
                      text(cell, "problem"), text(cell, "start"), text(cell, "T"), ways[i].more,
                      ways[i].resumes ? ", resumed" : "", most, limit);
        problem_free(&p);
        problem_free(&q);
    }
}

START_TEST(defaults)
{
    each("cells", check_default, 14);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, problem_is_rebuilt);
    tcase_add_test(c, plain_runs);
    tcase_add_test(c, cells);
    tcase_add_test(c, defaults);
}
