/* picture.c - writes a graph of ops as one SVG document, for light and dark pages. */
#include "core/graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char style[] =
    "<style>text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace}"
    ".page{fill:#fff}.ink{fill:#1b1f24}.soft{fill:#57606a}.name{font-weight:600}"
    "path{fill:none;stroke:#8c959f;stroke-width:1.3}rect{stroke-width:1.2}"
    ".op{fill:#e8f1fb;stroke:#0072b2}.still{fill:#eff1f3;stroke:#8c959f}"
    ".trained{fill:#e2f5ee;stroke:#009e73}.frozen{fill:#eff1f3;stroke:#8c959f}"
    ".input{fill:#fff6e0;stroke:#c08400}"
    "@media(prefers-color-scheme:dark){.page{fill:#0d1117}.ink{fill:#e6edf3}.soft{fill:#9198a1}"
    "path{stroke:#6e7681}.op{fill:#10263c;stroke:#56b4e9}.still{fill:#21262d;stroke:#6e7681}"
    ".trained{fill:#0e2f26;stroke:#2bbd92}.frozen{fill:#21262d;stroke:#6e7681}"
    ".input{fill:#332701;stroke:#e69f00}}</style>\n";

typedef struct pen {
    tn_sink *put;
    void *arg;
} pen;

static void say(const pen *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const pen *p, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    p->put(p->arg, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
}

/* Puts text with the characters of XML escaped. */
static void put_xml(void *arg, const char *bytes, size_t n)
{
    const pen *p = arg;
    for (size_t i = 0; i < n; i++)
        switch (bytes[i]) {
        case '&': say(p, "&amp;"); break;
        case '<': say(p, "&lt;"); break;
        case '>': say(p, "&gt;"); break;
        case '"': say(p, "&quot;"); break;
        default: p->put(p->arg, bytes + i, 1);
        }
}

/* A text with attributes. Names may hold any bytes: controls become visible first. */
static void put_text(pen *p, double x, double y, const char *attributes, const char *text)
{
    say(p, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    tn_escape(put_xml, p, text, strlen(text));
    say(p, "</text>\n");
}

static void put_box(pen *p, double x, double y, double width, double height, double round,
                    const char *class)
{
    say(p, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%g\"/>\n",
        class, x, y, width, height, round);
}

/* ---- labels ---- */

enum { PILL = TN_LABEL_HEIGHT - 4 };

static double pill_width(const char *text)
{
    return tn_text_width(text) + 16;
}

/* A label whose right end is at x. */
static void put_pill(pen *p, double x, double y, const char *class, const char *text)
{
    const double width = pill_width(text);
    put_box(p, x - width, y, width, PILL, PILL / 2.0, class);
    put_text(p, x - width / 2, y + 13, "class=\"ink\" text-anchor=\"middle\"", text);
}

/* Label number `place` of an op, and its short line to the op's box. */
static void put_label(pen *p, const tn_spot *s, double left, int place, const char *class,
                      const char *text)
{
    const double x = left - TN_LABEL_SPACE, y = s->y + place * TN_LABEL_HEIGHT;
    const double to =
        y + PILL / 2.0 < s->y + TN_BOX_HEIGHT - 6 ? y + PILL / 2.0 : s->y + TN_BOX_HEIGHT - 6;
    say(p, "<path d=\"M%.1f %.1fL%.1f %.1f\"/>\n", x, y + PILL / 2.0, left, to);
    put_pill(p, x, y, class, text);
}

static void put_op(pen *p, const tn_graph *g, const tn_picture *at, int64_t i)
{
    static const char *const classes[] = { "trained", "frozen", "input" };
    const tn_graph_op *op = &g->ops[i];
    const tn_spot *s = &at->spots[i];
    const double width = tn_box_width(op), left = s->x - width / 2;
    char text[TN_GRAPH_TEXT];
    int place = 0;
    for (int k = 0; k < op->labels; k++)
        put_label(p, s, left, place++, classes[op->label[k].kind], op->label[k].text);
    for (int k = 0; k < op->froms; k++) {
        const int64_t from = op->from[k];
        if (tn_edge_is_drawn(s->row - at->spots[from].row))
            continue;
        snprintf(text, sizeof text, "from %lld %s", (long long)from + 1, g->ops[from].name);
        put_label(p, s, left, place++, "still", text);
    }
    put_box(p, left, s->y, width, TN_BOX_HEIGHT, 6, op->wanted ? "op" : "still");
    snprintf(text, sizeof text, "%lld", (long long)i + 1);
    put_text(p, left + 6, s->y + 17, "class=\"soft\"", text);
    put_text(p, s->x, s->y + 17, "class=\"ink name\" text-anchor=\"middle\"", op->name);
    put_text(p, s->x, s->y + 34, "class=\"soft\" text-anchor=\"middle\"", op->shape);
}

/* An edge leaves below and arrives above; a bend is a line through its row. */
static void put_edge(pen *p, const tn_spot *from, const tn_spot *to)
{
    const double top = from->y + (from->op < 0 ? from->height : TN_BOX_HEIGHT), end = to->y;
    const double middle = (top + end) / 2;
    say(p, "<path d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f", from->x, top, from->x, middle,
        to->x, middle, to->x, end);
    if (to->op < 0)
        say(p, "V%.1f", end + to->height);
    say(p, "\"/>\n");
}

static const struct {
    const char *class, *text;
} legend[] = { { "op", "op with a gradient" },
               { "still", "op without" },
               { "trained", "trained weight" },
               { "frozen", "frozen" },
               { "input", "input" } };
enum { LEGENDS = sizeof legend / sizeof *legend };

static double legend_width(void)
{
    double width = TN_MARGIN;
    for (int i = 0; i < LEGENDS; i++)
        width += pill_width(legend[i].text) + 10;
    return width + TN_MARGIN;
}

static void put_legend(pen *p)
{
    double x = TN_MARGIN;
    for (int i = 0; i < LEGENDS; i++) {
        x += pill_width(legend[i].text);
        put_pill(p, x, TN_MARGIN / 2.0, legend[i].class, legend[i].text);
        x += 10;
    }
}

static void put_document(pen *p, const tn_graph *g, const tn_picture *at)
{
    const double width = at->width > legend_width() ? at->width : legend_width();
    say(p,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
        "viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n",
        width, at->height, width, at->height);
    p->put(p->arg, style, sizeof style - 1);
    say(p, "<rect class=\"page\" width=\"%.0f\" height=\"%.0f\"/>\n", width, at->height);
    put_legend(p);
    for (int64_t k = 0; k < at->edge_count; k++)
        put_edge(p, &at->spots[at->edges[k].from], &at->spots[at->edges[k].to]);
    for (int64_t i = 0; i < g->count; i++)
        put_op(p, g, at, i);
    say(p, "</svg>\n");
}

int tn_graph_svg(const tn_graph *g, tn_sink *put, void *arg)
{
    tn_picture at;
    pen p = { put, arg };
    if (!g || !put)
        return TN_EARG;
    if (g->failed)
        return TN_ENOMEM;
    const int code = tn_picture_lay(g, &at);
    if (!code)
        put_document(&p, g, &at);
    tn_picture_free(&at);
    return code;
}
