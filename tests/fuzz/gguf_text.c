/* gguf_text.c - makes a GGUF file of a text, and the text of a file. */
#include "tests/fuzz/gguf_text.h"

#include "data/formats/gguf_file.h"

#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = { "u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                     "bool", "string", "array", "u64", "i64", "f64" };
enum { KINDS = sizeof kinds / sizeof *kinds };

/* ---- text -> file ---- */

typedef struct packer {
    char *at; /* in the text, which ends with a zero byte and is cut into words */
    tn_text out;
    uint64_t end; /* of the data of the tensors before */
} packer;

/* The next word of the line; "" at its end. */
static char *word(packer *p)
{
    char *s = p->at;
    p->at += strcspn(s, " \n");
    if (*p->at == ' ')
        *p->at++ = 0;
    return s;
}

static void put(packer *p, uint64_t x, size_t n)
{
    tn_text_bytes(&p->out, &x, n);
}

static int digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static void put_hex(packer *p, const char *s)
{
    for (; digit(s[0]) >= 0 && digit(s[1]) >= 0; s += 2)
        put(p, (uint64_t)(digit(s[0]) << 4 | digit(s[1])), 1);
}

static void put_string(packer *p, char *s)
{
    uint64_t length = 0;
    char *end = s;
    const bool lies = *s == '@';
    if (lies)
        length = strtoull(s + 1, &end, 10);
    s = lies && *end == ':' ? end + 1 : s;
    size_t n = 0;
    for (char *from = s; *from && *from != '\n'; from++) {
        const bool hex = *from == '%' && digit(from[1]) >= 0 && digit(from[2]) >= 0;
        s[n++] = hex ? (char)(digit(from[1]) << 4 | digit(from[2])) : *from;
        from += hex ? 2 : 0;
    }
    put(p, lies ? length : n, 8);
    tn_text_bytes(&p->out, s, n);
}

static void put_value(packer *p, uint32_t kind, char *s)
{
    float single = strtof(s, NULL);
    double x = strtod(s, NULL);
    if (kind == TN_GGUF_STRING)
        put_string(p, s);
    else if (kind == TN_GGUF_F32)
        tn_text_bytes(&p->out, &single, sizeof single);
    else if (kind == TN_GGUF_F64)
        tn_text_bytes(&p->out, &x, sizeof x);
    else if (kind < KINDS && kind != TN_GGUF_ARRAY)
        put(p, *s == '-' ? (uint64_t)strtoll(s, NULL, 10) : strtoull(s, NULL, 10),
            tn_gguf_kind_bytes(kind));
}

static uint32_t put_kind(packer *p)
{
    const char *s = word(p);
    uint32_t kind = 0;
    while (kind < KINDS && strncmp(s, kinds[kind], strcspn(s, "\n")) != 0)
        kind++;
    kind = kind < KINDS ? kind : (uint32_t)strtoul(s, NULL, 10);
    put(p, kind, 4);
    return kind;
}

static void put_key(packer *p)
{
    put_string(p, word(p));
    uint32_t kind = put_kind(p);
    if (kind == TN_GGUF_ARRAY) {
        kind = put_kind(p);
        put(p, strtoull(word(p), NULL, 10), 8);
    }
    while (*p->at && *p->at != '\n')
        put_value(p, kind, word(p));
}

static void put_tensor(packer *p)
{
    uint64_t dim[64], n = 0, first = 0, numbers = 1;
    put_string(p, word(p));
    const uint32_t type = (uint32_t)strtoul(word(p), NULL, 10);
    const char *place = word(p);
    while (*p->at && *p->at != '\n' && n < 64)
        dim[n++] = strtoull(word(p), NULL, 10);
    if (n > TN_GGUF_NDIM)
        first = 1;
    put(p, first ? dim[0] : n, 4);
    for (uint64_t i = first; i < n; i++) {
        put(p, dim[i], 8);
        numbers *= dim[i];
    }
    put(p, type, 4);
    put(p, *place == '*' ? p->end : strtoull(place, NULL, 10), 8);
    const tn_gguf_layout *layout = tn_gguf_layout_number(type);
    if (layout)
        p->end += numbers / (uint64_t)layout->numbers * (uint64_t)layout->bytes;
    p->end = tn_gguf_pad(p->end, 32);
}

static uint64_t lines(const char *text, const char *name)
{
    uint64_t n = 0;
    for (const char *s = text; (s = strstr(s, name)); s++)
        n++;
    return n;
}

static void put_line(packer *p, uint64_t tensors, uint64_t keys)
{
    const char *what = word(p);
    if (!strcmp(what, "head")) {
        tn_text_bytes(&p->out, "GGUF", 4);
        put(p, strtoull(word(p), NULL, 10), 4);
        const char *a = word(p), *b = word(p);
        put(p, *a == '*' ? tensors : strtoull(a, NULL, 10), 8);
        put(p, *b == '*' ? keys : strtoull(b, NULL, 10), 8);
    } else if (!strcmp(what, "key")) {
        put_key(p);
    } else if (!strcmp(what, "tensor")) {
        put_tensor(p);
    } else if (!strcmp(what, "data")) {
        const size_t to = strtoul(word(p), NULL, 10) % 4096;
        while (to && p->out.n % to)
            put(p, 0, 1);
        put_hex(p, word(p));
    } else if (!strcmp(what, "raw")) {
        put_hex(p, word(p));
    }
    p->at += strcspn(p->at, "\n");
    p->at += *p->at == '\n';
}

bytes gguf_pack(bytes text)
{
    char *copy = malloc(text.n + 2);
    copy[0] = '\n';
    memcpy(copy + 1, text.s, text.n);
    for (size_t i = 0; i <= text.n; i++)
        copy[i] = copy[i] ? copy[i] : ' ';
    copy[text.n + 1] = 0;
    packer p = { .at = copy + 1 };
    const uint64_t tensors = lines(copy, "\ntensor "), keys = lines(copy, "\nkey ");
    while (*p.at)
        put_line(&p, tensors, keys);
    free(copy);
    tn_text_bytes(&p.out, "", 1); /* never without memory */
    return (bytes){ p.out.s, p.out.n - 1 };
}

/* ---- file -> text ---- */

typedef struct unpacker {
    const char *s;
    size_t n, pos;
    bool short_of; /* the file has too few bytes: the rest is one line "raw" */
    tn_text out;
    uint64_t end;
} unpacker;

static uint64_t get(unpacker *u, size_t n)
{
    uint64_t x = 0;
    u->short_of = u->short_of || n > u->n - u->pos;
    if (u->short_of)
        return 0;
    memcpy(&x, u->s + u->pos, n);
    u->pos += n;
    return x;
}

static void show_hex(unpacker *u)
{
    for (; u->pos < u->n; u->pos++)
        tn_text_add(&u->out, "%02x", (unsigned char)u->s[u->pos]);
}

static void show_string(unpacker *u)
{
    const uint64_t n = get(u, 8);
    u->short_of = u->short_of || n > u->n - u->pos;
    for (uint64_t i = 0; i < n && !u->short_of; i++) {
        const unsigned char c = (unsigned char)u->s[u->pos++];
        tn_text_add(&u->out, c <= ' ' || c == '%' || c == '@' ? "%%%02x" : "%c", c);
    }
}

static void show_value(unpacker *u, uint64_t kind)
{
    const size_t size = kind < KINDS ? tn_gguf_kind_bytes((uint32_t)kind) : 1;
    float single;
    double x;
    tn_text_add(&u->out, " ");
    if (kind == TN_GGUF_STRING) {
        show_string(u);
        return;
    }
    const uint64_t bits = get(u, size);
    memcpy(&single, &bits, sizeof single);
    memcpy(&x, &bits, sizeof x);
    const int64_t value = (int64_t)(bits << (64 - 8 * size)) >> (64 - 8 * size);
    if (kind == TN_GGUF_F32)
        tn_text_add(&u->out, "%.9g", (double)single);
    else if (kind == TN_GGUF_F64)
        tn_text_add(&u->out, "%.17g", x);
    else if (kind == TN_GGUF_I8 || kind == TN_GGUF_I16 || kind == TN_GGUF_I32 ||
             kind == TN_GGUF_I64)
        tn_text_add(&u->out, "%lld", (long long)value);
    else
        tn_text_add(&u->out, "%llu", (unsigned long long)bits);
}

static uint64_t show_kind(unpacker *u)
{
    const uint64_t kind = get(u, 4);
    if (kind < KINDS)
        tn_text_add(&u->out, " %s", kinds[kind]);
    else
        tn_text_add(&u->out, " %llu", (unsigned long long)kind);
    return kind;
}

static void show_key(unpacker *u)
{
    tn_text_add(&u->out, "key ");
    show_string(u);
    uint64_t kind = show_kind(u), n = 1;
    if (kind == TN_GGUF_ARRAY) {
        kind = show_kind(u);
        n = get(u, 8);
        tn_text_add(&u->out, " %llu", (unsigned long long)n);
    }
    u->short_of = u->short_of || kind >= KINDS || kind == TN_GGUF_ARRAY;
    for (uint64_t i = 0; i < n && !u->short_of; i++)
        show_value(u, kind);
    tn_text_add(&u->out, "\n");
}

static void show_tensor(unpacker *u)
{
    uint64_t dim[TN_GGUF_NDIM], numbers = 1;
    tn_text_add(&u->out, "tensor ");
    show_string(u);
    const uint64_t n = get(u, 4);
    u->short_of = u->short_of || n > TN_GGUF_NDIM;
    for (uint64_t i = 0; i < n && !u->short_of; i++)
        numbers *= dim[i] = get(u, 8);
    const uint64_t type = get(u, 4), place = get(u, 8);
    tn_text_add(&u->out, " %llu", (unsigned long long)type);
    if (place == u->end)
        tn_text_add(&u->out, " *");
    else
        tn_text_add(&u->out, " %llu", (unsigned long long)place);
    for (uint64_t i = 0; i < n && !u->short_of; i++)
        tn_text_add(&u->out, " %llu", (unsigned long long)dim[i]);
    tn_text_add(&u->out, "\n");
    const tn_gguf_layout *layout = tn_gguf_layout_number((uint32_t)type);
    if (layout)
        u->end += numbers / (uint64_t)layout->numbers * (uint64_t)layout->bytes;
    u->end = tn_gguf_pad(u->end, 32);
}

/* Writes a line. If a part of the file is malformed, its bytes become a line "raw" instead. */
static void show_line(unpacker *u, void (*show)(unpacker *u))
{
    const size_t at = u->pos, n = u->out.n;
    show(u);
    if (!u->short_of)
        return;
    u->out.n = n;
    u->pos = at;
}

bytes gguf_unpack(bytes file)
{
    unpacker u = { .s = file.s, .n = file.n };
    const bool ours = file.n >= 24 && !memcmp(file.s, "GGUF", 4);
    if (ours) {
        u.pos = 4;
        const unsigned long long version = get(&u, 4), tensors = get(&u, 8), keys = get(&u, 8);
        tn_text_add(&u.out, "head %llu %s %s\n", version, tensors < 100 ? "*" : "999999999",
                    keys < 100 ? "*" : "999999999");
        for (unsigned long long i = 0; i < keys && !u.short_of; i++)
            show_line(&u, show_key);
        for (unsigned long long i = 0; i < tensors && !u.short_of; i++)
            show_line(&u, show_tensor);
    }
    const size_t start = tn_gguf_pad(u.pos, 32);
    if (ours && !u.short_of)
        u.pos = start < u.n ? start : u.n;
    tn_text_add(&u.out, ours && !u.short_of ? "data 32 " : "raw ");
    show_hex(&u);
    tn_text_bytes(&u.out, "", 1);
    return (bytes){ u.out.s, u.out.n - 1 };
}
