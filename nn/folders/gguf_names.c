/* gguf_names.c - names of weights in GGUF files, for the names of Hugging Face folders.
   Source: gguf-py/gguf/tensor_mapping.py of ggml-org/llama.cpp. */
#include "nn/folders/gguf_model.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

typedef struct pair {
    const char *ours, *theirs;
} pair;

static const pair types[] = { { "gpt2", "gpt2" },          { "llama", "llama" },
                              { "qwen2", "qwen2" },        { "qwen3", "qwen3" },
                              { "gemma", "gemma" },        { "gemma2", "gemma2" },
                              { "gemma3_text", "gemma3" }, { "mistral", "llama" },
                              { "smollm3", "smollm3" },    { "phi3", "phi3" } };

/* Outside the blocks, then in a block. */
static const pair outer[] = {
    { "transformer.wte", "token_embd" },   { "transformer.wpe", "position_embd" },
    { "transformer.ln_f", "output_norm" }, { "model.embed_tokens", "token_embd" },
    { "model.norm", "output_norm" },       { "lm_head", "output" },
};
static const pair inner[] = {
    { "ln_1", "attn_norm" },
    { "ln_2", "ffn_norm" },
    { "attn.c_attn", "attn_qkv" },
    { "attn.c_proj", "attn_output" },
    { "mlp.c_fc", "ffn_up" },
    { "mlp.c_proj", "ffn_down" },
    { "input_layernorm", "attn_norm" },
    { "self_attn.q_proj", "attn_q" },
    { "self_attn.k_proj", "attn_k" },
    { "self_attn.v_proj", "attn_v" },
    { "self_attn.qkv_proj", "attn_qkv" },
    { "self_attn.o_proj", "attn_output" },
    { "self_attn.q_norm", "attn_q_norm" },
    { "self_attn.k_norm", "attn_k_norm" },
    { "mlp.gate_proj", "ffn_gate" },
    { "mlp.up_proj", "ffn_up" },
    { "mlp.gate_up_proj", "ffn_up" },
    { "mlp.down_proj", "ffn_down" },
    { "pre_feedforward_layernorm", "ffn_norm" },
    { "post_feedforward_layernorm", "post_ffw_norm" },
    { "post_attention_layernorm", "ffn_norm" },
};

#define COUNT(pairs) ((int)(sizeof pairs / sizeof *pairs))

/* NULL: none is named by the first n letters of s. */
static const char *translate(const pair *pairs, int count, const char *s, size_t n)
{
    for (int i = 0; i < count; i++)
        if (strlen(pairs[i].ours) == n && !strncmp(pairs[i].ours, s, n))
            return pairs[i].theirs;
    return NULL;
}

const char *tn_gguf_model_type(const char *architecture)
{
    for (int i = 0; i < COUNT(types); i++)
        if (!strcmp(types[i].theirs, architecture))
            return types[i].ours;
    return NULL;
}

const char *tn_gguf_architecture(const char *type)
{
    for (int i = 0; i < COUNT(types); i++)
        if (!strcmp(types[i].ours, type))
            return types[i].theirs;
    return NULL;
}

/* After "transformer.h." or "model.layers.". NULL: the name begins with neither. */
static const char *block_of(const char *name)
{
    static const char *const begins[] = { "transformer.h.", "model.layers." };
    for (int i = 0; i < 2; i++)
        if (!strncmp(name, begins[i], strlen(begins[i])))
            return name + strlen(begins[i]);
    return NULL;
}

bool tn_gguf_name(const char *architecture, const char *name, char out[TN_GGUF_NAME])
{
    const char *end = strrchr(name, '.'), *block = block_of(name), *s = block;
    const char *theirs = NULL;
    int n = 0;
    if (!end)
        return false;
    if (!block && (theirs = translate(outer, COUNT(outer), name, (size_t)(end - name))))
        n = snprintf(out, TN_GGUF_NAME, "%s%s", theirs, end);
    while (s && isdigit((unsigned char)*s))
        s++;
    if (!s || s == block || *s != '.' || s >= end)
        return theirs && n < TN_GGUF_NAME;
    const size_t length = (size_t)(end - s - 1);
    theirs = translate(inner, COUNT(inner), s + 1, length);
    const bool four_norms = !strcmp(architecture, "gemma2") || !strcmp(architecture, "gemma3");
    if (four_norms && !strncmp(s + 1, "post_attention_layernorm", length))
        theirs = "post_attention_norm";
    if (theirs)
        n = snprintf(out, TN_GGUF_NAME, "blk.%.*s.%s%s", (int)(s - block), block, theirs, end);
    return theirs && n < TN_GGUF_NAME;
}
