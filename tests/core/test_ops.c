/* test_ops.c - every op of ops.def, over the samples it declares.
   Gradients against differences, gradients that add up, fused ops against their plain
   compositions, refusals to the letter, and the same bits on every instruction set, number of
   threads and batch. An op without samples fails.

   To add an op: core/ops/NAME.c has its literal and its function, core/ops.def its row; core/op.h
   says what each field means and what goes wrong. Nothing is added here. `make test ONLY=core/ops`
   checks it in float and in double; the gradient is checked in double. A line such as
   "NAME: sample 2: direction 7: backward 1.25, differences 0.5" names the sample, and the operand's
   element (or a random direction, if the operands have more than 2,000). Then add to
   test_ops_values.c what it computes by hand: differences cannot tell a wrong forward. */
#include "tests/support/op_samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const bool in_double = sizeof(tn_real) == sizeof(double);

static tn_tape *new_tape(const char *isa, int threads)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = threads, .seed = 3, .isa = isa });
    return c ? tn_tape_new(c) : NULL;
}

static void free_tape(tn_tape *t)
{
    tn_context *c = tn_tape_context(t);
    tn_tape_free(t);
    tn_context_free(c);
}

/* Check notes every assertion in a file, so these assert once, on the first number that is wrong. */
static void assert_close(const char *name, const char *what, const numbers *a, const numbers *b,
                         double tolerance)
{
    ck_assert_msg(a->count == b->count, "%s: %s: %ld numbers and %ld", name, what, (long)a->count,
                  (long)b->count);
    double largest = 1;
    for (int64_t k = 0; k < a->count; k++)
        largest = fmax(largest, fabs((double)b->x[k]));
    int64_t k = 0;
    while (k < a->count && fabs((double)(a->x[k] - b->x[k])) <= tolerance * largest)
        k++;
    if (k < a->count)
        ck_abort_msg("%s: %s: number %ld is %.9g and %.9g", name, what, (long)k, (double)a->x[k],
                     (double)b->x[k]);
}

static void assert_same_bits(const char *name, const char *what, const numbers *a, const numbers *b)
{
    ck_assert_msg(a->count == b->count, "%s: %s: %ld numbers and %ld", name, what, (long)a->count,
                  (long)b->count);
    int64_t k = 0;
    while (k < a->count && !memcmp(&a->x[k], &b->x[k], sizeof *a->x))
        k++;
    if (k < a->count)
        ck_abort_msg("%s: %s: number %ld of %ld (%ld of the result): %a %a", name, what, (long)k,
                     (long)a->count, (long)a->out, (double)a->x[k], (double)b->x[k]);
}

/* ---- what an op must declare ---- */

START_TEST(op_declares_samples)
{
    const tn_op *op = tn_ops[_i];
    int64_t small = 0, large = 0;
    for (int64_t i = 0; i < samples_of(op); i++)
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

START_TEST(op_refuses)
{
    const tn_op *op = tn_ops[_i];
    tn_tape *t = new_tape(NULL, 1);
    for (const tn_refusal *r = op->refusals; r && r->text && *r->text; r++) {
        call c = call_new(op, &r->call, 0, 0);
        tn_tape_reset(t);
        ck_assert_msg(!tn_apply(t, op, c.in, c.attr), "%s: not refused: %s", op->name, r->text);
        ck_assert_str_eq(tn_tape_error(t), r->text);
        call_free(&c);
    }
    free_tape(t);
}
END_TEST

/* ---- gradients against differences, in double ---- */

static double loss_of(const call *c, tn_tape *t)
{
    return (double)call_loss(c, t, false, NULL)->x[0];
}

/* The operands move by h along v, which has room for all of them. */
static void move(const call *c, const double *v, double h)
{
    for (int i = 0; i < c->op->inputs; i++) {
        if (!call_is_first(c, i))
            continue;
        for (int64_t k = 0; k < tn_tensor_count(c->in[i]); k++)
            c->in[i]->x[k] += (tn_real)(h * *v++);
    }
}

/* (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h */
static double difference(const call *c, tn_tape *t, const double *v)
{
    static const double step[] = { 1, -2, 3, -4 }, at[] = { 8, -8, -1, 1 }; /* h, -h, 2h, -2h */
    double h = 1e-3, sum = 0, now = 0;
    for (int i = 0; i < 4; i++) {
        move(c, v, step[i] * h);
        now += step[i];
        sum += at[i] * loss_of(c, t);
    }
    move(c, v, -now * h);
    return sum / (12 * h);
}

enum { FULL = 2000, DIRECTIONS = 50 };

static void check_gradient(const call *c, tn_tape *t)
{
    numbers n = call_numbers(c, t, false);
    const tn_real *g = n.x + n.out;
    int64_t count = n.count - n.out, checks = count <= FULL ? count : DIRECTIONS;
    double *v = calloc((size_t)count, sizeof *v), largest = 0;
    ck_assert_ptr_nonnull(v);
    for (int64_t k = 0; k < count; k++)
        largest = fmax(largest, fabs((double)g[k]));
    for (int64_t i = 0; i < checks; i++) {
        double want = 0;
        for (int64_t k = 0; k < count; k++) {
            if (checks < count)
                v[k] = tn_random_normal(5, (uint64_t)i, 0, (uint64_t)k) / sqrt((double)count);
            else
                v[k] = k == i;
            want += v[k] * (double)g[k];
        }
        double found = difference(c, t, v), scale = fmax(fmax(fabs(want), 1e-3 * largest), 1e-6);
        ck_assert_msg(fabs(found - want) < 1e-6 * scale,
                      "%s: direction %ld: backward %.12g, differences %.12g", c->name, (long)i,
                      want, found);
    }
    free(v);
    free(n.x);
}

START_TEST(op_gradient)
{
    const tn_op *op = tn_ops[_i];
    tn_tape *t = new_tape(NULL, 1);
    for (int i = 0; i < samples_of(op) && in_double; i++) {
        if (op->samples[i].bench)
            continue;
        call c = call_new(op, &op->samples[i], i, 0);
        check_gradient(&c, t);
        call_free(&c);
    }
    free_tape(t);
}
END_TEST

/* ---- gradients add up, and do not depend on who else wants one ---- */

START_TEST(op_adds_gradients)
{
    const tn_op *op = tn_ops[_i];
    tn_tape *t = new_tape(NULL, 2);
    for (int i = 0; i < samples_of(op); i++) {
        if (op->samples[i].bench)
            continue;
        call c = call_new(op, &op->samples[i], i, 0);
        numbers once = call_numbers(&c, t, false), twice = { .count = once.count - once.out };
        ck_assert_int_eq(tn_backward(t, call_loss(&c, t, false, NULL)), 0);
        twice.x = call_gradients(&c);
        memmove(once.x, once.x + once.out, (size_t)twice.count * sizeof *once.x);
        once.count = twice.count;
        for (int64_t k = 0; k < once.count; k++)
            once.x[k] *= 2;
        assert_close(c.name, "added twice", &twice, &once, in_double ? 1e-14 : 2e-6);
        free(twice.x);
        free(once.x);
        call_free(&c);
    }
    free_tape(t);
}
END_TEST

START_TEST(op_gradient_of_one_operand)
{
    const tn_op *op = tn_ops[_i];
    tn_tape *t = new_tape(NULL, 1);
    for (int i = 0; i < samples_of(op); i++) {
        if (op->samples[i].bench)
            continue;
        call c = call_new(op, &op->samples[i], i, 0);
        numbers all = call_numbers(&c, t, false);
        int64_t at = all.out;
        for (int k = 0; k < op->inputs; k++) {
            if (!call_is_first(&c, k))
                continue;
            for (int j = 0; j < op->inputs; j++)
                if (call_is_first(&c, j))
                    c.in[j]->wants_grad = j == k;
            numbers one = call_numbers(&c, t, false);
            numbers same = { .count = one.count - one.out, .x = all.x + at };
            one.count = same.count;
            memmove(one.x, one.x + one.out, (size_t)one.count * sizeof *one.x);
            assert_same_bits(c.name, "wanted alone", &one, &same);
            at += one.count;
            free(one.x);
        }
        free(all.x);
        call_free(&c);
    }
    free_tape(t);
}
END_TEST

/* ---- fused ops against plain ones ---- */

START_TEST(op_equals_reference)
{
    const tn_op *op = tn_ops[_i];
    tn_tape *t = new_tape(NULL, 2);
    for (int i = 0; i < samples_of(op) && op->reference; i++) {
        if (op->samples[i].bench)
            continue;
        call c = call_new(op, &op->samples[i], i, 0);
        numbers fused = call_numbers(&c, t, false), plain = call_numbers(&c, t, true);
        assert_close(c.name, "fused and plain", &fused, &plain, in_double ? 1e-14 : 2e-6);
        free(fused.x);
        free(plain.x);
        call_free(&c);
    }
    free_tape(t);
}
END_TEST

/* ---- the same bits ---- */

/* Every sample on every tape against the first one. Large samples, of which `rows` rows are taken,
   are for the float build alone: the definition in plain C has a call for each multiply-add. */
static void compare_tapes(const tn_op *op, tn_tape *const tapes[], const char *const names[],
                          int64_t rows)
{
    for (int i = 0; i < samples_of(op); i++) {
        const tn_sample *s = &op->samples[i];
        if (s->bench && in_double)
            continue;
        call c = call_new(op, s, i, s->bench && s->in[0][0] > rows ? rows : 0);
        numbers first = call_numbers(&c, tapes[0], false);
        for (int k = 1; tapes[k]; k++) {
            numbers other = call_numbers(&c, tapes[k], false);
            assert_same_bits(c.name, names[k], &first, &other);
            free(other.x);
        }
        free(first.x);
        call_free(&c);
    }
}

START_TEST(op_same_bits_on_every_isa)
{
    static const char *const isa[] = { "scalar", "avx2", "avx512" };
    const char *names[4] = { 0 };
    tn_tape *tapes[4] = { 0 };
    int count = 0;
    for (int i = 0; i < 3 && !in_double; i++) {
        names[count] = isa[i];
        tapes[count] = new_tape(isa[i], 2);
        count += tapes[count] != NULL;
    }
    if (count)
        compare_tapes(tn_ops[_i], tapes, names, 40);
    for (int i = 0; i < count; i++)
        free_tape(tapes[i]);
}
END_TEST

START_TEST(op_same_bits_on_any_threads)
{
    static const int threads[] = { 1, 1, 2, 3, 5, 8 };
    static const char *const names[] = { "",          "a second run", "2 threads",
                                         "3 threads", "5 threads",    "8 threads" };
    tn_tape *tapes[7] = { 0 };
    for (int i = 0; i < 6; i++)
        tapes[i] = new_tape(NULL, threads[i]);
    compare_tapes(tn_ops[_i], tapes, names, 300);
    for (int i = 0; i < 6; i++)
        free_tape(tapes[i]);
}
END_TEST

/* A call with rows [from, from + count) of another one's operands. */
static call some_rows(const call *all, const tn_sample *s, int64_t from, int64_t count)
{
    call c = call_new(all->op, s, 0, count);
    for (int i = 0; i < c.op->inputs; i++) {
        if (!c.in[i])
            continue;
        size_t bytes = (size_t)tn_tensor_count(c.in[i]) * tn_dtype_size(c.in[i]->dtype);
        size_t skip = call_has_rows(&c, i) ? bytes / (size_t)count * (size_t)from : 0;
        memcpy(c.in[i]->data, (const char *)all->in[i]->data + skip, bytes);
    }
    return c;
}

/* The result of rows [from, from + count) by themselves has the bits that it has among all. */
static void compare_results(const call *all, tn_tape *t, const tn_sample *s, const numbers *want,
                            int64_t from, int64_t count)
{
    call c = some_rows(all, s, from, count);
    tn_tensor *y;
    call_loss(&c, t, false, &y);
    numbers found = { .count = tn_tensor_count(y), .x = y->x };
    numbers part = { .count = found.count, .x = want->x + from * (found.count / count) };
    assert_same_bits(all->name, "rows alone", &found, &part);
    call_free(&c);
}

/* The same of the gradients of operands with rows, for the first rows: the loss weights a result's
   elements by their place. */
static void compare_gradients(const call *all, tn_tape *t, const tn_sample *s, int64_t count)
{
    call c = some_rows(all, s, 0, count);
    numbers n = call_numbers(&c, t, false);
    for (int i = 0; i < c.op->inputs; i++) {
        if (!call_is_first(&c, i) || !call_has_rows(&c, i))
            continue;
        numbers found = { .count = tn_tensor_count(c.in[i]), .x = c.in[i]->g };
        numbers part = { .count = found.count, .x = all->in[i]->g };
        assert_same_bits(all->name, "gradients of rows alone", &found, &part);
    }
    free(n.x);
    call_free(&c);
}

/* Operand 0 has rows, and elements are not counted from the first row on, as dropout does. */
static bool takes_rows(const tn_op *op, const tn_sample *s)
{
    bool single = op->rows & 1 && !s->in[0][1], weights = s->same && op->rows != 15;
    return op->rows && !single && !weights && s->attr.r[1] == 0;
}

START_TEST(op_same_bits_in_any_batch)
{
    enum { ROWS = 8 };
    static const int64_t sizes[] = { 1, 2, 5 };
    const tn_op *op = tn_ops[_i];
    tn_tape *t = new_tape(NULL, 2);
    for (int i = 0; i < samples_of(op); i++) {
        const tn_sample *s = &op->samples[i];
        if (!takes_rows(op, s) || (s->bench && in_double))
            continue;
        call all = call_new(op, s, i, ROWS);
        numbers want = call_numbers(&all, t, false);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            compare_results(&all, t, s, &want, ROWS - sizes[k], sizes[k]);
            compare_gradients(&all, t, s, sizes[k]);
        }
        free(want.x);
        call_free(&all);
    }
    free_tape(t);
}
END_TEST

void tests(TCase *c)
{
    int ops = 0;
    while (tn_ops[ops])
        ops++;
    tcase_add_loop_test(c, op_declares_samples, 0, ops);
    tcase_add_loop_test(c, op_refuses, 0, ops);
    tcase_add_loop_test(c, op_gradient, 0, ops);
    tcase_add_loop_test(c, op_adds_gradients, 0, ops);
    tcase_add_loop_test(c, op_gradient_of_one_operand, 0, ops);
    tcase_add_loop_test(c, op_equals_reference, 0, ops);
    tcase_add_loop_test(c, op_same_bits_on_every_isa, 0, ops);
    tcase_add_loop_test(c, op_same_bits_on_any_threads, 0, ops);
    tcase_add_loop_test(c, op_same_bits_in_any_batch, 0, ops);
}
