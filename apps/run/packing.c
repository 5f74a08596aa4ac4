/* packing.c - decides whether the records of a batch lie side by side (packing.h). */
#include "apps/run/packing.h"
#include "apps/report/lines.h"

static const double WORTH_IT = 0.1; /* share of padding above which records are packed */

tn_loader *packing_loader(const tn_dataset *d, const tn_loader_options *how, const options *o,
                          packing *out, tn_error *e)
{
    tn_loader_options made = *how;
    *out = (packing){ 0 };
    tn_loader *l = tn_loader_new(d, &made, e);
    if (!l || tn_dataset_facts(d).text) /* its windows are full: there is no padding */
        return l;
    const tn_loader_sums s = tn_loader_sum(l, INT64_MAX);
    if (s.padded > 0)
        out->padding = 1 - (double)s.tokens / (double)s.padded;
    out->on = o->given[OPT_packing] ? o->packing : out->padding > WORTH_IT;
    if (!out->on)
        return l;
    tn_loader_free(l);
    made.packing = true;
    return tn_loader_new(d, &made, e);
}

void packing_show(const packing *p)
{
    if (p->on)
        lines_show("packing    on: without it %.1f %% of the tokens computed would be padding\n",
                   100 * p->padding);
    else
        lines_show("packing    off: %.1f %% of the tokens computed are padding\n",
                   100 * p->padding);
}
