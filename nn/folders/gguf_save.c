/* gguf_save.c - writes a model as a GGUF file, which llama.cpp runs.
   gguf_source.c says how the weights lie there; here they are brought into that form while they
   are written. */
#include "nn/folders/gguf_model.h"
#include "nn/folders/weights.h"
#include "nn/model.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TEMPLATE = 1 << 20 }; /* bytes */

typedef struct piece { /* a tensor of the file */
    char name[TN_GGUF_NAME];
    const tn_tensor *w;
    tn_gguf_form form;
    int64_t heads;
} piece;

typedef struct job {
    const tn_model *m;
    const char *path, *architecture;
    const tn_json *config;
    tn_file_type type;
    tn_gguf_list keys;
    piece *pieces;
    tn_entry *entries;
    int64_t n;
    tn_real *divisors; /* of Llama 3's rope */
    tn_error *e;
} job;

/* ---- numbers ---- */

/* Rows of a head: 0, D/2, 1, D/2 + 1, ... of ours. */
static void fill_rows(const piece *p, int64_t from, int64_t n, tn_real *out)
{
    const int64_t width = p->w->ndim == 2 ? p->w->dim[1] : 1, size = p->w->dim[0] / p->heads;
    for (int64_t part; n; from += part, out += part, n -= part) {
        const int64_t r = from / width, at = from % width, i = r % size;
        const int64_t ours = r - i + i / 2 + i % 2 * (size / 2);
        part = width - at < n ? width - at : n;
        tn_widen(p->w->dtype, p->w->data, ours * width + at, part, out);
    }
}

static void fill_transposed(const piece *p, int64_t from, int64_t n, tn_real *out)
{
    const int64_t rows = p->w->dim[0], width = p->w->dim[1];
    const int64_t run = tn_dtype_block(p->w->dtype) > 1 ? 32 : 1;
    tn_real few[32];
    for (int64_t i = 0; i < n; i++) {
        const int64_t place = (from + i) % rows * width + (from + i) / rows;
        tn_widen(p->w->dtype, p->w->data, place - place % run, run, few);
        out[i] = few[place % run];
    }
}

static void fill(const void *arg, int64_t from, int64_t n, tn_real *out)
{
    const piece *p = arg;
    switch (p->form) {
    case TN_GGUF_ROWS: fill_rows(p, from, n, out); return;
    case TN_GGUF_TRANSPOSED: fill_transposed(p, from, n, out); return;
    default: tn_widen(p->w->dtype, p->w->data, from, n, out);
    }
    for (int64_t i = 0; p->form == TN_GGUF_ONE_LESS && i < n; i++)
        out[i] += 1;
}

/* ---- tensors ---- */

/* Vectors and positions are F32: llama.cpp computes with no other. In files of 4 bits, embedding
   and head have 8. A row that is not whole blocks is F16. */
static tn_file_type type_of(const job *j, const tn_entry *t)
{
    const bool quantised = j->type == TN_FILE_Q8_0 || j->type == TN_FILE_Q4_0;
    const bool outer = !strcmp(t->name, "token_embd.weight") || !strcmp(t->name, "output.weight");
    if (t->ndim < 2 || !strcmp(t->name, "position_embd.weight"))
        return TN_FILE_F32;
    if (quantised && t->dim[1] % 32)
        return TN_FILE_F16;
    return j->type == TN_FILE_Q4_0 && outer ? TN_FILE_Q8_0 : j->type;
}

static int add_weight(job *j, const tn_param *a)
{
    piece *p = &j->pieces[j->n];
    tn_entry *t = &j->entries[j->n++];
    if (!tn_gguf_name(j->architecture, a->name, p->name))
        return tn_fail(j->e, TN_EFORMAT, "%s: weight %s has no name in a GGUF file of %s", j->path,
                       a->name, j->architecture);
    p->w = a->w;
    p->heads = tn_gguf_heads_of(p->name, j->m->heads, j->m->kv_heads);
    p->form = tn_gguf_form_of(j->architecture, p->name, a->w->ndim, a->w->dim[0], p->heads);
    *t = (tn_entry){ .name = p->name, .ndim = a->w->ndim, .fill = fill, .arg = p };
    memcpy(t->dim, a->w->dim, sizeof a->w->dim);
    if (p->form == TN_GGUF_TRANSPOSED) {
        t->dim[0] = a->w->dim[1];
        t->dim[1] = a->w->dim[0];
    }
    t->type = type_of(j, t);
    return tn_weight_check_numbers(a->name, a->w, t->type, j->e);
}

static int add_weights(job *j)
{
    const int64_t count = tn_params_count(j->m->params), size = j->m->head_size;
    j->pieces = calloc((size_t)count + 1, sizeof *j->pieces);
    j->entries = calloc((size_t)count + 1, sizeof *j->entries); /* and the divisors */
    j->divisors = malloc((size_t)size * sizeof *j->divisors);
    if (!j->pieces || !j->entries || !j->divisors)
        return tn_fail(j->e, TN_ENOMEM, "%s: out of memory", j->path);
    for (int64_t i = 0; i < count && !j->e->code; i++)
        add_weight(j, tn_params_at(j->m->params, i));
    if (tn_gguf_divisors(j->config, size, j->divisors))
        j->entries[j->n++] = (tn_entry){ .name = "rope_freqs.weight",
                                         .type = TN_FILE_F32,
                                         .ndim = 1,
                                         .dim = { size / 2 },
                                         .real = j->divisors };
    return j->e->code;
}

/* ---- keys ---- */

/* The number of a file's type, which llama.cpp shows; the types of the tensors are what counts. */
static int64_t file_type(tn_file_type type)
{
    switch (type) {
    case TN_FILE_F16: return 1;
    case TN_FILE_Q4_0: return 2;
    case TN_FILE_Q8_0: return 7;
    case TN_FILE_BF16: return 32;
    default: return 0;
    }
}

static void add_general(job *j)
{
    const char *slash = j->m->source ? strrchr(j->m->source, '/') : NULL;
    const char *name = slash && slash[1] ? slash + 1 : j->m->source ? j->m->source : "tenon";
    tn_gguf_add_string(&j->keys, "general.type", "model", 5, j->e);
    tn_gguf_add_string(&j->keys, "general.name", name, strlen(name), j->e);
    tn_gguf_add_int(&j->keys, "general.file_type", TN_GGUF_U32, file_type(j->type), j->e);
    if (j->type == TN_FILE_Q8_0 || j->type == TN_FILE_Q4_0)
        tn_gguf_add_int(&j->keys, "general.quantization_version", TN_GGUF_U32, 2, j->e);
}

/* The tokenizer of the GGUF file that the model was read from, as it is there. */
static bool copy_tokenizer(job *j)
{
    bool found = false;
    if (!j->m->source || !tn_gguf_is(j->m->source))
        return false;
    tn_gguf *g = tn_gguf_open(j->m->source, j->e);
    for (int64_t i = 0; i < tn_gguf_keys(g); i++) {
        const tn_gguf_value *v = tn_gguf_key(g, i);
        found = found || !strcmp(v->key, "tokenizer.ggml.model");
        if (!strncmp(v->key, "tokenizer.", 10))
            tn_gguf_add(&j->keys, v, j->e);
    }
    tn_gguf_close(g);
    return found;
}

/* Newer folders have the template in a file of its own. NULL: this one does not, or see j->e. */
static char *read_template(job *j)
{
    static const char name[] = "chat_template.jinja";
    const char *folder = j->m->source;
    size_t size;
    if (!folder || tn_path_is(folder, NULL, j->e) != TN_FOLDER ||
        tn_path_is(folder, name, j->e) == TN_ABSENT)
        return NULL;
    char *path = tn_path_newest(folder, name);
    char *text = path ? tn_text_read(path, MOST_TEMPLATE, &size, j->e) : NULL;
    if (!path)
        tn_fail(j->e, TN_ENOMEM, "%s: out of memory", folder);
    free(path);
    return text;
}

/* The tokens that end a text: the tokenizer has told its own, the model may know others. */
static void add_ends(job *j, int32_t own)
{
    const char *key = own < 0 ? "tokenizer.ggml.eos_token_id" : "tokenizer.ggml.eot_token_id";
    for (int64_t i = 0; i < j->m->end_count; i++)
        if (j->m->ends[i] != own) {
            tn_gguf_add_int(&j->keys, key, TN_GGUF_U32, j->m->ends[i], j->e);
            return;
        }
}

static void add_tokenizer(job *j, const tn_tokenizer *k)
{
    static const char none[] = "no_vocab";
    char *chat = k ? read_template(j) : NULL;
    if (k)
        tn_gguf_add_tokenizer(&j->keys, k, j->m->vocab, chat, j->e);
    else if (!copy_tokenizer(j))
        tn_gguf_add_string(&j->keys, "tokenizer.ggml.model", none, strlen(none), j->e);
    if (k)
        add_ends(j, tn_tokenizer_end(k));
    free(chat);
}

/* ---- the file ---- */

static const tn_json *make_config(const tn_model *m, tn_error *e)
{
    tn_text text = { 0 };
    m->family->config(m, &text);
    const char *s = tn_text_done(&text, "the model's config", e);
    const tn_json *config = s ? tn_json_parse(s, text.n, "the model's config", 0, e) : NULL;
    tn_text_free(&text);
    return config;
}

int tn_model_save_gguf(const tn_model *m, const tn_tokenizer *k, const char *path,
                       tn_file_type type, tn_error *e)
{
    const int missing = tn_given(e, m && path, __func__);
    if (missing)
        return missing;
    if (type != TN_FILE_F32 && type != TN_FILE_F16 && type != TN_FILE_BF16 &&
        type != TN_FILE_Q8_0 && type != TN_FILE_Q4_0)
        return tn_fail(e, TN_EARG, "%s: a model is written as F32, F16, BF16, Q8_0 or Q4_0", path);
    if (tn_model_refuse_sketch(m, e))
        return e->code;
    if (m->adapters)
        return tn_fail(e, TN_ESTATE, "the model has adapters; merge them before it is saved");
    job j = { .m = m, .path = path, .type = type, .config = make_config(m, e), .e = e };
    if (!e->code && !tn_gguf_add_config(&j.keys, j.config, e)) {
        j.architecture = tn_gguf_architecture(m->family->type);
        add_general(&j);
        add_tokenizer(&j, k);
        if (!add_weights(&j))
            tn_gguf_write(path, &j.keys, j.entries, j.n, e);
    }
    tn_json_free(j.config);
    tn_gguf_list_free(&j.keys);
    free(j.divisors);
    free(j.pieces);
    free(j.entries);
    return e->code;
}
