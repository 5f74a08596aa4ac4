/* adapter_save.c - writes adapters in the form that PEFT reads.

   PEFT has one adapter per layer, for all of its outputs. Several adapters on columns of a layer
   become one. A' has their A one below the other. B' has their B side by side, each in the rows of
   its columns, and zeros elsewhere. B' A' is the same function. Its rank R' is the sum of their
   ranks, and alpha' = s R'. */
#include "nn/folders/config_kept.h"
#include "nn/folders/weights.h"
#include "nn/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = TN_MODULE_PATH + 64 };

typedef struct joined { /* the adapters of one layer as one */
    char name_a[NAME], name_b[NAME], name_m[NAME];
    tn_real *a, *b; /* (R',in), (out,R') */
} joined;

static int64_t joined_rank(const tn_linear_layer *l)
{
    int64_t rank = 0;
    for (const tn_adapter *a = l->lora; a; a = a->next)
        rank += a->a->dim[0];
    return rank;
}

static bool join(const tn_model *m, const tn_target *t, int64_t rank, joined *j)
{
    char path[TN_MODULE_PATH];
    tn_module_path(m, t->name, false, path);
    snprintf(j->name_a, sizeof j->name_a, "%s%s.lora_A.weight", TN_PEFT_PREFIX, path);
    snprintf(j->name_b, sizeof j->name_b, "%s%s.lora_B.weight", TN_PEFT_PREFIX, path);
    snprintf(j->name_m, sizeof j->name_m, "%s%s.lora_magnitude_vector", TN_PEFT_PREFIX, path);
    j->a = calloc((size_t)(rank * t->in), sizeof *j->a);
    j->b = calloc((size_t)(t->width * rank), sizeof *j->b);
    if (!j->a || !j->b)
        return false;
    int64_t from = 0;
    for (const tn_adapter *a = t->layer->lora; a; a = a->next) {
        int64_t R = a->a->dim[0];
        memcpy(j->a + from * t->in, a->a->x, (size_t)(R * t->in) * sizeof *j->a);
        for (int64_t o = 0; o < a->b->dim[0]; o++)
            memcpy(j->b + (a->col + o) * rank + from, a->b->x + o * R, (size_t)R * sizeof *j->b);
        from += R;
    }
    return true;
}

/* Refuses numbers of a joined factor (rows,cols) that the type cannot hold. */
static void check_joined(const char *name, tn_real *x, int64_t rows, int64_t cols,
                         tn_file_type type, tn_error *e)
{
    const tn_tensor w = { .dtype = TN_REAL, .ndim = 2, .dim = { rows, cols, 1, 1 }, .x = x };
    tn_weight_check_numbers(name, &w, type, e);
}

/* Adds the tensors of a layer to the list. Returns how many. */
static int64_t list_layer(const tn_target *t, const joined *j, tn_entry *entries, tn_file_type type,
                          tn_error *e)
{
    const int64_t rank = joined_rank(t->layer);
    tn_tensor *m = t->layer->lora->m;
    entries[0] = (tn_entry){
        .name = j->name_a, .type = type, .ndim = 2, .dim = { rank, t->in }, .real = j->a
    };
    entries[1] = (tn_entry){
        .name = j->name_b, .type = type, .ndim = 2, .dim = { t->width, rank }, .real = j->b
    };
    check_joined(j->name_a, j->a, rank, t->in, type, e);
    check_joined(j->name_b, j->b, t->width, rank, type, e);
    if (!m)
        return 2;
    entries[2] =
        (tn_entry){ .name = j->name_m, .type = type, .ndim = 1, .dim = { t->width }, .real = m->x };
    tn_weight_check_numbers(j->name_m, m, type, e);
    return 3;
}

/* Joins the factors of all layers. Returns how many tensors they have. Stops at an error. */
static int64_t join_all(const tn_model *m, joined *all, tn_entry *entries, tn_file_type type,
                        tn_error *e)
{
    int64_t n = 0;
    tn_target t;
    for (int64_t i = 0; !e->code && m->family->target(m, i, &t); i++) {
        if (t.columns || !t.layer->lora)
            continue;
        if (join(m, &t, joined_rank(t.layer), &all[i]))
            n += list_layer(&t, &all[i], entries + n, type, e);
        else
            tn_fail(e, TN_ENOMEM, "out of memory for the adapters");
    }
    return n;
}

static void save_factors(const tn_model *m, const char *folder, tn_file_type type, tn_error *e)
{
    tn_target t;
    size_t layers = 0;
    while (m->family->target(m, (int64_t)layers, &t))
        layers++;
    joined *all = calloc(layers, sizeof *all);
    tn_entry *entries = calloc(3 * layers, sizeof *entries);
    char *path = tn_path_join(folder, "adapter_model.safetensors");
    int64_t n = 0;
    if (all && entries && path)
        n = join_all(m, all, entries, type, e);
    else
        tn_fail(e, TN_ENOMEM, "%s: out of memory for the adapters", folder);
    if (!e->code)
        tn_safetensors_write(path, entries, n, (const char *const[]){ "format", "pt", NULL }, e);
    for (size_t i = 0; all && i < layers; i++) {
        free(all[i].a);
        free(all[i].b);
    }
    free(all);
    free(entries);
    free(path);
}

/* alpha of a layer's joined adapter: its scale s is alpha / R', or alpha / sqrt(R') in rsLoRA. */
static double joined_alpha(const tn_model *m, const tn_linear_layer *l)
{
    const double rank = (double)joined_rank(l);
    return l->lora->s * (m->lora->rslora ? sqrt(rank) : rank);
}

/* Adds "LAYER": VALUE for each layer whose rank or alpha differs from the value for all. */
static void add_pattern(const tn_model *m, bool alpha, double all, tn_text *out)
{
    const char *comma = "";
    char path[TN_MODULE_PATH];
    tn_target t;
    tn_text_add(out, "  \"%s\": {", alpha ? "alpha_pattern" : "rank_pattern");
    for (int64_t i = 0; m->family->target(m, i, &t); i++) {
        if (t.columns || !t.layer->lora)
            continue;
        const double value = alpha ? joined_alpha(m, t.layer) : (double)joined_rank(t.layer);
        if (fabs(value - all) <= 1e-14 * all)
            continue;
        tn_text_add(out, "%s\n    \"%s\": %.15g", comma, tn_module_path(m, t.name, false, path),
                    value);
        comma = ",";
    }
    tn_text_add(out, "%s},\n", comma[0] ? "\n  " : "");
}

/* The numbers of the blocks that have adapters: null, or a list. */
static void add_blocks(const tn_model *m, tn_text *out)
{
    const int64_t last = m->lora->last_blocks;
    tn_text_add(out, "  \"layers_pattern\": null,\n  \"layers_to_transform\": %s",
                last ? "[" : "null");
    for (int64_t i = m->layers - last; i < m->layers; i++)
        tn_text_add(out, "%s%lld", i > m->layers - last ? ", " : "", (long long)i);
    tn_text_add(out, "%s,\n", last ? "]" : "");
}

/* ---- what the adapter was read with ---- */

/* A name on the Hub, "MODEL" or "OWNER/MODEL". A path is one of the machine that wrote it. */
static bool is_hub_name(const tn_json *v)
{
    if (!v || v->kind != TN_STRING || !v->length || strchr("./~", v->text[0]))
        return false;
    const char *slash = strchr(v->text, '/');
    return !strchr(v->text, '\\') && (!slash || !strchr(slash + 1, '/'));
}

/* Adds a member as `theirs` has it; where it is missing or null, as `ours`. */
static void add_member(const tn_json *theirs, const char *key, const char *ours, tn_text *out)
{
    const tn_json *v = tn_json_find(theirs, key);
    tn_text_add(out, "  \"%s\": ", key);
    if (!v || v->kind == TN_NULL)
        tn_text_add(out, "%s", ours);
    else
        tn_text_json(out, v, 1);
    tn_text_add(out, ",\n");
}

/* The base, which stays if it is named by the Hub, and its revision, which stays in any case. */
static void add_base(const tn_model *m, const tn_json *theirs, tn_text *out)
{
    static const char key[] = "base_model_name_or_path";
    tn_text source = { 0 };
    const tn_json *named = is_hub_name(tn_json_find(theirs, key)) ? theirs : NULL;
    if (m->source)
        tn_text_quote(&source, m->source, strlen(m->source));
    add_member(named, key, source.s ? source.s : "null", out);
    add_member(theirs, "revision", "null", out);
    out->failed = out->failed || source.failed;
    tn_text_free(&source);
}

/* Writes all keys that PEFT needs, in order. */
static void write_config(const tn_model *m, const tn_json *theirs, tn_text *out)
{
    tn_target t;
    int64_t i = 0;
    while (m->family->target(m, i, &t) && (t.columns || !t.layer->lora))
        i++;
    const bool several = t.layer->lora->next != NULL;
    const double rank = several ? (double)joined_rank(t.layer) : (double)m->lora->rank;
    const double alpha = several ? joined_alpha(m, t.layer) : m->lora->alpha;
    const bool in_out = t.layer->layout == TN_IN_OUT;
    const char *init = m->lora->init;
    char start[32];
    tn_text names = { 0 };
    snprintf(start, sizeof start, "%s%s%s", init ? "\"" : "", init ? init : "true",
             init ? "\"" : "");
    tn_lora_names(m, "\"", &names);
    tn_text_add(out, "{\n");
    add_pattern(m, true, alpha, out);
    add_member(theirs, "auto_mapping", "null", out);
    add_base(m, theirs, out);
    tn_text_add(out, "  \"bias\": \"none\",\n");
    if (m->nested) /* its layers for images have the same names */
        tn_text_add(out, "  \"exclude_modules\": \".*vision_tower.*\",\n");
    tn_text_add(out, "  \"fan_in_fan_out\": %s,\n", in_out ? "true" : "false");
    tn_text_add(out, "  \"inference_mode\": true,\n");
    add_member(theirs, "init_lora_weights", start, out);
    add_blocks(m, out);
    tn_text_add(out, "  \"lora_alpha\": %.15g,\n  \"lora_dropout\": %.15g,\n", alpha,
                m->lora->dropout);
    tn_text_add(out, "  \"modules_to_save\": null,\n  \"peft_type\": \"LORA\",\n  \"r\": %.0f,\n",
                rank);
    add_pattern(m, false, rank, out);
    tn_text_add(out, "  \"target_modules\": [%s],\n", names.n ? names.s : "");
    add_member(theirs, "task_type", "\"CAUSAL_LM\"", out);
    tn_text_add(out, "  \"use_dora\": %s,\n  \"use_rslora\": %s\n}\n",
                m->lora->dora ? "true" : "false", m->lora->rslora ? "true" : "false");
    out->failed = out->failed || names.failed;
    tn_text_free(&names);
}

/* Writes adapter_config.json: our keys, and those that the adapter was read with. */
static int save_config(const tn_model *m, const char *folder, tn_error *e)
{
    static const char *const but[] = { "peft_version", NULL }; /* we are another writer */
    const char *had = m->adapter_config;
    const tn_json *theirs = had ? tn_json_parse(had, strlen(had), folder, 0, e) : NULL;
    tn_text text = { 0 };
    if (!e->code)
        write_config(m, theirs, &text);
    if (theirs)
        tn_config_add_keys(&text, theirs, but, e);
    tn_json_free(theirs);
    return tn_text_save(&text, folder, "adapter_config.json", e);
}

int tn_adapter_save(const tn_model *m, const char *folder, tn_file_type type, tn_error *e)
{
    const int missing = tn_given(e, m && folder, __func__);
    if (missing)
        return missing;
    if (tn_model_refuse_bare(m, e))
        return e->code;
    if (tn_folder_make(folder, e))
        return e->code;
    save_factors(m, folder, type, e);
    return e->code ? e->code : save_config(m, folder, e);
}
