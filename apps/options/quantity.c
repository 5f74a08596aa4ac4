/* quantity.c - numbers, counts and times as users write them: 1e-3, 8k, 1h30m. */
#include "apps/options/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool read_real(const char *text, double *out)
{
    char *end;
    if (!strchr("+-.0123456789", *text) || strpbrk(text, "xX"))
        return false;
    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out);
}

bool read_count(const char *text, int64_t *out)
{
    const char *s = text + (*text == '-' || *text == '+');
    int64_t n = 0;
    if (*s < '0' || *s > '9')
        return false;
    for (; *s >= '0' && *s <= '9'; s++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n))
            return false;
    const int64_t unit = *s == 'k' ? 1000 : *s == 'M' ? 1000000 : 1;
    if (s[unit > 1] || __builtin_mul_overflow(n, unit, &n))
        return false;
    *out = *text == '-' ? -n : n;
    return true;
}

/* "90s", "15m", "1h30m", or seconds without a unit. */
bool read_time(const char *text, double *out)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = { { "d", 86400 }, { "h", 3600 }, { "min", 60 }, { "m", 60 }, { "s", 1 } };
    enum { UNITS = sizeof units / sizeof *units };
    double sum = 0;
    if (read_real(text, out))
        return true;
    for (const char *s = text; *s;) {
        char *end;
        const double n = *s >= '0' && *s <= '9' ? strtod(s, &end) : -1;
        int i = 0;
        while (n >= 0 && i < UNITS && strncmp(end, units[i].unit, strlen(units[i].unit)))
            i++;
        if (n < 0 || i == UNITS)
            return false;
        sum += n * units[i].seconds;
        s = end + strlen(units[i].unit);
    }
    *out = sum;
    return *text != 0;
}
