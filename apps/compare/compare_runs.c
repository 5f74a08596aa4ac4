/* compare_runs.c - writes a run as a line of runs.jsonl, and reads it back. */
#include "apps/compare/compare.h"
#include "apps/report/show.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The members of a line after the name of the run. A member that is not known is left out. */
typedef struct field {
    const char *key;
    enum { EXACT, TIME, COUNTED, HASH } kind; /* EXACT: all bits are kept */
    size_t offset;
} field;

static const field fields[] = {
    { "untrained_loss", EXACT, offsetof(cell, untrained) },
    { "valid_loss", EXACT, offsetof(cell, valid.loss) },
    { "valid_stderr", EXACT, offsetof(cell, valid.error) },
    { "test_loss", EXACT, offsetof(cell, test.loss) },
    { "test_stderr", EXACT, offsetof(cell, test.error) },
    { "test_exact", COUNTED, offsetof(cell, test.exact) },
    { "test_rows", COUNTED, offsetof(cell, test.rows) },
    { "train_loss", EXACT, offsetof(cell, train) },
    { "seconds_per_step", TIME, offsetof(cell, seconds) },
    { "update_seconds", TIME, offsetof(cell, update) },
    { "state_bytes", COUNTED, offsetof(cell, state) },
    { "diverged_at", COUNTED, offsetof(cell, diverged) },
    { "start", HASH, offsetof(cell, start) },
    { "batches", HASH, offsetof(cell, batches) },
};
enum { FIELDS = sizeof fields / sizeof *fields };

cell new_cell(int optimizer, double lr, int64_t seed)
{
    const double none = (double)NAN;
    const tn_eval nothing = { .loss = none, .error = none, .rows = -1, .exact = -1 };
    return (cell){ .optimizer = optimizer,
                   .lr = lr,
                   .seed = seed,
                   .diverged = -1,
                   .untrained = none,
                   .train = none,
                   .valid = nothing,
                   .test = nothing,
                   .seconds = none,
                   .update = none,
                   .state = -1 };
}

void cell_name(const study *y, const cell *c, tn_text *out)
{
    char lr[SHOWN];
    tn_text_add(out, "{\"optimizer\":\"%s\",\"learning_rate\":%s,\"seed\":%lld",
                y->names[c->optimizer], show_real(c->lr, lr), (long long)c->seed);
}

static void write_field(const field *f, const cell *c, tn_text *out)
{
    char number[SHOWN];
    const void *at = (const char *)c + f->offset;
    const double real = f->kind <= TIME ? *(const double *)at : 0;
    const int64_t count = f->kind == COUNTED ? *(const int64_t *)at : 0;
    if (f->kind == EXACT && isfinite(real))
        tn_text_add(out, ",\"%s\":%s", f->key, show_real(real, number));
    if (f->kind == TIME && isfinite(real))
        tn_text_add(out, ",\"%s\":%.4g", f->key, real);
    if (f->kind == COUNTED && count >= 0)
        tn_text_add(out, ",\"%s\":%lld", f->key, (long long)count);
    if (f->kind == HASH)
        tn_text_add(out, ",\"%s\":\"%016llx\"", f->key, (unsigned long long)*(const uint64_t *)at);
}

void cell_write(const study *y, const cell *c, tn_text *out)
{
    cell_name(y, c, out);
    for (int i = 0; i < FIELDS; i++)
        write_field(&fields[i], c, out);
    tn_text_add(out, "}\n");
}

static void read_field(const field *f, const tn_json *root, cell *c, tn_error *e)
{
    void *at = (char *)c + f->offset;
    const char *text = "";
    if (f->kind <= TIME)
        tn_json_get_real(root, f->key, at, e);
    if (f->kind == COUNTED)
        tn_json_get_int(root, f->key, at, e);
    if (f->kind == HASH) {
        tn_json_get_string(root, f->key, &text, e);
        *(uint64_t *)at = strtoull(text, NULL, 16);
    }
}

/* Is it what cell_write makes of a finished run of this study? */
static bool is_finished(const study *y, const cell *c)
{
    const bool tested = !isnan(c->test.loss), diverged = c->diverged > 0;
    return c->optimizer >= 0 && c->seed >= y->o->seed && c->seed - y->o->seed < y->o->seeds &&
           c->diverged >= 0 && isnan(c->valid.loss) == diverged && !(diverged && tested) &&
           tested == (c->test.rows > 0) && c->test.exact <= c->test.rows && c->state >= 0;
}

int cell_read(const study *y, const char *line, size_t n, int64_t number, cell *c, tn_error *e)
{
    const char *path = y->paths[0], *name = "";
    const tn_json *root = tn_json_parse(line, n, path, number, e);
    *c = new_cell(-1, 0, -1);
    tn_json_get_string(root, "optimizer", &name, e);
    tn_json_get_real(root, "learning_rate", &c->lr, e);
    tn_json_get_int(root, "seed", &c->seed, e);
    for (int i = 0; i < FIELDS; i++)
        read_field(&fields[i], root, c, e);
    for (int k = 0; k < y->optimizers; k++)
        if (!strcmp(name, y->names[k]))
            c->optimizer = k;
    if (!e->code && !is_finished(y, c))
        tn_fail(e, TN_EFORMAT, "%s:%lld: expected a finished run of this study", path,
                (long long)number);
    c->done = !e->code;
    tn_json_free(root);
    return e->code;
}
