/* optim_trajectory.c - reads one run and replays it. */
#include "tests/support/optim_trajectory.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double real_of(const tn_json *object, const char *key, double otherwise)
{
    tn_error e = { 0 };
    tn_json_get_real(object, key, &otherwise, &e);
    must(&e);
    return otherwise;
}

static double *tensor(const trajectory *r, int pair, const char *what, int mark)
{
    char name[64];
    snprintf(name, sizeof name, mark < 0 ? "pair%d.%s" : "pair%d.%s@%d", pair, what, mark);
    int64_t n;
    return tn_safetensors_find(r->file, name) ? read_doubles(r->file, name, &n) : NULL;
}

static void start_weights(trajectory *r, const tn_json *item)
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
}

void trajectory_start(trajectory *r, const char *folder, const tn_json *item, const char *optimizer,
                      const char *settings)
{
    tn_error e = { 0 };
    const char *file = NULL;
    *r = (trajectory){ .scale = real_of(item, "g_scale", 0),
                       .limit = real_of(item, "suggested_abs_tol", 0) };
    if (sizeof(tn_real) == sizeof(float) && r->limit < 2e-3)
        r->limit = 2e-3;
    tn_json_get_string(item, "file", &file, &e);
    tn_json_get_string(item, "name", &r->name, &e);
    char *path = tn_path_join(folder, file);
    r->file = tn_safetensors_open(path, &e);
    must(&e);
    free(path);
    start_weights(r, item);
    tn_schedule schedule = { .kind = TN_CONSTANT,
                             .steps = 50,
                             .warmup = (int64_t)real_of(item, "lr_warmup_steps", 0) };
    r->p.optim =
        problem_try(&r->p, tn_optim_find(optimizer), settings,
                    real_of(tn_json_find(item, "settings"), "max_grad_norm", 0), schedule, &e);
    must(&e);
}

void trajectory_free(trajectory *r)
{
    for (int i = 0; i < r->p.pairs; i++) {
        free(r->y[i]);
        free(r->noise[i]);
    }
    problem_free(&r->p);
    tn_safetensors_close(r->file);
}

double trajectory_gradients(trajectory *r, int t)
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

/* The limit is for numbers of size 1, as weights are. Larger numbers, as in state, get a larger
   one. */
static void compare(trajectory *r, const char *what, int pair, int mark, int64_t n,
                    const double *got, const double *want)
{
    for (int64_t i = 0; i < n; i++) {
        double size = fabs(want[i]) > 1 ? fabs(want[i]) : 1, off = fabs(got[i] - want[i]) / size;
        r->worst = off / r->limit > r->worst ? off / r->limit : r->worst;
        ck_assert_msg(off <= r->limit,
                      "%s: pair%d.%s after %d steps: [%lld] is %.15g, expected %.15g (limit %g)",
                      r->name, pair, what, mark, (long long)i, got[i], want[i], r->limit);
    }
}

static void compare_weight(trajectory *r, const char *what, int pair, int mark, const tn_tensor *w)
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

/* out (n,m) = x (n,r) y (r,m). xt, yt: the operand is stored transposed. */
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

void trajectory_weights(trajectory *r, int pair, int mark)
{
    compare_weight(r, "lora_A", pair, mark, r->p.a[pair]);
    compare_weight(r, "lora_B", pair, mark, r->p.b[pair]);
}

void trajectory_product(trajectory *r, int pair, int mark)
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
static tn_state_block block(trajectory *r, const char *slot, const char *of)
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

/* The numbers of that block. */
static double *state(trajectory *r, const char *slot, const char *of)
{
    tn_state_block b = block(r, slot, of);
    double *out = calloc((size_t)b.n, sizeof *out);
    for (int64_t k = 0; k < b.n; k++)
        out[k] = b.real ? (double)((const tn_real *)b.data)[k] : ((const double *)b.data)[k];
    return out;
}

bool trajectory_state(trajectory *r, const char *const names[3], int pair, int mark)
{
    bool any = false;
    for (int k = 0; k < 3 && names[k]; k++)
        for (int i = 0; i < 2; i++) {
            char what[64], of[64];
            snprintf(what, sizeof what, "lora_%c.%s", i ? 'B' : 'A', names[k]);
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

/* Returns x y, and frees x. */
static double *then(double *x, const double *y, bool yt, int64_t n, int64_t r, int64_t m)
{
    double *out = product(x, false, y, yt, n, r, m);
    free(x);
    return out;
}

/* The moments of LoRA-RITE depend on a basis Q, which is determined only up to a rotation. So Q V
   Q^T and Q M^T are compared, which do not depend on the rotation. In our state Q = old T and M T^T
   = d. The moments are those of lora_A if i is 0, of lora_B if i is 1. */
static bool compare_rite(trajectory *r, int pair, int mark, int i, bool port)
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
    bool q_rows = i == 1 && !port; /* the basis of lora_A is stored as (R,in), like lora_A */
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

bool trajectory_rite(trajectory *r, bool port, int pair, int mark)
{
    bool a = compare_rite(r, pair, mark, 0, port), b = compare_rite(r, pair, mark, 1, port);
    return a || b;
}
