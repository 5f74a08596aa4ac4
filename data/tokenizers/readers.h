/* readers.h - the files that a tokenizer is read from. Internal header.

   open.c chooses the file and finds the end token. tokenizer_json.c reads a tokenizer.json: without
   merges by symbols_json.c, with merges by the rules that pipeline.c finds. gpt2_files.c and
   sentencepiece.c read the older files, gguf_tokenizer.c the keys of a GGUF file. */
#ifndef TN_READERS_H
#define TN_READERS_H

#include "data/formats/json.h"
#include "data/tokenizers/tokenizer.h"

/* clang-format off */
typedef struct tn_reader { const char *path; tn_error *e; } tn_reader;
/* clang-format on */

/* Sets the error "PATH: WHERE is "FOUND"; expected EXPECTED". Returns its code. */
int tn_reader_refuse(tn_reader r, const char *where, const char *found, const char *expected);
/* The "type" of root/part; "" if it is absent; NULL after an error. */
const char *tn_part_type(tn_reader r, const tn_json *root, const char *part);
/* Reads normalizer, pre_tokenizer and decoder of a BPE with merges, and the settings of its model.
   What is not one of the known pipelines is refused. */
int tn_pipeline_read(tn_reader r, const tn_json *root, tn_rules *out);
/* The ids that post_processor puts before and after a text. */
int tn_pipeline_post(tn_reader r, const tn_json *root, tn_rules *out);

/* A tokenizer of each file; NULL after an error. */
tn_tokenizer *tn_read_json(tn_reader r);
tn_tokenizer *tn_read_symbols(tn_reader r, const tn_json *root); /* no merges */
tn_tokenizer *tn_read_gpt2(tn_reader vocab, tn_reader merges);
tn_tokenizer *tn_read_sentencepiece(tn_reader r);
tn_tokenizer *tn_read_gguf(tn_reader r); /* with its end token */
bool tn_gguf_has_tokenizer(const char *path, tn_error *e);

/* "a b": the two parts of a merge. False: not two parts with one space between. */
bool tn_merge_of_text(const char *s, size_t n, tn_merge *out);

/* The arrays of tn_parts_of in new memory, for ids 0..most-1. False: no memory. */
bool tn_parts_new(tn_parts_of *p, int64_t most, int64_t added);
void tn_parts_end(tn_parts_of *p);
/* Reads the vocabulary {"text": id, ...}, and sets p->size to the number of ids so far. */
int tn_parts_vocab(tn_reader r, tn_parts_of *p, const tn_json *vocab, int64_t most);

#endif
