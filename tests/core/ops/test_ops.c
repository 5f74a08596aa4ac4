/* test_ops.c - runs tn_op_check for every op of ops.def, over the samples that it declares.

   To add an op: write its literal and its function into core/ops/NAME.c, its row into core/ops.def,
   and a row with a call of it into tests/core/null.def. core/op.h says what each field means and
   what goes wrong. Nothing is added here. `make test ONLY=core/ops` checks the op in float and,
   more closely, in double. A finding is a line such as

       NAME: sample 2: direction 7: backward 1.25, differences 0.5

   It names the sample and the element of the operands (or a random direction, if they have more
   than 2,000 elements). Then add results computed by hand to test_ops_values.c: differences cannot
   show that forward is wrong. tests/core/check/test_check.c tests that tn_op_check finds breaks. */
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
