/* marker.h - .tenon-run, which a run leaves in the folder that it writes into.
   It holds the run's number and the list of its files with their hashes: a later run may replace
   these, as long as they are unchanged, and the checkpoints of that number, and nothing else.

       marker m;
       if (!marker_read(&output_train, at, "out", &m, e) && m.there) ...
       marker_write(&output_train, "out/.tenon-00000000000000ab.tmp", &m, e); */
#ifndef TN_APP_MARKER_H
#define TN_APP_MARKER_H

#include "core/core.h"

#define MARKER ".tenon-run"

enum { OUTPUT_NAMES = 20 };

/* What a command writes into its folder. */
typedef struct output_kind {
    const char *command, *option; /* "train", "--output-dir" */
    bool checkpoints;             /* folders checkpoint-N too */
    bool again;                   /* replaces its older result without --overwrite */
    const char *older;            /* what a folder with a sign holds, for messages; NULL: a run */
    /* The file, and the text in it, that older versions wrote; NULL: none did. */
    const char *old_file, *old_text;
    struct output_name {
        const char *name;
        bool result;       /* written at the end, or about an older result */
        bool sign;         /* if it is not empty, the folder holds work that is worth keeping */
        const char *head;  /* a file that grows begins so; NULL: it is written once */
        const char *older; /* its name while it is about a result that a new run is to replace */
        bool follows;      /* it is about checkpoints: it goes when those of its run go */
    } names[OUTPUT_NAMES]; /* ended by a NULL name */
} output_kind;

typedef struct marker {
    bool there;
    char command[16];
    uint64_t run, before; /* before: its checkpoints go when `run` has its first; 0: none */
    bool unnumbered;      /* the run's older checkpoints have no number */
    unsigned own;         /* bit i: kind->names[i] belongs to this run or to the one before */
    uint64_t hash[OUTPUT_NAMES]; /* of its bytes; 0: not known, or the file grows */
} marker;

/* Reads the marker in the open folder `at`; `folder` is for messages. Names that the command does
   not write are ignored. */
int marker_read(const output_kind *kind, int at, const char *folder, marker *m, tn_error *e);
int marker_write(const output_kind *kind, const char *folder, const marker *m, tn_error *e);
/* Hash of the bytes of a file in the open folder `at`, which `folder` names; 0 after an error. */
uint64_t marker_hash(int at, const char *folder, const char *name, tn_error *e);
/* The bits of the files of a result, and of those about checkpoints. */
unsigned marker_results(const output_kind *kind);
unsigned marker_followers(const output_kind *kind);
/* If the older run that `old` lists has a result, which stays while `files` are replaced: adds the
   older names of these files to m. A resume goes on with files that grow, so that they stay. */
void marker_add_older(const output_kind *kind, const marker *old, unsigned files, bool resume,
                      marker *m);
/* Which of the names is this; -1: none. */
int output_name_find(const output_kind *kind, const char *name);

#endif
