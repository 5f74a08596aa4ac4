/* columns.c - the width of standard output and of texts (columns.h). */
#include "apps/report/columns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

size_t columns_now(void)
{
    struct winsize size;
    int failed;
    do
        failed = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    while (failed && errno == EINTR);
    return failed ? 0 : size.ws_col;
}

bool columns_are_plain(void)
{
    const char *terminal = getenv("TERM");
    return !terminal || !strcmp(terminal, "dumb");
}

size_t columns_to_fit(void)
{
    const size_t columns = columns_are_plain() ? 0 : columns_now();
    return columns ? columns - 1 : 0;
}

size_t columns_bytes(const char *s, size_t n, size_t most)
{
    size_t i = 0;
    for (size_t columns = 0; i < n; i++) {
        columns += ((unsigned char)s[i] & 0xc0) != 0x80; /* the first byte of a character */
        if (columns > most)
            break;
    }
    return i;
}

size_t columns_of(const char *s, size_t n)
{
    size_t columns = 0;
    for (size_t i = 0; i < n; columns++)
        i += columns_bytes(s + i, n - i, 1);
    return columns;
}
