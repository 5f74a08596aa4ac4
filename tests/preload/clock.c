/* clock.c - preloaded into a program, gives it a clock that does not depend on the machine.
   It goes on by a millisecond each time it is read. If CLOCK_PAUSE is n, it goes on by four seconds
   more before it is read for the n-th time. */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static atomic_long readings;

int clock_gettime(clockid_t id, struct timespec *out)
{
    const char *pause = getenv("CLOCK_PAUSE");
    const long n = atomic_fetch_add(&readings, 1) + 1;
    const long ms = n + (pause && n >= atol(pause) ? 4000 : 0);
    (void)id;
    *out = (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    return 0;
}
