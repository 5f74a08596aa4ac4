/* share.h - which records of files are kept for validation. Internal header.

       tn_share s = { 0 };
       while (tn_jsonl_next(file, &r, e)) tn_share_add(&s, &r, e);      every record that may be kept
       tn_share_choose(&s, share);
       if (tn_share_has(&s, &r)) ...                                    is it kept?
       tn_share_free(&s);
*/
#ifndef TN_SHARE_H
#define TN_SHARE_H

#include "data/data.h"

/* Starts as { 0 }. A key is a hash of a record's texts, or of a preference's prompt. */
typedef struct tn_share {
    uint64_t *keys; /* (n): of all records; once they are chosen, of those that are kept */
    int64_t n, room;
} tn_share;

int tn_share_add(tn_share *s, const tn_jsonl_record *r, tn_error *e);
int tn_share_join(tn_share *s, const tn_share *more, tn_error *e); /* adds all of the other */
/* Adds the keys of all records of a file. (files.c) */
int tn_share_keys(tn_share *s, const char *path, tn_record_format format, const tn_data_options *o,
                  tn_error *e);
/* Reads the files of which a share is kept, on the threads of the options, and chooses it. (files.c) */
int tn_share_files(tn_share *s, const tn_records_options *files, const tn_data_options *o,
                   tn_error *e);
/* Chooses by the rule of tn_records_options.share. */
void tn_share_choose(tn_share *s, double share);
bool tn_share_has(const tn_share *s, const tn_jsonl_record *r);
/* Is a record on this side, if it is kept or not? */
static inline bool tn_share_side(tn_side side, bool kept)
{
    return side == TN_SIDE_ALL || kept == (side == TN_SIDE_VALID);
}
void tn_share_free(tn_share *s);

#endif
