/* own_llama.c - a Llama of ops: its logits are compared with those of Transformers.
   The ops are rms_norm, rope, attention with fewer key/value heads, and swiglu. The weights have
   the names that they have in Hugging Face folders. Transformers wrote transformers.safetensors.

       make && build/examples/own_llama tests/golden/tiny_models/llama

       first logit -0.64650, of Transformers -0.64650; all 1536 at most 0.000004 apart

   What goes wrong: rope consumes its operand, so only its result may be used afterwards.
   Shapes: T tokens in one row, C channels, D head size, F width of the MLP, N tokens in all. */
#include "optim/optim.h"

#include <math.h>
#include <stdio.h>

enum { LAYERS = 2, HEADS = 4, KV_HEADS = 2, C = 32, D = C / HEADS, F = 64, N = 64, T = 24 };
enum { Q, K, V, OUT, GATE, UP, DOWN, MATRICES };
/* clang-format off */
static const struct { const char *name; int in, out; } matrix[MATRICES] = {
    /* clang-format on */
    [Q] = { "self_attn.q_proj", C, C },           [K] = { "self_attn.k_proj", C, KV_HEADS *D },
    [V] = { "self_attn.v_proj", C, KV_HEADS *D }, [OUT] = { "self_attn.o_proj", C, C },
    [GATE] = { "mlp.gate_proj", C, F },           [UP] = { "mlp.up_proj", C, F },
    [DOWN] = { "mlp.down_proj", F, C },
};

typedef struct llama {
    tn_tensor *tokens, *norm, *norm1[LAYERS], *norm2[LAYERS]; /* (N,C), (C) */
    tn_linear_layer head, layer[LAYERS][MATRICES];
} llama;

static llama llama_new(tn_params *p)
{
    char name[64];
    llama m = { .tokens = tn_embedding_new(p, "model.embed_tokens", N, C, 0.02),
                .norm = tn_params_add(p, "model.norm.weight", TN_SHAPE(C)),
                .head = tn_linear_layer_new(p, "lm_head", C, N, TN_OUT_IN, false, 0.02) };
    for (int i = 0; i < LAYERS; i++) {
        snprintf(name, sizeof name, "model.layers.%d.input_layernorm.weight", i);
        m.norm1[i] = tn_params_add(p, name, TN_SHAPE(C));
        snprintf(name, sizeof name, "model.layers.%d.post_attention_layernorm.weight", i);
        m.norm2[i] = tn_params_add(p, name, TN_SHAPE(C));
        for (int k = 0; k < MATRICES; k++) {
            snprintf(name, sizeof name, "model.layers.%d.%s", i, matrix[k].name);
            m.layer[i][k] =
                tn_linear_layer_new(p, name, matrix[k].in, matrix[k].out, TN_OUT_IN, false, 0.02);
        }
    }
    return m;
}

/* ids (1,T), table (T,D) -> logits (1,T,N) */
static tn_tensor *llama_run(const llama *m, tn_tape *t, tn_tensor *ids, tn_tensor *table)
{
    const tn_attention_form form = { .heads = HEADS, .kv_heads = KV_HEADS };
    tn_tensor *x = tn_embed(t, m->tokens, ids);
    for (int i = 0; i < LAYERS; i++) {
        const tn_linear_layer *l = m->layer[i];
        tn_tensor *h = tn_rms_norm(t, x, m->norm1[i], 1e-5, 0);
        tn_tensor *q = tn_rope(t, tn_linear_layer_run(&l[Q], t, h), table, NULL, HEADS);
        tn_tensor *k = tn_rope(t, tn_linear_layer_run(&l[K], t, h), table, NULL, KV_HEADS);
        tn_tensor *seen = tn_attention(t, q, k, tn_linear_layer_run(&l[V], t, h), form);
        x = tn_add(t, x, tn_linear_layer_run(&l[OUT], t, seen));
        h = tn_rms_norm(t, x, m->norm2[i], 1e-5, 0);
        h = tn_swiglu(t, tn_linear_layer_run(&l[GATE], t, h), tn_linear_layer_run(&l[UP], t, h));
        x = tn_add(t, x, tn_linear_layer_run(&l[DOWN], t, h));
    }
    return tn_linear_layer_run(&m->head, t, tn_rms_norm(t, x, m->norm, 1e-5, 0));
}

int main(int argc, char **argv)
{
    char path[4096];
    tn_error e = { 0 };
    double apart = 0;
    tn_context *c = argc == 2 ? tn_context_new(NULL) : NULL;
    if (!c)
        return fprintf(stderr, "usage: own_llama FOLDER\n"), 1;
    tn_params *p = tn_params_new(c);
    tn_tape *t = tn_tape_new(c);
    const llama m = llama_new(p);
    const tn_tensor *want = tn_params_add(p, "logits", TN_SHAPE(T, N));
    snprintf(path, sizeof path, "%s/model.safetensors", argv[1]);
    tn_params_open(p, "*.weight", path, &e);
    snprintf(path, sizeof path, "%s/transformers.safetensors", argv[1]);
    tn_params_open(p, "logits", path, &e);
    tn_tensor *table = tn_rope_table(T, D, NULL), *ids = tn_tape_input(t, TN_I32, TN_SHAPE(1, T));
    for (int i = 0; ids && i < T; i++)
        ids->i[i] = (7 * i + 3) % N;
    const tn_tensor *y = e.code ? NULL : llama_run(&m, t, ids, table);
    for (int i = 0; y && i < T * N; i++)
        apart = fmax(apart, fabs((double)(y->x[i] - want->x[i])));
    if (y)
        printf("first logit %.5f, of Transformers %.5f; all %d at most %.6f apart\n",
               (double)y->x[0], (double)want->x[0], T * N, apart);
    else
        fprintf(stderr, "own_llama: %s\n", e.code ? e.text : tn_tape_error(t));
    tn_tape_free(t), tn_params_free(p), tn_tensor_free(table), tn_context_free(c);
    return !y;
}
