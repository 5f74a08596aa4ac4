/* format_family.c - config.json of Llama and its relatives, without weights. */
#include "tests/fuzz/format_model.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is done with a model ---- */

tn_context *model_context(void)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    if (!c)
        abort();
    return c;
}

void model_run(const tn_model *m)
{
    static const int32_t ids[] = { 1, 0, 0, 0 }, labels[] = { 0, 0, 0, -1 };
    const int64_t width = m->positions < 4 ? m->positions : 4;
    const tn_batch b = {
        .rows = 1, .width = width, .ids = ids, .labels = labels, .tokens = width < 4 ? width : 3
    };
    tn_tape *t = tn_tape_new(m->context);
    tn_tape_train(t, 1);
    tn_tensor *loss = tn_model_loss(m, t, &b, 0);
    if (!tn_tape_error(t))
        tn_backward(t, loss);
    if (tn_tape_error(t) && tn_tape_code(t) != TN_ENONFINITE && m->vocab > 1)
        abort();
    tn_tape_free(t);
}

enum { MOST = 1 << 16 }; /* numbers; a larger model is a sketch only */

int model_use(const char *path, tn_error *e)
{
    tn_context *c = model_context();
    tn_model *sketch = tn_model_sketch(c, path, e);
    tn_model *m = NULL;
    if (sketch && tn_params_size(sketch->params) <= MOST)
        m = tn_model_open(c, path, e);
    if (m)
        model_run(m);
    tn_model_free(sketch);
    tn_model_free(m);
    tn_context_free(c);
    return e->code;
}

/* ---- config.json ---- */

#define SIZES                                                                                      \
    "'hidden_size': 4, 'num_attention_heads': 2, 'num_key_value_heads': 1, 'head_dim': 2,\n"       \
    " 'intermediate_size': 3, 'num_hidden_layers': 2, 'vocab_size': 5,\n"                          \
    " 'max_position_embeddings': 8, 'rms_norm_eps': 1e-5, "

#define LLAMA                                                                                      \
    "{'model_type': 'llama', " SIZES "'rope_theta': 10000.0,\n"                                    \
    " 'rope_scaling': {'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0,\n"            \
    "  'high_freq_factor': 4.0, 'original_max_position_embeddings': 4},\n"                         \
    " 'hidden_act': 'silu', 'attention_bias': false, 'mlp_bias': false,\n"                         \
    " 'tie_word_embeddings': false, 'bos_token_id': 1, 'eos_token_id': [2, 3]}\n"

#define GEMMA3                                                                                     \
    "{'model_type': 'gemma3_text', " SIZES "'rope_theta': 1e6,\n"                                  \
    " 'rope_local_base_freq': 10000.0, 'rope_scaling': {'type': 'linear', 'factor': 8},\n"         \
    " 'hidden_activation': 'gelu_pytorch_tanh', 'query_pre_attn_scalar': 2,\n"                     \
    " 'attn_logit_softcapping': null, 'final_logit_softcapping': null,\n"                          \
    " 'sliding_window': 3, 'sliding_window_pattern': 2,\n"                                         \
    " 'layer_types': ['sliding_attention', 'full_attention'], 'eos_token_id': 1}\n"

static const row llama_rows[] = {
    { NULL, "", ":1: found the end at column 1", false },
    { NULL, "[]", "the top value is an array", false },
    { NULL, "{}", "the top value is an object", false },
    { NULL, "{'model_type': 'llama'}", "the top value is an object", false },
    { "'llama'", "'llama4'", "/model_type is the string 'llama4'", false },
    { "'llama'", "'phi'", "/model_type is the string 'phi'", false },
    { "'llama'", "'gpt2'", "/hidden_act is the string 'silu'", false },
    { "'hidden_size': 4", "'hidden_size': 0", "/hidden_size is a number", false },
    { "'hidden_size': 4", "'hidden_size': 262145", "/hidden_size is a number", false },
    { "'hidden_size': 4", "'hidden_size': 4.5", "/hidden_size is a number", false },
    { "'hidden_size': 4", "'hidden_size': '4'", "/hidden_size is the string '4'", false },
    { "'num_attention_heads': 2", "'num_attention_heads': 0", "/num_attention_heads is a number",
      false },
    { "'num_attention_heads': 2", "'num_attention_heads': 4097", "/num_attention_heads is a number",
      false },
    { "'num_attention_heads': 2", "'num_attention_heads': 9223372036854775808",
      "/num_attention_heads is a number", false },
    { "'num_key_value_heads': 1", "'num_key_value_heads': 3", "the top value is an object", false },
    { "'num_key_value_heads': 1", "'num_key_value_heads': -1", "/num_key_value_heads is a number",
      false },
    { "'num_key_value_heads': 1", "'num_key_value_heads': [1]", "/num_key_value_heads is an array",
      false },
    { "'head_dim': 2", "'head_dim': 3", "the top value is an object", false },
    { "'hidden_size': 4, 'num_attention_heads': 2, 'num_key_value_heads': 1, 'head_dim': 2",
      "'hidden_size': 1, 'num_attention_heads': 2",
      "the top value is an object, expected a head_dim from 1 to 4096, not 0", false },
    { "'head_dim': 2", "'head_dim': 0", "/head_dim is a number", false },
    { "'head_dim': 2", "'head_dim': 4098", "/head_dim is a number", false },
    { "'intermediate_size': 3", "'intermediate_size': 0", "/intermediate_size is a number", false },
    { "'intermediate_size': 3", "'intermediate_size': 1048577", "/intermediate_size is a number",
      false },
    { "'num_hidden_layers': 2", "'num_hidden_layers': 0", "/num_hidden_layers is a number", false },
    { "'num_hidden_layers': 2", "'num_hidden_layers': true", "/num_hidden_layers is a boolean",
      false },
    { "'vocab_size': 5", "'vocab_size': 0", "/vocab_size is a number", false },
    { "'vocab_size': 5", "'vocab_size': 16777217", "/vocab_size is a number", false },
    { "'max_position_embeddings': 8", "'max_position_embeddings': 0",
      "/max_position_embeddings is a number", false },
    { "1e-5", "0", "/rms_norm_eps is a number", false },
    { "1e-5", "-1e-5", "/rms_norm_eps is a number", false },
    { "1e-5", "1e999", "/rms_norm_eps is a number", false },
    { "1e-5", "'1e-5'", "/rms_norm_eps is the string '1e-5'", false },
    { "'rope_theta': 10000.0", "'rope_theta': 0", "/rope_theta is a number", false },
    { "'rope_theta': 10000.0", "'rope_theta': '1'", "/rope_theta is the string '1'", false },
    { "'rope_theta': 10000.0,", "", "the top value is an object", false },
    { "'llama3'", "'yarn'", "/rope_scaling/rope_type is the string 'yarn'", false },
    { "'llama3'", "'dynamic'", "/rope_scaling/rope_type is the string 'dynamic'", false },
    { "'llama3'", "7", "/rope_scaling/rope_type is a number", false },
    { "'factor': 8.0", "'factor': 0", "/rope_scaling/factor is a number", false },
    { "'factor': 8.0, ", "", "/rope_scaling is an object", false },
    { "'factor': 8.0", "'factor': '8'", "/rope_scaling/factor is the string '8'", false },
    { "'low_freq_factor': 1.0", "'low_freq_factor': 4.0", "/rope_scaling is an object", false },
    { "'low_freq_factor': 1.0", "'low_freq_factor': -1",
      "/rope_scaling/low_freq_factor is a number", false },
    { "'high_freq_factor': 4.0, ", "", "/rope_scaling is an object", false },
    { "'original_max_position_embeddings': 4", "'original_max_position_embeddings': 0",
      "/rope_scaling/original_max_position_embeddings is a number", false },
    { "'rope_scaling': {", "'partial_rotary_factor': 0.5, 'rope_scaling': {",
      "/partial_rotary_factor is a number", false },
    { "'rope_scaling': {", "'rope_parameters': {'rope_type': 'longrope'}, 'rope_scaling': {",
      "/rope_parameters/rope_type is the string 'longrope'", false },
    { "{'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0,\n  'high_freq_factor': 4.0, 'original_max_position_embeddings': 4}",
      "'llama3'", "/rope_scaling is the string 'llama3'", false },
    { "'silu'", "'gelu_fast'", "/hidden_act is the string 'gelu_fast'", false },
    { "'silu'", "7", "/hidden_act is a number", false },
    { "'attention_bias': false", "'attention_bias': 1", "/attention_bias is a number", false },
    { "'mlp_bias': false", "'mlp_bias': 'no'", "/mlp_bias is the string 'no'", false },
    { "'tie_word_embeddings': false", "'tie_word_embeddings': 0",
      "/tie_word_embeddings is a number", false },
    { "'bos_token_id': 1", "'bos_token_id': '1'", "/bos_token_id is the string '1'", false },
    { "'bos_token_id': 1", "'bos_token_id': 1.5", "/bos_token_id is a number", false },
    { "[2, 3]", "[2, '3']", "/eos_token_id/1 is the string '3'", false },
    { "[2, 3]", "-2", "/eos_token_id is a number", false },
    { "[2, 3]", "{}", "/eos_token_id is an object", false },
    { "'silu'", "'silu', 'quantization_config': {'bits': 4}", "/quantization_config is an object",
      false },
    { "'silu'", "'silu', 'use_mrope': true", "/use_mrope is a boolean", false },
    { "'silu'", "'silu', 'use_bidirectional_attention': true",
      "/use_bidirectional_attention is a boolean", false },
    { "'silu'", "'silu', 'hidden_act': 'relu'", ":6: found the key 'hidden_act' again at column 38",
      false },
    { "'head_dim': 2,", "", NULL, false },
    { "'num_key_value_heads': 1, ", "", NULL, false },
    { "'silu'", "'gelu'", NULL, false },
    { "'attention_bias': false", "'attention_bias': true", NULL, false },
    { "'mlp_bias': false", "'mlp_bias': true", NULL, false },
    { "'tie_word_embeddings': false", "'tie_word_embeddings': true", NULL, false },
    { "[2, 3]", "null", NULL, false },
    { "'bos_token_id': 1", "'bos_token_id': null", NULL, false },
    { "'llama3'", "'linear'", NULL, false },
    { "'llama3'", "'default'", NULL, false },
    { "'llama'", "'mistral'", NULL, false },
    { "'llama'", "'qwen2'", NULL, false },
    { "'llama'", "'qwen3'", NULL, false },
    { "'llama'", "'gemma'", NULL, false },
    { "'llama'", "'gemma2'", NULL, false },
    { "'llama'", "'gemma3_text'", NULL, false },
    { "'llama'", "'phi3'", NULL, false },
    { "'llama'", "'smollm3'", NULL, false },
    { "'llama'", "'smollm3', 'no_rope_layers': [0, 1]", NULL, false },
    { "'llama'", "'smollm3', 'no_rope_layers': [1]", "/no_rope_layers is an array", false },
    { "'llama'", "'smollm3', 'no_rope_layers': [1, '0']", "/no_rope_layers/1 is the string '0'",
      false },
    { "'llama'", "'smollm3', 'no_rope_layer_interval': -1", "/no_rope_layer_interval is a number",
      false },
    { "'llama'", "'smollm3', 'use_sliding_window': true", "/use_sliding_window is a boolean",
      false },
    END,
};

static const row gemma_rows[] = {
    { "'gemma3_text'", "'gemma4'", "/model_type is the string 'gemma4'", false },
    { "'gemma3_text'", "'gemma3'", "/model_type is the string 'gemma3'", false },
    { "1e6", "0", "/rope_theta is a number", false },
    { "1e6", "-5", "/rope_theta is a number", false },
    { "'rope_local_base_freq': 10000.0", "'rope_local_base_freq': 0",
      "/rope_local_base_freq is a number", false },
    { "'rope_local_base_freq': 10000.0", "'rope_local_base_freq': '1'",
      "/rope_local_base_freq is the string '1'", false },
    { "'linear'", "'llama3'", "/rope_scaling is an object", false },
    { "'linear'", "'yarn'", "/rope_scaling/type is the string 'yarn'", false },
    { "'factor': 8", "'factor': -8", "/rope_scaling/factor is a number", false },
    { "'factor': 8", "'factors': 8", "/rope_scaling is an object", false },
    { "'gelu_pytorch_tanh'", "'quick_gelu'", "/hidden_activation is the string 'quick_gelu'",
      false },
    { "'gelu_pytorch_tanh'", "[]", "/hidden_activation is an array", false },
    { "'query_pre_attn_scalar': 2", "'query_pre_attn_scalar': 0",
      "/query_pre_attn_scalar is a number", false },
    { "'query_pre_attn_scalar': 2", "'query_pre_attn_scalar': '2'",
      "/query_pre_attn_scalar is the string '2'", false },
    { "'attn_logit_softcapping': null", "'attn_logit_softcapping': -50",
      "/attn_logit_softcapping is a number", false },
    { "'attn_logit_softcapping': null", "'attn_logit_softcapping': 'x'",
      "/attn_logit_softcapping is the string 'x'", false },
    { "'final_logit_softcapping': null", "'final_logit_softcapping': 0",
      "/final_logit_softcapping is a number", false },
    { "'final_logit_softcapping': null", "'final_logit_softcapping': true",
      "/final_logit_softcapping is a boolean", false },
    { "'sliding_window': 3", "'sliding_window': 0", "/sliding_window is a number", false },
    { "'sliding_window': 3", "'sliding_window': 1073741825", "/sliding_window is a number", false },
    { "'sliding_window': 3", "'sliding_window': '3'", "/sliding_window is the string '3'", false },
    { "'sliding_window': 3", "'sliding_window': null",
      "/layer_types/0 is the string 'sliding_attention'", false },
    { "'sliding_window_pattern': 2", "'sliding_window_pattern': 0",
      "/sliding_window_pattern is a number", false },
    { "'sliding_window_pattern': 2", "'sliding_window_pattern': 4097",
      "/sliding_window_pattern is a number", false },
    { "['sliding_attention', 'full_attention']", "['sliding_attention']",
      "/layer_types is an array", false },
    { "['sliding_attention', 'full_attention']",
      "['sliding_attention', 'full_attention', 'full_attention']", "/layer_types is an array",
      false },
    { "['sliding_attention', 'full_attention']", "['sliding_attention', 'chunked_attention']",
      "/layer_types/1 is the string 'chunked_attention'", false },
    { "['sliding_attention', 'full_attention']", "[1, 2]", "/layer_types/0 is a number", false },
    { "['sliding_attention', 'full_attention']", "{}", "/layer_types is an object", false },
    { "['sliding_attention', 'full_attention']", "'full_attention'",
      "/layer_types is the string 'full_attention'", false },
    { "'eos_token_id': 1", "'eos_token_id': [1, -1]", "/eos_token_id/1 is a number", false },
    { "'eos_token_id': 1", "'use_bidirectional_attention': true",
      "/use_bidirectional_attention is a boolean", false },
    { "'gemma3_text'", "'gemma2'", NULL, false },
    { "'gemma3_text'", "'gemma'", NULL, false },
    { "'gemma3_text'", "'qwen3'", "/layer_types/0 is the string 'sliding_attention'", false },
    { "'layer_types': ['sliding_attention', 'full_attention'], ", "", NULL, false },
    { "'layer_types': ['sliding_attention', 'full_attention']", "'layer_types': null", NULL,
      false },
    { "'attn_logit_softcapping': null", "'attn_logit_softcapping': 50.0", NULL, false },
    { "'final_logit_softcapping': null", "'final_logit_softcapping': 30.0", NULL, false },
    { "'rope_theta': 1e6,",
      "'rope_parameters': {'full_attention': {'rope_theta': 1e6}, 'sliding_attention': {'rope_theta': 7}},",
      NULL, false },
    { NULL, "{'model_type': 'gemma3', 'text_config': " GEMMA3 ", 'vision_config': {}}", NULL,
      false },
    { NULL, "{'model_type': 'gemma3', 'text_config': [" GEMMA3 "]}",
      "/model_type is the string 'gemma3'", false },
    { NULL, "{'model_type': 'gemma3', 'text_config': {'model_type': 'gemma3'}}",
      "/model_type is the string 'gemma3'", false },
    { NULL, "{'model_type': 'gemma3', 'text_config': {}}", "/text_config is an object", false },
    END,
};

static void furnish_llama(const char *folder)
{
    file_json(folder, "config.json", LLAMA);
}

static void furnish_gemma(const char *folder)
{
    file_json(folder, "config.json", GEMMA3);
}

/* clang-format off */
const format format_llama_config = { .name = "llama_config", .json = true, .file = "config.json", .named = "",
                                     .furnish = furnish_llama, .use = model_use, .rows = llama_rows };
const format format_gemma_config = { .name = "gemma_config", .json = true, .file = "config.json", .named = "",
                                     .furnish = furnish_gemma, .use = model_use, .rows = gemma_rows };
/* clang-format on */
