/* test_options.c - the command line, config files and help: what is read, refused and printed. */
#include "apps/options/options.c"
#include "apps/options/options_file.c"
#include "apps/options/options_help.c"
#include "apps/options/words.c"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <unistd.h>

enum { WORDS = 8 };

/* Parses the words. Returns the value of option i as text, or the message. The caller ends it with
   tn_text_free. */
static tn_text parse(const char *name, const char *const words[], int i, int *code)
{
    char *argv[WORDS + 2] = { (char *)"tenon", (char *)name };
    int argc = 2;
    options o;
    tn_error e = { 0 };
    tn_text out = { 0 };
    for (int k = 0; k < WORDS && words[k]; k++)
        argv[argc++] = (char *)words[k];
    *code = options_parse(&o, command_find(name), argc, argv, &e);
    if (*code)
        tn_text_add(&out, "%s", e.text);
    else if (options_table[i].kind == OPTION_LIST)
        for (int k = 0; ((const char *const *)((char *)&o + options_table[i].offset))[k]; k++)
            tn_text_add(&out, "%s;",
                        ((const char *const *)((char *)&o + options_table[i].offset))[k]);
    else
        options_value(&o, i, &out);
    tn_text_add(&out, "%s", "");
    options_free(&o);
    return out;
}

typedef struct good {
    const char *command;
    int row;
    const char *words[WORDS];
    const char *value;
} good;

static const good goods[] = {
    { "train", OPT_batch_size, { NULL }, "4" },
    { "train", OPT_batch_size, { "--batch-size", "8" }, "8" },
    { "train", OPT_batch_size, { "--batch-size=8" }, "8" },
    { "train", OPT_batch_size, { "--batch_size", "8" }, "8" },
    { "train", OPT_batch_size, { "-b", "8" }, "8" },
    { "train", OPT_batch_size, { "--batch-size", "8", "--batch-size", "9" }, "9" },
    { "train", OPT_max_seq_length, { "--ctx-size", "2k" }, "2000" },
    { "train", OPT_iters, { "--iters", "1M" }, "1000000" },
    { "train", OPT_val_batches, { "--val-batches", "-1" }, "-1" },
    { "train", OPT_learning_rate, { "--lr", "1e-3" }, "0.001" },
    { "train", OPT_learning_rate, { "-lr=.5" }, "0.5" },
    { "train", OPT_learning_rate, { NULL }, "" },
    { "train", OPT_mask_prompt, { NULL }, "true" },
    { "train", OPT_mask_prompt, { "--no-mask-prompt" }, "false" },
    { "train", OPT_mask_prompt, { "--no_mask_prompt" }, "false" },
    { "train", OPT_mask_prompt, { "--mask-prompt=no" }, "false" },
    { "train", OPT_resume, { "--resume" }, "true" },
    { "train", OPT_lr_scheduler, { "--lr-scheduler", "inverse_sqrt" }, "inverse-sqrt" },
    { "train", OPT_opt, { "--opt", "beta1=0.8", "--opt", "beta2=0.95" }, "beta1=0.8;beta2=0.95;" },
    { "train", OPT_adapter_path, { "--resume-adapter-file", "a" }, "a" },
    { "train", OPT_adapter_path, { "--adapter-path", "a" }, "a" },
    { "generate", OPT_adapter_path, { "--adapter-path", "a" }, "a" },
    { "generate", OPT_max_tokens, { "-n", "5" }, "5" },
    { "generate", OPT_max_tokens, { "--n-predict", "5" }, "5" },
    { "train", OPT_batch_size, { "--per_device_train_batch_size", "8" }, "8" },
    { "train", OPT_epochs, { "--num-train-epochs=3.0" }, "3" },
    { "train", OPT_iters, { "--max_steps", "7" }, "7" },
    { "train", OPT_model, { "--model_name_or_path", "a" }, "a" },
    { "train", OPT_grad_checkpoint, { "--gradient_checkpointing", "True" }, "true" },
    { "train", OPT_grad_checkpoint, { "--gradient_checkpointing", "False" }, "false" },
    { "train", OPT_grad_checkpoint, { "--no-gradient-checkpointing" }, "false" },
    { "train", OPT_iters, { "--train", "--iters", "7" }, "7" },
    { "train", OPT_iters, { "--do_train", "True", "--iters", "7" }, "7" },
    { "eval", OPT_batch_size, { "--test", "-b", "7" }, "7" },
    { "train", OPT_iters, { "-n", "5" }, "5" },
    { "generate", OPT_prompt, { "-p", "-", "-p", "--model" }, "-;--model;" },
    { "compare", OPT_seed, { "--seed", "9000000000000000000" }, "9000000000000000000" },
};

START_TEST(reads_what_is_right)
{
    const good *g = &goods[_i];
    int code;
    tn_text value = parse(g->command, g->words, g->row, &code);
    ck_assert_msg(code == 0, "%s: %s", g->words[0] ? g->words[0] : "", value.s);
    ck_assert_str_eq(value.s, g->value);
    tn_text_free(&value);
}
/* clang-format off */
END_TEST

typedef struct bad { const char *command; const char *words[WORDS]; const char *message; } bad;

static const bad bads[] = {
    { "train", { "--batch-sise", "8" }, "--batch-sise: unknown option; did you mean --batch-size?" },
    { "train", { "--learning-rat=1" }, "did you mean --learning-rate?" },
    { "train", { "--sed" }, "--sed: unknown option; did you mean --seed?" },
    { "train", { "--seep" }, "--seep: unknown option; did you mean --seed?" },
    { "generate", { "--kees" }, "--kees: unknown option; see tenon generate --help" }, /* not --seed */
    { "train", { "--kees" }, "--kees: unknown option; did you mean --keep?" }, /* not --seed */
    { "train", { "--modle", "a" }, "--modle: unknown option; did you mean --model?" },
    { "train", { "--nmu-epochs", "3" }, "did you mean --epochs?" }, /* an alias is near */
    { "train", { "--target", "q_proj" }, "did you mean --target-modules?" },
    { "train", { "--lora", "a", "--lora-modulez", "q_proj" }, "did you mean --target-modules?" },
    { "generate", { "--temprature", "1" }, "did you mean --temp?" },
    { "generate", { "--max-token", "1" }, "did you mean --max-tokens?" },
    { "train", { "--bf16" }, "--bf16: results are computed in f32; --base-dtype bf16" },
    { "train", { "--bf16", "True" }, "--bf16: results are computed in f32; --base-dtype bf16" },
    { "generate", { "-ngl", "99" }, "there is nothing but the CPU; leave it out" },
    { "generate", { "--adapter", "a" }, "--adapter: did you mean --adapter-path?" },
    { "generate", { "--lora_r", "8" }, "--lora_r, here --lora-rank, is an option of train, not of generate" },
    { "train", { "--test" }, "--test: tenon eval --split test does that" },
    { "train", { "--zzz" }, "--zzz: unknown option; see tenon train --help" },
    { "generate", { "--lora-rank", "3" }, "--lora-rank is an option of train, not of generate" },
    { "train", { "--batch-size" }, "--batch-size: a value is missing; expected N" },
    { "train", { "--batch-size", "x" }, "--batch-size: \"x\"; expected a whole number from 1 to 1000000" },
    { "train", { "--batch-size", "8 " }, "expected a whole number" },
    { "train", { "--batch-size", "1e3" }, "expected a whole number" },
    { "train", { "--batch-size", "0" }, "expected a whole number from 1" },
    { "train", { "--batch-size", "" }, "expected a whole number from 1" },
    { "train", { "--seed", "99999999999999999999" }, "expected a whole number" },
    { "train", { "--seed", "9223372036854775807k" }, "expected a whole number" },
    { "train", { "--seed", "9000000000000000001" }, "expected a whole number from 0 to 9e+18" },
    { "train", { "--lora-alpha", "0" }, "expected a number from 1e-06 to 1000000" },
    { "train", { "--lr", "nan" }, "--learning-rate: \"nan\"; expected a number" },
    { "train", { "--lr", "inf" }, "expected a number" },
    { "train", { "--lr", "1e999" }, "expected a number" },
    { "train", { "--lr", "0x10" }, "expected a number" },
    { "train", { "--lr", "-1" }, "expected a number from 1e-12" },
    { "train", { "--lora-dropout", "1" }, "expected a number from 0 to 0.99" },
    { "train", { "--precision", "bf16" }, "--precision: \"bf16\"; expected f32" },
    { "train", { "--lr-scheduler", "cosin" }, "expected constant|linear|cosine|wsd|inverse-sqrt" },
    { "train", { "--resume=maybe" }, "--resume: \"maybe\"; expected true or false" },
    { "train", { "--no-batch-size" }, "only switches can be negated" },
    { "train", { "--data", "" }, "--data: \"\"; expected PATH" },
    { "compare", { "--progress", "none" }, "--progress is an option of train, not of compare" },
    { "train", { "model" }, "\"model\": expected an option" },
    { "optimizers", { "a", "b" }, "\"b\": expected an option" },
};
/* clang-format on */

START_TEST(refuses_what_is_wrong)
{
    const bad *b = &bads[_i];
    int code;
    tn_text message = parse(b->command, b->words, 0, &code);
    ck_assert_int_eq(code, APP_USAGE);
    ck_assert_msg(strstr(message.s, b->message) != NULL, "expected \"%s\", got \"%s\"", b->message,
                  message.s);
    tn_text_free(&message);
}
/* clang-format off */
END_TEST

typedef struct file { const char *text; int row; const char *expected; bool fails; } file;

static const file files[] = {
    { "batch-size = 8\n", OPT_batch_size, "8", false },
    { "batch_size: 8", OPT_batch_size, "8", false },
    { "# all\n\n  batch-size=8 # rows\r\n", OPT_batch_size, "8", false },
    { "model = \"a # b\"\n", OPT_model, "a # b", false },
    { "model = bob's # a\n", OPT_model, "bob's", false },
    { "model = 'it is \"so\" # here'\n", OPT_model, "it is \"so\" # here", false },
    { "model = \"a\\\\b \\\"c\\\" \\x23\\n\\xC3\\xa9\"#d\n", OPT_model, "a\\b \"c\" #\n\xC3\xA9", false },
    { "model = 'a\\nb\\'\n", OPT_model, "a\\nb\\", false },
    { "model = a\\nb\n", OPT_model, "a\\nb", false },
    { "model =#a\n", OPT_model, "#a", false },
    { "model = \"a\n", 0, "c:1: a value without its closing quote \"", true },
    { "model = 'a' b\n", 0, "c:1: \"b\" behind a closing quote; expected the end of the line", true },
    { "model = \"\\d\"\n", 0, "c:1: \"\\d\"\"; expected one of \\n \\r \\t", true },
    { "model = \"\\x00\"\n", 0, "expected one of \\n", true },
    { "model = \"\\x4\"\n", 0, "expected one of \\n", true },
    { "model = \"\\\n", 0, "c:1: \"\\\"; expected one of \\n", true },
    { "model = # b\n", 0, "c:1: model: \"\"; expected PATH", true },
    { "seed # = 1\n", 0, "c:1: \"seed\"; expected name = value", true },
    { "lora_r: 3\n", OPT_lora_rank, "3", false },
    { "train: true\nlora_r: 3\n", OPT_lora_rank, "3", false },
    { "load_in_4bit: true\n", 0, "c:1: load_in_4bit: --base-dtype q4_0 does that", true },
    { "data: task:lookup\n", OPT_data, "task:lookup;", false },
    { "opt = beta1=0.8\nopt = eps=1e-6\n", OPT_opt, "beta1=0.8;eps=1e-6;", false },
    { "mask-prompt: false\n", OPT_mask_prompt, "false", false },
    { "seed = 5\n", OPT_seed, "7", false }, /* the command line has 7 */
    { "iters = 5\n", OPT_iters, "", false }, /* the command line has --epochs */
    { "batch-size = 8\nbatch-size = 9\n", 0, "c:2: batch-size is set a second time", true },
    { "a\n", 0, "c:1: \"a\"; expected name = value", true },
    { "\n\nlearning-rat = 1\n", 0, "c:3: learning-rat: unknown option; did you mean --learning-rate?", true },
    { "prompt = a\n", 0, "c:1: prompt is an option of generate, not of train", true },
    { "batch-size = many\n", 0, "c:1: batch-size: \"many\"; expected a whole number", true },
    { "\xEF\xBB\xBF" "batch-size = 8\n", OPT_batch_size, "8", false },
    { "config = other\n", 0, "c:1: config: expected no config file inside another", true },
};
/* clang-format on */

START_TEST(reads_config_files)
{
    const file *f = &files[_i];
    char *folder = temporary();
    tn_error e = { 0 };
    int code;
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(tn_file_write("c", f->text, strlen(f->text), &e), 0);
    tn_text got =
        parse("train",
              (const char *const[WORDS]){ "--config", "c", "--seed", "7", "--epochs", "2" }, f->row,
              &code);
    ck_assert_int_eq(code, f->fails ? TN_EFORMAT : 0);
    if (f->fails)
        ck_assert_msg(strstr(got.s, f->expected) != NULL, "%s", got.s);
    else
        ck_assert_str_eq(got.s, f->expected);
    tn_text_free(&got);
    ck_assert_int_eq(chdir("/"), 0);
    discard(folder);
}
END_TEST

/* Every default is within the limits and words of its row. Every letter is that of a command. Help
   that is shown by some commands only is for commands that have the option. */
START_TEST(has_a_sound_table)
{
    const option *row = &options_table[_i];
    tn_error e = { 0 };
    options o = { 0 };
    if (*row->def)
        ck_assert_msg(option_set(&o, _i, row->def, "--", &e) == 0, "%s: %s", row->name, e.text);
    for (const char *s = row->commands; *s; s++) {
        if (*s == '!' && s > row->commands && s[-1] != '!')
            continue;
        bool known = false;
        for (const command *c = commands; c->name; c++)
            known = known || c->letter == *s;
        ck_assert_msg(known, "%s: letter %c", row->name, *s);
    }
    for (const char *s = row->help; (s = strchr(s, '{')) != NULL;)
        for (s++; *s != ':'; s++)
            ck_assert_msg(*s && strchr(row->commands, *s), "%s: %s", row->name, row->help);
    for (int k = 0; k < _i; k++)
        for (const char *s = row->commands; *s; s++)
            ck_assert_msg(*s == '!' || option_find(row->name, strlen(row->name), *s) == _i,
                          "%s is there twice for %c", row->name, *s);
}
END_TEST

/* Is there an option of this name for one of the commands (letters; "": any)? */
static bool is_option(const char *name, size_t n, const char *letters)
{
    for (const command *c = commands; c->name; c++)
        if ((!*letters || strchr(letters, c->letter)) && option_find(name, n, c->letter) >= 0)
            return true;
    return false;
}

/* A word means an option that exists, an answer names only such options, and no option has the word
   as its name: the row would never be read. */
START_TEST(words_mean_options)
{
    const char *word = peer_words[_i].word, *letters = peer_words[_i].commands,
               *meant = peer_words[_i].option;
    ck_assert_msg(!is_option(word, strlen(word), letters) || meant, "%s is an option", word);
    ck_assert_msg(!meant || is_option(meant, strlen(meant), ""), "%s: no %s", word, meant);
    for (const char *s = peer_words[_i].says; s && (s = strstr(s, "--")) != NULL;) {
        size_t n = strspn(s += 2, "abcdefghijklmnopqrstuvwxyz-");
        if (n > 3 && !strncmp(s, "no-", 3)) {
            s += 3;
            n -= 3;
        }
        ck_assert_msg(is_option(s, n, ""), "%s: no --%.*s", word, (int)n, s);
    }
    for (int k = 0; k < _i; k++)
        ck_assert_msg(strcmp(peer_words[k].word, word) || strcmp(peer_words[k].commands, letters),
                      "%s is there twice", word);
}
END_TEST

START_TEST(reads_back_every_real)
{
    static const double values[] = {
        0.1, 1e-3, 1.0 / 3, 1e30, 0.00316, 2e-05, 0.30000000000000004
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        options o = { .learning_rate = values[i] };
        tn_text text = { 0 };
        options_value(&o, OPT_learning_rate, &text);
        ck_assert(strtod(text.s, NULL) == values[i]);
        tn_text_free(&text);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, reads_what_is_right, 0, sizeof goods / sizeof *goods);
    tcase_add_loop_test(c, refuses_what_is_wrong, 0, sizeof bads / sizeof *bads);
    tcase_add_loop_test(c, reads_config_files, 0, sizeof files / sizeof *files);
    tcase_add_loop_test(c, has_a_sound_table, 0, OPTIONS);
    tcase_add_loop_test(c, words_mean_options, 0, sizeof peer_words / sizeof *peer_words);
    tcase_add_test(c, reads_back_every_real);
}
