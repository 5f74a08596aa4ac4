/* reading.c - the line on a terminal while a large file of data is read (reading.h). */
#include "apps/report/reading.h"
#include "apps/report/columns.h"
#include "apps/report/progress.h"
#include "apps/report/machine.h"
#include "apps/report/show.h"

#include <stdio.h>
#include <string.h>

enum { LINE = 200 };
static const double wait = 2, again = 0.25; /* seconds before the first line, and between two */

reading reading_begin(const options *o)
{
    return (reading){ .shows = progress_mode_of(o) == PROGRESS_BAR, .standard = o->standard_input };
}

bool reading_watch(void *arg, const char *path, size_t done, size_t all)
{
    reading *r = arg;
    const double now = now_seconds();
    char line[LINE], left[SHOWN], speed[SHOWN];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (r->begin == 0 || done < r->before) /* another file */
        r->begin = now;
    r->before = done;
    if (!r->shows || now - r->begin < wait || now - r->last < again)
        return true;
    const double rate = (double)done / (now - r->begin);
    const int n = snprintf(line, sizeof line, "reading    %3.0f %%  %s/s  %s left  %s",
                           100 * (double)done / (double)all, show_bytes(rate, speed),
                           show_time((double)(all - done) / (rate + 1), left),
                           r->standard && !strcmp(path, r->standard) ? "standard input" : name);
    const size_t columns = columns_now();
    if (n > 0 && columns > 1 && (size_t)n >= columns)
        line[columns - 1 < LINE ? columns - 1 : LINE - 1] = 0;
    show("\r%s\033[K", line);
    r->last = now;
    r->open = true;
    return true;
}

void reading_end(reading *r)
{
    if (r->open)
        show("\r\033[K");
    r->open = false;
    r->begin = 0;
}
