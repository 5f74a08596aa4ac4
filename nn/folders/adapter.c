/* adapter.c - reads LoRA adapters from PEFT's adapter_config.json and adapter_model.safetensors.
   Source: huggingface/peft, tuners/lora/config.py and layer.py, utils/save_and_load.py. */
#include "data/gguf.h"
#include "nn/folders/adapter_config.h"
#include "nn/folders/weights.h"
#include "core/op.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names of tensors ---- */

enum { FORMS = 4, NAME = TN_MODULE_PATH + 64 };

/* What comes behind "base_model.model.LAYER.": PEFT writes the first form. In the state of a PEFT
   model in memory, and in files made of it, the name of the adapter is in between. The magnitudes
   of DoRA have been a parameter and a layer. */
static const char *const forms[][FORMS] = {
    { "lora_A.weight", "lora_A.default.weight" },
    { "lora_B.weight", "lora_B.default.weight" },
    { "lora_magnitude_vector", "lora_magnitude_vector.default.weight",
      "lora_magnitude_vector.weight", "lora_magnitude_vector.default" },
};
enum { FACTOR_A, FACTOR_B, MAGNITUDES, FACTORS };

static void name_of(const char *path, int factor, int form, char out[NAME])
{
    snprintf(out, NAME, "%s%s.%s", TN_PEFT_PREFIX, path, forms[factor][form]);
}

/* The tensor of a layer. NULL: the file does not have it. */
static const tn_entry *find_factor(const tn_model *m, const tn_safetensors *file, const char *layer,
                                   int factor)
{
    const tn_entry *found = NULL;
    for (int k = 0; k < 2 * FORMS && !found; k++) {
        char name[NAME], path[TN_MODULE_PATH];
        if (!forms[factor][k % FORMS])
            continue;
        name_of(tn_module_path(m, layer, k >= FORMS, path), factor, k % FORMS, name);
        found = tn_safetensors_find(file, name);
    }
    return found;
}

/* Is it one of the first `factors` tensors of a layer with this path? *factor becomes its own. */
static bool is_of(const char *name, const char *path, int factors, int *factor)
{
    const size_t n = strlen(path);
    for (int k = 0; k < factors * FORMS; k++) {
        const char *form = forms[k / FORMS][k % FORMS];
        *factor = k / FORMS;
        if (form && !strncmp(name, path, n) && name[n] == '.' && !strcmp(name + n + 1, form))
            return true;
    }
    return false;
}

/* Is it one of the first `factors` tensors of a layer? *layer and *factor become its own. */
static bool find_place(const tn_model *m, const char *name, int factors, tn_target *layer,
                       int *factor)
{
    const size_t prefix = strlen(TN_PEFT_PREFIX);
    if (strncmp(name, TN_PEFT_PREFIX, prefix))
        return false;
    for (int64_t i = 0; m->family->target(m, i, layer); i++)
        for (int old = 0; old < 2 && !layer->columns; old++) {
            char path[TN_MODULE_PATH];
            tn_module_path(m, layer->name, old, path);
            if (is_of(name + prefix, path, factors, factor))
                return true;
        }
    return false;
}

/* PEFT writes the weights of head and embedding, too, if one of them has an adapter. The weight of
   which this tensor is a copy; NULL: of none. */
static const tn_tensor *copied_weight(const tn_model *m, const char *tensor)
{
    static const char inner[] = "base_layer.";
    const size_t prefix = strlen(TN_PEFT_PREFIX);
    const char *name = tensor + prefix, *base = strstr(tensor, inner);
    char ours[NAME], path[TN_MODULE_PATH];
    if (strncmp(tensor, TN_PEFT_PREFIX, prefix))
        return NULL;
    snprintf(ours, sizeof ours, "%.*s%s", (int)(base ? base - name : 0), name,
             base ? base + strlen(inner) : name);
    if (!strcmp(ours, m->output.name))
        return m->head;
    if (strcmp(ours, tn_module_path(m, m->family->embedding, false, path)) != 0)
        return NULL;
    return tn_params_find(m->params, m->family->embedding)->w;
}

/* Such a copy must be what the model has, up to the rounding of the types that it may have. */
static int check_copy(const tn_safetensors *file, const tn_entry *entry, const tn_tensor *w,
                      tn_error *e)
{
    const int64_t n = tn_tensor_count(w);
    const double share = tn_dtype_block(w->dtype) > 1 ? 1.0 / 8 : 1.0 / 128; /* of the largest */
    double most = 0, apart = 0;
    tn_real *x = malloc(2 * (size_t)n * sizeof *x);
    if (!x)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", tn_safetensors_path(file));
    if (!e->code && !tn_weight_check(file, entry, w->ndim, w->dim, e) &&
        !tn_entry_real(file, entry, x, e)) {
        tn_widen(w->dtype, w->data, 0, n, x + n);
        for (int64_t i = 0; i < n; i++) {
            most = fmax(most, fabs((double)x[n + i]));
            apart = fmax(apart, fabs((double)(x[i] - x[n + i])));
        }
        if (!(apart <= share * most))
            tn_fail(e, TN_EFORMAT,
                    "%s: tensor \"%s\" differs from that of the model; expected the same",
                    tn_safetensors_path(file), entry->name);
    }
    free(x);
    return e->code;
}

/* Refuses an adapter of the embedding, which is another op, before numbers are read. */
static int refuse_embedding(const tn_safetensors *file, tn_error *e)
{
    for (int64_t i = 0; i < tn_safetensors_count(file) && !e->code; i++)
        if (strstr(tn_safetensors_at(file, i)->name, ".lora_embedding_"))
            tn_fail(e, TN_EFORMAT,
                    "%s: tensor \"%s\": an adapter of the embedding is not computed; expected "
                    "target_modules of linear layers",
                    tn_safetensors_path(file), tn_safetensors_at(file, i)->name);
    return e->code;
}

/* Checks that every tensor is a factor of a layer, or with DoRA its magnitudes, that nothing is
   there twice, and that a layer has all of them. Returns the number of layers. */
static int64_t check_tensors(const tn_model *m, const tn_safetensors *file, bool dora, tn_error *e)
{
    const int factors = dora ? FACTORS : MAGNITUDES;
    int64_t count[FACTORS] = { 0 };
    const char *path = tn_safetensors_path(file);
    tn_target t;
    refuse_embedding(file, e);
    for (int64_t i = 0; i < tn_safetensors_count(file) && !e->code; i++) {
        const tn_entry *entry = tn_safetensors_at(file, i);
        int factor;
        const tn_tensor *copied = copied_weight(m, entry->name);
        if (copied) {
            check_copy(file, entry, copied, e);
            continue;
        }
        if (!find_place(m, entry->name, factors, &t, &factor)) {
            tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" has no place in this model", path,
                    entry->name);
            break;
        }
        if (find_factor(m, file, t.name, factor) != entry)
            tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" is there under another name, too", path,
                    entry->name);
        for (int other = 0; other < factors && !e->code; other++) {
            char name[NAME], module[TN_MODULE_PATH];
            name_of(tn_module_path(m, t.name, false, module), other, 0, name);
            if (!find_factor(m, file, t.name, other))
                tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" is there without \"%s\"", path,
                        entry->name, name);
        }
        count[factor]++;
    }
    if (!e->code && !count[FACTOR_A])
        tn_fail(e, TN_EFORMAT, "%s: no tensor; expected lora_A and lora_B", path);
    return count[FACTOR_A];
}

/* ---- reading ---- */

/* The rank of a layer is that of its lora_A. It must be r, or what rank_pattern says. */
static int check_rank(const tn_lora_size *z, const tn_safetensors *file, const tn_entry *a,
                      tn_error *e)
{
    const int64_t rank = a->ndim ? a->dim[0] : 0;
    if (rank != z->rank)
        tn_fail(e, TN_ESHAPE,
                "%s: tensor \"%s\" has %lld rows; expected r of adapter_config.json, %lld",
                tn_safetensors_path(file), a->name, (long long)rank, (long long)z->rank);
    return e->code;
}

/* Reads the factors of one layer, if the file has them. */
static void read_layer(tn_model *m, const tn_lora_options *o, const tn_safetensors *file,
                       const tn_target *t, tn_error *e)
{
    const tn_entry *a = find_factor(m, file, t->name, FACTOR_A);
    const tn_entry *b = find_factor(m, file, t->name, FACTOR_B);
    const tn_entry *v = o->dora ? find_factor(m, file, t->name, MAGNITUDES) : NULL;
    char path[TN_MODULE_PATH];
    if (!a || !b)
        return;
    const tn_lora_size z = tn_lora_size_of(o, tn_module_path(m, t->name, false, path));
    if (check_rank(&z, file, a, e))
        return;
    if (!(z.s > 0))
        tn_fail(e, TN_EFORMAT, "%s: the scale of %s is %g; expected lora_alpha above 0",
                tn_safetensors_path(file), t->name, z.s);
    if (e->code || tn_weight_check(file, a, 2, (int64_t[]){ z.rank, t->in }, e) ||
        tn_weight_check(file, b, 2, (int64_t[]){ t->width, z.rank }, e) ||
        (v && tn_weight_check(file, v, 1, &t->width, e)))
        return;
    tn_adapter *adapter = tn_lora_put(m, t, z, e);
    if (adapter && !tn_weight_read(file, a, adapter->a, e) &&
        !tn_weight_read(file, b, adapter->b, e) && v)
        tn_weight_read(file, v, adapter->m, e);
}

/* How many blocks at the end have all the adapters. 0: in all blocks, or in others, too. */
static int64_t last_blocks(const tn_model *m)
{
    int64_t first = m->layers;
    tn_target t;
    for (int64_t i = 0; m->family->target(m, i, &t); i++) {
        const int64_t block = tn_target_block(t.name);
        if (t.layer->lora && block < first)
            first = block;
    }
    return first > 0 ? m->layers - first : 0;
}

static void read_layers(tn_model *m, const tn_adapter_config *c, const tn_safetensors *file,
                        tn_error *e)
{
    int64_t count = check_tensors(m, file, c->o.dora, e);
    int64_t before = e->code ? e->code : tn_lora_begin(m, count, &c->o, e);
    if (before < 0)
        return;
    tn_target t;
    for (int64_t i = 0; !e->code && m->family->target(m, i, &t); i++)
        if (!t.columns)
            read_layer(m, &c->o, file, &t, e);
    if (!tn_adapter_is_off(tn_json_find(c->json, "layers_to_transform")))
        m->lora->last_blocks = last_blocks(m);
    if (!e->code && !tn_lora_keep_names(m, e))
        tn_adapter_note_missing(m, c->json, tn_safetensors_path(file), e);
    tn_lora_end(m, before, e);
}

/* Keeps the text of the config, for tn_adapter_save. */
static int keep_config(tn_model *m, const tn_adapter_config *c, const char *path, tn_error *e)
{
    tn_text text = { 0 };
    tn_text_json(&text, c->json, 0);
    if (!tn_text_done(&text, path, e))
        tn_text_free(&text);
    m->adapter_config = text.s;
    return e->code;
}

static void open_files(tn_model *m, const char *folder, const char *config_path, const char *path,
                       tn_error *e)
{
    if (tn_path_is(folder, "adapter_model.safetensors", e) == TN_ABSENT &&
        tn_path_is(folder, "adapter_model.bin", e) != TN_ABSENT)
        tn_fail(e, TN_EFORMAT,
                "%s: the adapter is adapter_model.bin, a pickle, which is not read; expected "
                "adapter_model.safetensors, which loading and saving it with PEFT writes",
                folder);
    tn_adapter_config c = { 0 };
    tn_safetensors *file = NULL;
    if (!e->code && !tn_adapter_config_read(&c, config_path, e))
        file = tn_safetensors_open(path, e);
    if (file && !keep_config(m, &c, config_path, e))
        read_layers(m, &c, file, e);
    if (e->code) {
        free(m->adapter_config);
        m->adapter_config = NULL;
    }
    tn_safetensors_close(file);
    tn_adapter_config_free(&c);
}

static int refuse_no_folder(const char *folder, tn_error *e)
{
    const tn_presence is = tn_path_is(folder, NULL, e);
    if (is == TN_ABSENT || is == TN_FILE)
        tn_fail(e, TN_EIO, "%s: %s; expected an adapter folder or an adapter in GGUF", folder,
                strerror(is == TN_ABSENT ? ENOENT : ENOTDIR));
    return e->code;
}

static int refuse_no_config(const char *folder, const char *path, tn_error *e)
{
    if (!e->code && tn_path_is(path, NULL, e) == TN_ABSENT)
        tn_fail(e, TN_EIO, "%s: no adapter_config.json%s; expected the folder of an adapter",
                folder,
                tn_path_is(folder, "config.json", e) == TN_FILE ? ", but a model's config.json"
                                                                : "");
    return e->code;
}

bool tn_adapter_is_checkpoint(const char *folder, tn_error *e)
{
    return tn_path_is(folder, NULL, e) == TN_FOLDER &&
           tn_path_is(folder, "adapter_config.json", e) == TN_ABSENT &&
           tn_path_is(folder, "trainer_state.json", e) == TN_FILE;
}

int tn_adapter_open(tn_model *m, const char *folder, tn_error *e)
{
    const int missing = tn_given(e, m && folder, __func__);
    if (missing)
        return missing;
    if (tn_model_refuse_sketch(m, e))
        return e->code;
    if (m->adapters)
        return tn_fail(e, TN_ESTATE, "the model has adapters already; merge them first");
    free(m->note);
    m->note = NULL;
    if (tn_path_is(folder, NULL, e) == TN_FILE && tn_gguf_is(folder))
        return tn_adapter_open_gguf(m, folder, e);
    if (!refuse_no_folder(folder, e) && tn_adapter_is_checkpoint(folder, e))
        return tn_adapter_open_checkpoint(m, folder, e);
    if (!e->code && tn_adapter_is_mlx(folder, e))
        return tn_adapter_open_mlx(m, folder, e);
    char *config_path = tn_path_newest(folder, "adapter_config.json");
    char *path = tn_path_newest(folder, "adapter_model.safetensors");
    if (!config_path || !path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    else if (!refuse_no_config(folder, config_path, e))
        open_files(m, folder, config_path, path, e);
    free(config_path);
    free(path);
    return e->code;
}
