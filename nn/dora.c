/* dora.c - keeps DoRA's factors of the layers while no weight changes.
   They are g = m / norm of W + s B A. tn_generate would compute them again for every token, which
   takes longer than the products with W do. */
#include "core/op.h"
#include "nn/model.h"

#include <string.h>

/* The factors of one layer, with the ops that run_dora uses: the same bits. NULL: see the tape. */
static tn_tensor *factors(tn_tape *t, const tn_linear_layer *l)
{
    const tn_adapter *a = l->lora;
    tn_tensor *g = tn_div(t, a->m, tn_lora_norm(t, l->w, a->a, a->b, a->s, l->layout)); // (out)
    tn_tensor *kept = g ? tn_tensor_new(TN_REAL, 1, g->dim, false) : NULL;
    if (kept)
        memcpy(kept->x, g->x, tn_tensor_bytes(g));
    tn_tape_reset(t);
    return kept;
}

int tn_dora_keep(const tn_model *m, tn_tape *t, tn_error *e)
{
    tn_target to;
    for (int64_t i = 0; !e->code && m->family->target(m, i, &to); i++) {
        if (to.columns || !to.layer->lora || !to.layer->lora->m)
            continue;
        to.layer->lora->g = factors(t, to.layer);
        if (!to.layer->lora->g)
            tn_fail(e, tn_tape_code(t) ? tn_tape_code(t) : TN_ENOMEM, "%s: %s", to.name,
                    tn_tape_code(t) ? tn_tape_error(t) : "out of memory");
    }
    if (e->code)
        tn_dora_forget(m);
    return e->code;
}

void tn_dora_forget(const tn_model *m)
{
    tn_target t;
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        if (!t.columns && t.layer->lora) {
            tn_tensor_free(t.layer->lora->g);
            t.layer->lora->g = NULL;
        }
}
