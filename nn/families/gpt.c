/* gpt.c - GPT-2 (Radford et al., 2019).
   To add another family of models to tenon, copy this file. (For your own program:
   apps/examples/own_gpt.c.)

       h = wte[ids] + wpe[0..T-1]                                    (B,T,C)
       h = h + c_proj(attention(c_attn(ln_1(h))))                    L blocks of these two lines
       h = h + c_proj(f(c_fc(ln_2(h))))                              f: gelu unless the config names another
       logits = ln_f(h) head^T                                       (B,T,V); head is wte when tied

   family.h describes the functions in tn_family_gpt, at the end of this file. Weights have the
   names and layouts of Hugging Face's files. */
#include "core/op.h"
#include "nn/family.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct block {
    tn_norm_layer ln_1, ln_2;
    tn_linear_layer c_attn, attn_proj, c_fc, mlp_proj;
} block;

typedef struct activation {
    const char *name, *saved; /* in a config, and in the files of GPT-2 */
    tn_tensor *(*run)(tn_tape *t, tn_tensor *a);
} activation;

typedef struct gpt {
    tn_tensor *wte, *wpe; // (V,C), (P,C)
    block *blocks;
    tn_norm_layer ln_f;
    int64_t inner; // F
    double eps;
    const activation *f;
} gpt;

/* The names of Transformers; the first is the default. */
static const activation known[] = {
    { "gelu_new", "gelu_new", tn_gelu }, { "gelu_pytorch_tanh", "gelu_new", tn_gelu },
    { "gelu", "gelu", tn_gelu_erf },     { "gelu_python", "gelu", tn_gelu_erf },
    { "relu", "relu", tn_relu },         { "silu", "silu", tn_silu },
    { "swish", "silu", tn_silu },
};
enum { KNOWN = sizeof known / sizeof *known };

/* ---- the forward pass ---- */

static tn_tensor *dropout(const tn_model *m, tn_tape *t, tn_tensor *x, const char *name)
{
    return m->dropout > 0 ? tn_then(t, x, tn_dropout(t, x, m->dropout, tn_stream(name))) : x;
}

static tn_tensor *attention(const tn_model *m, tn_tape *t, int64_t layer, tn_tensor *x,
                            tn_cache *cache)
{
    const block *b = &((const gpt *)m->impl)->blocks[layer];
    tn_tensor *h = tn_norm_layer_run(&b->ln_1, t, x);                // (B,T,C)
    h = tn_then(t, h, tn_linear_layer_run(&b->c_attn, t, h));        // (B,T,3C), q|k|v
    h = tn_then(t, h, tn_attend(m, t, layer, h, h, h, NULL, cache)); // (B,T,C)
    h = tn_then(t, h, tn_linear_layer_run(&b->attn_proj, t, h));     // (B,T,C)
    return dropout(m, t, h, b->attn_proj.name);
}

static tn_tensor *mlp(const tn_model *m, tn_tape *t, int64_t layer, tn_tensor *x)
{
    const gpt *g = m->impl;
    const block *b = &g->blocks[layer];
    tn_tensor *h = tn_norm_layer_run(&b->ln_2, t, x);           // (B,T,C)
    h = tn_then(t, h, tn_linear_layer_run(&b->c_fc, t, h));     // (B,T,F)
    h = tn_then(t, h, g->f->run(t, h));                         // (B,T,F)
    h = tn_then(t, h, tn_linear_layer_run(&b->mlp_proj, t, h)); // (B,T,C)
    return dropout(m, t, h, b->mlp_proj.name);
}

static tn_tensor *run_block(const tn_model *m, tn_tape *t, int64_t layer, tn_tensor *x,
                            tn_cache *cache)
{
    tn_tensor *h = attention(m, t, layer, x, cache);
    x = tn_then(t, h, tn_add(t, x, h));
    h = mlp(m, t, layer, x);
    tn_tensor *sum = tn_then(t, h, tn_add(t, x, h));
    return tn_then(t, x, sum);
}

static tn_tensor *hidden(const tn_model *m, tn_tape *t, tn_tensor *ids, tn_cache *cache)
{
    const gpt *g = m->impl;
    tn_tensor *places = tn_positions(m, t, ids, cache); // (B,T)
    tn_tensor *words = tn_embed(t, g->wte, ids), *order = tn_embed(t, g->wpe, places);
    tn_tensor *x = tn_then(t, words, tn_then(t, order, tn_add(t, words, order)));
    x = dropout(m, t, x, "embedding"); // (B,T,C)
    x = tn_run_blocks(m, t, x, cache, run_block);
    return tn_norm_layer_run(&g->ln_f, t, x);
}

/* Numbers per token that a block keeps for backward. Gradients reach all of it if `reached`, else
   what comes after its first trained layer. In order: c_attn (3C), attention, a sum, c_fc (F), a
   sum. Results of norms and of the activation are computed again, unless no gradient reaches them:
   then c_fc and mlp_proj keep what they read. */
static int64_t kept_by(const gpt *g, const block *b, int64_t C, bool reached)
{
    const tn_linear_layer *layers[] = { &b->c_attn, &b->attn_proj, &b->c_fc, &b->mlp_proj };
    const int64_t F = g->inner, from[] = { 6 * C + F, 3 * C + F, 2 * C + F, C + F };
    for (int i = 0; i < 4; i++)
        if (reached || layers[i]->lora || layers[i]->w->wants_grad)
            return from[i];
    return C;
}

/* Around the blocks are two embeddings, their sum and the last norm. In training the results that
   are computed again need memory once: a norm's, which takes that of the embeddings, and the
   activation's. Norms keep two numbers, attention one for each head. If blocks are recomputed,
   each keeps its sum, and one block at a time has the rest. In evaluation, too, and before the
   first trained layer, a block keeps its sum. While it runs it then has two results of width C,
   c_attn, c_fc, the activation, and the span of keys of each token. */
static int64_t activations(const tn_model *m, bool training)
{
    const gpt *g = m->impl;
    const int64_t C = m->width, F = g->inner, L = m->layers, small = 4 + m->heads;
    const int64_t span = 2 * (int64_t)sizeof(int64_t) / (int64_t)sizeof(tn_real);
    int64_t all = 0, most = 0;
    bool reached = training && g->wte->wants_grad;
    for (int64_t i = 0; i < L && training; i++) {
        const int64_t kept = kept_by(g, &g->blocks[i], C, reached);
        reached = reached || kept > C;
        most = kept > most ? kept : most;
        all += kept;
    }
    if (!reached)
        return (L + 6) * C + 2 * F + span;
    return 3 * C + F + 2 + (m->recompute ? (L + 2) * C + most + small : all + L * small);
}

/* Most is there when backward passes the MLP: two gradients of its inner width, the result of the
   activation again if mlp_proj is trained, and two gradients of width C. */
static int64_t backward(const tn_model *m)
{
    const gpt *g = m->impl;
    const tn_linear_layer *proj = &g->blocks[m->layers - 1].mlp_proj;
    return (2 + (proj->lora || proj->w->wants_grad)) * g->inner + (2 + m->recompute) * m->width;
}

/* ---- making one ---- */

/* "transformer.h.7.attn.c_attn" into out. */
static const char *path(char out[64], int64_t layer, const char *name)
{
    snprintf(out, 64, "transformer.h.%lld.%s", (long long)layer, name);
    return out;
}

/* Draws weights N(0, std^2) as GPT-2 does; those that lead back into the sum are smaller. */
static void add_block(tn_model *m, gpt *g, int64_t i, double std)
{
    tn_params *p = m->params;
    int64_t C = m->width, F = g->inner;
    double back = std / sqrt(2.0 * (double)m->layers);
    block *b = &g->blocks[i];
    char s[64];
    b->ln_1 = tn_norm_layer_new(p, path(s, i, "ln_1"), C, g->eps);
    b->c_attn = tn_linear_layer_new(p, path(s, i, "attn.c_attn"), C, 3 * C, TN_IN_OUT, true, std);
    b->attn_proj = tn_linear_layer_new(p, path(s, i, "attn.c_proj"), C, C, TN_IN_OUT, true, back);
    b->ln_2 = tn_norm_layer_new(p, path(s, i, "ln_2"), C, g->eps);
    b->c_fc = tn_linear_layer_new(p, path(s, i, "mlp.c_fc"), C, F, TN_IN_OUT, true, std);
    b->mlp_proj = tn_linear_layer_new(p, path(s, i, "mlp.c_proj"), F, C, TN_IN_OUT, true, back);
}

/* NULL: the name is not known. */
static const activation *find_activation(const char *name)
{
    for (int i = 0; i < KNOWN; i++)
        if (!strcmp(name, known[i].name))
            return &known[i];
    return NULL;
}

static const activation *read_activation(const tn_json *config, tn_error *e)
{
    static const char key[] = "activation_function";
    const char *name = known[0].name;
    char expected[256] = "one of";
    tn_json_get_string(config, key, &name, e);
    if (find_activation(name))
        return find_activation(name);
    for (int i = 0; i < KNOWN; i++) {
        const size_t n = strlen(expected);
        snprintf(expected + n, sizeof expected - n, " %s", known[i].name);
    }
    tn_json_refuse(tn_json_find(config, key), expected, e);
    return NULL;
}

/* Ignores unknown keys, as Transformers does. Refuses keys that contradict this file's formula. */
static void check_other_keys(const gpt *g, const tn_json *config, tn_error *e)
{
    double eps = g->eps;
    const tn_json *act = tn_json_find(config, "hidden_act");
    const activation *f = act && act->kind == TN_STRING ? find_activation(act->text) : NULL;
    if (!e->code && act && act->kind != TN_NULL && (!f || f->run != g->f->run))
        tn_json_refuse(act, "activation_function, the key of gpt2, to say the same", e);
    tn_json_get_real(config, "layer_norm_eps", &eps, e);
    if (!e->code && eps != g->eps)
        tn_json_refuse(tn_json_find(config, "layer_norm_eps"),
                       "layer_norm_epsilon, the key of gpt2, to say the same", e);
}

/* Reads a size under its name in GPT-2, or under its name in other models. */
static int64_t read_size(const tn_json *config, const char *key, const char *other,
                         int64_t otherwise, int64_t most, tn_error *e)
{
    return tn_config_size(config, tn_config_spelling(config, key, other, e), otherwise, most, e);
}

/* Sizes, with the defaults of Transformers. What this file does not compute is refused. */
static int read_config(tn_model *m, gpt *g, const tn_json *config, tn_error *e)
{
    m->layers = read_size(config, "n_layer", "num_hidden_layers", 12, 1 << 12, e);
    m->heads = read_size(config, "n_head", "num_attention_heads", 12, 1 << 12, e);
    m->width = read_size(config, "n_embd", "hidden_size", 768, 1 << 18, e);
    m->positions = read_size(config, "n_positions", "max_position_embeddings", 1024, 1 << 24, e);
    m->kv_heads = m->heads;
    m->vocab = m->vocab ? m->vocab : tn_config_size(config, "vocab_size", 50257, 1 << 24, e);
    m->head_size = m->width / m->heads;
    m->end = 50256;
    g->inner = read_size(config, "n_inner", "intermediate_size", 4 * m->width, 1 << 20, e);
    g->eps = 1e-5;
    tn_json_get_real(config, "layer_norm_epsilon", &g->eps, e);
    tn_json_get_bool(config, "tie_word_embeddings", &m->tied, e);
    g->f = read_activation(config, e);
    tn_config_require(config, "scale_attn_weights", "true", e);
    tn_config_require(config, "scale_attn_by_inverse_layer_idx", "false", e);
    tn_config_require(config, "add_cross_attention", "false", e);
    check_other_keys(g, config, e);
    if (!e->code && m->width % m->heads)
        tn_json_refuse(config, "an n_embd that is a multiple of n_head", e);
    if (!e->code && !(g->eps > 0))
        tn_json_refuse(tn_json_find(config, "layer_norm_epsilon"), "more than 0", e);
    return e->code;
}

static int build(tn_model *m, const tn_json *config, tn_error *e)
{
    gpt *g = m->impl = calloc(1, sizeof *g);
    if (!g)
        return tn_fail(e, TN_ENOMEM, "out of memory for the model");
    if (read_config(m, g, config, e))
        return e->code;
    int64_t C = m->width, V = m->vocab, P = m->positions, L = m->layers;
    g->blocks = calloc((size_t)L, sizeof *g->blocks);
    if (!g->blocks)
        return tn_fail(e, TN_ENOMEM, "out of memory for the model");
    double std = m->stored ? 0 : 0.02; /* 0: files will be read, so nothing is drawn */
    g->wte = tn_embedding_new(m->params, "transformer.wte", V, C, std);
    g->wpe = tn_embedding_new(m->params, "transformer.wpe", P, C, std);
    for (int64_t i = 0; i < L; i++)
        add_block(m, g, i, std);
    g->ln_f = tn_norm_layer_new(m->params, "transformer.ln_f", C, g->eps);
    m->head = m->tied ? g->wte : tn_embedding_new(m->params, "lm_head", V, C, std);
    return 0;
}

static void free_gpt(void *impl)
{
    gpt *g = impl;
    if (g)
        free(g->blocks);
    free(g);
}

/* ---- the functions that the rest of nn/ calls ---- */

/* The four matrices of every block, and the query, key and value columns of the first; the head. */
static int target(const tn_model *m, int64_t i, tn_target *out)
{
    if (i < 0 || i >= 7 * m->layers)
        return i == 7 * m->layers ? tn_target_head(m, out) : 0;
    block *b = &((const gpt *)m->impl)->blocks[i / 7];
    tn_linear_layer *layers[] = { &b->c_attn, &b->attn_proj, &b->c_fc, &b->mlp_proj };
    static const char *const columns[] = { "q", "k", "v" };
    int64_t k = i % 7, C = m->width;
    *out = k < 4 ? tn_target_layer(layers[k])
                 : tn_target_columns(&b->c_attn, columns[k - 4], (k - 4) * C, C);
    return 1;
}

static void config(const tn_model *m, tn_text *out)
{
    const gpt *g = m->impl;
    char end[16] = "null";
    tn_text ends = { 0 };
    if (m->end >= 0)
        snprintf(end, sizeof end, "%d", m->end);
    for (int64_t i = 0; i < m->end_count; i++)
        tn_text_add(&ends, "%s%d", i ? ", " : "", m->ends[i]);
    const bool list = m->end_count > 1 && !ends.failed;
    out->failed = out->failed || ends.failed;
    tn_text_add(out,
                "{\n"
                "  \"activation_function\": \"%s\",\n"
                "  \"architectures\": [\"GPT2LMHeadModel\"],\n"
                "  \"attn_pdrop\": 0.0,\n"
                "  \"bos_token_id\": %s,\n"
                "  \"embd_pdrop\": %g,\n"
                "  \"eos_token_id\": %s%s%s,\n"
                "  \"layer_norm_epsilon\": %.15g,\n"
                "  \"model_type\": \"gpt2\",\n"
                "  \"n_embd\": %lld,\n"
                "  \"n_head\": %lld,\n"
                "  \"n_inner\": %lld,\n"
                "  \"n_layer\": %lld,\n"
                "  \"n_positions\": %lld,\n"
                "  \"resid_pdrop\": %g,\n"
                "  \"tie_word_embeddings\": %s,\n"
                "  \"vocab_size\": %lld\n"
                "}\n",
                g->f->saved, end, m->dropout, list ? "[" : "", list ? ends.s : end, list ? "]" : "",
                g->eps, (long long)m->width, (long long)m->heads, (long long)g->inner,
                (long long)m->layers, (long long)m->positions, m->dropout,
                m->tied ? "true" : "false", (long long)m->vocab);
    tn_text_free(&ends);
}

const tn_family tn_family_gpt = {
    .type = "gpt2",
    .lora_targets = "c_attn",
    .embedding = "transformer.wte.weight",
    .build = build,
    .hidden = hidden,
    .activations = activations,
    .backward = backward,
    .config = config,
    .free = free_gpt,
    .target = target,
};
