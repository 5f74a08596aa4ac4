/* format_gguf_adapter.c - an adapter file of llama.cpp, as gguf_text.h writes it. */
#include "tests/fuzz/format_model.h"
#include "tests/fuzz/gguf_text.h"

#include <stdlib.h>
#include <string.h>

#define NUMBERS_8 "0000003d000080bd0000c03e000020bf0000403d000000bd0000803e0000803f"
#define ADAPTER                                                                                    \
    "head 3 * *\n"                                                                                 \
    "key general.architecture string llama\n"                                                      \
    "key general.type string adapter\n"                                                            \
    "key adapter.type string lora\n"                                                               \
    "key adapter.lora.alpha f32 4\n"                                                               \
    "tensor blk.0.attn_q.weight.lora_a 0 * 4 2\n"                                                  \
    "tensor blk.0.attn_q.weight.lora_b 0 * 2 4\n"                                                  \
    "data 32 " NUMBERS_8 NUMBERS_8

static const row rows[] = {
    { "string llama", "string qwen2", "general.architecture is qwen2", false },
    { "key general.type string adapter\n", "", "general.type is missing", false },
    { "string adapter", "string model", "general.type is model", false },
    { "string adapter", "u32 7", "general.type is an integer", false },
    { "string lora", "string dora", "adapter.type is dora", false },
    { "key adapter.type string lora\n", "", "adapter.type is missing", false },
    { "alpha f32 4", "alpha f32 -4", "adapter.lora.alpha is -4", false },
    { "alpha f32 4", "alpha string x", "adapter.lora.alpha is", false },
    { "lora_a 0 * 4 2", "lora_a 0 * 2 4", "lora_a\" is (4,2)", false },
    { "lora_a 0 * 4 2", "lora_a 0 * 8", "lora_a\" is (8)", false },
    { "lora_b 0 * 2 4", "lora_b 0 * 4 2", "lora_b\" is (2,4)", false },
    { "lora_b 0 * 2 4", "lora_b 0 * 1 8", "lora_b\" is (8,1)", false },
    { "weight.lora_b", "weight.lora_c", "has no place in this model, or the other factor", false },
    { "blk.0.attn_q.weight.lora_a", "blk.1.attn_q.weight.lora_a", "has no place in this model",
      false },
    { "blk.0.attn_q.weight.lora_a", "token_embd.weight.lora_a", "has no place in this model",
      false },
    { "0000003d", "0000c07f", "lora_a\" holds nan at element 0", false },
    { "0000003d", "0000807f", "lora_a\" holds inf at element 0", false },
    { "alpha f32 4", "alpha f32 0", NULL, false },
    { "key adapter.lora.alpha f32 4\n", "", NULL, false },
    { "lora_a 0 * 4 2", "lora_a 1 * 4 2", NULL, false },
    { "adapter.type string lora\n", "adapter.type string lora\nkey general.name string x\n", NULL,
      false },
    END,
};

/* With the model that it is for: x.gguf. */
static void furnish(const char *folder)
{
    static const char text[] = ADAPTER;
    const bytes file = gguf_pack((bytes){ (char *)(uintptr_t)text, sizeof text - 1 });
    format_find("gguf_model")->furnish(folder);
    file_write(folder, "a.gguf", file);
    free(file.s);
}

/* Opens the adapter. If it is refused, the weights must be as they were. */
static int use(const char *folder, tn_error *e)
{
    tn_error base = { 0 };
    tn_context *c = model_context();
    char *model = path_in(folder, "x.gguf"), *adapter = path_in(folder, "a.gguf");
    tn_model *m = tn_model_open(c, model, &base);
    if (!m)
        abort();
    const uint64_t before = tn_params_hash(m->params, false);
    if (!tn_adapter_open(m, adapter, e))
        model_run(m);
    else if (tn_params_hash(m->params, false) != before)
        abort();
    tn_model_free(m);
    tn_context_free(c);
    free(model);
    free(adapter);
    return e->code;
}

const format format_gguf_adapter = { .name = "gguf_adapter",
                                     .file = "a.gguf",
                                     .furnish = furnish,
                                     .use = use,
                                     .pack = gguf_pack,
                                     .unpack = gguf_unpack,
                                     .rows = rows };
