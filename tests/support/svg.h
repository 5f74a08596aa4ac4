/* svg.h - checks that an SVG picture is correct XML. */
#ifndef TN_TESTS_SVG_H
#define TN_TESTS_SVG_H

/* Fails unless tags are balanced, attributes are quoted, text has no bare & or <, and the points of
   paths lie inside the view box. */
void check_svg(const char *s);

#endif
