/* svg.c - writes a chart as one SVG document, for light and dark pages. */
#include "apps/chart/axis.h"
#include "apps/report/columns.h"

#include <string.h>

/* clang-format off */
enum {
    WIDTH = 760,              /* of the document */
    NAME = 17,                /* characters of a name that fit the legend */
    LINE = 20,                /* height of a line of the legend */
    TITLE = 80,               /* characters of a title */
    LEAST = 16,               /* points of a line, at least */
    ROOM = 38500, PANEL_BYTES = 3000, CURVE_BYTES = 300, POINT = 14 /* shares of the size */
};
/* clang-format on */

/* Colours of Okabe and Ito for colour-blind readers, too, sorted by contrast to white. */
static const char style[] =
    "<style>text{font:13px system-ui,sans-serif}.page{fill:#fff}.ink{fill:#1b1f24}"
    ".soft{fill:#57606a}.grid{stroke:#e4e7ea}.axis{stroke:#8c959f}path{fill:none}"
    ".thin{stroke-width:1;opacity:.35}.thick{stroke-width:2;stroke-linejoin:round}"
    ".c0{stroke:#0072b2}.c1{stroke:#d55e00}.c2{stroke:#009e73}.c3{stroke:#cc79a7}"
    ".c4{stroke:#e69f00}.c5{stroke:#56b4e9}.c6{stroke:#8c8c8c}.c7{stroke:#a65628}"
    "@media(prefers-color-scheme:dark){.page{fill:#0d1117}.ink{fill:#e6edf3}"
    ".soft{fill:#9198a1}.grid{stroke:#262c34}.axis{stroke:#6e7681}}</style>\n";
enum { COLOURS = 8 };

typedef struct layout { /* of a chart; the plot is at (left, top) from the chart's corner */
    int columns, width, height, left, top, plot_w, plot_h, ticks_x, ticks_y;
    bool legend_below; /* two names per line below the plot; else the legend is at the right */
} layout;

/* clang-format off */
static const layout wide = { .columns = 1, .width = WIDTH, .height = 380, .left = 64, .top = 48,
                             .plot_w = 536, .plot_h = 272, .ticks_x = 7, .ticks_y = 6 };
/* clang-format on */
static const layout small = { .columns = 2,
                              .width = WIDTH / 2,
                              .height = 284,
                              .left = 60,
                              .top = 48,
                              .plot_w = 300,
                              .plot_h = 184,
                              .ticks_x = 6,
                              .ticks_y = 5,
                              .legend_below = true };

typedef struct panel {
    const chart *c;
    layout at;
    axis x, y;
    double left, top; /* of the plot, in the document */
    int64_t points;   /* at most so many in a line */
} panel;

static double place_x(const panel *p, double x)
{
    return p->left + p->at.plot_w * axis_place(&p->x, x);
}

static double place_y(const panel *p, double y)
{
    return p->top + p->at.plot_h * (1 - axis_place(&p->y, y));
}

void curves_escape(tn_text *out, const char *s, int most)
{
    for (const char *end = s + columns_bytes(s, strlen(s), (size_t)most); s < end; s++) {
        switch (*s) {
        case '&': tn_text_add(out, "&amp;"); break;
        case '<': tn_text_add(out, "&lt;"); break;
        case '>': tn_text_add(out, "&gt;"); break;
        case '"': tn_text_add(out, "&quot;"); break;
        default: tn_text_add(out, "%c", (unsigned char)*s < ' ' ? ' ' : *s);
        }
    }
}

static void label(tn_text *out, double x, double y, const char *attributes, const char *s, int most)
{
    tn_text_add(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    curves_escape(out, s, most);
    tn_text_add(out, "</text>\n");
}

static void put_axes(const panel *p, tn_text *out)
{
    char text[AXIS_LABEL];
    double left = p->left, bottom = p->top + p->at.plot_h;
    for (int i = 0; i < p->y.ticks; i++) {
        double y = place_y(p, p->y.tick[i]);
        if (!p->c->contour_count)
            tn_text_add(out, "<path class=\"grid\" d=\"M%g %.1fh%d\"/>\n", left, y, p->at.plot_w);
        axis_label(&p->y, i, text);
        label(out, left - 8, y + 4.5, "class=\"soft\" text-anchor=\"end\"", text, AXIS_LABEL);
    }
    for (int i = 0; i < p->x.ticks; i++) {
        double x = place_x(p, p->x.tick[i]);
        tn_text_add(out, "<path class=\"axis\" d=\"M%.1f %.1fv5\"/>\n", x, bottom);
        axis_label(&p->x, i, text);
        label(out, x, bottom + 20, "class=\"soft\" text-anchor=\"middle\"", text, AXIS_LABEL);
    }
    tn_text_add(out, "<path class=\"axis\" d=\"M%g %.1fh%d\"/>\n", left, bottom, p->at.plot_w);
    if (p->c->title)
        label(out, left, p->top - 24, "class=\"ink\" font-weight=\"600\"", p->c->title, TITLE);
    if (p->c->y)
        label(out, left, p->top - 7, "class=\"soft\"", p->c->y, TITLE);
    if (p->c->x)
        label(out, left + p->at.plot_w, bottom + 40, "class=\"soft\" text-anchor=\"end\"", p->c->x,
              TITLE);
}

/* A path that is being made. Of points in one column only the lowest and highest are drawn. */
typedef struct pen {
    tn_text *out;
    bool dots, down; /* down: the path goes on from its last point */
    int64_t bucket;
    int n; /* points that wait: none, one, or the lowest and highest in their order */
    double x[2], y[2];
} pen;

static void pen_flush(pen *p)
{
    for (int i = 0; i < p->n; i++) {
        tn_text_add(p->out, "%s%.1f %.1f%s", p->down ? "L" : "M", p->x[i], p->y[i],
                    p->dots ? "h0" : "");
        p->down = !p->dots;
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

static const char *dashes(const chart *c, int j)
{
    return c->twins && j > 0 && j % 2 ? " stroke-dasharray=\"5 5\"" : "";
}

typedef enum stroke { THIN, THICK, SMOOTH, DOTS } stroke;

/* Appends a curve as one path in colour j (-1: a contour). A dot is a line of length 0. */
static void put_line(const panel *p, const curve *k, int j, stroke how, tn_text *out)
{
    static const char dotted[] = "\" stroke-width=\"5\" stroke-linecap=\"round\"";
    const bool smooth = how == SMOOTH;
    pen line = { .out = out, .dots = how == DOTS };
    average smoother = { .keep = p->c->smooth };
    int64_t buckets = p->points / 2;
    tn_text_add(out, "<path class=\"");
    if (j < 0)
        tn_text_add(out, "axis");
    else
        tn_text_add(out, "c%d", j % COLOURS);
    tn_text_add(out, "%s",
                j < 0         ? "\""
                : how == DOTS ? dotted
                : how == THIN ? " thin\""
                              : " thick\"");
    if (p->c->nested > 0 && how == THICK)
        tn_text_add(out, " style=\"stroke-width:%g\"",
                    2 + 1.5 * (p->c->nested - 1 - j % p->c->nested));
    tn_text_add(out, "%s d=\"", dashes(p->c, j));
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

static void put_legend(const panel *p, int count, tn_text *out)
{
    for (int j = 0; j < count; j++) {
        double x = p->left + p->at.plot_w + 18, y = p->top + 12 + LINE * j;
        if (p->at.legend_below) {
            x = p->left + j % 2 * p->at.plot_w / 2;
            y = p->top + p->at.plot_h + 42 + j / 2 * LINE;
        }
        tn_text_add(out, "<path class=\"c%d thick\"%s d=\"M%g %.1fh18\"/>\n", j % COLOURS,
                    dashes(p->c, j), x, y);
        label(out, x + 25, y + 4.5, "class=\"ink\"", p->c->curves[j].name, NAME);
    }
}

static void put_panel(const panel *p, int count, tn_text *out)
{
    const int lines = count - (p->c->marks < count ? p->c->marks : count);
    put_axes(p, out);
    for (int j = 0; j < p->c->contour_count; j++)
        put_line(p, &p->c->contours[j], -1, THIN, out);
    for (int j = 0; j < lines && p->c->smooth > 0; j++)
        put_line(p, &p->c->curves[j], j, THIN, out);
    for (int j = 0; j < lines; j++)
        put_line(p, &p->c->curves[j], j, p->c->smooth > 0 ? SMOOTH : THICK, out);
    for (int j = 0; j < count; j++)
        if (j >= lines || (p->c->dots && p->c->curves[j].n <= p->points))
            put_line(p, &p->c->curves[j], j, DOTS, out);
    put_legend(p, count, out);
}

static int shown(const chart *c)
{
    return c->count < CURVES_MOST ? c->count : CURVES_MOST;
}

/* The bytes of all lines if each has at most so many points. */
static int64_t bytes_of(const chart *c, int n, int64_t points)
{
    int64_t sum = 0;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < shown(&c[i]); j++) {
            const int64_t most = c[i].curves[j].n;
            const int times = 1 + (c[i].smooth > 0) + (c[i].dots && most <= points);
            sum += times * POINT * (most < points ? most : points);
        }
        for (int j = 0; j < c[i].contour_count; j++)
            sum += POINT * (c[i].contours[j].n < points ? c[i].contours[j].n : points);
    }
    return sum;
}

/* How many points a line may have if the document is to stay small. */
static int64_t points_of(const chart *c, int n)
{
    int64_t points = LEAST, room = ROOM - PANEL_BYTES * n;
    for (int i = 0; i < n; i++)
        room -= shown(&c[i]) * CURVE_BYTES;
    for (int64_t more = points; more < ROOM; more++)
        if (bytes_of(c, n, more) <= room)
            points = more;
    return points;
}

static void put_document(const chart *c, int n, layout at, tn_text *out)
{
    int most = 0, rows = (n + at.columns - 1) / at.columns;
    for (int i = 0; i < n && at.legend_below; i++)
        most = shown(&c[i]) > most ? shown(&c[i]) : most;
    at.height += (most + 1) / 2 * LINE;
    tn_text_add(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\">\n%s"
                "<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n",
                WIDTH, at.height * rows, style, WIDTH, at.height * rows);
    const int64_t points = points_of(c, n);
    for (int i = 0; i < n; i++) {
        panel p = { .c = &c[i], .at = at, .points = points };
        p.left = at.left + i % at.columns * at.width;
        p.top = at.top + i / at.columns * at.height;
        axis_pair(&c[i], at.ticks_x, at.ticks_y, &p.x, &p.y);
        put_panel(&p, shown(&c[i]), out);
    }
    tn_text_add(out, "</svg>\n");
}

void curves_svg(const chart *c, int n, tn_text *out)
{
    put_document(c, n, wide, out);
}

void curves_svg_grid(const chart *c, int n, tn_text *out)
{
    put_document(c, n, small, out);
}
