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

/* Starts as { 0 }. A key is a hash of a record's texts. */
typedef struct tn_share {
    uint64_t *keys; /* (n): of all records; once they are chosen, of those that are kept */
    int64_t n, room;
} tn_share;

int tn_share_add(tn_share *s, const tn_jsonl_record *r, tn_error *e);
/* Chooses by the rule of tn_records_options.share. */
void tn_share_choose(tn_share *s, double share);
bool tn_share_has(const tn_share *s, const tn_jsonl_record *r);
void tn_share_free(tn_share *s);

#endif
