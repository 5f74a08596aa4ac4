/* source.c - makes weights from the tensors of a source: borrowed, or converted. */
#include "nn/source.h"
#include "core/op.h"
#include "core/tape.h"
#include "data/formats/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANGE = 1 << 18, PIECE = 512 }; /* numbers of a task; numbers in a buffer on the stack */

int tn_source_start(tn_source *s, tn_error *e)
{
    s->users = 1;
    s->used = calloc((size_t)s->count + 1, sizeof *s->used);
    return s->used ? e->code : tn_fail(e, TN_ENOMEM, "out of memory for the model");
}

static void hold(tn_source *s)
{
    __atomic_add_fetch(&s->users, 1, __ATOMIC_RELAXED);
}

void tn_source_drop(tn_source *s)
{
    if (!s || __atomic_sub_fetch(&s->users, 1, __ATOMIC_ACQ_REL))
        return;
    free(s->used);
    free(s->first);
    s->free(s);
}

/* Looks a weight up, and remembers that its tensor is used. */
static bool find(tn_source *s, const char *name, tn_stored *out)
{
    bool found = s->find(s, name, out);
    if (!found && s->embedding && s->head && !strcmp(name, s->embedding))
        found = s->find(s, s->head, out);
    if (found)
        s->used[out->index] = true;
    return found;
}

/* ---- values ---- */

typedef struct filling { /* of one weight, on all threads */
    const tn_source *s;
    const tn_stored *t;
    tn_tensor *w;
    bool borrows;      /* the numbers are only looked at */
    tn_file_type type; /* of the weight */
    int failed;
} filling;

/* The file type of a type that weights are converted to. */
static tn_file_type converted(tn_dtype type)
{
    switch (type) {
    case TN_BF16: return TN_FILE_BF16;
    case TN_Q8_0: return TN_FILE_Q8_0;
    case TN_Q4_0: return TN_FILE_Q4_0;
    default: return tn_file_real();
    }
}

/* Looks for numbers that the weight cannot hold, and writes its bytes. */
static void fill_range(void *arg, int64_t from, int64_t to, int thread)
{
    (void)thread;
    filling *f = arg;
    tn_real piece[PIECE];
    tn_error e = { 0 };
    const double most = tn_file_type_most(f->type);
    int outside = 0;
    char *bytes = (char *)f->w->data + tn_dtype_bytes(f->w->dtype, from);
    if (f->borrows && tn_all_finite(f->w->dtype, bytes, to - from))
        return;
    for (int64_t n; from < to; from += n) {
        n = to - from < PIECE ? to - from : PIECE;
        tn_real *x = !f->borrows && f->w->dtype == TN_REAL ? f->w->x + from : piece;
        outside |= f->s->read(f->s, f->t, from, n, x, &e) != 0;
        for (int64_t i = 0; i < n; i++)
            outside |= !(fabs((double)x[i]) <= most);
        if (!f->borrows && f->w->dtype != TN_REAL)
            tn_to_file_type(f->type, x, n, (char *)f->w->data + tn_dtype_bytes(f->w->dtype, from));
    }
    if (outside)
        __atomic_store_n(&f->failed, 1, __ATOMIC_RELAXED);
}

/* Finds the first number that the weight cannot hold. */
static int refuse_number(const filling *f, int64_t count, tn_error *e)
{
    tn_real piece[PIECE];
    char expected[64] = "expected finite numbers";
    const double most = tn_file_type_most(f->type);
    if (f->type != tn_file_real())
        snprintf(expected, sizeof expected, "expected at most %g for %s", most,
                 tn_file_type_name(f->type));
    for (int64_t from = 0, n; from < count && !e->code; from += n) {
        n = count - from < PIECE ? count - from : PIECE;
        if (f->s->read(f->s, f->t, from, n, piece, e))
            break;
        int64_t i = 0;
        while (i < n && fabs((double)piece[i]) <= most)
            i++;
        if (i < n)
            tn_fail(e, TN_ENONFINITE, "%s: tensor \"%s\" holds %g at element %lld; %s", f->t->path,
                    f->t->name, (double)piece[i], (long long)(from + i), expected);
    }
    return e->code;
}

/* Fills w, or, if it borrows the bytes, only checks that they are finite numbers. */
static int fill(tn_context *c, const tn_source *s, const tn_stored *t, tn_tensor *w, bool borrows,
                tn_error *e)
{
    const int64_t n = tn_tensor_count(w);
    filling f = { .s = s, .t = t, .w = w, .borrows = borrows };
    f.type = converted(borrows ? TN_REAL : w->dtype);
    if (tn_parallel_ranges(c, n, RANGE, fill_range, &f))
        return tn_fail(e, TN_ESTATE, "%s: the context runs on another thread", t->path);
    return f.failed ? refuse_number(&f, n, e) : e->code;
}

/* ---- a weight ---- */

static void release(void *arg)
{
    tn_source_drop(arg);
}

/* The type that the weight has in memory. */
static tn_dtype type_of(const tn_reading *r, const tn_stored *t, bool typed)
{
    if (!r->frozen || !typed)
        return TN_REAL;
    return r->converts ? r->type : t->type < TN_DTYPES ? t->type : TN_REAL;
}

/* What is wrong with a tensor for a weight of this shape? */
static void check_tensor(const tn_source *s, const tn_stored *t, int ndim, const int64_t dim[],
                         tn_error *e)
{
    char found[256], expected[256];
    bool same = t->ndim == ndim;
    for (int i = 0; i < ndim && same; i++)
        same = t->dim[i] == dim[i];
    if (same) {
        s->read(s, t, 0, 0, NULL, e);
        return;
    }
    tn_shape_text(t->ndim, t->dim, found, sizeof found);
    tn_shape_text(ndim, dim, expected, sizeof expected);
    tn_fail(e, TN_ESHAPE, "%s: tensor \"%s\" is %s; expected %s", t->path, t->name, found,
            expected);
}

/* The tensor of the weight, if there is one that fits; *type is the type that it has in memory. The
   first mistake sticks to the source. */
static bool look_up(const tn_reading *r, const char *name, int ndim, const int64_t dim[],
                    bool typed, tn_stored *t, tn_dtype *type)
{
    tn_source *s = r->source;
    tn_error e = { 0 };
    if (!find(s, name, t)) {
        if (!s->missing++)
            s->first = strdup(name);
        return false;
    }
    check_tensor(s, t, ndim, dim, &e);
    *type = type_of(r, t, typed);
    if (!e.code && !tn_dtype_takes(*type, ndim, dim))
        tn_fail(&e, TN_ESHAPE,
                "%s: tensor \"%s\" has rows of %lld numbers; expected a multiple of %lld for base "
                "type %s",
                t->path, t->name, (long long)dim[ndim - 1], (long long)tn_dtype_block(*type),
                tn_dtype_name(*type));
    if (e.code && !s->error.code)
        s->error = e;
    return !e.code;
}

static tn_tensor *make(tn_context *c, const tn_reading *r, const tn_stored *t, int ndim,
                       const int64_t dim[], tn_dtype type, tn_error *e)
{
    const bool borrows = r->frozen && t->type == type;
    tn_tensor *w = NULL;
    if (borrows) {
        const void *bytes = t->bytes ? t->bytes : r->source->arrange(r->source, t);
        hold(r->source);
        w = tn_tensor_borrow(type, ndim, dim, bytes, t->size, release, r->source);
        if (!w)
            tn_source_drop(r->source);
    } else {
        w = tn_tensor_new(type, ndim, dim, !r->frozen);
    }
    if (w && fill(c, r->source, t, w, borrows, e)) {
        tn_tensor_free(w);
        return NULL;
    }
    if (!borrows || !t->bytes)
        tn_file_pass_bytes(t->entry->bytes, t->entry->size); /* there is a copy now */
    return w;
}

tn_tensor *tn_source_weight(tn_context *c, const tn_reading *r, const char *name, int ndim,
                            const int64_t dim[], bool typed, bool sketch, tn_error *e)
{
    tn_stored t;
    tn_dtype type = TN_REAL;
    const bool found = r->source && look_up(r, name, ndim, dim, typed, &t, &type);
    type = found || !r->source ? type : TN_REAL;
    tn_tensor *w = NULL;
    if (!r->source && sketch && typed && r->frozen && r->converts)
        type = r->type;
    if (!found && !tn_dtype_takes(type, ndim, dim)) {
        tn_fail(e, TN_ESHAPE,
                "%s: rows of %lld numbers; expected a multiple of %lld for base type %s", name,
                (long long)dim[ndim - 1], (long long)tn_dtype_block(type), tn_dtype_name(type));
        return NULL;
    }
    if (sketch)
        w = tn_tensor_sketch(type, ndim, dim, !r->frozen);
    else if (found)
        w = make(c, r, &t, ndim, dim, type, e);
    else
        w = tn_tensor_new(TN_REAL, ndim, dim, !r->frozen);
    if (!w)
        tn_fail(e, TN_ENOMEM, "%s: out of memory for this weight", name);
    return w;
}

/* ---- all of them ---- */

/* Refuses a tensor that is not one of the weights. */
static int refuse_tensor(const tn_source *s, const tn_stored *t, const tn_params *p, tn_error *e)
{
    bool twice = false;
    if (s->ignores(s, t) || (s->head && s->fits(s, t, s->head)))
        return e->code;
    for (int64_t i = 0; i < tn_params_count(p) && !twice; i++)
        twice = s->fits(s, t, tn_params_at(p, i)->name);
    return tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" %s", t->path, t->name,
                   twice ? "is there twice"
                         : "has no place in the model that config.json describes");
}

static int64_t count_of(const tn_stored *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->dim[i];
    return n;
}

/* The files may have a head beside the embedding that it is tied to. It must hold the same. */
static int check_head(const tn_source *s, tn_error *e)
{
    tn_stored t, head;
    tn_real a[PIECE], b[PIECE];
    if (e->code || !s->head || !s->find(s, s->head, &head) || !s->find(s, s->embedding, &t))
        return e->code;
    check_tensor(s, &head, t.ndim, t.dim, e);
    for (int64_t from = 0, n, count = count_of(&t); from < count && !e->code; from += n) {
        n = count - from < PIECE ? count - from : PIECE;
        if (s->read(s, &t, from, n, a, e) || s->read(s, &head, from, n, b, e))
            break;
        if (memcmp(a, b, (size_t)n * sizeof *a))
            tn_fail(e, TN_EFORMAT,
                    "%s: tensor \"%s\" differs from the embedding; expected the same, as "
                    "config.json says tie_word_embeddings is true",
                    head.path, head.name);
    }
    return e->code;
}

int tn_source_check(const tn_source *s, const tn_params *p, tn_error *e)
{
    tn_stored t;
    if (s->error.code)
        tn_fail(e, s->error.code, "%s", s->error.text);
    for (int64_t i = 0; i < s->count && !e->code; i++) {
        s->at(s, i, &t);
        if (!s->used[i])
            refuse_tensor(s, &t, p, e);
    }
    if (check_head(s, e) || !s->missing)
        return e->code;
    s->at(s, 0, &t);
    const char *name = s->first ? s->first : "?";
    if (s->missing == 1)
        return tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" is missing", t.path, name);
    return tn_fail(e, TN_EFORMAT, "%s: %lld tensors are missing, the first is \"%s\"", t.path,
                   (long long)s->missing, name);
}
