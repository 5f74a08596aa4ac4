/* graph.h - the ops that a graph has noted, and where they are in the picture. Internal header.

       graph.c notes the ops   ->   layout.c gives each a place   ->   picture.c writes SVG

   Ops are in rows: an op is in a row below all ops whose results it reads. An edge that passes rows
   has a bend in each of them. Weights and inputs of the step are labels at the left of the op that
   reads them, so they need no edges:

            [ embed ]                row 0
             |     \
   (weight) [linear] .               row 1: the op with its label, then a bend
             |      /
            [ add  ]                 row 2                                               */
#ifndef TN_GRAPH_H
#define TN_GRAPH_H

#include "core/op.h"
#include "core/trace.h"

enum { TN_GRAPH_TEXT = 128, TN_GRAPH_FAR = 24 /* rows that an edge passes, at most */ };

typedef enum tn_label_kind { TN_LABEL_TRAINED, TN_LABEL_FROZEN, TN_LABEL_INPUT } tn_label_kind;
typedef struct tn_label {
    char text[TN_GRAPH_TEXT]; /* "mlp.weight (16,48)" */
    tn_label_kind kind;
} tn_label;

typedef struct tn_graph_op {
    char name[32], shape[64];
    bool wanted;                 /* backward runs it */
    const tn_tensor *out;        /* identifies the result; it may be gone */
    int64_t from[TN_MAX_INPUTS]; /* ops whose results it reads, each once */
    int froms;
    tn_label label[TN_MAX_INPUTS];
    int labels;
} tn_graph_op;

struct tn_graph {
    tn_graph_op *ops;
    int64_t count, room;
    const char *(*name)(void *names, const tn_tensor *w);
    void *names;
    bool failed; /* memory was out: the graph is not complete */
};

/* A place in the picture: of op number i, or a bend. Sizes are in pixels. */
typedef struct tn_spot {
    int64_t op;         /* -1: a bend */
    int64_t row;        /* 0 is at the top */
    int64_t rank;       /* in its row, from the left */
    double x, y;        /* the middle of the upper side */
    double left, right; /* the spot reaches so far from x */
    double height;
    double sum, weight; /* for the layout: of the neighbours' places */
} tn_spot;

typedef struct tn_edge {
    int64_t from, to; /* spots in a row and in the next one */
} tn_edge;

typedef struct tn_picture {
    tn_spot *spots; /* those of the ops come first, in their order */
    int64_t spot_count, spot_room;
    tn_edge *edges; /* by the row where they begin */
    int64_t edge_count, edge_room;
    int64_t *edge_first; /* where the edges of each row begin, and an end */
    int64_t rows;
    int64_t *in_row, *first; /* spots by row and rank; where each row begins, and an end */
    double width, height;
} tn_picture;

/* Lays the picture out. Returns 0 or TN_ENOMEM. tn_picture_free ends it in both cases. */
int tn_picture_lay(const tn_graph *g, tn_picture *p);
void tn_picture_free(tn_picture *p);

/* How large texts and boxes are, which layout.c and picture.c share. */
enum {
    TN_BOX_HEIGHT = 42,
    TN_LABEL_HEIGHT = 22, /* with the space below it */
    TN_LABEL_SPACE = 18,  /* between labels and box */
    TN_MARGIN = 24,
    TN_HEAD = 36 /* for the legend */
};
double tn_text_width(const char *text); /* of the picture's font */
double tn_box_width(const tn_graph_op *op);
/* Is the edge drawn? A longer one is a label "from 12 slice". */
bool tn_edge_is_drawn(int64_t rows);

#endif
