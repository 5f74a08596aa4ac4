/* test_run.c - run.c: a step of accumulated batches, and a step that is refused. */
#include "nn/nn.h"
#include "tests/support/apps.h"
#include "tests/support/tests.h"

/* N accumulated batches give the numbers of one batch with all their rows, up to rounding. So every
   token has the same weight. */
START_TEST(accumulation_is_a_larger_batch)
{
    place p = place_make();
    const char *how = "train --model m --tokenizer chars --data r.jsonl --iters 1 --optimizer sgd "
                      "--lr 0.1 --progress json";
    ck_assert_int_eq(tenon(&p, "%s --batch-size 23 -o a", how), 0);
    ck_assert_int_eq(shell(&p,
                           "grep '\"step\":1,' err | sed "
                           "'s/.*\"loss\":\\([0-9.]*\\).*norm\":\\([0-9.]*\\).*/\\1 \\2/' >one"),
                     0);
    ck_assert_int_eq(tenon(&p, "%s --batch-size 1 --grad-accumulation-steps 23 -o b", how), 0);
    ck_assert_int_eq(shell(&p,
                           "grep '\"step\":1,' err | sed "
                           "'s/.*\"loss\":\\([0-9.]*\\).*norm\":\\([0-9.]*\\).*/\\1 \\2/' >two"),
                     0);
    ck_assert_int_eq(
        shell(&p, "paste one two | awk '{ d = $1 - $3; e = $2 - $4; exit !(NF == 4 && $1 > 1 && "
                  "d * d < 1e-10 && e * e < 1e-8) }'"),
        0);
    place_end(&p);
}
END_TEST

START_TEST(what_is_not_finite_stops_the_run)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data t.txt --iters 9 -o o --lr "
                               "1e30 --save-every 1"),
                     1);
    place_has(&p, "err", "tenon: step ");
    place_has(&p, "err", "transformer.");
    place_has(&p, "err", "; try --learning-rate 1e+29, a tenth, or --max-grad-norm 0.1, or ");
    place_has(&p, "err", "newest checkpoint is after step 1");
    ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && test ! -e o/model.safetensors"), 0);
    place_end(&p);
}
END_TEST

/* ---- the op that made the first number that is not finite ---- */

/* A model folder "g" whose second block overflows: every number of a weight is set. */
typedef struct overflow {
    const char *options;
    double fc_bias, proj, norm; /* of h.1.mlp.c_fc.bias, h.1.mlp.c_proj.weight, ln_f.weight */
    const char *says[3];
} overflow;

#define BLOCK "transformer.h.1.mlp."
#define LINEAR "(4,64,64) (64,16) (16) -> (4,64,16), with " BLOCK "c_proj.weight"
static const overflow overflows[] = {
    /* 3e38 + 3e38 + ... in the second linear layer of the MLP */
    { "--valid-split 0",
      3e38,
      1,
      1,
      { "step 1: backward: the loss is nan", "; the first infinity is from linear " LINEAR,
        "; the first NaN is from layer_norm (4,64,16) (16) (16) -> (4,64,16), with "
        "transformer.ln_f.weight" } },
    { "--valid-split 0.1",
      3e38,
      1,
      1,
      { "evaluation: the loss is nan", "; the first infinity is from linear (3,64,64) (64,16) (16)",
        "; the first NaN is from layer_norm " } },
    /* 3e38 times 1e-38 is a good number, but the gradient of 1e-38 is a multiple of 3e38 */
    { "--valid-split 0",
      3e38,
      1e-38,
      1e4,
      { "step 1: the gradient of " BLOCK "c_proj.weight is not finite",
        "; the first infinity is from backward of linear " LINEAR, "nothing was changed" } },
};

static void fill(const tn_model *m, const char *name, double value)
{
    tn_tensor *w = tn_params_find(m->params, name)->w;
    for (int64_t i = 0; i < tn_tensor_count(w); i++)
        w->x[i] = (tn_real)(i % 3 ? value : value / 2);
}

START_TEST(the_op_is_named)
{
    place p = place_make();
    const overflow *o = &overflows[_i];
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_model *m = tn_model_open(c, "m", &e);
    fill(m, BLOCK "c_fc.bias", o->fc_bias);
    fill(m, BLOCK "c_proj.weight", o->proj);
    fill(m, "transformer.ln_f.weight", o->norm);
    ck_assert_msg(!tn_model_save(m, "g", TN_FILE_F32, &e), "%s", e.text);
    tn_model_free(m);
    tn_context_free(c);
    ck_assert_int_eq(tenon(&p,
                           "train --model g --tokenizer chars --data t.txt --iters 2 -o o "
                           "--fine-tune-type full --batch-size 4 --threads 2 %s",
                           o->options),
                     1);
    for (int i = 0; i < 3; i++)
        place_has(&p, "err", o->says[i]);
    /* no step was taken: its rate is not to blame */
    ck_assert_int_eq(shell(&p, "test $(wc -l <err) = 1 && ! grep -q 'try --' err"), 0);
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, accumulation_is_a_larger_batch);
    tcase_add_test(c, what_is_not_finite_stops_the_run);
    tcase_add_loop_test(c, the_op_is_named, 0, sizeof overflows / sizeof *overflows);
}
