/* axis.c - ranges, ticks and places on an axis. */
#include "apps/chart/axis.h"

#include <math.h>
#include <stdio.h>

/* A picture treats a value beyond this as infinite. */
static const double largest = 1e100;

static double log10_of(double v)
{
    return tn_log_of(v) / tn_log_of(10);
}

static double power10(int k)
{
    return k < 0 ? 1 / tn_power_of(10, -k) : tn_power_of(10, k);
}

/* The smallest of 1, 2, 5 times a power of ten that is at least v > 0. */
static double round_up(double v)
{
    double unit = power10((int)floor(log10_of(v)));
    static const double step[] = { 1, 2, 5, 10 };
    for (int i = 0; i < 4; i++)
        if (step[i] * unit >= v * (1 - 1e-9))
            return step[i] * unit;
    return 20 * unit;
}

static void linear_ticks(axis *a, double step)
{
    double first = ceil(a->low / step - 1e-9);
    a->ticks = 0;
    for (int i = 0; i < AXIS_TICKS && (first + i) * step <= a->high + 1e-9 * step; i++)
        a->tick[a->ticks++] = (first + i) * step + 0.0; /* + 0.0: no minus zero */
}

/* Ticks at the factors times every `stride`-th power of ten; returns how many there would be. */
static int log_ticks(axis *a, const double *factor, int factors, int stride, int most)
{
    int n = 0, from = (int)floor(log10_of(a->low)), to = (int)ceil(log10_of(a->high));
    for (int k = from; k <= to; k++)
        for (int f = 0; f < factors && k % stride == 0; f++) {
            double v = factor[f] * power10(k);
            if (v < a->low * (1 - 1e-9) || v > a->high * (1 + 1e-9))
                continue;
            if (n < most)
                a->tick[n] = v;
            n++;
        }
    a->ticks = n < most ? n : most;
    return n;
}

axis axis_new(double low, double high, bool log, int most)
{
    if (!(high - low > 1e-12 * fabs(low))) {
        double room = low != 0 ? 0.1 * fabs(low) : 1;
        high = low + room;
        low = low - room;
    }
    axis a = { .low = low, .high = high, .log = log };
    static const double factor[] = { 1, 2, 5 };
    if (!log || log_ticks(&a, factor, 3, 1, most) < 2)
        linear_ticks(&a, round_up((high - low) / (most - 1)));
    else if (log_ticks(&a, factor, 3, 1, most) > most)
        for (int stride = 1; log_ticks(&a, factor, 1, stride, most) > most;)
            stride++;
    return a;
}

static bool shows(double v, bool log, const double range[2])
{
    return fabs(v) < largest && (!log || v > 1 / largest) &&
           (!(range[0] < range[1]) || (v >= range[0] && v <= range[1]));
}

bool axis_shows(const chart *c, const curve *k, int64_t i)
{
    return shows(k->x[i], c->log_x, c->x_range) && shows(k->y[i], c->log_y, c->y_range);
}

/* Widens the ranges of x and y to all points of a curve that are shown. */
static void widen(const chart *c, const curve *k, double low[2], double high[2])
{
    for (int64_t i = 0; i < k->n; i++) {
        double v[2] = { k->x[i], k->y[i] };
        for (int d = 0; d < 2 && axis_shows(c, k, i); d++) {
            low[d] = v[d] < low[d] ? v[d] : low[d];
            high[d] = v[d] > high[d] ? v[d] : high[d];
        }
    }
}

void axis_pair(const chart *c, int most_x, int most_y, axis *x, axis *y)
{
    double low[2] = { INFINITY, INFINITY }, high[2] = { -INFINITY, -INFINITY };
    for (int j = 0; j < c->count; j++)
        widen(c, &c->curves[j], low, high);
    for (int j = 0; j < c->contour_count; j++)
        widen(c, &c->contours[j], low, high);
    if (low[0] > high[0]) { /* nothing to show */
        low[0] = c->log_x ? 0.1 : 0, high[0] = 1;
        low[1] = c->log_y ? 0.1 : 0, high[1] = 1;
    }
    *x = axis_new(low[0], high[0], c->log_x, most_x);
    *y = axis_new(low[1], high[1], c->log_y, most_y);
    if (!c->log_y && y->ticks > 1) {
        double step = y->tick[1] - y->tick[0];
        y->low = step * floor(y->low / step + 1e-9);
        y->high = step * ceil(y->high / step - 1e-9);
        linear_ticks(y, step);
    }
}

double axis_place(const axis *a, double v)
{
    double at = a->log ? tn_log_of(v / a->low) / tn_log_of(a->high / a->low)
                       : (v - a->low) / (a->high - a->low);
    return at < 0 ? 0 : at > 1 ? 1 : at;
}

void axis_label(const axis *a, int i, char out[AXIS_LABEL])
{
    double v = a->tick[i], step = a->ticks > 1 ? a->tick[1] - a->tick[0] : fabs(v);
    int decimals = step > 0 && step < 1 ? (int)ceil(-log10_of(step) - 1e-9) : 0;
    if (fabs(v) >= 1e6 || decimals > 5 || (v != 0 && fabs(v) < 1e-4)) {
        snprintf(out, AXIS_LABEL, "%.4g", v);
        return;
    }
    int n = snprintf(out, AXIS_LABEL, "%.*f", decimals, v);
    while (decimals-- > 0 && out[n - 1] == '0')
        out[--n] = 0;
    if (n > 0 && out[n - 1] == '.')
        out[n - 1] = 0;
}

double average_next(average *a, double y)
{
    a->sum = a->keep * a->sum + (1 - a->keep) * y;
    a->weight = a->keep * a->weight + (1 - a->keep);
    return a->sum / a->weight;
}
