/* curves.h - several curves in one picture, in the terminal and as SVG.

       curve  k[] = { { "adam", x, loss_adam, n }, { "sgd", x, loss_sgd, n } };
       chart  c = { .title = "loss", .x = "step", .y = "nats", .curves = k, .count = 2 };
       tn_text out = { 0 };
       curves_text(&c, curves_style_of(STDOUT_FILENO), &out);
       curves_svg(&c, 1, &out);

   Ownership: a chart points to the caller's numbers and names. Errors: out->failed when memory is
   out. A point that is not finite, not positive on a log axis, or outside a range leaves a gap. */
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
    double
        smooth; /* in (0,1): also draws a running average, which keeps this share of itself at every
                   point. It is thick, above the thin curve. The terminal shows it alone. 0: none */
    double x_range[2], y_range[2]; /* points outside are not shown; { 0 }: all are */
    const curve *contours;         /* thin lines behind the curves, without names */
    int contour_count;
    int columns; /* of the terminal, from 40; 0 or more than 72: 72 */
    int marks; /* of so many curves, the last ones, only the points are drawn: no line, no average */
    bool dots;  /* SVG: every point is marked, if there is room for all */
    int nested; /* SVG: curves come in groups of so many. The first of a group is widest, so that
                   equal curves can all be seen. 0: all have one width */
    bool twins; /* SVG: every second curve is dashed, which shows the curve under it */
} chart;

typedef enum curves_style {
    CURVES_ASCII,   /* every curve in its letter */
    CURVES_BRAILLE, /* 2 x 4 dots per character */
    CURVES_COLOUR   /* braille in colours */
} curves_style;

/* The style that fd can show. The variables of the locale decide about UTF-8. A terminal has
   colours unless NO_COLOR is set. */
curves_style curves_style_of(int fd);
/* The same with --color: "auto", or "always" and "never" a colour where UTF-8 is there. */
curves_style curves_style_asked(int fd, const char *color);
/* Appends lines of 72 columns each, or c->columns: title, 60 x 12 characters between axes, legend. */
void curves_text(const chart *c, curves_style style, tn_text *out);
/* Appends at most `most` characters of s, escaped for XML and HTML. */
void curves_escape(tn_text *out, const char *s, int most);
/* Appends one SVG document with n charts (at most 4) below each other. With up to 24 curves in all
   it has at most 40 KB. It follows the light or dark scheme of its reader. */
void curves_svg(const chart *c, int n, tn_text *out);
/* The same with small charts (at most 8), two in a row. */
void curves_svg_grid(const chart *c, int n, tn_text *out);

#endif
