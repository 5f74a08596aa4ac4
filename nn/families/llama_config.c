/* llama_config.c - reads config.json of the models that llama.c computes.
   `kinds` has a row for each model_type. */
#include "nn/families/llama.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* kv_heads 0: as many as heads. head_size 0: width / heads. */
/* clang-format off */
static const tn_llama_kind kinds[] = {
    { .type = "llama", .class = "LlamaForCausalLM", .vocab = 32000, .width = 4096, .inner = 11008, .layers = 32, .heads = 32,
      .positions = 2048, .eps = 1e-6, .first = 1, .end = 2 },
    { .type = "mistral", .class = "MistralForCausalLM", .vocab = 32000, .width = 4096, .inner = 14336, .layers = 32, .heads = 32,
      .kv_heads = 8, .positions = 131072, .eps = 1e-6, .first = 1, .end = 2, .windows = TN_WINDOW_ALL, .window = 4096 },
    { .type = "phi3", .class = "Phi3ForCausalLM", .vocab = 32064, .width = 3072, .inner = 8192, .layers = 32, .heads = 32,
      .positions = 4096, .eps = 1e-5, .first = 1, .end = 32000, .fused = true, .windows = TN_WINDOW_ALL },
    { .type = "smollm3", .class = "SmolLM3ForCausalLM", .vocab = 128256, .width = 2048, .inner = 11008, .layers = 36,
      .heads = 16, .kv_heads = 4, .positions = 32768, .eps = 1e-6, .theta = 2e6, .first = 128000, .end = 128001, .tied = true,
      .unturned = 4 },
    { .type = "qwen2", .class = "Qwen2ForCausalLM", .vocab = 151936, .width = 4096, .inner = 22016, .layers = 32, .heads = 32,
      .kv_heads = 32, .positions = 32768, .eps = 1e-6, .first = -1, .end = -1, .qkv_bias = true,
      .windows = TN_WINDOW_UPPER, .window = 4096 },
    { .type = "qwen3", .class = "Qwen3ForCausalLM", .vocab = 151936, .width = 4096, .inner = 22016, .layers = 32, .heads = 32,
      .kv_heads = 32, .head_size = 128, .positions = 32768, .eps = 1e-6, .first = -1, .end = -1, .qk_norm = true,
      .windows = TN_WINDOW_UPPER, .window = 4096 },
    { .type = "gemma", .class = "GemmaForCausalLM", .vocab = 256000, .width = 3072, .inner = 24576, .layers = 28, .heads = 16,
      .kv_heads = 16, .head_size = 256, .positions = 8192, .eps = 1e-6, .first = 2, .end = 1, .tied = true, .gemma = true },
    { .type = "gemma2", .class = "Gemma2ForCausalLM", .vocab = 256000, .width = 2304, .inner = 9216, .layers = 26, .heads = 8,
      .kv_heads = 4, .head_size = 256, .positions = 8192, .eps = 1e-6, .first = 2, .end = 1, .tied = true, .gemma = true,
      .four_norms = true, .windows = TN_WINDOW_EVEN, .window = 4096 },
    { .type = "gemma3_text", .class = "Gemma3ForCausalLM", .vocab = 262208, .width = 2304, .inner = 9216, .layers = 26,
      .heads = 8, .kv_heads = 4, .head_size = 256, .positions = 131072, .eps = 1e-6, .theta = 1e6, .first = 2, .end = 1,
      .tied = true, .gemma = true, .four_norms = true, .qk_norm = true, .windows = TN_WINDOW_MOST, .window = 4096 },
};
enum { KINDS = sizeof kinds / sizeof *kinds };
/* clang-format on */

static const tn_llama_kind *find_kind(const char *type)
{
    for (int i = 0; i < KINDS; i++)
        if (!strcmp(type, kinds[i].type))
            return &kinds[i];
    return NULL;
}

static bool is_there(const tn_json *config, const char *key)
{
    const tn_json *v = tn_json_find(config, key);
    return v && v->kind != TN_NULL;
}

/* A number above 0, or `otherwise` if the key is absent or null. */
static double read_positive(const tn_json *config, const char *key, double otherwise, tn_error *e)
{
    double x = otherwise;
    tn_json_get_real(config, key, &x, e);
    if (!e->code && is_there(config, key) && !(x > 0))
        tn_json_refuse(tn_json_find(config, key), "a number above 0", e);
    return x;
}

/* ---- the activation ---- */

/* The names of Transformers. NULL: tn_swiglu does it. */
static const struct {
    const char *name;
    tn_tensor *(*run)(tn_tape *t, tn_tensor *a);
} activations[] = {
    { "silu", NULL },        { "swish", NULL },       { "gelu_pytorch_tanh", tn_gelu },
    { "gelu_new", tn_gelu }, { "gelu", tn_gelu_erf }, { "relu", tn_relu },
};
enum { ACTIVATIONS = sizeof activations / sizeof *activations };

/* Gemma computes the tanh form of gelu, also where an old config has "gelu". */
static void read_activation(tn_llama *g, const tn_json *config, tn_error *e)
{
    const bool gemma = g->kind->gemma;
    const char *key =
        gemma && is_there(config, "hidden_activation") ? "hidden_activation" : "hidden_act";
    const char *name = gemma ? "gelu_pytorch_tanh" : "silu";
    char expected[128] = "one of";
    tn_json_get_string(config, key, &name, e);
    if (gemma && !strcmp(key, "hidden_act") && !strcmp(name, "gelu"))
        name = "gelu_pytorch_tanh";
    for (int i = 0; i < ACTIVATIONS; i++) {
        const size_t n = strlen(expected);
        snprintf(expected + n, sizeof expected - n, " %s", activations[i].name);
        if (strcmp(name, activations[i].name))
            continue;
        g->activation = activations[i].name;
        g->run_activation = activations[i].run;
        return;
    }
    tn_json_refuse(tn_json_find(config, key), expected, e);
}

/* ---- rope ---- */

static void read_scaling(tn_llama_rope *r, const tn_json *scaling, tn_error *e)
{
    const char *type = "default";
    const char *key = is_there(scaling, "rope_type") ? "rope_type" : "type";
    tn_json_get_string(scaling, key, &type, e);
    if (!strcmp(type, "linear"))
        r->scaling = TN_ROPE_LINEAR;
    else if (!strcmp(type, "llama3"))
        r->scaling = TN_ROPE_LLAMA3;
    else if (strcmp(type, "default"))
        tn_json_refuse(tn_json_find(scaling, key), "default, linear or llama3", e);
    if (!r->scaling)
        return;
    r->factor = read_positive(scaling, "factor", 0, e);
    if (!e->code && !(r->factor > 0))
        tn_json_refuse(scaling, "a factor in it", e);
    if (r->scaling != TN_ROPE_LLAMA3)
        return;
    r->low = read_positive(scaling, "low_freq_factor", 0, e);
    r->high = read_positive(scaling, "high_freq_factor", 0, e);
    r->original = read_positive(scaling, "original_max_position_embeddings", 0, e);
    if (!e->code && !(r->low > 0 && r->high > r->low && r->original > 0))
        tn_json_refuse(scaling,
                       "low_freq_factor, a greater high_freq_factor and "
                       "original_max_position_embeddings in it",
                       e);
}

/* rope_parameters: newer files have theta and scaling there. */
static void read_parameters(tn_llama_rope *r, const tn_json *parameters, tn_error *e)
{
    r->theta = read_positive(parameters, "rope_theta", r->theta, e);
    read_scaling(r, parameters, e);
}

/* Blocks with a window have their own angles in Gemma 3, without scaling. */
static void read_rope(tn_llama *g, const tn_json *config, tn_error *e)
{
    const tn_json *parameters = tn_json_find(config, "rope_parameters");
    const tn_json *full = tn_json_find(parameters, "full_attention");
    const tn_json *scaling = tn_json_find(config, "rope_scaling");
    const bool two = g->kind->windows == TN_WINDOW_MOST;
    tn_llama_rope *all = &g->rope[0], *local = &g->rope[1];
    all->theta = read_positive(config, "rope_theta", g->kind->theta, e);
    local->theta = two ? read_positive(config, "rope_local_base_freq", 10000, e) : 0;
    if (parameters && parameters->kind == TN_OBJECT) {
        read_parameters(all, full ? full : parameters, e);
        if (two && full)
            read_parameters(local, tn_json_find(parameters, "sliding_attention"), e);
    } else if (scaling && scaling->kind == TN_OBJECT) {
        read_scaling(all, scaling, e);
    } else if (scaling && scaling->kind != TN_NULL) {
        tn_json_refuse(scaling, "an object", e);
    }
    if (!e->code && !(all->theta > 0))
        tn_json_refuse(config, "rope_theta, or rope_parameters with it", e);
    const char *partial = "partial_rotary_factor";
    const double share =
        read_positive(config, partial, read_positive(parameters, partial, 1, e), e);
    if (!e->code && share != 1)
        tn_json_refuse(tn_json_find(is_there(config, partial) ? config : parameters, partial),
                       "1: a head turns as a whole", e);
}

/* ---- windows ---- */

/* Block i has a window by the rule of its kind. */
static bool is_local(const tn_llama *g, int64_t i, int64_t upper, int64_t pattern)
{
    switch (g->kind->windows) {
    case TN_WINDOW_NONE: return false;
    case TN_WINDOW_ALL: return g->window > 0;
    case TN_WINDOW_UPPER: return g->window > 0 && i >= upper;
    case TN_WINDOW_EVEN: return i % 2 == 0;
    case TN_WINDOW_MOST: return (i + 1) % pattern != 0;
    }
    return false;
}

/* layer_types names the attention of every block. */
static void read_layer_types(const tn_model *m, tn_llama *g, const tn_json *types, tn_error *e)
{
    char expected[80];
    snprintf(expected, sizeof expected, "an array of %lld strings", (long long)m->layers);
    if (types->kind != TN_ARRAY || types->count != m->layers) {
        tn_json_refuse(types, expected, e);
        return;
    }
    int64_t i = 0;
    for (const tn_json *v = types->child; v && !e->code; v = v->next, i++) {
        const bool local = v->kind == TN_STRING && !strcmp(v->text, "sliding_attention");
        if (!local && (v->kind != TN_STRING || strcmp(v->text, "full_attention")))
            tn_json_refuse(v, "full_attention or sliding_attention", e);
        else if (local && !g->window)
            tn_json_refuse(v, "full_attention, as there is no sliding_window", e);
        g->blocks[i].local = local;
    }
}

static void read_windows(const tn_model *m, tn_llama *g, const tn_json *config, tn_error *e)
{
    const tn_json *types = tn_json_find(config, "layer_types");
    const tn_json *window = tn_json_find(config, "sliding_window");
    const bool by_switch = g->kind->windows == TN_WINDOW_UPPER;
    bool used = !by_switch;
    if (g->kind->windows == TN_WINDOW_NONE)
        return;
    tn_json_get_bool(config, "use_sliding_window", &used, e);
    if (used && (window || g->kind->window) && !(window && window->kind == TN_NULL))
        g->window = tn_config_size(config, "sliding_window", g->kind->window, 1 << 30, e);
    const int64_t pattern = tn_config_size(config, "sliding_window_pattern", 6, 1 << 12, e);
    int64_t upper = 28;
    tn_json_get_int(config, "max_window_layers", &upper, e);
    for (int64_t i = 0; i < m->layers; i++)
        g->blocks[i].local = g->window && is_local(g, i, upper, pattern);
    if (types && types->kind != TN_NULL)
        read_layer_types(m, g, types, e);
}

/* ---- blocks without rope ---- */

/* no_rope_layers has a 1 for every block that rope turns, despite its name. */
static void read_unturned(const tn_model *m, tn_llama *g, const tn_json *config, tn_error *e)
{
    const tn_json *list = tn_json_find(config, "no_rope_layers");
    const int64_t every = g->kind->unturned;
    if (!every)
        return;
    tn_config_require(config, "use_sliding_window", "false", e);
    const int64_t step = tn_config_size(config, "no_rope_layer_interval", every, 1 << 12, e);
    for (int64_t i = 0; i < m->layers; i++)
        g->blocks[i].unturned = (i + 1) % step == 0;
    if (e->code || !is_there(config, "no_rope_layers"))
        return;
    int64_t i = 0, turned = 0;
    if (list->kind != TN_ARRAY || list->count != m->layers)
        tn_json_refuse(list, "an array with 0 or 1 for each of num_hidden_layers", e);
    for (const tn_json *v = list->child; v && !e->code; v = v->next, i++) {
        if (!tn_json_int(v, &turned) || turned < 0 || turned > 1)
            tn_json_refuse(v, "0 or 1", e);
        g->blocks[i].unturned = !turned;
    }
}

/* ---- all of it ---- */

static void read_sizes(tn_model *m, tn_llama *g, const tn_json *c, tn_error *e)
{
    const tn_llama_kind *k = g->kind;
    m->layers = tn_config_size(c, "num_hidden_layers", k->layers, 1 << 12, e);
    m->heads = tn_config_size(c, "num_attention_heads", k->heads, 1 << 12, e);
    m->kv_heads =
        tn_config_size(c, "num_key_value_heads", k->kv_heads ? k->kv_heads : m->heads, 1 << 12, e);
    m->width = tn_config_size(c, "hidden_size", k->width, 1 << 18, e);
    m->head_size = tn_config_size(c, "head_dim", k->head_size ? k->head_size : m->width / m->heads,
                                  1 << 12, e);
    m->positions = tn_config_size(c, "max_position_embeddings", k->positions, 1 << 24, e);
    m->vocab = m->vocab ? m->vocab : tn_config_size(c, "vocab_size", k->vocab, 1 << 24, e);
    g->inner = tn_config_size(c, "intermediate_size", k->inner, 1 << 20, e);
    if (!e->code && m->heads % m->kv_heads)
        tn_json_refuse(c, "a num_attention_heads that is a multiple of num_key_value_heads", e);
    if (!e->code && m->head_size % 2)
        tn_json_refuse(c, "a head_dim that is even", e);
}

static void read_tokens(tn_model *m, tn_llama *g, const tn_json *c, tn_error *e)
{
    const tn_json *first = tn_json_find(c, "bos_token_id");
    m->end = g->kind->end;
    g->first = first ? -1 : g->kind->first;
    tn_json_get_int(c, "bos_token_id", &g->first, e);
}

int tn_llama_read(tn_model *m, tn_llama *g, const tn_json *c, tn_error *e)
{
    const tn_llama_kind *k = g->kind = find_kind(m->family->type);
    const bool attention_scale = k->four_norms; /* Gemma 2 and 3 */
    read_sizes(m, g, c, e);
    g->blocks = e->code ? NULL : calloc((size_t)m->layers, sizeof *g->blocks);
    if (!g->blocks)
        return tn_fail(e, TN_ENOMEM, "out of memory for the model");
    g->eps = read_positive(c, "rms_norm_eps", k->eps, e);
    g->std = read_positive(c, "initializer_range", 0.02, e);
    m->tied = m->stored ? m->tied : k->tied;
    tn_json_get_bool(c, "tie_word_embeddings", &m->tied, e);
    bool bias = false;
    if (!k->qkv_bias)
        tn_json_get_bool(c, "attention_bias", &bias, e);
    g->qkv_bias = k->qkv_bias || bias;
    g->o_bias = bias;
    tn_json_get_bool(c, "mlp_bias", &g->mlp_bias, e);
    if (attention_scale) {
        g->query_scalar = read_positive(c, "query_pre_attn_scalar", 256, e);
        const bool capped = !strcmp(k->type, "gemma2");
        const bool none = tn_json_find(c, "attn_logit_softcapping") != NULL;
        g->soft_cap = read_positive(c, "attn_logit_softcapping", capped && !none ? 50 : 0, e);
        const bool no_cap = tn_json_find(c, "final_logit_softcapping") != NULL;
        m->logit_cap = read_positive(c, "final_logit_softcapping", capped && !no_cap ? 30 : 0, e);
    }
    read_activation(g, c, e);
    read_rope(g, c, e);
    read_windows(m, g, c, e);
    read_unturned(m, g, c, e);
    read_tokens(m, g, c, e);
    tn_config_require(c, "use_bidirectional_attention", "false", e);
    tn_config_require(c, "use_mrope", "false", e);
    return e->code;
}
