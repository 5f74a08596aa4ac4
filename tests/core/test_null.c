/* test_null.c - every function of core.h, op.h, trace.h and ops.def with NULL for each of its pointers. */
#include "core/trace.h"
#include "tests/support/null.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    null_fixture base;
    const tn_options *options;
    const tn_rope_options *rope;
    tn_tape *more;
    tn_tensor *a, *b, *v, *q, *ids, *start, *loss; /* (2,2) twice, (2), (1,2,3), (2), (1), (1) */
    tn_tensor *cube, *table, *image;               /* (1,2,2); (2,2) without gradient; (2,2,1,1) */
    tn_tensor *lstm[3], *gru[3];                   /* x, w and b, that belong to a state of (2,2) */
    tn_tensor **in, shape;
    const tn_op *op;
    const tn_node *node;
    const tn_event *event;
    tn_graph *graph;
    const int64_t *dim;
    tn_attr attr;
    tn_conv_form conv;
    tn_pool_form pool;
    tn_mode mode;
    tn_error other;
    tn_real beta;
    const char *word;
    char *text;
    uint32_t *four;
    void *arg;
    va_list args;
} fixture;

static null_fixture *open_fixture(void)
{
    static const int64_t dim[] = { 2, 2 };
    static const tn_options options = { .threads = 1, .seed = 1 };
    static const tn_rope_options rope = { .theta = 100 };
    fixture *f = calloc(1, sizeof *f);
    tn_node *node = calloc(1, sizeof *node);
    tn_event *event = calloc(1, sizeof *event);
    *f = (fixture){ .options = &options,
                    .rope = &rope,
                    .op = &tn_op_relu,
                    .node = node,
                    .event = event,
                    .dim = dim,
                    .pool = { .size = { 1, 1 } },
                    .word = "word",
                    .arg = f,
                    .text = calloc(64, 1),
                    .four = calloc(4, sizeof *f->four),
                    .in = calloc(1, sizeof *f->in) };
    f->graph = tn_graph_new(NULL, NULL);
    f->base.c = tn_context_new(&options);
    f->base.t = tn_tape_new(f->base.c);
    f->more = tn_tape_new(f->base.c);
    f->a = tn_tensor_new(TN_REAL, 2, dim, true);
    f->b = tn_tensor_new(TN_REAL, 2, dim, true);
    f->v = tn_tensor_new(TN_REAL, 1, dim, true);
    f->q = tn_tensor_new(TN_REAL, 3, (int64_t[]){ 1, 2, 3 }, true);
    f->cube = tn_tensor_new(TN_REAL, 3, (int64_t[]){ 1, 2, 2 }, true);
    f->image = tn_tensor_new(TN_REAL, 4, (int64_t[]){ 2, 2, 1, 1 }, true);
    for (int k = 0; k < 3; k++) {
        static const int64_t lstm_dim[][2] = { { 2, 4 }, { 4, 1 }, { 4 } },
                             gru_dim[][2] = { { 2, 6 }, { 6, 2 }, { 6 } };
        f->lstm[k] = tn_tensor_new(TN_REAL, k < 2 ? 2 : 1, lstm_dim[k], true);
        f->gru[k] = tn_tensor_new(TN_REAL, k < 2 ? 2 : 1, gru_dim[k], true);
    }
    f->table = tn_tensor_new(TN_REAL, 2, dim, false);
    f->ids = tn_tensor_new(TN_I32, 1, dim, false);
    f->start = tn_tensor_new(TN_I32, 1, (int64_t[]){ 1 }, false);
    f->loss = tn_sum(f->base.t, f->a);
    f->in[0] = f->a;
    *node = (tn_node){ .op = f->op, .in = { f->a }, .out = f->b };
    *event = (tn_event){ .op = f->op->name, .out = f->b };
    return &f->base;
}

static void close_fixture(null_fixture *base)
{
    fixture *f = (fixture *)base;
    tn_tensor *all[] = { f->a, f->b, f->v, f->q, f->ids, f->start, f->cube, f->table, f->image };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tn_tensor_free(all[i]);
    for (int k = 0; k < 3; k++)
        tn_tensor_free(f->lstm[k]), tn_tensor_free(f->gru[k]);
    tn_tape_free(f->more);
    tn_tape_free(f->base.t);
    tn_context_free(f->base.c);
    free((void *)f->node);
    free((void *)f->event);
    tn_graph_free(f->graph);
    free(f->text);
    free(f->four);
    free(f->in);
    free(f);
}

static void ignore(void *arg, const char *bytes, size_t n)
{
    (void)arg, (void)bytes, (void)n;
}

static void release(void *arg)
{
    (void)arg;
}

static tn_tensor *block(tn_tape *t, void *arg, tn_tensor *x)
{
    (void)arg;
    return tn_relu(t, x);
}

static void each(void *arg, const tn_event *event)
{
    (void)arg, (void)event;
}

static const char *name(void *arg, const tn_tensor *w)
{
    (void)arg, (void)w;
    return NULL;
}

static void one(void *arg, int64_t i, int thread)
{
    (void)arg, (void)i, (void)thread;
}

static void range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)arg, (void)from, (void)to, (void)thread;
}

#define IS_FAULT(result) ((result) == NULL ? SUCCESS : REFUSAL)
DROP(context, tn_context, tn_context_free)
DROP(tape, tn_tape, tn_tape_free)
DROP(graph, tn_graph, tn_graph_free)
DROP(tensor, tn_tensor, tn_tensor_free)

#define NULL_ROWS "tests/core/null.def"
#include "tests/support/null_rows.h"

static const char *const headers[] = { "core/core.h", "core/op.h", "core/trace.h", "core/ops.def" };

START_TEST(every_function_has_a_row)
{
    null_rows_are_all(&table, headers[_i]);
}
END_TEST

START_TEST(tellers_of_mistakes)
{
    const char *none = NULL;
    tn_error e = { 0 };
    fixture *f = (fixture *)open_fixture();
    ck_assert_int_eq(tn_fail(NULL, TN_EIO, "x"), TN_EIO);
    ck_assert_int_eq(tn_fail(&e, TN_EIO, none, 1), TN_EIO);
    ck_assert_str_eq(e.text, tn_strerror(TN_EIO));
    tn_error_add(&e, none, 1);
    ck_assert_str_eq(e.text, tn_strerror(TN_EIO));
    ck_assert_int_eq(tn_given(NULL, true, "here"), TN_EARG);
    ck_assert_int_eq(tn_given(&e, false, "here"), TN_EIO);
    ck_assert_int_eq(tn_refuse(NULL, f->op, TN_EIO, "x"), TN_EIO);
    ck_assert_int_eq(tn_refuse(f->more, NULL, TN_EIO, "x"), TN_EIO);
    ck_assert_str_eq(tn_tape_error(f->more), "op: x");
    ck_assert_int_eq(tn_refuse_shapes(NULL, f->node), TN_EARG);
    ck_assert_str_eq(tn_tape_error(NULL), "there is no tape: NULL");
    close_fixture(&f->base);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, null_is_refused, 0, table.rows);
    tcase_add_loop_test(c, every_function_has_a_row, 0, sizeof headers / sizeof *headers);
    tcase_add_test(c, tellers_of_mistakes);
}
