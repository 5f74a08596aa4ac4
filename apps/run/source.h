/* source.h - the data that a command reads: a text, records in a file or folder, or a task.

       int64_t count;
       const tn_task *t = data_task(o, &count, &e);                NULL: the data are files
       tn_dataset *d = data_part(o, PART_TRAIN, k, 256, &e);       k: a tokenizer
       tn_dataset_free(d);

   Errors: NULL, with the error in e. A part that does not exist is NULL without an error. */
#ifndef TN_APP_SOURCE_H
#define TN_APP_SOURCE_H

#include "apps/options/options.h"
#include "data/data.h"

typedef enum part { PART_TRAIN, PART_VALID, PART_TEST, PARTS } part;

part part_find(const char *name); /* "train", "valid" or "test"; PARTS: another word */
/* "task:NAME[:COUNT]" of --data, or --task. NULL without an error: the data are files. *count: the
   COUNT, or -1. */
const tn_task *data_task(const options *o, int64_t *count, tn_error *e);
/* The data set of a part, in rows of at most `length` tokens. A text has a test part in `compare`
   only: half of its end. A single .jsonl file is one part. NULL without an error: there is no such
   part. */
tn_dataset *data_part(const options *o, part which, const tn_tokenizer *k, int64_t length,
                      tn_error *e);
/* The template for records that are chats: --chat-template, or the model's own. NULL without an error:
   the model has none, or one that is not known. */
const tn_chat_template *data_chat(const options *o, tn_error *e);
/* The path of a part's JSONL file, in new memory. NULL without an error: there is no such part. */
char *data_file(const options *o, part which, tn_error *e);
bool data_is_text(const options *o); /* is it one text file, which --valid-split divides? */
/* Makes the tokenizer of --tokenizer from the data. NULL, with an error, if it cannot. */
tn_tokenizer *data_tokenizer(const options *o, tn_error *e);

#endif
