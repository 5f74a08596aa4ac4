/* gguf_adapter.c - reads and writes the adapter files of llama.cpp.

   A layer's factors are "NAME.lora_a" (R,in) and "NAME.lora_b" (out,R), where NAME is that of its weight
   in a GGUF file. Where the rows of that weight are in another order (q and k of llama), so are those of
   lora_b. GPT-2's matrices are transposed there, its factors are not. The scale of a layer is
   adapter.lora.alpha / R; where that key is missing or 0 it is 1.
   Source: src/llama-adapter.cpp of ggml-org/llama.cpp. */
#include "core/op.h"
#include "data/formats/file.h"
#include "nn/folders/gguf_model.h"
#include "nn/folders/weights.h"
#include "nn/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = TN_GGUF_NAME + 8 };

/* The name of a factor, 'a' or 'b', of a layer. */
static bool name_of(const char *architecture, const tn_target *t, char factor, char out[NAME])
{
    char weight[sizeof t->name + 8], theirs[TN_GGUF_NAME];
    snprintf(weight, sizeof weight, "%s.weight", t->name);
    if (!tn_gguf_name(architecture, weight, theirs))
        return false;
    snprintf(out, NAME, "%s.lora_%c", theirs, factor);
    return true;
}

/* The heads whose rows are in another order there; 0: none are. */
static int64_t heads_of(const tn_model *m, const char *architecture, const char *name, int64_t rows)
{
    const int64_t heads = tn_gguf_heads_of(name, m->heads, m->kv_heads);
    return tn_gguf_form_of(architecture, name, 2, rows, heads) == TN_GGUF_ROWS ? heads : 0;
}

/* Our row of the file's row r. */
static int64_t our_row(int64_t r, int64_t rows, int64_t heads)
{
    const int64_t size = heads ? rows / heads : 0, i = heads ? r % size : 0;
    return heads ? r - i + i / 2 + i % 2 * (size / 2) : r;
}

/* ---- reading ---- */

typedef struct reader {
    tn_model *m;
    const tn_gguf *g;
    const char *architecture;
    double alpha;
    tn_error *e;
} reader;

static void check_shape(const reader *r, const tn_entry *t, int64_t rows, int64_t cols)
{
    char found[256], expected[256];
    if (t->ndim == 2 && t->dim[0] == rows && t->dim[1] == cols)
        return;
    tn_shape_text(t->ndim, t->dim, found, sizeof found);
    tn_shape_text(2, (int64_t[]){ rows, cols }, expected, sizeof expected);
    tn_fail(r->e, TN_ESHAPE, "%s: tensor \"%s\" is %s; expected %s", tn_gguf_path(r->g), t->name,
            found, expected);
}

/* Reads a factor into w. heads: its rows are in another order. */
static void read_factor(const reader *r, const tn_entry *t, int64_t heads, tn_tensor *w)
{
    const int64_t n = tn_tensor_count(w), width = w->dim[1];
    double value = 0;
    tn_real *x = malloc((size_t)n * sizeof *x);
    if (!x)
        tn_fail(r->e, TN_ENOMEM, "%s: out of memory", tn_gguf_path(r->g));
    if (!r->e->code && !tn_gguf_real(r->g, t, x, r->e)) {
        for (int64_t i = 0; i < w->dim[0]; i++)
            memcpy(w->x + our_row(i, w->dim[0], heads) * width, x + i * width,
                   (size_t)width * sizeof *x);
        const int64_t at = tn_not_finite(tn_file_real(), x, n, &value);
        if (at < n)
            tn_fail(r->e, TN_ENONFINITE,
                    "%s: tensor \"%s\" holds %g at element %lld; expected finite numbers",
                    tn_gguf_path(r->g), t->name, value, (long long)at);
    }
    free(x);
}

static void read_layer(reader *r, const tn_target *t, bool used[])
{
    char name[NAME];
    const tn_entry *a = name_of(r->architecture, t, 'a', name) ? tn_gguf_find(r->g, name) : NULL;
    const tn_entry *b = name_of(r->architecture, t, 'b', name) ? tn_gguf_find(r->g, name) : NULL;
    if (!a || !b)
        return;
    used[tn_gguf_index(r->g, a)] = used[tn_gguf_index(r->g, b)] = true;
    const int64_t rank = a->ndim == 2 ? a->dim[0] : 0;
    check_shape(r, a, rank > 0 ? rank : 1, t->in);
    check_shape(r, b, t->width, rank);
    if (r->e->code)
        return;
    const double s = r->alpha > 0 ? r->alpha / (double)rank : 1;
    tn_adapter *adapter = tn_lora_put(r->m, t, (tn_lora_size){ rank, s }, r->e);
    if (!adapter)
        return;
    read_factor(r, a, 0, adapter->a);
    read_factor(r, b, heads_of(r->m, r->architecture, name, t->width), adapter->b);
}

/* Every tensor must be a factor of a layer. */
static void check_used(const reader *r, const bool used[])
{
    for (int64_t i = 0; i < tn_gguf_count(r->g) && !r->e->code; i++)
        if (!used[i])
            tn_fail(r->e, TN_EFORMAT,
                    "%s: tensor \"%s\" has no place in this model, or the other factor is missing",
                    tn_gguf_path(r->g), tn_gguf_at(r->g, i)->name);
}

static int check_keys(reader *r)
{
    static const char *const keys[] = { "general.type", "adapter.type", "general.architecture" };
    const char *values[] = { "adapter", "lora", r->architecture };
    for (int i = 0; i < 3 && !r->e->code; i++) {
        const char *found = NULL;
        tn_gguf_get_string(r->g, keys[i], &found, r->e);
        if (!r->e->code && (!found || strcmp(found, values[i]) != 0))
            tn_fail(r->e, TN_EFORMAT, "%s: %s is %s; expected \"%s\"", tn_gguf_path(r->g), keys[i],
                    found ? found : "missing", values[i]);
    }
    tn_gguf_get_real(r->g, "adapter.lora.alpha", &r->alpha, r->e);
    if (!r->e->code && r->alpha < 0)
        tn_fail(r->e, TN_EFORMAT, "%s: adapter.lora.alpha is %g; expected at least 0",
                tn_gguf_path(r->g), r->alpha);
    return r->e->code;
}

static void read_layers(reader *r, bool used[])
{
    const int64_t count = tn_gguf_count(r->g) / 2;
    tn_lora_options o = { .rank = 1, .alpha = r->alpha > 0 ? r->alpha : 1, .targets = "" };
    if (!count)
        tn_fail(r->e, TN_EFORMAT, "%s: no tensor; expected lora_a and lora_b", tn_gguf_path(r->g));
    const int64_t before = r->e->code ? r->e->code : tn_lora_begin(r->m, count, &o, r->e);
    if (before < 0)
        return;
    tn_target t;
    for (int64_t i = 0; !r->e->code && r->m->family->target(r->m, i, &t); i++)
        if (!t.columns)
            read_layer(r, &t, used);
    check_used(r, used);
    if (!r->e->code)
        r->m->lora->rank = r->m->adapters[0].a->dim[0];
    if (!r->e->code)
        tn_lora_keep_names(r->m, r->e);
    tn_lora_end(r->m, before, r->e);
}

int tn_adapter_open_gguf(tn_model *m, const char *path, tn_error *e)
{
    tn_gguf *g = tn_gguf_open(path, e);
    reader r = { .m = m, .g = g, .architecture = tn_gguf_architecture(m->family->type), .e = e };
    bool *used = calloc((size_t)tn_gguf_count(g) + 1, sizeof *used);
    if (!used)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    if (!e->code && !r.architecture)
        tn_fail(e, TN_EFORMAT, "%s: an adapter file is not for a model of %s", path,
                m->family->type);
    if (!e->code && !check_keys(&r))
        read_layers(&r, used);
    free(used);
    tn_gguf_close(g);
    return e->code;
}

/* ---- writing ---- */

typedef struct piece { /* a factor of the file */
    char name[NAME];
    const tn_linear_layer *layer;
    int64_t rank, width, heads; /* rank: of all adapters of the layer together */
    double by;                  /* lora_b is multiplied by this */
} piece;

/* The lora_a of all adapters of the layer, one below the other. */
static void fill_a(const void *arg, int64_t from, int64_t n, tn_real *out)
{
    const piece *p = arg;
    int64_t first = 0;
    for (const tn_adapter *a = p->layer->lora; a; first += tn_tensor_count(a->a), a = a->next)
        for (int64_t i = 0; i < n; i++)
            if (from + i >= first && from + i < first + tn_tensor_count(a->a))
                out[i] = a->a->x[from + i - first];
}

/* Their lora_b side by side, each in the rows of its columns; zeros elsewhere. */
static void fill_b(const void *arg, int64_t from, int64_t n, tn_real *out)
{
    const piece *p = arg;
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = our_row((from + i) / p->rank, p->width, p->heads);
        int64_t col = (from + i) % p->rank;
        const tn_adapter *a = p->layer->lora;
        for (; col >= a->a->dim[0]; a = a->next)
            col -= a->a->dim[0];
        const int64_t own = row - a->col;
        out[i] = own >= 0 && own < a->b->dim[0]
                     ? (tn_real)(p->by * (double)a->b->x[own * a->a->dim[0] + col])
                     : 0;
    }
}

/* Both factors of a layer. alpha is the file's: another scale of the layer goes into lora_b. */
static int add_layer(const tn_model *m, const char *architecture, const tn_target *t, double alpha,
                     tn_file_type type, piece *p, tn_entry *out, tn_error *e)
{
    const int64_t rank = tn_layer_rank(t->layer);
    for (int i = 0; i < 2; i++) {
        p[i] = (piece){ .layer = t->layer,
                        .rank = rank,
                        .width = t->width,
                        .by = t->layer->lora->s * (double)rank / alpha };
        if (!name_of(architecture, t, i ? 'b' : 'a', p[i].name))
            return tn_fail(e, TN_EFORMAT, "layer %s has no name in a GGUF file of %s", t->name,
                           architecture);
        p[i].heads = heads_of(m, architecture, p[i].name, t->width);
        out[i] = (tn_entry){ .name = p[i].name,
                             .type = type,
                             .ndim = 2,
                             .dim = { i ? t->width : rank, i ? rank : t->in },
                             .fill = i ? fill_b : fill_a,
                             .arg = &p[i] };
    }
    for (const tn_adapter *a = t->layer->lora; a && !e->code; a = a->next) {
        tn_weight_check_numbers(p[0].name, a->a, type, e);
        tn_weight_check_numbers(p[1].name, a->b, type, e);
    }
    return e->code;
}

static void add_keys(tn_gguf_list *l, const char *architecture, double alpha, tn_error *e)
{
    tn_gguf_add_string(l, "general.architecture", architecture, strlen(architecture), e);
    tn_gguf_add_string(l, "general.type", "adapter", 7, e);
    tn_gguf_add_string(l, "adapter.type", "lora", 4, e);
    tn_gguf_add_real(l, "adapter.lora.alpha", alpha, e);
}

static int save(const tn_model *m, const char *architecture, const char *path, tn_file_type type,
                tn_error *e)
{
    size_t layers = 0;
    int64_t n = 0;
    double alpha = 0;
    tn_target t;
    tn_gguf_list keys = { 0 };
    while (m->family->target(m, (int64_t)layers, &t))
        layers++;
    piece *pieces = calloc(2 * layers, sizeof *pieces);
    tn_entry *entries = calloc(2 * layers, sizeof *entries);
    if (!pieces || !entries)
        tn_fail(e, TN_ENOMEM, "%s: out of memory for the adapters", path);
    for (int64_t i = 0; !e->code && m->family->target(m, i, &t); i++) {
        if (t.columns || !t.layer->lora)
            continue;
        alpha = alpha > 0 ? alpha : t.layer->lora->s * (double)tn_layer_rank(t.layer);
        add_layer(m, architecture, &t, alpha, type, pieces + n, entries + n, e);
        n += 2;
    }
    add_keys(&keys, architecture, alpha, e);
    if (!e->code)
        tn_gguf_write(path, &keys, entries, n, e);
    tn_gguf_list_free(&keys);
    free(pieces);
    free(entries);
    return e->code;
}

int tn_adapter_save_gguf(const tn_model *m, const char *path, tn_file_type type, tn_error *e)
{
    const int missing = tn_given(e, m && path, __func__);
    if (missing)
        return missing;
    if (tn_model_refuse_bare(m, e))
        return e->code;
    if (m->lora->dora)
        return tn_fail(e, TN_ESTATE,
                       "%s: an adapter file in GGUF has no magnitudes for DoRA; "
                       "expected an adapter of LoRA, or a merged model",
                       path);
    if (type != TN_FILE_F32 && type != TN_FILE_F16 && type != TN_FILE_BF16)
        return tn_fail(e, TN_EARG, "%s: an adapter is written as F32, F16 or BF16", path);
    if (m->tied && m->output.lora)
        return tn_fail(
            e, TN_EARG,
            "%s: llama.cpp has no adapter for a head that is tied to the embedding; expected "
            "a merged model (tenon fuse)",
            path);
    const char *architecture = tn_gguf_architecture(m->family->type);
    if (!architecture)
        return tn_fail(e, TN_EFORMAT, "%s: no adapter file is for a model of %s", path,
                       m->family->type);
    return save(m, architecture, path, type, e);
}
