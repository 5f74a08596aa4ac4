/* watch.c - the running averages by which a divergence is seen; watch.h has the rule. */
#include "apps/run/watch.h"

#include <math.h>

/* Losses that low begins with; losses in a row that fire: over low, and of the same rows. */
enum { FIRST = 10, STEPS = 4, STEPS_OVER = 2 };

static const double keep = 0.9, keep_fast = 0.7; /* shares of the averages that stay per step */
static const double keep_noise = 0.98;
static const double least_rise = 0.5, least_noises = 2.5;
static const double most_rise = 1;    /* of the loss on the same rows */
static const double most_noises = 3;  /* a distance counts as at most so many times the noise */
static const double mean_of_sd = 0.8; /* average distance of a normal number from its mean, in sd */

/* An average that began with 0, n values ago, without its bias towards 0. */
static double average(double sum, double kept, int64_t n)
{
    return sum / (1 - tn_power_of(kept, n));
}

static double noise_of(const tn_run_state *s)
{
    return average(s->noise, keep_noise, s->noises);
}

void watch_start(tn_run_state *s, double loss, double error)
{
    if (s->watched || !isfinite(error))
        return;
    s->noise = (1 - keep_noise) * mean_of_sd * error;
    s->noises = 1;
    s->low = loss;
}

/* Once the noise is known, a spike may not make itself a part of it. */
static void add_distance(tn_run_state *s, double away, bool known)
{
    if (known && away > most_noises * noise_of(s))
        away = most_noises * noise_of(s);
    s->noise = keep_noise * s->noise + (1 - keep_noise) * away;
    s->noises++;
}

void watch_rows(tn_run_state *s, double loss)
{
    if (s->watched == 0)
        s->limit = loss + most_rise;
    if (s->limit <= 0) /* no rows were looked at before step 1 */
        return;
    s->over = loss > s->limit ? s->over + 1 : 0;
}

bool watch_rows_fires(const tn_run_state *s)
{
    return s->over >= STEPS_OVER;
}

double watch_rows_first(const tn_run_state *s)
{
    return s->limit - most_rise;
}

void watch_loss(tn_run_state *s, double loss)
{
    const bool started = s->noises == s->watched + (s->watched == 0);
    if (s->watched > 0 && s->fast == 0) /* a checkpoint of an older version has no fast average */
        s->fast = watch_mean(s) * (1 - tn_power_of(keep_fast, s->watched));
    if (s->watched > 0)
        add_distance(s, fabs(loss - average(s->fast, keep_fast, s->watched)),
                     started || s->watched > FIRST);
    s->mean = keep * s->mean + (1 - keep) * loss;
    s->fast = keep_fast * s->fast + (1 - keep_fast) * loss;
    s->watched++;
    const double m = watch_mean(s);
    if (s->watched <= (started ? 1 : FIRST)) {
        s->low = (s->watched == 1 && !started) || m > s->low ? m : s->low;
        return;
    }
    s->low = m < s->low ? m : s->low;
    const double rise = least_noises * noise_of(s);
    const double bar = s->low + (rise > least_rise ? rise : least_rise);
    s->high = m > bar && loss > bar ? s->high + 1 : 0; /* one bad batch raises m alone */
}

bool watch_fires(const tn_run_state *s)
{
    return s->high >= STEPS || watch_rows_fires(s);
}

double watch_mean(const tn_run_state *s)
{
    return s->watched > 0 ? average(s->mean, keep, s->watched) : (double)NAN;
}
