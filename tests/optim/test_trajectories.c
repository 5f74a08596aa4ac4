/* test_trajectories.c - 50 steps against the original implementations: every case of
   trajectories.json whose optimizer is ours, weights at eight marks and state at two. The committed
   folder must be there; $TENON_ASSETS/golden/trajectories holds more of the same. */
#include "tests/fixtures.h"
#include "tests/optim_problem.h"
#include "tests/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct family {
    const char *key, *algo; /* of the file; algo NULL: any */
    const char *name;       /* ours */
    const char *extra;      /* settings it implies; those of the case come after */
    const char *state[3];   /* of elementwise state: name in the file, for our slots in order;
                               "B A": the factors are free up to signs, compare their product */
} family;

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
    { "lora_rite", NULL, "lora-rite", "", { NULL } },
    { "rite_clamped_port",
      NULL,
      "lora-rite",
      "eps_root=1e-12",
      { NULL } }, /* the square of its eps */
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
    { "balora_rite", NULL, "lora-rite", "balora=1", { "B A" } },
    { "stable_lora", NULL, "stable-lora", "", { "m", "v" } },
    { "sgd_sai", NULL, "sgd-sai", "wait=0", { "buf", "gsnr" } },
};

typedef struct count { int ours, others, states; double worst; } count;

static double real_of(const tn_json *object, const char *key, double otherwise)
{
    tn_error e = { 0 };
    tn_json_get_real(object, key, &otherwise, &e);
    must(&e);
    return otherwise;
}

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

static void settings_of(const tn_json *item, const family *f, char *out, size_t room)
{
    const tn_json *s = tn_json_find(item, "settings");
    const tn_optim_def *def = tn_optim_find(f->name);
    int n = snprintf(out, room, "%s ", f->extra);
    for (int i = 0; i < TN_MAX_HYPER && def->hyper[i].name; i++) {
        const tn_json *v = tn_json_find(s, def->hyper[i].name);
        if (v && v->kind == TN_NUMBER)
            n += snprintf(out + n, room - (size_t)n, "%s=%s ", def->hyper[i].name, v->text);
    }
    const tn_json *bias = tn_json_find(s, "correct_bias");
    if (bias)
        n += snprintf(out + n, room - (size_t)n, "bias_correction=%s ", bias->text);
    const tn_json *adjust = tn_json_find(s, "adjust");
    if (adjust && adjust->kind == TN_STRING && !strcmp(adjust->text, "match_rms_adamw"))
        snprintf(out + n, room - (size_t)n, "match_rms=1");
}

typedef struct run {
    problem p;
    const tn_safetensors *file;
    const char *name;
    double scale, limit;
    double *y[MAX_PAIRS], *noise[MAX_PAIRS];
    double worst;
} run;

static double *tensor(const run *r, int pair, const char *what, int mark)
{
    char name[64];
    snprintf(name, sizeof name, mark < 0 ? "pair%d.%s" : "pair%d.%s@%d", pair, what, mark);
    int64_t n;
    return tn_safetensors_find(r->file, name) ? read_doubles(r->file, name, &n) : NULL;
}

/* The limit is of weights, whose size is about 1; state may be larger. */
static void compare(run *r, const char *what, int pair, int mark, int64_t n, const double *got,
                    const double *want)
{
    for (int64_t i = 0; i < n; i++) {
        double size = fabs(want[i]) > 1 ? fabs(want[i]) : 1, off = fabs(got[i] - want[i]) / size;
        r->worst = off / r->limit > r->worst ? off / r->limit : r->worst;
        ck_assert_msg(off <= r->limit,
                      "%s: pair%d.%s after %d steps: [%lld] is %.15g, expected %.15g (limit %g)",
                      r->name, pair, what, mark, (long long)i, got[i], want[i], r->limit);
    }
}

static void compare_weight(run *r, const char *what, int pair, int mark, const tn_tensor *w)
{
    double *want = tensor(r, pair, what, mark);
    ck_assert_ptr_nonnull(want);
    int64_t n = tn_tensor_count(w);
    double *got = calloc((size_t)n, sizeof *got);
    for (int64_t i = 0; i < n; i++)
        got[i] = (double)w->x[i];
    compare(r, what, pair, mark, n, got, want);
    free(got);
    free(want);
}

/* out (n,m) = x (n,r) y (r,m), each perhaps stored transposed. */
static double *product(const double *x, bool xt, const double *y, bool yt, int64_t n, int64_t r,
                       int64_t m)
{
    double *out = calloc((size_t)(n * m), sizeof *out);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < r; k++)
            for (int64_t j = 0; j < m; j++)
                out[i * m + j] +=
                    (xt ? x[k * n + i] : x[i * r + k]) * (yt ? y[j * r + k] : y[k * m + j]);
    return out;
}

static void compare_product(run *r, int pair, int mark)
{
    const pair_size *s = &r->p.size[pair];
    double *a = tensor(r, pair, "lora_A", mark), *b = tensor(r, pair, "lora_B", mark);
    double *want = product(b, false, a, false, s->out, s->r, s->in);
    double *got = calloc((size_t)(s->out * s->in), sizeof *got);
    problem_product(&r->p, pair, got);
    compare(r, "product", pair, mark, s->out * s->in, got, want);
    double *all[] = { a, b, want, got };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        free(all[k]);
}

/* Block "slot.of" of the optimizer's state. */
static tn_state_block block(run *r, const char *slot, const char *of)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", slot, of);
    tn_state_block b;
    for (int64_t i = 0; tn_optim_state(r->p.optim, i, &b); i++)
        if (!strcmp(b.name, name))
            return b;
    ck_abort_msg("no state block %s", name);
    return b;
}

/* The same in double. */
static double *state(run *r, const char *slot, const char *of)
{
    tn_state_block b = block(r, slot, of);
    double *out = calloc((size_t)b.n, sizeof *out);
    for (int64_t k = 0; k < b.n; k++)
        out[k] = b.real ? (double)((const tn_real *)b.data)[k] : ((const double *)b.data)[k];
    return out;
}

static bool compare_elementwise(run *r, const family *f, int pair, int mark)
{
    bool any = false;
    for (int k = 0; k < 3 && f->state[k]; k++)
        for (int i = 0; i < 2; i++) {
            char what[64], of[64];
            snprintf(what, sizeof what, "lora_%c.%s", i ? 'B' : 'A', f->state[k]);
            double *want = tensor(r, pair, what, mark);
            if (!want)
                continue;
            snprintf(of, sizeof of, "layer%d.lora_%c.weight", pair, i ? 'B' : 'A');
            const char *slot = tn_optim_definition(r->p.optim)->slots[k].name;
            double *got = state(r, slot, of);
            compare(r, what, pair, mark, block(r, slot, of).n, got, want);
            free(got);
            free(want);
            any = true;
        }
    return any;
}

/* Frees x. */
static double *then(double *x, const double *y, bool yt, int64_t n, int64_t r, int64_t m)
{
    double *out = product(x, false, y, yt, n, r, m);
    free(x);
    return out;
}

/* LoRA-RITE's moments live in a basis that is free up to a rotation: what is compared is Q V Q^T
   and Q M^T, with Q = old T and M T^T = d in our state. i: the factor (0: lora_A) whose moments
   they are. */
static bool compare_rite(run *r, int pair, int mark, int i, bool port)
{
    static const char *const theirs[2][2][4] = {
        { { "lora_A.V", "lora_A.M", "lora_A.rho", "lora_B.basis" },
          { "lora_B.V", "lora_B.M", "lora_B.rho", "lora_A.basis" } },
        { { "lora_A.v_l", "lora_A.m_l", "lora_A.escape_l", "lora_A.basis_r" },
          { "lora_A.v_r", "lora_A.m_r", "lora_A.escape_r", "lora_A.basis_l" } }
    };
    const char *const *name = theirs[port][i];
    double *v = tensor(r, pair, name[0], mark), *m = tensor(r, pair, name[1], mark);
    double *rho = tensor(r, pair, name[2], mark), *q = tensor(r, pair, name[3], mark);
    if (!v)
        return false;
    const pair_size *s = &r->p.size[pair];
    int64_t rank = s->r, own = i ? s->out : s->in, other = i ? s->in : s->out;
    char layer[32], x[64], y[64];
    snprintf(layer, sizeof layer, "layer%d", pair);
    snprintf(x, sizeof x, "layer%d.lora_%c.weight", pair, i ? 'B' : 'A');
    snprintf(y, sizeof y, "layer%d.lora_%c.weight", pair, i ? 'A' : 'B');
    double *d = state(r, "d", x), *old = state(r, "old", y);
    double *our_v = state(r, i ? "v.B" : "v.A", layer), *t = state(r, i ? "t.A" : "t.B", layer);
    double *our_rho = state(r, i ? "rho.B" : "rho.A", layer);
    bool q_rows = i == 1 && !port; /* lora_A's basis lies in lora_A's layout (R,in) */
    double *our_q = product(old, i == 1, t, false, other, rank, rank);
    double *eye = calloc((size_t)(rank * rank), sizeof *eye);
    for (int64_t k = 0; k < rank; k++)
        eye[k * rank + k] = 1;
    double *tall_q = product(q, q_rows, eye, false, other, rank, rank);
    double *want =
        then(product(tall_q, false, v, false, other, rank, rank), tall_q, true, other, rank, other);
    double *got = then(product(our_q, false, our_v, false, other, rank, rank), our_q, true, other,
                       rank, other);
    compare(r, name[0], pair, mark, other * other, got, want);
    free(want);
    free(got);
    want = product(tall_q, false, m, i == 1 || port, other, rank, own);
    got = product(old, i == 1, d, i == 1, other, rank, own);
    compare(r, name[1], pair, mark, other * own, got, want);
    compare(r, name[2], pair, mark, 1, our_rho, rho);
    double *all[] = { v, m, rho, q, d, old, our_v, t, our_rho, our_q, tall_q, eye, want, got };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        free(all[k]);
    return true;
}

static void start(run *r, const tn_json *item, const family *f)
{
    const tn_json *pairs = tn_json_find(item, "pairs");
    pair_size size[MAX_PAIRS];
    int n = (int)pairs->count;
    for (int i = 0; i < n; i++) {
        const tn_json *s = tn_json_at(pairs, i);
        size[i] = (pair_size){ (int64_t)real_of(s, "out", 0), (int64_t)real_of(s, "in", 0),
                               (int64_t)real_of(s, "r", 0), real_of(s, "s", 0) };
    }
    problem_new(&r->p, n, size,
                1 + (uint64_t)real_of(item, "suggested_abs_tol", 0) + strlen(r->name));
    for (int i = 0; i < n; i++) {
        double *a = tensor(r, i, "lora_A", 0), *b = tensor(r, i, "lora_B", 0);
        for (int64_t k = 0; k < tn_tensor_count(r->p.a[i]); k++)
            r->p.a[i]->x[k] = (tn_real)a[k];
        for (int64_t k = 0; k < tn_tensor_count(r->p.b[i]); k++)
            r->p.b[i]->x[k] = (tn_real)b[k];
        r->y[i] = tensor(r, i, "Y", -1);
        r->noise[i] = tensor(r, i, "N", -1);
        free(a);
        free(b);
    }
    char settings[512];
    settings_of(item, f, settings, sizeof settings);
    tn_error e = { 0 };
    tn_schedule schedule = { .kind = TN_CONSTANT,
                             .steps = 50,
                             .warmup = (int64_t)real_of(item, "lr_warmup_steps", 0) };
    r->p.optim =
        problem_try(&r->p, tn_optim_find(f->name), settings,
                    real_of(tn_json_find(item, "settings"), "max_grad_norm", 0), schedule, &e);
    must(&e);
}

/* Gradients at t, returns the loss there. */
static double gradients(run *r, int t)
{
    double loss = 0;
    for (int i = 0; i < r->p.pairs; i++) {
        int64_t n = r->p.size[i].out * r->p.size[i].in;
        double *target = calloc((size_t)n, sizeof *target);
        for (int64_t k = 0; k < n; k++)
            target[k] = r->y[i][k] + 0.1 * r->noise[i][(t % 4) * n + k];
        loss += problem_gradients(&r->p, i, target, r->scale);
        free(target);
    }
    return loss;
}

static bool compare_mark(run *r, const family *f, int mark, double loss, double wanted_loss)
{
    bool states = false;
    ck_assert_msg(fabs(loss - wanted_loss) <= 100 * r->limit * (1 + fabs(wanted_loss)),
                  "%s: loss after %d steps is %.12g, "
                  "expected %.12g",
                  r->name, mark, loss, wanted_loss);
    for (int i = 0; i < r->p.pairs; i++) {
        if (f->state[0] && !strcmp(f->state[0], "B A"))
            compare_product(r, i, mark);
        else {
            compare_weight(r, "lora_A", i, mark, r->p.a[i]);
            compare_weight(r, "lora_B", i, mark, r->p.b[i]);
        }
        states = compare_elementwise(r, f, i, mark) || states;
        bool rite = !strcmp(f->name, "lora-rite"), port = !strcmp(f->key, "rite_clamped_port");
        for (int k = 0; k < 2 && rite; k++)
            states = compare_rite(r, i, mark, k, port) || states;
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
    tn_error e = { 0 };
    run r = { .scale = real_of(item, "g_scale", 0),
              .limit = real_of(item, "suggested_abs_tol", 0) };
    if (sizeof(tn_real) == sizeof(float) && r.limit < 2e-3)
        r.limit = 2e-3;
    const char *file = NULL;
    tn_json_get_string(item, "file", &file, &e);
    tn_json_get_string(item, "name", &r.name, &e);
    char *path = tn_path_join(folder, file);
    tn_safetensors *s = tn_safetensors_open(path, &e);
    must(&e);
    r.file = s;
    start(&r, item, f);
    int64_t marks, losses, done = 0;
    double *mark = read_numbers(index, "marks", &marks), *loss = read_doubles(s, "loss", &losses);
    ck_assert_int_eq(marks, losses);
    for (int64_t i = 0; i < marks; i++) {
        for (; done < (int64_t)mark[i]; done++) {
            gradients(&r, (int)done);
            problem_step(&r.p);
        }
        sum->states += compare_mark(&r, f, (int)done, gradients(&r, (int)done), loss[i]);
    }
    sum->worst = r.worst > sum->worst ? r.worst : sum->worst;
    for (int i = 0; i < r.p.pairs; i++) {
        free(r.y[i]);
        free(r.noise[i]);
    }
    problem_free(&r.p);
    tn_safetensors_close(s);
    free(mark);
    free(loss);
    free(path);
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
    ck_assert_int_eq(sum.ours, 113);
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

void tests(TCase *c)
{
    tcase_add_test(c, committed_runs);
    tcase_add_test(c, all_runs);
}
