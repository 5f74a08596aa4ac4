/* test_defaults.c - the rate and the length of a run for which none is given. */
#include "apps/run/defaults.h"
#include "nn/model.h"
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const struct length { double records, rows, passes; } lengths[] = {
    { 600, 1, 1 }, { 2400, 4, 1 }, { 1200, 4, 2 }, { 300, 4, 8 }, { 240, 4, 10 }, { 8, 4, 10 },
    { 42000, 4, 1 }, { 1e9, 8, 1 },
};
/* clang-format on */

START_TEST(passes)
{
    const struct length *l = &lengths[_i];
    setup s = { 0 };
    ck_assert_double_eq_tol(default_epochs(&s, l->records, l->rows), l->passes, 1e-12);
    s.reference = (tn_reference *)(void *)&s; /* DPO: at most 3 */
    ck_assert_double_eq_tol(default_epochs(&s, l->records, l->rows), l->passes < 3 ? l->passes : 3,
                            1e-12);
}
END_TEST

/* A wider model gets a smaller rate, and training of all weights a smaller one than LoRA, which
   halves where the width doubles.
   With LoRA that of SGD is the same at every width. Optimizers without a rule have the rate of their
   page. */
START_TEST(rates)
{
    const tn_optim_def *adamw = tn_optim_find("adamw"), *lion = tn_optim_find("lion"),
                       *sgd = tn_optim_find("sgd");
    double before = 1;
    for (int64_t width = 128; width <= 4096; width *= 2) {
        tn_model m = { .width = width };
        setup s = { .model = &m };
        char text[SHOWN], expected[SHOWN];
        const double lora = default_rate(adamw, &s);
        ck_assert_double_eq(default_rate(lion, &s), lion->hyper[0].value);
        ck_assert_double_eq(default_rate(sgd, &s), 1.2);
        ck_assert_str_eq(default_rate_reason(lion, &s, text), "lion");
        snprintf(expected, sizeof expected, "adamw, LoRA, width %d", (int)width);
        ck_assert_str_eq(default_rate_reason(adamw, &s, text), expected);
        s.reference = (tn_reference *)(void *)&s; /* DPO: a tenth */
        ck_assert_double_eq_tol(default_rate(adamw, &s), lora / 10, 0.01 * lora);
        ck_assert_double_eq_tol(default_rate(lion, &s), lion->hyper[0].value / 10, 1e-12);
        snprintf(expected, sizeof expected, "adamw, DPO, LoRA, width %d", (int)width);
        ck_assert_str_eq(default_rate_reason(adamw, &s, text), expected);
        s.reference = NULL;
        s.full = true;
        ck_assert(lora < before && default_rate(adamw, &s) < lora);
        ck_assert_double_eq_tol(default_rate(adamw, &s) * (double)width / 128, 1.2e-3, 6e-5);
        ck_assert_double_eq_tol(default_rate(sgd, &s) * (double)width / 128, 0.5, 0.025);
        s.random = true; /* which have nothing to lose */
        ck_assert_double_eq_tol(default_rate(adamw, &s) * (double)width / 128, 2.4e-3, 1.2e-4);
        snprintf(expected, sizeof expected, "adamw, random weights, width %d", (int)width);
        ck_assert_str_eq(default_rate_reason(adamw, &s, text), expected);
        before = lora;
    }
}
END_TEST

/* A narrow model of Llama's kind takes half of the rate with LoRA (ScaledAdam 0.7 of it), and all
   weights take the same. From 512 wide on the family does not count. */
START_TEST(narrow)
{
    static const struct {
        const char *name;
        double share;
    } table[] = { { "adamw", 0.5 },     { "adam", 0.5 }, { "scaled-adam", 0.7 },
                  { "lora-rite", 0.5 }, { "muon", 0.5 }, { "sgd", 0.5 } };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const tn_optim_def *def = tn_optim_find(table[i].name);
        tn_model gpt = { .family = &tn_family_gpt, .width = 64 },
                 llama = { .family = &tn_family_llama, .width = 64 };
        setup a = { .model = &gpt }, b = { .model = &llama };
        char text[SHOWN], expected[SHOWN];
        ck_assert_double_eq_tol(default_rate(def, &b), table[i].share * default_rate(def, &a),
                                1e-12);
        snprintf(expected, sizeof expected, "%s, LoRA, llama, width 64", table[i].name);
        ck_assert_str_eq(default_rate_reason(def, &b, text), expected);
        a.full = b.full = true;
        ck_assert_double_eq(default_rate(def, &b), default_rate(def, &a));
        a.full = b.full = false;
        gpt.width = llama.width = 512;
        ck_assert_double_eq(default_rate(def, &b), default_rate(def, &a));
        ck_assert_str_eq(default_rate_reason(def, &b, text),
                         default_rate_reason(def, &a, expected));
    }
}
END_TEST

/* At half the scale LoRA-RITE takes the double rate; AdamW takes the same. */
START_TEST(scales)
{
    tn_lora_options lora = { .rank = 8, .alpha = 16 };
    tn_model m = { .width = 128, .lora = &lora };
    const setup s = { .model = &m };
    const tn_optim_def *adamw = tn_optim_find("adamw"), *rite = tn_optim_find("lora-rite");
    const double by_adamw = default_rate(adamw, &s), by_rite = default_rate(rite, &s);
    lora.alpha = 8;
    ck_assert_double_eq_tol(default_rate(rite, &s), 2 * by_rite, 1e-12);
    ck_assert_double_eq(default_rate(adamw, &s), by_adamw);
    lora = (tn_lora_options){ .rank = 64, .alpha = 16, .rslora = true }; /* 16 / sqrt(64) = 2 */
    ck_assert_double_eq_tol(default_rate(rite, &s), by_rite, 1e-12);
}
END_TEST

/* A run without a rate is the run at the rate that it shows. A preset keeps its own rate. */
START_TEST(runs)
{
    place p = place_make();
    char lr[32] = "";
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data r.jsonl -o b --iters 3"),
                     0);
    ck_assert_int_eq(tenon(&p, "train --model b --data r.jsonl -o o --iters 3"), 0);
    char *out = place_read("out");
    const char *at = strstr(out, "optimizer  adamw lr ");
    ck_assert_msg(at && sscanf(at, "optimizer  adamw lr %31s (default for adamw, LoRA", lr) == 1,
                  "%s", out);
    ck_assert_ptr_nonnull(strstr(out, "on all-linear"));
    free(out);
    ck_assert_int_eq(tenon(&p, "train --model b --data r.jsonl -o q --iters 3 --lr %s", lr), 0);
    ck_assert_int_eq(shell(&p, "cmp o/adapter_model.safetensors q/adapter_model.safetensors"), 0);
    ck_assert_int_eq(tenon(&p, "train --model b --data r.jsonl --dry-run --optimizer muon --opt "
                               "preset=keller"),
                     0);
    place_has(&p, "out", "optimizer  muon lr 0.02 cosine");
    ck_assert_int_eq(tenon(&p, "train --model b --data r.jsonl --dry-run"), 0);
    place_has(&p, "out", "(passes: 10, by default)");
    ck_assert_int_eq(tenon(&p, "train --model b --data r.jsonl --find-lr --iters 40"), 0);
    place_has(&p, "out", "begin with --learning-rate ");
    ck_assert_int_eq(
        shell(&p,
              "grep '^# learning rate' o/config.used && ! grep '^# learning rate' q/config.used"),
        0);
    place_end(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, passes, 0, sizeof lengths / sizeof *lengths);
    tcase_add_test(c, rates);
    tcase_add_test(c, narrow);
    tcase_add_test(c, scales);
    tcase_add_test(c, runs);
}
