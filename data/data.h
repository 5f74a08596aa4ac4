/* data.h - files and what is read from them: JSON, safetensors, tokenizers, data sets, tasks.

       tn_error e = { 0 };
       tn_tokenizer *tok  = tn_tokenizer_open("model", &e);
       tn_dataset   *data = tn_dataset_jsonl("train.jsonl", tok, &(tn_data_options){ .max_length = 256 }, &e);
       tn_loader    *in   = tn_loader_new(data, &(tn_loader_options){ .batch = 8, .seed = 1 }, &e);
       if (e.code) fprintf(stderr, "%s\n", e.text);

   Ownership: _new, _open and the named makers return something the caller ends with _free or _close
   (both accept NULL); what a getter returns belongs to the object asked. Errors: functions that
   read take a tn_error; they return NULL or a negative TN_E* and leave one line there,
   "PATH:LINE: what was found; what was expected". Every maker accepts an error that is already
   set and then does nothing, so that calls can be chained and checked once.
   Nothing from a file is trusted: sizes are checked against the bytes there are before memory is
   taken for them, and text must be UTF-8. */
#ifndef TN_DATA_H
#define TN_DATA_H

#include "../core/core.h"

/* ---- files ---- */

/* The whole file, one zero byte behind it; regular files only; more than `most` bytes is refused. */
char *tn_file_read(const char *path, size_t most, size_t *size, tn_error *e);
/* The same of a text: without the byte order mark at its beginning. */
char *tn_text_read(const char *path, size_t most, size_t *size, tn_error *e);
/* Bytes of the byte order mark that a text begins with, 3 or 0. A text whose mark is that of UTF-16 or
   UTF-32 is refused; `path` stands in the message. */
size_t tn_text_mark(const char *path, const char *text, size_t n, tn_error *e);
/* Writes beside the target, flushes, renames: the old file or the new one is there at every instant. */
int tn_file_write(const char *path, const void *bytes, size_t size, tn_error *e);
/* The same where nothing is yet: refuses (TN_EIO) to replace. */
int tn_file_create(const char *path, const void *bytes, size_t size, tn_error *e);
int tn_folder_make(const char *path, tn_error *e); /* one that is there already is fine */
/* What is at folder/name, or, name NULL, at `folder`, behind any link. TN_ABSENT: the system says that
   nothing has this name, and no other reason counts as that. A link that leads nowhere, a lack of
   permission or memory, an I/O error: TN_UNREADABLE, and e names the path (TN_EIO, TN_ENOMEM). */
/* clang-format off */
typedef enum tn_presence { TN_ABSENT, TN_FILE, TN_FOLDER, TN_UNREADABLE } tn_presence; /* TN_FILE: or a device */
/* clang-format on */
tn_presence tn_path_is(const char *folder, const char *name, tn_error *e);
/* "folder/name" in new memory, to be freed; NULL without memory. */
char *tn_path_join(const char *folder, const char *name);
/* The same for a file of a model or adapter that is to be read: where a run of tenon was killed while
   its new files moved into the folder, the new one, which then waits in folder/.tenon-new. */
char *tn_path_newest(const char *folder, const char *name);
uint64_t tn_hash64(const void *bytes, size_t size,
                   uint64_t start); /* FNV-1a; start 0: the usual basis */
/* For much at once: eight times as fast. Unlike tn_hash64, two halves in turn hash otherwise than
   the whole. `start` is the hash of what came before, or 0. */
uint64_t tn_hash_bulk(const void *bytes, size_t size, uint64_t start);

/* ---- a growing text, for writers; names ---- */

/* A lack of memory sticks to the text: what is added later is dropped, and what is there is not to be
   used. So a text is read with tn_text_done or tn_text_save, which check this, and never by .s. */
/* clang-format off */
typedef struct tn_text { char *s; size_t n, room; bool failed; } tn_text; /* starts as { 0 } */
/* clang-format on */
void tn_text_add(tn_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tn_text_bytes(tn_text *t, const void *bytes, size_t n);
/* As a JSON string, quotes included; what a terminal acts on is escaped (\u009b), whatever JSON allows. */
void tn_text_quote(tn_text *t, const char *s, size_t n);
void tn_text_join(tn_text *t,
                  const tn_text *more); /* adds a text; if that lacks memory, t does too */
/* The text, t->n bytes and a zero byte; "" when nothing was added. It lives until the text changes.
   NULL when memory ran out: the error is then "WHAT: out of memory". */
const char *tn_text_done(const tn_text *t, const char *what, tn_error *e);
/* Writes the text to folder/name, as tn_file_write does, and frees it. */
int tn_text_save(tn_text *t, const char *folder, const char *name, tn_error *e);
void tn_text_free(tn_text *t);
/* The one of names[0..n) that takes the fewest changes of a letter to become `word`, dashes and
   underscores alike, large letters and small ones too; NULL entries are passed over. NULL: none is
   near (one change, and one more for every three letters). */
const char *tn_nearest(const char *word, const char *const *names, int n);

/* ---- JSON ---- */

/* clang-format off */
typedef enum tn_json_kind { TN_NULL, TN_BOOL, TN_NUMBER, TN_STRING, TN_ARRAY, TN_OBJECT } tn_json_kind;
/* clang-format on */

typedef struct tn_json {
    tn_json_kind kind;
    const char *key;  /* in an object: unescaped, unique, zero-terminated */
    const char *text; /* string unescaped (UTF-8); number and bool as written; zero-terminated */
    size_t length;    /* bytes of text; a string may hold zero bytes */
    const struct tn_json *child; /* first element or member */
    const struct tn_json *next;  /* next sibling, in the file's order */
    const struct tn_json *parent;
    size_t offset; /* of the value in the text, for messages */
    int64_t count; /* elements or members */
} tn_json;

/* Strict RFC 8259: UTF-8, depth <= 64, no duplicate keys, nothing behind the value. `path` and
   `line` (0: counted from the text) stand in messages. Ended by tn_json_free (the root only). */
const tn_json *tn_json_parse(const char *text, size_t size, const char *path, int64_t line,
                             tn_error *e);
const tn_json *tn_json_read(const char *path, tn_error *e);
void tn_json_free(const tn_json *root);
const tn_json *tn_json_find(const tn_json *object,
                            const char *key);               /* NULL: absent, or not an object */
const tn_json *tn_json_at(const tn_json *array, int64_t i); /* NULL: not there */
/* Typed members of an object. Absent (of no object, too: NULL) or null: *value keeps its default. Another type,
   or out of range: the error says where ("config.json: /n_head is a boolean, expected an integer"). */
void tn_json_get_int(const tn_json *object, const char *key, int64_t *value, tn_error *e);
void tn_json_get_real(const tn_json *object, const char *key, double *value, tn_error *e);
void tn_json_get_bool(const tn_json *object, const char *key, bool *value, tn_error *e);
void tn_json_get_string(const tn_json *object, const char *key, const char **value, tn_error *e);
bool tn_json_real(const tn_json *v,
                  double *out); /* false: not a number, or not finite as a double */
bool tn_json_int(const tn_json *v, int64_t *out); /* false: not an integer of 64 bits */
/* Sticks "PATH: POINTER is a KIND, expected WHAT". Returns TN_EFORMAT. */
int tn_json_refuse(const tn_json *v, const char *expected, tn_error *e);

/* ---- safetensors ---- */

/* TYPE(name, bytes): the element types of the format that we name, in the order in which it stores
   them; others are kept as TN_FILE_OTHER. */
/* clang-format off */
#define TN_FILE_TYPES(TYPE) TYPE(I64, 8) TYPE(F64, 8) TYPE(F32, 4) TYPE(I32, 4) TYPE(BF16, 2) TYPE(F16, 2) \
    TYPE(I16, 2) TYPE(I8, 1) TYPE(U8, 1) TYPE(BOOL, 1)
/* clang-format on */
typedef enum tn_file_type {
#define TYPE(name, bytes) TN_FILE_##name,
    TN_FILE_TYPES(TYPE)
#undef TYPE
        TN_FILE_OTHER
} tn_file_type;

enum { TN_FILE_RANK = 8 };

typedef struct tn_entry {
    const char *name;
    tn_file_type type;
    int ndim; /* 0: a scalar */
    int64_t dim[TN_FILE_RANK];
    const void *bytes;   /* little endian, perhaps unaligned */
    size_t size;         /* bytes */
    const tn_real *real; /* writing: if bytes is NULL, these numbers are converted to type */
} tn_entry;

typedef struct tn_safetensors tn_safetensors;

/* Maps the file read-only; checks all of the header (no holes, overlaps, duplicates or spare bytes). */
tn_safetensors *tn_safetensors_open(const char *path, tn_error *e);
void tn_safetensors_close(tn_safetensors *s);
const char *tn_safetensors_path(const tn_safetensors *s);
int64_t tn_safetensors_count(const tn_safetensors *s);
const tn_entry *tn_safetensors_at(const tn_safetensors *s,
                                  int64_t i); /* in the order of the data */
const tn_entry *tn_safetensors_find(const tn_safetensors *s,
                                    const char *name);                         /* NULL: not there */
const char *tn_safetensors_metadata(const tn_safetensors *s, const char *key); /* NULL: not there */
int64_t tn_entry_count(const tn_entry *entry);                                 /* elements */
/* All elements as tn_real (from F64, F32, F16, BF16) or int32 (from I64, I32, in range). */
int tn_entry_real(const tn_safetensors *s, const tn_entry *entry, tn_real *out, tn_error *e);
int tn_entry_int(const tn_safetensors *s, const tn_entry *entry, int32_t *out, tn_error *e);
/* Writes atomically, in the format's order (alignment, then name), conversion to nearest even.
   metadata: key, value, key, value, ..., NULL (or NULL for none). */
int tn_safetensors_write(const char *path, const tn_entry *entries, int64_t n,
                         const char *const *metadata, tn_error *e);
/* n numbers between tn_real and a floating file type (round to nearest even; NaN stays NaN). */
void tn_to_file_type(tn_file_type type, const tn_real *from, int64_t n, void *to);
void tn_from_file_type(tn_file_type type, const void *from, int64_t n, tn_real *to);
const char *tn_file_type_name(tn_file_type type);

/* ---- tokenizers ---- */

typedef struct tn_tokenizer tn_tokenizer;

tn_tokenizer *tn_tokenizer_bytes(tn_error *e); /* 256 bytes and the end token, id 256 */
/* One token per distinct character of the text, in the order of code points, then the end token. */
tn_tokenizer *tn_tokenizer_chars(const char *text, size_t n, tn_error *e);
/* folder/tokenizer.json (and tokenizer_config.json): a BPE without merges. */
tn_tokenizer *tn_tokenizer_open(const char *folder, tn_error *e);
void tn_tokenizer_free(tn_tokenizer *k);
/* tokenizer.json and tokenizer_config.json, as Transformers' PreTrainedTokenizerFast reads them. */
int tn_tokenizer_save(const tn_tokenizer *k, const char *folder, tn_error *e);
int64_t tn_tokenizer_size(const tn_tokenizer *k);
int32_t tn_tokenizer_end(const tn_tokenizer *k);      /* -1: it has none */
uint64_t tn_tokenizer_hash(const tn_tokenizer *k);    /* of what its ids mean */
const char *tn_tokenizer_kind(const tn_tokenizer *k); /* "bytes", "chars" */
/* Appends to *ids (*n used of *room; grown with realloc, the caller frees). Text is never read as
   the end token. A character outside the vocabulary is refused with its place ("byte 17: U+00E9 is
   not in the vocabulary"), or, when skipped is not NULL, left out and counted there. */
int tn_encode(const tn_tokenizer *k, const char *text, size_t length, int32_t **ids, int64_t *n,
              int64_t *room, int64_t *skipped, tn_error *e);
/* Appends the text of the ids; the end token and ids outside the vocabulary give nothing. */
void tn_decode(const tn_tokenizer *k, const int32_t *ids, int64_t n, tn_text *out);
/* The same, for ids that come piece by piece: appends characters that are whole, in valid UTF-8, and
   keeps the beginning of one for the next call. What is no UTF-8 becomes U+FFFD, one for each longest
   beginning of a character, as the Unicode standard recommends (3.9). The end tells the rest. */
/* clang-format off */
typedef struct tn_held { char bytes[8]; size_t n; } tn_held; /* starts as { 0 } */
/* clang-format on */
void tn_decode_next(const tn_tokenizer *k, const int32_t *ids, int64_t n, tn_held *held,
                    tn_text *out);
void tn_decode_end(tn_held *held, tn_text *out);

/* ---- the records of a JSONL file ---- */

/* clang-format off */
typedef struct tn_span { const char *s; size_t n; } tn_span; /* n bytes, perhaps zeros among them */
/* clang-format on */

/* {"prompt","completion"}, or {"text"}: then `text` is all of it and `pair` is false. Members of other
   names are left alone, null is as good as absent. The strings are valid until the next call. */
typedef struct tn_jsonl_record {
    bool pair;
    tn_span prompt, text; /* text of a pair: its completion, never empty */
    int64_t line;         /* from 1 */
} tn_jsonl_record;

typedef struct tn_jsonl tn_jsonl;

/* A file of at most 1 GiB with one JSON object a line, of at most 32 MiB. Lines end in LF or CRLF; a
   byte order mark at the beginning and blank lines at the end are passed over. */
tn_jsonl *tn_jsonl_open(const char *path, tn_error *e);
/* False: at the end, or the line is refused and e says why. */
bool tn_jsonl_next(tn_jsonl *j, tn_jsonl_record *out, tn_error *e);
void tn_jsonl_close(tn_jsonl *j);

/* ---- data sets: sequences of token ids, each with the part that carries loss ---- */

typedef struct tn_dataset tn_dataset;

typedef struct tn_data_options {
    int64_t max_length; /* tokens a row; longer records are cut and counted. Text: the window */
    bool no_mask;       /* loss on the prompt too */
    bool skip_unknown;  /* leave characters outside the vocabulary out and count them */
    bool short_text;    /* a text shorter than a window is one shorter window, not an error */
} tn_data_options;

/* Files are of at most 1 GiB, tokenizers of at most 65536 ids: an id is kept in two bytes, so that a
   data set takes at most twice its file. */

/* A text file as one stream. from and to are fractions of its bytes (0, 0.9: the first 90 %), moved
   back to a character boundary; a byte order mark at the beginning is no part of it. A zero byte is
   refused. */
tn_dataset *tn_dataset_text(const char *path, const tn_tokenizer *k, double from, double to,
                            const tn_data_options *o, tn_error *e);
/* The records of a JSONL file; the end token is appended. A record that is wrong is an error with its
   line. A record without a token that carries loss after the cut is skipped and counted; if none is
   left, that is an error. */
tn_dataset *tn_dataset_jsonl(const char *path, const tn_tokenizer *k, const tn_data_options *o,
                             tn_error *e);
/* Records first .. first+count-1 of a task's split. */
tn_dataset *tn_dataset_task(const char *task, uint64_t seed, const char *split, int64_t first,
                            int64_t count, const tn_tokenizer *k, const tn_data_options *o,
                            tn_error *e);
void tn_dataset_free(tn_dataset *d);

typedef struct tn_data_facts {
    bool stream;                 /* a text: windows are drawn from it */
    int64_t records;             /* rows of an epoch: records, or whole windows of a stream */
    int64_t tokens, loss_tokens; /* in all; those that carry loss */
    int64_t truncated, skipped;  /* records cut at max_length; records left out */
    int64_t unknown;             /* characters left out */
    int64_t left;                /* tokens at the end of a stream that fill no window of an epoch */
} tn_data_facts;
tn_data_facts tn_dataset_facts(const tn_dataset *d);
/* Hash of the first so many records (0: of all), ids and lengths; of a stream always of all tokens. */
uint64_t tn_dataset_hash(const tn_dataset *d, int64_t records);
/* Record i: how many ids it has (prompt, completion and end token), and of the first how many carry
   no loss. 0: there is no record i. */
int64_t tn_dataset_record(const tn_dataset *d, int64_t i, int64_t *prompt);
/* Copies n ids of record i, from its id `from` on; fewer where it ends. */
void tn_dataset_ids(const tn_dataset *d, int64_t i, int64_t from, int64_t n, int32_t *out);

/* ---- batches ---- */

typedef struct tn_batch {
    int64_t rows, width;   /* B, T */
    const int32_t *ids;    /* (B,T) inputs; right-padded with 0 */
    const int32_t *labels; /* (B,T) the next token, -1 where none counts */
    int64_t tokens;        /* labels that count */
} tn_batch;

typedef struct tn_loader_options {
    int64_t batch;
    uint64_t seed;
    bool in_order; /* evaluation: every row once, in order, the last batch shorter; then NULL */
    int64_t rows;  /* in order: only the first so many (0: all) */
    /* Training: batches that make one step (0: 1). Together they hold the rows of one batch of
       batch x accumulate rows, whatever the two are. */
    int64_t accumulate;
} tn_loader_options;

typedef struct tn_loader tn_loader;

/* Training batches are a function of (seed, index) alone: records in a new permutation every epoch;
   a stream gives windows at random starts. d lives on until its loaders are freed, too. */
tn_loader *tn_loader_new(const tn_dataset *d, const tn_loader_options *o, tn_error *e);
void tn_loader_free(tn_loader *l);
/* The next batch, valid until the next call; NULL at the end of an ordered pass, which starts anew. */
const tn_batch *tn_loader_next(tn_loader *l);
void tn_loader_seek(tn_loader *l, int64_t index); /* the next batch is number index, from 0 */
/* Hash of the first n batches (ids and labels): two runs that print the same saw the same data. */
uint64_t tn_loader_hash(tn_loader *l, int64_t n);

/* ---- tasks: generators of records with a rule that scores an answer ---- */

enum { TN_TASK_TEXT = 1024 };

/* clang-format off */
typedef struct tn_record { char prompt[TN_TASK_TEXT], completion[TN_TASK_TEXT]; } tn_record;
/* clang-format on */
typedef struct tn_score {
    bool exact;
    double parts;
} tn_score; /* parts: share of slots right, 0..1 */

typedef struct tn_task {
    const char *name, *title;
    /* Record `index` of a stream of records; the same (seed, index) gives the same record. */
    void (*record)(uint64_t seed, uint64_t index, tn_record *out);
    tn_score (*score)(const tn_record *r, const char *answer);
} tn_task;

extern const tn_task *const tn_tasks[];        /* every task of tasks.def, ended by NULL */
const tn_task *tn_task_find(const char *name); /* NULL: there is none */
/* Record `index` of a split ("train", "valid" or "test"). A record belongs to the split that the hash
   of its prompt names (80, 10, 10 %), so that no prompt is ever in two splits. */
int tn_task_record(const tn_task *k, uint64_t seed, const char *split, uint64_t index,
                   tn_record *out);

/* ---- base text ---- */

/* Record `index` of the text that a base model is trained on before any task: made-up records of
   other domains in the tasks' form, under 250 characters; short_only: under 90. */
void tn_base_record(uint64_t seed, uint64_t index, bool short_only, tn_record *out);

#endif
