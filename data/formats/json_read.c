/* json_read.c - the document of a text or of a file. */
#include "data/formats/json.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 256 << 20 }; /* of a file */

const tn_json *tn_json_parse(const char *text, size_t size, const char *path, int64_t line,
                             tn_error *e)
{
    if (tn_given(e, text && path, __func__))
        return NULL;
    return tn_json_parse_taking(text, size, path, line, NULL, e);
}

const tn_json *tn_json_read_taking(const char *path, const tn_json_taker *taker, tn_error *e)
{
    size_t size = 0;
    char *text = tn_text_read(path, MOST_BYTES, &size, e);
    if (size > MOST_BYTES)
        tn_error_add(e, ", which no model's %s needs: copy it again from where it came from",
                     strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
    const tn_json *root = text ? tn_json_parse_taking(text, size, path, 0, taker, e) : NULL;
    free(text);
    return root;
}

const tn_json *tn_json_read(const char *path, tn_error *e)
{
    return tn_given(e, path, __func__) ? NULL : tn_json_read_taking(path, NULL, e);
}
