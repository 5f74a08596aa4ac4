/* format_model.c - a model folder and an adapter.
   The files are config.json, weights, the index of several files of weights, adapter_config.json
   and the weights of the adapter. */
#include "tests/fuzz/format_model.h"
#include "tests/fuzz/format_safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG                                                                                     \
    "{'model_type': 'gpt2', 'architectures': ['GPT2LMHeadModel'],\n"                               \
    " 'n_layer': 1, 'n_head': 2, 'n_embd': 4, 'n_positions': 8, 'n_ctx': 8,\n"                     \
    " 'n_inner': null, 'vocab_size': 11, 'activation_function': 'gelu_new',\n"                     \
    " 'layer_norm_epsilon': 1e-5, 'scale_attn_weights': true, 'tie_word_embeddings': true,\n"      \
    " 'eos_token_id': 10, 'bos_token_id': 10, 'resid_pdrop': 0.1}\n"

#define INDEX                                                                                      \
    "{'metadata': {'total_size': 1}, 'weight_map': {\n"                                            \
    " 'transformer.wte.weight': 'one.safetensors',\n"                                              \
    " 'transformer.wpe.weight': 'two.safetensors'}}\n"

#define ADAPTER                                                                                    \
    "{'peft_type': 'LORA', 'task_type': 'CAUSAL_LM', 'r': 2, 'lora_alpha': 4,\n"                   \
    " 'lora_dropout': 0.1, 'bias': 'none', 'fan_in_fan_out': true,\n"                              \
    " 'target_modules': ['c_attn'], 'use_rslora': false, 'use_dora': false,\n"                     \
    " 'rank_pattern': {}, 'alpha_pattern': {}, 'modules_to_save': null,\n"                         \
    " 'init_lora_weights': true, 'inference_mode': true}\n"

static const row config_rows[] = {
    { NULL, "", ":1: found the end at column 1", false },
    { NULL, "[]", "the top value is an array", false },
    { NULL, "{}", "the top value is an object", false },
    { NULL, "'gpt2'", "the top value is the string 'gpt2'", false },
    { "}\n", NULL, ":5: found the end at column 60", false },
    { "'gpt2'", "'gpt3'", "/model_type is the string 'gpt3'", false },
    { "'gpt2'", "7", "/model_type is a number", false },
    { "'gpt2'", "null", "the top value is an object", false },
    { "'model_type': 'gpt2', ", "", "the top value is an object", false },
    { "'n_layer': 1", "'n_layer': 0", "/n_layer is a number", false },
    { "'n_layer': 1", "'n_layer': -1", "/n_layer is a number", false },
    { "'n_layer': 1", "'n_layer': 2",
      "12 tensors are missing, the first is 'transformer.h.1.ln_1.weight'", false },
    { "'n_layer': 1", "'n_layer': 1.5", "/n_layer is a number", false },
    { "'n_layer': 1", "'n_layer': '1'", "/n_layer is the string '1'", false },
    { "'n_layer': 1", "'n_layer': 4097", "/n_layer is a number", false },
    { "'n_layer': 1", "'n_layer': 9223372036854775808", "/n_layer is a number", false },
    { "'n_layer': 1", "'n_layer': 1e0", "/n_layer is a number", false },
    { "'n_layer': 1", "'n_layer': [1]", "/n_layer is an array", false },
    { "'n_layer': 1", "'n_layer': true", "/n_layer is a boolean", false },
    { "'n_layer': 1", "'n_layer': 1, 'n_layer': 1",
      ":2: found the key 'n_layer' again at column 27", false },
    { "'n_head': 2", "'n_head': 3", "the top value is an object", false },
    { "'n_head': 2", "'n_head': 0", "/n_head is a number", false },
    { "'n_head': 2", "'n_head': 8", "the top value is an object", false },
    { "'n_embd': 4", "'n_embd': 8", "the top value is an object", false },
    { "'n_embd': 4", "'n_embd': 262145", "/n_embd is a number", false },
    { "'n_embd': 4", "'n_embd': 262144", "the top value is an object", false },
    { "'n_positions': 8", "'n_positions': 7", "tensor 'transformer.wpe.weight' is (8,4)", false },
    { "'n_positions': 8", "'n_positions': 16777216", "the top value is an object", false },
    { "'n_positions': 8", "'n_positions': 0", "/n_positions is a number", false },
    { "'vocab_size': 11", "'vocab_size': 12", "tensor 'transformer.wte.weight' is (11,4)", false },
    { "'vocab_size': 11", "'vocab_size': 0", "/vocab_size is a number", false },
    { "'vocab_size': 11", "'vocab_size': 1e9", "/vocab_size is a number", false },
    { "'n_inner': null", "'n_inner': 17", "tensor 'transformer.h.0.mlp.c_fc.weight' is (4,16)",
      false },
    { "'n_inner': null", "'n_inner': 0", "/n_inner is a number", false },
    { "'n_inner': null", "'n_inner': '16'", "/n_inner is the string '16'", false },
    { "'gelu_new'", "'mish'", "/activation_function is the string 'mish'", false },
    { "'gelu_new'", "7", "/activation_function is a number", false },
    { "1e-5", "-1", "/layer_norm_epsilon is a number", false },
    { "1e-5", "'1e-5'", "/layer_norm_epsilon is the string '1e-5'", false },
    { "1e-5", "1e999", "/layer_norm_epsilon is a number", false },
    { "1e-5", "1e-5, 'x': nul", ":4: found `n` at column 35", false },
    { "'scale_attn_weights': true", "'scale_attn_weights': false",
      "/scale_attn_weights is a boolean", false },
    { "'tie_word_embeddings': true", "'tie_word_embeddings': false",
      "tensor 'lm_head.weight' is missing", false },
    { "'tie_word_embeddings': true", "'tie_word_embeddings': 1", "/tie_word_embeddings is a number",
      false },
    { "'eos_token_id': 10", "'eos_token_id': '10'", "/eos_token_id is the string '10'", false },
    { "'eos_token_id': 10", "'eos_token_id': -2", "/eos_token_id is a number", false },
    { "'resid_pdrop': 0.1", "'scale_attn_by_inverse_layer_idx': true",
      "/scale_attn_by_inverse_layer_idx is a boolean", false },
    { "'resid_pdrop': 0.1", "'add_cross_attention': true", "/add_cross_attention is a boolean",
      false },
    { "'resid_pdrop': 0.1", "'quantization_config': {}", "/quantization_config is an object",
      false },
    /* valid */
    { "'n_inner': null", "'n_inner': 16", NULL, false },
    { "'gelu_new'", "'gelu_pytorch_tanh'", NULL, false },
    { "'resid_pdrop': 0.1", "'new_key': {'x': [1, 2]}", NULL, false },
    { "'scale_attn_weights': true, ", "", NULL, false },
    { " 'layer_norm_epsilon': 1e-5,", "", NULL, false },
    { "'eos_token_id': 10", "'eos_token_id': null", NULL, false },
    { "'n_ctx': 8", "'n_ctx': 99", NULL, false },
    { "'eos_token_id': 10", "'eos_token_id': [10, 9]", NULL, false },
    { "'architectures': ['GPT2LMHeadModel'],", "'architectures': null,", NULL, false },
    { "{'model", "\t{ 'model", NULL, false },
    END,
};

static const row weight_rows[] = {
    { NULL, "{}\n", "no number in its weight files", false },
    { "'F32'", "'I32'", "tensor 'transformer.h.0.attn.c_attn.bias' is of type I32", false },
    { "wte.weight", "wtf.weight",
      "tensor 'transformer.wtf.weight' has no place in the model that config.json describes",
      false },
    { "transformer.wte.weight", "wpe.weight", "tensor 'wpe.weight' is there twice", false },
    { "[11,4]", "[4,11]", "tensor 'transformer.wte.weight' is (4,11)", false },
    { "[11,4]", "[44]", "tensor 'transformer.wte.weight' is (44)", false },
    { "[11,4]", "[11,4,1]", "tensor 'transformer.wte.weight' is (11,4,1)", false },
    { "wte.weight", "wte\\u0000.weight", ":1: found U+0000 in a key at column 1313", false },
    /* valid */
    { "transformer.wte.weight", "wte.weight", NULL, false },
    { "__metadata__':{'format':'pt'}", "__metadata__':{'format':'x'}", NULL, false },
    END,
};

static const row index_rows[] = {
    { NULL, "", ":1: found the end at column 1", false },
    { NULL, "{}", "the top value is an object", false },
    { NULL, "[]", "the top value is an array", false },
    { "'weight_map'", "'map'", "the top value is an object", false },
    { "'weight_map': {", "'weight_map': [{", ":3: found `}` at column 46", false },
    { "'one.safetensors'", "7", "/weight_map/transformer.wte.weight is a number", false },
    { "'one.safetensors'", "''", "/weight_map/transformer.wte.weight is the string ''", false },
    { "'one.safetensors'", "'none.safetensors'",
      "files that model.safetensors.index.json names are missing: none.safetensors", false },
    { "'one.safetensors'", "'../one.safetensors'",
      "/weight_map/transformer.wte.weight is the string '../one.safetensors'", false },
    { "'one.safetensors'", "'/etc/passwd'",
      "/weight_map/transformer.wte.weight is the string '/etc/passwd'", false },
    { "'one.safetensors'", "'two.safetensors'",
      "tensor 'transformer.wte.weight' is not there, but the index says so", false },
    { "'one.safetensors'", "'config.json'", "a header of 6875982213128462971 bytes", false },
    { "'one.safetensors'", "'one.safetensors\\u0000'",
      "/weight_map/transformer.wte.weight is the string 'one.safetensors\\u0000'", false },
    { "'one.safetensors'", "'.'", "/.: a folder or device", false },
    { "'transformer.wte.weight'", "'wte.weight'",
      "tensor 'wte.weight' is not there, but the index says so", false },
    { "'transformer.wte.weight': 'one.safetensors',", "",
      "tensor 'transformer.wte.weight' is missing", false },
    { ",\n 'transformer.wpe.weight': 'two.safetensors'", "", "the top value is an object", false },
    /* valid */
    { "'metadata': {'total_size': 1}, ", "", NULL, false },
    { "'total_size': 1", "'total_size': 'x'", NULL, false },
    END,
};

static const row adapter_rows[] = {
    { NULL, "", ":1: found the end at column 1", false },
    { NULL, "[]", "the top value is an array", false },
    { "}\n", NULL, ":5: found the end at column 51", false },
    { "'LORA'", "'IA3'", "/peft_type is the string 'IA3'", false },
    { "'LORA'", "7", "/peft_type is a number", false },
    { "'r': 2", "'r': 3",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_A.weight' has 2 rows", false },
    { "'r': 2", "'r': 0",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_A.weight' has 2 rows", false },
    { "'r': 2", "'r': -2",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_A.weight' has 2 rows", false },
    { "'r': 2", "'r': '2'", "/r is the string '2'", false },
    { "'r': 2", "'r': 2.0", "/r is a number", false },
    { "'r': 2", "'r': 2, 'r': 2", ":1: found the key 'r' again at column 62", false },
    { "'r': 2, ", "",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_A.weight' has 2 rows", false },
    { "'lora_alpha': 4", "'lora_alpha': 0", "the scale of transformer.h.0.attn.c_attn is 0",
      false },
    { "'lora_alpha': 4", "'lora_alpha': -4", "the scale of transformer.h.0.attn.c_attn is -2",
      false },
    { "'lora_alpha': 4", "'lora_alpha': '4'", "/lora_alpha is the string '4'", false },
    { "'lora_alpha': 4", "'lora_alpha': 1e999", "/lora_alpha is a number", false },
    { "'lora_alpha': 4", "'lora_alpha': null, 'x': [", ":1: found `,` at column 83", false },
    { "'lora_dropout': 0.1", "'lora_dropout': 1", "/lora_dropout is a number", false },
    { "'lora_dropout': 0.1", "'lora_dropout': -0.1", "/lora_dropout is a number", false },
    { "'lora_dropout': 0.1", "'lora_dropout': true", "/lora_dropout is a boolean", false },
    { "'none'", "'all'", "/bias is the string 'all'", false },
    { "'none'", "'lora_only'", "/bias is the string 'lora_only'", false },
    { "'none'", "false", "/bias is a boolean", false },
    { "'use_rslora': false", "'use_rslora': 1", "/use_rslora is a number", false },
    { "'use_dora': false", "'use_dora': true", "c_attn.lora_magnitude_vector'", false },
    { "'use_dora': false", "'use_dora': 'yes'", "/use_dora is the string 'yes'", false },
    { "'rank_pattern': {}", "'modules_to_save': ['wte'], 'rank_pattern': {}, 'y': 1",
      ":4: found the key 'modules_to_save' again at column 98", false },
    { "'modules_to_save': null", "'modules_to_save': ['wte']", "/modules_to_save is an array",
      false },
    { "'init_lora_weights': true", "'init_lora_weights': 'pissa'",
      "/init_lora_weights is the string 'pissa'", false },
    { "'init_lora_weights': true", "'init_lora_weights': 'olora'",
      "/init_lora_weights is the string 'olora'", false },
    { "'init_lora_weights': true", "'layer_replication': [[0, 1]]",
      "/layer_replication is an array", false },
    { "'init_lora_weights': true", "'lora_bias': true", "/lora_bias is a boolean", false },
    { "'init_lora_weights': true", "'trainable_token_indices': [1]",
      "/trainable_token_indices is an array", false },
    { "'init_lora_weights': true", "'target_parameters': ['x']", "/target_parameters is an array",
      false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'c_attn': '4'}",
      "/alpha_pattern/c_attn is the string '4'", false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'(?i)c': 4}",
      "'(?' in the pattern '(?i)c': not supported", false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'c_[a': 4}",
      "'[a' in the pattern 'c_[a': not a set of characters", false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'c_(a': 4}",
      "'(' in the pattern 'c_(a': never closed", false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'*': 4}",
      "'*' in the pattern '*': nothing is repeated by it", false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'c_{2}': 4}",
      "'{' in the pattern 'c_{2}': not supported", false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'c_\\\\w+': 4}",
      "'\\w' in the pattern 'c_\\w+': not supported", false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'c+?': 4}",
      "'?' in the pattern 'c+?': not supported", false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'^c': 4}", "'^' in the pattern '^c': not supported",
      false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'c)': 4}", "')' in the pattern 'c)': never opened",
      false },
    { "'alpha_pattern': {}", "'alpha_pattern': [4]", "/alpha_pattern is an array", false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'c_attn': -1}",
      "the scale of transformer.h.0.attn.c_attn is -0.5", false },
    { "'alpha_pattern': {}", "'alpha_pattern': 7", "/alpha_pattern is a number", false },
    /* valid */
    { "'use_rslora': false", "'use_rslora': true", NULL, false },
    { "'rank_pattern': {}", "'rank_pattern': {'c_attn': 2}", NULL, false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'c_attn': 8}", NULL, false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'other': 8}", NULL, false },
    { "'alpha_pattern': {}", "'alpha_pattern': null", NULL, false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'c_.*': 4}", NULL, false },
    { "'alpha_pattern': {}", "'alpha_pattern': {'h.[0-9]+.(attn|mlp).c_attn': 4}", NULL, false },
    { "'target_modules': ['c_attn']", "'target_modules': 'all-linear'", NULL, false },
    { "'modules_to_save': null", "'modules_to_save': []", NULL, false },
    { "'init_lora_weights': true", "'init_lora_weights': 'gaussian'", NULL, false },
    { "'inference_mode': true", "'future': {'x': 1}", NULL, false },
    { "'task_type': 'CAUSAL_LM', ", "", NULL, false },
    { "'lora_dropout': 0.1,", "", NULL, false },
    { "'peft_type': 'LORA', ", "", NULL, false },
    END,
};

/* clang-format off */
static const row adapter_weight_rows[] = {
    { NULL, "{}\n", "no tensor", false },
    { "lora_A", "lora_C",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_C.weight' has no place in this m", false },
    { "lora_A", "lora_B",
      ":1: found the key 'base_model.model.transformer.h.0.attn.c_attn.lora_B.weight' again at co", false },
    { "h.0.", "h.1.",
      "tensor 'base_model.model.transformer.h.1.attn.c_attn.lora_A.weight' has no place in this m", false },
    { "base_model.model.", "",
      "tensor 'transformer.h.0.attn.c_attn.lora_A.weight' has no place in this model", false },
    { "[2,4]", "[4,2]",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_A.weight' has 4 rows", false },
    { "[2,4]", "[8]",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_A.weight' has 8 rows", false },
    { "[2,4]", "[1,8]",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_A.weight' has 1 rows", false },
    { "[12,2]", "[2,12]",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_B.weight' is (2,12)", false },
    { "[12,2]", "[24]",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_B.weight' is (24)", false },
    { "'F32'", "'I32'",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_A.weight' is of type I32", false },
    { "c_attn.lora_A", "c_proj.lora_A",
      "tensor 'base_model.model.transformer.h.0.attn.c_proj.lora_A.weight' is there without 'base", false },
    { "lora_A.weight", "lora_A.bias",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_A.bias' has no place in this mod", false },
    { "'F32','shape':[2,4]", "'F64','shape':[2,2]",
      "tensor 'base_model.model.transformer.h.0.attn.c_attn.lora_A.weight' is (2,2)", false },
    END,
};
/* clang-format on */

/* ---- a folder ---- */

tn_model *model_new(tn_context *c)
{
    tn_error e = { 0 };
    char *text = unquoted(CONFIG, true);
    const tn_json *config = tn_json_parse(text, strlen(text), "config.json", 0, &e);
    tn_model *m = tn_model_new(c, config, 0, -1, &e);
    tn_json_free(config);
    free(text);
    if (!m)
        abort();
    return m;
}

static void furnish(const char *folder)
{
    tn_error e = { 0 };
    tn_context *c = model_context();
    tn_model *m = model_new(c);
    tn_model_save(m, folder, TN_FILE_F32, &e);
    tn_lora_add(m, &(tn_lora_options){ .rank = 2, .alpha = 4, .targets = "c_attn" }, &e);
    if (tn_adapter_save(m, folder, TN_FILE_F32, &e))
        abort();
    file_json(folder, "config.json", CONFIG);
    file_json(folder, "adapter_config.json", ADAPTER);
    tn_model_free(m);
    tn_context_free(c);
}

/* Writes the weights into two files. The first one holds the embedding. */
static void furnish_index(const char *folder)
{
    furnish(folder);
    tn_error e = { 0 };
    char *whole = path_in(folder, "model.safetensors");
    tn_safetensors *s = tn_safetensors_open(whole, &e);
    tn_entry entries[64];
    const tn_entry *wte = tn_safetensors_find(s, "transformer.wte.weight");
    int64_t n = 0;
    for (int64_t i = 0; i < tn_safetensors_count(s); i++)
        if (tn_safetensors_at(s, i) != wte)
            entries[n++] = *tn_safetensors_at(s, i);
    char *one = path_in(folder, "one.safetensors"), *two = path_in(folder, "two.safetensors");
    if (tn_safetensors_write(one, wte, 1, NULL, &e) ||
        tn_safetensors_write(two, entries, n, NULL, &e) || remove(whole))
        abort();
    file_json(folder, "model.safetensors.index.json", INDEX);
    tn_safetensors_close(s);
    free(whole);
    free(one);
    free(two);
}

/* ---- use ---- */

static int use(const char *folder, tn_error *e)
{
    tn_context *c = model_context();
    tn_model *m = tn_model_open(c, folder, e);
    if (m)
        model_run(m);
    tn_model_free(m);
    tn_context_free(c);
    return e->code;
}

/* An adapter that was opened is saved; what was saved opens. */
static void save_again(const tn_model *m, const char *folder)
{
    tn_error e = { 0 };
    tn_context *c = model_context();
    tn_model *other = model_new(c);
    char *again = path_in(folder, "again");
    if (tn_adapter_save(m, again, TN_FILE_F32, &e) || tn_adapter_open(other, again, &e)) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    tn_model_free(other);
    tn_context_free(c);
    free(again);
}

int model_use_adapter(const char *folder, tn_error *e)
{
    tn_context *c = model_context();
    tn_model *m = model_new(c);
    const uint64_t before = tn_params_hash(m->params, false);
    if (!tn_adapter_open(m, folder, e)) {
        model_run(m);
        save_again(m, folder);
    } else if (tn_params_hash(m->params, false) != before) {
        abort();
    }
    tn_model_free(m);
    tn_context_free(c);
    return e->code;
}

/* clang-format off */
const format format_config = { .name = "config", .json = true, .file = "config.json", .named = "",
                               .furnish = furnish, .use = use, .rows = config_rows };
/* clang-format on */
const format format_weights = { .name = "weights",
                                .json = true,
                                .file = "model.safetensors",
                                .named = "",
                                .furnish = furnish,
                                .use = use,
                                .pack = safetensors_pack,
                                .unpack = safetensors_unpack,
                                .rows = weight_rows };
const format format_index = { .name = "index",
                              .json = true,
                              .file = "model.safetensors.index.json",
                              .named = "",
                              .furnish = furnish_index,
                              .use = use,
                              .rows = index_rows };
/* clang-format off */
const format format_adapter_config = { .name = "adapter_config", .json = true, .file = "adapter_config.json",
                                       .named = "adapter_", .furnish = furnish,
                                       .use = model_use_adapter, .rows = adapter_rows };
/* clang-format on */
const format format_adapter_weights = { .name = "adapter_weights",
                                        .json = true,
                                        .file = "adapter_model.safetensors",
                                        .furnish = furnish,
                                        .use = model_use_adapter,
                                        .pack = safetensors_pack,
                                        .unpack = safetensors_unpack,
                                        .rows = adapter_weight_rows };
