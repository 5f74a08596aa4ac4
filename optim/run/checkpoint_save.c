/* checkpoint_save.c - writes the checkpoints of a run; checkpoint.c says what is in them. */
#include "optim/run/checkpoint.h"
#include "optim/run/folders.h"
#include "optim/run/trainer_state.h"
#include "optim/run/optimizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Refuses to save trained weights or state that are not finite. No step changes frozen weights. */
static int check_numbers(const char *folder, const tn_params *p, tn_optim *o, int64_t step,
                         tn_error *e)
{
    static const char what[] = "%s: step %" PRId64 " left the %s %s not finite; the checkpoint was "
                               "not written";
    tn_state_block b;
    double x;
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        const tn_tensor *w = tn_params_at(p, i)->w;
        const int64_t n = w->wants_grad ? tn_tensor_count(w) : 0;
        if (tn_checkpoint_not_finite(w->x, n, tn_checkpoint_real(), &x) < n)
            return tn_fail(e, TN_ENONFINITE, what, folder, step, "weight",
                           tn_params_at(p, i)->name);
    }
    for (int64_t i = 0; tn_optim_state(o, i, &b); i++)
        if (tn_checkpoint_not_finite(b.data, b.n, tn_checkpoint_type(&b), &x) < b.n)
            return tn_fail(e, TN_ENONFINITE, what, folder, step, "optimizer's state", b.name);
    return e->code;
}

enum { NUMBER = 32 }; /* bytes of a number as text */

/* Name and scale of each factor, for those who open the checkpoint as an adapter. Ends with
   NULL. */
static void list_scales(const tn_params *p, const char **metadata, char (*values)[NUMBER])
{
    for (int64_t i = 0, n = 0; i < tn_params_count(p); i++) {
        const tn_param *a = tn_params_at(p, i);
        if (!a->w->wants_grad || a->lora_scale == 0)
            continue;
        snprintf(values[n], NUMBER, "%.17g", a->lora_scale);
        metadata[2 * n] = a->name;
        metadata[2 * n + 1] = values[n];
        n++;
    }
}

static int save_weights(const char *folder, const tn_params *p, tn_error *e)
{
    const size_t room = (size_t)tn_params_count(p) + 1;
    char *path = tn_path_join(folder, TN_STATE_WEIGHTS);
    tn_entry *entries = calloc(room, sizeof *entries);
    const char **metadata = calloc(2 * room, sizeof *metadata);
    char(*values)[NUMBER] = calloc(room, sizeof *values);
    int64_t n = 0;
    for (int64_t i = 0; i < tn_params_count(p) && entries; i++) {
        const tn_param *a = tn_params_at(p, i);
        if (!a->w->wants_grad)
            continue;
        tn_entry *entry = &entries[n++];
        *entry = (tn_entry){
            .name = a->name, .type = tn_checkpoint_real(), .ndim = a->w->ndim, .real = a->w->x
        };
        for (int k = 0; k < a->w->ndim; k++)
            entry->dim[k] = a->w->dim[k];
    }
    if (path && entries && metadata && values) {
        list_scales(p, metadata, values);
        tn_safetensors_write(path, entries, n, *metadata ? metadata : NULL, e);
    } else {
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    }
    free(values);
    free(metadata);
    free(entries);
    free(path);
    return e->code;
}

/* Every block of the state; *n is their number. Returns NULL when memory is out. */
static tn_state_block *blocks_of(tn_optim *o, int64_t *n)
{
    tn_state_block one;
    for (*n = 0; tn_optim_state(o, *n, &one);)
        ++*n;
    tn_state_block *all = calloc((size_t)*n + 1, sizeof *all);
    for (int64_t i = 0; i < *n && all; i++)
        tn_optim_state(o, i, &all[i]);
    return all;
}

static int save_moments(const char *folder, tn_optim *o, tn_error *e)
{
    int64_t n;
    char *path = tn_path_join(folder, TN_STATE_MOMENTS);
    tn_state_block *blocks = blocks_of(o, &n);
    tn_entry *entries = calloc((size_t)n + 1, sizeof *entries);
    for (int64_t i = 0; i < n && blocks && entries; i++)
        entries[i] = (tn_entry){ .name = blocks[i].name,
                                 .type = tn_checkpoint_type(&blocks[i]),
                                 .ndim = 1,
                                 .dim = { blocks[i].n },
                                 .bytes = blocks[i].data,
                                 .size = (size_t)blocks[i].n *
                                         (blocks[i].real ? sizeof(tn_real) : sizeof(double)) };
    const char *metadata[] = { "optimizer", tn_optim_definition(o)->name, NULL };
    if (path && blocks && entries)
        tn_safetensors_write(path, entries, n, metadata, e);
    else
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    free(entries);
    free(blocks);
    free(path);
    return e->code;
}

static int save_state(const char *folder, const tn_params *p, tn_optim *o, const tn_run_state *r,
                      tn_error *e)
{
    if (!o->knows_base)
        o->base = tn_params_base(p);
    o->knows_base = true;
    tn_state s = { .run = *r, .base = o->base };
    const char *name = tn_optim_definition(o)->name;
    if (strlen(name) >= sizeof s.optimizer)
        return tn_fail(e, TN_EARG, "%s: a name of an optimizer too long for a checkpoint", name);
    strcpy(s.optimizer, name);
    return tn_state_save(folder, &s, e);
}

int tn_checkpoint_save(const char *folder, const tn_params *p, tn_optim *o, const tn_run_state *r,
                       int keep, tn_error *e)
{
    const int missing = tn_checkpoint_given(folder, p, o, r, __func__, e);
    if (missing || check_numbers(folder, p, o, r->step, e))
        return missing ? missing : e->code;
    char *unfinished;
    const int at = tn_checkpoint_begin(folder, r, &unfinished, e);
    if (!e->code && !save_weights(unfinished, p, e) && !save_moments(unfinished, o, e))
        save_state(unfinished, p, o, r, e);
    free(unfinished);
    return tn_checkpoint_end(at, folder, r, keep, e);
}
