/* test_check.c - tn_op_check finds each break of an op, and nothing in an op that is right.
   The op is y = a^2 b, where b (C) belongs to all rows of a. Each variant breaks one thing. */
#include "core/op.h"
#include "tests/support/tests.h"

#include <math.h>
#include <string.h>

static int shape(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    const tn_tensor *a = n->in[0], *b = n->in[1];
    if (b->ndim != 1 || b->dim[0] != tn_cols(a))
        return tn_refuse_shapes(t, n);
    tn_like(out, a);
    return 0;
}

static void forward(tn_tape *t, tn_node *n)
{
    (void)t;
    const tn_real *a = n->in[0]->x, *b = n->in[1]->x;
    for (int64_t i = 0; i < tn_tensor_count(n->out); i++)
        n->out->x[i] = a[i] * a[i] * b[i % tn_cols(n->out)];
}

/* The gradients times of_a and of_b: with 1 they are right. */
static void back(tn_tape *t, const tn_node *n, double of_a, double of_b, bool add)
{
    const tn_real *a = n->in[0]->x, *b = n->in[1]->x, *dy = n->out->g;
    const int64_t count = tn_tensor_count(n->out), cols = tn_cols(n->out);
    tn_real beta, *g = tn_grad(t, n, 0, &beta);
    for (int64_t i = 0; g && i < count; i++)
        g[i] = (beta == 0 && !add ? 0 : g[i]) + (tn_real)of_a * 2 * a[i] * b[i % cols] * dy[i];
    g = tn_grad(t, n, 1, &beta);
    for (int64_t c = 0; g && c < cols; c++) {
        tn_real sum = 0;
        for (int64_t i = c; i < count; i += cols)
            sum += a[i] * a[i] * dy[i];
        g[c] = (beta == 0 ? 0 : g[c]) + (tn_real)of_b * sum;
    }
}

static void backward(tn_tape *t, const tn_node *n)
{
    back(t, n, 1, 1, false);
}

/* ---- breaks ---- */

static void wrong_gradient(tn_tape *t, const tn_node *n)
{
    back(t, n, 1.05, 1, false);
}

static void lost_gradient(tn_tape *t, const tn_node *n)
{
    back(t, n, 1, 0, false);
}

static void always_adds(tn_tape *t, const tn_node *n)
{
    back(t, n, 1, 1, true);
}

static void never_adds(tn_tape *t, const tn_node *n)
{
    tn_real beta, *g = tn_grad(t, n, 0, &beta);
    const tn_real *a = n->in[0]->x, *b = n->in[1]->x;
    for (int64_t i = 0; g && i < tn_tensor_count(n->out); i++)
        g[i] = 2 * a[i] * b[i % tn_cols(n->out)] * n->out->g[i];
    g = tn_grad(t, n, 1, &beta);
    for (int64_t c = 0; g && c < tn_cols(n->out); c++) {
        g[c] = 0;
        for (int64_t i = c; i < tn_tensor_count(n->out); i += tn_cols(n->out))
            g[c] += a[i] * a[i] * n->out->g[i];
    }
}

static void only_first_gradient(tn_tape *t, const tn_node *n)
{
    tn_real beta, *g = tn_grad(t, n, 0, &beta);
    for (int64_t i = 0; g && i < tn_tensor_count(n->out); i++)
        g[i] = (beta == 0 ? 0 : g[i]) +
               2 * n->in[0]->x[i] * n->in[1]->x[i % tn_cols(n->out)] * n->out->g[i];
}

/* Right as long as nobody overwrites y: 2 a b = 2 y / a. */
static void reads_result(tn_tape *t, const tn_node *n)
{
    const tn_real *a = n->in[0]->x, *y = n->out->x, *dy = n->out->g;
    const int64_t count = tn_tensor_count(n->out), cols = tn_cols(n->out);
    tn_real beta, *g = tn_grad(t, n, 0, &beta);
    for (int64_t i = 0; g && i < count; i++)
        g[i] = (beta == 0 ? 0 : g[i]) + 2 * y[i] / a[i] * dy[i];
    g = tn_grad(t, n, 1, &beta);
    for (int64_t c = 0; g && c < cols; c++) {
        tn_real sum = 0;
        for (int64_t i = c; i < count; i += cols)
            sum += a[i] * a[i] * dy[i];
        g[c] = (beta == 0 ? 0 : g[c]) + sum;
    }
}

/* The gradient of b needs a. */
static bool reads_second(const tn_node *n, int i)
{
    (void)n;
    return i == 1;
}

static bool reads_first_and_second(const tn_node *n, int i)
{
    (void)n;
    return i < 2;
}

/* The gradient of b is wrong unless a wants one, too. */
static void depends_on_others(tn_tape *t, const tn_node *n)
{
    back(t, n, 1, n->in[0]->wants_grad ? 1 : 1 + 1e-6, false);
}

static void leaves_one_out(tn_tape *t, tn_node *n)
{
    const int64_t last = tn_tensor_count(n->out) - 1;
    const tn_real before = n->out->x[last];
    forward(t, n);
    n->out->x[last] = before;
}

static void mixes_rows(tn_tape *t, tn_node *n)
{
    forward(t, n);
    n->out->x[0] += n->in[0]->x[tn_tensor_count(n->out) - 1] * (tn_real)1e-3;
}

static void counts_threads(tn_tape *t, tn_node *n)
{
    forward(t, n);
    n->out->x[0] += (tn_real)(1e-3 * tn_context_threads(tn_tape_context(t)));
}

static void asks_for_isa(tn_tape *t, tn_node *n)
{
    forward(t, n);
    for (int64_t i = 0; i < tn_tensor_count(n->out); i++)
        n->out->x[i] += (tn_real)(1e-3 * (double)strlen(tn_context_isa(tn_tape_context(t))));
}

static tn_tensor *reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    (void)attr;
    tn_tensor *zeros = tn_scale(t, in[0], 0);
    return tn_mul(t, tn_mul(t, in[0], in[0]), tn_add(t, zeros, in[1]));
}

static tn_tensor *wrong_reference(tn_tape *t, tn_tensor *const in[], tn_attr attr)
{
    return tn_scale(t, reference(t, in, attr), 1.001);
}

static int refuses_nothing(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    (void)t;
    tn_like(out, n->in[0]);
    return 0;
}

static int refuses_all(tn_tape *t, const tn_node *n, tn_tensor *out)
{
    (void)out;
    return tn_refuse(t, n->op, TN_EARG, "no");
}

static void reads_little(tn_tape *t, tn_node *n)
{
    (void)t;
    for (int64_t i = 0; i < tn_tensor_count(n->out); i++)
        n->out->x[i] = n->in[0]->x[i];
}

static const tn_sample samples[] = {
    { .in = { { 1, 3 }, { 3 } } },
    { .in = { { 2, 5, 4 }, { 4 } } },
    { .in = { { 700, 3 }, { 3 } } }, /* random directions */
    { .in = { { 0 } } },
};
static const tn_refusal refusals[] = {
    { { .in = { { 2, 3 }, { 2 } } }, "cube: shapes do not fit: (2,3) (2)" },
    { .text = "" },
};
static const tn_refusal misspelt[] = {
    { { .in = { { 2, 3 }, { 2 } } }, "cube: shapes are bad" },
    { .text = "" },
};
static const tn_sample no_samples[] = { { .in = { { 0 } } } };

#ifdef TN_DEBUG /* memory is filled with NaN, so the loss is refused first */
#define NOT_WRITTEN "backward: the loss is "
#else
#define NOT_WRITTEN "an element is not written"
#endif

/* clang-format off */
static const struct {
    tn_op op;         /* members that are not set are those of the right op */
    const char *says; /* a part of a finding; NULL: nothing is found */
    bool isas;        /* found only in float, and if the CPU has a second instruction set */
} cases[] = {
    { { .inputs = 2 }, NULL, false },
    { { .reference = reference }, NULL, false },
    { { .backward = wrong_gradient }, "cube: sample 0: direction 0: backward ", false },
    { { .backward = lost_gradient }, "cube: sample 0: direction 3: backward 0, differences ", false },
    { { .backward = always_adds }, "cube: sample 0: direction 0: backward nan", false },
    { { .backward = never_adds }, "cube: sample 0: gradients added twice: number 0 is ", false },
    { { .backward = only_first_gradient }, "cube: sample 0: cube: backward wrote no gradient of operand 2", false },
    { { .backward = depends_on_others }, "cube: sample 0: gradient wanted alone: number 0 of 3", false },
    { { .backward = reads_result }, "cube: sample 0: backward reads the result, and reads_result is not set: number 3 of 9", false },
    { { .backward = reads_result, .reads_result = true }, NULL, false },
    { { .reads = reads_second }, "cube: sample 0: backward reads an operand that .reads denies: number ", false },
    { { .reads = reads_first_and_second }, NULL, false },
    { { .forward = leaves_one_out }, "cube: sample 0: " NOT_WRITTEN, false },
    { { .forward = mixes_rows }, "cube: sample 1: rows alone and in a batch: number 0 of", false },
    { { .forward = counts_threads }, "cube: sample 0: 2 threads: number 0 of", false },
    { { .forward = asks_for_isa }, "cube: sample 0: scalar and ", true },
    { { .forward = reads_little }, "cube: sample 0: direction 0: backward ", false },
    { { .reference = wrong_reference }, "cube: sample 0: fused and plain: number", false },
    { { .shape = refuses_nothing }, "cube: refusal 0: not refused; expected \"cube: shapes do not fit: (2,3) (2)\"", false },
    { { .refusals = misspelt }, "cube: refusal 0: \"cube: shapes do not fit: (2,3) (2)\"; expected \"cube: shapes are bad\"", false },
    { { .refusals = &misspelt[1] }, "cube: no refusal is declared", false },
    { { .shape = refuses_all }, "cube: sample 0: cube: no", false },
    { { .samples = no_samples }, "cube: no small sample", false },
    { { .gives_ids = true }, "cube: backward is set; expected it if, and only if, an operand can have a gradient", false },
    { { .ids = 3 }, "cube: backward is set; expected", false },
    { { .ids = 2, .fixed = 1 }, "cube: backward is set; expected", false },
    { { .fixed = 2 }, NULL, false },
    { { .inputs = 7 }, "cube: 7 operands; expected 1 to 6", false },
};
/* clang-format on */

static tn_op complete(tn_op op)
{
    op.name = "cube";
    op.inputs = op.inputs ? op.inputs : 2;
    op.rows = 1;
    op.shape = op.shape ? op.shape : shape;
    op.forward = op.forward ? op.forward : forward;
    op.backward = op.backward ? op.backward : backward;
    op.samples = op.samples ? op.samples : samples;
    op.refusals = op.refusals ? op.refusals : refusals;
    return op;
}

typedef struct lines {
    char text[4000];
    size_t used;
    int count;
} lines;

static void add_line(void *arg, const char *bytes, size_t n)
{
    lines *l = arg;
    for (size_t i = 0; i < n; i++) {
        l->count += bytes[i] == '\n';
        if (l->used + 1 < sizeof l->text)
            l->text[l->used++] = bytes[i];
    }
}

/* True in float if this CPU has an instruction set beside plain C. */
static bool has_isas(void)
{
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .isa = tn_isas[1] });
    tn_context_free(c);
    return c && tn_isas[1];
}

START_TEST(finds_each_break)
{
    const tn_op op = complete(cases[_i].op);
    const char *says = cases[_i].isas && !has_isas() ? NULL : cases[_i].says;
    lines l = { 0 };
    const int found = tn_op_check(&op, add_line, &l);
    ck_assert_msg(found == l.count, "%d findings, %d lines\n%s", found, l.count, l.text);
    ck_assert_int_eq(tn_op_check(&op, NULL, NULL), found);
    if (says)
        ck_assert_msg(strstr(l.text, says), "found\n%sexpected\n%s", l.text, says);
    else
        ck_assert_msg(found == 0, "found\n%s", l.text);
}
END_TEST

/* Only the double build can find a gradient that is wrong by 3e-6 of its size. */
static void nearly_right(tn_tape *t, const tn_node *n)
{
    back(t, n, 1 + 3e-6, 1, false);
}

START_TEST(double_is_exact)
{
    const tn_op op = complete((tn_op){ .backward = nearly_right });
    ck_assert_int_eq(tn_op_check(&op, NULL, NULL) > 0, sizeof(tn_real) == sizeof(double));
}
END_TEST

START_TEST(refuses_what_is_no_op)
{
    const tn_op nothing = { 0 };
    ck_assert_int_eq(tn_op_check(NULL, NULL, NULL), TN_EARG);
    ck_assert_int_eq(tn_op_check(&nothing, NULL, NULL), TN_EARG);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, finds_each_break, 0, sizeof cases / sizeof *cases);
    tcase_add_test(c, double_is_exact);
    tcase_add_test(c, refuses_what_is_no_op);
}
