/* test_trace.c - the callback of a tape: when it is called, with what, and what it must not change.
   The tests know the order of their ops and which results are not finite. They compare numbers with
   those of the same program without a callback. */
#include "core/trace.h"
#include "tests/support/desk.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct seen { /* what the callback was called with */
    char text[1024];  /* a line per event */
    char made[128];   /* the first event with a number that is not finite */
    tn_finding finding;
    double seconds, rests; /* of all events; of those of the op "rest" */
} seen;

static void note(void *arg, const tn_event *event)
{
    seen *s = arg;
    char line[128];
    size_t used = strlen(s->text);
    tn_event_text(event, line, sizeof line);
    snprintf(s->text + used, sizeof s->text - used, "%d %s\n", event->depth, line);
    tn_finding here = tn_event_finding(event);
    if (here != TN_FINITE && s->finding == TN_FINITE) {
        s->finding = here;
        snprintf(s->made, sizeof s->made, "%s", line);
    }
    ck_assert(event->seconds >= 0);
    s->seconds += event->seconds;
    s->rests += strcmp(event->op, "rest") ? 0 : event->seconds;
}

START_TEST(calls_come_in_order)
{
    desk d = desk_new();
    seen s = { .text = "" };
    tn_tape_trace(d.t, note, &s);
    tn_tensor *loss = desk_step(&d);
    ck_assert_int_eq(tn_backward(d.t, loss), 0);
    ck_assert_str_eq(s.text, "0 linear (2,2) (2,2) - -> (2,2)\n"
                             "0 relu (2,2) -> (2,2)\n"
                             "0 sum (2,2) -> (1)\n"
                             "0 backward of sum (2,2) -> (1)\n"
                             "0 backward of relu (2,2) -> (2,2)\n"
                             "0 backward of linear (2,2) (2,2) - -> (2,2)\n");
    tn_tape_reset(d.t);
    s.text[0] = 0;
    tn_tape_eval(d.t);
    ck_assert_ptr_null(tn_matmul(d.t, d.w, d.a)); /* (2,2) (1,2): refused, so no event */
    ck_assert_str_eq(s.text, "");
    tn_tape_reset(d.t);
    tn_relu(d.t, d.x); /* the callback outlives a reset, and sees evaluation */
    ck_assert_str_eq(s.text, "0 relu (2,2) -> (2,2)\n");
    tn_tape_trace(d.t, NULL, NULL);
    tn_relu(d.t, d.x);
    ck_assert_str_eq(s.text, "0 relu (2,2) -> (2,2)\n");
    desk_free(&d);
}
END_TEST

static tn_tensor *inner(tn_tape *t, void *arg, tn_tensor *x)
{
    return tn_mul(t, x, ((desk *)arg)->w);
}

static tn_tensor *outer(tn_tape *t, void *arg, tn_tensor *x)
{
    return tn_recompute(t, inner, arg, tn_relu(t, x));
}

/* The callback sees the ops of a block when the block runs, and when it runs again. */
START_TEST(blocks_are_seen)
{
    desk d = desk_new();
    seen s = { .text = "" };
    tn_tape_trace(d.t, note, &s);
    tn_tensor *loss = tn_sum(d.t, tn_recompute(d.t, outer, &d, d.x));
    ck_assert_int_eq(tn_backward(d.t, loss), 0);
#define AGAIN                                                                                      \
    "1 relu (2,2) -> (2,2)\n2 mul (2,2) (2,2) -> (2,2)\n1 recompute (2,2) (2,2) -> (2,2)\n"
    ck_assert_str_eq(s.text,
                     AGAIN "0 recompute (2,2) (2,2) -> (2,2)\n0 sum (2,2) -> (1)\n"
                           "0 backward of sum (2,2) -> (1)\n" AGAIN
                           "2 mul (2,2) (2,2) -> (2,2)\n2 backward of mul (2,2) (2,2) -> (2,2)\n"
                           "1 backward of recompute (2,2) (2,2) -> (2,2)\n"
                           "0 backward of recompute (2,2) (2,2) -> (2,2)\n");
    desk_free(&d);
}
END_TEST

/* ---- seconds ---- */

enum { REST_MS = 30 };

static void rest(tn_tape *t, tn_node *n)
{
    (void)t;
    nanosleep(&(struct timespec){ .tv_nsec = REST_MS * 1000000L }, NULL);
    memcpy(n->out->x, n->in[0]->x, tn_tensor_bytes(n->out));
}

static int rest_shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    (void)t;
    tn_like(out, n->in[0]);
    return 0;
}

static void pass(tn_tape *t, const tn_node *n)
{
    tn_grad_pass(t, n, 0);
}

static const tn_op rest_op = {
    .name = "rest", .inputs = 1, .shape = rest_shape, .forward = rest, .backward = pass
};

static tn_tensor *resting(tn_tape *t, void *arg, tn_tensor *x)
{
    return tn_apply(t, &rest_op, (tn_tensor *[]){ inner(t, arg, x) }, (tn_attr){ .u = 0 });
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

/* An op sleeps. Its event has this time. The backward that runs the op again does not count it
   twice: all events together take no longer than the clock shows. */
START_TEST(seconds_belong_to_one_event)
{
    desk d = desk_new();
    seen s = { .text = "" };
    tn_tape_trace(d.t, note, &s);
    const double begun = now();
    tn_tensor *loss = tn_sum(d.t, tn_recompute(d.t, resting, &d, d.x));
    ck_assert_int_eq(tn_backward(d.t, loss), 0);
    ck_assert_double_le(s.seconds, now() - begun);
    ck_assert_double_ge(s.rests, 2e-3 * REST_MS);
    desk_free(&d);
}
END_TEST

/* ---- numbers that are not finite ---- */

static tn_tensor *log_of_negative(tn_tape *t, tn_tensor *w)
{
    return tn_sum(t, tn_log(t, tn_scale(t, w, -1)));
}

static tn_tensor *exp_overflows(tn_tape *t, tn_tensor *w)
{
    return tn_sum(t, tn_exp(t, tn_scale(t, w, 1e6)));
}

static tn_tensor *infinity_less_infinity(tn_tape *t, tn_tensor *w)
{
    tn_tensor *large = tn_exp(t, tn_scale(t, w, 1e6));
    return tn_sum(t, tn_sub(t, large, large));
}

static tn_tensor *root_of_zero(tn_tape *t, tn_tensor *w)
{
    return tn_sum(t, tn_sqrt(t, tn_scale(t, w, 0)));
}

static const struct {
    tn_tensor *(*loss)(tn_tape *t, tn_tensor *w);
    tn_finding finding;
    const char *made;
    bool first_is_nan; /* the first NaN, not the first number that is not finite */
} faults[] = {
    { log_of_negative, TN_NAN, "log (2,2) -> (2,2)", false },
    { exp_overflows, TN_INFINITE, "exp (2,2) -> (2,2)", false },
    { infinity_less_infinity, TN_NAN, "sub (2,2) (2,2) -> (2,2)", true },
    { root_of_zero, TN_INFINITE, "backward of sqrt (2,2) -> (2,2)", false },
};

static void note_nan(void *arg, const tn_event *event)
{
    if (tn_event_finding(event) == TN_NAN)
        note(arg, event);
}

START_TEST(the_op_that_made_the_first)
{
    desk d = desk_new();
    seen s = { .text = "" };
    for (int i = 0; i < 4; i++)
        d.w->x[i] = 1;
    tn_tape_trace(d.t, faults[_i].first_is_nan ? note_nan : note, &s);
    tn_backward(d.t, faults[_i].loss(d.t, d.w));
    ck_assert_int_eq(s.finding, faults[_i].finding);
    ck_assert_str_eq(s.made, faults[_i].made);
    desk_free(&d);
}
END_TEST

/* ---- the same numbers ---- */

START_TEST(a_callback_changes_nothing)
{
    tn_real loss[2], grad[2][4];
    for (int k = 0; k < 2; k++) {
        desk d = desk_new();
        seen s = { .text = "" };
        if (k)
            tn_tape_trace(d.t, note, &s);
        tn_tensor *y = tn_lora(d.t, desk_linear(&d), d.x, d.a, d.b, 2, 0, 0.5, 1);
        tn_tensor *l = tn_sum(d.t, tn_recompute(d.t, outer, &d, y));
        ck_assert_int_eq(tn_backward(d.t, l), 0);
        loss[k] = l->x[0];
        memcpy(grad[k], d.w->g, sizeof grad[k]);
        ck_assert_int_eq(k, s.text[0] != 0);
        desk_free(&d);
    }
    ck_assert_mem_eq(&loss[0], &loss[1], sizeof loss[0]);
    ck_assert_mem_eq(grad[0], grad[1], sizeof grad[0]);
}
END_TEST

START_TEST(a_long_text_is_cut)
{
    const tn_tensor a = { .ndim = 2, .dim = { 12, 34, 1, 1 } };
    const tn_event event = {
        .op = "linear", .inputs = 2, .in = (const tn_tensor *[]){ &a, NULL }, .out = &a
    };
    const char *whole = "linear (12,34) - -> (12,34)";
    for (size_t room = 1; room <= strlen(whole) + 1; room++) {
        char out[64], want[64];
        memset(out, '#', sizeof out);
        snprintf(want, room, "%s", whole);
        ck_assert_str_eq(tn_event_text(&event, out, room), want);
        ck_assert_int_eq(out[room], '#');
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, calls_come_in_order);
    tcase_add_test(c, blocks_are_seen);
    tcase_add_test(c, seconds_belong_to_one_event);
    tcase_add_loop_test(c, the_op_that_made_the_first, 0, sizeof faults / sizeof *faults);
    tcase_add_test(c, a_callback_changes_nothing);
    tcase_add_test(c, a_long_text_is_cut);
}
