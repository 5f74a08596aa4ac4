/* mlx_adapter.c - reads and writes the adapter folders of mlx-lm: adapters.safetensors and its config.

   Factors are PEFT's transposed: "PATH.lora_a" (in,R) and "PATH.lora_b" (R,out), where PATH is that of the
   layer, "model.h" for GPT-2's "transformer.h". adapter_config.json has the scale s itself (no alpha), one
   rank and one scale for all, and the number of blocks at the end that have adapters.
   Source: tuner/utils.py and tuner/lora.py of ml-explore/mlx-lm. */
#include "nn/folders/weights.h"
#include "nn/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = sizeof(tn_target){ 0 }.name + 64 };

static const char config_name[] = "adapter_config.json", file_name[] = "adapters.safetensors";

static const char *name_of(const tn_model *m, const tn_target *t, char factor, char out[NAME])
{
    static const char ours[] = "transformer.";
    const bool gpt = !strncmp(t->name, ours, strlen(ours));
    snprintf(out, NAME, "%s%s.lora_%c",
             gpt         ? "model."
             : m->nested ? "language_model."
                         : "",
             t->name + (gpt ? strlen(ours) : 0), factor);
    return out;
}

/* ---- reading ---- */

bool tn_adapter_is_mlx(const char *folder, tn_error *e)
{
    return tn_path_is(folder, NULL, e) == TN_FOLDER &&
           tn_path_is(folder, "adapter_model.safetensors", e) == TN_ABSENT &&
           tn_path_is(folder, file_name, e) == TN_FILE;
}

/* The scale and dropout of the config. */
static int read_config(const char *path, double *scale, double *dropout, tn_error *e)
{
    const tn_json *root = tn_json_read(path, e);
    const tn_json *p = tn_json_find(root, "lora_parameters");
    const char *type = "lora";
    if (root && root->kind != TN_OBJECT)
        tn_json_refuse(root, "an object", e);
    tn_json_get_string(root, "fine_tune_type", &type, e);
    if (!e->code && strcmp(type, "lora") != 0)
        tn_json_refuse(tn_json_find(root, "fine_tune_type"), "\"lora\"", e);
    if (!e->code && !tn_json_find(p, "scale"))
        tn_json_refuse(p ? p : root, "lora_parameters with a scale in it", e);
    tn_json_get_real(p, "scale", scale, e);
    tn_json_get_real(p, "dropout", dropout, e);
    if (!e->code && !(*scale > 0))
        tn_json_refuse(tn_json_find(p, "scale"), "a number above 0", e);
    if (!e->code && !(*dropout >= 0 && *dropout < 1))
        tn_json_refuse(tn_json_find(p, "dropout"), "at least 0 and below 1", e);
    tn_json_free(root);
    return e->code;
}

/* Reads a tensor (cols,rows) into w (rows,cols). */
static void read_transposed(const tn_safetensors *file, const tn_entry *entry, tn_tensor *w,
                            tn_error *e)
{
    const int64_t rows = w->dim[0], cols = w->dim[1];
    tn_tensor *t = e->code ? NULL : tn_tensor_new(TN_REAL, 2, (int64_t[]){ cols, rows }, false);
    if (!t)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", tn_safetensors_path(file));
    else if (!tn_weight_read(file, entry, t, e))
        for (int64_t i = 0; i < rows * cols; i++)
            w->x[i] = t->x[i % cols * rows + i / cols];
    tn_tensor_free(t);
}

static int64_t read_layer(tn_model *m, const tn_safetensors *file, const tn_target *t,
                          const tn_lora_options *o, tn_error *e)
{
    char name[NAME];
    const tn_entry *a = tn_safetensors_find(file, name_of(m, t, 'a', name));
    const tn_entry *b = tn_safetensors_find(file, name_of(m, t, 'b', name));
    if (!a || !b)
        return 0;
    const int64_t rank = a->ndim == 2 && a->dim[1] > 0 ? a->dim[1] : 1;
    if (tn_weight_check(file, a, 2, (int64_t[]){ t->in, rank }, e) ||
        tn_weight_check(file, b, 2, (int64_t[]){ rank, t->width }, e))
        return 0;
    tn_adapter *adapter = tn_lora_put(m, t, (tn_lora_size){ rank, o->alpha }, e);
    if (adapter) {
        read_transposed(file, a, adapter->a, e);
        read_transposed(file, b, adapter->b, e);
        m->lora->rank = rank;
    }
    return 2;
}

/* The alpha of the options is the scale until the ranks are known. */
static void read_layers(tn_model *m, const tn_safetensors *file, tn_lora_options o, tn_error *e)
{
    const int64_t count = tn_safetensors_count(file);
    int64_t used = 0;
    tn_target t;
    if (count < 2)
        tn_fail(e, TN_EFORMAT, "%s: no tensor; expected lora_a and lora_b",
                tn_safetensors_path(file));
    const int64_t before = e->code ? e->code : tn_lora_begin(m, count / 2, &o, e);
    if (before < 0)
        return;
    for (int64_t i = 0; !e->code && m->family->target(m, i, &t); i++)
        if (!t.columns)
            used += read_layer(m, file, &t, &o, e);
    if (!e->code && used != count)
        tn_fail(e, TN_EFORMAT, "%s: %lld of %lld tensors have no place in this model",
                tn_safetensors_path(file), (long long)(count - used), (long long)count);
    m->lora->alpha = o.alpha * (double)m->lora->rank;
    if (!e->code)
        tn_lora_keep_names(m, e);
    tn_lora_end(m, before, e);
}

int tn_adapter_open_mlx(tn_model *m, const char *folder, tn_error *e)
{
    tn_lora_options o = { .rank = 1, .targets = "" };
    char *config = tn_path_newest(folder, config_name), *path = tn_path_newest(folder, file_name);
    if (!config || !path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    tn_safetensors *file = NULL;
    if (!e->code && !read_config(config, &o.alpha, &o.dropout, e))
        file = tn_safetensors_open(path, e);
    if (file)
        read_layers(m, file, o, e);
    tn_safetensors_close(file);
    free(config);
    free(path);
    return e->code;
}

/* ---- writing ---- */

typedef struct piece { /* a factor of the file */
    char name[NAME];
    const tn_linear_layer *layer;
    int64_t rank, width; /* rank: the largest of all layers; what is missing are zeros */
    double by;           /* lora_b is multiplied by this */
} piece;

/* The adapter of the joined column r, and its own column. NULL: a zero. */
static const tn_adapter *adapter_at(const piece *p, int64_t *r)
{
    const tn_adapter *a = p->layer->lora;
    for (; a && *r >= a->a->dim[0]; a = a->next)
        *r -= a->a->dim[0];
    return a;
}

static void fill_a(const void *arg, int64_t from, int64_t n, tn_real *out)
{
    const piece *p = arg;
    for (int64_t i = 0; i < n; i++) {
        int64_t r = (from + i) % p->rank;
        const tn_adapter *a = adapter_at(p, &r);
        out[i] = a ? a->a->x[r * a->a->dim[1] + (from + i) / p->rank] : 0;
    }
}

static void fill_b(const void *arg, int64_t from, int64_t n, tn_real *out)
{
    const piece *p = arg;
    for (int64_t i = 0; i < n; i++) {
        int64_t r = (from + i) / p->width;
        const tn_adapter *a = adapter_at(p, &r);
        const int64_t row = a ? (from + i) % p->width - a->col : 0;
        out[i] = a && row >= 0 && row < a->b->dim[0]
                     ? (tn_real)(p->by * (double)a->b->x[row * a->a->dim[0] + r])
                     : 0;
    }
}

/* What is the same for all layers, and where the blocks with adapters begin. */
typedef struct all {
    int64_t rank, first;
    double scale;
} all;

static all common(const tn_model *m)
{
    all c = { .first = m->layers };
    tn_target t;
    for (int64_t i = 0; m->family->target(m, i, &t); i++) {
        if (t.columns || !t.layer->lora)
            continue;
        const int64_t rank = tn_layer_rank(t.layer), block = tn_target_block(t.name);
        c.rank = rank > c.rank ? rank : c.rank;
        c.first = block < c.first ? block : c.first;
        c.scale = c.scale > 0 ? c.scale : t.layer->lora->s;
    }
    return c;
}

static int save_factors(const tn_model *m, const all *c, const char *folder, tn_file_type type,
                        tn_error *e)
{
    size_t layers = 0;
    int64_t n = 0;
    tn_target t;
    while (m->family->target(m, (int64_t)layers, &t))
        layers++;
    piece *p = calloc(2 * layers, sizeof *p);
    tn_entry *entries = calloc(2 * layers, sizeof *entries);
    char *path = tn_path_join(folder, file_name);
    if (!p || !entries || !path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory for the adapters", folder);
    for (int64_t i = 0; !e->code && m->family->target(m, i, &t); i++) {
        for (int k = 0; k < 2 && !t.columns && t.layer->lora; k++, n++) {
            p[n] = (piece){ .layer = t.layer,
                            .rank = c->rank,
                            .width = t.width,
                            .by = t.layer->lora->s / c->scale };
            entries[n] = (tn_entry){ .name = name_of(m, &t, k ? 'b' : 'a', p[n].name),
                                     .type = type,
                                     .ndim = 2,
                                     .dim = { k ? c->rank : t.in, k ? t.width : c->rank },
                                     .fill = k ? fill_b : fill_a,
                                     .arg = &p[n] };
        }
        for (const tn_adapter *a = t.columns ? NULL : t.layer->lora; a; a = a->next) {
            tn_weight_check_numbers(t.name, a->a, type, e);
            tn_weight_check_numbers(t.name, a->b, type, e);
        }
    }
    if (!e->code)
        tn_safetensors_write(path, entries, n, (const char *const[]){ "format", "mlx", NULL }, e);
    free(p);
    free(entries);
    free(path);
    return e->code;
}

/* The path of a layer in its block: "self_attn.q_proj". */
static const char *key_of(const char *layer)
{
    const char *at = layer;
    while (*at && !(at[0] == '.' && at[1] >= '0' && at[1] <= '9'))
        at++;
    const char *dot = *at ? strchr(at + 1, '.') : NULL;
    return dot ? dot + 1 : layer;
}

static void write_config(const tn_model *m, const all *c, tn_text *out)
{
    tn_text keys = { 0 };
    tn_target t;
    for (int64_t i = 0; m->family->target(m, i, &t); i++) {
        char key[NAME];
        snprintf(key, sizeof key, "\"%s\"", key_of(t.name));
        if (t.columns || !t.layer->lora || (keys.s && strstr(keys.s, key)))
            continue;
        tn_text_add(&keys, "%s%s", keys.n ? ", " : "", key);
    }
    tn_text_add(out,
                "{\n  \"fine_tune_type\": \"lora\",\n  \"num_layers\": %lld,\n"
                "  \"lora_parameters\": {\"rank\": %lld, \"scale\": %.15g, \"dropout\": %.15g, "
                "\"keys\": [",
                (long long)(m->layers - c->first), (long long)c->rank, c->scale, m->lora->dropout);
    tn_text_join(out, &keys);
    tn_text_add(out, "]}\n}\n");
    tn_text_free(&keys);
}

int tn_adapter_save_mlx(const tn_model *m, const char *folder, tn_file_type type, tn_error *e)
{
    const int missing = tn_given(e, m && folder, __func__);
    if (missing)
        return missing;
    if (tn_model_refuse_bare(m, e))
        return e->code;
    if (m->lora->dora)
        return tn_fail(e, TN_EARG, "%s: adapters of DoRA are not written for mlx-lm; expected LoRA",
                       folder);
    if (m->output.lora)
        return tn_fail(e, TN_EARG,
                       "%s: an adapter of lm_head is not written for mlx-lm, which has adapters in "
                       "blocks; expected others",
                       folder);
    const all c = common(m);
    tn_text text = { 0 };
    if (tn_folder_make(folder, e) || save_factors(m, &c, folder, type, e))
        return e->code;
    write_config(m, &c, &text);
    return tn_text_save(&text, folder, config_name, e);
}
