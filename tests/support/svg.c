/* svg.c - reads an SVG picture as XML and checks it. */
#include "tests/support/svg.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each M and L of a path is followed by a point. All points must lie inside the view box. */
static void check_path(const char *d, double width, double height)
{
    for (; *d != '"'; d++) {
        ck_assert_int_ne(*d, 0);
        if (*d != 'M' && *d != 'L')
            continue;
        char *end;
        double x = strtod(d + 1, &end), y = strtod(end, NULL);
        ck_assert(x >= 0 && x <= width && y >= 0 && y <= height);
    }
}

void check_svg(const char *s)
{
    const char *open[16];
    double width = 0, height = 0;
    int depth = 0, elements = 0;
    for (; *s; s++) {
        ck_assert_int_ne(*s, '>'); /* must be escaped in text */
        if (*s == '&')
            ck_assert(!strncmp(s, "&amp;", 5) || !strncmp(s, "&lt;", 4) || !strncmp(s, "&gt;", 4) ||
                      !strncmp(s, "&quot;", 6));
        if (*s != '<')
            continue;
        const char *name = s + 1 + (s[1] == '/');
        size_t n = strcspn(name, " />");
        if (s[1] == '/') {
            ck_assert_int_gt(depth, 0);
            ck_assert(!strncmp(open[--depth], name, n));
            ck_assert_int_eq(name[n], '>');
            s = name + n;
            continue;
        }
        if (!strncmp(name, "svg", n)) {
            const char *box = strstr(name, "viewBox");
            ck_assert_int_eq(sscanf(box, "viewBox=\"0 0 %lf %lf\"", &width, &height), 2);
        }
        if (!strncmp(name, "path", n))
            check_path(strstr(name, "d=\"M") ? strstr(name, " d=\"") + 4 : "\"", width, height);
        for (s = name + n; *s != '>'; s++) {
            ck_assert(*s && *s != '<');
            if (*s == '"')
                s += 1 + strcspn(s + 1, "\"<");
            ck_assert_int_ne(*s, '<');
        }
        ck_assert_int_lt(depth, 16);
        open[depth] = name;
        depth += s[-1] != '/';
        elements++;
    }
    ck_assert_int_eq(depth, 0);
    ck_assert_int_gt(elements, 10);
}
