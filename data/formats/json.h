/* json.h - the nodes of a parsed document. Internal header. */
#ifndef TN_JSON_H
#define TN_JSON_H

#include "data/data.h"

enum { TN_JSON_DEPTH = 64 };

typedef struct tn_document {
    tn_json root;                 /* first, so that its address is the document's */
    struct tn_json_chunk *chunks; /* all other values */
    const char *path;
    int64_t line;  /* the text's line in its file, if it is one line; else 0 */
    char memory[]; /* the path, then the strings */
} tn_document;

#endif
