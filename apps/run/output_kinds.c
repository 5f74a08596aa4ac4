/* output_kinds.c - the names of the files that commands write into their folders. */
#include "apps/run/output.h"

static const char used_head[] = "# what made this folder; a config file of tenon";

/* A model with the files that carry.c copies. */
/* clang-format off */
#define MODEL_FILES \
    { "model.safetensors", true, true }, { "config.json", true, false }, \
    { "generation_config.json", true, false }, { "tokenizer.json", true, false }, \
    { "tokenizer_config.json", true, false }, { "special_tokens_map.json", true, false }, \
    { "added_tokens.json", true, false }, { "vocab.json", true, false }, { "merges.txt", true, false }, \
    { "tokenizer.model", true, false }, { "chat_template.jinja", true, false }

const output_kind output_train = {
    .command = "train", .option = "--output-dir", .checkpoints = true,
    .old_file = "config.used", .old_text = used_head,
    .names = { { "model.safetensors", true, true }, { "adapter_model.safetensors", true, true },
               { "config.json", true, false }, { "adapter_config.json", true, false },
               { "tokenizer.json", true, false }, { "tokenizer_config.json", true, false },
               { "profile.txt", true, false },
               { "older-log.jsonl", true, false }, { "older-config.used", true, false },
               { "log.jsonl", false, false, "{\"tenon\":", "older-log.jsonl" },
               { "config.used", false, false, NULL, "older-config.used" } },
};
const output_kind output_compare = {
    .command = "compare", .option = "--out",
    .older = "of an older study; --resume goes on with one that was stopped, --overwrite replaces it",
    .old_file = "config.used", .old_text = used_head,
    .names = { { "runs.jsonl", false, true, "{\"optimizer\":" }, { "table.csv", true, true },
               { "curves.jsonl", false, false, "{\"optimizer\":" }, { "config.used", false, false } },
};
const output_kind output_demo = {
    .command = "demo", .option = "the folder", .again = true,
    .old_file = "report.svg", .old_text = "<svg xmlns=",
    .names = { { "report.svg", true, true } },
};
const output_kind output_fuse = {
    .command = "fuse", .option = "--save-path", .older = "of an older result; --overwrite replaces it",
    .names = { MODEL_FILES },
};
/* clang-format on */
