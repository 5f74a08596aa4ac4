/* step.c - one step of a run: the gradients of its batches, their sum, and the optimizer. */
#include "apps/run/preference.h"
#include "apps/run/run.h"
#include "apps/run/team.h"
#include "apps/run/watch.h"
#include "apps/report/machine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Refuses a loss that is not finite, and names a weight: the first that is not finite, or else the
   one with the largest number. */
static int refuse_loss(const run *r, const char *what, tn_error *e)
{
    const char *name = tn_params_not_finite(r->s->model->params), *largest = "";
    double most = 0;
    for (int64_t i = 0; i < tn_params_count(r->s->model->params) && !name; i++) {
        const tn_param *p = tn_params_at(r->s->model->params, i);
        const int64_t n = p->w->dtype == TN_REAL ? tn_tensor_count(p->w) : 0;
        for (int64_t k = 0; k < n; k++)
            if (fabs((double)p->w->x[k]) > most) {
                most = fabs((double)p->w->x[k]);
                largest = p->name;
            }
    }
    if (name)
        return tn_fail(e, TN_ENONFINITE, "step %lld: %s; the weight %s is not finite",
                       (long long)r->state.step + 1, what, name);
    return tn_fail(
        e, TN_ENONFINITE,
        "step %lld: %s; no weight was changed by this step (the largest, %.3g, is in %s)",
        (long long)r->state.step + 1, what, most, largest);
}

static const tn_batch *next_batch(run *r, int64_t number)
{
    tn_loader_seek(r->loader, run_batch_index(r, number));
    return tn_loader_next(r->loader);
}

/* Counts what the loss of a step is the mean over: labels that count, or pairs. out->tokens: all
   that is computed. */
static int64_t count_tokens(run *r, run_event *out)
{
    int64_t tokens = 0;
    for (int64_t i = 0; i < r->o->grad_accumulation_steps; i++) {
        const tn_batch *b = next_batch(r, r->state.batches + i);
        tokens += b->pairs ? b->pairs : b->tokens;
        out->tokens += b->rows * b->width;
    }
    return tokens;
}

/* Forward and backward of one batch, its loss divided by the tokens of the whole step. The loss is
   still on the tape. NULL after an error. */
static const tn_tensor *compute(run *r, int64_t number, int64_t tokens, const tn_batch *b,
                                run_event *out, tn_error *e)
{
    tn_tape *t = r->s->tape;
    tn_tape_train(t, (uint64_t)number);
    double *reference = b->pairs ? preference_log_probs(r->s, b, e) : NULL;
    if (e->code)
        return NULL;
    tracer_draw(&r->s->tracer, r->graph);
    tn_tensor *loss = b->pairs ? preference_loss(r->s, r->o, b, reference, tokens, &out->pairs)
                               : tn_model_loss(r->s->model, t, b, tokens);
    tracer_draw(&r->s->tracer, NULL);
    r->graph = NULL;
    free(reference);
    return loss && !tn_backward(t, loss) ? loss : NULL;
}

/* Runs a step that was refused once more, to name the op that made the first number that is not
   finite. Nothing needs to be named if a weight was not finite before. */
static void blame(run *r, int64_t tokens, tn_error *e)
{
    tracer *w = &r->s->tracer;
    bool fails = false;
    if (team_number(r->o->team) || tn_params_not_finite(r->s->model->params))
        return;
    tn_params_clear(r->s->model->params);
    tracer_seek(w, true);
    for (int64_t i = 0; i < r->o->grad_accumulation_steps && !fails; i++) {
        const int64_t number = r->state.batches + i;
        run_event ignored = { 0 };
        tn_error again = { 0 };
        fails = !compute(r, number, tokens, next_batch(r, number), &ignored, &again);
        tn_tape_reset(r->s->tape);
    }
    tracer_seek(w, false);
    tracer_blame(w, e);
}

/* Adds the gradients of one batch. Returns its loss. */
static double add_batch(run *r, int64_t number, int64_t tokens, run_event *out, tn_error *e)
{
    tn_tape *t = r->s->tape;
    const tn_batch *b = next_batch(r, number);
    const tn_tensor *loss = compute(r, number, tokens, b, out, e);
    const int code = tn_tape_code(t);
    const double value = loss ? (double)loss->x[0] : 0;
    if (code == TN_ENONFINITE)
        refuse_loss(r, tn_tape_error(t), e);
    else if (code)
        tn_fail(e, code, "step %lld: %s", (long long)r->state.step + 1, tn_tape_error(t));
    tn_tape_reset(t);
    return value;
}

/* What the event of one batch adds to that of its step. */
enum { FIGURES = 8 };

static void figures_of(const run_event *one, double out[FIGURES])
{
    const tn_dpo *d = &one->pairs;
    const double figures[FIGURES] = { one->loss,           d->loss,         d->square,
                                      d->chosen,           d->rejected,     (double)d->right,
                                      (double)d->likelier, (double)d->pairs };
    memcpy(out, figures, sizeof figures);
}

static void set_figures(run_event *out, const double f[FIGURES])
{
    out->loss = f[0];
    out->pairs = (tn_dpo){ .loss = f[1],
                           .square = f[2],
                           .chosen = f[3],
                           .rejected = f[4],
                           .right = (int64_t)f[5],
                           .likelier = (int64_t)f[6],
                           .pairs = (int64_t)f[7] };
}

/* The gradients of the last backward as one array; zeros in the sum before the first batch. */
static tn_real *take_gradients(run *r, bool first, int64_t *count, tn_error *e)
{
    tn_real *g = e->code ? NULL : tn_params_gradients(r->s->model->params, count, e);
    const size_t n = g ? (size_t)*count : 0;
    if (g && !r->sum && !(r->sum = malloc(n * sizeof *g)))
        tn_fail(e, TN_ENOMEM, "the sum of the gradients: out of memory");
    if (first && !e->code)
        memset(r->sum, 0, n * sizeof *g);
    return g;
}

/* Each batch has its own gradients. They are added in the order of the batches, whichever process
   computed them: so the bits of the sum do not depend on the number of processes. */
static void add_batches(run *r, int64_t tokens, run_event *out, tn_error *e)
{
    team *all = r->o->team;
    tn_params *p = r->s->model->params;
    double sum[FIGURES] = { 0 }, mine[FIGURES];
    int64_t count = 0;
    tn_real *g = NULL;
    for (int64_t i = 0; i < r->o->grad_accumulation_steps && !e->code; i += team_size(all)) {
        run_event one = { 0 };
        tn_params_clear(p);
        one.loss = add_batch(r, r->state.batches + i + team_number(all), tokens, &one, e);
        g = take_gradients(r, i == 0, &count, e);
        figures_of(&one, mine);
        team_add(all, r->sum, g, count, e);
        team_add_few(all, sum, mine, FIGURES, e);
    }
    if (team_gather(all, r->sum, count, e))
        return;
    memcpy(g, r->sum, (size_t)count * sizeof *g);
    for (int64_t i = 0; i < tn_params_count(p); i++)
        tn_params_at(p, i)->w->has_grad = tn_params_at(p, i)->w->wants_grad;
    set_figures(out, sum);
}

static int take_step(run *r, run_event *out, tn_error *e)
{
    *out = (run_event){ .step = r->state.step + 1 };
    const int64_t tokens = count_tokens(r, out);
    if (r->o->grad_accumulation_steps > 1)
        add_batches(r, tokens, out, e);
    else
        out->loss = add_batch(r, r->state.batches, tokens, out, e);
    const double begun = now_seconds();
    if (!e->code && tn_optim_step(r->optim))
        tn_fail(e, tn_optim_error(r->optim)->code, "%s", /* which names the step */
                tn_optim_error(r->optim)->text);
    if (e->code == TN_ENONFINITE)
        blame(r, tokens, e);
    if (e->code)
        return e->code;
    out->update = now_seconds() - begun;
    out->lr = tn_optim_lr(r->optim);
    out->grad_norm = tn_optim_grad_norm(r->optim);
    r->state.step++;
    r->state.batches += r->o->grad_accumulation_steps;
    r->state.tokens += out->tokens;
    watch_loss(&r->state, out->loss);
    return 0;
}

int run_step(run *r, run_event *out, tn_error *e)
{
    if (!r->o->profile)
        return take_step(r, out, e);
    profile_begin(&r->profile, &r->s->tracer);
    take_step(r, out, e);
    profile_end(&r->profile, &r->s->tracer, out->update);
    return e->code;
}
