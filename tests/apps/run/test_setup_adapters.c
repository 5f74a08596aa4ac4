/* test_setup_adapters.c - training goes on from a finished adapter.
   Here b is a base, and a is a LoRA run on it of two steps. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>

/* Every step sees the same record at the same rate, and plain SGD keeps no state: after two runs of
   two steps the weights have the bits of one run of four. */
#define RUN                                                                                        \
    "train --model b --data one.jsonl --optimizer sgd --lr 1e-1 --lr-scheduler constant "          \
    "--warmup-steps 0 --max-grad-norm 0 --save-every 2 "

static place make(const char *lora)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "head -n 1 r.jsonl >one.jsonl"), 0);
    ck_assert_int_eq(
        tenon(&p, "train --model m --tokenizer chars --data r.jsonl --iters 3 --lr 1e-2 -o b"), 0);
    ck_assert_int_eq(tenon(&p, RUN "--iters 2 -o a %s", lora), 0);
    return p;
}

/* clang-format off */
static const char *const loras[] = {
    "",
    "--use-rslora --lora-rank 3 --num-layers 1 --init-lora-weights gaussian",
    "--target-modules '.*\\.(c_attn|mlp\\.c_.*)' --rank-pattern 'h\\.1\\..*=2' --rank-pattern c_fc=4 --alpha-pattern c_attn=5",
    "--fine-tune-type dora --target-modules all-linear --lora-rank 2",
    "--init-lora-weights orthogonal --target-modules all-linear --lora-rank 6",
    "--lora-rank 3 --lora-alpha 1",
    "--target-modules all-linear --lora-rank 1",
    "--target-modules c_attn.q,c_attn.v",
};
enum { WHOLE = sizeof loras / sizeof *loras - 1 };
/* clang-format on */

START_TEST(two_halves_are_a_whole)
{
    place p = make(loras[_i]);
    ck_assert_int_eq(tenon(&p, RUN "--iters 2 -o c --adapter-path a"), 0);
    place_has(&p, "out", "continues a");
    ck_assert_int_eq(shell(&p, "cmp -s a/adapter_model.safetensors c/adapter_model.safetensors"),
                     1);
    ck_assert_int_eq(tenon(&p, RUN "--iters 4 -o w %s", loras[_i]), 0);
    if (_i < WHOLE) { /* adapters on columns become one, whose zeros are trained, too */
        ck_assert_int_eq(shell(&p, "cmp c/adapter_model.safetensors w/adapter_model.safetensors"),
                         0);
        ck_assert_int_eq(shell(&p, "cmp c/adapter_config.json w/adapter_config.json"), 0);
    }
    ck_assert_int_eq(
        tenon(&p, "train --config w/config.used --iters 1 --adapter-path a -o options_again"),
        _i < WHOLE ? 0 : 2);
    ck_assert_int_eq(tenon(&p, RUN "--iters 2 -o d --resume-adapter-file w/checkpoint-2"), 0);
    if (_i < WHOLE)
        ck_assert_int_eq(shell(&p, "cmp d/adapter_model.safetensors w/adapter_model.safetensors"),
                         0);
    place_end(&p);
}
END_TEST

START_TEST(a_continued_run_resumes)
{
    place p = make("--lora-rank 2 --lora-alpha 4");
    const char *how = "train --model b --data r.jsonl --iters 6 --save-every 3 --adapter-path a";
    ck_assert_int_eq(tenon(&p, "%s -o c", how), 0);
    ck_assert_int_eq(shell(&p, "mkdir r && cp -r c/checkpoint-3 c/config.used r"), 0);
    ck_assert_int_eq(tenon(&p, "%s -o r --resume", how), 0);
    place_same(&p, "c", "r");
    ck_assert_int_eq(tenon(&p, "train --config c/config.used -o again"), 0);
    ck_assert_int_eq(shell(&p, "cmp c/adapter_model.safetensors again/adapter_model.safetensors"),
                     0);
    ck_assert_int_eq(shell(&p, "grep -q lora-rank c/config.used"), 1);
    place_end(&p);
}
END_TEST

/* Keys that we do not know stay: of a checkpoint, of what it was exported to, trained on from it,
   and of a run that was stopped and resumed. */
START_TEST(unknown_keys_stay_in_checkpoints)
{
    place p = make("");
    ck_assert_int_eq(shell(&p, "sed -i 's/\"r\": 8/\"x_key\": {\"a\": [1, \"b\"]}, \"r\": 8/' "
                               "a/adapter_config.json"),
                     0);
    ck_assert_int_eq(tenon(&p, RUN "--iters 4 -o c --adapter-path a"), 0);
    ck_assert_int_eq(tenon(&p, "export --model b --adapter-path c/checkpoint-2 --format peft "
                               "--save-path d"),
                     0);
    ck_assert_int_eq(tenon(&p, RUN "--iters 2 -o e --adapter-path c/checkpoint-2"), 0);
    ck_assert_int_eq(tenon(&p, "export --model b --adapter-path e/checkpoint-2 --format peft "
                               "--save-path f"),
                     0);
    ck_assert_int_eq(shell(&p, "cp -r c g && rm -r g/checkpoint-4 && "
                               "rm g/adapter_model.safetensors"),
                     0);
    ck_assert_int_eq(tenon(&p, RUN "--iters 4 -o g --adapter-path a --resume"), 0);
    ck_assert_int_eq(shell(&p,
                           "cmp c/checkpoint-4/model.safetensors g/checkpoint-4/model.safetensors"),
                     0);
    for (const char *s = "cdefg"; *s; s++)
        ck_assert_int_eq(shell(&p,
                               "test -e %c/adapter_config.json && tr -d ' \\n' "
                               "<%c/adapter_config.json | "
                               "grep -q '\"x_key\":{\"a\":\\[1,\"b\"\\]}'",
                               *s, *s),
                         0);
    place_end(&p);
}
END_TEST

/* The dropout of the adapter stays, unless another is given. */
START_TEST(dropout_may_be_given)
{
    place p = make("--lora-dropout 0.25");
    ck_assert_int_eq(tenon(&p, RUN "--iters 1 -o c --adapter-path a"), 0);
    place_has(&p, "c/adapter_config.json", "\"lora_dropout\": 0.25,");
    ck_assert_int_eq(tenon(&p, RUN "--iters 1 -o d --adapter-path a --lora-dropout 0.5"), 0);
    place_has(&p, "d/adapter_config.json", "\"lora_dropout\": 0.5,");
    place_has(&p, "d/config.used", "lora-dropout = 0.5");
    ck_assert_int_eq(tenon(&p, RUN "--iters 1 -o e --adapter-path a --lora-dropout 0"), 0);
    ck_assert_int_eq(shell(&p, "cmp -s c/adapter_model.safetensors d/adapter_model.safetensors"),
                     1);
    ck_assert_int_eq(shell(&p, "cmp -s c/adapter_model.safetensors e/adapter_model.safetensors"),
                     1);
    place_end(&p);
}
/* clang-format off */
END_TEST

static const struct { const char *options; int status; const char *text; } refused[] = {
    { "-o c --adapter-path a --lora-rank 5", 2, "--lora-rank 5: a has rank 8; expected this or none" },
    { "-o c --adapter-path a/checkpoint-2 --lora-rank 5", 2, "--lora-rank 5: a/checkpoint-2 has rank 8; expected" },
    { "-o c --adapter-path a --lora-alpha 8", 2, "--lora-alpha 8: a has alpha 16; expected this or none" },
    { "-o c --adapter-path a --target-modules c_fc", 2, "--target-modules c_fc: a adapts c_attn; expected these or none" },
    { "-o c --adapter-path a --target-modules all-linear", 2, "a adapts c_attn; expected these or none" },
    { "-o c --adapter-path a --fine-tune-type dora", 2, "--fine-tune-type dora: a is of type lora; expected this or none" },
    { "-o c --adapter-path a --use-rslora", 2, "--use-rslora: a was made without it; expected the same" },
    { "-o c --adapter-path a --num-layers 1", 2, "--num-layers 1: a adapts c_attn; expected these or none" },
    { "-o c --adapter-path a --init-lora-weights gaussian", 2, "--init-lora-weights gaussian: a has no other start; expected" },
    { "-o c --adapter-path a --rank-pattern c_attn=4", 2, "has rank 8 and scale 2 in a; expected these or none" },
    { "-o c --adapter-path a --alpha-pattern 'h.1..*=4'", 2, "transformer.h.1.attn.c_attn has rank 8 and scale 2 in a" },
    { "-o c --adapter-path a --alpha-pattern 'c_fc=4' --use-rslora=no --num-layers -1", 0, NULL },
    { "-o c --rank-pattern c_attn", 2, "--rank-pattern: \"c_attn\"; expected KEY=R, a whole number" },
    { "-o c --rank-pattern =4", 2, "--rank-pattern: \"=4\"; expected KEY=R, a whole number" },
    { "-o c --alpha-pattern c_attn=x", 2, "--alpha-pattern: \"c_attn=x\"; expected KEY=A, a number above 0" },
    { "-o c --rank-pattern c_attn=2 --rank-pattern foo=3", 2, "--rank-pattern: \"foo\" matches no layer that gets an adapter" },
    { "-o c --target-modules c_attn --alpha-pattern c_fc=3", 2, "--alpha-pattern: \"c_fc\" matches no layer that gets an adapter" },
    { "-o c --rank-pattern c_attn=1.5", 2, "--rank-pattern: \"c_attn=1.5\"; expected KEY=R, a whole number from 1 to 65536" },
    { "-o c --alpha-pattern 'c_attn=0'", 2, "--alpha-pattern: \"c_attn=0\"; expected KEY=A, a number above 0" },
    { "-o c --rank-pattern 'c_attn?=2'", 2, "--rank-pattern: \"?\" in the pattern \"c_attn?\": not supported; expected literals" },
    { "-o c --target-modules '.*c_fc|(?:x)'", 2, "--target-modules: \"(?\" in the pattern" },
    { "-o c --target-modules '.*nothing'", 1, "the pattern \".*nothing\" matches no layer; expected whole paths such as" },
    { "-o c --num-layers 9", 2, "--num-layers 9: the model has 2; expected at most these" },
    { "-o c --adapter-path a --num-layers 9", 2, "--num-layers 9: the model has 2; expected at most these" },
    { "-o c --init-lora-weights orthogonal -r 3", 1, "c_attn: rank 3; expected an even one for the orthogonal start" },
    { "-o c --init-lora-weights pissa", 2, "--init-lora-weights: \"pissa\"; expected gaussian|orthogonal" },
    { "-o c --fine-tune-type full --use-rslora", 2, "--use-rslora: only for --fine-tune-type lora" },
    { "-o c --adapter-path a --fine-tune-type full", 2, "--adapter-path: only for --fine-tune-type lora" },
    { "-o a --adapter-path a", 2, "--output-dir a: the folder of --adapter-path; expected another" },
    { "-o a --adapter-path a/checkpoint-2", 2, "could be replaced, and --adapter-path a/checkpoint-2 reads it" },
    { "-o a --overwrite --adapter-path l", 2, "--output-dir a: the folder of --adapter-path; expected another" },
    { "-o a --overwrite --adapter-path copy", 2, "could be replaced, and --adapter-path copy reads it" },
    { "-o c --adapter-path none", 1, "none: No such file or directory; expected an adapter folder" },
    { "-o c --adapter-path b", 1, "b: no adapter_config.json, but a model's config.json; expected the folder of an adapter\n" },
    { "-o c --adapter-path a --adapter-path a", 2, "--adapter-path: given twice; expected one" },
    { "-o a --adapter-path a --dry-run", 0, NULL },
    { "-o c --adapter-path a --lora-rank 8 --lora-alpha 16 --target-modules c_attn", 0, NULL },
};
/* clang-format on */

START_TEST(what_contradicts_is_refused)
{
    place p = make("--target-modules c_attn");
    ck_assert_int_eq(shell(&p, "ln -s a l && mkdir copy && cp a/adapter_config.json copy && "
                               "ln -s ../a/adapter_model.safetensors copy && cp -r a kept"),
                     0);
    ck_assert_int_eq(tenon(&p, RUN "--iters 1 %s", refused[_i].options), refused[_i].status);
    if (refused[_i].text) {
        place_has(&p, "err", refused[_i].text);
        ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && ! test -s out && ! test -e c"), 0);
    }
    place_same(&p, "a", "kept");
    place_end(&p);
}
END_TEST

/* A base without tokenizer: the result has the one that the adapter had. */
START_TEST(the_tokenizer_goes_on)
{
    place p = make("");
    ck_assert_int_eq(shell(&p, "mkdir n && cp b/config.json b/model.safetensors n"), 0);
    ck_assert_int_eq(tenon(&p, "train --model n --tokenizer chars --data r.jsonl --iters 2 -o q"),
                     0);
    ck_assert_int_eq(
        tenon(&p, "train --model n --adapter-path q --data r.jsonl --iters 2 --save-every 1 -o s"),
        0);
    ck_assert_int_eq(shell(&p, "cmp q/tokenizer.json s/tokenizer.json"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model n --data r.jsonl --adapter-path s"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model n --data r.jsonl --adapter-path s/checkpoint-2"), 0);
    place_end(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, two_halves_are_a_whole, 0, sizeof loras / sizeof *loras);
    tcase_add_test(c, a_continued_run_resumes);
    tcase_add_test(c, unknown_keys_stay_in_checkpoints);
    tcase_add_test(c, dropout_may_be_given);
    tcase_add_loop_test(c, what_contradicts_is_refused, 0, sizeof refused / sizeof *refused);
    tcase_add_test(c, the_tokenizer_goes_on);
}
