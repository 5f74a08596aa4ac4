/* llama_write.c - writes config.json of the models that llama.c computes. */
#include "nn/families/llama.h"

#include <stdio.h>
#include <string.h>

/* "3.0": Transformers refuses an integer for a real number. */
static void write_real(const char *key, double x, tn_text *out)
{
    char number[64];
    snprintf(number, sizeof number, "%.15g", x);
    tn_text_add(out, "\"%s\": %s%s", key, number, strpbrk(number, ".e") ? "" : ".0");
}

static void write_scaling(const tn_llama_rope *r, tn_text *out)
{
    static const char *const names[] = { "default", "linear", "llama3" };
    if (!r->scaling) {
        tn_text_add(out, "  \"rope_scaling\": null,\n");
        return;
    }
    tn_text_add(out, "  \"rope_scaling\": {\"rope_type\": \"%s\", ", names[r->scaling]);
    write_real("factor", r->factor, out);
    if (r->scaling == TN_ROPE_LLAMA3) {
        tn_text_add(out, ", ");
        write_real("low_freq_factor", r->low, out);
        tn_text_add(out, ", ");
        write_real("high_freq_factor", r->high, out);
        tn_text_add(out, ", \"original_max_position_embeddings\": %.0f", r->original);
    }
    tn_text_add(out, "},\n");
}

/* "  KEY: X,", or null for 0. */
static void write_line(const char *key, double x, tn_text *out)
{
    tn_text_add(out, "  ");
    if (x > 0)
        write_real(key, x, out);
    else
        tn_text_add(out, "\"%s\": null", key);
    tn_text_add(out, ",\n");
}

static void write_windows(const tn_model *m, const tn_llama *g, tn_text *out)
{
    if (g->kind->windows == TN_WINDOW_NONE)
        return;
    tn_text_add(out, "  \"layer_types\": [");
    for (int64_t i = 0; i < m->layers; i++)
        tn_text_add(out, "%s\"%s_attention\"", i ? ", " : "",
                    g->blocks[i].local ? "sliding" : "full");
    tn_text_add(out, "],\n  \"sliding_window\": ");
    if (g->window)
        tn_text_add(out, "%lld,\n", (long long)g->window);
    else
        tn_text_add(out, "null,\n");
    if (g->kind->windows == TN_WINDOW_UPPER)
        tn_text_add(out, "  \"use_sliding_window\": %s,\n", g->window ? "true" : "false");
}

static void write_unturned(const tn_model *m, const tn_llama *g, tn_text *out)
{
    if (!g->kind->unturned)
        return;
    tn_text_add(out, "  \"no_rope_layers\": [");
    for (int64_t i = 0; i < m->layers; i++)
        tn_text_add(out, "%s%d", i ? ", " : "", !g->blocks[i].unturned);
    tn_text_add(out, "],\n");
}

static void write_gemma(const tn_model *m, const tn_llama *g, tn_text *out)
{
    if (g->kind->gemma)
        tn_text_add(out, "  \"hidden_activation\": \"%s\",\n", g->activation);
    if (!g->kind->four_norms)
        return;
    write_line("attn_logit_softcapping", g->soft_cap, out);
    write_line("final_logit_softcapping", m->logit_cap, out);
    tn_text_add(out, "  \"query_pre_attn_scalar\": %.15g,\n", g->query_scalar);
    if (g->kind->windows == TN_WINDOW_MOST)
        write_line("rope_local_base_freq", g->rope[1].theta, out);
}

static void write_tokens(const tn_model *m, const tn_llama *g, tn_text *out)
{
    if (g->first < 0)
        tn_text_add(out, "  \"bos_token_id\": null,\n");
    else
        tn_text_add(out, "  \"bos_token_id\": %lld,\n", (long long)g->first);
    tn_text_add(out, "  \"eos_token_id\": %s", m->end_count > 1 ? "[" : m->end < 0 ? "null" : "");
    for (int64_t i = 0; i < m->end_count; i++)
        tn_text_add(out, "%s%d", i ? ", " : "", m->ends[i]);
    tn_text_add(out, "%s,\n", m->end_count > 1 ? "]" : "");
}

void tn_llama_write(const tn_model *m, tn_text *out)
{
    const tn_llama *g = m->impl;
    tn_text_add(out, "{\n  \"architectures\": [\"%s\"],\n", g->kind->class);
    if (!g->kind->qkv_bias)
        tn_text_add(out, "  \"attention_bias\": %s,\n", g->o_bias ? "true" : "false");
    write_tokens(m, g, out);
    write_gemma(m, g, out);
    write_scaling(&g->rope[0], out);
    write_windows(m, g, out);
    write_unturned(m, g, out);
    write_line("initializer_range", g->std, out);
    write_line("rms_norm_eps", g->eps, out);
    write_line("rope_theta", g->rope[0].theta, out);
    tn_text_add(out,
                "  \"head_dim\": %lld,\n  \"hidden_act\": \"%s\",\n  \"hidden_size\": %lld,\n"
                "  \"intermediate_size\": %lld,\n  \"max_position_embeddings\": %lld,\n"
                "  \"mlp_bias\": %s,\n  \"model_type\": \"%s\",\n"
                "  \"num_attention_heads\": %lld,\n  \"num_hidden_layers\": %lld,\n"
                "  \"num_key_value_heads\": %lld,\n  \"tie_word_embeddings\": %s,\n"
                "  \"vocab_size\": %lld\n}\n",
                (long long)m->head_size, g->activation, (long long)m->width, (long long)g->inner,
                (long long)m->positions, g->mlp_bias ? "true" : "false", g->kind->type,
                (long long)m->heads, (long long)m->layers, (long long)m->kv_heads,
                m->tied ? "true" : "false", (long long)m->vocab);
}
