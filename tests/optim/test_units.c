/* test_units.c - the names and sizes of state, for every kind of slot. */
#include "tests/fixtures.h"
#include "tests/optim_problem.h"
#include "tests/tests.h"

/* Of slot "half" only lora_B has a block. */
static bool needs(const tn_unit *u, int slot, int k)
{
    return slot != 8 || (k == 1 && u->h[0] > 0);
}

static const tn_optim_def mixed = {
    .name = "mixed", .hyper = { { "lr", 0.5, "learning rate" } }, .pairs = true, .needs = needs,
    .slots = { { "s", TN_SCALAR }, { "rr", TN_R_BY_R }, { "b", TN_LIKE_B }, { "x", TN_LIKE_X },
               { "row", TN_ROWS }, { "col", TN_COLS }, { "rows", TN_ROW_SQUARE },
               { "cols", TN_COL_SQUARE }, { "half", TN_ROWS } },
};

START_TEST(slots_of_every_kind)
{
    static const struct { const char *name; int64_t n; bool real; } want[] = { /* lora_A (2,5), lora_B (4,2) */
        { "s.layer0", 1, false }, { "rr.layer0", 4, false },
        { "b.layer0.lora_B.weight", 8, true },
        { "x.layer0.lora_A.weight", 10, true }, { "x.layer0.lora_B.weight", 8, true },
        { "row.layer0.lora_A.weight", 2, true }, { "row.layer0.lora_B.weight", 4, true },
        { "col.layer0.lora_A.weight", 5, true }, { "col.layer0.lora_B.weight", 2, true },
        { "rows.layer0.lora_A.weight", 4, false }, { "rows.layer0.lora_B.weight", 16, false },
        { "cols.layer0.lora_A.weight", 25, false }, { "cols.layer0.lora_B.weight", 4, false },
        { "half.layer0.lora_B.weight", 4, true } };
    enum { BLOCKS = sizeof want / sizeof *want };
    tn_error e = { 0 };
    problem p;
    problem_pair(&p, 4, 5, 2, 1, false);
    p.optim = problem_try(&p, &mixed, "", -1, (tn_schedule){ 0 }, &e);
    must(&e);
    tn_state_block b;
    for (int i = 0; i < BLOCKS; i++) {
        ck_assert(tn_optim_state(p.optim, i, &b));
        ck_assert_str_eq(b.name, want[i].name);
        ck_assert(b.n == want[i].n && b.real == want[i].real);
    }
    ck_assert(!tn_optim_state(p.optim, BLOCKS, &b));
    problem_free(&p);
}
END_TEST

/* An optimizer of single weights, for which balora makes pairs, has its numbers of each weight. */
static const tn_optim_def single = {
    .name = "single", .hyper = { { "lr", 0.5, "learning rate" } }, .slots = { { "s", TN_SCALAR } },
};

START_TEST(a_scalar_of_each_weight)
{
    tn_error e = { 0 };
    problem p;
    problem_pair(&p, 4, 5, 2, 1, false);
    for (int k = 0; k < 2; k++) {
        p.optim = problem_try(&p, &single, k ? "balora=1" : "", -1, (tn_schedule){ 0 }, &e);
        must(&e);
        tn_state_block b;
        for (int i = 0; i < 2; i++) {
            ck_assert(tn_optim_state(p.optim, i, &b) && b.n == 1 && !b.real);
            ck_assert_str_eq(b.name, i ? "s.layer0.lora_B.weight" : "s.layer0.lora_A.weight");
        }
        ck_assert(!tn_optim_state(p.optim, 2, &b));
        tn_optim_free(p.optim);
        p.optim = NULL;
    }
    problem_free(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, slots_of_every_kind);
    tcase_add_test(c, a_scalar_of_each_weight);
}
