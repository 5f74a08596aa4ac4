/* data.h - files and what is read from them: JSON, safetensors, tokenizers, chats, sets, tasks.
   GGUF files are in gguf.h. The header is long because it is the manual of seven subjects.

       tn_error e = { 0 };
       tn_tokenizer *tok  = tn_tokenizer_open("model", &e);
       tn_dataset   *data = tn_dataset_jsonl("train.jsonl", tok,
                                             &(tn_data_options){ .max_length = 256 }, &e);
       tn_loader    *in   = tn_loader_new(data, &(tn_loader_options){ .batch = 8, .seed = 1 }, &e);
       if (e.code) fprintf(stderr, "%s\n", e.text);

   Ownership: _new, _open and the named makers return something that the caller ends with _free or
   _close (both accept NULL); what a getter returns belongs to the object asked, and lives as long.
   A maker copies what it needs: once a data set is made, its tokenizer may be freed, and its file
   may change or go; once a loader is made, its data set may be freed.
   Errors: functions that read take a tn_error; they return NULL or a negative TN_E* and leave one
   line there, "PATH:LINE: what was found; expected WHAT". Every maker accepts an error that is
   already set and then does nothing, so that calls can be chained and checked once, as above.
   Threads: nothing here has globals. A data set and a tokenizer may be read by several threads, a
   loader, a text or a reader of records by one at a time.
   Nothing from a file is trusted: a size is compared with the bytes of the file before memory is
   taken for it, and text must be UTF-8.

   What goes wrong:
   * A batch is kept beyond the next tn_loader_next: its memory then holds the next batch.
   * A training loader is read until NULL: it has no end. Only one with in_order ends.
   * A tn_text is read by .s after a lack of memory: read it with tn_text_done.
   * A file that is mapped (safetensors, GGUF) is cut short by another program: the process is killed
     by SIGBUS. Replace files by renaming, as tn_file_write does.
   * A file of data changes while its data set is made: that is an error. Afterwards it may. */
#ifndef TN_DATA_H
#define TN_DATA_H

#include "../core/core.h"

TN_BEGIN

/* ---- files ---- */

/* The whole file in new memory, to be freed, with a zero byte after it that *size does not count.
   Only regular files of at most `most` bytes are read. NULL and an error otherwise. */
char *tn_file_read(const char *path, size_t most, size_t *size, tn_error *e);
/* The same for a text: without the byte order mark at its beginning. */
char *tn_text_read(const char *path, size_t most, size_t *size, tn_error *e);
/* Bytes of the byte order mark that a text begins with: 3, or 0 if there is none. The marks of
   UTF-16 and UTF-32 are refused; `path` stands in the message. */
size_t tn_text_mark(const char *path, const char *text, size_t n, tn_error *e);
/* Writes beside `path`, flushes, renames: the old file or the new one is there at every instant. */
int tn_file_write(const char *path, const void *bytes, size_t size, tn_error *e);
/* The same for a new file: an existing file is not replaced (TN_EIO). */
int tn_file_create(const char *path, const void *bytes, size_t size, tn_error *e);
/* Makes one folder; succeeds if it exists already. */
int tn_folder_make(const char *path, tn_error *e);
typedef enum tn_presence {
    TN_ABSENT, /* nothing has this name; no other reason counts as absent */
    TN_FILE,   /* or a device */
    TN_FOLDER,
    TN_UNREADABLE /* e says why: a link to nothing, no permission, no memory, an I/O error */
} tn_presence;
/* What folder/name is, or `folder` itself if name is NULL. Links are followed. */
tn_presence tn_path_is(const char *folder, const char *name, tn_error *e);
/* "folder/name" in new memory, to be freed. NULL when memory is out. */
char *tn_path_join(const char *folder, const char *name);
/* The same for reading a file of a model or adapter. If a run was killed while its new files moved
   into the folder, the rest of them is in folder/.tenon-new: then that path is returned. */
char *tn_path_newest(const char *folder, const char *name);
/* FNV-1a. To hash data part by part, `start` is 0 for the first part (FNV's basis is then used),
   and for every other part the hash of the part before. */
uint64_t tn_hash64(const void *bytes, size_t size, uint64_t start);
/* Eight times as fast, with other values. It cannot be computed part by part. */
uint64_t tn_hash_bulk(const void *bytes, size_t size, uint64_t start);

/* ---- a growing text, for writers; names ---- */

/* clang-format off */
typedef struct tn_span { const char *s; size_t n; } tn_span; /* n bytes, which may be zeros */
/* clang-format on */

/* Starts as { 0 }, ends by tn_text_free or tn_text_save. A lack of memory sticks to the text:
   what is added later is dropped. Read it with tn_text_done or tn_text_save, which check this,
   not by .s. */
typedef struct tn_text {
    char *s;
    size_t n, room; /* bytes used; allocated */
    bool failed;
} tn_text;
/* As vprintf: here %s copies bytes as they are (tn_format escapes them). */
void tn_text_add(tn_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tn_text_bytes(tn_text *t, const void *bytes, size_t n);
/* Adds a JSON string, quotes included. Control characters and characters that change the direction
   of text are escaped (\u009b), also those that JSON allows. Bytes that are not UTF-8 become
   U+FFFD. */
void tn_text_quote(tn_text *t, const char *s, size_t n);
/* Adds the other text. If that text has run out of memory, t has failed too. */
void tn_text_join(tn_text *t, const tn_text *more);
/* The text, t->n bytes and a zero byte; "" when nothing was added. It lives until the text changes.
   NULL when memory ran out: the error is then "WHAT: out of memory". */
const char *tn_text_done(const tn_text *t, const char *what, tn_error *e);
/* Writes the text to folder/name, as tn_file_write does. The text is freed, also after an error. */
int tn_text_save(tn_text *t, const char *folder, const char *name, tn_error *e);
void tn_text_free(tn_text *t);
/* For "did you mean": the one of names[0..n) that the fewest changes turn into `word`: a letter
   more, less or another, or two neighbours exchanged. "-" counts as "_", and "A" as "a". NULL
   entries are ignored. Returns NULL if none is near enough: one change in a word of three letters,
   then one for every four letters; in a shorter word none. */
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

/* Strict RFC 8259: UTF-8, depth <= 64, no duplicate keys, nothing after the value. `path` and
   `line` (0: counted in the text) are for messages. The tree has copies of all texts. Free the root
   with tn_json_free. */
const tn_json *tn_json_parse(const char *text, size_t size, const char *path, int64_t line,
                             tn_error *e);
const tn_json *tn_json_read(const char *path, tn_error *e); /* of a file of at most 256 MiB */
void tn_json_free(const tn_json *root);
/* NULL: absent, or not an object. */
const tn_json *tn_json_find(const tn_json *object, const char *key);
const tn_json *tn_json_at(const tn_json *array, int64_t i); /* NULL: there is none */
/* Typed members of an object. *value does not change if the member is absent or null, or `object`
   is NULL. A member of another type, or out of range, is an error: "config.json: /n_head is a
   boolean, expected an integer". A string belongs to the tree. */
void tn_json_get_int(const tn_json *object, const char *key, int64_t *value, tn_error *e);
void tn_json_get_real(const tn_json *object, const char *key, double *value, tn_error *e);
void tn_json_get_bool(const tn_json *object, const char *key, bool *value, tn_error *e);
void tn_json_get_string(const tn_json *object, const char *key, const char **value, tn_error *e);
/* False: not a number, or not finite as a double. */
bool tn_json_real(const tn_json *v, double *out);
bool tn_json_int(const tn_json *v, int64_t *out); /* false: not an integer of 64 bits */
/* Appends the value as text that reads as the same value: numbers as they were written, members in
   their order. `level` is the depth, for the spaces at the beginning of its further lines. */
void tn_text_json(tn_text *out, const tn_json *v, int level);
/* Sets the error "PATH: POINTER is a KIND, expected WHAT", unless e has one. Returns e->code. */
int tn_json_refuse(const tn_json *v, const char *expected, tn_error *e);

/* ---- safetensors ---- */

/* TN_FILE_TYPE(name, bytes): element types of the format, in the order in which it stores them.
   TN_FILE_BLOCK(name): the quantised types of a GGUF file (gguf.h), which are TN_Q8_0 ... in
   memory. All others are TN_FILE_OTHER. */
/* clang-format off */
#define TN_FILE_TYPES(ROW) \
    ROW(I64, 8) ROW(F64, 8) ROW(F32, 4) ROW(I32, 4) ROW(BF16, 2) ROW(F16, 2) ROW(I16, 2) ROW(I8, 1) \
    ROW(U8, 1) ROW(BOOL, 1)
#define TN_FILE_BLOCKS(ROW) \
    ROW(Q8_0) ROW(Q4_0) ROW(Q4_1) ROW(Q5_0) ROW(Q5_1) ROW(Q4_K) ROW(Q5_K) ROW(Q6_K)
/* clang-format on */
typedef enum tn_file_type {
#define TN_FILE_TYPE(name, bytes) TN_FILE_##name,
    TN_FILE_TYPES(TN_FILE_TYPE)
#undef TN_FILE_TYPE
#define TN_FILE_BLOCK(name) TN_FILE_##name,
        TN_FILE_BLOCKS(TN_FILE_BLOCK)
#undef TN_FILE_BLOCK
            TN_FILE_OTHER
} tn_file_type;

enum { TN_FILE_RANK = 8 }; /* most dimensions of a tensor in a file */

typedef struct tn_entry {
    const char *name;
    tn_file_type type;
    int ndim; /* 0: a scalar */
    int64_t dim[TN_FILE_RANK];
    const void *bytes;       /* little endian, perhaps unaligned */
    size_t size;             /* bytes */
    const tn_real *real;     /* writing: if bytes is NULL, these numbers are converted to type, */
    const tn_tensor *tensor; /* or, if real is NULL too, those of this tensor of any type, */
    /* or, if tensor is NULL too, those [from, from + n) that fill(arg, from, n, out) writes. In
       parts from the first number on, of which all but the last have a multiple of 256 numbers. */
    void (*fill)(const void *arg, int64_t from, int64_t n, tn_real *out);
    const void *arg;
} tn_entry;

typedef struct tn_safetensors tn_safetensors;

/* Maps the file read-only; checks all of the header (no holes, overlaps, duplicates or spare
   bytes). What the getters return lives until it is closed. */
tn_safetensors *tn_safetensors_open(const char *path, tn_error *e);
void tn_safetensors_close(tn_safetensors *s);
const char *tn_safetensors_path(const tn_safetensors *s);
int64_t tn_safetensors_count(const tn_safetensors *s);
/* In the order of the data, from 0. NULL: there is none. */
const tn_entry *tn_safetensors_at(const tn_safetensors *s, int64_t i);
const tn_entry *tn_safetensors_find(const tn_safetensors *s, const char *name); /* NULL: none */
/* The string under this key of __metadata__. NULL: there is none. */
const char *tn_safetensors_metadata(const tn_safetensors *s, const char *key);
int64_t tn_entry_count(const tn_entry *entry); /* number of elements */
/* All elements as tn_real (from F64, F32, F16, BF16) or int32 (from I64, I32, in range). `out` has
   room for tn_entry_count of them. */
int tn_entry_real(const tn_safetensors *s, const tn_entry *entry, tn_real *out, tn_error *e);
int tn_entry_int(const tn_safetensors *s, const tn_entry *entry, int32_t *out, tn_error *e);
/* Writes as tn_file_write does, in the format's order (by type, the widest first, then by name);
   numbers are rounded to nearest even. metadata: key, value, key, value, ..., NULL; or NULL for
   none. A key without a value or a shape that does not fit its data: TN_EARG. A name twice:
   TN_EFORMAT. */
int tn_safetensors_write(const char *path, const tn_entry *entries, int64_t n,
                         const char *const *metadata, tn_error *e);
/* n numbers between tn_real and a floating file type, rounded to nearest even; NaN stays NaN.
   Quantised types: n is a multiple of the block. All are read; Q8_0 and Q4_0 are written, from
   float, as the same bytes as ggml writes. Other types: nothing is written. Bytes of the file type
   may lie at any address. */
void tn_to_file_type(tn_file_type type, const tn_real *from, int64_t n, void *to);
void tn_from_file_type(tn_file_type type, const void *from, int64_t n, tn_real *to);
const char *tn_file_type_name(tn_file_type type);

/* ---- tokenizers ---- */

typedef struct tn_tokenizer tn_tokenizer;

tn_tokenizer *tn_tokenizer_bytes(tn_error *e); /* 256 bytes and the end token, id 256 */
/* One token per distinct character of the text, in the order of code points, then the end token. */
tn_tokenizer *tn_tokenizer_chars(const char *text, size_t n, tn_error *e);
/* Reads the first of these that the folder has: tokenizer.json (bytes or characters without merges;
   byte-level BPE with the splits of GPT-2, SmolLM, Llama 3, Qwen 2; SentencePiece BPE of Llama 2,
   Mistral, Gemma), vocab.json and merges.txt (GPT-2), tokenizer.model (SentencePiece BPE), a GGUF
   file. What else a file asks for is refused by its name. The end token is the eos_token of
   tokenizer_config.json; without it the only special token, or eos_token_id of config.json.
   `folder` may be a GGUF file itself. In such a file tokenizer.ggml.model is "gpt2" or "llama"; for
   gpt2, tokenizer.ggml.pre names one of the splits above. */
tn_tokenizer *tn_tokenizer_open(const char *folder, tn_error *e);
/* The name of the file that it would read: "tokenizer.json", "vocab.json" or "tokenizer.model", or
   "tokenizer.ggml.tokens", the key of a GGUF file. NULL: there is none of them. */
const char *tn_tokenizer_file(const char *folder, tn_error *e);
void tn_tokenizer_free(tn_tokenizer *k);
/* Writes tokenizer.json and tokenizer_config.json, for PreTrainedTokenizerFast of Transformers. */
int tn_tokenizer_save(const tn_tokenizer *k, const char *folder, tn_error *e);
int64_t tn_tokenizer_size(const tn_tokenizer *k);
int32_t tn_tokenizer_end(const tn_tokenizer *k); /* -1: it has none */
/* The token that the tokenizer call of Transformers puts before a text; -1: none. tn_encode does
   not. */
int32_t tn_tokenizer_begin(const tn_tokenizer *k);
/* The token that it puts after a text; -1: none. tn_encode does not, and data sets put the end
   token there. */
int32_t tn_tokenizer_after(const tn_tokenizer *k);
uint64_t tn_tokenizer_hash(const tn_tokenizer *k); /* of what its ids mean */
/* "bytes", "chars", "byte-level BPE", "SentencePiece BPE" */
const char *tn_tokenizer_kind(const tn_tokenizer *k);
/* The id of an added or special token, "<|im_start|>"; -1: none has this name. */
int32_t tn_tokenizer_find(const tn_tokenizer *k, const char *name);
/* Appends to *ids (*n used of *room; NULL, 0 and 0 at first; grown with realloc, the caller frees).
   Text is never read as a special token; added tokens that are not special are found by their
   names. A character outside the vocabulary is refused with its place ("byte 17: U+00E9 is not in
   the vocabulary"), or, when skipped is not NULL, left out and counted there. The time is n log n
   at most. */
int tn_encode(const tn_tokenizer *k, const char *text, size_t length, int32_t **ids, int64_t *n,
              int64_t *room, int64_t *skipped, tn_error *e);
/* The same, but the name of a special token in the text becomes this token. For templates, not for
   what a user writes. */
int tn_encode_template(const tn_tokenizer *k, const char *text, size_t length, int32_t **ids,
                       int64_t *n, int64_t *room, int64_t *skipped, tn_error *e);
/* As tn_encode, for a text that goes on from another: no space comes before it that it does not
   have, as SentencePiece puts one before a text. */
int tn_encode_after(const tn_tokenizer *k, const char *text, size_t length, int32_t **ids,
                    int64_t *n, int64_t *room, int64_t *skipped, tn_error *e);
/* Appends the text of the ids. Special tokens and ids outside the vocabulary add nothing. A space
   that encoding adds before a text (Llama 2) is left out again. */
void tn_decode(const tn_tokenizer *k, const int32_t *ids, int64_t n, tn_text *out);
/* Appends the text of one token as it is inside of a text; it may be a part of a character. names:
   a special token adds its name. */
void tn_decode_token(const tn_tokenizer *k, int32_t id, bool names, tn_text *out);
/* clang-format off */
/* Starts as { 0 }; begun: text came before, whose first space is not left out. */
typedef struct tn_held { char bytes[8]; size_t n; bool begun; } tn_held;
/* clang-format on */
/* The same for ids that come a few at a time. It appends complete characters, and keeps the
   beginning of an incomplete one in *held for the next call. Bytes that are not UTF-8 become
   U+FFFD, one for each longest beginning of a character, as Unicode recommends (3.9). */
void tn_decode_next(const tn_tokenizer *k, const int32_t *ids, int64_t n, tn_held *held,
                    tn_text *out);
void tn_decode_end(tn_held *held, tn_text *out); /* appends what was held back */

/* ---- chats: messages as a model expects them ---- */

/* clang-format off */
typedef struct tn_message {
    tn_span role;      /* "system", "user", "assistant", "tool" */
    tn_span text;
    tn_span reasoning; /* thoughts before an answer; .s NULL: not given */
    bool asked;        /* part of the question: not learnt, even if it is an answer */
} tn_message;
/* clang-format on */

/* The text around the messages of a model: "chatml", "llama3", "gemma" ... (templates.def). */
typedef struct tn_chat_template tn_chat_template;

const char *tn_chat_template_name(int64_t i); /* of the template number i, from 0; NULL: no more */
const tn_chat_template *tn_chat_template_find(const char *name); /* NULL: there is none */
const char *tn_chat_name(const tn_chat_template *t);
/* A model's own template, a program in Jinja, in new memory: of its folder (chat_template.jinja, or
   tokenizer_config.json) or its GGUF file. NULL without an error: the model has none. */
char *tn_chat_template_read(const char *model, tn_error *e);
/* Which of the known ones it is; NULL: none. */
const tn_chat_template *tn_chat_template_of(const char *jinja);

/* Starts as { 0 }, ends by tn_chat_ids_free. */
typedef struct tn_chat_ids {
    int32_t *ids; /* (n) */
    bool *learnt; /* (n) a token of an answer, or the token that ends one */
    int64_t n, room;
} tn_chat_ids;
/* Appends the ids of n messages; `ask`: and of what asks for an answer. Special tokens are only
   those that the template writes: what a message says stays text. Nothing else is added: a template
   has the begin token where one belongs. Refused (TN_EFORMAT): messages in an order that the
   template does not know, and a template whose tokens the tokenizer does not have. skipped: as for
   tn_encode. */
int tn_chat_encode(const tn_chat_template *t, const tn_tokenizer *k, const tn_message *m, int64_t n,
                   bool ask, tn_chat_ids *out, int64_t *skipped, tn_error *e);
void tn_chat_ids_free(tn_chat_ids *ids);

/* ---- the records of a JSONL file ---- */

typedef enum tn_record_kind {
    TN_RECORD_TEXT,
    TN_RECORD_PAIR, /* a prompt and its completion */
    TN_RECORD_CHAT,
    TN_RECORD_QUESTION,  /* the answer is a choice, or its number from 0 */
    TN_RECORD_PREFERENCE /* two answers to a prompt, one of them chosen: texts or chats */
} tn_record_kind;

/* How a record is written. The members that are not null decide it: chosen and rejected, else the
   first of these that is there: choices, messages, conversations, instruction, prompt or
   completion, text. */
typedef enum tn_record_format {
    TN_FORMAT_ANY,        /* of records that are read: each is recognised by its members */
    TN_FORMAT_CHAT,       /* {"messages": [{"role","content"}]} */
    TN_FORMAT_SHAREGPT,   /* {"conversations": [{"from","value"}]} */
    TN_FORMAT_ALPACA,     /* {"instruction","input","output"} */
    TN_FORMAT_COMPLETION, /* {"prompt","completion"}: two texts, or two lists of messages */
    TN_FORMAT_TEXT,       /* {"text"} */
    TN_FORMAT_QUESTION,   /* {"prompt","choices","answer"} */
    /* {"prompt","chosen","rejected"}: texts, or lists of messages. Without a prompt it is what both
       answers begin with. It may be an Alpaca's instruction or a list "conversations", too. */
    TN_FORMAT_PREFERENCE,
    TN_FORMATS
} tn_record_format;

const char *tn_record_format_name(tn_record_format f); /* "chat"; NULL: there is none */
/* The format of a name, "chat" and so on; TN_FORMAT_ANY: no format has it. */
tn_record_format tn_record_format_find(const char *name);

/* Members of other names are ignored, and null counts as absent. The texts live until the next
   call. */
typedef struct tn_jsonl_record {
    tn_record_kind kind;
    tn_record_format format;
    tn_span prompt, text; /* text of a pair: its completion; of a question: the right choice */
    const tn_message *messages; /* (count) of a chat */
    int64_t count;              /* 0: the record is of texts */
    /* Of a preference: the rejected answer as text, or its chat. The chosen one is in text, or in
       messages; both chats begin with the prompt, whose messages are asked. */
    tn_span rejected;
    const tn_message *rejected_messages; /* (rejected_count) */
    int64_t rejected_count;
    const tn_json *choices; /* of a question: a list of two texts or more */
    int64_t answer;         /* the number of the right one, from 0 */
    bool skip;              /* it has no text, or no answer, to learn; a preference: for nothing */
    int64_t line;           /* from 1 */
} tn_jsonl_record;

typedef struct tn_jsonl tn_jsonl;

/* A file with one JSON object per line of at most 32 MiB, or one list of objects of at most 256
   MiB. Lines end in LF or CRLF; a byte order mark at the beginning and blank lines are ignored. A
   format other than TN_FORMAT_ANY is the one that all records must have; their other members are
   ignored. */
tn_jsonl *tn_jsonl_open(const char *path, tn_record_format format, tn_error *e);
/* The next record. False: there is none, or it is refused and e says why; then the call after that
   goes on behind it. */
bool tn_jsonl_next(tn_jsonl *j, tn_jsonl_record *out, tn_error *e);
void tn_jsonl_close(tn_jsonl *j);

/* ---- the records of several files, of which a share is kept for validation ---- */

typedef enum tn_side {
    TN_SIDE_ALL,   /* every record; none of the file is kept */
    TN_SIDE_TRAIN, /* the records that are not kept, */
    TN_SIDE_VALID  /* and those that are */
} tn_side;

typedef struct tn_records_options {
    const char *const *paths; /* (count) */
    const tn_side *sides;     /* (count); NULL: TN_SIDE_ALL for each */
    int64_t count;
    tn_record_format format; /* as in tn_jsonl_open */
    /* What is kept of the files whose side is not TN_SIDE_ALL, from 0 to 1, rounded to the nearest
       record. Negative, the default of the program: 5 %, but 8 records or more, and nothing of
       fewer than 40 records. */
    double share;
} tn_records_options;

typedef struct tn_records tn_records;

/* Which records are kept depends on their texts alone: not on their order, nor on a seed or a
   tokenizer. So one file has the same share in every run, and records that are equal are on the
   same side. (They count as many: all of them are kept, or none, so that the share is not
   exceeded.) Preferences with the same prompt are equal in this. Records to skip are never kept.
   To choose, the files are read once more. */
tn_records *tn_records_open(const tn_records_options *o, tn_error *e);
bool tn_records_next(tn_records *r, tn_jsonl_record *out, tn_error *e); /* as tn_jsonl_next */
const char *tn_records_path(const tn_records *r); /* the file of the last record */
void tn_records_close(tn_records *r);

/* ---- data sets: sequences of token ids, each with the part that carries loss ---- */

typedef struct tn_dataset tn_dataset;

typedef struct tn_data_options {
    int64_t max_length; /* tokens of a window of a text; most tokens of a record: longer ones are
                           cut and counted. From 2 */
    bool front;         /* a record that is too long loses its beginning, not its end: of a chat
                           the oldest turns (not the system's), then the tokens in front; of a pair
                           the prompt. The token before a text stays */
    bool no_mask;       /* the prompt carries loss, too */
    bool skip_unknown;  /* characters outside the vocabulary are left out and counted */
    bool short_text;    /* a text shorter than a window is one short window, not an error */
    const tn_chat_template *chat;   /* of records that are chats; NULL: they are refused
                                     (TN_ETEMPLATE) */
    const tn_chat_template *alpaca; /* if chat is NULL: of Alpaca's records, which are chats, too */
    /* A text that is evaluated: windows of max_length tokens begin every `stride` tokens, 1 to
       max_length. A token that an earlier window has carries no loss again. 0: a window has one
       token more, which the next window begins with. */
    int64_t stride;
    tn_context *context; /* files are read on its threads; NULL: on the calling thread */
    /* While a file is read, the calling thread calls this after every few megabytes, with the bytes
       that were read and are to be read. False stops: TN_ESTATE. NULL: nothing is called. */
    bool (*watch)(void *arg, const char *path, size_t done, size_t all);
    void *watch_arg;
} tn_data_options;

/* A file may be larger than memory. An id takes two bytes, or four if one of them is above 65535;
   in chats a flag takes another. Up to 64 MiB of ids are in memory. More are in a file without a
   name in the folder that TMPDIR names, else in /var/tmp, which needs so much room and is gone
   when the data set is freed or the process ends. In memory are then less than 40 bytes for each
   record while files are read, and 4 for each in a loader that trains. */

/* A text file as one sequence; training sees windows of it. from and to are fractions of its bytes:
   0 and 0.9 are the first 90 %. Both places move back to the beginning of a character. A byte order
   mark at the beginning does not count. A zero byte is refused. The token that the tokenizer puts
   before a text (tn_tokenizer_begin) comes once, at the beginning of the file. */
tn_dataset *tn_dataset_text(const char *path, const tn_tokenizer *k, double from, double to,
                            const tn_data_options *o, tn_error *e);
/* The same of a file of token ids: two bytes each, as nanoGPT writes them, or behind the header of
   llm.c, two or four bytes each. All little-endian. from and to are fractions of the ids. Every id
   is one of the tokenizer's. */
tn_dataset *tn_dataset_token_file(const char *path, const tn_tokenizer *k, double from, double to,
                                  const tn_data_options *o, tn_error *e);
/* The records of a JSONL file. Each begins with the token that the tokenizer puts before a text, if
   it has one, and ends with the end token. A completion goes on from its prompt: no space comes
   between them that is not in the record. If a record is wrong, the error names its line. A record
   is skipped and counted if no token with loss is left after the cut. If no record is left, that is
   an error. A preference is a pair of rows, each with the prompt and an answer, and each cut by
   itself. Its prompts never carry loss, whatever no_mask says. If there is one, all records must be
   preferences. */
tn_dataset *tn_dataset_jsonl(const char *path, const tn_tokenizer *k, const tn_data_options *o,
                             tn_error *e);
/* The same of the files, and the sides of them, that tn_records_open reads. NULL without an error:
   no record is on these sides. */
tn_dataset *tn_dataset_files(const tn_records_options *files, const tn_tokenizer *k,
                             const tn_data_options *o, tn_error *e);
/* Two data sets at once, as two calls of tn_dataset_files make them: out[0] of files[0], out[1] of
   files[1], each NULL if no record is on its sides. A file that is in both lists, first with
   TN_SIDE_TRAIN and then with TN_SIDE_VALID, is read once for both. A list may be empty. Both have
   the same share and format. Equal records of a file in one list and another file in the other are
   counted (`repeated`). Returns e->code. */
int tn_dataset_both(const tn_records_options files[2], const tn_tokenizer *k,
                    const tn_data_options *o, tn_dataset *out[2], tn_error *e);
/* Records first .. first+count-1 of a task's split ("train", "valid", "test"). */
tn_dataset *tn_dataset_task(const char *task, uint64_t seed, const char *split, int64_t first,
                            int64_t count, const tn_tokenizer *k, const tn_data_options *o,
                            tn_error *e);
/* Records of token ids from memory, which are copied. Record i has length[i] ids from 0 on,
   beginning at ids[i]. The first prompt[i] of them carry no loss; prompt NULL stands for zeros.
   Nothing is appended. Records are cut and skipped as those of a file. */
tn_dataset *tn_dataset_records(int64_t count, const int32_t *const ids[], const int64_t length[],
                               const int64_t prompt[], const tn_data_options *o, tn_error *e);
/* One sequence of n such ids. Training sees windows of it, as of a text file. */
tn_dataset *tn_dataset_tokens(const int32_t *ids, int64_t n, const tn_data_options *o, tn_error *e);
/* The rows of all n data sets, one after the other. Those of a text are its windows. They may
   be freed once this is made. NULL without an error: n is 0. */
tn_dataset *tn_dataset_join(tn_dataset *const parts[], int64_t n, tn_error *e);
void tn_dataset_free(tn_dataset *d);

typedef struct tn_data_facts {
    bool text;                    /* a text: windows are drawn from it */
    bool pairs;                   /* preferences: each record is a pair of rows */
    int64_t records;              /* rows of an epoch: records, or whole windows of a text */
    int64_t tokens, loss_tokens;  /* all tokens; those that carry loss */
    int64_t truncated, skipped;   /* records cut at max_length; records left out */
    int64_t answers_cut;          /* of those that are cut: tokens that carry loss are gone, too */
    int64_t formats[TN_FORMATS];  /* records of each format */
    int64_t unknown;              /* characters left out */
    int64_t chats;                /* records that are chats */
    const tn_chat_template *chat; /* that they are written in; NULL: there are none */
    int64_t left;                 /* tokens at the end of a text that fill no window of an epoch */
    int64_t repeated; /* of the first set of tn_dataset_both: records that the second has, too;
                         preferences: whose prompt it has */
} tn_data_facts;
tn_data_facts tn_dataset_facts(const tn_dataset *d);
/* Why a record was left out. */
typedef enum tn_skip {
    TN_SKIP_NO_ANSWER, /* a chat without an answer */
    TN_SKIP_NO_TEXT,
    TN_SKIP_NO_ROOM, /* no token that carries loss is in the row */
    TN_SKIP_EQUAL,   /* a preference between two answers that are the same */
    TN_SKIPS
} tn_skip;
typedef struct tn_skipped {
    int64_t count;    /* records left out for this reason */
    const char *path; /* the file and line of the first; NULL: they are of no file */
    int64_t line;
} tn_skipped;
const char *tn_skip_text(tn_skip why); /* "no assistant turn"; NULL: there is no such reason */
/* The path belongs to the data set. */
tn_skipped tn_dataset_skipped(const tn_dataset *d, tn_skip why);
/* Hash of the ids and lengths of the first `records` records (0: all); of a text, and of data sets
   that are joined, always of all. */
uint64_t tn_dataset_hash(const tn_dataset *d, int64_t records);
/* Returns the number of ids of record i (prompt, completion and end token; of both rows of a pair),
   or 0 if there is no record i. *prompt becomes the number of ids at its beginning that carry no
   loss. */
int64_t tn_dataset_record(const tn_dataset *d, int64_t i, int64_t *prompt);
/* Of a pair: where in its ids the row of the rejected answer begins. 0: record i is no pair. */
int64_t tn_dataset_second(const tn_dataset *d, int64_t i);
bool tn_dataset_cut(const tn_dataset *d, int64_t i); /* were tokens of record i left out? */
/* Copies n ids of record i to out, from its id `from` on. It stops at the end of the record. */
void tn_dataset_ids(const tn_dataset *d, int64_t i, int64_t from, int64_t n, int32_t *out);
/* The same for flags: does the id carry loss? */
void tn_dataset_learnt(const tn_dataset *d, int64_t i, int64_t from, int64_t n, bool *out);

/* ---- batches ---- */

typedef struct tn_batch {
    int64_t rows, width;   /* B, T */
    const int32_t *ids;    /* (B,T) inputs; right-padded with 0 */
    const int32_t *labels; /* (B,T) the next token; -1: carries no loss */
    int64_t tokens;        /* labels that carry loss */
    int64_t pairs; /* of preferences: record 2i is chosen, record 2i + 1 rejected. 0: none */
    /* (B,T) the place of each token in its record. A new record begins where it is 0, and sees only
       itself. NULL: every row is one record */
    const int32_t *places;
} tn_batch;

typedef struct tn_loader_options {
    int64_t batch; /* rows of a batch, from 1; with packing: records; of preferences: pairs */
    uint64_t seed; /* it decides the order; not used with in_order */
    bool in_order; /* evaluation: every row once, in order; the last batch may be shorter */
    int64_t rows;  /* with in_order: only the first `rows` rows; 0: all */
    /* Training: batches per step, 0 for 1. The rows of a step depend only on batch x accumulate. */
    int64_t accumulate;
    /* Training on records: those of a batch lie one after the other in a single row, without
       padding, and batch.places tells where each begins. Every batch has the records that it has
       without packing, so it has the same loss, up to rounding. A text has no padding: nothing
       changes. */
    bool packing;
} tn_loader_options;

typedef struct tn_loader tn_loader;

/* A training batch depends only on seed and index. Records come in a new order every epoch. Windows
   of a text begin at random places. */
tn_loader *tn_loader_new(const tn_dataset *d, const tn_loader_options *o, tn_error *e);
void tn_loader_free(tn_loader *l);
/* Returns the next batch, which lives until the next call of this function. With in_order it
   returns NULL at the end, and the call after that begins again. */
const tn_batch *tn_loader_next(tn_loader *l);
void tn_loader_seek(tn_loader *l, int64_t index); /* the next batch is number index, from 0 */
/* Hash of the ids and labels of the first n batches: two runs with the same hash saw the same data.
   It does not change which batch is next, or the batch that was returned last. */
uint64_t tn_loader_hash(tn_loader *l, int64_t n);
/* clang-format off */
typedef struct tn_loader_sums { int64_t tokens, padded, largest; } tn_loader_sums;
/* clang-format on */
/* Of the first n batches, but at most of one epoch: the ids of their records; how many ids these
   batches have without packing, with their padding; the ids of the largest batch, as it is. It
   changes neither which batch is next, nor the batch that was returned last. */
tn_loader_sums tn_loader_sum(tn_loader *l, int64_t n);

/* ---- tasks: each makes records, and has a rule that scores an answer ---- */

enum { TN_TASK_TEXT = 1024 };

/* clang-format off */
typedef struct tn_record { char prompt[TN_TASK_TEXT], completion[TN_TASK_TEXT]; } tn_record;
/* clang-format on */
typedef struct tn_score {
    bool exact;   /* the answer is the completion */
    double parts; /* the share of the answer's facts that are right, 0..1 */
} tn_score;

typedef struct tn_task {
    const char *name, *title;
    /* Record `index` of an endless series; the same (seed, index) gives the same record. */
    void (*record)(uint64_t seed, uint64_t index, tn_record *out);
    tn_score (*score)(const tn_record *r, const char *answer);
} tn_task;

extern const tn_task *const tn_tasks[];        /* every task of tasks.def, ended by NULL */
const tn_task *tn_task_find(const char *name); /* NULL: there is none */
/* Record `index` of a split ("train", "valid" or "test"; TN_EARG for another). The hash of its
   prompt decides the split of a record (80, 10, 10 %). So no prompt is in two splits. */
int tn_task_record(const tn_task *k, uint64_t seed, const char *split, uint64_t index,
                   tn_record *out);

/* ---- base text ---- */

/* Record `index` of the text that a base model is trained on before it learns a task. The records
   are invented. They have the form of the tasks' records, but are about other things. Each has less
   than 250 characters, with short_only less than 90. */
void tn_base_record(uint64_t seed, uint64_t index, bool short_only, tn_record *out);

TN_END

#endif
