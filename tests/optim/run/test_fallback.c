/* test_fallback.c - who trains the weights that an optimizer of pairs or matrices leaves over. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_named.h"
#include "tests/support/tests.h"

#include <math.h>

/* What a definition leaves over goes to its .fallback, at the rate that it has by default or at
   fallback_lr: the same bits as that optimizer alone. */
START_TEST(what_is_left_over_goes_to_the_fallback)
{
    static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", "bias",
                                         "head.weight", NULL };
    static const int64_t dims[][3] = { { 2, 2, 4 }, { 2, 4, 2 }, { 1, 6 }, { 2, 3, 5 } };
    tn_context *c = tn_context_new(NULL);
    for (int set = 0; set < 2; set++) {
        tn_optim_def own = *tn_optim_find("lora-rite");
        own.fallback = tn_optim_find("lion");
        tn_params *p = named(c, names, dims), *q = named(c, names + 2, dims + 2);
        tn_error e = { 0 };
        const char *const settings[] = { set ? "fallback_lr=0.03" : NULL, NULL };
        tn_optim *o =
            tn_optim_new(p, &own, &(tn_optim_options){ .weight_decay = -1, .set = settings }, &e);
        must(&e);
        tn_optim *u =
            named_optimizer(q, "lion", (const char *const[]){ set ? "lr=0.03" : NULL, NULL });
        double rate;
        ck_assert_int_eq(tn_optim_left_over(o, &rate), 21);
        ck_assert(rate == tn_optim_hyper(u, "lr") && rate == tn_optim_hyper(o, "fallback_lr"));
        for (int k = 0; k < 3; k++) {
            named_gradients(p, k);
            named_gradients(q, k);
            ck_assert_int_eq(tn_optim_step(o), 0);
            ck_assert_int_eq(tn_optim_step(u), 0);
        }
        for (int k = 2; k < 4; k++) {
            const tn_tensor *a = tn_params_find(p, names[k])->w,
                            *b = tn_params_find(q, names[k])->w;
            ck_assert_mem_eq(a->x, b->x, tn_tensor_bytes(a));
        }
        tn_optim_free(o);
        tn_optim_free(u);
        tn_params_free(p);
        tn_params_free(q);
    }
    tn_context_free(c);
}
END_TEST

/* Pairs: x -= lr. Single weights: x -= 2 lr. */
static void step_of_both(tn_unit *u)
{
    for (int k = 0; k < u->factors; k++)
        for (int64_t i = 0; i < u->f[k].n; i++)
            u->f[k].x[i] -= (tn_real)(u->factors == 2 ? u->lr : 2 * u->lr);
}

/* clang-format off */
static const tn_optim_def both = {
    .name = "both", .hyper = { { "lr", 0.5, TN_ABOVE_0, "learning rate" } }, .step = step_of_both,
    .slots = { { "s", TN_SCALAR }, { "rr", TN_R_BY_R }, { "b", TN_LIKE_B }, { "x", TN_LIKE_X } },
    .pairs = true, .fallback = &both,
};
/* clang-format on */

START_TEST(an_optimizer_of_pairs_takes_single_weights_too)
{
    static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", "bias", NULL };
    static const int64_t dims[][3] = { { 2, 2, 4 }, { 2, 4, 2 }, { 1, 6 } };
    static const char *const blocks[] = {
        "s.x",    "rr.x",  "b.x.lora_B.weight", "x.x.lora_A.weight", "x.x.lora_B.weight",
        "s.bias", "x.bias"
    };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = named(c, names, dims), *q = named(c, names, dims);
    tn_error e = { 0 };
    tn_optim *o = tn_optim_new(p, &both, &(tn_optim_options){ .weight_decay = 0 }, &e);
    must(&e);
    double rate;
    tn_state_block b;
    ck_assert_int_eq(tn_optim_left_over(o, &rate), 0);
    ck_assert(isnan(tn_optim_hyper(o, "fallback_lr")));
    for (int i = 0; i < 7; i++) {
        ck_assert(tn_optim_state(o, i, &b));
        ck_assert_str_eq(b.name, blocks[i]);
    }
    ck_assert(!tn_optim_state(o, 7, &b));
    named_gradients(p, 0);
    ck_assert_int_eq(tn_optim_step(o), 0);
    for (int i = 0; names[i]; i++) {
        const tn_tensor *now = tn_params_find(p, names[i])->w,
                        *old = tn_params_find(q, names[i])->w;
        for (int64_t k = 0; k < tn_tensor_count(now); k++)
            ck_assert(now->x[k] == old->x[k] - (tn_real)(i < 2 ? 0.5 : 1));
    }
    tn_optim_free(o);
    tn_params_free(p);
    tn_params_free(q);
    tn_context_free(c);
}
END_TEST

START_TEST(a_fallback_that_is_not_for_every_weight_is_refused)
{
    static const struct {
        const char *fallback, *part;
    } wrong[] = {
        { "scaled-gd",
          "own: .fallback is scaled-gd, which does not train every weight; expected an "
          "optimizer without .pairs and .matrices" },
        { "muon", "own: .fallback is muon, which does not train every weight" },
        { NULL, "the definition of the optimizer has no .name" },
    };
    static const tn_optim_def empty = { 0 };
    static const char *const names[] = { "x.lora_A.weight", "x.lora_B.weight", NULL };
    static const int64_t dims[][3] = { { 2, 2, 4 }, { 2, 4, 2 } };
    tn_context *c = tn_context_new(NULL);
    tn_params *p = named(c, names, dims);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tn_error e = { 0 };
        tn_optim_def own = *tn_optim_find("lora-rite");
        own.name = "own";
        own.fallback = wrong[i].fallback ? tn_optim_find(wrong[i].fallback) : &empty;
        ck_assert_ptr_null(tn_optim_new(p, &own, NULL, &e));
        must_fail(&e, TN_EARG, wrong[i].part);
    }
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, what_is_left_over_goes_to_the_fallback);
    tcase_add_test(c, an_optimizer_of_pairs_takes_single_weights_too);
    tcase_add_test(c, a_fallback_that_is_not_for_every_weight_is_refused);
}
