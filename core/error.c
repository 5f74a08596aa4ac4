/* error.c - the sticky error. */
#include "core/core.h"

#include <stdarg.h>
#include <stdio.h>

int tn_fail(tn_error *e, int code, const char *format, ...)
{
    if (e->code)
        return e->code;
    e->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    /* One line, whatever a file or a name put into it. */
    for (char *s = e->text; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 127)
            *s = '?';
    return code;
}

const char *tn_strerror(int code)
{
    switch (code) {
    case TN_OK:
        return "success";
#define ERR(name, number, meaning) \
    case name:                     \
        return meaning;
#include "core/errors.def"
#undef ERR
    default:
        return "unknown error";
    }
}
