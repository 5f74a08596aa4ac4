/* dataset.h - a data set's insides, for the loader and the makers. Internal header.

   All token ids are in one array, two bytes each; four bytes each from the first id above 65535 on.
   Record i has the ids from start[i] to start[i+1].
   In a text record i is the window [i T, i T + T + 1), which shares a token with the next window; with
   a stride S it is [i S, i S + T).
   Files are read in sections (sections.h). Each section becomes a small data set, which is added to the
   one that is made (merge.c). Arrays that are large are in a file (store.h). */
#ifndef TN_DATASET_H
#define TN_DATASET_H

#include "data/data.h"
#include "data/sets/store.h"

#include <stdatomic.h>

enum { TN_STORE_IDS, TN_STORE_LEARNT, TN_STORE_START, TN_STORE_PROMPT, TN_STORE_CUT, TN_STORES };

struct tn_dataset {
    atomic_int loaders; /* loaders that use it; the last of them frees it */
    uint16_t *ids;      /* NULL: an id needs more than two bytes, and all are in `wide` */
    int32_t *wide;      /* NULL: all are in `ids` */
    int64_t n, room;    /* tokens kept, and room for them */
    int64_t *start;  /* (records + 1); NULL for a text. Of parts (joined + 1): their first rows */
    int64_t *prompt; /* (records): tokens at their beginning that carry no loss. Of pairs: the
                        tokens of their chosen answers, which the rejected follow */
    bool *cut;       /* (records): were tokens left out? NULL for a text */
    bool *learnt;    /* (n) which of the others carry loss; NULL: all, there are no chats */
    int64_t record_room; /* records that start and prompt have room for */
    int64_t window;      /* most tokens of a row; T of a text */
    int64_t stride;      /* of a text, as in tn_data_options */
    tn_data_facts facts;
    tn_skipped skipped[TN_SKIPS]; /* the data set owns their paths */
    int32_t begin;                /* the token that the tokenizer puts before a text; -1: none */
    int64_t first_line[2]; /* of a section: of a record that is no pair, of one that is; 0: none */
    bool front;            /* records are cut in front, as in tn_data_options */
    tn_store store[TN_STORES]; /* what the arrays above are in, if it is made of sections, */
    bool stored;               /* once it is made */
    bool four, chats;          /* has it `wide`, `learnt`? */
    tn_dataset **parts; /* (joined) what it is made of, in place of ids of its own; or NULL */
    int64_t joined;
};

/* The ids of a record or of a window; the first `prompt` carry no loss. */
typedef struct tn_sequence {
    const uint16_t *ids; /* one of the two is NULL */
    const int32_t *wide;
    const bool *learnt; /* NULL: all after the prompt */
    int64_t length, prompt;
    int64_t second; /* of a pair: where the rejected answer begins; 0: it is no pair */
} tn_sequence;

static inline int32_t tn_sequence_id(const tn_sequence *s, int64_t i)
{
    return s->wide ? s->wide[i] : s->ids[i];
}

/* Of a pair the row of the chosen answer (0) or of the rejected (1); else the sequence. */
static inline tn_sequence tn_sequence_row(const tn_sequence *s, int rejected)
{
    tn_sequence r = *s;
    const int64_t from = rejected ? s->second : 0;
    r.ids = s->ids ? s->ids + from : NULL;
    r.wide = s->wide ? s->wide + from : NULL;
    r.learnt = s->learnt ? s->learnt + from : NULL;
    r.length = rejected || !s->second ? s->length - from : s->second;
    r.second = 0;
    return r;
}

/* The length of the longest row. */
static inline int64_t tn_sequence_longest(const tn_sequence *s)
{
    const int64_t other = s->length - s->second;
    return s->second > other ? s->second : other;
}

/* Does id i carry loss, as what comes after id i - 1? */
static inline bool tn_sequence_counts(const tn_sequence *s, int64_t i)
{
    return i > 0 && i < s->length && i >= s->prompt && (!s->learnt || s->learnt[i]);
}

/* `length` ids from id `first` of the data set on. */
static inline tn_sequence tn_dataset_part(const tn_dataset *d, int64_t first, int64_t length,
                                          int64_t prompt)
{
    return (tn_sequence){ .ids = d->ids ? d->ids + first : NULL,
                          .wide = d->wide ? d->wide + first : NULL,
                          .learnt = d->learnt ? d->learnt + first : NULL,
                          .length = length,
                          .prompt = prompt };
}

tn_sequence tn_dataset_sequence(const tn_dataset *d, int64_t i); /* record i */
/* join.c: the same of one that has parts; is the row cut; the hash. */
tn_sequence tn_dataset_of_part(const tn_dataset *d, int64_t row);
bool tn_dataset_cut_part(const tn_dataset *d, int64_t row);
uint64_t tn_dataset_hash_parts(const tn_dataset *d);

/* A data set that is being made, and the options and tokenizer that make it. */
typedef struct tn_maker {
    tn_dataset *d;
    const tn_tokenizer *k;
    const tn_data_options *o;
} tn_maker;

void tn_dataset_hold(tn_dataset *d); /* then needs one more tn_dataset_free; on any thread */
tn_dataset *tn_dataset_empty(const tn_data_options *o, tn_error *e);
/* The same; the tokenizer must be given. */
tn_dataset *tn_dataset_start(const tn_tokenizer *k, const tn_data_options *o, tn_error *e);
/* Makes room for `more` ids. */
int tn_dataset_reserve(tn_dataset *d, size_t more, tn_error *e);
/* Appends ids, which are 0 or more. */
int tn_dataset_append(tn_dataset *d, const int32_t *ids, int64_t n, tn_error *e);
/* Says of the ids from `first` on which carry loss. */
int tn_dataset_learn(tn_dataset *d, int64_t first, const bool *learnt, tn_error *e);
int tn_dataset_widen(tn_dataset *d, tn_error *e); /* gives every id four bytes */
/* merge.c: adds the rows of a small data set, which is then good for nothing but to be freed; ends
   this; returns memory of files that were read to the system. */
int tn_dataset_merge(tn_dataset *d, tn_dataset *part, tn_error *e);
/* Refuses a data set that is in files when their disk has no room for what a file still adds, if that
   is as the file was so far: before the file it had `before` tokens, and `rest` is that of the
   section. */
int tn_dataset_expect(const tn_dataset *d, int64_t before, double rest, tn_error *e);
int tn_dataset_settle(tn_dataset *d, tn_error *e);
void tn_dataset_rest(const tn_dataset *d);
/* join.c: adds the facts of a part, and what it left out. */
int tn_dataset_add_facts(tn_dataset *d, const tn_dataset *part, tn_error *e);
/* Appends the token that the tokenizer puts before a text, if it has one. */
int tn_dataset_begin(tn_maker m, tn_error *e);
/* Appends the ids of a text. continues: it goes on from a text whose ids come before. */
int tn_dataset_encode(tn_maker m, tn_span text, bool continues, tn_error *e);
/* Makes the ids from `first` on a record, cut at max_length, of which the first `masked` carry no
   loss. They are left out if none of its labels counts. (keep.c) */
int tn_dataset_keep(tn_dataset *d, int64_t first, int64_t masked, tn_error *e);
/* The two halves of it, for a pair, whose answers are cut one by one. */
typedef struct tn_row {
    int64_t masked, loss; /* ids at its beginning without loss; ids with loss, 0: it is left out */
    int64_t second;       /* of a pair, as in tn_sequence */
    bool cut, answer_cut; /* were ids, and ids with loss, cut off? */
} tn_row;
tn_row tn_dataset_cut_row(tn_dataset *d, int64_t first, int64_t masked);
int tn_dataset_add_row(tn_dataset *d, int64_t first, const tn_row *r, tn_error *e);
/* Notes why a record was left out, and where; path NULL: it is of no file. */
int tn_dataset_note(tn_dataset *d, tn_skip why, const char *path, int64_t line, tn_error *e);
/* Appends the ids of a record of texts. *masked becomes the number of those before its text. */
int tn_dataset_encode_pair(tn_maker m, tn_span prompt, tn_span text, int64_t *masked, tn_error *e);
/* Adds a prompt and how it goes on as a record, or leaves it out. (records.c) */
int tn_dataset_add_pair(tn_maker m, tn_span prompt, tn_span completion, tn_error *e);
/* Adds a chat as a record, or leaves it out. */
int tn_dataset_add_chat(tn_maker m, const tn_jsonl_record *r, tn_error *e);
/* Encodes a chat of n messages in a template (NULL: TN_ETEMPLATE). If it is too long and is cut in
   front, its oldest turns are left out; *dropped then says whether there were any, and answers to
   learn among them. */
typedef struct tn_dropped {
    bool turns, answer;
} tn_dropped;
int tn_dataset_encode_chat(tn_maker m, const tn_chat_template *chat, const tn_message *messages,
                           int64_t n, tn_chat_ids *out, tn_dropped *dropped, tn_error *e);
/* Adds a preference as a record of two rows, or leaves it out; *equal: because both rows are the
   same. (preference_record.c) */
int tn_dataset_add_preference(tn_maker m, const tn_jsonl_record *r, bool *equal, tn_error *e);
/* Makes all ids one text, and counts its windows. `place` is for messages. */
int tn_dataset_windows(tn_dataset *d, const tn_data_options *o, const char *place, tn_error *e);
/* Returns the data set; frees it and returns NULL after an error, or if it has no record. */
tn_dataset *tn_dataset_finish(tn_dataset *d, const char *place, tn_error *e);
/* Sets e to the inner error with its place, "PATH:LINE: MESSAGE"; line 0: without a line. */
int tn_dataset_fail(const char *place, int64_t line, const tn_error *inner, tn_error *e);

#endif
