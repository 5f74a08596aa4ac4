/* adapter_checkpoint.c - reads the adapters of a checkpoint: a folder checkpoint-N of a run.

   Its model.safetensors holds the factors under their names in the params. Adapters on columns have
   such names, too: "transformer.h.0.attn.c_attn.q.lora_A.weight". The metadata has the scale of
   each factor, and under "adapter_config.json" the config of the adapter that the run continues. */
#include "nn/folders/weights.h"
#include "nn/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct pair { /* the factors of a target, and with DoRA its magnitudes */
    const tn_entry *a, *b, *m;
} pair;

static const tn_entry *find(const tn_safetensors *file, const tn_target *t, const char *what)
{
    char name[sizeof t->name + 64];
    snprintf(name, sizeof name, "%s.%s", t->name, what);
    return tn_safetensors_find(file, name);
}

static pair find_pair(const tn_safetensors *file, const tn_target *t)
{
    return (pair){ find(file, t, "lora_A.weight"), find(file, t, "lora_B.weight"),
                   find(file, t, "lora_magnitude_vector") };
}

/* Counts the pairs. Every tensor must belong to one. *dora: all have magnitudes. */
static int64_t count_pairs(const tn_model *m, const tn_safetensors *file, bool *dora, tn_error *e)
{
    int64_t n = 0, magnitudes = 0;
    tn_target t;
    for (int64_t i = 0; m->family->target(m, i, &t); i++) {
        const pair p = find_pair(file, &t);
        n += p.a && p.b;
        magnitudes += p.a && p.b && p.m;
    }
    const int64_t tensors = 2 * n + magnitudes;
    if (n == 0 || (magnitudes && magnitudes != n) || tensors != tn_safetensors_count(file))
        tn_fail(e, TN_EFORMAT,
                "%s: %lld tensors, %lld of them factors of this model's layers; expected the "
                "checkpoint of a LoRA run on this model",
                tn_safetensors_path(file), (long long)tn_safetensors_count(file), 2 * (long long)n);
    *dora = magnitudes > 0;
    return n;
}

/* Reads the scale of a factor from the metadata. */
static double read_scale(const tn_safetensors *file, const tn_entry *a, tn_error *e)
{
    const char *text = tn_safetensors_metadata(file, a->name);
    char *end = NULL;
    const double s = text ? strtod(text, &end) : NAN;
    if (!text || *end || !(s > 0) || !isfinite(s))
        tn_fail(e, TN_EFORMAT,
                "%s: the scale of %s is %s; expected a number above 0 in the "
                "metadata, which older checkpoints do not have",
                tn_safetensors_path(file), a->name, text ? text : "missing");
    return s;
}

static void read_pair(tn_model *m, const tn_safetensors *file, const tn_target *t, tn_error *e)
{
    const pair p = find_pair(file, t);
    if (!p.a || !p.b)
        return;
    const int64_t rank = p.a->ndim == 2 ? p.a->dim[0] : 0;
    const double s = read_scale(file, p.a, e);
    if (e->code || tn_weight_check(file, p.a, 2, (int64_t[]){ rank, t->in }, e) ||
        tn_weight_check(file, p.b, 2, (int64_t[]){ t->width, rank }, e) ||
        (p.m && tn_weight_check(file, p.m, 1, &t->width, e)))
        return;
    if (!m->lora->rank) {
        m->lora->rank = rank;
        m->lora->alpha = s * (double)rank;
    }
    tn_adapter *adapter = tn_lora_put(m, t, (tn_lora_size){ rank, s }, e);
    if (adapter && !tn_weight_read(file, p.a, adapter->a, e) &&
        !tn_weight_read(file, p.b, adapter->b, e) && p.m)
        tn_weight_read(file, p.m, adapter->m, e);
}

/* Keeps the config of the adapter that the run began with, for tn_adapter_save. */
static int keep_config(tn_model *m, const tn_safetensors *file, tn_error *e)
{
    const char *text = tn_safetensors_metadata(file, "adapter_config.json");
    const tn_json *config =
        text ? tn_json_parse(text, strlen(text), tn_safetensors_path(file), 0, e) : NULL;
    if (config && config->kind != TN_OBJECT)
        tn_json_refuse(config, "an object, the adapter_config.json of the metadata", e);
    tn_json_free(config);
    if (text && !e->code && !(m->adapter_config = strdup(text)))
        tn_fail(e, TN_ENOMEM, "%s: out of memory", tn_safetensors_path(file));
    return e->code;
}

int tn_adapter_open_checkpoint(tn_model *m, const char *folder, tn_error *e)
{
    tn_target t;
    char *path = tn_path_join(folder, "model.safetensors");
    tn_safetensors *file = path ? tn_safetensors_open(path, e) : NULL;
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    tn_lora_options o = { .targets = "" };
    const int64_t count = file ? count_pairs(m, file, &o.dora, e) : 0;
    const int64_t before = e->code ? e->code : tn_lora_begin(m, count, &o, e);
    for (int64_t i = 0; !e->code && m->family->target(m, i, &t); i++)
        read_pair(m, file, &t, e);
    if (before >= 0 && !e->code)
        tn_lora_keep_names(m, e);
    if (before >= 0 && !e->code)
        keep_config(m, file, e);
    if (before >= 0)
        tn_lora_end(m, before, e);
    tn_safetensors_close(file);
    free(path);
    return e->code;
}
