/* test_made.c - the tensors of a tape: which are taken, what a rewind gives back, how they end.
   No order of freeing does harm. */
#include "core/op.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
typedef struct desk { tn_context *c; tn_tape *t, *other; tn_tensor *x, *w, *a, *b; } desk;
/* clang-format on */

static tn_tensor *filled(int64_t d0, int64_t d1, bool wants)
{
    tn_tensor *a = tn_tensor_new(TN_REAL, 2, (int64_t[]){ d0, d1 }, wants);
    tn_fill_uniform(a->x, d0 * d1, 1, 3, (uint64_t)(d0 * 10 + d1));
    return a;
}

/* x (2,2), a weight w (2,2) and factors a (1,2), b (2,1). */
static desk desk_new(void)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    return (desk){ .c = c,
                   .t = tn_tape_new(c),
                   .other = tn_tape_new(c),
                   .x = filled(2, 2, false),
                   .w = filled(2, 2, true),
                   .a = filled(1, 2, true),
                   .b = filled(2, 1, true) };
}

static void desk_free(desk *d)
{
    tn_tape_free(d->t);
    tn_tape_free(d->other);
    tn_tensor *all[] = { d->x, d->w, d->a, d->b };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tn_tensor_free(all[i]);
    tn_context_free(d->c);
}

static tn_tensor *step(desk *d)
{
    return tn_sum(d->t, tn_relu(d->t, tn_linear(d->t, d->x, d->w, NULL, TN_OUT_IN)));
}

static tn_tensor *consumed(desk *d, tn_tensor *y)
{
    return tn_lora(d->t, y, d->x, d->a, d->b, 10, 0, 0, 1);
}

/* ---- tensors of another time or place ---- */

/* Each returns a tensor of one element that is not to be had on the tape any more. */

static tn_tensor *reset_before(desk *d)
{
    tn_tensor *y = step(d);
    tn_tape_reset(d->t);
    return y;
}

static tn_tensor *step_before(desk *d)
{
    tn_tensor *y = step(d);
    tn_tape_reset(d->t);
    step(d);
    return y;
}

static tn_tensor *first_of_step_before(desk *d)
{
    tn_tensor *y = tn_sum(d->t, d->w);
    step(d);
    tn_tape_reset(d->t);
    tn_sum(d->t, d->w);
    step(d);
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
    tn_tensor *y = tn_reshape(d->t, step(d), 2, (int64_t[]){ 1, 1 });
    tn_tape_reset(d->t);
    return y;
}

static tn_tensor *rewound(desk *d)
{
    tn_mark m = tn_tape_mark(d->t);
    tn_tensor *y = step(d);
    tn_tape_rewind(d->t, m);
    return y;
}

static tn_tensor *rewound_and_made_again(desk *d)
{
    step(d);
    tn_mark m = tn_tape_mark(d->t);
    tn_tensor *y = tn_sum(d->t, d->w);
    tn_tape_rewind(d->t, m);
    tn_sum(d->t, d->w);
    return y;
}

static tn_tensor *made_after_an_older_mark(desk *d)
{
    tn_mark first = tn_tape_mark(d->t);
    tn_tensor *y = step(d);
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
    static tn_tensor copy; /* as a caller's own struct would be */
    copy = *step(d);
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
        tn_tape_reset(d.t); /* and the tape goes on */
        ck_assert_int_eq(tn_backward(d.t, step(&d)), 0);
        ck_assert(d.w->has_grad);
        desk_free(&d);
    }
}
END_TEST

/* A pointer that is kept is known as stale for a whole step of the same length, however many there were. */
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
    ck_assert_uint_eq(tn_tape_memory(d.t), memory); /* and no step takes more */
    desk_free(&d);
}
END_TEST

/* ---- rewinding gives back ---- */

/* Tensors older than a mark that an op after it consumes, or reads. */

static tn_tensor *untouched(desk *d)
{
    return tn_linear(d->t, d->x, d->w, NULL, TN_OUT_IN);
}

static tn_tensor *read_before(desk *d)
{
    tn_tensor *y = untouched(d);
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
    return consumed(d, untouched(d));
}

static tn_tensor *an_input(desk *d)
{
    tn_tensor *y = tn_tape_input(d->t, TN_REAL, 2, (int64_t[]){ 2, 2 });
    memcpy(y->x, d->w->x, 4 * sizeof *y->x);
    return y;
}

static tn_tensor *a_weight(desk *d)
{
    return d->w;
}

static tn_tensor *(*const olds[])(desk *d) = { untouched, read_before,       kept_by_its_op,
                                               a_view,    already_consuming, an_input,
                                               a_weight };

/* What happens between a mark and the rewind to it. */

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

/* The gradients of w and b, in out, when y is consumed after all; between may be NULL. */
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

/* Without a mark in between, lora still takes its operand's memory over. */
START_TEST(newer_than_the_mark_is_consumed_in_place)
{
    desk d = desk_new();
    for (int marks = 0; marks < 2; marks++) {
        if (marks)
            tn_tape_mark(d.t);
        tn_tensor *y = untouched(&d);
        ck_assert_ptr_eq(consumed(&d, y)->x, y->x);
    }
    desk_free(&d);
}
END_TEST

/* A mark of a step before lies before all of this one; so nothing of it is left. */
START_TEST(old_marks_forget_everything)
{
    desk d = desk_new();
    tn_mark early = tn_tape_mark(d.t);
    step(&d);
    tn_mark late = tn_tape_mark(d.t);
    tn_tape_reset(d.t);
    tn_tensor *y = step(&d);
    tn_tape_rewind(d.t, tn_tape_mark(d.t) + 1000);
    ck_assert_ptr_nonnull(tn_relu(d.t, y));
    tn_tape_rewind(d.t, late);
    ck_assert_ptr_null(tn_relu(d.t, y));
    tn_tape_reset(d.t);
    y = step(&d);
    tn_tape_rewind(d.t, early);
    ck_assert_ptr_null(tn_relu(d.t, y));
    desk_free(&d);
}
END_TEST

/* ---- freeing in any order ---- */

/* Frees the tensor, and lets others write where it was. */
static void free_and_overwrite(tn_tensor **a)
{
    void *more[16];
    tn_tensor_free(*a);
    *a = NULL;
    for (int i = 0; i < 16; i++) {
        more[i] = i % 2 ? aligned_alloc(64, 64) : malloc(sizeof(tn_tensor));
        memset(more[i], 0x44, i % 2 ? 64 : sizeof(tn_tensor));
    }
    for (int i = 0; i < 16; i++)
        free(more[i]);
}

static void free_leaf_before_backward(desk *d)
{
    tn_real x[4];
    memcpy(x, d->x->x, sizeof x);
    tn_tensor *loss =
        tn_sum(d->t, tn_mul(d->t, tn_reshape(d->t, d->x, 2, (int64_t[]){ 2, 2 }), d->w));
    free_and_overwrite(&d->x);
    ck_assert_int_eq(tn_backward(d->t, loss), 0);
    ck_assert_mem_eq(d->w->g, x, sizeof x);
}

static void free_weight_before_backward(desk *d)
{
    tn_tensor *loss = tn_sum(d->t, tn_mul(d->t, d->w, d->w));
    free_and_overwrite(&d->w);
    ck_assert_int_eq(tn_backward(d->t, loss), 0);
}

static void free_leaf_under_a_view(desk *d)
{
    tn_tape_eval(d->t); /* no node is kept */
    tn_tensor *y = tn_reshape(d->t, d->x, 1, (int64_t[]){ 4 });
    free_and_overwrite(&d->x);
    ck_assert_ptr_nonnull(tn_relu(d->t, y));
}

static void free_held_by_two_tapes(desk *d)
{
    tn_tensor *loss = tn_sum(d->t, tn_mul(d->t, d->w, d->w)),
              *second = tn_sum(d->other, tn_mul(d->other, d->w, d->w));
    free_and_overwrite(&d->w);
    ck_assert_int_eq(tn_backward(d->t, loss), 0);
    tn_tape_free(d->t);
    d->t = NULL;
    ck_assert_int_eq(tn_backward(d->other, second), 0);
}

static void free_result(desk *d)
{
    tn_tensor *y = untouched(d);
    tn_tensor_free(y);
    ck_assert_int_eq(tn_backward(d->t, tn_sum(d->t, y)), 0);
}

static void free_input(desk *d)
{
    tn_tensor_free(an_input(d));
}

static void free_copy(desk *d)
{
    tn_tensor copy = *d->w, empty = { 0 };
    tn_tensor_free(&copy);
    tn_tensor_free(&empty);
    ck_assert_int_eq(tn_backward(d->t, step(d)), 0);
}

static void freeze_result(desk *d)
{
    tn_tensor *y = untouched(d), *z = tn_add(d->t, y, d->w);
    tn_tensor_freeze(y); /* w gets what comes past y alone */
    ck_assert_int_eq(tn_backward(d->t, tn_sum(d->t, z)), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq((double)d->w->g[i], 1);
}

static void freeze_copy(desk *d)
{
    tn_tensor copy = *d->w;
    tn_tensor_freeze(&copy);
    ck_assert_int_eq(tn_backward(d->t, step(d)), 0);
}

static void freeze_before_backward(desk *d)
{
    tn_tensor *loss = step(d);
    tn_tensor_freeze(d->w);
    ck_assert_int_eq(tn_backward(d->t, loss), 0);
    ck_assert_ptr_null(d->w->g);
}

/* What is on the stack is not looked at after its time. */
static void leaf_that_is_gone_at_the_reset(desk *d)
{
    tn_real *x = calloc(4, sizeof *x);
    tn_tensor *own = calloc(1, sizeof *own);
    *own = (tn_tensor){ .ndim = 2, .dim = { 2, 2, 1, 1 }, .x = x };
    ck_assert_int_eq(tn_backward(d->t, tn_sum(d->t, tn_mul(d->t, own, d->w))), 0);
    free(own);
    free(x);
}

/* clang-format off */
static void (*const orders[])(desk *d) = {
    free_leaf_before_backward, free_weight_before_backward, free_leaf_under_a_view, free_held_by_two_tapes, free_result,
    free_input, free_copy, freeze_result, freeze_copy, freeze_before_backward, leaf_that_is_gone_at_the_reset };
/* clang-format on */

/* For AddressSanitizer: nothing is used after its time, nothing is lost. */
START_TEST(any_order_of_freeing)
{
    for (int reset = 0; reset < 2; reset++) {
        desk d = desk_new();
        orders[_i](&d);
        if (reset && d.t)
            tn_tape_reset(d.t);
        desk_free(&d);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, stale_tensor_is_refused, 0, sizeof stale / sizeof *stale);
    tcase_add_test(c, stale_for_a_whole_step);
    tcase_add_loop_test(c, rewind_gives_back, 0, OLDS * BETWEENS);
    tcase_add_test(c, newer_than_the_mark_is_consumed_in_place);
    tcase_add_test(c, old_marks_forget_everything);
    tcase_add_loop_test(c, any_order_of_freeing, 0, sizeof orders / sizeof *orders);
}
