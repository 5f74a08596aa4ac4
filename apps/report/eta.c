/* eta.c - the line through the times of steps, and what it says about the rest of a run (eta.h). */
#include "apps/report/eta.h"
#include "apps/report/show.h"

#include <stdio.h>

/* The first step takes memory from the system, so it is no example of the others. */
enum { FIRST = 1, NEEDED = 3 };

static const double keep = 0.99; /* share of its weight that a step keeps when one more comes */

void eta_step(eta *s, double tokens, double seconds)
{
    if (s->steps++ < FIRST)
        return;
    s->n = keep * s->n + 1;
    s->x = keep * s->x + tokens;
    s->y = keep * s->y + seconds;
    s->xx = keep * s->xx + tokens * tokens;
    s->xy = keep * s->xy + tokens * seconds;
}

void eta_pause(eta_pauses *p, double seconds)
{
    p->count++;
    p->seconds += seconds;
}

/* Seconds of a step with x tokens. A line that falls, or is below 0 at no tokens, comes from
   chance: then the time is the same for all, or in proportion to the tokens. */
static double step_time(const eta *s, double x)
{
    const double mx = s->x / s->n, my = s->y / s->n;
    const double spread = s->xx / s->n - mx * mx, both = s->xy / s->n - mx * my;
    double b = spread > 1e-6 * mx * mx ? both / spread : my / mx;
    b = b < 0 ? 0 : b * mx > my ? my / mx : b;
    return my + b * (x - mx);
}

static double pauses(const eta_pauses *p, int64_t left)
{
    return p->count > 0 ? p->seconds / p->count * (double)left : 0;
}

double eta_left(const eta *s, const eta_rest *rest)
{
    if (s->steps < NEEDED)
        return -1;
    const double left = (double)rest->steps * step_time(s, rest->tokens) +
                        pauses(&s->evaluations, rest->evaluations) + pauses(&s->saves, rest->saves);
    return rest->most > 0 && rest->most < left ? rest->most : left;
}

char *eta_show(double seconds, time_t now, char *out)
{
    char spent[SHOWN], clock[24];
    const time_t end = now + (time_t)seconds;
    struct tm local;
    show_time(seconds, spent);
    if (seconds < 3600) {
        snprintf(out, ETA_SHOWN, "%s", spent);
        return out;
    }
    strftime(clock, sizeof clock, seconds < 86400 ? "%H:%M" : "%a %H:%M",
             localtime_r(&end, &local));
    snprintf(out, ETA_SHOWN, "%s (%s)", spent, clock);
    return out;
}
