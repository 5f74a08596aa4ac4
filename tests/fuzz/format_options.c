/* format_options.c - config files of `train`, and command lines, one word per line. */
#include "tests/fuzz/formats.h"

#include "apps/options/options.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG                                                                                      \
    "# a comment\nmodel = base\ndata: 'it # is'\n\nseed = 8k\nopt = beta1=0.9\nopt = \"a\\tb=1\"\n" \
    "learning_rate = 1e-3 # half\nmask-prompt = no\nlr-scheduler = cosine\n"

#define WORDS                                                                                      \
    "train\n--model\nbase\n--seed=3\n--opt\nbeta1=0.9\n--no-mask-prompt\n-b\n8\n--lr\n1e-3\n"

static const row config_rows[] = {
    { NULL, "seed", ":1: \"seed\"", false },
    { NULL, "= 3", ":1: : unknown option", false },
    { NULL, "seed = ", ":1: seed: \"\"", false },
    { NULL, "seed =", ":1: seed: \"\"", false },
    { NULL, "sead = 3", ":1: sead: unknown option", false },
    { NULL, "seed = x", ":1: seed: \"x\"", false },
    { NULL, "seed = -1", ":1: seed: \"-1\"", false },
    { NULL, "seed = 1e3", ":1: seed: \"1e3\"", false },
    { NULL, "seed = 99999999999999999999", ":1: seed: \"99999999999999999999\"", false },
    { NULL, "seed = 3k5", ":1: seed: \"3k5\"", false },
    { NULL, "seed = 1\nseed = 2", ":2: seed is set a second time", false },
    { NULL, "seed = 1\nseed = 1", ":2: seed is set a second time", false },
    { NULL, "config = other", ":1: config: expected no config file inside another", false },
    { NULL, "learning-rate = fast", ":1: learning-rate: \"fast\"", false },
    { NULL, "learning-rate = 0", ":1: learning-rate: \"0\"", false },
    { NULL, "learning-rate = 1e31", ":1: learning-rate: \"1e31\"", false },
    { NULL, "learning-rate = nan", ":1: learning-rate: \"nan\"", false },
    { NULL, "learning-rate = 0x1p-3", ":1: learning-rate: \"0x1p-3\"", false },
    { NULL, "learning-rate = 1e-3,1e-2", ":1: learning-rate: \"1e-3,1e-2\"", false },
    { NULL, "mask-prompt = maybe", ":1: mask-prompt: \"maybe\"", false },
    { NULL, "mask-prompt = 2", ":1: mask-prompt: \"2\"", false },
    { NULL, "no-mask-prompt = true", ":1: no-mask-prompt: unknown option", false },
    { NULL, "lr-scheduler = cos", ":1: lr-scheduler: \"cos\"", false },
    { NULL, "lr-scheduler = Cosine", ":1: lr-scheduler: \"Cosine\"", false },
    { NULL, "lr-scheduler = cosine|linear", ":1: lr-scheduler: \"cosine|linear\"", false },
    { NULL, "tokenizer =", ":1: tokenizer: \"\"", false },
    { NULL, "model = \"open", ":1: a value without its closing quote \"", false },
    { NULL, "model = 'open", ":1: a value without its closing quote '", false },
    { NULL, "model = \"a\" b", ":1: \"b\" behind a closing quote", false },
    { NULL, "model = \"a\\q\"", ":1: \"\\q\"\"", false },
    { NULL, "model = \"a\\x4\"", ":1: \"\\x4\"\"", false },
    { NULL, "model = \"a\\xZZ\"", ":1: \"\\xZZ\"", false },
    { NULL, "model = 'a'b'", ":1: \"b'\" behind a closing quote", false },
    { NULL, "[section]", ":1: \"[section]\"", false },
    { NULL, "seed 3", ":1: \"seed 3\"", false },
    { NULL, "--seed = 3\n", ":1: --seed: unknown option", false },
    { NULL, "prompt = x", ":1: prompt is an option of generate, not of train", false },
    { NULL, "seed = 1\n\n\nbatch-size = 0", ":4: batch-size: \"0\"", false },
    { NULL, "\xff\xfes\x01", "a text in UTF-16", false },
    { NULL, "seed = 3 4", ":1: seed: \"3 4\"", false },
    { NULL, "seed: 3: 4", ":1: seed: \"3: 4\"", false },
    { NULL, "lora_rank=8.0", ":1: lora-rank: \"8.0\"", false },
    { NULL, "iters = 10\nepochs = many", ":2: epochs: \"many\"", false },
    { "learning_rate", "learning rate", ":8: learning rate: unknown option", false },
    { "", "lora-rank = 1, 2", ":11: lora-rank: \"1, 2\"", false },
    { NULL, "opt = a=1\nopt = a=2", ":2: opt a=2: beside a=1", false },
    /* valid */
    { NULL, "", NULL, false },
    { NULL, "\n\n# nothing\n", NULL, false },
    { NULL, "\xef\xbb\xbfseed = 1\n", NULL, false },
    { NULL, "seed=1", NULL, false },
    { NULL, "seed:1", NULL, false },
    { NULL, "  seed =\t1  \r\n", NULL, false },
    { NULL, "\"seed\" = 1", NULL, false },
    { NULL, "seed = 1 # one", NULL, false },
    { NULL, "seed = 1M", NULL, false },
    { NULL, "model = a#b", NULL, false },
    { NULL, "model = \"a # b\"", NULL, false },
    { NULL, "model = 'a\\q'", NULL, false },
    { NULL, "model = a = b", NULL, false },
    { NULL, "opt = a=1\nopt = b=2", NULL, false },
    { NULL, "learning-rate = 1E-3", NULL, false },
    { NULL, "mask_prompt = off", NULL, false },
    { NULL, "model = \"\\x41\\n\"", NULL, false },
    END,
};

static const row word_rows[] = {
    { NULL, "train\n--seed\n", "--seed: a value is missing", false },
    { NULL, "train\n--seed\nx\n", "--seed: \"x\"", false },
    { NULL, "train\n--seed=\n3\n", "--seed: \"\"", false },
    { NULL, "train\n--sead\n3\n", "--sead: unknown option", false },
    { NULL, "train\n--seed\n-1\n", "--seed: \"-1\"", false },
    { NULL, "train\n--no-seed\n", "--no-seed: only switches can be negated", false },
    { NULL, "train\n--no-mask-prompts\n", "--no-mask-prompts: unknown option", false },
    { NULL, "train\n--mask-prompt=perhaps\n", "--mask-prompt: \"perhaps\"", false },
    { NULL, "train\n--learning-rate\n0\n", "--learning-rate: \"0\"", false },
    { NULL, "train\n--lr=fast\n", "--learning-rate: \"fast\"", false },
    { NULL, "train\n-Z\n", "--Z: unknown option", false },
    { NULL, "train\n--\n", "--: unknown option", false },
    { NULL, "train\nextra\n", "\"extra\": expected an option", false },
    { NULL, "train\n--lr-scheduler\ncos\n", "--lr-scheduler: \"cos\"", false },
    { NULL, "train\n--tokenizer\nwords\n", "--tokenizer: \"words\"", false },
    { NULL, "train\n--config\n/nowhere/x\n", "/nowhere/x: cannot open: No such file or directory",
      false },
    { NULL, "train\n--out\nx\n", "--out is an option of compare, not of train", false },
    { NULL, "train\n--=3\n", "--: unknown option", false },
    { NULL, "train\n---seed\n3\n", "---seed: unknown option", false },
    { NULL, "train\n--seed\n3\nmore\n", "\"more\": expected an option", false },
    { NULL, "train\n--valid-split\n0.95\n", "--valid-split: \"0.95\"", false },
    { NULL, "train\n--batch-size\n1.5\n", "--batch-size: \"1.5\"", false },
    { NULL, "train\n--lora-rank\n65537\n", "--lora-rank: \"65537\"", false },
    { NULL, "train\n--model\n\n", "--model: \"\"", false },
    /* valid */
    { NULL, "train\n--model\na\n--model\nb\n", NULL, false },
    { NULL, "train\n--seed\n0003\n", NULL, false },
    { NULL, "train\n--seed=+3\n", NULL, false },
    { NULL, "train\n-seed\n3\n", NULL, false },
    { NULL, "train\n--no_mask_prompt\n", NULL, false },
    { NULL, "train\n--mask-prompt\n", NULL, false },
    { NULL, "train\n--opt\na=1\n--opt=b=2\n", NULL, false },
    { NULL, "train\n--lr\n1e-3\n", NULL, false },
    { NULL, "train\n--rank\n8\n", NULL, false },
    { NULL, "train\n-b\n8k\n", NULL, false },
    { NULL, "train\n--model=a=b\n", NULL, false },
    END,
};

static void furnish_config(const char *folder)
{
    file_text(folder, "x.config", CONFIG);
}

static void furnish_words(const char *folder)
{
    file_text(folder, "words", WORDS);
}

/* Prints the help, and every option as config.used has it. */
static void show(const options *o, const command *c)
{
    tn_text out = { 0 };
    options_help(c, true, &out);
    options_help(c, false, &out);
    for (int i = 0; i < OPTIONS; i++)
        options_value(o, i, &out);
    tn_text_free(&out);
}

static int use_config(const char *folder, tn_error *e)
{
    char *path = path_in(folder, "x.config");
    char *words[] = { "tenon", "train", "--config", path, NULL };
    options o;
    if (!options_parse(&o, command_find("train"), 4, words, e))
        show(&o, command_find("train"));
    options_free(&o);
    free(path);
    return e->code;
}

/* A message about a command line begins with the option. Here the name of the file is put before
   it. */
static int use_words(const char *folder, tn_error *e)
{
    bytes text = file_read(folder, "words");
    char *words[66] = { "tenon" };
    int n = 1;
    tn_error inner = { 0 };
    options o;
    for (char *s = text.s, *end; n < 64 && (end = strchr(s, '\n')); s = end + 1) {
        *end = 0;
        words[n++] = s;
    }
    const command *c = n > 1 ? command_find(words[1]) : NULL;
    if (!c)
        tn_fail(e, APP_USAGE, "%s/words: no command", folder);
    if (c && !options_parse(&o, c, n, words, &inner))
        show(&o, c);
    if (c)
        options_free(&o);
    if (inner.code)
        tn_fail(e, inner.code, "%s/words: %s", folder, inner.text);
    free(text.s);
    return e->code;
}

/* clang-format off */
const format format_options = { .name = "options", .file = "x.config", .furnish = furnish_config,
                                .use = use_config, .rows = config_rows };
/* clang-format on */
const format format_command_line = { .name = "command_line",
                                     .file = "words",
                                     .furnish = furnish_words,
                                     .use = use_words,
                                     .rows = word_rows };
