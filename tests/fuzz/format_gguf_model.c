/* format_gguf_model.c - a GGUF file that is opened as a model, as gguf_text.h writes it. */
#include "tests/fuzz/format_model.h"
#include "tests/fuzz/gguf_text.h"

#include <stdlib.h>
#include <string.h>

#define NUMBERS_8 "0000003d000080bd0000c03e000020bf0000403d000000bd0000803e0000803f"
#define NUMBERS_48 NUMBERS_8 NUMBERS_8 NUMBERS_8 NUMBERS_8 NUMBERS_8 NUMBERS_8

/* A model with one head of keys, of two numbers. A tensor takes a multiple of 32 bytes. */
#define KEYS(name)                                                                                 \
    "head 3 * *\n"                                                                                 \
    "key general.architecture string " name "\n"                                                   \
    "key " name ".block_count u32 1\n"                                                             \
    "key " name ".context_length u32 8\n"                                                          \
    "key " name ".embedding_length u32 4\n"                                                        \
    "key " name ".feed_forward_length u32 3\n"                                                     \
    "key " name ".attention.head_count u32 2\n"
#define LLAMA(name)                                                                                \
    KEYS(name)                                                                                     \
    "key " name ".attention.head_count_kv u32 1\n"                                                 \
    "key " name ".attention.layer_norm_rms_epsilon f32 1e-5\n"                                     \
    "key " name ".rope.dimension_count u32 2\n"                                                    \
    "key " name ".rope.freq_base f32 10000\n"                                                      \
    "key tokenizer.ggml.bos_token_id u32 1\n"                                                      \
    "key tokenizer.ggml.eos_token_id u32 2\n"                                                      \
    "tensor token_embd.weight 0 * 4 5\n"                                                           \
    "tensor output_norm.weight 0 * 4\n"                                                            \
    "tensor blk.0.attn_norm.weight 0 * 4\n"                                                        \
    "tensor blk.0.ffn_norm.weight 0 * 4\n"                                                         \
    "tensor blk.0.attn_q.weight 0 * 4 4\n"                                                         \
    "tensor blk.0.attn_k.weight 0 * 4 2\n"                                                         \
    "tensor blk.0.attn_v.weight 0 * 4 2\n"                                                         \
    "tensor blk.0.attn_output.weight 0 * 4 4\n"                                                    \
    "tensor blk.0.ffn_gate.weight 0 * 4 3\n"                                                       \
    "tensor blk.0.ffn_up.weight 0 * 4 3\n"                                                         \
    "tensor blk.0.ffn_down.weight 0 * 3 4\n"                                                       \
    "data 32 " NUMBERS_48 NUMBERS_48 NUMBERS_48
#define GPT2                                                                                       \
    KEYS("gpt2")                                                                                   \
    "key gpt2.attention.layer_norm_epsilon f32 1e-5\n"                                             \
    "tensor token_embd.weight 0 * 4 5\n"                                                           \
    "tensor position_embd.weight 0 * 4 8\n"                                                        \
    "tensor output_norm.weight 0 * 4\n"                                                            \
    "tensor output_norm.bias 0 * 4\n"                                                              \
    "tensor blk.0.attn_norm.weight 0 * 4\n"                                                        \
    "tensor blk.0.attn_norm.bias 0 * 4\n"                                                          \
    "tensor blk.0.ffn_norm.weight 0 * 4\n"                                                         \
    "tensor blk.0.ffn_norm.bias 0 * 4\n"                                                           \
    "tensor blk.0.attn_qkv.weight 0 * 4 12\n"                                                      \
    "tensor blk.0.attn_qkv.bias 0 * 12\n"                                                          \
    "tensor blk.0.attn_output.weight 0 * 4 4\n"                                                    \
    "tensor blk.0.attn_output.bias 0 * 4\n"                                                        \
    "tensor blk.0.ffn_up.weight 0 * 4 3\n"                                                         \
    "tensor blk.0.ffn_up.bias 0 * 3\n"                                                             \
    "tensor blk.0.ffn_down.weight 0 * 3 4\n"                                                       \
    "tensor blk.0.ffn_down.bias 0 * 4\n"                                                           \
    "data 32 " NUMBERS_48 NUMBERS_48 NUMBERS_48 NUMBERS_48 NUMBERS_48

static const row rows[] = {
    { "string llama", "string llame", "general.architecture is \"llame\"", false },
    { "string llama", "string bert", "general.architecture is \"bert\"", false },
    { "string llama", "u32 7", "general.architecture is an integer", false },
    { "general.architecture", "general.arkitecture", "general.architecture is \"\"", false },
    { "string llama", "string qwen2", "the key qwen2.block_count is missing", false },
    { "string llama", "string gpt2", "the key gpt2.block_count is missing", false },
    { "llama.block_count", "llama.clock_count", "the key llama.block_count is missing", false },
    { "block_count u32 1", "block_count u32 0", "llama.block_count is a number", false },
    { "block_count u32 1", "block_count u32 2",
      "9 tensors are missing, the first is \"model.layers.1.input_layernorm.weight\"", false },
    { "block_count u32 1", "block_count u32 4097", "llama.block_count is a number", false },
    { "block_count u32 1", "block_count string 1", "llama.block_count is a string", false },
    { "block_count u32 1", "block_count i32 -1", "llama.block_count is a number", false },
    { "block_count u32 1", "block_count array u32 1 1",
      "llama.block_count is an array of 1 integers", false },
    { "llama.context_length", "llama.kontext_length", "the key llama.context_length is missing",
      false },
    { "context_length u32 8", "context_length u32 0", "llama.context_length is a number", false },
    { "context_length u32 8", "context_length u64 18446744073709551615",
      "llama.context_length is an integer", false },
    { "llama.embedding_length", "llama.imbedding_length",
      "the key llama.embedding_length is missing", false },
    { "embedding_length u32 4", "embedding_length u32 8", "tensor \"token_embd.weight\" is (5,4)",
      false },
    { "embedding_length u32 4", "embedding_length u32 0", "llama.embedding_length is a number",
      false },
    { "embedding_length u32 4", "embedding_length f32 4", "llama.embedding_length is a number",
      false },
    { "llama.feed_forward_length", "llama.need_forward_length",
      "the key llama.feed_forward_length is missing", false },
    { "feed_forward_length u32 3", "feed_forward_length u32 4",
      "tensor \"blk.0.ffn_gate.weight\" is (3,4)", false },
    { "feed_forward_length u32 3", "feed_forward_length array u32 1 3",
      "llama.feed_forward_length is an array of 1 integers", false },
    { "attention.head_count u32 2", "attention.head_count u32 0",
      "llama.attention.head_count is a number", false },
    { "attention.head_count u32 2", "attention.head_count u32 3",
      "tensor \"blk.0.attn_q.weight\" is (4,4)", false },
    { "attention.head_count u32 2", "attention.head_count u32 1",
      "tensor \"blk.0.attn_q.weight\" is (4,4)", false },
    { "attention.head_count u32 2", "attention.head_count array u32 1 2",
      "llama.attention.head_count is an array of 1 integers", false },
    { "head_count_kv u32 1", "head_count_kv u32 0", "llama.attention.head_count_kv is a number",
      false },
    { "head_count_kv u32 1", "head_count_kv u32 2", "tensor \"blk.0.attn_k.weight\" is (2,4)",
      false },
    { "epsilon f32 9.99999975e-06", "epsilon f32 0",
      "llama.attention.layer_norm_rms_epsilon is a number", false },
    { "epsilon f32 9.99999975e-06", "epsilon f32 nan",
      "llama.attention.layer_norm_rms_epsilon is a number", false },
    { "epsilon f32 9.99999975e-06", "epsilon string x",
      "llama.attention.layer_norm_rms_epsilon is a string", false },
    { "llama.attention.layer_norm_rms_epsilon", "llama.attention.layer_norm_epsilon",
      "the key llama.attention.layer_norm_rms_epsilon is missing", false },
    { "dimension_count u32 2", "dimension_count u32 1",
      "these keys do not fit together, expected a llama.attention.key_length that", false },
    { "dimension_count u32 2", "dimension_count u32 0", "llama.attention.key_length is a number",
      false },
    { "dimension_count u32 2", "dimension_count u32 4", "tensor \"blk.0.attn_q.weight\" is (4,4)",
      false },
    { "freq_base f32 10000", "freq_base f32 0", "llama.rope.freq_base is a number", false },
    { "freq_base f32 10000", "freq_base f32 inf", "llama.rope.freq_base is a number", false },
    { "key llama.rope.freq_base f32 10000", "key llama.rope.scaling.type string yarn",
      "llama.rope.scaling.type is \"yarn\"", false },
    { "key llama.rope.freq_base f32 10000", "key llama.rope.scaling.type string linear",
      "the key llama.rope.scaling.factor is missing", false },
    { "key llama.rope.freq_base f32 10000", "key llama.attention.value_length u32 4",
      "heads of several sizes", false },
    { "bos_token_id u32 1", "bos_token_id string 1", "tokenizer.ggml.bos_token_id is a string",
      false },
    { "token_embd", "token_embt", "tensor \"token_embd.weight\" is missing", false },
    { "token_embd.weight 0 * 4 5", "token_embd.weight 0 * 20",
      "tensor \"token_embd.weight\" is no matrix", false },
    { "token_embd.weight 0 * 4 5", "token_embd.weight 0 * 5 4",
      "tensor \"token_embd.weight\" is (4,5)", false },
    { "blk.0.attn_q.weight", "blk.1.attn_q.weight",
      "tensor \"blk.1.attn_q.weight\" has no place in the model that config.json describes",
      false },
    { "blk.0.attn_q.weight", "blk.0.attn_q.bias", "tensor \"blk.0.attn_q.bias\" is (4,4)", false },
    { "blk.0.attn_q.weight 0 * 4 4", "blk.0.attn_q.weight 0 * 4 5",
      "tensor \"blk.0.ffn_down.weight\": 48 bytes at byte 544 of the data, which have 576 bytes; ",
      false },
    { "blk.0.attn_q.weight 0 * 4 4", "blk.0.attn_q.weight 0 * 16",
      "tensor \"blk.0.attn_q.weight\" is (16)", false },
    { "attn_q.weight 0 * 4 4", "attn_q.weight 16 * 4 4",
      "offset 783: tensor \"blk.0.attn_q.weight\" has rows of 4 x IQ2_XXS", false },
    { "attn_k.weight 0 * 4 2", "attn_k.weight 0 * 4 0",
      "offset 1728: 32 bytes after the last tensor", false },
    { "attn_k.weight 0 * 4 2", "attn_k.weight 0 * 2 4", "tensor \"blk.0.attn_k.weight\" is (4,2)",
      false },
    { "output_norm.weight 0 * 4", "output_norm.weight 0 * 5",
      "tensor \"output_norm.weight\" is (5)", false },
    { "output_norm.weight", "output_more.weight",
      "tensor \"output_more.weight\" has no place in the model that config.json describes", false },
    { "blk.0.ffn_down.weight 0 * 3 4", "rope_freqs.weight 0 * 3 4",
      "tensor \"rope_freqs.weight\" has 12 numbers", false },
    { "tensor output_norm.weight 0 * 4\n",
      "tensor output_norm.weight 0 * 4\ntensor rope_freqs.weight 0 0 1\n",
      "offset 670: tensor \"rope_freqs.weight\" begins at byte 0 of the data", false },
    { "tensor output_norm.weight 0 * 4\n",
      "tensor output_norm.weight 0 * 4\ntensor blk.0.attn_qkv.weight 0 0 4 12\n",
      "offset 682: tensor \"blk.0.attn_qkv.weight\" begins at byte 0 of the data", false },
    { "0000003d", "0000c07f", "tensor \"token_embd.weight\" holds nan at element 0", false },
    { "0000003d", "0000807f", "tensor \"token_embd.weight\" holds inf at element 0", false },
    { "key llama.rope.freq_base f32 10000\n", "", NULL, false },
    { "key llama.attention.head_count_kv u32 1\n",
      "key llama.attention.key_length u32 2\nkey llama.attention.head_count_kv u32 1\n", NULL,
      false },
    { "bos_token_id u32 1", "bos_token_id u32 4294967295", NULL, false },
    { "eos_token_id u32 2", "eos_token_id u32 99", NULL, false },
    { "output_norm.weight 0 * 4", "output_norm.weight 1 * 4", NULL, false },
    { "token_embd.weight 0 * 4 5", "token_embd.weight 1 * 4 10", NULL, false },
    { NULL, LLAMA("gemma"), NULL, false },
    { NULL, GPT2, NULL, false },
    { NULL, LLAMA("qwen2"),
      "3 tensors are missing, the first is \"model.layers.0.self_attn.q_proj.bias\"", false },
    { NULL, LLAMA("qwen3"),
      "2 tensors are missing, the first is \"model.layers.0.self_attn.q_norm.weight\"", false },
    { NULL, LLAMA("gemma2"),
      "2 tensors are missing, the first is \"model.layers.0.post_attention_layernorm.weight\"",
      false },
    { NULL, LLAMA("gpt2"), "tensor \"position_embd.weight\" is missing", false },
    END,
};

static void furnish(const char *folder)
{
    static const char text[] = LLAMA("llama");
    const bytes file = gguf_pack((bytes){ (char *)(uintptr_t)text, sizeof text - 1 });
    file_write(folder, "x.gguf", file);
    free(file.s);
}

static int use(const char *folder, tn_error *e)
{
    char *path = path_in(folder, "x.gguf");
    model_use(path, e);
    free(path);
    return e->code;
}

/* clang-format off */
const format format_gguf_model = { .name = "gguf_model", .file = "x.gguf", .furnish = furnish, .use = use,
                                   .pack = gguf_pack, .unpack = gguf_unpack, .rows = rows };
/* clang-format on */
