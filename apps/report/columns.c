/* columns.c - how wide the place is that standard output goes to (columns.h). */
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
