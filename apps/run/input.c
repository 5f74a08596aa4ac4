/* input.c - text from standard input (input.h). */
#include "apps/run/input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { STDIN_MOST = 1 << 24 };

void input_read(tn_text *out, tn_error *e)
{
    char bytes[4096];
    size_t n;
    do { /* a signal may interrupt it */
        clearerr(stdin);
        errno = 0;
        n = fread(bytes, 1, sizeof bytes, stdin);
        tn_text_bytes(out, bytes, n);
    } while ((n > 0 || (ferror(stdin) && errno == EINTR)) && out->n < STDIN_MOST);
    if (tn_text_done(out, "standard input", e) && ferror(stdin))
        tn_fail(e, TN_EIO, "standard input: cannot be read: %s", strerror(errno));
    else if (out->n >= STDIN_MOST)
        tn_fail(e, TN_EIO, "standard input: expected less than %d bytes", STDIN_MOST);
    if (out->n && out->s[out->n - 1] == '\n')
        out->n--;
}
