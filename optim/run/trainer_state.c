/* trainer_state.c - writes and reads trainer_state.json by a table of its keys. */
#include "optim/run/trainer_state.h"

#include "data/formats/file.h"
#include "data/formats/folder.h"
#include "data/formats/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT = 5, MOST_BYTES = 1 << 20, MOST_TOKENIZER = 1 << 30 };

/* 2^53: every reader of JSON has it exactly, and sums fit into 64 bits. */
static const int64_t most_count = (int64_t)1 << 53;

/* ---- the keys of the file, in its order ---- */

/* A LOSS that is not finite and an OWN file that does not exist are absent. */
typedef enum kind { VERSION, NAME, COUNT, LOSS, HASH, OWN, FILES, OWN_HASH } kind;

typedef struct field {
    const char *key;
    kind kind;
    size_t offset; /* in tn_state */
    int64_t since; /* the first format that has it */
} field;

#define AT(member) offsetof(tn_state, member)

static const field fields[] = { { "format", VERSION, AT(format), 1 },
                                { "optimizer", NAME, AT(optimizer), 1 },
                                { "step", COUNT, AT(run.step), 1 },
                                { "batches", COUNT, AT(run.batches), 1 },
                                { "tokens", COUNT, AT(run.tokens), 1 },
                                { "planned", COUNT, AT(run.planned), 2 },
                                { "records", COUNT, AT(run.records), 2 },
                                { "best", LOSS, AT(run.best), 1 }, /* absent without a best loss */
                                { "best_step", COUNT, AT(run.best_step), 4 },
                                { "progress", LOSS, AT(run.progress), 4 },
                                { "waited", COUNT, AT(run.waited), 4 },
                                { "watched", COUNT, AT(run.watched), 4 },
                                { "high", COUNT, AT(run.high), 4 },
                                { "mean", LOSS, AT(run.mean), 4 },
                                { "noises", COUNT, AT(run.noises), 4 },
                                { "noise", LOSS, AT(run.noise), 4 },
                                { "low", LOSS, AT(run.low), 4 },
                                { "over", COUNT, AT(run.over), 5 },
                                { "fast", LOSS, AT(run.fast), 5 },
                                { "limit", LOSS, AT(run.limit), 5 },
                                { "options", HASH, AT(run.options_hash), 1 },
                                { "data", HASH, AT(run.data_hash), 2 },
                                { "run", HASH, AT(run.run), 2 },
                                { "config", HASH, AT(base.config), 2 },
                                { "frozen", HASH, AT(base.frozen), 2 },
                                { "files", FILES, 0, 1 },
                                { "checksum", OWN_HASH, 0, 1 } };
static const field files[] = { { TN_STATE_WEIGHTS, HASH, AT(weights), 1 },
                               { TN_STATE_MOMENTS, HASH, AT(moments), 1 },
                               { "tokenizer.json", OWN, AT(tokenizer), 3 },
                               { "tokenizer_config.json", OWN, AT(tokenizer_config), 3 } };

enum { FIELDS = sizeof fields / sizeof *fields, BOTH = 2, ALL = sizeof files / sizeof *files };

static void *place(tn_state *s, const field *f)
{
    return (char *)s + f->offset;
}

/* Hash of an open file of `size` bytes, read part by part: a file that is mapped would count as
   memory of the process, as much as its weights. Format 1 uses a slower hash. */
static int hash_open(int fd, const char *path, size_t size, int64_t format, uint64_t *hash,
                     tn_error *e)
{
    unsigned char part[1 << 14]; /* a stack may be small */
    tn_bulk_hash h = tn_bulk_hash_start(0);
    uint64_t slow = 0;
    if (size == 0)
        return tn_fail(e, TN_EFORMAT, "%s: 0 bytes; expected at least 1", path);
    for (size_t at = 0, n; at < size; at += n) {
        n = size - at < sizeof part ? size - at : sizeof part;
        if (tn_file_get(fd, part, n, at) < n)
            return tn_fail(e, TN_EIO, "%s: cannot read: %s", path, strerror(errno));
        if (format == 1)
            slow = tn_hash64(part, n, slow);
        else
            tn_bulk_hash_add(&h, part, n);
    }
    *hash = format == 1 ? slow : tn_bulk_hash_end(&h);
    return e->code;
}

/* The same of folder/name. */
static int hash_file(const char *folder, const char *name, int64_t format, uint64_t *hash,
                     tn_error *e)
{
    size_t size;
    char *path = tn_path_join(folder, name);
    if (!path)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    const int fd = tn_file_open(path, &size, e);
    if (fd >= 0) {
        hash_open(fd, path, size, format, hash, e);
        close(fd);
    }
    free(path);
    return e->code;
}

/* ---- writing ---- */

static uint64_t hash_of(const tn_state *s, const field *f)
{
    uint64_t hash;
    memcpy(&hash, (const char *)s + f->offset, sizeof hash);
    return hash;
}

static void write_hash(const tn_state *s, const field *f, tn_text *t)
{
    tn_text_add(t, "\"%s\": \"%016" PRIx64 "\"", f->key, hash_of(s, f));
}

static void write_files(const tn_state *s, tn_text *t)
{
    tn_text_add(t, "\"files\": { ");
    for (int i = 0; i < ALL; i++)
        if (files[i].kind != OWN || hash_of(s, &files[i])) {
            tn_text_add(t, "%s", i ? ", " : "");
            write_hash(s, &files[i], t);
        }
    tn_text_add(t, " }");
}

/* Writes the last lines, which have the hash of the n bytes before them. */
static int last_lines(const char *text, size_t n, char out[64])
{
    return snprintf(out, 64, "  \"checksum\": \"%016" PRIx64 "\"\n}\n", tn_hash64(text, n, 0));
}

static void write_field(tn_state *s, const field *f, tn_text *t)
{
    if (f->kind == OWN_HASH || (f->kind == LOSS && !isfinite(*(double *)place(s, f))))
        return;
    tn_text_add(t, "  ");
    if (f->kind == NAME)
        tn_text_add(t, "\"%s\": \"%s\"", f->key, s->optimizer);
    else if (f->kind == VERSION || f->kind == COUNT)
        tn_text_add(t, "\"%s\": %" PRId64, f->key, *(int64_t *)place(s, f));
    else if (f->kind == LOSS)
        tn_text_add(t, "\"%s\": %.17g", f->key, *(double *)place(s, f));
    else if (f->kind == HASH)
        write_hash(s, f, t);
    else
        write_files(s, t);
    tn_text_add(t, ",\n");
}

static int write_text(const char *folder, tn_state *s, tn_error *e)
{
    char end[64];
    tn_text t = { 0 };
    tn_text_add(&t, "{\n");
    for (int i = 0; i < FIELDS; i++)
        write_field(s, &fields[i], &t);
    const char *text = tn_text_done(&t, folder, e);
    if (text) {
        last_lines(text, t.n, end);
        tn_text_add(&t, "%s", end);
    }
    return tn_text_save(&t, folder, TN_STATE_FILE, e);
}

int tn_state_save(const char *folder, tn_state *s, tn_error *e)
{
    s->format = FORMAT;
    for (int i = 0; i < FIELDS; i++) {
        const int64_t n = fields[i].kind == COUNT ? *(int64_t *)place(s, &fields[i]) : 0;
        if (n < 0 || n > most_count)
            tn_fail(e, TN_EARG, "%s: %s is %" PRId64 "; expected a number from 0 to 2^53", folder,
                    fields[i].key, n);
    }
    for (int i = 0; i < (s->run.tokenizer ? ALL : BOTH) && !e->code; i++)
        hash_file(folder, files[i].key, FORMAT, place(s, &files[i]), e);
    return e->code ? e->code : write_text(folder, s, e);
}

/* ---- reading ---- */

static int refuse(const char *path, const field *f, const tn_json *v, const char *expected,
                  tn_error *e)
{
    const char *is = !v                     ? "missing"
                     : v->kind == TN_OBJECT ? "an object"
                     : v->kind == TN_ARRAY  ? "an array"
                     : v->kind == TN_NULL   ? "null"
                                            : v->text;
    return tn_fail(e, TN_EFORMAT, "%s: %s is %s; expected %s", path, f->key, is, expected);
}

static int read_fields(const char *path, const tn_json *object, const field *f, int n, tn_state *s,
                       tn_error *e);

static int read_hash(const char *path, const field *f, const tn_json *v, tn_state *s, tn_error *e)
{
    if (v->kind != TN_STRING || v->length != 16 || strspn(v->text, "0123456789abcdef") != 16)
        return refuse(path, f, v, "a hash of 16 digits", e);
    const uint64_t hash = strtoull(v->text, NULL, 16);
    if (f->kind == HASH || f->kind == OWN)
        memcpy(place(s, f), &hash, sizeof hash);
    return TN_OK;
}

static int read_field(const char *path, const field *f, const tn_json *v, tn_state *s, tn_error *e)
{
    int64_t n = 0;
    switch (f->kind) {
    case VERSION:
        if (!tn_json_int(v, &n) || n < 1 || n > FORMAT)
            return refuse(path, f, v, "1 to 5, which this version of tenon reads", e);
        s->format = n;
        return TN_OK;
    case COUNT:
        if (!tn_json_int(v, &n) || n < 0 || n > most_count)
            return refuse(path, f, v, "a whole number from 0 to 2^53", e);
        *(int64_t *)place(s, f) = n;
        return TN_OK;
    case NAME:
        if (v->kind != TN_STRING || strlen(v->text) != v->length ||
            v->length >= sizeof s->optimizer)
            return refuse(path, f, v, "the name of an optimizer", e);
        memcpy(s->optimizer, v->text, v->length + 1);
        return TN_OK;
    case LOSS:
        return tn_json_real(v, place(s, f)) ? TN_OK : refuse(path, f, v, "a finite number", e);
    case FILES:
        return v->kind == TN_OBJECT ? read_fields(path, v, files, ALL, s, e)
                                    : refuse(path, f, v, "an object", e);
    default: return read_hash(path, f, v, s, e);
    }
}

/* The row of a key, if this format has it; else NULL. */
static const field *find_field(const char *key, const field *f, int n, const tn_state *s)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(f[i].key, key) && f[i].since <= s->format)
            return &f[i];
    return NULL;
}

/* Reads every field of an object, and refuses other keys. */
static int read_fields(const char *path, const tn_json *object, const field *f, int n, tn_state *s,
                       tn_error *e)
{
    for (int i = 0; i < n && !e->code; i++) {
        const tn_json *v = f[i].since <= s->format ? tn_json_find(object, f[i].key) : NULL;
        if (v)
            read_field(path, &f[i], v, s, e);
        else if (f[i].since <= s->format && f[i].kind != LOSS && f[i].kind != OWN)
            refuse(path, &f[i], NULL, "a value", e);
    }
    for (const tn_json *v = object->child; v && !e->code; v = v->next)
        if (!find_field(v->key, f, n, s))
            tn_fail(e, TN_EFORMAT, "%s: %s is unknown; expected the keys of format %" PRId64, path,
                    v->key, s->format);
    return e->code;
}

/* The last line but one holds the hash of all lines before it. */
static int check_own_hash(const char *path, const char *text, size_t size, tn_error *e)
{
    char end[64];
    const char *last = NULL;
    for (const char *s = text; (s = strstr(s, "  \"checksum\"")) != NULL; s++)
        last = s;
    if (!last)
        return tn_fail(e, TN_EFORMAT,
                       "%s: has no checksum; it is cut short or not from a checkpoint", path);
    const size_t before = (size_t)(last - text);
    const int n = last_lines(text, before, end);
    if (before + (size_t)n != size || memcmp(last, end, (size_t)n))
        return tn_fail(e, TN_EFORMAT,
                       "%s: its checksum does not fit its content; the file is damaged", path);
    return TN_OK;
}

static int read_text(const char *path, const char *text, size_t size, tn_state *s, tn_error *e)
{
    if (check_own_hash(path, text, size, e))
        return e->code;
    const tn_json *root = tn_json_parse(text, size, path, 0, e);
    if (root)
        read_fields(path, root, fields, FIELDS, s, e);
    tn_json_free(root);
    return e->code;
}

int tn_state_load_at(int at, const char *folder, tn_state *s, tn_error *e)
{
    size_t size;
    *s = (tn_state){ .format = 1,
                     .run.best = NAN,
                     .run.progress = NAN }; /* the first field has the real one */
    char *path = tn_path_join(folder, TN_STATE_FILE),
         *text = !path            ? NULL
                 : at == AT_FDCWD ? tn_file_read(path, MOST_BYTES, &size, e)
                                  : tn_file_read_at(at, TN_STATE_FILE, path, MOST_BYTES, &size, e);
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    if (text)
        read_text(path, text, size, s, e);
    free(text);
    free(path);
    return e->code;
}

int tn_state_load(const char *folder, tn_state *s, tn_error *e)
{
    return tn_state_load_at(AT_FDCWD, folder, s, e);
}

int tn_state_check_files(const char *folder, const tn_state *s, tn_error *e)
{
    const uint64_t expected[BOTH] = { s->weights, s->moments };
    for (int i = 0; i < BOTH && !e->code; i++) {
        uint64_t is = 0;
        if (!hash_file(folder, files[i].key, s->format, &is, e) && is != expected[i])
            tn_fail(e, TN_EFORMAT,
                    "%s/%s: its checksum is %016" PRIx64 ", expected %016" PRIx64
                    "; the file is damaged",
                    folder, files[i].key, is, expected[i]);
    }
    return e->code;
}

const char *tn_state_foreign(int at, const char *folder, const tn_state *s)
{
    for (int i = BOTH; i < ALL; i++) {
        struct stat st;
        size_t size;
        tn_error e = { 0 };
        if (tn_at_stat(at, files[i].key, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
            continue;
        char *bytes = tn_file_read_at(at, files[i].key, folder, MOST_TOKENIZER, &size, &e);
        const bool own = bytes && tn_hash_bulk(bytes, size, 0) == hash_of(s, &files[i]);
        free(bytes);
        if (!own)
            return files[i].key;
    }
    return NULL;
}
