/* checkpoint_save.c - writes the checkpoints of a run; checkpoint.c describes them. */
#include "data/formats/file.h"
#include "optim/run/checkpoint.h"
#include "optim/run/folders.h"
#include "optim/run/trainer_state.h"
#include "optim/run/optimizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Refuses to save numbers that are not finite. */
static int check(const char *folder, const tn_saved *s, int64_t step, tn_error *e)
{
    double value;
    if (!s->entries)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    for (int64_t i = 0; i < s->count && !e->code; i++) {
        const tn_entry *t = &s->entries[i];
        const int64_t n = tn_entry_count(t);
        if (tn_not_finite(t->type, t->bytes, n, &value) < n)
            tn_fail(e, TN_ENONFINITE,
                    "%s: step %" PRId64 " left the %s %s not finite; the checkpoint was not "
                    "written",
                    folder, step, s->one, t->name);
    }
    return e->code;
}

enum { NUMBER = 32 }; /* bytes of a number as text */

/* Name and scale of each factor, to open the checkpoint as an adapter, and the config that it was
   read with. NULL ends the list. */
static void list_scales(const tn_params *p, const char *config, const char **metadata,
                        char (*values)[NUMBER])
{
    int64_t n = 0;
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        const tn_param *a = tn_params_at(p, i);
        if (!a->w->wants_grad || a->lora_scale == 0)
            continue;
        snprintf(values[n], NUMBER, "%.17g", a->lora_scale);
        metadata[2 * n] = a->name;
        metadata[2 * n + 1] = values[n];
        n++;
    }
    if (config) {
        metadata[2 * n] = TN_STATE_CONFIG;
        metadata[2 * n + 1] = config;
    }
}

static int write(const char *folder, const tn_saved *s, const char *const *metadata, tn_error *e)
{
    char *path = tn_path_join(folder, s->file);
    if (path)
        tn_safetensors_write(path, s->entries, s->count, *metadata ? metadata : NULL, e);
    else
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    free(path);
    return e->code;
}

static int save_weights(const char *folder, const tn_params *p, const tn_saved *s,
                        const char *config, tn_error *e)
{
    const size_t room = (size_t)s->count + 2;
    const char **metadata = calloc(2 * room, sizeof *metadata);
    char(*values)[NUMBER] = calloc(room, sizeof *values);
    if (metadata && values) {
        list_scales(p, config, metadata, values);
        write(folder, s, metadata, e);
    } else {
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    }
    free(values);
    free(metadata);
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
    if (missing)
        return missing;
    const tn_saved weights = tn_saved_weights(p), moments = tn_saved_state(o);
    const char *metadata[] = { "optimizer", tn_optim_definition(o)->name, NULL };
    char *unfinished = NULL;
    int at = -1;
    if (!check(folder, &weights, r->step, e) && !check(folder, &moments, r->step, e))
        at = tn_checkpoint_begin(folder, r, &unfinished, e);
    if (!e->code && r->tokenizer)
        tn_tokenizer_save(r->tokenizer, unfinished, e);
    if (!e->code && !save_weights(unfinished, p, &weights, r->adapter_config, e) &&
        !write(unfinished, &moments, metadata, e))
        save_state(unfinished, p, o, r, e);
    free(unfinished);
    free(weights.entries);
    free(moments.entries);
    return tn_checkpoint_end(at, folder, r, keep, e);
}
