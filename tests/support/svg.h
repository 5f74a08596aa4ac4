/* svg.h - checks that a picture is sound XML. */
#ifndef TN_TESTS_SVG_H
#define TN_TESTS_SVG_H

/* Reads one document as XML: tags balanced, attributes quoted, no bare & or < in text, the places
   of paths inside the view box. */
void check_svg(const char *s);

#endif
