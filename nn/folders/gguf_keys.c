/* gguf_keys.c - makes the keys of a GGUF file from the config.json of its model.
   gguf_config.c does the reverse. Source: convert_hf_to_gguf.py of ggml-org/llama.cpp.

   What an architecture decides is not in the file: the activation, which layers have a window, how
   Gemma scales its attention. A config that decides otherwise is refused. */
#include "nn/folders/gguf_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct maker {
    tn_gguf_list *l;
    const tn_json *config;
    const char *architecture;
    tn_error *e;
} maker;

/* Which architectures a row is for. */
enum {
    GPT2 = 1,
    LLAMA = 2,
    QWEN = 4,
    GEMMA1 = 8,
    GEMMA2 = 16,
    GEMMA3 = 32,
    SMOLLM3 = 64,
    PHI3 = 128
};
enum {
    GEMMA = GEMMA1 | GEMMA2 | GEMMA3,
    SILU = LLAMA | QWEN | SMOLLM3 | PHI3,
    ROPE = SILU | GEMMA
};

static unsigned set_of(const char *architecture)
{
    static const struct {
        const char *name;
        unsigned set;
    } sets[] = { { "gpt2", GPT2 },     { "llama", LLAMA },  { "qwen2", QWEN },
                 { "qwen3", QWEN },    { "gemma", GEMMA1 }, { "gemma2", GEMMA2 },
                 { "gemma3", GEMMA3 }, { "phi3", PHI3 },    { "smollm3", SMOLLM3 } };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (!strcmp(architecture, sets[i].name))
            return sets[i].set;
    return 0;
}

/* Members that are copied: U32, or F32. */
static const struct {
    unsigned set;
    const char *member, *key;
    bool real;
} copied[] = {
    { GPT2, "n_positions", "context_length", false },
    { GPT2, "n_embd", "embedding_length", false },
    { GPT2, "n_layer", "block_count", false },
    { GPT2, "n_head", "attention.head_count", false },
    { GPT2, "n_inner", "feed_forward_length", false },
    { GPT2, "layer_norm_epsilon", "attention.layer_norm_epsilon", true },
    { ROPE, "hidden_size", "embedding_length", false },
    { ROPE, "num_hidden_layers", "block_count", false },
    { ROPE, "intermediate_size", "feed_forward_length", false },
    { ROPE, "num_attention_heads", "attention.head_count", false },
    { ROPE, "num_key_value_heads", "attention.head_count_kv", false },
    { ROPE, "head_dim", "attention.key_length", false },
    { ROPE, "head_dim", "attention.value_length", false },
    { ROPE, "head_dim", "rope.dimension_count", false },
    { ROPE, "rms_norm_eps", "attention.layer_norm_rms_epsilon", true },
    { ROPE, "rope_theta", "rope.freq_base", true },
    { GEMMA2 | GEMMA3 | PHI3, "sliding_window", "attention.sliding_window", false },
    { GEMMA2, "attn_logit_softcapping", "attn_logit_softcapping", true },
    { GEMMA2, "final_logit_softcapping", "final_logit_softcapping", true },
    { ROPE | GPT2, "vocab_size", "vocab_size", false },
};

/* The key that a member is read from. NULL: none. */
static const char *key_of(unsigned set, const char *member, size_t n)
{
    static const char *const tokens[] = { "bos_token_id", "eos_token_id" };
    static const char *const keys[] = { "tokenizer.ggml.bos_token_id",
                                        "tokenizer.ggml.eos_token_id" };
    for (int i = 0; i < 2; i++)
        if (strlen(tokens[i]) == n && !strncmp(tokens[i], member, n))
            return keys[i];
    if (set & ROPE && n == strlen("max_position_embeddings") &&
        !strncmp(member, "max_position_embeddings", n))
        return "context_length";
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        if (copied[i].set & set && strlen(copied[i].member) == n &&
            !strncmp(copied[i].member, member, n) && strcmp(copied[i].key, "vocab_size") != 0)
            return copied[i].key;
    return NULL;
}

void tn_gguf_name_keys(const tn_json *config, const char *text, tn_text *out)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
    const char *type = "";
    tn_error none = { 0 };
    tn_json_get_string(config, "model_type", &type, &none);
    const char *architecture = tn_gguf_architecture(type);
    for (size_t n; *text; text += n) {
        const size_t slash = *text == '/', word = strspn(text + slash, letters);
        const char *key =
            word && architecture ? key_of(set_of(architecture), text + slash, word) : NULL;
        n = slash + word ? slash + word : 1;
        if (key && strncmp(key, "tokenizer.", 10) != 0)
            tn_text_add(out, "%s.", architecture);
        tn_text_bytes(out, key ? key : text, key ? strlen(key) : n);
    }
}

/* What the architecture decides: the text of a member, where it is there and not null. */
static const struct {
    unsigned set;
    const char *member, *value;
} decided[] = {
    { GPT2, "activation_function", "gelu_new" },
    { SILU, "hidden_act", "silu" },
    { GEMMA, "hidden_act", "gelu_pytorch_tanh" },
    { ROPE, "mlp_bias", "false" },
    { QWEN | GEMMA | SMOLLM3 | PHI3, "attention_bias", "false" },
    { QWEN, "use_sliding_window", "false" },
    { GEMMA1 | GEMMA2, "tie_word_embeddings", "true" },
    { GEMMA3, "attn_logit_softcapping", "null" },
    { GEMMA3, "final_logit_softcapping", "null" },
    { GEMMA3, "rope_local_base_freq", "10000.0" },
};

static const char *full(const maker *m, const char *key, char out[128])
{
    snprintf(out, 128, "%s.%s", m->architecture, key);
    return out;
}

static void refuse(const maker *m, const tn_json *v, const char *value)
{
    char expected[160];
    snprintf(expected, sizeof expected, "%s, which is what a GGUF file of %s stands for", value,
             m->architecture);
    tn_json_refuse(v, expected, m->e);
}

static void check_decided(const maker *m, unsigned set)
{
    for (size_t i = 0; i < sizeof decided / sizeof *decided; i++) {
        const tn_json *v = tn_json_find(m->config, decided[i].member);
        if (!(decided[i].set & set) || !v || v->kind == TN_NULL)
            continue;
        if (!v->text || strcmp(v->text, decided[i].value) != 0)
            refuse(m, v, decided[i].value);
    }
}

/* SmolLM 3: every fourth block is without rope. */
static void check_unturned(const maker *m, unsigned set)
{
    const tn_json *list = set & SMOLLM3 ? tn_json_find(m->config, "no_rope_layers") : NULL;
    int64_t i = 0;
    for (const tn_json *v = list ? list->child : NULL; v; v = v->next, i++)
        if ((v->text[0] == '0') != ((i + 1) % 4 == 0))
            refuse(m, v, "0 in every fourth layer");
}

/* Gemma 2 and 3: the scale of attention is that of a head, and windows are where they always are. */
static void check_gemma(const maker *m, unsigned set)
{
    double scalar = 0, head = 0;
    const int64_t every = set & GEMMA2 ? 2 : 6;
    const tn_json *types = tn_json_find(m->config, "layer_types");
    int64_t i = 0;
    if (!(set & (GEMMA2 | GEMMA3)))
        return;
    tn_json_get_real(m->config, "query_pre_attn_scalar", &scalar, m->e);
    tn_json_get_real(m->config, "head_dim", &head, m->e);
    if (scalar != head)
        refuse(m, tn_json_find(m->config, "query_pre_attn_scalar"), "head_dim");
    for (const tn_json *v = types ? types->child : NULL; v; v = v->next, i++)
        if ((v->text[0] == 's') == ((i + 1) % every == 0))
            refuse(m, v,
                   set & GEMMA2 ? "sliding and full attention in turn"
                                : "full attention in every sixth layer");
    for (size_t k = 0; k < sizeof copied / sizeof *copied; k++) {
        const tn_json *v = tn_json_find(m->config, copied[k].member);
        if (copied[k].set & set && v && v->kind == TN_NULL)
            refuse(m, v, "a number");
    }
}

static void copy(const maker *m, unsigned set)
{
    char name[128];
    for (size_t i = 0; i < sizeof copied / sizeof *copied && !m->e->code; i++) {
        double real = 0;
        if (!(copied[i].set & set))
            continue;
        tn_json_get_real(m->config, copied[i].member, &real, m->e);
        if (copied[i].real)
            tn_gguf_add_real(m->l, full(m, copied[i].key, name), real, m->e);
        else
            tn_gguf_add_int(m->l, full(m, copied[i].key, name), TN_GGUF_U32, (int64_t)real, m->e);
    }
}

/* Mistral is a llama there, without a window: it is the same up to as many positions. */
static void add_positions(const maker *m)
{
    int64_t positions = 0, window = 0;
    char name[128];
    tn_json_get_int(m->config, "max_position_embeddings", &positions, m->e);
    tn_json_get_int(m->config, "sliding_window", &window, m->e);
    if (set_of(m->architecture) == LLAMA && window > 0 && window < positions)
        positions = window;
    tn_gguf_add_int(m->l, full(m, "context_length", name), TN_GGUF_U32, positions, m->e);
}

static void add_scaling(const maker *m, unsigned set)
{
    char name[128];
    const tn_json *scaling = tn_json_find(m->config, "rope_scaling");
    const char *type = "default";
    double factor = 1;
    tn_json_get_string(scaling, "rope_type", &type, m->e);
    tn_json_get_real(scaling, "factor", &factor, m->e);
    if (!strcmp(type, "linear")) {
        tn_gguf_add_string(m->l, full(m, "rope.scaling.type", name), type, strlen(type), m->e);
        tn_gguf_add_real(m->l, full(m, "rope.scaling.factor", name), factor, m->e);
    } else if (!strcmp(type, "llama3") && set != LLAMA) {
        refuse(m, tn_json_find(scaling, "rope_type"), "default or linear");
    }
}

int64_t tn_gguf_divisors(const tn_json *config, int64_t size, tn_real *out)
{
    const tn_json *scaling = tn_json_find(config, "rope_scaling");
    const char *type = "default";
    double theta = 10000, factor = 1, low = 1, high = 4, original = 1;
    tn_error e = { 0 }; /* the config is our own */
    tn_json_get_string(scaling, "rope_type", &type, &e);
    if (strcmp(type, "llama3") != 0)
        return 0;
    tn_json_get_real(config, "rope_theta", &theta, &e);
    tn_json_get_real(scaling, "factor", &factor, &e);
    tn_json_get_real(scaling, "low_freq_factor", &low, &e);
    tn_json_get_real(scaling, "high_freq_factor", &high, &e);
    tn_json_get_real(scaling, "original_max_position_embeddings", &original, &e);
    for (int64_t i = 0; i < size / 2; i++) {
        const double turn = 2 * 3.14159265358979323846 * pow(theta, 2.0 * (double)i / (double)size);
        double share = (original / turn - low) / (high - low);
        share = share < 0 ? 0 : share > 1 ? 1 : share;
        out[i] = (tn_real)(1 / ((1 - share) / factor + share));
    }
    return size / 2;
}

int tn_gguf_add_config(tn_gguf_list *l, const tn_json *config, tn_error *e)
{
    const char *type = "";
    tn_json_get_string(config, "model_type", &type, e);
    const maker m = {
        .l = l, .config = config, .architecture = tn_gguf_architecture(type), .e = e
    };
    if (!m.architecture)
        return tn_json_refuse(tn_json_find(config, "model_type"),
                              "a family that GGUF files have here", e);
    const unsigned set = set_of(m.architecture);
    check_decided(&m, set);
    check_gemma(&m, set);
    check_unturned(&m, set);
    tn_gguf_add_string(l, "general.architecture", m.architecture, strlen(m.architecture), e);
    copy(&m, set);
    if (set & ROPE) {
        add_positions(&m);
        add_scaling(&m, set);
    }
    return e->code;
}
