/* find_rate.c - the range test of the learning rate, and what it recommends. */
#include "apps/run/find_rate.h"
#include "apps/run/defaults.h"
#include "apps/report/columns.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* The test ends when the smoothed loss is so many times the lowest one: what follows is worse. */
static const double ends_at = 2;
static const double keep = 0.9; /* share of itself that the smoothed loss keeps at a step */
static const double safety = 3; /* the lowest loss belongs to rates that were smaller before */

double find_rate_range(double middle, tn_schedule *s)
{
    *s = (tn_schedule){ .kind = TN_EXPONENTIAL, .steps = s->steps, .min = 30 * middle };
    return middle / 30;
}

bool find_rate_add(rate_found *f, double rate, double loss)
{
    f->smooth.keep = keep;
    const double l = average_next(&f->smooth, loss);
    if (f->best <= 0 || l < f->lowest) {
        f->lowest = l;
        f->best = rate / safety;
    }
    return l <= ends_at * f->lowest;
}

/* Runs the steps. Returns how many rates have a loss. A step that is refused because a number is
   not finite ends the test, too: the rate is too large, and that is no error. */
static int64_t go(run *r, double *rate, double *loss, rate_found *f, tn_error *e)
{
    int64_t n = 0;
    run_event event;
    bool goes_on = true;
    while (goes_on && n < r->steps && !run_step(r, &event, e)) {
        rate[n] = event.lr;
        loss[n++] = event.loss;
        goes_on = find_rate_add(f, event.lr, event.loss);
    }
    if (e->code == TN_ENONFINITE && n > 0)
        *e = (tn_error){ 0 };
    return n;
}

static void draw(const double *rate, const double *loss, int64_t n, const char *color, tn_error *e)
{
    tn_text out = { 0 };
    const curve k = { "loss", rate, loss, n };
    const chart c = { .title = "loss while the rate rises",
                      .x = "rate",
                      .curves = &k,
                      .count = 1,
                      .log_x = true,
                      .columns = (int)columns_to_fit(),
                      .smooth = keep };
    curves_text(&c, curves_style_asked(STDOUT_FILENO, color), &out);
    show_text(&out, "the chart", e);
}

/* A DPO loss still falls where the chosen answers become unlikely, only less so than the rejected
   ones. So its lowest point says less, and the rate is the share of it that the default takes. */
static void show_advice(const run *r, const rate_found *f, bool falls)
{
    const double share = default_share(r->s);
    if (share < 1)
        lines_show("begin with --learning-rate %.1e, 1/%g of that: DPO's loss falls even where the "
                   "chosen answers become unlikely; nothing was written\n",
                   f->best * share, safety / share);
    else
        lines_show("begin with --learning-rate %.1e, a third of that%s; nothing was written\n",
                   f->best, falls ? " or more: the loss still falls" : "");
}

int find_rate(run *r, tn_error *e)
{
    if (e->code)
        return e->code;
    rate_found f = { 0 };
    double *rate = calloc((size_t)r->steps, sizeof *rate);
    double *loss = calloc((size_t)r->steps, sizeof *loss);
    const int64_t n = rate && loss ? go(r, rate, loss, &f, e) : 0;
    if (!rate || !loss)
        tn_fail(e, TN_ENOMEM, "the range test: out of memory");
    if (!e->code) {
        draw(rate, loss, n, r->o->color, e);
        lines_show(
            "lowest     smoothed loss %.4f at the rate %.2g, after %lld steps from %.2g to %.2g\n",
            f.lowest, f.best * safety, (long long)n, rate[0], rate[n - 1]);
        show_advice(r, &f, n == r->steps && f.best * safety > 0.9 * rate[n - 1]);
    }
    free(rate);
    free(loss);
    return e->code;
}
