/* groups.c - gives weights of some names settings of their own, and tells the settings of a weight. */
#include "optim/run/optimizer.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int tn_groups_find(const tn_group *groups, const char *name)
{
    for (int g = 0; groups && groups[g].pattern; g++)
        if (!fnmatch(groups[g].pattern, name, 0))
            return g;
    return -1;
}

/* How many units of the group the optimizer steps itself, or leaves over. */
static int64_t units_of(const tn_optim *o, int group, bool left_over)
{
    int64_t units = 0;
    for (int64_t i = 0; i < o->count; i++)
        units += o->members[i].group == group && o->members[i].left_over == left_over;
    return units;
}

/* Is the weight decay of def among these settings? */
static bool sets_decay(const tn_optim_def *def, const char *const *set)
{
    const size_t length = def->decay ? strlen(def->decay) : 0;
    bool sets = false;
    for (const char *const *s = set; length && s && *s; s++)
        sets = sets || (!strncmp(*s, def->decay, length) && (*s)[length] == '=');
    return sets;
}

/* The settings of a group for the units that this definition steps. */
static void fill(tn_optim *o, const tn_group *group, int g, bool left_over, tn_error *e)
{
    const tn_optim_def *def = NULL;
    double *h = o->groups[g][left_over];
    for (int64_t i = 0; i < o->count; i++)
        if (o->members[i].group == g && o->members[i].left_over == left_over)
            def = o->members[i].def;
    tn_error inner = { 0 };
    memcpy(h, left_over ? o->fallback : o->hyper, sizeof o->hyper);
    if (def && tn_settings_change(def, group->set, h, &inner))
        tn_fail(e, inner.code, "group \"%s\": %s", group->pattern, inner.text);
    for (int64_t i = 0; def && i < o->count; i++) {
        tn_member *m = &o->members[i];
        if (m->group != g || m->left_over != left_over)
            continue;
        m->unit.h = h;
        for (int k = 0; k < m->unit.factors; k++)
            m->unit.f[k].decays = m->unit.f[k].decays || sets_decay(def, group->set);
    }
}

int tn_groups_fill(tn_optim *o, const tn_group *groups, tn_error *e)
{
    int count = 0;
    while (groups && groups[count].pattern)
        count++;
    o->groups = calloc((size_t)count + 1, sizeof *o->groups);
    if (!o->groups)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", o->def->name);
    for (int g = 0; g < count && !e->code; g++) {
        if (!units_of(o, g, false) && !units_of(o, g, true))
            tn_fail(e, TN_EARG,
                    "group \"%s\" gets no weight; expected the pattern of a trained weight that no "
                    "group before it matches",
                    groups[g].pattern);
        fill(o, &groups[g], g, false, e);
        fill(o, &groups[g], g, true, e);
    }
    return e->code;
}

/* ---- what a weight has ---- */

static const tn_member *member_of(const tn_optim *o, const char *weight)
{
    for (int64_t i = 0; i < o->count; i++)
        for (int k = 0; k < o->members[i].unit.factors; k++)
            if (!strcmp(o->members[i].unit.f[k].name, weight))
                return &o->members[i];
    return NULL;
}

double tn_optim_hyper_of(const tn_optim *o, const char *weight, const char *name)
{
    const tn_member *m = o && weight && name ? member_of(o, weight) : NULL;
    const int i = m ? tn_settings_find(m->def, name, strlen(name)) : -1;
    return i < 0 ? NAN : m->unit.h[i];
}

static uint64_t hash_text(const char *text, uint64_t start)
{
    return tn_hash64(text, strlen(text) + 1, start);
}

/* A sum, so that the order of the weights does not count. */
uint64_t tn_optim_hash(const tn_optim *o)
{
    if (!o)
        return 0;
    const tn_schedule *s = &o->schedule;
    const int64_t counts[] = { s->kind, s->steps, s->warmup, s->decay };
    const double reals[] = { s->min, o->max_norm };
    uint64_t hash = hash_text(o->def->name, 0);
    hash = tn_hash64(counts, sizeof counts, hash);
    hash = tn_hash64(reals, sizeof reals, hash);
    for (int64_t i = 0; i < o->count; i++) {
        const tn_member *m = &o->members[i];
        for (int k = 0; k < m->unit.factors; k++) {
            const tn_factor *f = &m->unit.f[k];
            uint64_t h = tn_hash64(&f->decays, sizeof f->decays, 0);
            h = hash_text(f->name, hash_text(m->def->name, h));
            hash += tn_hash64(m->unit.h, TN_SETTINGS * sizeof *m->unit.h, h);
        }
    }
    return hash;
}
