/* generate.c - continues prompts, all rows at once, with a key/value cache.

   Rows of different length are padded on the right for the first pass. Causal attention never reads
   the padding, and the cache overwrites it later. After the first pass every row has its own
   position. A row that has ended repeats its last position, which changes nothing, until all rows
   have ended. Rows that are given the same prompt share its first pass. */
#include "core/kernels/kernels.h"
#include "core/op.h"
#include "nn/cache.h"
#include "nn/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct row { /* of the batch */
    int64_t seen;    /* positions in the cache */
    int32_t last;    /* the next input of the model */
    bool ended;
} row;

typedef struct choice {
    tn_real weight;
    int32_t id;
} choice;

typedef struct generation {
    const tn_model *m;
    const tn_sampling *s;
    tn_tape *t;
    tn_cache *cache;
    int64_t rows;
    const int32_t *const *prompts;
    const int64_t *length;   /* of each prompt */
    int64_t *prompt, differ; /* (rows) its number among the prompts that differ; how many do */
    tn_cache *shared;        /* (differ) of the first pass, if rows share prompts; else NULL */
    int64_t known;           /* positions at the beginning that the cache has */
    row *row;
    const tn_kernels *kernels;
    choice *choices;  /* (V) */
    tn_real *weights; /* (V) */
    tn_real *logits;  /* (V) of a row with a penalty */
} generation;

/* ---- choosing a token ---- */

/* A likelier choice is before another. Among equals the lower id is first. */
static bool is_before(choice a, choice b)
{
    return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

static choice middle_of(choice a, choice b, choice c)
{
    choice first = is_before(a, b) ? a : b, second = is_before(a, b) ? b : a;
    return is_before(c, first) ? first : is_before(c, second) ? c : second;
}

/* Splits c[0..n), n > 1, into two parts: every choice of the first is likelier than all of the
   second. No part is empty. Returns how many are in the first, and the sum of their weights. */
static int64_t split(choice *c, int64_t n, double *weight)
{
    choice pivot = n > 2                   ? middle_of(c[0], c[n / 2], c[n - 1])
                   : is_before(c[0], c[1]) ? c[0]
                                           : c[1];
    int64_t count = 0;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) { /* no branch: the CPU would often predict it wrongly */
        choice x = c[i];
        bool goes = !is_before(pivot, x);
        c[i] = c[count];
        c[count] = x;
        count += goes;
        sum += goes ? (double)x.weight : 0;
    }
    *weight = sum;
    return count;
}

/* Moves the likeliest choices of c[0..n) to the front: as few as have a total weight of `share`,
   and at most `most`. Returns how many. The least likely of them is the last. It only searches for
   the border and does not sort: about 3n steps. */
static int64_t likeliest(choice *c, int64_t n, double share, int64_t most)
{
    int64_t from = 0, to = n;
    double before = 0, weight;
    while (to - from > 1) {
        int64_t count = split(c + from, to - from, &weight);
        if (before + weight >= share || from + count >= most) {
            to = from + count;
        } else {
            before += weight;
            from += count;
        }
    }
    return to;
}

static double sum_of(const choice *c, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)c[i].weight;
    return sum;
}

/* Lists the choices of a row with weights exp((z - max) / temperature). Choices of weight 0 are
   left out. Returns how many. */
static int64_t weigh(const generation *r, const tn_real *z, tn_real max)
{
    int64_t V = r->m->vocab, n = 0;
    for (int64_t i = 0; i < V; i++)
        r->weights[i] = z[i] - max;
    r->kernels->scale(V, (tn_real)(1 / r->s->temperature), r->weights);
    r->kernels->exp_sum(V, r->weights, 0, r->weights);
    for (int64_t i = 0; i < V; i++) {
        r->choices[n] = (choice){ r->weights[i], (int32_t)i };
        n += r->weights[i] > 0;
    }
    return n;
}

/* Moves the choices with at least this weight to the front. Returns how many. */
static int64_t above(choice *c, int64_t n, tn_real weight)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        if (c[i].weight >= weight)
            c[count++] = c[i];
    return count;
}

/* The logits z of row b, with the penalty on each id among the last ones of the prompt and the
   `made` tokens that follow. */
static const tn_real *penalise(const generation *r, int64_t b, const tn_real *z, const int32_t *out,
                               int64_t made)
{
    const double penalty = r->s->penalty;
    const int64_t n = r->length[b] + made, last = r->s->penalty_last ? r->s->penalty_last : 64;
    if (penalty == 0 || penalty == 1)
        return z;
    memcpy(r->logits, z, (size_t)r->m->vocab * sizeof *z);
    for (int64_t i = last < 0 || last > n ? 0 : n - last; i < n; i++) {
        const int32_t id = i < r->length[b] ? r->prompts[b][i] : out[i - r->length[b]];
        if (id >= 0 && id < r->m->vocab)
            r->logits[id] = (tn_real)(z[id] > 0 ? z[id] / penalty : z[id] * penalty);
    }
    return r->logits;
}

/* Chooses the token of a row from its logits; u in (0,1) decides. The top-k likeliest choices
   stay. Of these stay as few of the likeliest as have a share of top-p, and of these the ones that
   have at least min-p of the weight of the likeliest, which is 1. */
static int32_t sample(const generation *r, const tn_real *z, double u)
{
    const tn_sampling *s = r->s;
    tn_real max;
    const int32_t best = (int32_t)tn_argmax_of(r->kernels, r->m->vocab, z, &max);
    if (s->temperature == 0 || !isfinite((tn_real)(1 / s->temperature)))
        return best;
    int64_t n = weigh(r, z, max);
    if (s->top_k > 0 && s->top_k < n)
        n = likeliest(r->choices, n, INFINITY, s->top_k);
    if (s->top_p > 0 && s->top_p < 1)
        n = likeliest(r->choices, n, s->top_p * sum_of(r->choices, n), n);
    if (s->min_p > 0)
        n = above(r->choices, n, (tn_real)s->min_p);
    return r->choices[likeliest(r->choices, n, u * sum_of(r->choices, n), n) - 1].id;
}

/* The random number u that decides the token at a position of a row. */
static double draw(const tn_sampling *s, int64_t r, int64_t position)
{
    char name[64];
    snprintf(name, sizeof name, "generate.%lld", (long long)(s->first_row + r));
    return tn_random_uniform(s->seed, tn_stream(name), 0, (uint64_t)position);
}

/* ---- running the model ---- */

/* Logits (B,V) after positions last (B) of ids (D,T), counted through all rows of ids. The cache
   has D rows, too. NULL: the tape has an error. */
static tn_tensor *next_logits(const generation *r, tn_cache *cache, tn_tensor *ids, tn_tensor *last)
{
    tn_tensor *h = r->m->family->hidden(r->m, r->t, ids, cache); // (D,T,C)
    if (!h)
        return NULL;
    h = tn_reshape(r->t, h, 2, (int64_t[]){ h->dim[0] * h->dim[1], h->dim[2] }); // (D T,C)
    return tn_model_head(r->m, r->t, tn_embed(r->t, h, last));                   // (B,V)
}

/* Runs each prompt once, from the first position on that the cache does not have. */
static tn_tensor *first_pass(const generation *r, int64_t T)
{
    const int64_t known = r->known, D = r->differ;
    tn_cache *cache = r->shared ? r->shared : r->cache;
    tn_tensor *ids = tn_tape_input(r->t, TN_I32, 2, (int64_t[]){ D, T - known }); // (D,T)
    tn_tensor *last = tn_tape_input(r->t, TN_I32, 1, &r->rows);                   // (B)
    if (!ids || !last)
        return NULL;
    memset(ids->i, 0, (size_t)(D * (T - known)) * sizeof *ids->i);
    for (int64_t b = 0; b < r->rows; b++) {
        const int64_t n = r->length[b] - known, at = r->prompt[b] * (T - known);
        memcpy(ids->i + at, r->prompts[b] + known, (size_t)n * sizeof *ids->i);
        last->i[b] = (int32_t)(at + n - 1);
        cache->start->i[r->prompt[b]] = (int32_t)known;
        r->row[b] = (row){ .seen = r->length[b], .last = r->prompts[b][r->length[b] - 1] };
    }
    tn_tensor *logits = next_logits(r, cache, ids, last);
    if (logits && r->shared)
        tn_cache_spread(r->shared, r->cache, r->prompt, r->length);
    return logits;
}

/* Runs the last token of each row. */
static tn_tensor *next_pass(const generation *r)
{
    tn_tensor *ids = tn_tape_input(r->t, TN_I32, 2, (int64_t[]){ r->rows, 1 }); // (B,1)
    tn_tensor *last = tn_tape_input(r->t, TN_I32, 1, &r->rows);                 // (B)
    if (!ids || !last)
        return NULL;
    for (int64_t b = 0; b < r->rows; b++) {
        r->row[b].seen += !r->row[b].ended;
        r->cache->start->i[b] = (int32_t)(r->row[b].seen - 1);
        ids->i[b] = r->row[b].last;
        last->i[b] = (int32_t)b;
    }
    return next_logits(r, r->cache, ids, last);
}

/* ---- the loop ---- */

typedef struct output {
    int32_t *const *out;
    int64_t *made;
    void (*each)(void *arg, int64_t row, int32_t token);
    void *arg;
} output;

static bool ends_text(const generation *r, int32_t token)
{
    const int32_t *ends = r->s->ends ? r->s->ends : r->m->ends;
    const int64_t n = r->s->ends ? r->s->end_count : r->m->end_count;
    for (int64_t i = 0; i < n; i++)
        if (ends[i] == token)
            return true;
    return r->s->end && *r->s->end == token;
}

/* Chooses a token for each row that has not ended. Returns how many go on, or a negative TN_E*. */
static int64_t choose(const generation *r, const tn_tensor *logits, const output *o, tn_error *e)
{
    int64_t going = 0, V = r->m->vocab;
    for (int64_t b = 0; b < r->rows; b++) {
        row *w = &r->row[b];
        const tn_real *z = logits->x + b * V;
        if (w->ended)
            continue;
        if (!isfinite(r->kernels->max(V, z)) || isnan(r->kernels->sum(V, z)))
            return tn_fail(e, TN_ENONFINITE, "generation: the logits of row %lld are not finite",
                           (long long)b + 1);
        const tn_real *penalised = penalise(r, b, z, o->out[b], o->made[b]);
        int32_t token = sample(r, penalised, draw(r->s, b, w->seen));
        w->ended = ends_text(r, token);
        if (w->ended)
            continue;
        o->out[b][o->made[b]++] = token;
        if (o->each)
            o->each(o->arg, b, token);
        /* A row that goes on keeps the token for the next pass. */
        w->ended = o->made[b] == r->s->max_tokens || w->seen == r->m->positions ||
                   (r->s->stop && r->s->stop[b]);
        w->last = w->ended ? w->last : token;
        going += !w->ended;
    }
    return going;
}

static int check(const tn_model *m, int64_t rows, const int64_t length[], const tn_sampling *s,
                 tn_error *e)
{
    if (s->end_count > 0 && !s->ends)
        return tn_fail(e, TN_EARG, "%lld end tokens, but none is given", (long long)s->end_count);
    if (!(s->temperature >= 0) || !isfinite(s->temperature))
        return tn_fail(e, TN_EARG, "temperature %g; expected 0 (greedy) or more", s->temperature);
    if (s->top_k < 0)
        return tn_fail(e, TN_EARG, "top-k %lld; expected 0 (off) or more", (long long)s->top_k);
    if (!(s->top_p >= 0 && s->top_p <= 1))
        return tn_fail(e, TN_EARG, "top-p %g; expected 0 to 1", s->top_p);
    if (!(s->min_p >= 0 && s->min_p <= 1))
        return tn_fail(e, TN_EARG, "min-p %g; expected 0 to 1", s->min_p);
    if (!(s->penalty >= 0) || !isfinite(s->penalty))
        return tn_fail(e, TN_EARG, "penalty %g; expected 0 or 1 (off), or more", s->penalty);
    if (s->session && (rows != 1 || tn_session_model(s->session) != m))
        return tn_fail(e, TN_EARG, "%lld rows with a session; expected one, of its model",
                       (long long)rows);
    for (int64_t b = 0; b < rows; b++)
        if (length[b] < 1 || length[b] > m->positions)
            return tn_fail(e, TN_EARG,
                           "prompt %lld has %lld tokens; expected 1 to %lld, the model's positions",
                           (long long)b + 1, (long long)length[b], (long long)m->positions);
    return e->code;
}

static int64_t longest(int64_t rows, const int64_t length[])
{
    int64_t T = 1;
    for (int64_t b = 0; b < rows; b++)
        T = length[b] > T ? length[b] : T;
    return T;
}

/* Numbers the prompts. Two rows have one if they are given the same ids. Returns how many differ. */
static int64_t number_prompts(generation *r, const int32_t *const ids[], const int64_t length[])
{
    for (int64_t b = 0, a; b < r->rows; b++) {
        for (a = 0; a < b && (ids[a] != ids[b] || length[a] != length[b]); a++) {}
        r->prompt[b] = a < b ? r->prompt[a] : r->differ++;
    }
    return r->differ;
}

static void generate(const generation *r, const output *o, tn_error *e)
{
    const tn_mode mode = tn_tape_mode(r->t);
    tn_session *kept = r->s->session;
    tn_tape_reset(r->t);
    tn_tape_eval(r->t);
    if (tn_dora_keep(r->m, r->t, e)) {
        tn_tape_set_mode(r->t, mode);
        return;
    }
    tn_tensor *logits = first_pass(r, longest(r->rows, r->length)); // (B,V)
    if (logits && kept)
        tn_session_keep(kept, r->prompts[0] + r->known, r->length[0] - r->known);
    while (logits && choose(r, logits, o, e) > 0) {
        tn_tape_reset(r->t);
        logits = next_pass(r);
        if (logits && kept)
            tn_session_keep(kept, &r->row[0].last, 1);
    }
    if (!logits)
        tn_fail(e, tn_tape_code(r->t), "%s", tn_tape_error(r->t));
    tn_tape_reset(r->t);
    tn_tape_set_mode(r->t, mode);
    tn_dora_forget(r->m);
}

int tn_generate(const tn_model *m, int64_t rows, const int32_t *const ids[], const int64_t length[],
                const tn_sampling *s, int32_t *const out[], int64_t made[],
                void (*each)(void *arg, int64_t row, int32_t token), void *arg, tn_error *e)
{
    const int missing =
        tn_given(e, m && s && (rows < 1 || (ids && length && out && made)), __func__);
    if (missing)
        return missing;
    if (check(m, rows, length, s, e))
        return e->code;
    for (int64_t b = 0; b < rows; b++) {
        if (!ids[b] || !out[b])
            return tn_fail(e, TN_EARG, "row %lld has no prompt or no room", (long long)b + 1);
        made[b] = 0;
    }
    if (rows < 1 || s->max_tokens < 1)
        return 0;
    int64_t T = longest(rows, length);
    int64_t room = s->max_tokens < m->positions - T ? T + s->max_tokens : m->positions;
    tn_session *kept = s->session;
    generation r = { .m = m,
                     .s = s,
                     .rows = rows,
                     .prompts = ids,
                     .length = length,
                     .known = kept ? tn_session_find(kept, ids[0], length[0]) : 0,
                     .t = s->tape ? s->tape : tn_tape_new(m->context),
                     .cache = kept ? tn_session_cache(kept, room) : tn_cache_new(m, rows, room),
                     .row = calloc((size_t)rows, sizeof(row)),
                     .prompt = calloc((size_t)rows, sizeof(int64_t)),
                     .kernels = tn_kernels_of(m->context),
                     .choices = calloc((size_t)m->vocab, sizeof(choice)),
                     .weights = calloc((size_t)m->vocab, sizeof(tn_real)),
                     .logits = calloc((size_t)m->vocab, sizeof(tn_real)) };
    if (r.prompt && number_prompts(&r, ids, length) < rows)
        r.shared = tn_cache_new(m, r.differ, T);
    if (r.t && r.cache && r.row && (r.shared || r.differ == rows) && r.choices && r.weights &&
        r.logits)
        generate(&r, &(output){ out, made, each, arg }, e);
    else
        tn_fail(e, TN_ENOMEM, "generation: out of memory");
    if (!s->tape)
        tn_tape_free(r.t);
    if (!kept)
        tn_cache_free(r.cache);
    tn_cache_free(r.shared);
    void *const all[] = { r.row, r.prompt, r.choices, r.weights, r.logits };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    return e->code;
}
