/* loader.c - makes batches from a data set, each from its seed and index alone.

   Training on records. A training step takes S rows: one batch of S rows, or several smaller ones.
   Row p of the run (step p / S, place p % S) is row p mod N of epoch p / N. The order of an epoch
   of N records depends on S, but not on the cutting of S into batches. Three moves make it, each
   from (seed, epoch):
     1. a random permutation (Fisher-Yates);
     2. the steps that are completely inside the epoch form groups of ten. Each group is sorted by
        length: so a step has records of similar length and little padding;
     3. the steps of a group change places at random.
   If a step has rows of two epochs, its rows keep their places from move 1.
   Packing changes how the records of a batch lie, not which records it has: they lie in one row, in
   this order. So nothing is padded, and there is no window that records would have to be fitted into.
   Training on a text draws the start of each window from (seed, p). */
#include "data/sets/dataset.h"

#include <stdlib.h>
#include <string.h>

enum { GROUP = 10 }; /* steps that are sorted together */

typedef struct row {
    int64_t length, place, record;
} row;

struct tn_loader {
    tn_dataset *d;
    tn_loader_options o;
    int64_t step;                     /* S, the rows of a training step */
    int64_t rows;                     /* of an ordered pass */
    uint64_t permute, regroup, start; /* streams of random numbers */
    int64_t index;                    /* of the next batch */
    int64_t shown;                    /* index of the present batch; -1: none yet */
    int64_t epoch;                    /* the epoch in `order`; -1: none yet */
    uint32_t *order;                  /* (records); training on records only */
    row *group;                       /* (of ten steps) to sort them */
    tn_sequence *sequences;           /* (batch); of pairs (2 batch), a row each */
    int32_t *ids, *labels;            /* (batch, longest row) */
    int32_t *places;                  /* the same; NULL: records are not packed */
    tn_batch batch;
};

/* A random number below n < 2^52. Its bias, n / 2^32, does not matter here; a longer text takes 64
   random bits. */
static int64_t below(uint64_t seed, uint64_t stream, int64_t epoch, int64_t i, int64_t n)
{
    const uint64_t random = tn_random(seed, stream, (uint32_t)epoch, (uint64_t)i);
    if (n <= UINT32_MAX)
        return (int64_t)(random * (uint64_t)n >> 32);
    const uint64_t more = tn_random(seed, stream, (uint32_t)epoch + 1, (uint64_t)i);
    return (int64_t)((double)((random << 32 | more) >> 11) * 0x1p-53 * (double)n);
}

static int64_t longest_row(const tn_dataset *d)
{
    int64_t longest = 0;
    for (int64_t i = 0; i < (d->facts.text ? 1 : d->facts.records); i++) {
        const tn_sequence s = tn_dataset_sequence(d, i);
        const int64_t length = tn_sequence_longest(&s);
        longest = length > longest ? length : longest;
    }
    return longest - 1; /* inputs end before the last token */
}

/* A pair has two rows. */
static int64_t rows_of(const tn_dataset *d, int64_t records)
{
    return d->facts.pairs ? 2 * records : records;
}

/* Computes the bytes of a batch's ids, and the rows of a step. Returns false if they are too large
   or below 1. */
static bool measure(const tn_dataset *d, const tn_loader_options *o, size_t *cells, int64_t *step,
                    tn_error *e)
{
    const size_t batch =
        o->batch < 1 || o->batch > INT64_MAX / 2 ? 0 : (size_t)rows_of(d, o->batch);
    if (batch == 0 || d->facts.records > UINT32_MAX ||
        __builtin_mul_overflow(batch, (size_t)longest_row(d) * sizeof(int32_t), cells))
        tn_fail(e, TN_EARG,
                "batches of %lld rows from %lld records; expected 1 row or more, and "
                "fewer than 2^32 records",
                (long long)o->batch, (long long)d->facts.records);
    else if (o->accumulate < 0 ||
             __builtin_mul_overflow(o->batch, o->accumulate ? o->accumulate : 1, step))
        tn_fail(e, TN_EARG,
                "steps of %lld batches of %lld rows; expected 1 batch or more, and "
                "fewer than 2^63 rows",
                (long long)o->accumulate, (long long)o->batch);
    return !e->code;
}

/* Rows of the largest group that is sorted; 1 if there is none. */
static int64_t group_room(int64_t step, int64_t records)
{
    const int64_t steps = records / step < GROUP ? records / step : GROUP;
    return steps ? steps * step : 1;
}

tn_loader *tn_loader_new(const tn_dataset *d, const tn_loader_options *o, tn_error *e)
{
    if (tn_given(e, d && o, __func__))
        return NULL;
    const int64_t records = d->facts.records;
    if (d->stride && !o->in_order) {
        tn_fail(e, TN_EARG, "windows with a stride are not for training; expected in_order");
        return NULL;
    }
    if (o->packing && o->in_order) {
        tn_fail(e, TN_EARG, "packing is for training; expected a loader without in_order");
        return NULL;
    }
    size_t cells = 0;
    int64_t step = 0;
    if (!measure(d, o, &cells, &step, e))
        return NULL;
    const bool permuted = !o->in_order && !d->facts.text, packed = permuted && o->packing;
    tn_loader *l = calloc(1, sizeof *l);
    if (l != NULL) {
        *l = (tn_loader){ .d = (tn_dataset *)d,
                          .o = *o,
                          .step = step,
                          .epoch = -1,
                          .shown = -1,
                          .rows = o->rows > 0 && o->rows < records ? o->rows : records,
                          .permute = tn_stream("loader.permute"),
                          .regroup = tn_stream("loader.regroup"),
                          .start = tn_stream("loader.start") };
        tn_dataset_hold(l->d);
        l->order = permuted ? malloc((size_t)records * sizeof *l->order) : NULL;
        l->group = permuted ? malloc((size_t)group_room(step, records) * sizeof *l->group) : NULL;
        l->sequences = calloc((size_t)rows_of(d, o->batch), sizeof *l->sequences);
        l->ids = malloc(cells);
        l->labels = malloc(cells);
        l->places = packed ? malloc(cells) : NULL;
    }
    if (l == NULL || (permuted && (!l->order || !l->group)) || !l->sequences || !l->ids ||
        !l->labels || (packed && l->places == NULL)) {
        tn_fail(e, TN_ENOMEM, "batches of %lld rows: out of memory", (long long)o->batch);
        tn_loader_free(l);
        return NULL;
    }
    return l;
}

void tn_loader_free(tn_loader *l)
{
    if (l == NULL)
        return;
    free(l->order);
    free(l->group);
    free(l->sequences);
    free(l->ids);
    free(l->labels);
    free(l->places);
    tn_dataset_free(l->d);
    free(l);
}

void tn_loader_seek(tn_loader *l, int64_t index)
{
    if (!l)
        return;
    const int64_t last =
        INT64_MAX / l->o.batch - 1; /* the number of rows must fit into 64 bits too */
    l->index = index < 0 ? 0 : index < last ? index : last;
}

/* ---- the order of an epoch ---- */

static int by_length(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static void swap_rows(uint32_t *a, uint32_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const uint32_t kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

/* Sorts n rows from place `at` of the order on by their length. */
static void sort_group(tn_loader *l, int64_t at, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t record = l->order[at + i];
        const tn_sequence s = tn_dataset_sequence(l->d, record);
        l->group[i] = (row){ tn_sequence_longest(&s), i, record };
    }
    qsort(l->group, (size_t)n, sizeof *l->group, by_length);
    for (int64_t i = 0; i < n; i++)
        l->order[at + i] = (uint32_t)l->group[i].record;
}

static void make_order(tn_loader *l, int64_t epoch)
{
    const int64_t n = l->d->facts.records, step = l->step;
    for (int64_t i = 0; i < n; i++)
        l->order[i] = (uint32_t)i;
    for (int64_t i = n; i-- > 1;)
        swap_rows(l->order + i, l->order + below(l->o.seed, l->permute, epoch, i, i + 1), 1);

    const int64_t before =
        epoch % step * (n % step) % step; /* rows of the last epoch in the first step */
    const int64_t first = before == 0 ? 0 : step - before;
    for (int64_t at = first, steps; step <= n - at; at += steps * step) {
        const int64_t fits = (n - at) / step;
        steps = fits < GROUP ? fits : GROUP;
        sort_group(l, at, steps * step);
        for (int64_t i = steps; i-- > 1;)
            swap_rows(l->order + at + i * step,
                      l->order + at + step * below(l->o.seed, l->regroup, epoch, at + i, i + 1),
                      step);
    }
    l->epoch = epoch;
    tn_dataset_rest(l->d);
}

/* ---- batches ---- */

/* The ids of row p of the run. */
static tn_sequence find_sequence(tn_loader *l, int64_t p)
{
    const tn_dataset *d = l->d;
    if (l->o.in_order)
        return tn_dataset_sequence(d, p);
    if (d->facts.text)
        return tn_dataset_part(d, below(l->o.seed, l->start, 0, p, d->n - d->window), d->window + 1,
                               0);
    if (l->epoch != p / d->facts.records)
        make_order(l, p / d->facts.records);
    return tn_dataset_sequence(d, l->order[p % d->facts.records]);
}

/* The rows of record p of the run: one, or the two of a pair. Returns how many. */
static int take_rows(tn_loader *l, int64_t p, tn_sequence out[2])
{
    const tn_sequence s = find_sequence(l, p);
    out[0] = tn_sequence_row(&s, 0);
    if (s.second)
        out[1] = tn_sequence_row(&s, 1);
    return s.second ? 2 : 1;
}

/* Writes a row's inputs and labels, `width` of each. Returns how many labels carry loss. */
static int64_t put_row(tn_sequence p, int64_t width, int32_t *ids, int32_t *labels)
{
    int64_t tokens = 0;
    for (int64_t t = 0; t < width; t++) {
        const bool counts = tn_sequence_counts(&p, t + 1);
        ids[t] = t + 1 < p.length ? tn_sequence_id(&p, t) : 0;
        labels[t] = counts ? tn_sequence_id(&p, t + 1) : -1;
        tokens += counts;
    }
    return tokens;
}

/* Fills the batch with so many sequences: one below the other, or side by side. */
static void put_rows(tn_loader *l, int64_t rows)
{
    int64_t widest = 0, all = 0, at = 0;
    for (int64_t r = 0; r < rows; r++) {
        const int64_t width = l->sequences[r].length - 1;
        widest = width > widest ? width : widest;
        all += width;
    }
    l->batch = (tn_batch){ .rows = l->places ? 1 : rows,
                           .width = l->places ? all : widest,
                           .ids = l->ids,
                           .labels = l->labels,
                           .places = l->places };
    for (int64_t r = 0; r < rows; r++) {
        const int64_t width = l->places ? l->sequences[r].length - 1 : widest;
        l->batch.tokens += put_row(l->sequences[r], width, l->ids + at, l->labels + at);
        for (int64_t i = 0; i < width && l->places; i++)
            l->places[at + i] = (int32_t)i;
        at += width;
    }
}

const tn_batch *tn_loader_next(tn_loader *l)
{
    if (!l)
        return NULL;
    const int64_t first = l->index * l->o.batch;
    l->shown = -1;
    int64_t rows = l->o.batch;
    if (l->o.in_order && first >= l->rows) {
        l->index = 0;
        return NULL;
    }
    if (l->o.in_order && rows > l->rows - first)
        rows = l->rows - first;
    int64_t n = 0;
    for (int64_t r = 0; r < rows; r++)
        n += take_rows(l, first + r, l->sequences + n);
    put_rows(l, n);
    tn_dataset_rest(l->d);
    l->batch.pairs = n > rows ? rows : 0;
    l->shown = l->index++;
    return &l->batch;
}

uint64_t tn_loader_hash(tn_loader *l, int64_t n)
{
    if (!l)
        return 0;
    const int64_t kept = l->index, shown = l->shown;
    uint64_t hash = 0;
    tn_loader_seek(l, 0);
    for (int64_t i = 0; i < n; i++) {
        const tn_batch *b = tn_loader_next(l);
        if (b == NULL)
            break;
        const size_t bytes = (size_t)(b->rows * b->width) * sizeof *b->ids;
        hash = tn_hash64(&b->width, sizeof b->width, hash);
        hash = tn_hash64(b->ids, bytes, hash);
        hash = tn_hash64(b->labels, bytes, hash);
        hash = b->places ? tn_hash64(b->places, bytes, hash) : hash;
    }
    if (shown >= 0) {
        tn_loader_seek(l, shown);
        tn_loader_next(l);
    }
    l->index = kept;
    return hash;
}

tn_loader_sums tn_loader_sum(tn_loader *l, int64_t n)
{
    tn_loader_sums sums = { 0 };
    if (!l)
        return sums;
    const int64_t batch = l->o.batch;
    const int64_t epoch = l->rows / batch + (l->rows % batch != 0);
    for (int64_t i = 0; i < n && i < epoch; i++) {
        const int64_t left = l->rows - i * batch,
                      rows = l->o.in_order && left < batch ? left : batch;
        int64_t widest = 0, all = 0, lines = 0;
        for (int64_t r = 0; r < rows; r++) {
            tn_sequence s[2];
            const int taken = take_rows(l, i * batch + r, s);
            lines += taken;
            for (int k = 0; k < taken; k++) {
                widest = s[k].length - 1 > widest ? s[k].length - 1 : widest;
                all += s[k].length - 1;
            }
        }
        const int64_t computed = l->places ? all : lines * widest;
        sums.tokens += all;
        sums.padded += lines * widest;
        sums.largest = computed > sums.largest ? computed : sums.largest;
    }
    return sums;
}
