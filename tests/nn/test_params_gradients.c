/* test_params_gradients.c - one array of all trained gradients, whatever is frozen or added.
   The oracle is the same program with gradients that are not together: the same bits. */
#include "nn/model.h"
#include "optim/optim.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHTS = 4, LINE = 64 / sizeof(tn_real) };

typedef struct desk {
    tn_context *c;
    tn_tape *t;
    tn_params *p;
    tn_error e;
} desk;

static tn_tensor *add(desk *d, const char *name, int64_t rows, int64_t cols)
{
    tn_tensor *w = tn_params_add(d->p, name, 2, (int64_t[]){ rows, cols });
    tn_fill_uniform(w->x, rows * cols, 1, 7, tn_stream(name));
    return w;
}

/* Weights a (3,5), b (4,5), c (70,5), d (1,5). */
static desk desk_new(void)
{
    desk d = { .c = tn_context_new(&(tn_options){ .threads = 2 }) };
    d.t = tn_tape_new(d.c);
    d.p = tn_params_new(d.c);
    add(&d, "a", 3, 5);
    add(&d, "b", 4, 5);
    add(&d, "c", 70, 5);
    add(&d, "d", 1, 5);
    return d;
}

static void desk_free(desk *d)
{
    tn_tape_free(d->t);
    tn_params_free(d->p);
    tn_context_free(d->c);
}

/* Adds the gradients of sum over weights w of sum(tanh(w)) times the weight's number. */
static void step(desk *d)
{
    tn_tensor *loss = NULL;
    for (int64_t i = 0; i < tn_params_count(d->p); i++) {
        tn_tensor *w = tn_params_at(d->p, i)->w;
        tn_tensor *s = tn_scale(d->t, tn_sum(d->t, tn_tanh(d->t, w)), (double)(i + 1));
        loss = loss ? tn_add(d->t, loss, s) : s;
    }
    ck_assert_msg(!tn_backward(d->t, loss), "%s", tn_tape_error(d->t));
    tn_tape_reset(d->t);
}

/* The trained weights are in the array one after another, each at a multiple of 64 bytes. */
static tn_real *check_array(desk *d)
{
    int64_t count = -1, at = 0;
    tn_real *all = tn_params_gradients(d->p, &count, &d->e);
    ck_assert_msg(all != NULL, "%s", d->e.text);
    ck_assert_uint_eq((uintptr_t)all % 64, 0);
    for (int64_t i = 0; i < tn_params_count(d->p); i++) {
        const tn_tensor *w = tn_params_at(d->p, i)->w;
        if (!w->wants_grad) {
            ck_assert_ptr_null(w->g);
            continue;
        }
        const int64_t n = tn_tensor_count(w);
        ck_assert_ptr_eq(w->g, all + at);
        for (int64_t k = 0; k < n && !w->has_grad; k++)
            ck_assert(all[at + k] == 0);
        for (int64_t k = n; k % LINE; k++)
            ck_assert(all[at + k] == 0);
        at += (n + LINE - 1) / LINE * LINE;
    }
    ck_assert_int_eq(count, at);
    return all;
}

START_TEST(the_array_has_all_gradients)
{
    desk d = desk_new();
    tn_real *all = check_array(&d); /* zeros */
    step(&d);
    ck_assert_ptr_eq(check_array(&d), all); /* nothing moves without a reason */
    tn_params_clear(d.p);
    ck_assert_ptr_eq(check_array(&d), all); /* zeros again */
    tn_optim *o = tn_optim_new(d.p, tn_optim_find("adamw"), NULL, &d.e);
    ck_assert_msg(o != NULL, "%s", d.e.text);
    ck_assert_ptr_eq(check_array(&d), all);
    tn_optim_free(o);
    desk_free(&d);
    d = desk_new();
    o = tn_optim_new(d.p, tn_optim_find("adamw"), NULL, &d.e);
    all = tn_params_at(d.p, 0)->w->g; /* an optimizer puts them together, too */
    ck_assert_ptr_eq(check_array(&d), all);
    tn_optim_free(o);
    desk_free(&d);
}
END_TEST

/* ---- what happens to the weights in between ---- */

static void freeze_one(desk *d)
{
    ck_assert_int_eq(tn_params_freeze(d->p, "b"), 1);
}

static void freeze_tensor(desk *d)
{
    tn_tensor_freeze(tn_params_at(d->p, 2)->w);
}

static void remove_one(desk *d)
{
    tn_params_remove(d->p, 1);
}

static void remove_last(desk *d)
{
    tn_params_cut(d->p, 3);
}

static void add_one(desk *d)
{
    add(d, "e", 9, 5);
}

static void replace_one(desk *d)
{
    tn_params_remove(d->p, 1);
    add(d, "b", 4, 5);
}

static void change_nothing(desk *d)
{
    (void)d;
}

static void (*const changes[])(desk *d) = { freeze_one, freeze_tensor, remove_one,    remove_last,
                                            add_one,    replace_one,   change_nothing };
enum { CHANGES = sizeof changes / sizeof *changes };

/* The gradients by name, added up before and after a change. */
static int64_t run(int change, bool together, tn_real out[64][512])
{
    desk d = desk_new();
    if (together)
        check_array(&d);
    step(&d);
    changes[change](&d);
    if (together)
        check_array(&d);
    step(&d);
    if (together)
        check_array(&d);
    const int64_t count = tn_params_count(d.p);
    for (int64_t i = 0; i < count; i++) {
        const tn_tensor *w = tn_params_at(d.p, i)->w;
        memset(out[i], 0, sizeof out[i]);
        ck_assert(w->has_grad == w->wants_grad);
        if (w->has_grad)
            memcpy(out[i], w->g, (size_t)tn_tensor_count(w) * sizeof *w->g);
    }
    desk_free(&d);
    return count;
}

START_TEST(changes_keep_the_gradients)
{
    tn_real alone[64][512], together[64][512];
    const int64_t count = run(_i, false, alone);
    ck_assert_int_eq(run(_i, true, together), count);
    ck_assert_mem_eq(alone, together, (size_t)count * sizeof *alone);
}
END_TEST

/* ---- an optimizer that was made before ---- */

START_TEST(an_older_optimizer_says_why)
{
    desk d = desk_new();
    tn_optim *o = tn_optim_new(d.p, tn_optim_find("sgd"), NULL, &d.e);
    add(&d, "e", 9, 5);
    check_array(&d);
    step(&d);
    ck_assert_int_eq(tn_optim_step(o), TN_ESTATE);
    ck_assert_str_eq(tn_optim_error(o)->text,
                     "435 numbers are trained, and the optimizer was made for 390; expected it to "
                     "be made last");
    tn_optim_free(o);
    desk_free(&d);
}
END_TEST

/* If the weight goes again, the optimizer goes on: with the gradients where they are now. */
START_TEST(an_older_optimizer_finds_the_gradients)
{
    tn_real x[2][350];
    for (int moved = 0; moved < 2; moved++) {
        desk d = desk_new();
        tn_optim *o = tn_optim_new(d.p, tn_optim_find("sgd"), NULL, &d.e);
        if (moved) {
            add(&d, "e", 9, 5);
            check_array(&d);
            tn_params_cut(d.p, 4);
            check_array(&d);
        }
        step(&d);
        ck_assert_msg(!tn_optim_step(o), "%s", tn_optim_error(o)->text);
        memcpy(x[moved], tn_params_at(d.p, 2)->w->x, sizeof x[moved]);
        tn_optim_free(o);
        desk_free(&d);
    }
    ck_assert_mem_eq(x[0], x[1], sizeof x[0]);
}
END_TEST

/* ---- lifetimes ---- */

/* The tape still needs the weights: backward writes their gradients after the params have ended. */
START_TEST(a_tape_outlives_the_params)
{
    desk d = desk_new();
    check_array(&d);
    tn_tensor *w = tn_params_at(d.p, 2)->w;
    tn_tensor *loss = tn_sum(d.t, tn_mul(d.t, w, tn_params_at(d.p, 2)->w));
    tn_params_free(d.p);
    d.p = NULL;
    ck_assert_int_eq(tn_backward(d.t, loss), 0);
    ck_assert(w->has_grad && w->g[0] == 2 * w->x[0]);
    desk_free(&d);
}
END_TEST

START_TEST(what_is_refused)
{
    tn_error e = { 0 };
    int64_t count = 1;
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1 });
    tn_params *p = tn_params_new(c), *sketch = tn_params_sketch(c);
    ck_assert_ptr_null(tn_params_gradients(p, &count, &e)); /* nothing is trained */
    ck_assert_int_eq(count, 0);
    ck_assert_int_eq(e.code, 0);
    tn_params_add(sketch, "w", 1, (int64_t[]){ 3 });
    ck_assert_ptr_null(tn_params_gradients(sketch, &count, &e));
    ck_assert_int_eq(e.code, TN_ESTATE);
    tn_params_free(p);
    tn_params_free(sketch);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, the_array_has_all_gradients);
    tcase_add_loop_test(c, changes_keep_the_gradients, 0, CHANGES);
    tcase_add_test(c, an_older_optimizer_says_why);
    tcase_add_test(c, an_older_optimizer_finds_the_gradients);
    tcase_add_test(c, a_tape_outlives_the_params);
    tcase_add_test(c, what_is_refused);
}
