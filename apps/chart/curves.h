/* curves.h - several curves in one picture, in the terminal and as SVG.

       curve  k[] = { { "adam", x, loss_adam, n }, { "sgd", x, loss_sgd, n } };
       chart  c = { .title = "loss", .x = "step", .y = "nats", .curves = k, .count = 2 };
       tn_text out = { 0 };
       curves_text(&c, curves_style_of(STDOUT_FILENO), &out);
       curves_svg(&c, 1, &out);

   Ownership: a chart points to the caller's numbers and names. Errors: only memory, remembered in
   out->failed. Points that are not finite, not positive on a log axis or outside a range leave a
   gap. */
#ifndef TN_APP_CURVES_H
#define TN_APP_CURVES_H

#include "data/data.h"

enum { CURVES_MOST = 16 }; /* curves of a chart; more are left out */

typedef struct curve {
    const char *name;
    const double *x, *y;
    int64_t n;
} curve;

typedef struct chart {
    const char *title, *x, *y; /* y, x: names of the axes; may be NULL */
    const curve *curves;
    int count;
    bool log_x, log_y;
    double smooth; /* in (0,1): a running average that keeps this much of itself from point to point
                      is drawn thick over the thin points (terminal: instead of them); 0: none */
    double x_range[2], y_range[2]; /* points outside are not shown; { 0 }: all are */
    const curve *contours;         /* thin lines behind the curves, without names */
    int contour_count;
    bool dots;  /* SVG: every point is marked, if there is room for all */
    int nested; /* SVG: among so many curves in turn the first is the widest, so that all can be
                   seen where they coincide; 0: all have one width */
    bool twins; /* SVG: every second curve is dashed, so that the one it lies upon is seen */
} chart;

typedef enum curves_style {
    CURVES_ASCII,   /* every curve in its letter */
    CURVES_BRAILLE, /* 2 x 4 dots a character */
    CURVES_COLOUR   /* braille in colours */
} curves_style;

/* What fd can show: the locale's variables say whether it is UTF-8; colours on a terminal unless
   NO_COLOR is set. */
curves_style curves_style_of(int fd);
/* Appends lines of 72 columns each: title, 60 x 12 characters between axes, legend. */
void curves_text(const chart *c, curves_style style, tn_text *out);
/* Appends one SVG document, n charts (at most 4) below each other, in at most 40 KB for up to 24
   curves in all. It follows the light or dark scheme of whoever shows it. */
void curves_svg(const chart *c, int n, tn_text *out);
/* The same with small charts (at most 8), two beside each other. */
void curves_svg_grid(const chart *c, int n, tn_text *out);

#endif
