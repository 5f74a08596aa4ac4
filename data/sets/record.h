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
/* Two answers to a prompt, of which one is chosen: preference.c. */
int tn_record_preference(const tn_json *object, tn_record_memory *m, tn_jsonl_record *out,
                         tn_error *e);
void tn_record_memory_free(tn_record_memory *m);

/* ---- parts of a record, for the files of its kinds; each returns e->code ---- */

/* Sets the error "KEY is a KIND; expected WHAT"; v NULL: it is missing. */
int tn_record_refuse(const char *key, const tn_json *v, const char *expected, tn_error *e);
bool tn_record_is_text(const tn_json *v); /* a string, or a number; NULL: no */
int tn_record_text(const tn_json *object, const char *key, tn_span *out, tn_error *e);
/* Appends a message; its role is a constant. */
void tn_record_add(tn_record_memory *m, const char *role, tn_span text, tn_error *e);
int tn_record_message(const tn_json *v, tn_record_memory *m, tn_error *e);
/* Appends the messages of a list. */
int tn_record_messages(const tn_json *object, const char *key, tn_record_memory *m, tn_error *e);
int tn_record_conversations(const tn_json *object, tn_record_memory *m, tn_error *e);
/* What an Alpaca record asks: its system, history, instruction and input. */
int tn_record_instruction(const tn_json *object, tn_record_memory *m, tn_error *e);

#endif
