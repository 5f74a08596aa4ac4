/* tokenizer.h - the insides of a tokenizer, and the walk over a text. Internal header.

   Four kinds share tn_tokenizer:
     bytes, chars       one token per symbol, no merges           symbols.c
     byte-level BPE     merges of bytes within pieces of a text    byte_level.c, split.c
     SentencePiece BPE  merges of characters; "\u2581" is a space  pieces.c
   The last two are made from plain arrays (tn_parts_of), whatever file these come from:
     tokenizer.json     tokenizer_json.c, pipeline.c    vocab.json + merges.txt   gpt2_files.c
     tokenizer.model    sentencepiece.c                  a GGUF file              gguf_tokenizer.c */
#ifndef TN_TOKENIZER_H
#define TN_TOKENIZER_H

#include "data/data.h"
#include "core/utf8.h"
#include "data/tokenizers/added.h"
#include "data/tokenizers/bpe.h"
#include "data/tokenizers/piece_cache.h"
#include "data/tokenizers/split.h"

enum { TN_NO_CODE = 0x110000 }; /* above every code point: the end token, which is no symbol */

/* clang-format off */
typedef struct tn_symbol { uint32_t code; int32_t id; } tn_symbol;
typedef enum tn_kind { TN_KIND_BYTES, TN_KIND_CHARS, TN_KIND_BYTE_LEVEL, TN_KIND_PIECES } tn_kind;
/* clang-format on */

/* The numbers are those of SentencePiece and GGUF. */
typedef enum tn_token_type {
    TN_TOKEN_NORMAL = 1,
    TN_TOKEN_UNKNOWN = 2, /* adds no text */
    TN_TOKEN_CONTROL = 3, /* special: adds no text */
    TN_TOKEN_USER = 4,    /* added: found by its name */
    TN_TOKEN_UNUSED = 5,
    TN_TOKEN_BYTE = 6, /* "<0x41>" */
} tn_token_type;

/* clang-format off */
typedef enum tn_prefix {
    TN_PREFIX_NONE,
    TN_PREFIX_ALWAYS, /* a space before every part of the text between added tokens */
    TN_PREFIX_UNLESS, /* the same, where there is none yet */
    TN_PREFIX_FIRST,  /* the same, only at the beginning of the text */
} tn_prefix;
/* clang-format on */

/* How a text becomes symbols, and ids become text. */
typedef struct tn_rules {
    bool byte_level;    /* otherwise SentencePiece */
    tn_split split;     /* byte-level */
    bool nfc;           /* byte-level */
    bool ignore_merges; /* byte-level: a piece that is a token needs no merges */
    tn_prefix prefix;   /* SentencePiece from here on */
    bool trim;          /* spaces at both ends are left out, runs of them are one */
    bool byte_fallback; /* an unknown character becomes the tokens of its bytes */
    bool fuse_unknown;  /* unknown characters side by side are one unknown token */
    bool strip;         /* decoding leaves out one space at the beginning */
    int32_t unknown;    /* its id; -1: none */
    int32_t begin;      /* the token that the file puts before a text; -1: none */
    int32_t after;      /* and after it; -1: none */
} tn_rules;

/* What a tokenizer is made of, as files have it. The arrays belong to the reader. */
typedef struct tn_parts_of {
    const char *path; /* for messages */
    tn_rules rules;
    int64_t size;
    tn_span *token;      /* (size) as written in the file: byte-level ones in GPT-2's letters */
    unsigned char *type; /* (size) tn_token_type; added ones have one of 2, 3, 4 */
    bool *found;         /* (size) is in the model's own vocabulary, so that merges may make it */
    tn_merge *merge;     /* (merges) in order of rank; NULL with scores */
    int64_t merges;
    float *score;    /* (size) SentencePiece: the order of the merges; or NULL */
    tn_added *added; /* (n_added) names point into token */
    int64_t n_added;
} tn_parts_of;

struct tn_tokenizer {
    tn_kind kind;
    int64_t size;   /* ids */
    int32_t end;    /* -1: none */
    char *end_text; /* how the files spell the end token; NULL: none */
    uint64_t hash;  /* of what the ids mean */
    /* bytes and chars */
    int64_t symbols;  /* ids that are symbols */
    tn_symbol *table; /* (symbols) in ascending order of code */
    uint32_t *code;   /* (size) the symbol of an id; TN_NO_CODE: the end token */
    /* the others */
    tn_rules rules;
    tn_vocab vocab;      /* byte-level: raw bytes */
    unsigned char *type; /* (size) */
    tn_bpe bpe;
    tn_piece_cache *cache; /* of the pieces that were encoded */
    int32_t byte[256]; /* the ids of the bytes, or of the first 256 characters; -1: none */
    tn_added *added;
    int64_t n_added;
    tn_text forms;          /* the normalised names of added tokens */
    tn_names *raw, *normal; /* names of added tokens that are found before, after normalising */
    uint64_t *seam;         /* SentencePiece: a filter of the characters that a merge joins */
    bool no_seams;          /* merges join all kinds of symbols */
    char *config;           /* the text of tokenizer_config.json; NULL: none */
    size_t config_size;
};

static inline bool tn_is_bpe(const tn_tokenizer *k)
{
    return k->kind == TN_KIND_BYTE_LEVEL || k->kind == TN_KIND_PIECES;
}

/* ---- making one ---- */

tn_tokenizer *tn_tokenizer_make(bool bytes, int64_t size, tn_error *e);
/* Returns false if the id is outside 0..size-1 or taken. */
bool tn_tokenizer_put(tn_tokenizer *k, uint32_t code, int64_t id);
/* The last step: sorts, and names the end token, which has the id `end`. end_text NULL: none. */
tn_tokenizer *tn_tokenizer_finish(tn_tokenizer *k, const char *end_text, int64_t end, tn_error *e);
/* Are they single bytes or characters, to which nothing is added, with no special token but `end`
   (-1: none)? Such a tokenizer of the kind bytes or chars. */
bool tn_parts_are_symbols(const tn_parts_of *p, int32_t end);
tn_tokenizer *tn_symbols_of(const tn_parts_of *p, tn_error *e);

/* Is the name UTF-8 without zero bytes; and only visible ASCII? Others are bytes of another
   spelling by chance. */
bool tn_token_is_text(tn_span name);
bool tn_token_is_plain(tn_span name);
/* A BPE of either kind. */
tn_tokenizer *tn_tokenizer_of(const tn_parts_of *p, tn_error *e);
/* Names the end token of a BPE. */
int tn_tokenizer_set_end(tn_tokenizer *k, int32_t id, tn_error *e);
int tn_byte_level_start(tn_tokenizer *k, const tn_parts_of *p, tn_error *e);
int tn_pieces_start(tn_tokenizer *k, const tn_parts_of *p, tn_error *e);

/* ---- walking over a text ---- */

/* Starts with the fields up to `e`; ends by tn_walk_end. skipped: as for tn_encode. */
typedef struct tn_walk {
    const tn_tokenizer *k;
    const char *text;
    size_t begin;   /* of the text: after a byte order mark. SIZE_MAX: it is before these bytes */
    size_t at, end; /* the bytes that are left */
    size_t base;    /* where the bytes are in the whole text, for messages */
    bool special;   /* names of special tokens become these tokens */
    bool plain;     /* no added token is found by its name, special or not */
    bool no_zeros;  /* a zero byte is refused */
    bool continues; /* text came before: no space is added at the beginning, and none left out */
    int64_t *skipped;
    tn_error *e;
    /* its own */
    bool begun, first;  /* the first added token was looked for; no text before, since the last */
    tn_name_found next; /* the added token after the text before it */
    tn_text normal;     /* a normalised part of the text */
    tn_span part;       /* that part, or the part of the text itself */
    tn_name_found next_normal; /* the added token that was found in it */
    tn_splitter split;         /* the pieces of the part before that token */
    tn_word word;
} tn_walk;

/* The ids of the next piece of the text, which live until the next call. Returns their number; 0 at
   the end, or with an error. */
int64_t tn_walk_next(tn_walk *w, const int32_t **ids);
void tn_walk_end(tn_walk *w);
/* How many of the first n bytes of a longer text can be encoded alone, and the rest after them as a
   text that continues: as many as possible; 0: none. */
size_t tn_walk_cut(const tn_tokenizer *k, const char *text, size_t n);

/* The ids of the next characters (with `plain` of one), or of the next piece of w->split, go into
   w->word. */
void tn_symbols_next(tn_walk *w);
void tn_byte_level_next(tn_walk *w);
void tn_pieces_next(tn_walk *w);
/* SentencePiece: appends a part of the text between two added tokens, with its spaces replaced. */
typedef struct tn_part_place {
    bool text, first, last; /* is at the beginning of the text; of what is between; at its end */
} tn_part_place;
void tn_pieces_normalise(const tn_tokenizer *k, tn_span part, tn_part_place place, tn_text *out);
/* Can a SentencePiece text be cut between these characters? */
bool tn_pieces_seam(const tn_tokenizer *k, uint32_t before, uint32_t after);
/* A character at s that has no token: refused with its place, or counted. */
void tn_walk_unknown(tn_walk *w, const char *s, uint32_t code);

/* Appends the text of a token that is not special. */
void tn_symbols_text(const tn_tokenizer *k, int32_t id, tn_text *out);
void tn_pieces_text(const tn_tokenizer *k, int32_t id, tn_text *out);
/* The byte of "<0x41>"; -1: it is no such name. */
int tn_byte_of_name(tn_span name);

void tn_bpe_write(const tn_tokenizer *k, tn_text *t); /* its tokenizer.json */
/* The name of a token, in quotes: a byte-level one that merging can make in letters. */
void tn_bpe_write_name(const tn_tokenizer *k, int32_t id, tn_text *t);
/* The id of a byte-level token by its letters; -1: none, or it is longer than 1024 bytes. */
int32_t tn_byte_level_find(const tn_tokenizer *k, tn_span letters);

/* GPT-2's letter for a byte. Printable bytes stay the same, the 68 others are U+0100 and up. */
uint32_t tn_byte_letter(uint32_t b);
void tn_byte_letters(tn_span bytes, tn_text *out); /* of all bytes */
uint32_t tn_byte_of_letter(uint32_t letter);       /* TN_NO_CODE: it is no such letter */

#endif
