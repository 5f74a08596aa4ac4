/* test_made.c - the tensors of a tape: which ones it accepts, and what a rewind restores. */
#include "tests/support/desk.h"

#include <stdio.h>
#include <string.h>

static tn_tensor *consumed(desk *d, tn_tensor *y)
{
    return tn_lora(d->t, y, d->x, d->a, d->b, 10, 0, 0, 1);
}

/* ---- tensors of another step or another tape ---- */

/* Each returns a tensor of one element that the tape must refuse. */

static tn_tensor *reset_before(desk *d)
{
    tn_tensor *y = desk_step(d);
    tn_tape_reset(d->t);
    return y;
}

static tn_tensor *step_before(desk *d)
{
    tn_tensor *y = desk_step(d);
    tn_tape_reset(d->t);
    desk_step(d);
    return y;
}

static tn_tensor *first_of_step_before(desk *d)
{
    tn_tensor *y = tn_sum(d->t, d->w);
    desk_step(d);
    tn_tape_reset(d->t);
    tn_sum(d->t, d->w);
    desk_step(d);
    return y;
}

static tn_tensor *input_before(desk *d)
{
    tn_tensor *y = tn_tape_input(d->t, TN_REAL, 1, (int64_t[]){ 1 });
    tn_tape_reset(d->t);
    return y;
}

static tn_tensor *view_before(desk *d)
{
    tn_tensor *y = tn_reshape(d->t, desk_step(d), 2, (int64_t[]){ 1, 1 });
    tn_tape_reset(d->t);
    return y;
}

static tn_tensor *rewound(desk *d)
{
    tn_mark m = tn_tape_mark(d->t);
    tn_tensor *y = desk_step(d);
    tn_tape_rewind(d->t, m);
    return y;
}

static tn_tensor *rewound_and_made_again(desk *d)
{
    desk_step(d);
    tn_mark m = tn_tape_mark(d->t);
    tn_tensor *y = tn_sum(d->t, d->w);
    tn_tape_rewind(d->t, m);
    tn_sum(d->t, d->w);
    return y;
}

static tn_tensor *made_after_an_older_mark(desk *d)
{
    tn_mark first = tn_tape_mark(d->t);
    tn_tensor *y = desk_step(d);
    tn_tape_mark(d->t);
    tn_tape_rewind(d->t, first);
    return y;
}

static tn_tensor *of_another_tape(desk *d)
{
    return tn_sum(d->other, d->w);
}

static tn_tensor *input_of_another_tape(desk *d)
{
    return tn_tape_input(d->other, TN_REAL, 1, (int64_t[]){ 1 });
}

static tn_tensor *copied(desk *d)
{
    static tn_tensor copy; /* a copy of the struct, as a caller could make it */
    copy = *desk_step(d);
    return &copy;
}

static tn_tensor *spent(desk *d)
{
    tn_tensor *y = tn_scale(d->t, tn_sum(d->t, d->w), 1);
    tn_tensor *one = tn_tape_input(d->t, TN_REAL, 2, (int64_t[]){ 1, 1 });
    one->x[0] = 1;
    tn_lora(d->t, y, one, one, one, 1, 0, 0, 1);
    return y;
}

static tn_tensor *done(desk *d)
{
    tn_tensor *y = desk_step(d);
    tn_done(d->t, y);
    return y;
}

/* clang-format off */
static const struct { const char *name; tn_tensor *(*make)(desk *d); const char *fault; } stale[] = {
    { "reset", reset_before, "was made before the tape was reset or rewound" },
    { "a step before", step_before, "was made before the tape was reset or rewound" },
    { "first of a step before", first_of_step_before, "was made before the tape was reset or rewound" },
    { "input", input_before, "was made before the tape was reset or rewound" },
    { "view", view_before, "was made before the tape was reset or rewound" },
    { "rewound", rewound, "was made before the tape was reset or rewound" },
    { "made again", rewound_and_made_again, "was made before the tape was reset or rewound" },
    { "older mark", made_after_an_older_mark, "was made before the tape was reset or rewound" },
    { "another tape", of_another_tape, "belongs to another tape" },
    { "another tape's input", input_of_another_tape, "belongs to another tape" },
    { "a copy", copied, "is a copy of a tensor; expected the tensor itself" },
    { "spent", spent, "was consumed by an earlier op" },
    { "done", done, "is done: tn_done was called" },
};
/* clang-format on */

START_TEST(stale_tensor_is_refused)
{
    static const char *const calls[] = { "backward: the loss", "relu: operand 1",
                                         "mul: operand 2" };
    for (int call = 0; call < 3; call++) {
        char text[128];
        desk d = desk_new();
        tn_tensor *y = stale[_i].make(&d);
        ck_assert_ptr_nonnull(y);
        if (call == 0)
            ck_assert_int_eq(tn_backward(d.t, y), TN_ESTATE);
        else
            ck_assert_ptr_null(call == 1 ? tn_relu(d.t, y) : tn_mul(d.t, d.b, y));
        snprintf(text, sizeof text, "%s %s", calls[call], stale[_i].fault);
        ck_assert_str_eq(tn_tape_error(d.t), text);
        ck_assert_int_eq(tn_tape_code(d.t), TN_ESTATE);
        ck_assert(!d.w->has_grad);
        tn_tape_reset(d.t); /* then the tape works again */
        ck_assert_int_eq(tn_backward(d.t, desk_step(&d)), 0);
        ck_assert(d.w->has_grad);
        desk_free(&d);
    }
}
END_TEST

/* In the next step of the same length no tensor gets the address of one from the step before. So a
   stale pointer is recognised for a whole step. */
START_TEST(stale_for_a_whole_step)
{
    enum { LENGTH = 300, STEPS = 5 };
    tn_tensor *kept[2][LENGTH];
    desk d = desk_new();
    size_t memory = 0;
    for (int k = 0; k < STEPS; k++) {
        for (int i = 0; i < LENGTH; i++)
            kept[k % 2][i] = tn_scale(d.t, d.w, 1);
        for (int i = 0; i < LENGTH && k > 0; i++)
            for (int j = 0; j < LENGTH; j++)
                ck_assert_msg(kept[0][i] != kept[1][j], "step %d: number %d is number %d of before",
                              k, i, j);
        memory = k == 1 ? tn_tape_memory(d.t) : memory;
        tn_tape_reset(d.t);
    }
    ck_assert_uint_eq(tn_tape_memory(d.t), memory); /* no step takes more memory */
    desk_free(&d);
}
END_TEST

/* ---- a rewind restores tensors ---- */

/* Each returns a tensor that is made before a mark. An op after the mark consumes or reads it. */

static tn_tensor *read_before(desk *d)
{
    tn_tensor *y = desk_linear(d);
    tn_relu(d->t, y);
    return y;
}

static tn_tensor *kept_by_its_op(desk *d)
{
    return tn_softmax(d->t, d->w);
}

static tn_tensor *a_view(desk *d)
{
    return tn_reshape(d->t, d->w, 2, (int64_t[]){ 2, 2 });
}

static tn_tensor *already_consuming(desk *d)
{
    return consumed(d, desk_linear(d));
}

static tn_tensor *a_weight(desk *d)
{
    return d->w;
}

static tn_tensor *(*const olds[])(desk *d) = { desk_linear, read_before,       kept_by_its_op,
                                               a_view,      already_consuming, desk_input,
                                               a_weight };

/* Each is what happens between a mark and the rewind to it. */

static void consume_once(desk *d, tn_tensor *y)
{
    ck_assert_ptr_nonnull(consumed(d, y));
}

static void consume_in_evaluation(desk *d, tn_tensor *y)
{
    tn_mode mode = tn_tape_mode(d->t);
    tn_tape_eval(d->t);
    ck_assert_ptr_nonnull(consumed(d, y));
    tn_tape_set_mode(d->t, mode);
}

static void consume_twice(desk *d, tn_tensor *y)
{
    ck_assert_ptr_nonnull(consumed(d, consumed(d, y)));
}

static void consume_behind_another_mark(desk *d, tn_tensor *y)
{
    tn_mark inner = tn_tape_mark(d->t);
    consume_once(d, y);
    tn_tape_rewind(d->t, inner);
    consume_once(d, y);
}

static void consume_and_go_back(desk *d, tn_tensor *y)
{
    ck_assert_int_eq(tn_backward(d->t, tn_sum(d->t, consumed(d, y))), 0);
    d->w->has_grad = d->a->has_grad = d->b->has_grad = false;
}

static void read_only(desk *d, tn_tensor *y)
{
    ck_assert_ptr_nonnull(tn_relu(d->t, y));
}

static void (*const betweens[])(desk *d,
                                tn_tensor *y) = { consume_once,        consume_in_evaluation,
                                                  consume_twice,       consume_behind_another_mark,
                                                  consume_and_go_back, read_only };
enum { OLDS = sizeof olds / sizeof *olds, BETWEENS = sizeof betweens / sizeof *betweens };

/* Calls `between`, unless it is NULL, and then consumes y. Writes the gradients of w and b to
   out. */
static void gradients(desk *d, tn_tensor *(*old)(desk *d), void (*between)(desk *d, tn_tensor *y),
                      tn_real out[6])
{
    tn_real before[4];
    tn_tensor *y = old(d);
    memcpy(before, y->x, sizeof before);
    for (int i = 0; i < 2 && between; i++) {
        tn_mark m = tn_tape_mark(d->t);
        between(d, y);
        tn_tape_rewind(d->t, m);
        ck_assert_mem_eq(y->x, before, sizeof before);
    }
    tn_tensor *z = consumed(d, y);
    ck_assert_msg(z && !tn_backward(d->t, tn_sum(d->t, tn_mul(d->t, z, z))), "%s",
                  tn_tape_error(d->t));
    memcpy(out, d->w->g, 4 * sizeof *out);
    memcpy(out + 4, d->b->g, 2 * sizeof *out);
}

START_TEST(rewind_gives_back)
{
    tn_real want[6] = { 0 }, found[6] = { 0 };
    desk plain = desk_new(), marked = desk_new();
    gradients(&plain, olds[_i / BETWEENS], NULL, want);
    gradients(&marked, olds[_i / BETWEENS], betweens[_i % BETWEENS], found);
    ck_assert_mem_eq(found, want, sizeof want);
    desk_free(&plain);
    desk_free(&marked);
}
END_TEST

/* If its operand is newer than the last mark, lora takes over the operand's memory. */
START_TEST(newer_than_the_mark_is_consumed_in_place)
{
    desk d = desk_new();
    for (int marks = 0; marks < 2; marks++) {
        if (marks)
            tn_tape_mark(d.t);
        tn_tensor *y = desk_linear(&d);
        ck_assert_ptr_eq(consumed(&d, y)->x, y->x);
    }
    desk_free(&d);
}
END_TEST

/* ---- results that are done ---- */

static tn_tensor *add_to_itself(desk *d, tn_tensor *y)
{
    return tn_add(d->t, y, y);
}

static tn_tensor *square(desk *d, tn_tensor *y)
{
    return tn_mul(d->t, y, y);
}

static tn_tensor *view(desk *d, tn_tensor *y)
{
    return tn_reshape(d->t, y, 1, (int64_t[]){ 4 });
}

static tn_tensor *mark(desk *d, tn_tensor *y)
{
    tn_tensor *z = tn_add(d->t, y, y);
    tn_tape_mark(d->t);
    return z;
}

/* linear reads its input only for the gradient of the weight. */
static tn_tensor *frozen_linear(desk *d, tn_tensor *y)
{
    return tn_linear(d->t, y, d->x, NULL, TN_OUT_IN);
}

static tn_tensor *trained_linear(desk *d, tn_tensor *y)
{
    return tn_linear(d->t, y, d->w, NULL, TN_OUT_IN);
}

static const struct {
    tn_tensor *(*use)(desk *d, tn_tensor *y);
    bool training, evaluation; /* does the next result get the memory of y? */
} uses[] = {
    { add_to_itself, true, true }, { square, false, true },       { view, false, false },
    { mark, false, false },        { frozen_linear, true, true }, { trained_linear, false, true },
};

/* The result after tn_done(y) gets the memory of y, if nothing needs its values any more. */
START_TEST(memory_of_done_results_is_used_again)
{
    for (int training = 0; training < 2; training++) {
        desk d = desk_new();
        if (!training)
            tn_tape_eval(d.t);
        tn_tensor *y = desk_linear(&d);
        const tn_real *was = y->x;
        tn_tensor *z = uses[_i].use(&d, y);
        tn_done(d.t, y);
        const tn_tensor *next = tn_relu(d.t, z);
        ck_assert_msg(next != NULL, "%s", tn_tape_error(d.t));
        ck_assert_int_eq(next->x == was, training ? uses[_i].training : uses[_i].evaluation);
        desk_free(&d);
    }
}
END_TEST

/* Two activations, of which backward reads both results; with `done` it computes them again. */
static tn_tensor *activations(desk *d, bool done)
{
    tn_tensor *y = desk_linear(d), *a = tn_gelu(d->t, y), *b = tn_silu(d->t, a);
    if (done)
        tn_done(d->t, a);
    tn_tensor *c = tn_mul(d->t, b, b);
    if (done)
        tn_done(d->t, b);
    tn_tensor *z = tn_add(d->t, c, c); /* in the memory of a or b */
    ck_assert(z && y->x && done == !a->x && done == !b->x);
    return tn_sum(d->t, z);
}

START_TEST(values_are_computed_again)
{
    tn_real want[4];
    for (int done = 0; done < 2; done++) {
        desk d = desk_new();
        for (int step = 0; step < 3; step++) {
            memset(d.w->g, 0, sizeof want);
            d.w->has_grad = false;
            tn_tensor *loss = activations(&d, done);
            for (int again = 0; again < 1 + step; again++)
                ck_assert_msg(!tn_backward(d.t, loss), "%s", tn_tape_error(d.t));
            if (!done && step == 2)
                memcpy(want, d.w->g, sizeof want);
            if (done && step == 2)
                ck_assert_mem_eq(d.w->g, want, sizeof want);
            tn_tape_reset(d.t);
        }
        desk_free(&d);
    }
    ck_assert(want[0] != 0);
}
END_TEST

/* A leaf, and a result from before a mark, are still there. */
START_TEST(what_stays_after_done)
{
    desk d = desk_new();
    tn_tensor *y = desk_linear(&d), *leaf = desk_input(&d);
    const tn_mark m = tn_tape_mark(d.t);
    tn_tensor *z = tn_relu(d.t, y);
    tn_done(d.t, leaf);
    tn_done(d.t, y);
    ck_assert_ptr_nonnull(tn_add(d.t, y, leaf));
    tn_done(d.t, z);
    ck_assert_ptr_null(tn_tape_error(d.t));
    tn_tape_rewind(d.t, m);
    z = tn_relu(d.t, y); /* not in memory that was spare before the rewind */
    const tn_tensor *other = tn_relu(d.t, y);
    ck_assert(z && other && z->x != other->x && z->x != y->x);
    tn_done(d.t, z);
    tn_done(d.t, z);
    ck_assert_str_eq(tn_tape_error(d.t), "done: the tensor is done: tn_done was called");
    desk_free(&d);
}
END_TEST

/* A mark from an earlier step is older than every tensor of this step: a rewind to it forgets
   all. */
START_TEST(old_marks_forget_everything)
{
    desk d = desk_new();
    tn_mark early = tn_tape_mark(d.t);
    desk_step(&d);
    tn_mark late = tn_tape_mark(d.t);
    tn_tape_reset(d.t);
    tn_tensor *y = desk_step(&d);
    tn_tape_rewind(d.t, tn_tape_mark(d.t) + 1000);
    ck_assert_ptr_nonnull(tn_relu(d.t, y));
    tn_tape_rewind(d.t, late);
    ck_assert_ptr_null(tn_relu(d.t, y));
    tn_tape_reset(d.t);
    y = desk_step(&d);
    tn_tape_rewind(d.t, early);
    ck_assert_ptr_null(tn_relu(d.t, y));
    desk_free(&d);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, memory_of_done_results_is_used_again, 0, sizeof uses / sizeof *uses);
    tcase_add_test(c, values_are_computed_again);
    tcase_add_test(c, what_stays_after_done);
    tcase_add_loop_test(c, stale_tensor_is_refused, 0, sizeof stale / sizeof *stale);
    tcase_add_test(c, stale_for_a_whole_step);
    tcase_add_loop_test(c, rewind_gives_back, 0, OLDS * BETWEENS);
    tcase_add_test(c, newer_than_the_mark_is_consumed_in_place);
    tcase_add_test(c, old_marks_forget_everything);
}
