/* svg.c - charts as one SVG document, in the light or dark scheme of whoever shows it. */
#include "apps/axis.h"

#include <string.h>

enum {
    WIDTH = 760, PANEL = 380, /* of the document; height of a chart */
    LEFT = 64, TOP = 48, PLOT_W = 536, PLOT_H = 272, LEGEND = LEFT + PLOT_W + 18,
    NAME = 17,                /* characters of a name that fit the legend */
    TITLE = 80,               /* characters of a title */
    LEAST = 16,               /* points of a line, at least */
    ROOM = 38500, PANEL_BYTES = 3000, CURVE_BYTES = 300, POINT = 12 /* shares of the size */
};

/* Colours by Okabe and Ito, which colour-blind readers tell apart; by contrast to white. */
static const char style[] =
    "<style>text{font:13px system-ui,sans-serif}.page{fill:#fff}.ink{fill:#1b1f24}"
    ".soft{fill:#57606a}.grid{stroke:#e4e7ea}.axis{stroke:#8c959f}path{fill:none}"
    ".thin{stroke-width:1;opacity:.35}.thick{stroke-width:2;stroke-linejoin:round}"
    ".c0{stroke:#0072b2}.c1{stroke:#d55e00}.c2{stroke:#009e73}.c3{stroke:#cc79a7}"
    ".c4{stroke:#e69f00}.c5{stroke:#56b4e9}.c6{stroke:#8c8c8c}.c7{stroke:#a65628}"
    "@media(prefers-color-scheme:dark){.page{fill:#0d1117}.ink{fill:#e6edf3}"
    ".soft{fill:#9198a1}.grid{stroke:#262c34}.axis{stroke:#6e7681}}</style>\n";
enum { COLOURS = 8 };

typedef struct panel {
    const chart *c;
    axis x, y;
    double top;     /* of the plot, in the document */
    int64_t points; /* at most so many in a line */
} panel;

static double place_x(const panel *p, double x)
{
    return LEFT + PLOT_W * axis_place(&p->x, x);
}

static double place_y(const panel *p, double y)
{
    return p->top + PLOT_H * (1 - axis_place(&p->y, y));
}

/* At most `most` characters of s, with what XML reserves escaped. */
static void escaped(tn_text *out, const char *s, int most)
{
    for (; *s; s++) {
        if (((unsigned char)*s & 0xc0) != 0x80 && most-- == 0)
            return;
        switch (*s) {
        case '&': tn_text_add(out, "&amp;"); break;
        case '<': tn_text_add(out, "&lt;"); break;
        case '>': tn_text_add(out, "&gt;"); break;
        case '"': tn_text_add(out, "&quot;"); break;
        default: tn_text_add(out, "%c", (unsigned char)*s < ' ' ? ' ' : *s);
        }
    }
}

static void label(tn_text *out, double x, double y, const char *attributes, const char *s,
                  int most)
{
    tn_text_add(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    escaped(out, s, most);
    tn_text_add(out, "</text>\n");
}

static void put_axes(const panel *p, tn_text *out)
{
    char text[AXIS_LABEL];
    double bottom = p->top + PLOT_H;
    for (int i = 0; i < p->y.ticks; i++) {
        double y = place_y(p, p->y.tick[i]);
        tn_text_add(out, "<path class=\"grid\" d=\"M%d %.1fh%d\"/>\n", LEFT, y, PLOT_W);
        axis_label(&p->y, i, text);
        label(out, LEFT - 8, y + 4.5, "class=\"soft\" text-anchor=\"end\"", text, AXIS_LABEL);
    }
    for (int i = 0; i < p->x.ticks; i++) {
        double x = place_x(p, p->x.tick[i]);
        tn_text_add(out, "<path class=\"axis\" d=\"M%.1f %.1fv5\"/>\n", x, bottom);
        axis_label(&p->x, i, text);
        label(out, x, bottom + 20, "class=\"soft\" text-anchor=\"middle\"", text, AXIS_LABEL);
    }
    tn_text_add(out, "<path class=\"axis\" d=\"M%d %.1fh%d\"/>\n", LEFT, bottom, PLOT_W);
    if (p->c->title)
        label(out, LEFT, p->top - 24, "class=\"ink\" font-weight=\"600\"", p->c->title, TITLE);
    if (p->c->y)
        label(out, LEFT, p->top - 7, "class=\"soft\"", p->c->y, TITLE);
    if (p->c->x)
        label(out, LEFT + PLOT_W, bottom + 40, "class=\"soft\" text-anchor=\"end\"", p->c->x,
              TITLE);
}

/* A path under construction. Of the points of a bucket the lowest and the highest are drawn. */
typedef struct pen {
    tn_text *out;
    bool down; /* the path goes on from its last point */
    int64_t bucket;
    int n;     /* points waiting: none, one, or lowest and highest in the order they came */
    double x[2], y[2];
} pen;

static void pen_flush(pen *p)
{
    for (int i = 0; i < p->n; i++) {
        tn_text_add(p->out, "%s%.1f %.1f", p->down ? "L" : "M", p->x[i], p->y[i]);
        p->down = true;
    }
    p->n = 0;
}

static void pen_point(pen *p, int64_t bucket, double x, double y)
{
    if (bucket != p->bucket)
        pen_flush(p);
    p->bucket = bucket;
    if (p->n < 2) {
        p->x[p->n] = x;
        p->y[p->n++] = y;
        return;
    }
    bool rises = p->y[1] >= p->y[0];
    if (rises ? y > p->y[1] : y < p->y[1]) { /* beyond the later one */
        p->x[1] = x, p->y[1] = y;
    } else if (rises ? y < p->y[0] : y > p->y[0]) { /* beyond the earlier one */
        p->x[0] = p->x[1], p->y[0] = p->y[1];
        p->x[1] = x, p->y[1] = y;
    }
}

static void put_line(const panel *p, int j, bool smooth, tn_text *out)
{
    const curve *k = &p->c->curves[j];
    pen line = { .out = out };
    average smoother = { .keep = p->c->smooth };
    int64_t buckets = p->points / 2;
    tn_text_add(out, "<path class=\"c%d %s\" d=\"", j % COLOURS,
                smooth || p->c->smooth <= 0 ? "thick" : "thin");
    for (int64_t i = 0; i < k->n; i++) {
        double part = (double)i / (double)k->n;
        int64_t bucket = k->n <= p->points ? i / 2 : (int64_t)(part * (double)buckets);
        if (axis_shows(p->c, k, i)) {
            double y = smooth ? average_next(&smoother, k->y[i]) : k->y[i];
            pen_point(&line, bucket, place_x(p, k->x[i]), place_y(p, y));
        } else {
            pen_flush(&line);
            line.down = false;
        }
    }
    pen_flush(&line);
    tn_text_add(out, "\"/>\n");
}

static void put_panel(const panel *p, int count, tn_text *out)
{
    put_axes(p, out);
    for (int j = 0; j < count && p->c->smooth > 0; j++)
        put_line(p, j, false, out);
    for (int j = 0; j < count; j++)
        put_line(p, j, p->c->smooth > 0, out);
    for (int j = 0; j < count; j++) {
        double y = p->top + 12 + 20 * j;
        tn_text_add(out, "<path class=\"c%d thick\" d=\"M%d %.1fh18\"/>\n", j % COLOURS, LEGEND, y);
        label(out, LEGEND + 25, y + 4.5, "class=\"ink\"", p->c->curves[j].name, NAME);
    }
}

static int shown(const chart *c)
{
    return c->count < CURVES_MOST ? c->count : CURVES_MOST;
}

void curves_svg(const chart *c, int n, tn_text *out)
{
    int lines = 0, room = ROOM - PANEL_BYTES * n;
    for (int i = 0; i < n; i++) {
        lines += shown(&c[i]) * (c[i].smooth > 0 ? 2 : 1);
        room -= shown(&c[i]) * CURVE_BYTES;
    }
    int64_t points = lines && room > 0 ? room / POINT / lines : 0;
    tn_text_add(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\">\n%s"
                "<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n",
                WIDTH, PANEL * n, style, WIDTH, PANEL * n);
    for (int i = 0; i < n; i++) {
        panel p = { .c = &c[i], .top = TOP + PANEL * i, .points = points > LEAST ? points : LEAST };
        axis_pair(&c[i], 7, 6, &p.x, &p.y);
        put_panel(&p, shown(&c[i]), out);
    }
    tn_text_add(out, "</svg>\n");
}
