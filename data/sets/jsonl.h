/* jsonl.h - a file of records in sections, and the records of one section. Internal header.

       bool list;
       tn_sections f = tn_jsonl_sections(path, &list, e);
       tn_jsonl *j = tn_jsonl_of(path, format, section, list, e);      then tn_jsonl_next
       tn_input_close(&f.in); */
#ifndef TN_JSONL_H
#define TN_JSONL_H

#include "data/sets/sections.h"

/* Opens the file, for sections of whole lines; a list is one section. The path must live as long. */
tn_sections tn_jsonl_sections(const char *path, bool *list, tn_error *e);
/* The section must live as long. */
tn_jsonl *tn_jsonl_of(const char *path, tn_record_format format, const tn_section *b, bool list,
                      tn_error *e);

#endif
