/* test_bad_input.c - every command with bad input, one row per fault.
   A row has a shell command that breaks good files, the command to test, and part of its message.
   There are m (a config, random weights), o (a trained model), a (an adapter on o), t.txt and
   r.jsonl. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

typedef struct row {
    const char *prepare; /* a shell command */
    const char *arguments;
    int status;
    const char *line; /* part of the one line on standard error */
    bool begins;      /* the run begins before it fails, so its folder exists */
} row;

#define TRAIN_M "train --model m --tokenizer chars --iters 2 -o x "
#define TRAIN_O "train --model o --iters 2 -o x --data "
#define COMPARE "compare --model o --data d --iters 1 --lr-grid 1e-3 --out x "
#define RATES "compare --model o --data d --iters 1 --optimizers sgd --out x --lr-grid "
#define TWO_PARTS "mkdir d; cp r.jsonl d/train.jsonl; cp r.jsonl d/valid.jsonl"
#define SET(file, from, to) "sed -i 's/" from "/" to "/' " file

/* clang-format off */
static const row rows[] = {
    /* model folders */
    { "", "train --model none --data t.txt --iters 2 -o x", 1, "none: No such file or directory",
      false },
    { "", "train --model t.txt --data t.txt -o x", 1, "t.txt: not a folder", false },
    { "", "generate --model o/model.safetensors --prompt a", 1,
      "o/model.safetensors: weights alone; expected the folder that has them", false },
    { ": >x.PT", "eval --model x.PT --data r.jsonl", 1,
      "x.PT: weights in a pickle, which is not read; expected a folder", false },
    { ": >pytorch_model.bin", "fuse --model pytorch_model.bin --adapter-path o --save-path p", 1,
      "pytorch_model.bin: weights in a pickle", false },
    { "mkdir e", "generate --model e --prompt a", 1,
      "e: config.json and model.safetensors are missing", false },
    { ": >m/config.json", TRAIN_M "--data t.txt", 1, "m/config.json:1: found the end at column 1",
      false },
    { "head -c 60 m/config.json >c; mv c m/config.json", TRAIN_M "--data t.txt", 1,
      "found the end at column 61; expected a key in quotes", false },
    { SET("m/config.json", "n_head\": 2", "n_head\": \"2\""), TRAIN_M "--data t.txt", 1,
      "/n_head is the string \"2\", expected an integer", false },
    { SET("m/config.json", "n_head\": 2", "n_head\": 2, \"n_head\": 2"), TRAIN_M "--data t.txt", 1,
      "found the key \"n_head\" again", false },
    { SET("m/config.json", "gpt2", "gpt9"), TRAIN_M "--data t.txt", 1, "gpt9", false },
    { SET("m/config.json", "n_head\": 2", "n_head\": 3"), TRAIN_M "--data t.txt", 1,
      "expected an n_embd that is a multiple of n_head", false },
    { SET("m/config.json", "n_layer\": 2", "n_layer\": 1000000000000"), TRAIN_M "--data t.txt", 1,
      "/n_layer is a number, expected an integer from 1 to 4096, not 1000000000000", false },
    { SET("m/config.json", "n_layer\": 2", "n_layer\": -2"), TRAIN_M "--data t.txt", 1,
      "/n_layer is a number, expected an integer from 1 to 4096, not -2", false },
    { SET("m/config.json", "1e-5", "\"1e-5\""), TRAIN_M "--data t.txt", 1,
      "/layer_norm_epsilon is the string \"1e-5\", expected a number", false },
    { SET("m/config.json", "gelu_new", "mish"), TRAIN_M "--data t.txt", 1,
      "/activation_function is", false },
    { "printf '{\"a\":%0100d' 0 | tr 0 '[' >m/config.json", TRAIN_M "--data t.txt", 1,
      "nested too deeply", false },
    { "printf '{\"a\":\"\\377\"}' >m/config.json", TRAIN_M "--data t.txt", 1,
      "found byte 0xFF at column 7", false },
    { "rm o/model.safetensors; : >o/pytorch_model.bin", TRAIN_O "r.jsonl", 1,
      "weights in pytorch_model.bin", false },
    { ": >m/model.gguf", TRAIN_M "--data t.txt", 1,
      "m: weights in model.gguf; expected model.safetensors", false },
    { "cp o/model.safetensors m/model-00001-of-00001.safetensors", TRAIN_M "--data t.txt", 1,
      "m: weights in model-00001-of-00001.safetensors; expected model.safetensors", false },

    { ": >m/model.safetensors.part", TRAIN_M "--data t.txt", 1, "m: weights in model.safetensors.part; expected", false },
    { ": >m/pytorch_model.bin.gz", TRAIN_M "--data t.txt", 1, "m: weights in pytorch_model.bin.gz; expected", false },
    { ": >m/model.ckpt.data-00000-of-00001", TRAIN_M "--data t.txt", 1, "m: weights in model.ckpt.data-0", false },
    { "echo '{\"weight_map\": {}}' >m/model.safetensors.index.json", TRAIN_M "--data t.txt", 1,
      "/weight_map is an object, expected at least one tensor", false },
    { "echo '{\"weight_map\": {}}' >o/model.safetensors.index.json; rm o/model.safetensors", "eval --model o --data r.jsonl", 1,
      "/weight_map is an object, expected at least one tensor", false },

    /* weights */
    { SET("o/model.safetensors", "F32", "I32"), TRAIN_O "r.jsonl", 1,
      "is of type I32; expected F64, F32, F16 or BF16", false },
    { "head -c 5000 o/model.safetensors >c; mv c o/model.safetensors", TRAIN_O "r.jsonl", 1,
      "data_offsets [192,3264]; expected in [0,2440]; the file may be cut short", false },
    { "head -c 200 o/model.safetensors >c; mv c o/model.safetensors", TRAIN_O "r.jsonl", 1,
      "a header of 2552 bytes; expected at most 192; the file may be cut short", false },
    { "echo more >>o/model.safetensors", TRAIN_O "r.jsonl", 1, "the file's end", false },
    { SET("o/config.json", "n_positions\": 64", "n_positions\": 32"), TRAIN_O "r.jsonl", 1,
      "wpe.weight\" is (64,16); expected (32,16)", false },
    { SET("o/config.json", "n_embd\": 16", "n_embd\": 1600"), TRAIN_O "r.jsonl", 1,
      "expected sizes that fit the weights beside it", false },
    { SET("o/config.json", "n_layer\": 2", "n_layer\": 3"), TRAIN_O "r.jsonl", 1, "12 tensors are missing, the first is",
      false },
    { SET("o/config.json", "n_layer\": 2", "n_layer\": 1"), TRAIN_O "r.jsonl", 1,
      "has no place in the model", false },
    { "printf '\\000\\000\\300\\177' | dd of=o/model.safetensors bs=1 conv=notrunc "
      "seek=$(($(stat -c %s o/model.safetensors) - 4)) 2>c",
      TRAIN_O "r.jsonl", 1, "holds nan at element 239", false },

    /* tokenizers */
    { "rm o/tokenizer.json", TRAIN_O "r.jsonl", 1, "o: no tokenizer.json", false },
    { "head -c 200 o/tokenizer.json >c; mv c o/tokenizer.json", TRAIN_O "r.jsonl", 1,
      "o/tokenizer.json:5: found the end at column", false },
    { "truncate -s 300M o/tokenizer.json", TRAIN_O "r.jsonl", 1,
      "o/tokenizer.json: 314572800 bytes; expected at most 268435456, which no model's tokenizer.json needs: copy it again", false },
    { SET("o/tokenizer.json", "\"BPE\"", "\"WordPiece\""), TRAIN_O "r.jsonl", 1, "WordPiece",
      false },
    { "cp o/tokenizer*.json m; " SET("m/config.json", "size\": 97", "size\": 9"),
      "train --model m --iters 2 -o x --data r.jsonl", 1, "m: vocab_size is 9; expected at least",
      false },
    { "", TRAIN_O "r.jsonl --tokenizer bytes", 2, "has its own tokenizer.json", false },

    /* data */
    { ": >e.txt", TRAIN_M "--data e.txt", 1, "e.txt: an empty text", false },
    { "echo short >s.txt", TRAIN_M "--data s.txt", 1, "s.txt: a text of", false },
    { "printf 'ab\\377cd' >u.txt", TRAIN_M "--data u.txt", 1, "u.txt: byte 2: malformed UTF-8",
      false },
    { "printf 'a\\000b' >u.txt", TRAIN_M "--data u.txt", 1, "u.txt: byte 1: a zero byte", false },
    { "printf '\\377\\376a\\000' >u.txt", TRAIN_M "--data u.txt", 1, "u.txt: a text in UTF-16; expected UTF-8",
      false },
    { "printf '\\377\\376{\\000' >u.jsonl", TRAIN_M "--data u.jsonl", 1,
      "u.jsonl: a text in UTF-16; expected UTF-8", false },
    { "printf '\\376\\377\\000a' >c", TRAIN_M "--data t.txt --config c", 1, "c: a text in UTF-16; expected UTF-8",
      false },
    { "printf '\\377\\376a\\000' >u", "generate --model o --prompt - <u", 1, "--prompt: a text in UTF-16", false },
    { "echo '{\"text\":\"a\\u0000\"}' >>r.jsonl", TRAIN_M "--data r.jsonl", 1,
      "r.jsonl:24: the character U+0000; expected text for a vocabulary", false },
    { "printf a >a.txt", "eval --model o --data a.txt", 1, "a.txt: byte 0: U+0061", false },
    { "printf 1 >a.txt", "eval --model o --data a.txt", 1, "a.txt: a text of 1 token; expected at least 2",
      false },
    { "head -c 90 t.txt >s.txt", TRAIN_M "--data s.txt --max-seq-length 64 --valid-split 0.01", 1,
      "s.txt: a text of 1 token; expected at least 2 (in its end from 99 % on, by --valid-split)", false },
    { "mkdir d; cp r.jsonl d/train.jsonl; ln -s none d/valid.jsonl", TRAIN_O "d", 1,
      "d/valid.jsonl: a link to ", false },
    { "echo '{\"text\":\"caf\xc3\xa9\"}' >v.jsonl", TRAIN_O "v.jsonl", 1,
      "v.jsonl:1: in the text: byte 0: U+0063", false },
    { "echo '{\"text\"' >>r.jsonl", TRAIN_O "r.jsonl", 1,
      "r.jsonl:24: found the end at column 8; expected ':'", false },
    { "echo '{\"text\":\"1\"' >>r.jsonl", TRAIN_O "r.jsonl", 1,
      "r.jsonl:24: found the end at column 12; expected ',' or '}'", false },
    { "echo '{\"text\":\"1\"}}' >>r.jsonl", TRAIN_O "r.jsonl", 1,
      "r.jsonl:24: found '}' at column 13; expected nothing behind the value", false },
    { "echo '{\"prompt\":true,\"completion\":\"\"}' >>r.jsonl", TRAIN_O "r.jsonl", 1,
      "r.jsonl:24: \"prompt\" is a boolean; expected a text", false },
    { "echo '{\"txt\":\"a\"}' >>r.jsonl", TRAIN_O "r.jsonl", 1,
      "r.jsonl:24: no member that is known; expected", false },
    { "echo '{}' >'expected a chat template.jsonl'", TRAIN_O "'expected a chat template.jsonl'", 1,
      "\"instruction\", \"prompt\" or \"text\"\n", false },
    { ": >e.jsonl", TRAIN_O "e.jsonl", 1, "e.jsonl: 0 bytes; expected at least 1", false },
    { "", TRAIN_O "r.jsonl --max-seq-length 4", 1,
      "r.jsonl: all records were skipped (23); expected one with a text or an answer to learn in a row of at most "
      "4 tokens",
      false },
    { "mkdir d", TRAIN_O "d", 1, "d: no file of the train part; expected train.jsonl", false },
    { "", TRAIN_O "none", 1, "none: No such file or directory; expected a .txt, a .jsonl, a .bin", false },
    { "", TRAIN_M "--data none/none.txt", 1, "none/none.txt: No such file or directory; expected a .txt", false },
    { "cp r.jsonl r.csv", TRAIN_O "r.csv", 2,
      "r.csv: expected a .txt, a .jsonl, a .bin of token ids, a folder or task:NAME", false },
    { "truncate -s 2G h.jsonl", TRAIN_O "h.jsonl", 1,
      "h.jsonl:1: a line of more than 33554432 bytes; expected fewer", false },
    { "echo 7 >>r.jsonl", TRAIN_O "r.jsonl", 1,
      "r.jsonl:24: not an object but a number; expected a JSON object with \"messages\"", false },
    { "mkfifo p.txt", TRAIN_M "--data p.txt", 1, "p.txt: a folder or device", false },
    { "", TRAIN_M "--data task:lokup", 2, "task \"lokup\": unknown; did you mean lookup?", false },
    { "", TRAIN_M "--data task:lookup:0", 2, "expected task:NAME or task:NAME:COUNT", false },

    /* options */
    { "", "", 2, "a command is missing", false },
    { "", "trian", 2, "command \"trian\": unknown; did you mean train?", false },
    { "", TRAIN_M "--data t.txt --batch-sise 2", 2,
      "--batch-sise: unknown option; did you mean --batch-size?", false },
    { "export TN_ISA=mmx", TRAIN_M "--data t.txt", 2, "TN_ISA is \"mmx\"; expected scalar", false },
    { "", TRAIN_M "--data", 2, "--data: a value is missing", false },
    { "", "train --data t.txt -o x", 2, "--model is missing; expected a model folder", false },
    { "", "train --model m -o x", 2, "--data is missing", false },
    { "", "train --model m --data t.txt", 2, "--output-dir or --dry-run is missing; expected a folder for", false },
    { "printf 'seed = 1\\nsead = 2\\n' >c", TRAIN_M "--data t.txt --config c", 1,
      "c:2: sead: unknown option; did you mean --seed?", false },
    { "echo seed >c", TRAIN_M "--data t.txt --config c", 1, "c:1: \"seed\"; expected name = value",
      false },
    { "printf 'seed = 1\\000' >c", TRAIN_M "--data t.txt --config c", 1, "c: a zero byte at 8",
      false },
    { "truncate -s 2M c", TRAIN_M "--data t.txt --config c", 1,
      "c: 2097152 bytes; expected at most 1048576", false },
    { "", TRAIN_M "--data t.txt --epochs 1", 2, "--iters and --epochs: use only one",
      false },
    { "", TRAIN_M "--data t.txt --warmup-steps 3", 2,
      "--warmup-steps 3: expected at most the 2 steps", false },
    { "", TRAIN_M "--data t.txt --lr-decay-steps 1", 2,
      "--lr-decay-steps: only for --lr-scheduler wsd", false },
    { "", TRAIN_M "--data t.txt --lr-scheduler wsd --lr-decay-steps 3", 2,
      "--lr-decay-steps 3: expected at most", false },
    { "", TRAIN_M "--data t.txt --lr-min 1", 2, "--lr-min 1: expected at most the learning rate",
      false },
    { "", TRAIN_M "--data t.txt --lora-rank 2", 2, "--lora-rank: only for --fine-tune-type lora",
      false },
    { "", TRAIN_M "--data t.txt --max-seq-length 65", 2,
      "--max-seq-length 65: expected at most the model's 64", false },
    { "", TRAIN_O "r.jsonl --target-modules v_proj", 1,
      "target \"v_proj\" matches no layer", false },
    { "", TRAIN_O "r.jsonl --lora-rank 99 --optimizer lora-rite", 1,
      "rank 99 is above min(in, out)", false },
    { "", TRAIN_O "r.jsonl --max-grad-norm 1 --optimizer lora-rite", 2,
      "lora-rite: --max-grad-norm is 1: clipping raw gradients breaks the invariance", false },
    { "", TRAIN_O "r.jsonl --weight-decay 0.1 --opt weight_decay=1", 2,
      "adamw: \"weight_decay=1\" beside --weight-decay 0.1; use only one", false },
    { "", TRAIN_O "r.jsonl --opt beta3=1", 2,
      "adamw has no setting \"beta3\"", false },
    { "", TRAIN_O "r.jsonl --opt beta1=2", 2,
      "adamw: beta1 is 2; expected at least 0 and below 1", false },
    { "", TRAIN_O "r.jsonl --optimizer adamW", 2,
      "optimizer \"adamW\": unknown; did you mean adamw?", false },
    { "", TRAIN_O "r.jsonl --optimizer lora-write", 2,
      "optimizer \"lora-write\": unknown; did you mean lora-rite?", false },

    /* output */
    { "", "train --model o --data r.jsonl -o /proc/x/y", 1, "/proc/x: cannot make the folder",
      false },
    { ": >f", "train --model o --data r.jsonl -o f", 1, "f: a file; expected a folder", false },
    { "", "train --model o --data r.jsonl --overwrite -o ./o", 2,
      "--output-dir ./o: the folder of --model", false },
    { "", "train --model o --data r.jsonl -o ''", 2, "--output-dir: \"\"; expected DIR", false },
    { "", TRAIN_O "r.jsonl --resume --overwrite", 2,
      "--resume and --overwrite: use only one", false },
    { "", TRAIN_O "r.jsonl --resume", 1, "x: No such file or directory; expected the folder of a run to resume", false },
    { "mkdir x", TRAIN_O "r.jsonl --resume", 1, "x: no complete checkpoint", true },
    { "\"$T\" " TRAIN_M "--data t.txt >c; rm x/model.safetensors; "
      "echo >>x/checkpoint-2/model.safetensors",
      TRAIN_M "--data t.txt --resume", 1,
      "remove checkpoint-2 to resume an older one, or start anew with --overwrite", true },
    { "mkdir -p x/log.jsonl", TRAIN_O "r.jsonl", 1, "x/log.jsonl: in the way of what tenon train",
      true },
    { "ulimit -f 2", TRAIN_O "r.jsonl", 1, "x/log.jsonl: cannot write: File too large", true },
    { "ulimit -f 8", TRAIN_O "r.jsonl --fine-tune-type full", 1, "File too large", true },
    { "", "task lookup --count 500 >/dev/full", 1, "standard output: ", false },

    /* other commands */
    { SET("a/adapter_config.json", "\"use_dora\": *false", "\"use_dora\": true"),
      "generate --model o --prompt 1 --adapter-path a", 1,
      "is there without \"base_model.model.transformer.h.0.attn.c_attn.lora_magnitude_vector", false },
    { SET("a/adapter_config.json", "\"none\"", "\"all\""),
      "generate --model o --prompt 1 --adapter-path a", 1,
      "/bias is the string \"all\", expected", false },
    { SET("a/adapter_model.safetensors", "h.1", "h.7"),
      "generate --model o --prompt 1 --adapter-path a", 1,
      "lora_A.weight\" has no place in this model", false },
    { SET("a/adapter_config.json", "\"r\": *8", "\"r\": 4"),
      "generate --model o --prompt 1 --adapter-path a", 1,
      "has 8 rows; expected r of adapter_config.json, 4", false },
    { "", "generate --model a --prompt 1", 1, "a: a LoRA adapter; expected a model folder", false },
    { "cp o/tokenizer*.json m", "generate --model m --prompt 1", 1,
      "m: no model.safetensors; expected trained weights", false },
    { "cp o/tokenizer*.json m", "eval --model m --data r.jsonl", 1,
      "m: no model.safetensors; expected trained weights", false },
    { "", "generate --prompt a", 2, "--model is missing", false },
    { "", "generate --model m --prompt a", 1, "m: no tokenizer.json; expected one, or --adapter-path with the adapter that has it\n", false },
    { "", "train --model m --data t.txt -o q", 1, "m: no tokenizer.json; expected one, or --tokenizer bytes|chars\n", false },
    { "", "export --model o --save-path q", 2, "--format is missing; expected one of safetensors|gguf|peft|gguf-lora|mlx\n", false },
    { "mkdir q; ln -s q l", "train --model o --data r.jsonl --iters 1 -o l", 1, "l: a link to q; expected a folder, or nothing yet (the result takes the place of the folder, and would take that of the link)", false },
    { "", "generate --model o", 2, "--prompt or --prompt-file is missing; expected a text to continue", false },
    { "", "generate --model o --prompt XYZ", 1, "--prompt: byte 0: U+0058 (\"X\") is not in the vocabulary",
      false },
    { "", "generate --model o --prompt $(printf '%070d' 0)", 1,
      "--prompt: 70 tokens; expected at most the model's 64", false },
    { "", "eval --data r.jsonl", 2, "--model is missing", false },
    { "", "eval --model o --data r.jsonl --task lookup", 2,
      "--data and --task: use only one", false },
    { "", "eval --model o --data r.jsonl --split valid", 2, "has no valid part", false },
    { "mkdir d; cp r.jsonl d/valid.jsonl", "eval --model o --data d", 1,
      "d: no file of the test part; expected test.jsonl, test.json, test.txt or test.bin; found "
      "valid.jsonl (--split valid reads valid.jsonl)\n",
      false },
    { "mkdir d; touch d/a.txt d/B.JSON d/._train.bin d/x.csv", "eval --model o --data d --split train", 1,
      "d: no file of the train part; expected train.jsonl, train.json, train.txt or train.bin; found B.JSON, a.txt\n", false },
    { "mkdir d; touch d/a_val_000000.bin d/train0.bin", TRAIN_O "d", 1,
      "train.txt or train.bin, also NAME_train.bin, or shards train_NUMBER.bin or NAME_train_NUMBER.bin; found a_val_000000.bin, train0.bin\n", false },
    { "mkdir d; touch d/x.csv", "eval --model o --data d", 1, "test.bin; found no .jsonl, .json, .txt or .bin\n", false },
    { "mkdir d; cp t.txt d/x_train_1.bin; cp t.txt d/y_train_2.bin", TRAIN_O "d", 2,
      "d: x_train_1.bin and y_train_2.bin; expected one of them", false },
    { "cp t.txt x.bin", "train --model m -o q --data x.bin", 1,
      "m: no tokenizer.json; expected the one that the token ids of x.bin were made with, or --tokenizer bytes", false },
    { "mkdir d; cp t.txt d/val_1.bin; rm o/tokenizer.json", "eval --model o --data d", 1,
      "o: no tokenizer.json; expected the one that the token ids of d were made with\n", false },
    { "", "eval --model o --task lookup", 1,
      "lookup: in the prompt: byte 0: U+0067 (\"g\") is not in the vocabulary", false },
    { "", "compare --data r.jsonl --out x", 2, "--model is missing", false },
    { "", "compare --model o --out x", 2, "--data or --task is missing; expected a .txt, .jsonl or .bin", false },
    { "", "compare --model o --task lookup", 2, "--out is missing; expected a folder for runs.jsonl", false },
    { "", "eval --model o", 2, "--data or --task is missing; expected a .txt", false },
    { "", "compare --model o --data r.jsonl --out x", 2, "expected validation data too", false },
    { "", COMPARE "--optimizers adamw --opt adam.beta1=0.5", 2,
      "\"adam\" is not among the optimizers of this study", false },
    { TWO_PARTS, COMPARE "--optimizers adamw,lora-rite --opt lora-rite.beta1=x", 2,
      "lora-rite: \"beta1=x\" is not a setting; expected beta1=NUMBER", false },
    { TWO_PARTS "; mkdir -p x/curves.jsonl", COMPARE "--optimizers adamw", 1,
      "x/curves.jsonl: in the way of what tenon compare writes", true },
    { TWO_PARTS "; ulimit -f 8", COMPARE "--optimizers adamw --iters 60 --steps-per-report 1", 1,
      "x/curves.jsonl: cannot write: File too large", true },
    { "", "compare --model o --data r.jsonl --out x --lr-grid 1:2", 2,
      "--lr-grid \"1:2\": expected LO:HI:logN", false },
    { "", COMPARE "--optimizers adamw,sgd,adamw", 2, "--optimizers: adamw twice; expected each once",
      false },
    { "", COMPARE "--optimizers ' sgd , sgd'", 2, "--optimizers: sgd twice; expected each once", false },
    { "", RATES "1e-3,1e-2,0.001", 2, "the rate 0.001 twice", false },
    { "", RATES "1e-3,1.0e-03", 2, "the rate 0.001 twice", false },
    { "", RATES "1:1.0001:log5", 2, "the rate 1 twice (rates of a logN have four digits)",
      false },
    { "", RATES "1e-3,1e31", 2, "at most 32, from 1e-12 to 1e+30", false },
    { "", RATES "1e-13:1:log4", 2, "at most 32, from 1e-12 to 1e+30", false },
    { "echo 'optimizers = lion,lion' >k", COMPARE "--config k", 2, "--optimizers: lion twice", false },
    { "", "lab paths --optimizers lion,lion", 2, "--optimizers: lion twice", false },
    { "mkdir x; : >x/config.used", COMPARE "--optimizers sgd", 1, "x/config.used: in the way", true },
    { "", "inspect r.jsonl", 1,
      "r.jsonl: expected a folder, a .safetensors file, a .gguf file, or --data FILE --model FOLDER", false },
    { "", "inspect none", 1, "none: No such file or directory; expected a folder", false },
    { "mkdir e", "inspect e", 1, "e: an empty folder", false },
    { "", "demo", 1, "table.csv: cannot open; expected to run in the folder of tenon's source",
      false },
    { "", "inspect", 2, "a path is missing", false },
    { "", "inspect --data r.jsonl", 2, "expected --model or --tokenizer", false },
    { "", "inspect o --data r.jsonl --split valid", 2, "has no valid part", false },
    { "", "inspect o --model o", 2, "--model o: expected no PATH beside it", false },
    { "", "optimizers adam --markdown", 2, "--markdown: expected no NAME", false },
    { "", "help frobnicate", 2, "command \"frobnicate\": unknown; see tenon --help", false },
    { "", "bench step --width 64 --iters 1", 2, "--width 64: expected a multiple of the 12 heads (--heads)", false },
    { "", "lab invarience", 2, "experiment \"invarience\": unknown; did you mean invariance?", false },
    { "", "lab paths --svg none/x.svg", 1, "none/x.svg: cannot write: No such file", false },
    { "", "lab paths --optimizers adam,,sgd", 2, "optimizer \"\": unknown", false },
    { "", "lab paths --optimizers sgd,sgd,sgd,sgd,sgd,sgd,sgd,sgd,sgd", 2, "expected at most 8", false },
    { "", "lab paths --optimizers scaled-gd,lora-rite,adamw,lion,lamb,rmsprop,loraplus", 2,
      "expected at most 8, with sgd,adam", false },
    { "", "lab paths --optimizers 'adam sgd'", 2, "optimizer \"adam sgd\": unknown", false },
    { "", "lab paths --opt lora-rite.lr=1", 2, "expected rates by --learning-rate", false },
    { "", "lab paths --opt lora-rite.eps=-1", 2, "eps is -1; expected above 0", false },
    { "echo valid-split = 0.1 >c", TRAIN_O "task:lookup --config c", 2, "--valid-split: only for a .txt, a .bin or a .jsonl", false },
    { "mkdir d; cp r.jsonl d/train.jsonl", TRAIN_O "d --valid-split 0.1", 2, "--valid-split: only for a .txt",
      false },
    { "head -n 1 r.jsonl >one.jsonl", TRAIN_M "--data one.jsonl --valid-split 0.5", 2,
      "--valid-split 0.5: no record is left to train on; expected a smaller share", false },
    { "", "generate --model o --prompt 1 --top-p 0", 2, "--top-p: \"0\"; expected a number from 1e-06 to 1", false },
    { "", TRAIN_M "--data task:lookup --valid-split 0.1", 2,
      "--valid-split: only for a .txt, a .bin or a .jsonl; a task has a valid split of its own", false },
    { "", "eval --model o --task lookup --valid-split 0.1", 2, "--valid-split: only for a .txt", false },
    { TWO_PARTS, "compare --model o --data d --out x --valid-split 0.1", 2, "--valid-split: only for a .txt",
      false },
    { "", TRAIN_M "--data t.txt --data none.txt", 1, "none.txt: No such file or directory; expected a .txt", false },
    { "", TRAIN_O "r.jsonl -f=t.dat", 1, "t.dat: No such file or directory; expected a .txt", false },
    { "", TRAIN_O "r.jsonl --data-format messages", 2, "--data-format: \"messages\"; expected chat|sharegpt|alpaca|completion|text", false },
    { "", TRAIN_O "r.jsonl --data-format chat", 1, "r.jsonl:1: \"messages\" is missing; expected a list of messages", false },
    { "", TRAIN_O "r.jsonl --data-format sharegpt", 1, "r.jsonl:1: \"conversations\" is missing; expected a list of messages", false },
    { "", TRAIN_O "r.jsonl --data-format alpaca", 1, "r.jsonl:1: \"instruction\" and \"input\" are empty; expected a text in one", false },
    { "echo '{\"text\":\"1\"}' >>r.jsonl", TRAIN_O "r.jsonl --data-format completion", 1, "r.jsonl:24: \"prompt\" is missing; expected a text", false },
    { "", TRAIN_O "r.jsonl --data-format text", 1, "r.jsonl:1: \"text\" is missing; expected a text", false },
    { "", TRAIN_O "t.txt --data-format text", 2, "--data-format text: only for records, in a .jsonl or .json", false },
    { "", TRAIN_O "r.jsonl --truncate left", 2, "--truncate: \"left\"; expected end|front", false },
    { "mkdir d; cp r.jsonl d/train.jsonl; cp t.txt d/train.txt", TRAIN_O "d", 2,
      "d: train.txt and train.jsonl; expected one of them", false },
    { "mkdir d; cp r.jsonl d/train.jsonl; cp r.jsonl d/val.json; cp t.txt d/valid.txt", TRAIN_O "d", 2,
      "d: val.json and valid.txt; expected one of them", false },
    { "echo '{\"text\":5.5}' >>r.jsonl; echo '{\"text\":[]}' >s.jsonl", TRAIN_O "r.jsonl --data s.jsonl", 1,
      "s.jsonl:1: \"text\" is a list; expected a text", false },
    { "", "eval --model o --task lookup --task=arithmetic", 2, "--task: given twice; expected one", false },
    { "", "generate --model o --prompt 1 --adapter-path b --adapter_path b", 2, "given twice; expected one", false },
    { ": >c", TRAIN_O "r.jsonl --config c --config c", 2, "--config: given twice; expected one", false },
    { "", TRAIN_O "r.jsonl --target-modules c_attn --target-modules c_fc", 2, "given twice; expected one", false },
    { "", TRAIN_O "r.jsonl --opt beta1=0.8 --opt eps=1e-8 --opt beta1=0.7", 2, "--opt beta1=0.7: beside beta1=0.8; expected one value", false },
    { TWO_PARTS, COMPARE "--optimizers sgd,adam --opt adam.eps=1e-8 --opt eps=1e-7 --opt adam.eps=1e-6", 2, "--opt adam.eps=1e-6: beside adam.eps=1e-8", false },
    { "printf 'opt = eps=1\\nopt = eps=2\\n' >c", TRAIN_O "r.jsonl --config c", 1, "c:2: opt eps=2: beside eps=1; expected one value", false },
    { "", TRAIN_O "r.jsonl --chat-template banana", 2, "--chat-template \"banana\"; expected one of qwen3 smollm2", false },
    { "", "export --model o --format gguf_lora --save-path x", 2, "--format gguf-lora: expected --adapter-path", false },
    { "", "export --model o --format safetensors --dtype q8-0 --save-path x", 2, "--dtype q8_0: only in a GGUF file", false },
    { "", "export --model o --format safetensors --save-path x.GGUF", 2, "--save-path x.GGUF: a folder is written", false },
    { ": >x.gguf", "export --model o --format gguf --overwrite --save-path x.gguf", 2, "--overwrite replaces only folders", false },
    { TWO_PARTS, COMPARE "--optimizers sgd --optimizers adam", 2, "--optimizers: given twice; expected one", false },
    { "", "eval --model o --data r.jsonl --count 3", 2, "--count: only for a task", false },
    { TWO_PARTS, "compare --model o --data d --out x --count 3", 2, "--count: only for a task", false },
    { "", TRAIN_O "r.jsonl --learning-rate 0.1 --opt lr=1", 2,
      "\"lr=1\" beside --learning-rate 0.1; use only one", false },
    { "", "optimizers adam sgd", 2, "\"sgd\": expected an option", false },
    { "", "task lookup --count 0", 2, "--count: \"0\"; expected a whole number from 1", false },
};
/* clang-format on */

START_TEST(is_refused_with_one_line)
{
    place p = place_make();
    const row *r = &rows[_i];
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data r.jsonl --iters 1 -o o"),
                     0);
    if (strstr(r->arguments, " a"))
        ck_assert_int_eq(tenon(&p, "train --model o --data r.jsonl --iters 1 -o a"), 0);
    const int status =
        shell(&p, "%s\n>out 2>err \"$T\" %s", *r->prepare ? r->prepare : ":", r->arguments);
    place_has(&p, "err", r->line);
    ck_assert_int_eq(status, r->status);
    ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && grep -q '^tenon: ' err"), 0);
    ck_assert_int_eq(shell(&p, "test -z \"$(find x -name '*.tmp' -o -name '*.safetensors' ! -path "
                               "'*checkpoint-*' 2>c)\""),
                     0);
    ck_assert_int_eq(shell(&p, "test -e x"), r->begins ? 0 : 1);
    place_end(&p);
}
END_TEST

/* The same commands without a fault are accepted. So the fault is what was refused. */
static const char *const sound[] = { TRAIN_M "--data t.txt",
                                     TRAIN_M "--data t.txt $(: >m/README.pt.md)",
                                     TRAIN_M "--data task:lookup --iters 3 --overwrite",
                                     TRAIN_O "r.jsonl",
                                     "generate --model o --prompt 1 --adapter-path a" };

START_TEST(good_input_is_accepted)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data r.jsonl --iters 1 -o o"),
                     0);
    ck_assert_int_eq(tenon(&p, "train --model o --data r.jsonl --iters 1 -o a"), 0);
    ck_assert_int_eq(tenon(&p, "%s", sound[_i]), 0);
    place_end(&p);
}
END_TEST

/* A change anywhere in a checkpoint is found. The message names the checkpoint before it. */
START_TEST(a_damaged_checkpoint_is_refused)
{
    place p = place_make();
    const char *how =
        "train --model m --tokenizer chars --data t.txt --iters 4 --save-every 2 -o o";
    ck_assert_int_eq(tenon(&p, "%s", how), 0);
    ck_assert_int_eq(
        shell(&p,
              "f=$(ls -S o/checkpoint-4/* | head -1); n=$(($(stat -c %%s $f) / 8 * %d)); "
              "dd if=/dev/urandom of=$f bs=1 count=8 seek=$n conv=notrunc 2>c",
              _i),
        0);
    ck_assert_int_eq(tenon(&p, "%s --resume", how), 1);
    place_has(&p, "err", "remove checkpoint-4");
    place_has(&p, "err", "checkpoint-2");
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_loop_test(c, is_refused_with_one_line, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(c, good_input_is_accepted, 0, sizeof sound / sizeof *sound);
    tcase_add_loop_test(c, a_damaged_checkpoint_is_refused, 0, 8);
}
