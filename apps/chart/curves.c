/* curves.c - a chart in the terminal: a grid of characters, filled in any order, then printed. */
#define _GNU_SOURCE /* strcasestr */
#include "apps/chart/axis.h"
#include "apps/report/columns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
enum {
    LABEL = 9, PLOT_W = 60, PLOT_H = 12,
    WIDTH = LABEL + 1 + PLOT_W + 2, /* labels, axis, plot, letters at the curves' ends */
    LEAST = 40, /* columns */
    TOP = 1, BOTTOM = TOP + PLOT_H, /* rows of the plot; then axis, ticks, legend */
    HEIGHT = BOTTOM + 3 + CURVES_MOST,
    COLOURS = 6
};

typedef struct cell { char utf8[5]; int8_t colour; } cell; /* colour 0: the terminal's own */
/* clang-format on */

typedef struct picture {
    curves_style style;
    int rows;          /* used so far */
    int width, plot_w; /* WIDTH and PLOT_W, or less */
    cell at[HEIGHT][WIDTH];
    unsigned char dots[PLOT_H][PLOT_W], owner[PLOT_H][PLOT_W]; /* owner: curve + 1 */
} picture;

curves_style curves_style_of(int fd)
{
    static const char *const name[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    const char *locale = NULL;
    for (int i = 0; i < 3 && !(locale && *locale); i++)
        locale = getenv(name[i]);
    if (!locale || (!strcasestr(locale, "utf-8") && !strcasestr(locale, "utf8")))
        return CURVES_ASCII;
    const char *plain = getenv("NO_COLOR");
    return isatty(fd) && !columns_are_plain() && !(plain && *plain) ? CURVES_COLOUR
                                                                    : CURVES_BRAILLE;
}

curves_style curves_style_asked(int fd, const char *color)
{
    const curves_style own = curves_style_of(fd);
    if (own == CURVES_ASCII || !strcmp(color, "auto"))
        return own;
    return strcmp(color, "always") ? CURVES_BRAILLE : CURVES_COLOUR;
}

/* Writes text from column `col`, at most to `end`. Returns the column after it. A character takes
   one cell; a character that the style cannot show becomes '?'. */
static int put(picture *p, int row, int col, int end, int colour, const char *s)
{
    while (*s && col < end) {
        const size_t n = columns_bytes(s, strnlen(s, sizeof p->at[0][0].utf8 - 1), 1);
        bool plain = n == 1 && *s >= ' ' && *s <= '~';
        bool shown = plain || (n > 1 && p->style != CURVES_ASCII);
        cell *c = &p->at[row][col++];
        memset(c->utf8, 0, sizeof c->utf8);
        memcpy(c->utf8, shown ? s : "?", shown ? n : 1);
        c->colour = (int8_t)colour;
        s += n;
    }
    if (p->rows <= row)
        p->rows = row + 1;
    return col;
}

static int colour_of(int j)
{
    return j < 0 ? 0 : 1 + j % COLOURS;
}

static void put_axes(picture *p, const chart *c, const axis *x, const axis *y)
{
    bool ascii = p->style == CURVES_ASCII;
    char label[AXIS_LABEL];
    int col = put(p, 0, LABEL + 1, p->width, 0, c->title ? c->title : "");
    if (c->y)
        put(p, 0, put(p, 0, col, p->width, 0, c->title ? ", " : ""), p->width, 0, c->y);
    for (int r = TOP; r < BOTTOM; r++)
        put(p, r, LABEL, p->width, 0, ascii ? "|" : "│");
    put(p, BOTTOM, LABEL, p->width, 0, ascii ? "+" : "└");
    for (int j = 0; j < p->plot_w; j++)
        put(p, BOTTOM, LABEL + 1 + j, p->width, 0, ascii ? "-" : "─");
    for (int i = 0; i < y->ticks; i++) {
        int row = BOTTOM - 1 - (int)(axis_place(y, y->tick[i]) * (PLOT_H - 1) + 0.5);
        axis_label(y, i, label);
        int n = (int)strlen(label);
        put(p, row, n < LABEL - 1 ? LABEL - 1 - n : 0, LABEL - 1, 0, label);
        put(p, row, LABEL, p->width, 0, ascii ? "+" : "┤");
    }
    for (int i = 0; i < x->ticks; i++) {
        col = LABEL + 1 + (int)(axis_place(x, x->tick[i]) * (p->plot_w - 1) + 0.5);
        axis_label(x, i, label);
        put(p, BOTTOM, col, p->width, 0, ascii ? "+" : "┬");
        put(p, BOTTOM + 1, col - (int)strlen(label) / 2, p->width, 0, label);
    }
    if (c->x)
        put(p, BOTTOM + 1, 0, LABEL - 1, 0, c->x);
}

/* Sets the dot at (x, y), in dots from the top left. ASCII has one dot per character. */
static void dot(picture *p, int x, int y, int j)
{
    static const unsigned char bit[4][2] = { { 1, 8 }, { 2, 16 }, { 4, 32 }, { 64, 128 } };
    bool ascii = p->style == CURVES_ASCII;
    int row = ascii ? y : y / 4, col = ascii ? x : x / 2;
    p->dots[row][col] |= bit[ascii ? 0 : y % 4][ascii ? 0 : x % 2];
    p->owner[row][col] = (unsigned char)(j + 1);
}

/* Draws a line of dots from a to b. Of a contour only every third dot is drawn. */
static void line(picture *p, const int a[2], const int b[2], int j)
{
    int dx = b[0] - a[0], dy = b[1] - a[1];
    int n = abs(dx) > abs(dy) ? abs(dx) : abs(dy);
    for (int i = 0; i <= n; i++) {
        int x = a[0] + (n ? dx * i / n : 0), y = a[1] + (n ? dy * i / n : 0);
        if (j >= 0 || (x + y) % 3 == 0)
            dot(p, x, y, j);
    }
}

/* Draws a curve as number j (-1: a contour). Returns the row of its end, or -1 without a point. */
static int draw(picture *p, const chart *c, const curve *k, int j, const axis *x, const axis *y)
{
    int across = p->style == CURVES_ASCII ? 1 : 2, down = p->style == CURVES_ASCII ? 1 : 4;
    const bool marks = j >= c->count - c->marks;
    average smooth = { .keep = c->smooth };
    bool pen = false;
    int last[2] = { 0, 0 }, end = -1;
    for (int64_t i = 0; i < k->n; i++) {
        bool shown = axis_shows(c, k, i);
        if (shown) {
            double v = c->smooth > 0 && j >= 0 && !marks ? average_next(&smooth, k->y[i]) : k->y[i];
            int to[2] = { (int)lround(axis_place(x, k->x[i]) * (p->plot_w * across - 1)),
                          (int)lround((1 - axis_place(y, v)) * (PLOT_H * down - 1)) };
            if (marks && across > 1 && to[0] > 0) /* a dot of 2 x 2 */
                line(p, (int[]){ to[0] - 1, to[1] - (to[1] > 0) }, (int[]){ to[0], to[1] }, j);
            line(p, pen && !marks ? last : to, to, j);
            memcpy(last, to, sizeof last);
            end = to[1] / down;
        }
        pen = shown;
    }
    return end;
}

/* Puts the curve's letter right of its end, in the nearest free row. */
static void put_letter(picture *p, int j, int row)
{
    for (int away = 0; away < PLOT_H; away++)
        for (int side = -1; side <= 1; side += 2) {
            int r = TOP + row + side * away;
            if (r < TOP || r >= BOTTOM || p->at[r][p->width - 1].utf8[0])
                continue;
            put(p, r, p->width - 1, p->width, colour_of(j), (char[]){ (char)('a' + j), 0 });
            return;
        }
}

static void put_dots(picture *p)
{
    for (int r = 0; r < PLOT_H; r++)
        for (int col = 0; col < p->plot_w; col++) {
            unsigned bits = p->dots[r][col];
            int j = p->owner[r][col] - 1;
            if (!bits)
                continue;
            char letter[2] = { j < 0 ? '.' : (char)('a' + j), 0 };
            char braille[4] = { '\xe2', (char)(0xa0 | bits >> 6), (char)(0x80 | (bits & 63)), 0 };
            put(p, TOP + r, LABEL + 1 + col, p->width, colour_of(j),
                p->style == CURVES_ASCII ? letter : braille);
        }
}

static void put_legend(picture *p, const chart *c, int count)
{
    int row = BOTTOM + 2, col = LABEL + 1;
    for (int j = 0; j < count; j++) {
        const char *name = c->curves[j].name;
        const int need = 4 + (int)columns_of(name, strlen(name));
        if (col > LABEL + 1 && col + need > p->width) {
            row++;
            col = LABEL + 1;
        }
        col = put(p, row, col, p->width, colour_of(j), (char[]){ (char)('a' + j), ' ', 0 });
        col = put(p, row, col, p->width, 0, name) + 2;
    }
}

static void print(const picture *p, tn_text *out)
{
    static const char *const paint[COLOURS + 1] = { "\x1b[0m",  "\x1b[34m", "\x1b[31m", "\x1b[32m",
                                                    "\x1b[35m", "\x1b[33m", "\x1b[36m" };
    for (int r = 0; r < p->rows; r++) {
        int colour = 0;
        for (int col = 0; col < p->width; col++) {
            const cell *c = &p->at[r][col];
            if (p->style == CURVES_COLOUR && c->colour != colour)
                tn_text_add(out, "%s", paint[c->colour]);
            colour = c->colour;
            tn_text_add(out, "%s", c->utf8[0] ? c->utf8 : " ");
        }
        tn_text_add(out, "%s\n", p->style == CURVES_COLOUR && colour ? paint[0] : "");
    }
}

void curves_text(const chart *c, curves_style style, tn_text *out)
{
    picture *p = calloc(1, sizeof *p);
    if (!p) {
        out->failed = true;
        return;
    }
    p->style = style;
    p->width = c->columns > 0 && c->columns < WIDTH ? c->columns : WIDTH;
    p->width = p->width < LEAST ? LEAST : p->width;
    p->plot_w = p->width - (WIDTH - PLOT_W);
    axis x, y;
    int count = c->count < CURVES_MOST ? c->count : CURVES_MOST;
    axis_pair(c, p->width < WIDTH ? 4 : 6, 5, &x, &y);
    put_axes(p, c, &x, &y);
    for (int i = 0; i < c->contour_count; i++)
        draw(p, c, &c->contours[i], -1, &x, &y);
    for (int j = 0; j < count; j++) {
        int end = draw(p, c, &c->curves[j], j, &x, &y);
        if (end >= 0)
            put_letter(p, j, end);
    }
    put_dots(p);
    put_legend(p, c, count);
    print(p, out);
    free(p);
}
