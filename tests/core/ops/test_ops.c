/* test_ops.c - every op of ops.def, over the samples it declares, by tn_op_check of the library.

   To add an op: core/ops/NAME.c has its literal and its function, core/ops.def its row, and
   tests/core/null.def a row with a call of it; core/op.h says what each field means and what goes
   wrong. Nothing is added here. `make test ONLY=core/ops`
   checks it in float and, more closely, in double. A line such as
   "NAME: sample 2: direction 7: backward 1.25, differences 0.5" names the sample, and the operand's
   element (or a random direction, if the operands have more than 2,000). Then add to
   test_ops_values.c what it computes by hand: differences cannot tell a wrong forward.
   tests/core/check/test_check.c holds that tn_op_check finds what is broken. */
#include "tests/support/op_samples.h"

#include <string.h>

START_TEST(op_declares_samples)
{
    const tn_op *op = tn_ops[_i];
    int64_t small = 0, large = 0;
    for (int64_t i = 0; i < tn_samples_count(op); i++)
        *(op->samples[i].bench ? &large : &small) += 1;
    ck_assert_msg(small >= 4, "%s: %ld small samples, expected 4", op->name, (long)small);
    ck_assert_msg(large >= 1, "%s: no bench sample", op->name);
    for (int i = 0; i < op->inputs; i++) {
        bool absent = false, present = false;
        for (int64_t k = 0; k < small; k++)
            *(op->samples[k].in[i][0] ? &present : &absent) = true;
        ck_assert_msg(present && (absent || !(op->optional >> i & 1)),
                      "%s: operand %d must occur, and be left out if it may", op->name, i);
    }
}
END_TEST

typedef struct lines {
    char text[2000];
    size_t used;
} lines;

static void add_line(void *arg, const char *bytes, size_t n)
{
    lines *l = arg;
    n = n < sizeof l->text - 1 - l->used ? n : sizeof l->text - 1 - l->used;
    memcpy(l->text + l->used, bytes, n);
    l->used += n;
}

START_TEST(op_keeps_its_promises)
{
    lines l = { 0 };
    const int found = tn_op_check(tn_ops[_i], add_line, &l);
    ck_assert_msg(found == 0, "%d findings\n%s", found, l.text);
}
END_TEST

void tests(TCase *c)
{
    int ops = 0;
    while (tn_ops[ops])
        ops++;
    tcase_add_loop_test(c, op_declares_samples, 0, ops);
    tcase_add_loop_test(c, op_keeps_its_promises, 0, ops);
}
