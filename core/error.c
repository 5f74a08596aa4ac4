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
    /* One line, whatever a file or a name put into it: no controls, of ASCII or of U+0080..U+009F. */
    for (unsigned char *s = (unsigned char *)e->text; *s; s++) {
        if (*s < ' ' || *s == 127)
            *s = '?';
        if (*s == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0)
            s[0] = s[1] = '?';
    }
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
