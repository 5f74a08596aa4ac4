/* added.h - tokens that are found in a text by their name, before it is cut into pieces. Internal header. */
#ifndef TN_ADDED_H
#define TN_ADDED_H

#include "data/data.h"

typedef struct tn_added {
    tn_span name;
    tn_span form; /* what is searched for: the name, or its normalised form */
    int32_t id;
    bool special;        /* found only where special tokens are asked for; adds no text */
    bool normalized;     /* found in the normalised text, not in the text as it is */
    bool lstrip, rstrip; /* takes the white space before, after it */
} tn_added;

typedef struct tn_names tn_names; /* the names of some added tokens, to be searched for */

/* Those of the tokens that are `normalized` or not. The tokens must live as long. The same name
   twice is refused. NULL without an error: there are none. */
tn_names *tn_names_new(const tn_added *added, int64_t n, bool normalized, const char *path,
                       tn_error *e);
void tn_names_free(tn_names *t);

typedef struct tn_name_found {
    size_t from, to;   /* bytes of the text */
    const tn_added *a; /* NULL: nothing was found; from and to are the end */
} tn_name_found;
/* The first name in s[at..n), the longest of those that begin there. names NULL: nothing. */
tn_name_found tn_names_find(const tn_names *t, const char *s, size_t n, size_t at, bool special);

#endif
