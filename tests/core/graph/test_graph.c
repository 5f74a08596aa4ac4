/* test_graph.c - the picture of a step: which ops, labels and edges it has, and where they are.
   The oracle is the definition: an op is below all that it reads, no two spots of a row meet, every
   dependence is a line from row to row, and all is inside the page. */
#include "core/graph/graph.h"
#include "tests/support/desk.h"
#include "tests/support/svg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct text {
    char *s;
    size_t n;
} text;

static void add(void *arg, const char *bytes, size_t n)
{
    text *t = arg;
    t->s = realloc(t->s, t->n + n + 1);
    memcpy(t->s + t->n, bytes, n);
    t->n += n;
    t->s[t->n] = 0;
}

/* The SVG, which is freed by the caller. */
static char *svg_of(const tn_graph *g)
{
    text t = { NULL, 0 };
    ck_assert_int_eq(tn_graph_svg(g, add, &t), 0);
    check_svg(t.s);
    return t.s;
}

static int count(const char *s, const char *what)
{
    int n = 0;
    for (; (s = strstr(s, what)) != NULL; s++)
        n++;
    return n;
}

static const char *name_of(void *arg, const tn_tensor *w)
{
    desk *d = arg;
    return w == d->w ? "<w&\x1b\xff>" : w == d->x ? "x" : NULL;
}

static tn_tensor *block(tn_tape *t, void *arg, tn_tensor *x)
{
    return tn_relu(t, tn_mul(t, x, ((desk *)arg)->w));
}

/* ---- what is in it ---- */

START_TEST(ops_and_labels)
{
    desk d = desk_new();
    tn_graph *g = tn_graph_new(name_of, &d);
    tn_tape_trace(d.t, tn_graph_add, g);
    tn_tensor *still = tn_relu(d.t, d.x);                                  /* 0: no gradient */
    tn_tensor *y = tn_linear(d.t, still, d.w, NULL, TN_OUT_IN);            /* 1 */
    y = tn_add(d.t, tn_recompute(d.t, block, &d, y), y);                   /* 2 and 3 */
    y = tn_mul(d.t, y, desk_input(&d));                                    /* 4 */
    ck_assert_int_eq(tn_backward(d.t, tn_sum(d.t, tn_mul(d.t, y, y))), 0); /* 5 and 6 */
    static const char *const names[] = {
        "relu", "linear", "recompute", "add", "mul", "mul", "sum"
    };
    static const int froms[] = { 0, 1, 1, 2, 1, 1, 1 };
    ck_assert_int_eq(g->count, 7);
    for (int i = 0; i < 7; i++) {
        ck_assert_str_eq(g->ops[i].name, names[i]);
        ck_assert_str_eq(g->ops[i].shape, i < 6 ? "(2,2)" : "(1)");
        ck_assert_int_eq(g->ops[i].froms, froms[i]);
        ck_assert_int_eq(g->ops[i].wanted, i > 0);
    }
    ck_assert_int_eq(g->ops[3].from[0], 2);
    ck_assert_int_eq(g->ops[3].from[1], 1);
    ck_assert_str_eq(g->ops[0].label[0].text, "x (2,2)");
    ck_assert_int_eq(g->ops[0].label[0].kind, TN_LABEL_FROZEN);
    ck_assert_int_eq(g->ops[1].label[0].kind, TN_LABEL_TRAINED);
    ck_assert_str_eq(g->ops[4].label[0].text, "input (2,2)");
    ck_assert_int_eq(g->ops[4].label[0].kind, TN_LABEL_INPUT);
    char *s = svg_of(g);
    ck_assert_int_eq(count(s, "class=\"op\""), 7); /* six, and one of the legend */
    ck_assert_int_eq(count(s, "class=\"still\""), 2);
    ck_assert_int_eq(count(s, ">&lt;w&amp;\\x1b\\xff&gt; (2,2)</text>"), 2);
    ck_assert_int_eq(count(s, ">recompute</text>"), 1);
    free(s);
    tn_graph_free(g);
    desk_free(&d);
}
END_TEST

START_TEST(an_empty_graph_is_a_page)
{
    tn_graph *g = tn_graph_new(NULL, NULL);
    free(svg_of(g));
    tn_graph_free(g);
}
END_TEST

/* A result that is read far below is a label there. */
START_TEST(far_results_are_labels)
{
    for (int rows = TN_GRAPH_FAR - 1; rows <= TN_GRAPH_FAR; rows++) {
        desk d = desk_new();
        tn_graph *g = tn_graph_new(NULL, NULL);
        tn_tape_trace(d.t, tn_graph_add, g);
        tn_tensor *y = tn_relu(d.t, d.w), *first = y;
        for (int i = 0; i < rows; i++)
            y = tn_neg(d.t, y);
        tn_add(d.t, y, first);
        char *s = svg_of(g);
        ck_assert_int_eq(count(s, ">from 1 relu</text>"), rows == TN_GRAPH_FAR);
        ck_assert_int_eq(count(s, ">weight (2,2)</text>"), 1);
        free(s);
        tn_graph_free(g);
        desk_free(&d);
    }
}
END_TEST

/* ---- where it is ---- */

/* A graph of n ops, each of which reads up to three earlier ones. */
static tn_graph *random_graph(uint64_t seed, int64_t n)
{
    tn_graph *g = tn_graph_new(NULL, NULL);
    g->ops = calloc((size_t)n, sizeof *g->ops);
    g->count = g->room = n;
    for (int64_t i = 0; i < n; i++) {
        tn_graph_op *op = &g->ops[i];
        snprintf(op->name, sizeof op->name, "op%d", (int)i);
        snprintf(op->shape, sizeof op->shape, "(%u)", tn_random(seed, 1, 0, (uint64_t)i));
        op->labels = (int)(tn_random(seed, 2, 0, (uint64_t)i) % 3);
        for (int k = 0; k < op->labels; k++)
            snprintf(op->label[k].text, sizeof op->label[k].text, "label %d of %d", k, (int)i);
        const int wanted = (int)(tn_random(seed, 3, 0, (uint64_t)i) % 4);
        for (int k = 0; k < wanted && i > 0; k++) {
            const int64_t back = 1 + tn_random(seed, 4, (uint32_t)k, (uint64_t)i) % 6;
            bool there = back > i;
            for (int j = 0; j < op->froms; j++)
                there = there || op->from[j] == i - back;
            if (!there)
                op->from[op->froms++] = i - back;
        }
    }
    return g;
}

/* Follows the bends of an edge upwards to the op where it begins. */
static int64_t origin(const tn_picture *p, int64_t spot)
{
    while (p->spots[spot].op < 0) {
        int64_t k = 0, found = -1, next = 0;
        for (; k < p->edge_count; k++)
            if (p->edges[k].to == spot) {
                ck_assert_int_eq(found, -1); /* a bend has one edge from above */
                found = k;
                next = p->edges[k].from;
            }
        ck_assert_int_ge(found, 0);
        spot = next;
    }
    return spot;
}

static void check_rows(const tn_picture *p)
{
    for (int64_t row = 0; row < p->rows; row++)
        for (int64_t k = p->first[row]; k < p->first[row + 1]; k++) {
            const tn_spot *s = &p->spots[p->in_row[k]];
            ck_assert_int_eq(s->row, row);
            ck_assert(s->x - s->left >= TN_MARGIN - 1e-6);
            ck_assert(s->x + s->right <= p->width - TN_MARGIN + 1e-6);
            ck_assert(s->y >= TN_HEAD && s->y + s->height <= p->height - TN_MARGIN + 1e-6);
            if (k > p->first[row]) {
                const tn_spot *before = &p->spots[p->in_row[k - 1]];
                ck_assert(before->x + before->right < s->x - s->left);
            }
        }
    ck_assert_int_eq(p->first[p->rows], p->spot_count);
}

START_TEST(random_graphs_are_laid_out)
{
    tn_picture p;
    tn_graph *g = random_graph((uint64_t)_i, 2 + 3 * _i);
    ck_assert_int_eq(tn_picture_lay(g, &p), 0);
    check_rows(&p);
    int64_t edges = 0, drawn = 0;
    for (int64_t i = 0; i < g->count; i++) {
        edges += g->ops[i].froms;
        for (int k = 0; k < g->ops[i].froms; k++) {
            ck_assert_int_lt(p.spots[g->ops[i].from[k]].row, p.spots[i].row);
            bool there = false;
            for (int64_t j = 0; j < p.edge_count; j++)
                there = there ||
                        (p.edges[j].to == i && origin(&p, p.edges[j].from) == g->ops[i].from[k]);
            ck_assert(there || !tn_edge_is_drawn(p.spots[i].row - p.spots[g->ops[i].from[k]].row));
        }
    }
    for (int64_t j = 0; j < p.edge_count; j++) {
        ck_assert_int_eq(p.spots[p.edges[j].from].row + 1, p.spots[p.edges[j].to].row);
        drawn += p.spots[p.edges[j].to].op >= 0;
    }
    ck_assert_int_le(drawn, edges);
    tn_picture_free(&p);
    free(svg_of(g));
    tn_graph_free(g);
}
END_TEST

/* A chain is a straight line. */
START_TEST(a_chain_is_straight)
{
    tn_picture p;
    tn_graph *g = random_graph(1, 12);
    for (int64_t i = 0; i < g->count; i++) {
        g->ops[i].froms = i > 0;
        g->ops[i].from[0] = i - 1;
    }
    ck_assert_int_eq(tn_picture_lay(g, &p), 0);
    for (int64_t i = 1; i < g->count; i++)
        ck_assert_double_eq_tol(p.spots[i].x, p.spots[0].x, 1e-6);
    tn_picture_free(&p);
    tn_graph_free(g);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, ops_and_labels);
    tcase_add_test(c, an_empty_graph_is_a_page);
    tcase_add_test(c, far_results_are_labels);
    tcase_add_loop_test(c, random_graphs_are_laid_out, 0, 40);
    tcase_add_test(c, a_chain_is_straight);
}
