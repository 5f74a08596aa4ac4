/* llama.c - Llama (Touvron et al., 2023), Mistral, Qwen 2 and 3, Gemma 1 to 3, SmolLM 3, Phi 3.

       h = s E[ids]                                       (B,T,C); s = 1, or sqrt(C) in Gemma
       a = norm(h)                                        RMSNorm: x / rms(x) w, or (1 + w) in Gemma
       h = h + o(attention(rope(q(a)), rope(k(a)), v(a)))     L blocks of these four lines
       a = norm(h)
       h = h + down(f(gate(a)) up(a))                     f: silu, or gelu in Gemma
       logits = norm(h) head^T                            (B,T,V); head is E when tied

   The heads of a group share one head of k and v. Qwen 2 has biases in q, k and v. Qwen 3 and Gemma
   3 normalise each head of q and k before rope. Gemma 2 and 3 also normalise what a block adds to
   h. In some families some blocks see only a window of positions. SmolLM 3 has blocks without rope, and
   Phi 3 makes q, k and v, and gate and up, by one matrix each. llama_config.c has the table of
   these differences. Weights have the names and layouts of Hugging Face's files. */
#include "nn/families/llama.h"
#include "core/op.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- rope ---- */

/* The frequency that a model for longer contexts has in the place of f. Llama 3.1: a turn that is
   short beside the original context stays, a long one is stretched, and between them lies a
   blend. */
static double scaled(void *arg, double f)
{
    const tn_llama_rope *r = arg;
    const double turn = 2 * 3.14159265358979323846 / f; /* in positions */
    if (r->scaling == TN_ROPE_LINEAR)
        return f / r->factor;
    if (turn < r->original / r->high)
        return f;
    if (turn > r->original / r->low)
        return f / r->factor;
    const double s = (r->original / turn - r->low) / (r->high - r->low);
    return (1 - s) * f / r->factor + s * f;
}

/* Makes the tables long enough for the positions of the batch. They grow by doubling. */
static bool make_tables(const tn_model *m, const tn_tensor *places)
{
    tn_llama *g = m->impl;
    int64_t most = 0, room = 256;
    for (int64_t i = 0; i < tn_tensor_count(places); i++)
        most = places->i[i] > most ? places->i[i] : most;
    while (room <= most)
        room *= 2;
    room = room < m->positions ? room : m->positions;
    for (int i = 0; i < 2; i++) {
        tn_llama_rope *r = &g->rope[i];
        const bool needed = i == 0 || (g->window && r->theta > 0);
        if (!needed || (r->table && r->table->dim[0] > most))
            continue;
        tn_tensor_free(r->table);
        r->table = tn_rope_table(room, m->head_size,
                                 &(tn_rope_options){ .theta = r->theta,
                                                     .frequency = r->scaling ? scaled : NULL,
                                                     .arg = r });
        if (!r->table)
            return false;
    }
    return true;
}

/* ---- the forward pass ---- */

static tn_tensor *dropout(const tn_model *m, tn_tape *t, tn_tensor *x, const char *name)
{
    return m->dropout > 0 ? tn_then(t, x, tn_dropout(t, x, m->dropout, tn_stream(name))) : x;
}

/* Normalises each head of x (B,T,heads D). */
static tn_tensor *norm_heads(const tn_norm_layer *n, tn_tape *t, tn_tensor *x, int64_t heads,
                             int64_t size)
{
    if (!n->w || !x)
        return x;
    const int64_t split[] = { x->dim[0], x->dim[1], heads, size };
    const int64_t whole[] = { x->dim[0], x->dim[1], heads * size };
    x = tn_norm_layer_run(n, t, tn_reshape(t, x, 4, split));
    return tn_reshape(t, x, 3, whole);
}

/* One layer's output for `count` parts of these widths, side by side. */
static void split(tn_tape *t, tn_tensor *all, int count, const int64_t widths[], tn_tensor *parts[])
{
    int64_t from = 0;
    for (int i = 0; i < count; from += widths[i++])
        parts[i] = tn_slice(t, all, -1, from, from + widths[i]);
    tn_done(t, all);
}

/* qkv[0..2] become q (B,T,H D), k and v (B,T,G D). */
static void project(const tn_model *m, tn_tape *t, const tn_llama_block *b, tn_tensor *h,
                    tn_tensor *qkv[3])
{
    const int64_t keys = m->kv_heads * m->head_size;
    if (b->qkv.w) {
        split(t, tn_linear_layer_run(&b->qkv, t, h), 3,
              (int64_t[]){ m->heads * m->head_size, keys, keys }, qkv);
        return;
    }
    qkv[0] = tn_linear_layer_run(&b->q, t, h);
    qkv[1] = tn_linear_layer_run(&b->k, t, h);
    qkv[2] = tn_linear_layer_run(&b->v, t, h);
}

static tn_tensor *attention(const tn_model *m, tn_tape *t, int64_t layer, tn_tensor *x,
                            tn_cache *cache)
{
    const tn_llama *g = m->impl;
    const tn_llama_block *b = &g->blocks[layer];
    const tn_llama_rope *r = &g->rope[b->local && g->rope[1].theta > 0];
    tn_tensor *start = tn_cache_start(cache);
    tn_tensor *qkv[3];
    tn_tensor *h = tn_norm_layer_run(&b->before_attention, t, x); // (B,T,C)
    project(m, t, b, h, qkv);
    tn_done(t, h);
    tn_tensor *q = norm_heads(&b->q_norm, t, qkv[0], m->heads, m->head_size), *v = qkv[2];
    tn_tensor *k = norm_heads(&b->k_norm, t, qkv[1], m->kv_heads, m->head_size);
    if (!b->unturned) {
        q = tn_rope(t, q, r->table, start, m->heads);
        k = tn_rope(t, k, r->table, start, m->kv_heads);
    }
    const tn_attention_form form = { .window = b->local ? g->window : 0,
                                     .scale = g->query_scalar > 0 ? 1 / sqrt(g->query_scalar) : 0,
                                     .soft_cap = g->soft_cap };
    h = tn_attend(m, t, layer, q, k, v, &form, cache); // (B,T,H D)
    tn_done(t, q);
    tn_done(t, k);
    tn_done(t, v);
    h = tn_then(t, h, tn_linear_layer_run(&b->o, t, h)); // (B,T,C)
    if (b->after_attention.w)
        h = tn_then(t, h, tn_norm_layer_run(&b->after_attention, t, h));
    return dropout(m, t, h, b->o.name);
}

static tn_tensor *mlp(const tn_model *m, tn_tape *t, int64_t layer, tn_tensor *x)
{
    const tn_llama *g = m->impl;
    const tn_llama_block *b = &g->blocks[layer];
    tn_tensor *h = tn_norm_layer_run(&b->before_mlp, t, x); // (B,T,C)
    tn_tensor *both[2];                                     // (B,T,F)
    if (b->gate_up.w) {
        split(t, tn_linear_layer_run(&b->gate_up, t, h), 2, (int64_t[]){ g->inner, g->inner },
              both);
    } else {
        both[0] = tn_linear_layer_run(&b->gate, t, h);
        both[1] = tn_linear_layer_run(&b->up, t, h);
    }
    tn_tensor *gate = both[0], *up = both[1];
    tn_done(t, h);
    if (g->run_activation)
        gate = tn_then(t, gate, g->run_activation(t, gate));
    h = g->run_activation ? tn_mul(t, gate, up) : tn_swiglu(t, gate, up);
    tn_done(t, gate);
    h = tn_then(t, up, h);
    h = tn_then(t, h, tn_linear_layer_run(&b->down, t, h)); // (B,T,C)
    if (b->after_mlp.w)
        h = tn_then(t, h, tn_norm_layer_run(&b->after_mlp, t, h));
    return dropout(m, t, h, b->down.name);
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
    const tn_llama *g = m->impl;
    const tn_tensor *places = tn_positions(m, t, ids, cache); // (B,T)
    if (places && !make_tables(m, places)) {
        tn_refuse(t, &tn_op_rope, TN_ENOMEM, "out of memory for the table of positions");
        return NULL;
    }
    tn_tensor *x = tn_embed(t, g->embedding, ids); // (B,T,C)
    if (g->kind->gemma)
        x = tn_scale(t, x, sqrt((double)m->width));
    x = dropout(m, t, x, "embedding");
    x = tn_run_blocks(m, t, x, cache, run_block);
    return tn_norm_layer_run(&g->norm, t, x);
}

/* ---- what a batch leaves on the tape ---- */

/* The linear layers of a block, in the order of a file. Returns how many there are. */
static int layers_of(tn_llama_block *b, tn_linear_layer *out[7])
{
    tn_linear_layer *all[] = { &b->qkv,     &b->q,    &b->k,  &b->v,   &b->o,
                               &b->gate_up, &b->gate, &b->up, &b->down };
    int n = 0;
    for (int i = 0; i < 9; i++)
        if (all[i]->name)
            out[n++] = all[i];
    return n;
}

/* Is the layer's weight trained, or an adapter on it? */
static bool is_trained(const tn_linear_layer *l)
{
    return l->lora || l->w->wants_grad;
}

/* Numbers per token that a block keeps for backward: q, k, v, attention, a sum, gate, up and a
   sum, and what norms of q, k, o and down begin with. Backward computes the results of norms and
   activations again. Parts of one layer's output stay beside it, and rope copies such q and k.
   Norms keep a number, attention one for each head. */
static int64_t kept_by(const tn_model *m, const tn_llama_block *b)
{
    const tn_llama *g = m->impl;
    const int64_t C = m->width, q = m->heads * m->head_size, k = m->kv_heads * m->head_size;
    const int64_t wide = 2 + (b->after_attention.w != NULL) + (b->after_mlp.w != NULL);
    const int64_t heads = b->q_norm.w ? 2 * (q + k) + m->heads + m->kv_heads : 0;
    const int64_t fused = (b->qkv.w ? 2 * q + 3 * k : 0) + (b->gate_up.w ? 2 * g->inner : 0);
    return wide * C + 2 * q + 2 * k + heads + fused + 2 * g->inner + wide + m->heads;
}

/* The same without backward: the sum, and what has no memory of its own but lies in another
   result: that one is not used again. */
static int64_t left_by(const tn_model *m, const tn_llama_block *b)
{
    const tn_llama *g = m->impl;
    const int64_t q = m->heads * m->head_size, k = m->kv_heads * m->head_size;
    return m->width + (b->q_norm.w ? 2 * (q + k) : 0) + (b->qkv.w ? q + 2 * k : 0) +
           (b->gate_up.w ? 4 * g->inner : 0);
}

/* Around the blocks are the embedding and the last norm. In training the results that are computed
   again need memory once: a norm's, the product of gate and up, and the activation's if it is not
   in that. A block without gradients, in evaluation or before the first one that is trained,
   leaves its sum. While it runs it has gate, up and their product. */
static int64_t activations(const tn_model *m, bool training)
{
    const tn_llama *g = m->impl;
    const int64_t C = m->width, around = (2 + g->kind->gemma) * C;
    const int64_t running = (2 + g->kind->four_norms) * C + 3 * g->inner;
    const int64_t again = C + g->inner * (1 + (g->run_activation != NULL));
    int64_t all = 0, most = running;
    bool reached = training && g->embedding->wants_grad;
    for (int64_t i = 0; i < m->layers; i++) {
        tn_llama_block *b = &g->blocks[i];
        tn_linear_layer *layers[7];
        for (int k = layers_of(b, layers); k-- > 0;)
            reached = reached || (training && is_trained(layers[k]));
        const int64_t kept = reached ? kept_by(m, b) : left_by(m, b);
        most = kept > most ? kept : most;
        all += kept;
    }
    if (!reached)
        return around + all + running;
    return around + again + (m->recompute ? (m->layers + 1) * C + most : all);
}

/* Most is there when backward passes the MLP: the gradients of gate, up and their product, that
   product again if down is trained, the result of the activation again, and two gradients of width
   C. One layer's output, of which gate and up are parts, has a gradient twice as wide, and so have
   they. Their memory is used again in attention. */
static int64_t backward(const tn_model *m)
{
    const tn_llama *g = m->impl;
    const tn_llama_block *b = &g->blocks[m->layers - 1];
    const int64_t wide = 3 + is_trained(&b->down) + (g->run_activation != NULL);
    return (b->gate_up.w ? 6 : wide) * g->inner + (2 + m->recompute) * m->width;
}

/* ---- making one ---- */

static const char *path(char out[64], int64_t layer, const char *name)
{
    snprintf(out, 64, "model.layers.%lld.%s", (long long)layer, name);
    return out;
}

static tn_norm_layer add_norm(const tn_model *m, const tn_llama *g, const char *name, int64_t width)
{
    return tn_rms_layer_new(m->params, name, width, g->eps, g->kind->gemma ? 1 : 0);
}

static void add_attention(const tn_model *m, tn_llama *g, int64_t i, double std)
{
    tn_params *p = m->params;
    const int64_t C = m->width, q = m->heads * m->head_size, k = m->kv_heads * m->head_size;
    const bool qkv = g->qkv_bias;
    tn_llama_block *b = &g->blocks[i];
    char s[64];
    if (g->kind->fused) {
        path(s, i, "self_attn.qkv_proj");
        b->qkv = tn_linear_layer_new(p, s, C, q + 2 * k, TN_OUT_IN, qkv, std);
    } else {
        b->q = tn_linear_layer_new(p, path(s, i, "self_attn.q_proj"), C, q, TN_OUT_IN, qkv, std);
        b->k = tn_linear_layer_new(p, path(s, i, "self_attn.k_proj"), C, k, TN_OUT_IN, qkv, std);
        b->v = tn_linear_layer_new(p, path(s, i, "self_attn.v_proj"), C, k, TN_OUT_IN, qkv, std);
    }
    b->o = tn_linear_layer_new(p, path(s, i, "self_attn.o_proj"), q, C, TN_OUT_IN, g->o_bias, std);
    if (g->kind->qk_norm) {
        b->q_norm = add_norm(m, g, path(s, i, "self_attn.q_norm"), m->head_size);
        b->k_norm = add_norm(m, g, path(s, i, "self_attn.k_norm"), m->head_size);
    }
}

/* The norm of this name is before the MLP, or after attention if there are four. */
static const char after_attention[] = "post_attention_layernorm";

static void add_block(const tn_model *m, tn_llama *g, int64_t i, double std)
{
    tn_params *p = m->params;
    const int64_t C = m->width, F = g->inner;
    const bool four = g->kind->four_norms, bias = g->mlp_bias;
    tn_llama_block *b = &g->blocks[i];
    char s[64];
    b->before_attention = add_norm(m, g, path(s, i, "input_layernorm"), C);
    add_attention(m, g, i, std);
    if (four)
        b->after_attention = add_norm(m, g, path(s, i, after_attention), C);
    b->before_mlp =
        add_norm(m, g, path(s, i, four ? "pre_feedforward_layernorm" : after_attention), C);
    if (g->kind->fused) {
        path(s, i, "mlp.gate_up_proj");
        b->gate_up = tn_linear_layer_new(p, s, C, 2 * F, TN_OUT_IN, bias, std);
    } else {
        b->gate = tn_linear_layer_new(p, path(s, i, "mlp.gate_proj"), C, F, TN_OUT_IN, bias, std);
        b->up = tn_linear_layer_new(p, path(s, i, "mlp.up_proj"), C, F, TN_OUT_IN, bias, std);
    }
    b->down = tn_linear_layer_new(p, path(s, i, "mlp.down_proj"), F, C, TN_OUT_IN, bias, std);
    if (four)
        b->after_mlp = add_norm(m, g, path(s, i, "post_feedforward_layernorm"), C);
}

static int build(tn_model *m, const tn_json *config, tn_error *e)
{
    tn_llama *g = m->impl = calloc(1, sizeof *g);
    if (!g)
        return tn_fail(e, TN_ENOMEM, "out of memory for the model");
    if (tn_llama_read(m, g, config, e))
        return e->code;
    g->embedding = tn_embedding_new(m->params, "model.embed_tokens", m->vocab, m->width, g->std);
    for (int64_t i = 0; i < m->layers; i++)
        add_block(m, g, i, g->std);
    g->norm = add_norm(m, g, "model.norm", m->width);
    m->head =
        m->tied ? g->embedding : tn_embedding_new(m->params, "lm_head", m->vocab, m->width, g->std);
    return 0;
}

static void free_llama(void *impl)
{
    tn_llama *g = impl;
    if (!g)
        return;
    for (int i = 0; i < 2; i++)
        tn_tensor_free(g->rope[i].table);
    free(g->blocks);
    free(g);
}

/* ---- the functions that the rest of nn/ calls ---- */

static int target(const tn_model *m, int64_t i, tn_target *out)
{
    const tn_llama *g = m->impl;
    const int64_t each = g->kind->fused ? 4 : 7;
    tn_linear_layer *layers[7];
    if (i < 0 || i >= each * m->layers)
        return i == each * m->layers ? tn_target_head(m, out) : 0;
    layers_of(&g->blocks[i / each], layers);
    *out = tn_target_layer(layers[i % each]);
    return 1;
}

/* clang-format off */
#define LLAMA(name, model_type, targets) \
    const tn_family tn_family_##name = { \
        .type = model_type, .lora_targets = targets, .embedding = "model.embed_tokens.weight", \
        .build = build, .hidden = hidden, .activations = activations, \
        .backward = backward, .config = tn_llama_write, \
        .free = free_llama, .target = target };
/* clang-format on */
LLAMA(llama, "llama", "q_proj,v_proj")
LLAMA(mistral, "mistral", "q_proj,v_proj")
LLAMA(phi3, "phi3", "qkv_proj")
LLAMA(smollm3, "smollm3", "q_proj,v_proj")
LLAMA(qwen2, "qwen2", "q_proj,v_proj")
LLAMA(qwen3, "qwen3", "q_proj,v_proj")
LLAMA(gemma, "gemma", "q_proj,v_proj")
LLAMA(gemma2, "gemma2", "q_proj,v_proj")
LLAMA(gemma3, "gemma3_text", "q_proj,v_proj")
