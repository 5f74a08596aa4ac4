/* gguf_config.c - makes the config.json of a model from the keys and shapes of its GGUF file.
   Source: convert_hf_to_gguf.py of ggml-org/llama.cpp, which makes the keys from config.json. What
   a file does not say because the architecture decides it is left to the defaults of the family. */
#include "data/formats/json.h"
#include "nn/folders/gguf_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct maker {
    const tn_gguf *g;
    const char *architecture;
    tn_text out;
    tn_error *e;
} maker;

/* "llama.KEY" of the file. */
static const char *full(const maker *m, const char *key, char out[128])
{
    snprintf(out, 128, "%s.%s", m->architecture, key);
    return out;
}

static bool has(const maker *m, const char *key)
{
    char name[128];
    return tn_gguf_value_of(m->g, full(m, key, name)) != NULL;
}

static void require(const maker *m, const char *key)
{
    char name[128];
    if (!has(m, key))
        tn_fail(m->e, TN_EFORMAT, "%s: the key %s is missing; expected a model", tn_gguf_path(m->g),
                full(m, key, name));
}

static int64_t get_int(const maker *m, const char *key, int64_t otherwise)
{
    char name[128];
    tn_gguf_get_int(m->g, full(m, key, name), &otherwise, m->e);
    return otherwise;
}

static void add_int(maker *m, const char *name, int64_t value)
{
    tn_text_add(&m->out, ", \"%s\": %lld", name, (long long)value);
}

/* A member NAME with the integer of a key, if the file has it. */
static void copy_int(maker *m, const char *name, const char *key)
{
    if (has(m, key))
        add_int(m, name, get_int(m, key, 0));
}

/* The shortest text that is this float: 1e-05 and not 9.9999997e-06. */
static void add_real(maker *m, const char *name, double value)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == (float)value)
            break;
    }
    tn_text_add(&m->out, ", \"%s\": %s", name, text);
}

static void copy_real(maker *m, const char *name, const char *key)
{
    char path[128];
    double value = 0;
    tn_gguf_get_real(m->g, full(m, key, path), &value, m->e);
    if (has(m, key))
        add_real(m, name, value);
}

/* Rows of a tensor. 0, and an error, if it is not there or no matrix. */
static int64_t rows(const maker *m, const char *name)
{
    const tn_entry *t = tn_gguf_find(m->g, name);
    if (!t || t->ndim != 2)
        tn_fail(m->e, TN_EFORMAT, "%s: tensor \"%s\" is %s; expected a matrix", tn_gguf_path(m->g),
                name, t ? "no matrix" : "missing");
    return t && t->ndim == 2 ? t->dim[0] : 0;
}

/* What all architectures have. Token ids outside the vocabulary mean none. */
static void add_common(maker *m)
{
    static const char *const needed[] = { "block_count", "embedding_length", "attention.head_count",
                                          "context_length" };
    const int64_t vocab = rows(m, "token_embd.weight");
    int64_t first = -1, end = -1;
    for (int i = 0; i < 4; i++)
        require(m, needed[i]);
    tn_gguf_get_int(m->g, "tokenizer.ggml.bos_token_id", &first, m->e);
    tn_gguf_get_int(m->g, "tokenizer.ggml.eos_token_id", &end, m->e);
    add_int(m, "vocab_size", vocab);
    if (first >= 0 && first < vocab)
        add_int(m, "bos_token_id", first);
    if (end >= 0 && end < vocab)
        add_int(m, "eos_token_id", end);
    tn_text_add(&m->out, ", \"tie_word_embeddings\": %s",
                tn_gguf_find(m->g, "output.weight") ? "false" : "true");
}

static void add_gpt2(maker *m)
{
    add_int(m, "n_positions", rows(m, "position_embd.weight"));
    copy_int(m, "n_embd", "embedding_length");
    copy_int(m, "n_layer", "block_count");
    copy_int(m, "n_head", "attention.head_count");
    copy_int(m, "n_inner", "feed_forward_length");
    copy_real(m, "layer_norm_epsilon", "attention.layer_norm_epsilon");
    tn_text_add(&m->out, ", \"activation_function\": \"gelu_new\"");
}

/* ---- rope ---- */

enum { LOW = 1, HIGH = 4 }; /* factors of Llama 3.1 and 3.2 */

/* The context that was there before: from the first frequency that is neither kept nor divided by
   the whole factor, else between the last that is kept and the first that is divided. */
static double original_positions(const float *by, int64_t n, double theta)
{
    const double factor = (double)by[n - 1];
    double before = 0;
    for (int64_t i = 0; i < n; i++) {
        const double turn = 2 * 3.14159265358979323846 * pow(theta, (double)i / (double)n);
        const double d = (double)by[i], share = (1 / d - 1 / factor) / (1 - 1 / factor);
        if (share > 1e-4 && share < 1 - 1e-4)
            return rint(turn * (LOW + (HIGH - LOW) * share));
        if (share <= 1e-4)
            return rint(i ? sqrt(HIGH * before * LOW * turn) : LOW * turn / 2);
        before = turn;
    }
    return 0;
}

/* Are these the divisors of the frequencies that Llama 3's rule makes? */
static bool is_llama3(const float *by, int64_t n, double theta, double original)
{
    const double factor = (double)by[n - 1];
    for (int64_t i = 0; i < n; i++) {
        const double turn = 2 * 3.14159265358979323846 * pow(theta, (double)i / (double)n);
        double share = (original / turn - LOW) / (HIGH - LOW);
        share = share < 0 ? 0 : share > 1 ? 1 : share;
        const double want = 1 / ((1 - share) / factor + share);
        if (!(fabs((double)by[i] - want) <= 1e-3 * want))
            return false;
    }
    return true;
}

/* Llama 3's rule is in the file as a tensor of what it makes. */
static void add_llama3(maker *m, const tn_entry *freqs)
{
    tn_real numbers[1024];
    float by[1024];
    double theta = 10000;
    char name[128];
    const int64_t n = tn_entry_count(freqs);
    if (freqs->ndim != 1 || n < 1 || n > 1024)
        tn_fail(m->e, TN_EFORMAT, "%s: tensor \"%s\" has %lld numbers; expected 1 to 1024",
                tn_gguf_path(m->g), freqs->name, (long long)n);
    tn_gguf_get_real(m->g, full(m, "rope.freq_base", name), &theta, m->e);
    if (m->e->code || tn_gguf_real(m->g, freqs, numbers, m->e))
        return;
    bool plain = true;
    for (int64_t i = 0; i < n; i++) {
        by[i] = (float)numbers[i];
        plain = plain && by[i] == 1;
    }
    if (plain)
        return;
    const double original = original_positions(by, n, theta);
    if (!is_llama3(by, n, theta, original)) {
        tn_fail(m->e, TN_EFORMAT, "%s: tensor \"%s\": expected the scaling of Llama 3.1 (1 and 4)",
                tn_gguf_path(m->g), freqs->name);
        return;
    }
    tn_text_add(&m->out, ", \"rope_scaling\": {\"rope_type\": \"llama3\"");
    add_real(m, "factor", (double)by[n - 1]);
    tn_text_add(&m->out,
                ", \"low_freq_factor\": %d, \"high_freq_factor\": %d, "
                "\"original_max_position_embeddings\": %.0f}",
                LOW, HIGH, original);
}

static void add_rope(maker *m)
{
    char name[128];
    const char *type = "none";
    const tn_entry *freqs = tn_gguf_find(m->g, "rope_freqs.weight");
    const bool global = !strcmp(m->architecture, "gemma3");
    copy_real(m, "rope_theta", "rope.freq_base");
    if (!has(m, "rope.freq_base"))
        add_real(m, "rope_theta", global ? 1e6 : 1e4);
    tn_gguf_get_string(m->g, full(m, "rope.scaling.type", name), &type, m->e);
    if (!strcmp(type, "linear")) {
        require(m, "rope.scaling.factor");
        tn_text_add(&m->out, ", \"rope_scaling\": {\"rope_type\": \"linear\"");
        copy_real(m, "factor", "rope.scaling.factor");
        tn_text_add(&m->out, "}");
    } else if (strcmp(type, "none") != 0) {
        tn_fail(m->e, TN_EFORMAT, "%s: %s is \"%s\"; expected none or linear", tn_gguf_path(m->g),
                name, type);
    } else if (freqs) {
        add_llama3(m, freqs);
    }
}

/* ---- Llama and its relatives ---- */

static void add_llama(maker *m)
{
    const int64_t width = get_int(m, "embedding_length", 0),
                  heads = get_int(m, "attention.head_count", 1);
    const int64_t turned = get_int(m, "rope.dimension_count", heads > 0 ? width / heads : 0);
    const int64_t head = get_int(m, "attention.key_length", turned);
    const bool four_norms =
        !strcmp(m->architecture, "gemma2") || !strcmp(m->architecture, "gemma3");
    require(m, "feed_forward_length");
    require(m, "attention.layer_norm_rms_epsilon");
    copy_int(m, "hidden_size", "embedding_length");
    copy_int(m, "intermediate_size", "feed_forward_length");
    copy_int(m, "num_hidden_layers", "block_count");
    copy_int(m, "num_attention_heads", "attention.head_count");
    add_int(m, "num_key_value_heads", get_int(m, "attention.head_count_kv", heads));
    add_int(m, "head_dim", head);
    if (get_int(m, "attention.value_length", head) != head ||
        get_int(m, "rope.dimension_count", head) != head)
        tn_fail(m->e, TN_EFORMAT,
                "%s: heads of several sizes; expected key, value and rope of %lld",
                tn_gguf_path(m->g), (long long)head);
    copy_int(m, "max_position_embeddings", "context_length");
    copy_real(m, "rms_norm_eps", "attention.layer_norm_rms_epsilon");
    if (tn_gguf_find(m->g, "blk.0.attn_q.bias"))
        tn_text_add(&m->out, ", \"attention_bias\": true");
    if (four_norms) {
        copy_int(m, "sliding_window", "attention.sliding_window");
        add_int(m, "query_pre_attn_scalar", head);
        copy_real(m, "attn_logit_softcapping", "attn_logit_softcapping");
        copy_real(m, "final_logit_softcapping", "final_logit_softcapping");
    }
    if (!strcmp(m->architecture, "phi3") && get_int(m, "attention.sliding_window", 0) > 0)
        copy_int(m, "sliding_window", "attention.sliding_window");
    add_rope(m);
}

const tn_json *tn_gguf_config(const tn_gguf *g, tn_error *e)
{
    maker m = { .g = g, .architecture = "", .e = e };
    tn_gguf_get_string(g, "general.architecture", &m.architecture, e);
    const char *type = tn_gguf_model_type(m.architecture);
    if (!type)
        tn_fail(e, TN_EFORMAT,
                "%s: general.architecture is \"%s\"; expected gpt2, llama, smollm3, phi3, qwen2, "
                "qwen3, gemma, gemma2 or gemma3",
                tn_gguf_path(g), m.architecture);
    if (e->code)
        return NULL;
    tn_text_add(&m.out, "{\"model_type\": \"%s\"", type);
    add_common(&m);
    if (!strcmp(m.architecture, "gpt2"))
        add_gpt2(&m);
    else
        add_llama(&m);
    tn_text_add(&m.out, "}");
    const char *text = tn_text_done(&m.out, tn_gguf_path(g), e);
    const tn_json *config =
        text && !e->code ? tn_json_parse(text, m.out.n, tn_gguf_path(g), 0, e) : NULL;
    tn_json_rename(config, tn_gguf_name_keys);
    tn_text_free(&m.out);
    return config;
}
