/* schedule.c - the learning rate of step k = 1 .. steps.
   In a warm-up of w steps the rate rises to the full rate at k = w. No step has rate 0. After the
   warm-up the schedules are those of Transformers' get_scheduler at its step k - 1. So step w + 1
   has the full rate, too. */
#include "optim/run/optimizer.h"

#include <math.h>
#include <string.h>

static double between(double from, double to, double share)
{
    return from + (to - from) * (share < 0 ? 0 : share > 1 ? 1 : share);
}

double tn_schedule_rate(const tn_schedule *s, double lr, int64_t k)
{
    if (!s)
        return 0;
    k = k < 1 ? 1 : k;
    if (k <= s->warmup)
        return lr * (double)k / (double)s->warmup;
    int64_t done = k - 1 - s->warmup, all = s->steps - s->warmup; /* steps after the warm-up */
    int64_t falling;
    double share = all > 0 ? (double)done / (double)all : 1;
    share = share > 1 ? 1 : share;
    double scale = s->warmup > 0 ? (double)s->warmup : 10000; /* Transformers' default */
    switch (s->kind) {
    case TN_LINEAR: return between(lr, s->min, share);
    case TN_COSINE: return between(s->min, lr, 0.5 * (1 + tn_cos_of(3.141592653589793 * share)));
    case TN_WSD:
        falling = k - 1 - (s->steps - s->decay);
        return s->decay > 0 ? between(lr, s->min, (double)falling / (double)s->decay) : lr;
    case TN_EXPONENTIAL: return lr * tn_exp_of(share * tn_log_of(s->min / lr));
    case TN_INVERSE_SQRT: return lr / sqrt(((double)done + scale) / scale);
    default: return lr;
    }
}

bool tn_schedule_falls(const tn_schedule *s)
{
    return s && (s->kind == TN_LINEAR || s->kind == TN_COSINE || s->kind == TN_WSD ||
                 s->kind == TN_EXPONENTIAL);
}

int tn_schedule_check(const tn_schedule *s, tn_error *e)
{
    const bool falls = tn_schedule_falls(s), ratio = s->kind == TN_EXPONENTIAL;
    if ((int)s->kind < 0 || s->kind > TN_EXPONENTIAL)
        return tn_fail(e, TN_EARG, "schedule: kind %d; expected a tn_schedule_kind", (int)s->kind);
    if (s->steps < 0 || (falls && s->steps < 1))
        return tn_fail(e, TN_EARG, "schedule: %lld steps; expected %s", (long long)s->steps,
                       falls ? "at least 1, the steps of the run" : "0 or more");
    if (s->warmup < 0)
        return tn_fail(e, TN_EARG, "schedule: a warm-up of %lld steps; expected 0 or more",
                       (long long)s->warmup);
    if (falls && (!isfinite(s->min) || s->min < 0 || (ratio && s->min <= 0)))
        return tn_fail(e, TN_EARG, "schedule: a rate of %g at the end; expected %s", s->min,
                       ratio ? "more than 0" : "0 or more");
    if (s->kind == TN_WSD && (s->decay < 0 || s->decay > s->steps))
        return tn_fail(e, TN_EARG,
                       "schedule: the last %lld steps fall; expected 0 to %lld, all steps",
                       (long long)s->decay, (long long)s->steps);
    return TN_OK;
}

int tn_schedule_find(const char *name)
{
    static const char *const names[] = {
        [TN_CONSTANT] = "constant",
        [TN_LINEAR] = "linear",
        [TN_COSINE] = "cosine",
        [TN_WSD] = "wsd",
        [TN_INVERSE_SQRT] = "inverse-sqrt",
        [TN_EXPONENTIAL] = "exponential",
    };
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return (int)i;
    return -1;
}
