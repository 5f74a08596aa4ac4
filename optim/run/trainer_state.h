/* trainer_state.h - writes and reads trainer_state.json of a checkpoint. Internal header.

   The reader does not trust the file. Every key must be known and occur once. Every number must be
   in range. The hash on the last line must be that of all lines before it. Older versions wrote
   format 1. It lacks planned, records, data_hash, run, config and frozen, which are then 0. */
#ifndef TN_TRAINER_STATE_H
#define TN_TRAINER_STATE_H

#include "optim/optim.h"

#define TN_STATE_FILE "trainer_state.json"
#define TN_STATE_WEIGHTS "model.safetensors"
#define TN_STATE_MOMENTS "optimizer.safetensors"

typedef struct tn_state {
    int64_t format; /* 1 or 2; always written as 2 */
    char optimizer[64];
    tn_run_state run;
    tn_base base;              /* hashes of the base of the trained weights */
    uint64_t weights, moments; /* hashes of the two other files */
} tn_state;

/* Hashes the two other files, which must be in the folder, and writes the file. Refuses a state
   that it could not read again. */
int tn_state_save(const char *folder, tn_state *s, tn_error *e);
int tn_state_load(const char *folder, tn_state *s, tn_error *e);
/* The same in the open folder `at`; `folder` is its name for messages. Refuses a link. */
int tn_state_load_at(int at, const char *folder, tn_state *s, tn_error *e);
/* Refuses files whose hashes are not those in the state. */
int tn_state_check_files(const char *folder, const tn_state *s, tn_error *e);

#endif
