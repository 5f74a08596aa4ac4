/* compare_choice.c - the results of a rate over its seeds, and the choice of the best rate. */
#include "apps/compare/compare.h"

#include <math.h>

summary study_summary(const study *y, int optimizer, double lr)
{
    summary s = { 0 };
    double squares = 0, rows = 0;
    for (int64_t i = 0; i < y->count; i++) {
        const cell *c = &y->cells[i];
        if (c->optimizer != optimizer || c->lr != lr || !c->done)
            continue;
        s.runs++;
        s.diverged += c->diverged > 0;
        s.valid += c->valid.loss;
        squares += c->valid.loss * c->valid.loss;
        rows += c->valid.error;
        s.test += c->test.loss;
        s.exact += c->test.exact < 0 ? (double)NAN : (double)c->test.exact / (double)c->test.rows;
        s.seconds += c->seconds;
        s.update += c->update;
        s.state = c->state;
    }
    const double n = (double)s.runs;
    s.valid /= n;
    s.spread = s.runs > 1 ? sqrt(fmax(squares - n * s.valid * s.valid, 0) / (n - 1)) : rows;
    s.test /= n;
    s.exact /= n;
    s.seconds /= n;
    s.update /= n;
    if (s.diverged || s.runs < y->o->seeds)
        s.valid = (double)INFINITY;
    return s;
}

double study_choice(const study *y, int optimizer)
{
    double rates[MOST_RATES], best = 0, least = (double)INFINITY;
    const int n = study_rates(y, optimizer, rates);
    for (int i = 0; i < n; i++) {
        const double loss = study_summary(y, optimizer, rates[i]).valid;
        if (loss < least || i == 0) {
            least = loss;
            best = rates[i];
        }
    }
    return best;
}

double study_untrained(const study *y)
{
    double sum = 0;
    for (int64_t s = 0; s < y->o->seeds; s++) {
        const cell *found = NULL;
        for (int64_t i = 0; i < y->count && !found; i++)
            if (y->cells[i].done && y->cells[i].seed == y->o->seed + s)
                found = &y->cells[i];
        sum += found ? found->untrained : (double)NAN;
    }
    return sum / (double)y->o->seeds;
}

bool study_settled(const study *y, int optimizer)
{
    for (int64_t i = 0; i < y->count; i++)
        if (y->cells[i].optimizer == optimizer && !y->cells[i].done)
            return false;
    return study_place(y, optimizer).next == 0;
}

double study_chosen(const study *y, int optimizer)
{
    const double lr = study_choice(y, optimizer);
    return study_settled(y, optimizer) && isfinite(study_summary(y, optimizer, lr).valid) ? lr : 0;
}
