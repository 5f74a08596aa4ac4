/* record.h - a JSON object of a data file as one of the kinds of records. Internal header. */
#ifndef TN_RECORD_H
#define TN_RECORD_H

#include "data/data.h"

/* Memory for what a record does not have in one piece in its object. Starts as { 0 }. */
typedef struct tn_record_memory {
    tn_message *messages;
    int64_t n, room;
    char *joined; /* texts that are joined of parts */
    size_t used, size;
} tn_record_memory;

/* Reads the object as a record of this format, or recognises its format. What `out` points to lives
   until the object or the memory is used again. */
int tn_record_read(const tn_json *object, tn_record_format format, tn_record_memory *m,
                   tn_jsonl_record *out, tn_error *e);
int tn_record_question(const tn_json *object, tn_jsonl_record *out, tn_error *e); /* of choices */
void tn_record_memory_free(tn_record_memory *m);

#endif
