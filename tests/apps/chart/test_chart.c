/* test_chart.c - pictures of curves: axis.c, curves.c and svg.c.
   Ticks, charts for the terminal, and an SVG that an XML reader accepts. */
#include "tests/support/svg.h"
#include "tests/support/tests.h"

#include "apps/chart/axis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 72, MANY = 100000, FEW = 200 };

static const curves_style styles[] = { CURVES_ASCII, CURVES_BRAILLE, CURVES_COLOUR };

/* Numbers of every kind that could break a chart: y of point i in shape `kind`. */
enum { FALLING, CONSTANT, NOT_FINITE, MIXED, HUGE, TINY, NEGATIVE, KINDS };
static double shape(int kind, int64_t i)
{
    double x = (double)i;
    switch (kind) {
    case FALLING: return 3 * exp(-x / 40) + 0.01 * (1 + sin(x));
    case CONSTANT: return 2.5;
    case NOT_FINITE: return i % 2 ? NAN : INFINITY;
    case MIXED: return i % 7 ? x : i % 2 ? NAN : -INFINITY;
    case HUGE: return i % 3 ? 1e300 : x * 1e90;
    case TINY: return 1e-9 * (1 + x);
    default: return -x;
    }
}

static void fill(int kind, int64_t n, double *x, double *y)
{
    for (int64_t i = 0; i < n; i++) {
        x[i] = (double)(i + 1);
        y[i] = shape(kind, i);
    }
}

START_TEST(ticks)
{
    static const struct {
        double low, high;
        bool log;
        int most;
        const char *labels;
    } row[] = {
        { 0, 250, false, 6, "0 50 100 150 200 250" },
        { 1, 400, false, 5, "100 200 300 400" },
        { -0.3, 0.35, false, 5, "-0.2 0 0.2" },
        { 2.31, 2.34, false, 5, "2.31 2.32 2.33 2.34" },
        { 0.02, 3, true, 9, "0.02 0.05 0.1 0.2 0.5 1 2" },
        { 0.0004, 300, true, 6, "0.001 0.01 0.1 1 10 100" },
        { 1e-8, 1e8, true, 6, "1e-06 0.001 1 1000 1e+06" },
        { 3.1, 4.2, true, 5, "3.5 4" },
        { 5, 5, false, 5, "4.5 5 5.5" },
        { 2e6, 8e6, false, 4, "2e+06 4e+06 6e+06 8e+06" },
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        axis a = axis_new(row[i].low, row[i].high, row[i].log, row[i].most);
        tn_text all = { 0 };
        char label[AXIS_LABEL];
        for (int j = 0; j < a.ticks; j++) {
            axis_label(&a, j, label);
            tn_text_add(&all, "%s%s", j ? " " : "", label);
        }
        ck_assert_str_eq(all.s, row[i].labels);
        tn_text_free(&all);
    }
}
END_TEST

START_TEST(places)
{
    axis a = axis_new(0.01, 100, true, 5), b = axis_new(-1, 3, false, 5);
    ck_assert_double_eq_tol(axis_place(&a, 1), 0.5, 1e-12);
    ck_assert_double_eq_tol(axis_place(&a, 10), 0.75, 1e-12);
    ck_assert_double_eq_tol(axis_place(&b, 0), 0.25, 1e-12);
    ck_assert_double_eq(axis_place(&b, 99), 1);
    average c = { .keep = 0.9 };
    for (int i = 0; i < 5; i++)
        ck_assert_double_eq_tol(average_next(&c, 7), 7, 1e-12);
    ck_assert_double_eq_tol(average_next(&c, 8), 7 + 0.1 / (1 - pow(0.9, 6)), 1e-12);
}
END_TEST

/* The number of columns that a line takes on a terminal. *s moves to the next line. */
static int columns(const char **s)
{
    int n = 0;
    for (; **s != '\n'; (*s)++) {
        ck_assert_int_ne(**s, 0);
        if (**s == '\x1b')
            *s += strcspn(*s, "m");
        else if (((unsigned char)**s & 0xc0) != 0x80)
            n++;
    }
    (*s)++;
    return n;
}

START_TEST(terminal_lines_are_equally_wide)
{
    double x[FEW], y[KINDS][FEW];
    curve k[KINDS];
    for (int i = 0; i < KINDS; i++) {
        fill(i, FEW, x, y[i]);
        k[i] = (curve){ "a name of some length, \xc3\xa9", x, y[i], i == TINY ? 1 : FEW };
    }
    for (int count = 0; count <= KINDS; count++)
        for (int log = 0; log < 2; log++)
            for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
                chart c = { .title = "t\xc3\xaftle",
                            .x = "step",
                            .y = "loss",
                            .curves = k,
                            .count = count,
                            .log_y = log,
                            .smooth = count % 2 ? 0 : 0.9,
                            .log_x = log,
                            .contours = k,
                            .contour_count = count };
                tn_text out = { 0 };
                curves_text(&c, styles[i], &out);
                int lines = 0;
                for (const char *s = out.s; *s; lines++)
                    ck_assert_int_eq(columns(&s), COLUMNS);
                ck_assert_int_ge(lines, 15);
                tn_text_free(&out);
            }
}
END_TEST

/* A straight line from corner to corner, and its mirror image. */
START_TEST(terminal_shows_the_points)
{
    double x[] = { 0, 60 }, up[] = { 0, 10 }, down[] = { 10, 0 };
    curve k[] = { { "up", x, up, 2 }, { "down", x, down, 2 } };
    chart c = { .curves = k, .count = 2 };
    tn_text out = { 0 };
    curves_text(&c, CURVES_ASCII, &out);
    const char *first = out.s + (COLUMNS + 1), *last = out.s + 12 * (COLUMNS + 1);
    ck_assert_int_eq(first[10], 'b');
    ck_assert_int_eq(first[69], 'a');
    ck_assert_int_eq(last[10], 'a');
    ck_assert_int_eq(last[69], 'b');
    ck_assert_int_eq(first[71], 'a');
    ck_assert_int_eq(last[71], 'b');
    ck_assert_ptr_nonnull(strstr(out.s, "a up  b down"));
    out.n = 0;
    curves_text(&(chart){ .curves = k, .count = 1 }, CURVES_BRAILLE, &out);
    ck_assert_ptr_nonnull(strstr(out.s, "┤⣀"));    /* at the left both dots are in the lowest row */
    ck_assert_ptr_nonnull(strstr(out.s, "⠊ a\n")); /* at the right: one below the top, the top */
    tn_text_free(&out);
}
END_TEST

START_TEST(style_follows_the_locale)
{
    static const struct {
        const char *all, *lang;
        curves_style style;
    } row[] = {
        { "C", "en_GB.UTF-8", CURVES_ASCII },
        { "", "en_GB.UTF-8", CURVES_BRAILLE },
        { "C.utf8", "C", CURVES_BRAILLE },
        { "", "", CURVES_ASCII },
    };
    unsetenv("LC_CTYPE");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        setenv("LC_ALL", row[i].all, 1);
        setenv("LANG", row[i].lang, 1);
        ck_assert_int_eq(curves_style_of(-1), row[i].style); /* no terminal: no colours */
    }
}
END_TEST

START_TEST(svg_is_xml_within_its_box)
{
    double x[FEW], y[KINDS][FEW];
    curve k[KINDS];
    for (int i = 0; i < KINDS; i++) {
        fill(i, FEW, x, y[i]);
        k[i] = (curve){ "<&\">\n\xc3\xa9", x, y[i], FEW - i };
    }
    for (int first = 0; first < KINDS; first++) {
        chart c[2] = { { .title = "a < b & c",
                         .x = "x",
                         .y = "\"y\"",
                         .curves = k + first,
                         .count = KINDS - first,
                         .smooth = 0.9,
                         .contours = k,
                         .contour_count = 2 },
                       { .title = "log",
                         .x = "x",
                         .curves = k + first,
                         .count = 1,
                         .log_x = true,
                         .log_y = true,
                         .dots = true,
                         .nested = 3 } };
        tn_text out = { 0 };
        curves_svg(c, 2, &out);
        check_svg(out.s);
        curves_svg_grid(c, 2, &out);
        check_svg(strstr(out.s, "</svg>") + 7);
        ck_assert_ptr_nonnull(strstr(out.s, "&lt;&amp;&quot;&gt; \xc3\xa9</text>"));
        tn_text_free(&out);
    }
}
END_TEST

START_TEST(svg_stays_small)
{
    double *x = malloc(MANY * sizeof *x), *y = malloc(MANY * sizeof *y);
    curve k[CURVES_MOST + 1];
    fill(FALLING, MANY, x, y);
    y[MANY / 2] = 9; /* one point of 100,000 that must be seen */
    for (int i = 0; i <= CURVES_MOST; i++)
        k[i] = (curve){ "<<<<<<<<<<<<<<<<<<<<<<<<<<<<", x, y, MANY };
    chart c[4];
    for (int i = 0; i < 4; i++)
        c[i] = (chart){ .title = "title",
                        .x = "step",
                        .y = "loss",
                        .curves = k,
                        .count = 6,
                        .log_y = i % 2,
                        .smooth = 0.95 };
    static const struct {
        int charts, curves;
    } row[] = { { 1, 1 }, { 1, 17 }, { 2, 5 }, { 4, 6 } };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        for (int j = 0; j < 4; j++)
            c[j].count = row[i].curves;
        tn_text out = { 0 };
        curves_svg(c, row[i].charts, &out);
        ck_assert_uint_le(out.n, 40000);
        check_svg(out.s);
        double top = 1e9; /* of the first line: the outlier must have the right height */
        for (const char *s = strstr(strstr(out.s, " thin\""), "M"); *s != '"'; s++)
            if (*s == 'L' || *s == 'M') {
                char *end;
                strtod(s + 1, &end);
                top = fmin(top, strtod(end, NULL));
            }
        ck_assert_double_eq_tol(top, 48 + 272 * 0.1, 0.11); /* 9 of 0..10 */
        tn_text_free(&out);
    }
    free(x);
    free(y);
}
END_TEST

static int count_of(const char *s, const char *word)
{
    int n = 0;
    for (; (s = strstr(s, word)) != NULL; s++)
        n++;
    return n;
}

/* Points outside a range leave a gap and do not widen the axes. Dots mark all points or none. */
START_TEST(ranges_contours_and_dots)
{
    double x[] = { 0.01, 1, 100, 1000 }, y[] = { 1, 2, 3, 999 }, z[] = { 3, 2, 1, 1 };
    curve k[] = { { "up", x, y, 4 }, { "down", x, z, 3 } };
    chart c = { .curves = k,
                .count = 1,
                .log_x = true,
                .y_range = { 0, 10 },
                .dots = true,
                .nested = 2,
                .contours = k + 1,
                .contour_count = 1 };
    axis ax, ay;
    axis_pair(&c, 6, 5, &ax, &ay);
    ck_assert_double_eq(ax.high, 100);
    ck_assert_double_eq(ay.high, 3);
    ck_assert_double_eq_tol(axis_place(&ax, 1), 0.5, 1e-12);
    tn_text out = { 0 };
    curves_svg(&c, 1, &out);
    ck_assert_ptr_nonnull(strstr(out.s,
                                 "c0 thick\" style=\"stroke-width:3.5\" d=\"M64.0 320.0L332.0 "
                                 "184.0L600.0 48.0\""));
    ck_assert_ptr_nonnull(strstr(out.s, "d=\"M64.0 320.0h0M332.0 184.0h0M600.0 48.0h0\""));
    ck_assert_ptr_nonnull(strstr(out.s, "\"axis\" d=\"M64.0 48.0L332.0 184.0L600.0 320.0\""));
    ck_assert_int_eq(count_of(out.s, "grid\" d"), 0); /* contours replace the grid */
    out.n = 0;
    curves_text(&c, CURVES_ASCII, &out);
    ck_assert_int_eq(count_of(out.s, "b down"), 0);
    ck_assert_int_gt(count_of(out.s, "."), 5);
    double *far = calloc(MANY, sizeof *far);
    k[0] = (curve){ "many", far, far, MANY };
    c.log_x = false;
    out.n = 0;
    curves_svg(&c, 1, &out);
    ck_assert_uint_le(out.n, 40000);
    ck_assert_int_eq(count_of(out.s, "h0"), 0);
    free(far);
    tn_text_free(&out);
}
END_TEST

/* Of four lines the second and the fourth are dashed, also in the legend. */
START_TEST(twins_are_dashed)
{
    const double x[] = { 1, 2, 3 }, y[] = { 3, 1, 2 };
    const curve k[] = {
        { "a", x, y, 3 }, { "a twin", x, y, 3 }, { "b", x, y, 3 }, { "b twin", x, y, 3 }
    };
    for (int twins = 0; twins < 2; twins++) {
        const chart c = { .title = "twins", .curves = k, .count = 4, .twins = twins };
        tn_text out = { 0 };
        int dashed = 0;
        curves_svg(&c, 1, &out);
        for (const char *at = out.s; (at = strstr(at, "stroke-dasharray")) != NULL; at++)
            dashed++;
        ck_assert_int_eq(dashed, twins ? 4 : 0);
        check_svg(out.s);
        tn_text_free(&out);
    }
}
END_TEST

/* Eight small charts in two columns, each with its own names. */
START_TEST(a_grid_of_charts)
{
    double x[FEW], y[FEW];
    curve k[4];
    chart c[8];
    fill(FALLING, FEW, x, y);
    for (int i = 0; i < 4; i++)
        k[i] = (curve){ "curve", x, y, FEW };
    for (int i = 0; i < 8; i++)
        c[i] = (chart){ .title = "one", .x = "step", .y = "loss", .curves = k, .count = 4 };
    tn_text out = { 0 };
    curves_svg_grid(c, 8, &out);
    check_svg(out.s);
    ck_assert_uint_le(out.n, 40000);
    ck_assert_int_eq(count_of(out.s, ">one<"), 8);
    ck_assert_int_eq(count_of(out.s, ">curve<"), 32);
    ck_assert_ptr_nonnull(strstr(out.s, "viewBox=\"0 0 760 1296\"")); /* 4 x (284 + 2 x 20) */
    tn_text_free(&out);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, ticks);
    tcase_add_test(c, places);
    tcase_add_test(c, terminal_lines_are_equally_wide);
    tcase_add_test(c, terminal_shows_the_points);
    tcase_add_test(c, style_follows_the_locale);
    tcase_add_test(c, svg_is_xml_within_its_box);
    tcase_add_test(c, svg_stays_small);
    tcase_add_test(c, ranges_contours_and_dots);
    tcase_add_test(c, twins_are_dashed);
    tcase_add_test(c, a_grid_of_charts);
}
