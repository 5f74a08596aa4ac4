/* axis.h - what both drawings of a chart share: where a number lies on an axis, and its ticks.

       axis a = axis_new(0, 250, false, 6);     ticks 0, 50, 100, ... 250
       double x = axis_place(&a, 125);          0.5 */
#ifndef TN_APP_AXIS_H
#define TN_APP_AXIS_H

#include "apps/chart/curves.h"

enum { AXIS_TICKS = 12, AXIS_LABEL = 24 };

typedef struct axis {
    double low, high; /* low < high */
    bool log;
    int ticks;
    double tick[AXIS_TICKS]; /* ascending, within [low, high] */
} axis;

/* An axis over [low, high], with at most `most` ticks (3..AXIS_TICKS - 2) at 1, 2 or 5 times a
   power of ten. A log axis needs low > 0. An empty range is widened. */
axis axis_new(double low, double high, bool log, int most);
/* The axes of a chart; the y axis of a linear chart ends at ticks. */
void axis_pair(const chart *c, int most_x, int most_y, axis *x, axis *y);
double axis_place(const axis *a, double v); /* 0 at low or below, 1 at high or above */
/* Tick i, with as many decimals as its neighbours need. */
void axis_label(const axis *a, int i, char out[AXIS_LABEL]);
/* Can point i be drawn? It must be finite, not huge, and positive on a log axis. */
bool axis_shows(const chart *c, const curve *k, int64_t i);

/* Running average of a curve, weighted by powers of `keep`, without a bias towards zero. */
typedef struct average {
    double keep, sum, weight;
} average;
double average_next(average *a, double y);

#endif
