/* state.h - trainer_state.json of a checkpoint, written and read.
   Internal header.

   It is read as a stranger's file: every key is known and there once, every number in range, and its
   own hash, on the last line, is that of all before it. Format 1 is of tenon before it knew the base;
   planned, records, data_hash, run, config and frozen are 0 there. */
#ifndef TN_STATE_H
#define TN_STATE_H

#include "optim/optim.h"

#define TN_STATE_FILE "trainer_state.json"
#define TN_STATE_WEIGHTS "model.safetensors"
#define TN_STATE_MOMENTS "optimizer.safetensors"

typedef struct tn_state {
    int64_t format; /* 1 or 2; always written as 2 */
    char optimizer[64];
    tn_run_state run;
    tn_base base;              /* what the trained weights stand on */
    uint64_t weights, moments; /* hashes of the two other files */
} tn_state;

/* Refuses what could not be read again. The hashes of the files are taken from the folder. */
int tn_state_save(const char *folder, tn_state *s, tn_error *e);
int tn_state_load(const char *folder, tn_state *s, tn_error *e);
/* In the open folder `at`, whose name is for messages; no link. */
int tn_state_load_at(int at, const char *folder, tn_state *s, tn_error *e);
/* Refuses files whose hashes are not those of the state. */
int tn_state_check_files(const char *folder, const tn_state *s, tn_error *e);

#endif
