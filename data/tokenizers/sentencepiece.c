/* sentencepiece.c - reads a tokenizer.model of SentencePiece: pieces, their scores and types.

   A message of protocol buffers is a row of fields: a number (field << 3 | wire type), then by wire
   type 0 a number, 1 eight bytes, 2 a length and as many bytes, 5 four bytes. Numbers have seven bits
   per byte, the lowest first. The fields (sentencepiece_model.proto):
     1 piece (repeated)   1 text, 2 score (float), 3 type: tn_token_type
     2 trainer_spec       3 model_type: 2 is BPE; 24 white space as suffix; 35 byte_fallback;
                          40, 41, 42 ids of the unknown, first and end token
     3 normalizer_spec    2 precompiled map; 3 add_dummy_prefix; 4 remove_extra_whitespaces;
                          5 escape_whitespaces */
#include "data/tokenizers/readers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 256 << 20, BPE = 2 };

typedef struct field {
    uint64_t number, value; /* value: of wire types 0 and 5 */
    tn_span bytes;          /* of wire type 2 */
} field;

/* A message, and how far it has been read. */
typedef struct message {
    const unsigned char *s;
    size_t n, at;
    size_t offset; /* of s in the file */
    tn_reader r;
} message;

static bool refuse(message *m, const char *found)
{
    tn_fail(m->r.e, TN_EFORMAT, "%s: offset %zu: %s; expected a SentencePiece model", m->r.path,
            m->offset + m->at, found);
    return false;
}

static bool read_number(message *m, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (m->at == m->n)
            return refuse(m, "the end inside of a number");
        const unsigned char byte = m->s[m->at++];
        *out |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return refuse(m, "a number of more than 64 bits");
}

/* False: the end, or an error. */
static bool next_field(message *m, field *out)
{
    uint64_t key, length = 0;
    *out = (field){ 0 };
    if (m->at == m->n || m->r.e->code || !read_number(m, &key))
        return false;
    out->number = key >> 3;
    switch (key & 7) {
    case 0: return read_number(m, &out->value);
    case 1: length = 8; break;
    case 5: length = 4; break;
    case 2:
        if (!read_number(m, &length))
            return false;
        break;
    default: return refuse(m, "a field of an unknown wire type");
    }
    if (length > m->n - m->at)
        return refuse(m, "a field that goes beyond the end");
    out->bytes = (tn_span){ (const char *)m->s + m->at, (size_t)length };
    if ((key & 7) == 5)
        for (int i = 3; i >= 0; i--)
            out->value = out->value << 8 | m->s[m->at + (size_t)i];
    m->at += (size_t)length;
    return true;
}

/* A field of another wire type has no bytes: it is an empty message. */
static message inside(const message *m, const field *f)
{
    if (!f->bytes.s)
        return (message){ .s = m->s, .offset = m->offset + m->at, .r = m->r };
    const size_t from = (size_t)((const unsigned char *)f->bytes.s - m->s);
    return (message){ .s = m->s + from, .n = f->bytes.n, .offset = m->offset + from, .r = m->r };
}

/* ---- pieces ---- */

static void read_piece(message *m, int64_t id, tn_parts_of *p)
{
    field f;
    uint64_t type = TN_TOKEN_NORMAL;
    float score = 0;
    while (next_field(m, &f)) {
        const uint32_t bits = (uint32_t)f.value;
        if (f.number == 1)
            p->token[id] = f.bytes;
        else if (f.number == 2)
            memcpy(&score, &bits, sizeof score);
        else if (f.number == 3)
            type = f.value;
    }
    const tn_span t = p->token[id];
    if (m->r.e->code)
        return;
    if (t.n == 0 || !tn_token_is_text(t)) {
        refuse(m, t.n ? "a piece that is not text in UTF-8" : "a piece without text");
    } else if (type < 1 || type > TN_TOKEN_BYTE || type == TN_TOKEN_UNUSED) {
        refuse(m, type == TN_TOKEN_UNUSED ? "an unused piece" : "a piece of unknown type");
    } else if (isnan(score)) {
        refuse(m, "a score that is not a number");
    } else if (type == TN_TOKEN_BYTE && tn_byte_of_name(t) < 0) {
        refuse(m, "a byte piece that is not like \"<0x41>\"");
    }
    p->type[id] = (unsigned char)type;
    p->found[id] = true;
    p->score[id] = type == TN_TOKEN_NORMAL ? score : NAN;
    if (type == TN_TOKEN_UNKNOWN)
        p->rules.unknown = (int32_t)id;
    if (type == TN_TOKEN_CONTROL || type == TN_TOKEN_UNKNOWN || type == TN_TOKEN_USER)
        p->added[p->n_added++] = (tn_added){ .id = (int32_t)id,
                                             .special = type != TN_TOKEN_USER,
                                             .normalized = type == TN_TOKEN_USER };
}

/* ---- settings ---- */

typedef struct settings {
    uint64_t model, suffix, bytes, unknown, begin, end;
    uint64_t prefix, trim, escape;
    size_t map; /* bytes of the precompiled map */
} settings;

static void read_trainer(message *m, settings *s)
{
    field f;
    while (next_field(m, &f)) {
        switch (f.number) {
        case 3: s->model = f.value; break;
        case 24: s->suffix = f.value; break;
        case 35: s->bytes = f.value; break;
        case 40: s->unknown = f.value; break;
        case 41: s->begin = f.value; break;
        case 42: s->end = f.value; break;
        }
    }
}

static void read_normalizer(message *m, settings *s)
{
    field f;
    while (next_field(m, &f)) {
        switch (f.number) {
        case 2: s->map = f.bytes.n; break;
        case 3: s->prefix = f.value; break;
        case 4: s->trim = f.value; break;
        case 5: s->escape = f.value; break;
        }
    }
}

static int apply(tn_reader r, const settings *s, tn_parts_of *p)
{
    tn_rules *out = &p->rules;
    if (s->model != BPE)
        return tn_fail(r.e, TN_EFORMAT, "%s: model_type is %llu; expected 2, BPE", r.path,
                       (unsigned long long)s->model);
    if (s->map || s->suffix || !s->escape)
        return tn_fail(r.e, TN_EFORMAT, "%s: %s; expected none", r.path,
                       s->map      ? "a precompiled map of characters"
                       : s->suffix ? "white space as a suffix"
                                   : "spaces that are not escaped");
    for (int64_t i = 0; i < p->n_added; i++)
        if (!p->added[i].special && (s->prefix || s->trim))
            return tn_fail(r.e, TN_EFORMAT,
                           "%s: user-defined pieces with add_dummy_prefix or "
                           "remove_extra_whitespaces; expected neither beside them",
                           r.path);
    out->prefix = s->prefix ? TN_PREFIX_ALWAYS : TN_PREFIX_NONE;
    out->strip = s->prefix;
    out->trim = s->trim;
    out->byte_fallback = s->bytes;
    out->fuse_unknown = true;
    out->begin = s->begin < (uint64_t)p->size ? (int32_t)s->begin : -1;
    return TN_OK;
}

/* ---- the file ---- */

static message whole(tn_reader r, const char *bytes, size_t size)
{
    return (message){ .s = (const unsigned char *)bytes, .n = size, .r = r };
}

static int64_t count_pieces(tn_reader r, const char *bytes, size_t size)
{
    message m = whole(r, bytes, size);
    int64_t n = 0;
    for (field f; next_field(&m, &f);)
        n += f.number == 1;
    return n;
}

static void read_fields(tn_reader r, const char *bytes, size_t size, tn_parts_of *p, settings *s)
{
    message m = whole(r, bytes, size);
    for (field f; next_field(&m, &f);) {
        message in = f.number <= 3 ? inside(&m, &f) : m;
        if (f.number <= 3 && f.bytes.s == NULL)
            refuse(&m, "a field of the wrong wire type");
        else if (f.number == 1)
            read_piece(&in, p->size++, p);
        else if (f.number == 2)
            read_trainer(&in, s);
        else if (f.number == 3)
            read_normalizer(&in, s);
    }
}

tn_tokenizer *tn_read_sentencepiece(tn_reader r)
{
    settings s = { .model = 1, .begin = 1, .end = 2, .prefix = 1, .trim = 1, .escape = 1 };
    tn_parts_of p = { .path = r.path, .rules = { .unknown = -1, .begin = -1, .after = -1 } };
    tn_tokenizer *k = NULL;
    size_t size = 0;
    char *bytes = tn_file_read(r.path, MOST_BYTES, &size, r.e);
    const int64_t n = bytes ? count_pieces(r, bytes, size) : 0;
    p.score = malloc(((size_t)n + 1) * sizeof *p.score);
    if (!r.e->code && n == 0)
        tn_fail(r.e, TN_EFORMAT, "%s: no pieces; expected a SentencePiece model", r.path);
    else if (!r.e->code && (!p.score || !tn_parts_new(&p, n, n)))
        tn_fail(r.e, TN_ENOMEM, "%s: out of memory", r.path);
    else if (!r.e->code)
        read_fields(r, bytes, size, &p, &s);
    if (!r.e->code && !apply(r, &s, &p))
        k = tn_tokenizer_of(&p, r.e);
    if (k != NULL && s.end < (uint64_t)k->size && tn_tokenizer_set_end(k, (int32_t)s.end, r.e)) {
        tn_tokenizer_free(k);
        k = NULL;
    }
    tn_parts_end(&p);
    free(bytes);
    return k;
}
