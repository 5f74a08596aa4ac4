/* output_kinds.c - the names of the files that commands write into their folders. */
#include "apps/folder/carry.h"
#include "apps/report/events.h"
#include "apps/report/report.h"
#include "optim/run/folders.h"

static const char used_head[] = "# what made this folder; a config file of tenon";

/* clang-format off */
/* A file that is written once, as a part of the result. */
#define ONCE(name, sign) { name, true, sign, NULL, NULL, false }
/* A model with the files that carry.c copies. */
#define COPIED(name) ONCE(name, false),
#define MODEL_FILES \
    CARRIED(COPIED) ONCE("model.safetensors", true), ONCE("config.json", false)

const output_kind output_train = {
    .command = "train", .option = "--output-dir", .checkpoints = true,
    .old_file = "config.used", .old_text = used_head,
    .names = { ONCE("model.safetensors", true), ONCE("adapter_model.safetensors", true),
               ONCE("config.json", false), ONCE("adapter_config.json", false),
               ONCE("tokenizer.json", false), ONCE("tokenizer_config.json", false),
               ONCE("profile.txt", false),
               ONCE("older-log.jsonl", false), ONCE("older-config.used", false),
               { "log.jsonl", false, false, "{\"tenon\":", "older-log.jsonl", false },
               { "config.used", false, false, NULL, "older-config.used", false },
               { "log.csv", false, false, REPORT_HEAD, NULL, false },
               { EVENTS_FILE, false, false, "\x18", NULL, false },
               { "loss.svg", false, true, "<svg xmlns=", NULL, false },
               { TN_BEST_FILE, false, false, "checkpoint-", NULL, true },
               { "stdin.jsonl", false, false, NULL, NULL, true },
               { "stdin.txt", false, false, NULL, NULL, true } },
};
const output_kind output_compare = {
    .command = "compare", .option = "--out",
    .older = "of an older study; --resume goes on with one that was stopped, --overwrite replaces it",
    .old_file = "config.used", .old_text = used_head,
    .names = { { "runs.jsonl", false, true, "{\"optimizer\":", NULL, false }, ONCE("table.csv", true),
               { "curves.jsonl", false, false, "{\"optimizer\":", NULL, false },
               { "config.used", false, false, NULL, NULL, false } },
};
const output_kind output_demo = {
    .command = "demo", .option = "the folder", .again = true,
    .old_file = "report.svg", .old_text = "<svg xmlns=",
    .names = { ONCE("report.svg", true) },
};
const output_kind output_fuse = {
    .command = "fuse", .option = "--save-path", .older = "of an older result; --overwrite replaces it",
    .names = { MODEL_FILES },
};
const output_kind output_export = {
    .command = "export", .option = "--save-path", .older = "of an older result; --overwrite replaces it",
    .names = { MODEL_FILES, ONCE("adapter_model.safetensors", true), ONCE("adapter_config.json", false),
               ONCE("adapters.safetensors", true) },
};
/* clang-format on */
