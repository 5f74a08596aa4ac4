/* text.c - texts as token ids, and the data set of one text file or of one file of ids. */
#include "data/sets/dataset.h"
#include "data/sets/sections.h"
#include "data/tokenizers/tokenizer.h"

/* ---- ids of a text ---- */

int tn_dataset_begin(tn_maker m, tn_error *e)
{
    const int32_t begin = tn_tokenizer_begin(m.k);
    return begin < 0 ? e->code : tn_dataset_append(m.d, &begin, 1, e);
}

/* Appends the ids of a text. */
static int walk(tn_maker m, tn_walk w)
{
    const int32_t *ids;
    for (int64_t given; (given = tn_walk_next(&w, &ids)) > 0;)
        if (tn_dataset_append(m.d, ids, given, w.e))
            break;
    tn_walk_end(&w);
    return w.e->code;
}

int tn_dataset_encode(tn_maker m, tn_span text, bool continues, tn_error *e)
{
    return walk(m, (tn_walk){ .k = m.k,
                              .text = text.s,
                              .end = text.n,
                              .continues = continues,
                              .e = e,
                              .skipped = m.o->skip_unknown ? &m.d->facts.unknown : NULL });
}

/* ---- a file in sections ---- */

typedef struct sequence {
    tn_maker m;
    tn_sections file;
    size_t begin; /* byte of the first character or id, behind a mark or a header */
    size_t width; /* bytes of an id; 0: it is a text */
} sequence;

static size_t cut(const void *arg, const char *s, size_t n)
{
    const sequence *q = arg;
    return q->width ? n - n % q->width : tn_walk_cut(q->m.k, s, n);
}

/* Appends the text of a section. Before the first section comes the tokenizer's first token. */
static int encode(const sequence *q, tn_maker m, const tn_section *b, tn_error *e)
{
    if (b->from == q->begin)
        tn_dataset_begin(m, e);
    if (!tn_is_bpe(m.k)) /* a character has at most as many ids as bytes */
        tn_dataset_reserve(m.d, b->text.n, e);
    if (e->code)
        return e->code;
    return walk(m, (tn_walk){ .k = m.k,
                              .text = b->text.s,
                              .begin = b->from == q->begin ? 0 : SIZE_MAX,
                              .end = b->text.n,
                              .base = b->from,
                              .no_zeros = true,
                              .continues = b->from > q->file.from,
                              .e = e,
                              .skipped = m.o->skip_unknown ? &m.d->facts.unknown : NULL });
}

/* The little-endian number of `width` bytes. */
static uint32_t number(const char *s, size_t width)
{
    uint32_t n = 0;
    for (size_t i = width; i-- > 0;)
        n = n << 8 | (unsigned char)s[i];
    return n;
}

/* Appends the ids of a section. */
static int decode(const sequence *q, tn_maker m, const tn_section *b, tn_error *e)
{
    enum { AT_ONCE = 1024 };
    int32_t ids[AT_ONCE];
    const uint32_t size = (uint32_t)tn_tokenizer_size(m.k);
    const size_t all = b->text.n / q->width;
    for (size_t at = 0, n; at < all && !e->code; at += n) {
        for (n = 0; n < AT_ONCE && at + n < all; n++) {
            const uint32_t id = number(b->text.s + (at + n) * q->width, q->width);
            if (id >= size)
                return tn_fail(e, TN_EFORMAT,
                               "token %zu is %u; expected an id below %u, the size of the "
                               "vocabulary",
                               (b->from - q->begin) / q->width + at + n, id, size);
            ids[n] = (int32_t)id;
        }
        tn_dataset_append(m.d, ids, (int64_t)n, e);
    }
    return e->code;
}

static void make_section(const void *arg, tn_section *b)
{
    const sequence *q = arg;
    tn_error e = { 0 };
    const tn_maker m = { tn_dataset_start(q->m.k, q->m.o, &e), q->m.k, q->m.o };
    b->made[0] = m.d;
    if (!e.code)
        (q->width ? decode : encode)(q, m, b, &e);
    if (e.code)
        tn_dataset_fail(q->file.in.path, 0, &e, &b->e);
}

static void take_section(void *arg, tn_section *b, tn_error *e)
{
    const sequence *q = arg;
    if (!e->code && b->made[0] && !tn_dataset_merge(q->m.d, b->made[0], e))
        tn_dataset_expect(q->m.d, 0, b->rest, e);
    tn_dataset_free(b->made[0]);
}

/* The place of a fraction of the sequence, moved back to the first byte of a character or id. */
static size_t place_of(const sequence *q, double fraction, tn_error *e)
{
    const size_t n = q->file.in.size - q->begin;
    const double place = fraction > 0 ? fraction < 1 ? fraction * (double)n : (double)n : 0;
    size_t at = (size_t)place;
    unsigned char byte = 0x80;
    if (q->width)
        return q->begin + at - at % q->width;
    for (int i = 0; i < 3 && at > 0 && at < n; i++, at--)
        if (tn_input_read(&q->file.in, &byte, 1, q->begin + at, e) || (byte & 0xC0) != 0x80)
            break;
    return q->begin + at;
}

/* Reads what lies between two fractions, and closes the file. */
static tn_dataset *finish(sequence *q, double from, double to, tn_error *e)
{
    enum { LONGEST = 1 << 30 }; /* bytes without a place to cut */
    const char *path = q->file.in.path;
    q->m.d = e->code ? NULL : tn_dataset_start(q->m.k, q->m.o, e);
    if (!e->code) {
        q->file.from = place_of(q, from, e);
        q->file.to = place_of(q, to, e);
        q->file.cut = cut;
        q->file.longest = LONGEST;
        q->file.kind = "a text without a place to cut it";
        q->file.work = make_section;
        q->file.take = take_section;
        q->file.arg = q;
    }
    if (!e->code && !tn_sections_run(&q->file, q->m.o, e) && !tn_dataset_settle(q->m.d, e))
        tn_dataset_windows(q->m.d, q->m.o, path, e);
    tn_input_close(&q->file.in);
    return tn_dataset_finish(q->m.d, path, e);
}

tn_dataset *tn_dataset_text(const char *path, const tn_tokenizer *k, double from, double to,
                            const tn_data_options *o, tn_error *e)
{
    if (tn_given(e, path && k && o, __func__))
        return NULL;
    sequence q = { .m = { .k = k, .o = o }, .file.in = tn_input_open(path, e) };
    char mark[4] = { 0 };
    const size_t n = q.file.in.size < sizeof mark ? q.file.in.size : sizeof mark;
    if (!tn_input_read(&q.file.in, mark, n, 0, e))
        q.begin = tn_text_mark(path, mark, n, e);
    return finish(&q, from, to, e);
}

/* ---- token files ---- */

/* The headers of llm.c: 256 numbers of four bytes, of which the first three are a mark, a version
   and the number of tokens. (github.com/karpathy/llm.c, dev/data/data_common.py) */
enum { HEADER = 1024 };
static const struct {
    uint32_t mark, version;
    size_t width;
} headers[] = { { 20240520, 1, 2 }, { 20240801, 7, 4 } };

/* Is every second id 0? Then the file has ids of four bytes, of fewer than 65536 tokens. */
static bool is_wide(const tn_input *in, tn_error *e)
{
    enum { LEAST = 8, MOST = 256 };
    char s[4 * MOST] = { 0 };
    const size_t pairs = in->size / 4 < MOST ? in->size / 4 : MOST;
    bool wide = pairs >= LEAST && !tn_input_read(in, s, 4 * pairs, 0, e), some = false;
    for (size_t i = 0; i < pairs; i++) {
        wide = wide && number(s + 4 * i + 2, 2) == 0;
        some = some || number(s + 4 * i, 2) != 0;
    }
    return wide && some;
}

static int read_header(sequence *q, tn_error *e)
{
    const char *path = q->file.in.path;
    const size_t size = q->file.in.size;
    char head[12] = { 0 };
    q->width = 2;
    if (size >= sizeof head && tn_input_read(&q->file.in, head, sizeof head, 0, e))
        return e->code;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        if (number(head, 4) != headers[i].mark)
            continue;
        const uint32_t version = number(head + 4, 4), tokens = number(head + 8, 4);
        q->begin = HEADER;
        q->width = headers[i].width;
        if (version != headers[i].version)
            return tn_fail(e, TN_EFORMAT, "%s: version %u; expected %u", path, version,
                           headers[i].version);
        if (size < HEADER || (size - HEADER) / q->width != tokens)
            return tn_fail(e, TN_EFORMAT,
                           "%s: %zu bytes; expected %u tokens of %zu bytes after "
                           "a header of %d",
                           path, size, tokens, q->width, HEADER);
    }
    if (!q->begin && is_wide(&q->file.in, e))
        return tn_fail(e, TN_EFORMAT,
                       "%s: every second id is 0, as in a file of four bytes each; expected two "
                       "bytes, or four behind llm.c's header",
                       path);
    if ((size - q->begin) % q->width)
        return tn_fail(e, TN_EFORMAT, "%s: %zu bytes; expected ids of %zu bytes each", path, size,
                       q->width);
    return e->code;
}

tn_dataset *tn_dataset_token_file(const char *path, const tn_tokenizer *k, double from, double to,
                                  const tn_data_options *o, tn_error *e)
{
    if (tn_given(e, path && k && o, __func__))
        return NULL;
    sequence q = { .m = { .k = k, .o = o }, .file.in = tn_input_open(path, e) };
    if (!e->code)
        read_header(&q, e);
    return finish(&q, from, to, e);
}
