/* probe.c - runs models on the same few tokens and compares their logits. */
#include "apps/run/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 16 };

/* The logits of the tokens, on the tape. NULL: see e. */
static const tn_tensor *run(const tn_model *m, tn_tape *t, int64_t tokens, tn_error *e)
{
    tn_tape_eval(t);
    tn_tensor *ids = tn_tape_input(t, TN_I32, 2, (int64_t[]){ 1, tokens });
    for (int64_t i = 0; ids && i < tokens; i++)
        ids->i[i] =
            (int32_t)(tn_random(1, tn_stream("probe"), 0, (uint64_t)i) % (uint64_t)m->vocab);
    const tn_tensor *z = tn_model_logits(m, t, ids);
    if (!z)
        tn_fail(e, tn_tape_code(t), "%s", tn_tape_error(t));
    return z;
}

int probe_take(probe *p, const tn_model *m, tn_error *e)
{
    tn_tape *t = e->code ? NULL : tn_tape_new(m->context);
    if (!t)
        return tn_fail(e, TN_ENOMEM, "the probe: out of memory");
    p->tokens = m->positions < TOKENS ? m->positions : TOKENS;
    p->vocab = m->vocab;
    const tn_tensor *z = run(m, t, p->tokens, e);
    const int64_t n = p->tokens * p->vocab;
    if (z) {
        p->logits = malloc((size_t)n * sizeof *p->logits);
        if (!p->logits)
            tn_fail(e, TN_ENOMEM, "the probe: out of memory");
    }
    for (int64_t i = 0; !e->code && i < n; i++) {
        p->logits[i] = z->x[i];
        p->largest = fmax(p->largest, fabs((double)z->x[i]));
    }
    tn_tape_free(t);
    return e->code;
}

double probe_difference(probe *p, const tn_model *m, tn_error *e)
{
    double most = 0;
    tn_tape *t = e->code ? NULL : tn_tape_new(m->context);
    if (!t) {
        tn_fail(e, TN_ENOMEM, "the probe: out of memory");
        return 0;
    }
    p->tokens = m->positions < p->tokens ? m->positions : p->tokens;
    const tn_tensor *z = run(m, t, p->tokens, e);
    for (int64_t i = 0; z && i < p->tokens * p->vocab && !e->code; i++) {
        most = fmax(most, fabs((double)z->x[i] - (double)p->logits[i]));
        if (!isfinite(z->x[i]) || !isfinite(p->logits[i]))
            tn_fail(e, TN_ENONFINITE, "the logits %g and %g of one token; expected finite numbers",
                    (double)p->logits[i], (double)z->x[i]);
    }
    tn_tape_free(t);
    return most;
}

void probe_end(probe *p)
{
    free(p->logits);
    *p = (probe){ 0 };
}
