/* layout.c - gives every op of a graph a place: its row, its rank in the row, and its pixels.
   As Sugiyama, Tagawa and Toda (1981): rows first, then ranks by the mean place of neighbours, then
   places as near to the neighbours as the order in each row allows. */
#include "core/graph/graph.h"

#include <stdlib.h>
#include <string.h>

enum { SWEEPS = 12, GAP_X = 28, GAP_Y = 30, BEND = 6, PADDING = 12 };

double tn_text_width(const char *text)
{
    return 7.3 * (double)strlen(text); /* a monospaced font of 12 pixels */
}

double tn_box_width(const tn_graph_op *op)
{
    const double name = tn_text_width(op->name) + 40, shape = tn_text_width(op->shape);
    const double least = 110, text = name > shape ? name : shape;
    return (text > least ? text : least) + 2 * PADDING;
}

bool tn_edge_is_drawn(int64_t rows)
{
    return rows <= TN_GRAPH_FAR;
}

/* ---- rows ---- */

static void set_rows(const tn_graph *g, tn_picture *p)
{
    for (int64_t i = 0; i < g->count; i++)
        for (int k = 0; k < g->ops[i].froms; k++) {
            const int64_t above = p->spots[g->ops[i].from[k]].row + 1;
            if (above > p->spots[i].row)
                p->spots[i].row = above;
        }
    /* An op that reads no result is placed just above the first op that reads its own. */
    for (int64_t i = 0; i < g->count; i++)
        for (int k = 0; k < g->ops[i].froms; k++) {
            tn_spot *from = &p->spots[g->ops[i].from[k]];
            const int64_t row = p->spots[i].row - 1;
            if (!g->ops[from->op].froms && (from->sum == 0 || row < from->row)) {
                from->row = row;
                from->sum = 1; /* it was moved */
            }
        }
    for (int64_t i = 0; i < g->count; i++)
        if (p->spots[i].row >= p->rows)
            p->rows = p->spots[i].row + 1;
}

static tn_spot *add_spot(tn_picture *p)
{
    if (p->spot_count == p->spot_room) {
        const int64_t room = p->spot_room ? 2 * p->spot_room : 64;
        tn_spot *spots = realloc(p->spots, (size_t)room * sizeof *spots);
        if (!spots)
            return NULL;
        p->spots = spots;
        p->spot_room = room;
    }
    tn_spot *s = &p->spots[p->spot_count++];
    *s = (tn_spot){ .op = -1, .left = BEND, .right = BEND };
    return s;
}

static bool add_edge(tn_picture *p, int64_t from, int64_t to)
{
    if (p->edge_count == p->edge_room) {
        const int64_t room = p->edge_room ? 2 * p->edge_room : 64;
        tn_edge *edges = realloc(p->edges, (size_t)room * sizeof *edges);
        if (!edges)
            return false;
        p->edges = edges;
        p->edge_room = room;
    }
    p->edges[p->edge_count++] = (tn_edge){ from, to };
    return true;
}

static bool add_ops(const tn_graph *g, tn_picture *p)
{
    for (int64_t i = 0; i < g->count; i++) {
        const tn_graph_op *op = &g->ops[i];
        tn_spot *s = add_spot(p);
        if (!s)
            return false;
        s->op = i;
        s->left = s->right = tn_box_width(op) / 2;
        s->height = TN_BOX_HEIGHT;
    }
    return true;
}

/* The labels make an op wider. A result that comes from far is a label, too. */
static void measure_labels(const tn_graph *g, tn_picture *p)
{
    for (int64_t i = 0; i < g->count; i++) {
        const tn_graph_op *op = &g->ops[i];
        tn_spot *s = &p->spots[i];
        double widest = 0;
        int labels = op->labels;
        for (int k = 0; k < op->labels; k++)
            widest = tn_text_width(op->label[k].text) > widest ? tn_text_width(op->label[k].text)
                                                               : widest;
        for (int k = 0; k < op->froms; k++)
            if (!tn_edge_is_drawn(s->row - p->spots[op->from[k]].row)) {
                labels++;
                const double width = tn_text_width(g->ops[op->from[k]].name) + 100;
                widest = width > widest ? width : widest;
            }
        if (labels)
            s->left += widest + 2 * PADDING + TN_LABEL_SPACE;
        if (labels * TN_LABEL_HEIGHT > s->height)
            s->height = labels * TN_LABEL_HEIGHT;
    }
}

/* The edges, with a bend in every row that they pass. */
static bool add_edges(const tn_graph *g, tn_picture *p)
{
    for (int64_t i = 0; i < g->count; i++)
        for (int k = 0; k < g->ops[i].froms; k++) {
            int64_t at = g->ops[i].from[k];
            const int64_t from = p->spots[at].row, to = p->spots[i].row;
            if (!tn_edge_is_drawn(to - from))
                continue;
            for (int64_t row = from + 1; row < to; row++) {
                tn_spot *bend = add_spot(p);
                if (!bend || !add_edge(p, at, p->spot_count - 1))
                    return false;
                bend->row = row;
                at = p->spot_count - 1;
            }
            if (!add_edge(p, at, i))
                return false;
        }
    return true;
}

/* Sorts the edges by the row where they begin. */
static bool list_edges(tn_picture *p)
{
    tn_edge *sorted = malloc((size_t)(p->edge_count + 1) * sizeof *sorted);
    p->edge_first = calloc((size_t)p->rows + 2, sizeof *p->edge_first);
    if (!sorted || !p->edge_first) {
        free(sorted);
        return false;
    }
    for (int64_t k = 0; k < p->edge_count; k++)
        p->edge_first[p->spots[p->edges[k].from].row + 2]++;
    for (int64_t row = 2; row < p->rows + 2; row++)
        p->edge_first[row] += p->edge_first[row - 1];
    for (int64_t k = 0; k < p->edge_count; k++)
        sorted[p->edge_first[p->spots[p->edges[k].from].row + 1]++] = p->edges[k];
    free(p->edges);
    p->edges = sorted;
    return true;
}

/* ---- ranks ---- */

static bool list_rows(tn_picture *p)
{
    p->first = calloc((size_t)p->rows + 2, sizeof *p->first);
    p->in_row = malloc((size_t)(p->spot_count + 1) * sizeof *p->in_row);
    if (!p->first || !p->in_row)
        return false;
    for (int64_t i = 0; i < p->spot_count; i++)
        p->first[p->spots[i].row + 2]++;
    for (int64_t row = 2; row < p->rows + 2; row++)
        p->first[row] += p->first[row - 1];
    for (int64_t i = 0; i < p->spot_count; i++) /* ops before bends, because they come first */
        p->in_row[p->first[p->spots[i].row + 1]++] = i;
    return true;
}

static void number_ranks(tn_picture *p, int64_t row)
{
    for (int64_t k = p->first[row]; k < p->first[row + 1]; k++)
        p->spots[p->in_row[k]].rank = k - p->first[row];
}

/* Sums up the places of the neighbours of a row: above it (down true), or below. An op counts more
   than a bend: so the chain of ops is straight, and the bends go around it. */
static void sum_neighbours(tn_picture *p, int64_t row, bool down, bool ranks)
{
    const int64_t begins = down ? row - 1 : row;
    for (int64_t k = p->first[row]; k < p->first[row + 1]; k++)
        p->spots[p->in_row[k]].sum = p->spots[p->in_row[k]].weight = 0;
    if (begins < 0)
        return;
    for (int64_t k = p->edge_first[begins]; k < p->edge_first[begins + 1]; k++) {
        const tn_edge *e = &p->edges[k];
        const tn_spot *of = &p->spots[down ? e->from : e->to];
        tn_spot *to = &p->spots[down ? e->to : e->from];
        const double weight = ranks || of->op >= 0 ? 1 : 0.01;
        to->sum += weight * (ranks ? (double)of->rank : of->x);
        to->weight += weight;
    }
}

static double mean_of(const tn_spot *s, bool ranks)
{
    return s->weight > 0 ? s->sum / s->weight : ranks ? (double)s->rank : s->x;
}

/* Sorts a row by the mean ranks of the neighbours; equal ones keep their order. */
static void sort_row(tn_picture *p, int64_t row)
{
    int64_t *at = p->in_row + p->first[row];
    const int64_t n = p->first[row + 1] - p->first[row];
    for (int64_t k = 1; k < n; k++) {
        const int64_t spot = at[k];
        const double mean = mean_of(&p->spots[spot], true);
        int64_t j = k;
        for (; j > 0 && mean_of(&p->spots[at[j - 1]], true) > mean; j--)
            at[j] = at[j - 1];
        at[j] = spot;
    }
    number_ranks(p, row);
}

static void order(tn_picture *p)
{
    for (int64_t row = 0; row < p->rows; row++)
        number_ranks(p, row);
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        const bool down = sweep % 2 == 0;
        for (int64_t k = 0; k < p->rows; k++) {
            const int64_t row = down ? k : p->rows - 1 - k;
            sum_neighbours(p, row, down, true);
            sort_row(p, row);
        }
    }
}

/* ---- pixels ---- */

/* Moves the spots of a row as near to the means of their neighbours as their order allows: the
   least squares of the distances, by joining neighbours that collide. */
static void place_row(tn_picture *p, int64_t row, double *mean, double *weight, int64_t *size)
{
    const int64_t *at = p->in_row + p->first[row];
    const int64_t n = p->first[row + 1] - p->first[row];
    double offset = 0;
    int64_t groups = 0;
    for (int64_t k = 0; k < n; k++) {
        const tn_spot *s = &p->spots[at[k]];
        offset += k ? p->spots[at[k - 1]].right + GAP_X + s->left : 0;
        mean[groups] = mean_of(s, false) - offset;
        weight[groups] = s->op >= 0 ? 1 : 0.001;
        size[groups++] = 1;
        for (; groups > 1 && mean[groups - 1] < mean[groups - 2]; groups--) {
            const double all = weight[groups - 1] + weight[groups - 2];
            mean[groups - 2] =
                (mean[groups - 1] * weight[groups - 1] + mean[groups - 2] * weight[groups - 2]) /
                all;
            weight[groups - 2] = all;
            size[groups - 2] += size[groups - 1];
        }
    }
    offset = 0;
    for (int64_t k = 0, group = 0, in = 0; k < n; k++) {
        tn_spot *s = &p->spots[at[k]];
        offset += k ? p->spots[at[k - 1]].right + GAP_X + s->left : 0;
        s->x = mean[group] + offset;
        if (++in == size[group]) {
            group++;
            in = 0;
        }
    }
}

static bool place(tn_picture *p)
{
    const size_t n = (size_t)p->spot_count + 1;
    double *mean = malloc(n * sizeof *mean), *weight = malloc(n * sizeof *weight);
    int64_t *size = malloc(n * sizeof *size);
    const bool room = mean && weight && size;
    for (int sweep = 0; room && sweep < SWEEPS; sweep++) {
        const bool down = sweep % 2 == 0;
        for (int64_t k = 0; k < p->rows; k++) {
            const int64_t row = down ? k : p->rows - 1 - k;
            sum_neighbours(p, row, down, false);
            place_row(p, row, mean, weight, size);
        }
    }
    free(mean);
    free(weight);
    free(size);
    return room;
}

/* Moves the picture to the margin, and gives each row its height. */
static void fit(tn_picture *p)
{
    double least = 0, most = 0, y = TN_MARGIN + TN_HEAD;
    for (int64_t i = 0; i < p->spot_count; i++) {
        const tn_spot *s = &p->spots[i];
        least = !i || s->x - s->left < least ? s->x - s->left : least;
        most = !i || s->x + s->right > most ? s->x + s->right : most;
    }
    for (int64_t row = 0; row < p->rows; row++) {
        double height = 0;
        for (int64_t k = p->first[row]; k < p->first[row + 1]; k++) {
            tn_spot *s = &p->spots[p->in_row[k]];
            s->x += TN_MARGIN - least;
            s->y = y;
            height = s->height > height ? s->height : height;
        }
        for (int64_t k = p->first[row]; k < p->first[row + 1]; k++)
            if (p->spots[p->in_row[k]].op < 0)
                p->spots[p->in_row[k]].height = height;
        y += height + GAP_Y;
    }
    p->width = most - least + 2 * TN_MARGIN;
    p->height = y - GAP_Y + TN_MARGIN;
}

int tn_picture_lay(const tn_graph *g, tn_picture *p)
{
    *p = (tn_picture){ .rows = 0 };
    if (!add_ops(g, p))
        return TN_ENOMEM;
    set_rows(g, p);
    measure_labels(g, p);
    if (!add_edges(g, p) || !list_edges(p) || !list_rows(p))
        return TN_ENOMEM;
    order(p);
    if (!place(p))
        return TN_ENOMEM;
    fit(p);
    return 0;
}

void tn_picture_free(tn_picture *p)
{
    free(p->spots);
    free(p->edges);
    free(p->edge_first);
    free(p->first);
    free(p->in_row);
    *p = (tn_picture){ .rows = 0 };
}
