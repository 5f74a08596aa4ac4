/* format_mlx.c - an adapter folder of mlx-lm: adapter_config.json and adapters.safetensors. */
#include "tests/fuzz/format_model.h"
#include "tests/fuzz/format_safetensors.h"

#include <stdlib.h>

#define CONFIG                                                                                     \
    "{'fine_tune_type': 'lora', 'num_layers': 1, 'model': 'x', 'iters': 600,\n"                    \
    " 'lora_parameters': {'rank': 2, 'scale': 20.0, 'dropout': 0.1, 'keys': ['attn.c_attn']}}\n"

#define PLACE "model.h.0.attn.c_attn"

static const row config_rows[] = {
    { NULL, "", ":1: found the end at column 1", false },
    { NULL, "[]", "the top value is an array", false },
    { NULL, "{}", "the top value is an object", false },
    { "}}\n", NULL, ":2: found the end at column 87", false },
    { "'lora', ", "'dora', ", "/fine_tune_type is the string 'dora'", false },
    { "'lora', ", "'full', ", "/fine_tune_type is the string 'full'", false },
    { "'lora', ", "7, ", "/fine_tune_type is a number", false },
    { "'lora_parameters'", "'parameters'", "the top value is an object", false },
    { "{'rank'", "[{'rank'", ":2: found `}` at column 89", false },
    { "'scale': 20.0, ", "", "/lora_parameters is an object", false },
    { "20.0", "0", "/lora_parameters/scale is a number", false },
    { "20.0", "-1", "/lora_parameters/scale is a number", false },
    { "20.0", "1e999", "/lora_parameters/scale is a number", false },
    { "20.0", "'20'", "/lora_parameters/scale is the string '20'", false },
    { "20.0", "null", "/lora_parameters/scale", false },
    { "0.1", "1", "/lora_parameters/dropout is a number", false },
    { "0.1", "-0.1", "/lora_parameters/dropout is a number", false },
    { "0.1", "[]", "/lora_parameters/dropout is an array", false },
    { "'rank': 2", "'rank': 2, 'rank': 2", ":2: found the key 'rank' again", false },
    /* valid */
    { "'fine_tune_type': 'lora', ", "", NULL, false },
    { "'dropout': 0.1, ", "", NULL, false },
    { "'rank': 2", "'rank': 3", NULL, false }, /* that of the tensors counts */
    { "'iters': 600", "'future': {'x': [1]}", NULL, false },
    { "'num_layers': 1", "'num_layers': -1", NULL, false },
    END,
};

/* clang-format off */
static const row weight_rows[] = {
    { NULL, "{}\n", "no tensor; expected lora_a and lora_b", false },
    { "[4,2]", "[2,4]", "tensor '" PLACE ".lora_a' is (2,4)", false },
    { "[4,2]", "[8]", "tensor '" PLACE ".lora_a' is (8)", false },
    { "[4,2]", "[8,1]", "tensor '" PLACE ".lora_a' is (8,1)", false },
    { "[2,12]", "[12,2]", "tensor '" PLACE ".lora_b' is (12,2)", false },
    { "[2,12]", "[2,2,6]", "tensor '" PLACE ".lora_b' is (2,2,6)", false },
    { "lora_a", "lora_c", "2 of 2 tensors have no place in this model", false },
    { "lora_a", "lora_b", "found the key '" PLACE ".lora_b' again", false },
    { "model.h.0.attn.c_attn.lora_a", "transformer.h.0.attn.c_attn.lora_a", "tensors have no place in this model", false },
    { "model.h.0.", "model.h.1.", "2 of 2 tensors have no place in this model", false },
    { "'F32'", "'I32'", "lora_a' is of type I32", false },
    { "'F32'", "'F64'", "has 32 bytes", false },
    { "{'format':'mlx'}", "{'format':7}", "/__metadata__/format is a number", false },
    { "{'format':'mlx'}", NULL, "found the end", false },
    /* valid */
    { "{'format':'mlx'}", "{'format':'pt'}", NULL, false },
    { "'__metadata__':{'format':'mlx'},", "", NULL, false },
    END,
};
/* clang-format on */

static void furnish(const char *folder)
{
    tn_error e = { 0 };
    tn_context *c = model_context();
    tn_model *m = model_new(c);
    tn_lora_add(m, &(tn_lora_options){ .rank = 2, .alpha = 4, .targets = "c_attn" }, &e);
    if (tn_adapter_save_mlx(m, folder, TN_FILE_F32, &e))
        abort();
    file_json(folder, "adapter_config.json", CONFIG);
    tn_model_free(m);
    tn_context_free(c);
}

const format format_mlx_config = { .name = "mlx_config",
                                   .json = true,
                                   .file = "adapter_config.json",
                                   .named = "adapter",
                                   .furnish = furnish,
                                   .use = model_use_adapter,
                                   .rows = config_rows };
const format format_mlx_weights = { .name = "mlx_weights",
                                    .json = true,
                                    .file = "adapters.safetensors",
                                    .furnish = furnish,
                                    .use = model_use_adapter,
                                    .pack = safetensors_pack,
                                    .unpack = safetensors_unpack,
                                    .rows = weight_rows };
