/* source.h - the data that a command reads: texts, records in files or folders, tasks.

       int64_t count;
       const tn_task *t = data_task(o, &count, &e);                NULL: the data are not one task
       tn_dataset *d = data_part(&(data_how){ o, tokenizer, 256, context }, PART_TRAIN, &e);
       tn_dataset_free(d);

   Errors: NULL, with the error in e. A part that does not exist is NULL without an error. */
#ifndef TN_APP_SOURCE_H
#define TN_APP_SOURCE_H

#include "apps/options/options.h"
#include "data/data.h"

typedef enum part { PART_TRAIN, PART_VALID, PART_TEST, PARTS } part;
enum { DATA_NAME = 200 };

part part_find(const char *name); /* "train", "valid" or "test"; PARTS: another word */
/* What --data or --task names, for people: a path, or several with " + " between them. Returns a
   path of the options, or `out` (DATA_NAME bytes). */
const char *data_name(const options *o, char *out);
/* The path of --data number i, and its name; of - the file that standard input was written to. */
const char *data_path(const options *o, int i);
const char *data_file_name(const options *o, int i);
/* What the end of a file's name says: a text, its token ids, records; else DATA_OTHER. */
typedef enum data_kind { DATA_OTHER, DATA_TEXT, DATA_TOKENS, DATA_RECORDS, DATA_TASK } data_kind;
data_kind data_kind_of(const char *name);
/* "task:NAME[:COUNT]" of --data, or --task, if it is all of the data. NULL without an error: the
   data are something else. *count: the COUNT, or -1. */
const tn_task *data_task(const options *o, int64_t *count, tn_error *e);
typedef struct data_how {
    const options *o;
    const tn_tokenizer *tokenizer;
    int64_t length;      /* most tokens of a row */
    tn_context *context; /* its threads read the files; NULL: the calling thread */
} data_how;
/* The data set of a part. Several --data are one data set: texts
   are then cut into windows, which are rows as records are.
   A .txt, a .bin or a file of records is divided by --valid-split: `train` learns from the first
   part, and evaluates on the other. `eval` reads all of it as its test part, unless --valid-split is given.
   `compare` tests on one half of a text's end. NULL without an error: there is no such part. */
tn_dataset *data_part(const data_how *h, part which, tn_error *e);
/* The training and the validation part at once, so that files are read less often. */
int data_both(const data_how *h, tn_dataset *out[2], tn_error *e);
/* Refuse (APP_USAGE) --valid-split and --data-format, for data that they are not for. */
int data_refuse_split(const options *o, tn_error *e);
int data_refuse_format(const options *o, tn_error *e);
/* The template of --chat-template. NULL: none is given, or (with an error) its name is unknown. */
const tn_chat_template *data_template(const options *o, tn_error *e);
/* The template for records that are chats: --chat-template, or the model's own. NULL without an
   error: the model has none, or one that is not known. */
const tn_chat_template *data_chat(const options *o, tn_error *e);
/* Reads the part's records again, for their texts. NULL without an error: the part has no files of
   records. */
tn_records *data_records(const options *o, part which, tn_error *e);
bool data_is_text(const options *o); /* is it one file of a text, or of its token ids? */
int data_standard(const options *o); /* how often standard input is among the data */
bool data_is_ids(const options *o);  /* are there token ids, in a file or a folder? */
/* Is there a file, not in a folder, that --valid-split divides? */
bool data_is_divided(const options *o);
/* Which of the records or texts a part has: "all", or "train" or "valid" by --valid-split or by the
   files of a folder, or "test". */
const char *data_side(const options *o, part which);
/* Makes the tokenizer of --tokenizer from the data. NULL, with an error, if it cannot. */
tn_tokenizer *data_tokenizer(const options *o, tn_error *e);

#endif
