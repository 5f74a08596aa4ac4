/* need.c - the memory that work on a model takes. */
#include "apps/run/need.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"
#include "nn/family.h"

#include <math.h>
#include <stdio.h>

static double weight_bytes(const tn_params *p, bool trained)
{
    double bytes = 0;
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        const tn_tensor *w = tn_params_at(p, i)->w;
        bytes += !trained || w->wants_grad ? (double)tn_tensor_bytes(w) : 0;
    }
    return bytes;
}

need need_of_training(const tn_model *m, size_t state, int64_t rows, int64_t width)
{
    const bool all = tn_params_trained(m->params) == tn_params_size(m->params);
    return (need){ .weights = weight_bytes(m->params, false),
                   .gradients = (double)tn_params_trained(m->params) * (double)sizeof(tn_real),
                   .state = (double)state,
                   .activations = tn_model_activations(m, rows, width, true),
                   .adapters = all ? 0 : weight_bytes(m->params, true),
                   .backward = tn_model_backward(m, rows, width),
                   .scratch = tn_model_scratch(m, rows, width, true),
                   .rows = rows,
                   .width = width };
}

need need_of_evaluation(const tn_model *m, int64_t rows, int64_t width)
{
    return (need){ .weights = weight_bytes(m->params, false),
                   .activations = tn_model_activations(m, rows, width, false),
                   .scratch = tn_model_scratch(m, rows, width, false),
                   .rows = rows,
                   .width = width };
}

need need_of_merging(const tn_model *m, int64_t width)
{
    need n = need_of_evaluation(m, 1, width);
    tn_target t;
    for (int64_t i = 0; m->family->target(m, i, &t); i++)
        if (!t.columns && t.layer->lora)
            n.weights += (double)tn_tensor_count(t.layer->w) * (double)sizeof(tn_real);
    return n;
}

static double total(const need *n)
{
    return n->weights + n->gradients + n->sum + n->state + n->activations;
}

bool need_types(const tn_params *p, char *out)
{
    char shown[SHOWN];
    int at = 0;
    bool other = false;
    out[0] = 0;
    for (int type = TN_DTYPES; type-- > 0;) { /* TN_REAL, the first type, comes last */
        double bytes = 0;
        for (int64_t i = 0; i < tn_params_count(p); i++) {
            const tn_tensor *w = tn_params_at(p, i)->w;
            bytes += (int)w->dtype == type && !w->wants_grad ? (double)tn_tensor_bytes(w) : 0;
        }
        other = other || (type != TN_REAL && bytes > 0);
        if (bytes > 0 && at < NEED_SHOWN)
            at += snprintf(out + at, (size_t)(NEED_SHOWN - at), "%s%s %s", at ? " + " : "",
                           type != TN_REAL                    ? tn_dtype_name((tn_dtype)type)
                           : sizeof(tn_real) == sizeof(float) ? "f32"
                                                              : "f64",
                           show_bytes(bytes, shown));
    }
    return other;
}

char *need_show(const need *n, char *out)
{
    const struct {
        const char *name;
        double bytes;
    } parts[] = {
        { "weights", n->weights },
        { "gradients", n->gradients + n->sum },
        { "optimizer", n->state },
        { "activations", n->activations },
    };
    char bytes[SHOWN];
    int at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].bytes > 0)
            at += snprintf(out + at, (size_t)(NEED_SHOWN - at), "%s%s %s", at ? " + " : "",
                           parts[i].name, show_bytes(parts[i].bytes, bytes));
    snprintf(out + at, (size_t)(NEED_SHOWN - at), " = %s", show_bytes(total(n), bytes));
    return out;
}

double need_all(const need *n)
{
    return total(n) + n->update + n->backward + n->scratch + n->evaluation;
}

static double rest_of_page(double bytes, double page)
{
    return page > 0 ? ceil(bytes / page) * page - bytes : 0;
}

double need_rounding(const need *n, const tn_model *m, double page)
{
    const int tapes = m->recompute ? 2 : 1;
    return tapes * (rest_of_page(n->activations, page) + rest_of_page(n->scratch, page));
}

void need_print(const need *n, const tn_model *m, double others)
{
    char note[NEED_SHOWN], batch[80], bytes[SHOWN], room[SHOWN];
    need_types(m->params, note);
    snprintf(batch, sizeof batch, "a batch of %lld row%s of %lld tokens%s", (long long)n->rows,
             show_s(n->rows), (long long)n->width, m->recompute ? ", a block at a time" : "");
    const struct {
        const char *name;
        double bytes;
        const char *note;
    } rows[] = {
        { "weights", n->weights - n->adapters - n->reference, note },
        { "adapters", n->adapters, "" },
        { "reference", n->reference, "of DPO: a copy of what is trained" },
        { "gradients", n->gradients, "" },
        { "sum", n->sum, "of the gradients of a step's batches" },
        { "optimizer", n->state + n->update, "state, and scratch of its step" },
        { "activations", n->activations, batch },
        { "backward", n->backward, "gradients of activations" },
        { "logits", n->scratch, "and other scratch: a part of the rows at a time" },
        { "evaluation", n->evaluation, "more than a step takes" },
        { "program", others, "with tokenizer, data and the ends of large pages" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].bytes > 0)
            lines_show("%-10s %-12s %9s%s%s\n", i ? "" : "memory", rows[i].name,
                       show_bytes(rows[i].bytes, bytes), *rows[i].note ? "  " : "", rows[i].note);
    lines_show("%-10s %-12s %9s  of %s that are available\n", "", "all",
               show_bytes(need_all(n) + others, bytes), show_bytes((double)tn_memory_room(), room));
}

bool need_fits(const need *n)
{
    return total(n) <= (double)tn_memory_room();
}

int need_check(const need *n, const char *what, tn_error *e)
{
    char parts[NEED_SHOWN], room[SHOWN];
    const double most = (double)tn_memory_room();
    if (e->code || need_fits(n))
        return e->code;
    return tn_fail(e, TN_ENOMEM,
                   "%s does not fit into memory: %s or more, with batches of %lld rows of "
                   "%lld tokens; expected at most the %s that are available",
                   what, need_show(n, parts), (long long)n->rows, (long long)n->width,
                   show_bytes(most, room));
}

int64_t need_width(const tn_dataset *d, int64_t length, int64_t rows)
{
    const tn_data_facts f = tn_dataset_facts(d);
    int64_t longest = 1, prompt;
    if (f.text)
        return f.tokens < length ? f.tokens : length;
    for (int64_t i = 0; i < f.records && i < rows; i++) {
        const int64_t ids = tn_dataset_record(d, i, &prompt), first = tn_dataset_second(d, i);
        const int64_t n = (first > ids - first ? first : ids - first) - 1; /* inputs end before the
                                                                           last token */
        longest = n > longest ? n : longest;
    }
    return longest < length ? longest : length;
}
