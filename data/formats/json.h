/* json.h - the nodes of a parsed document. Internal header. */
#ifndef TN_JSON_H
#define TN_JSON_H

#include "data/data.h"

enum { TN_JSON_DEPTH = 64 };

/* Adds a text about a value of the document, with other names for its members. */
typedef void tn_json_renamer(const tn_json *root, const char *text, tn_text *out);

typedef struct tn_document {
    tn_json root;                 /* first, so that its address is the document's */
    struct tn_json_chunk *chunks; /* all other values */
    const char *path;
    int64_t line;            /* the text's line in its file, if it is one line; else 0 */
    tn_json_renamer *rename; /* NULL: the file has these members */
    char memory[];           /* the path, then the strings */
} tn_document;

/* The document was made from the keys of a file, which tn_json_refuse is to name. */
void tn_json_rename(const tn_json *root, tn_json_renamer *rename);

bool tn_json_is_null(const tn_json *v); /* or absent */

/* An array of a document that is too long to keep: the elements of root/object/key are given to
   `take` one by one. The array stays in the tree without elements, but with their number; texts of
   the elements live as long as the document. take returns e->code. */
typedef struct tn_json_taker {
    const char *object, *key;
    int (*take)(void *to, const tn_json *element, tn_error *e);
    void *to;
} tn_json_taker;
/* As tn_json_parse and tn_json_read. taker NULL: none. */
const tn_json *tn_json_parse_taking(const char *text, size_t size, const char *path, int64_t line,
                                    const tn_json_taker *taker, tn_error *e);
const tn_json *tn_json_read_taking(const char *path, const tn_json_taker *taker, tn_error *e);

#endif
