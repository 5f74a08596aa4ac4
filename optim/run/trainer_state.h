/* trainer_state.h - writes and reads trainer_state.json of a checkpoint. Internal header.

   The reader does not trust the file. Every key must be known and occur once. Every number must be
   in range. The hash on the last line must be that of all lines before it. Older versions wrote
   format 1 to 3. Format 1 lacks planned, records, data_hash, run, config and frozen, format 2 the
   hashes of the tokenizer's files, format 3 best_step, progress, waited
   and the six behind them. What is lacking becomes
   0, or NaN if it is a loss. */
#ifndef TN_TRAINER_STATE_H
#define TN_TRAINER_STATE_H

#include "optim/optim.h"

#define TN_STATE_FILE "trainer_state.json"
#define TN_STATE_WEIGHTS "model.safetensors"
#define TN_STATE_CONFIG "adapter_config.json" /* a key of its metadata; nn/folders reads it */
#define TN_STATE_MOMENTS "optimizer.safetensors"

typedef struct tn_state {
    int64_t format; /* 1 to 4; always written as 4 */
    char optimizer[64];
    tn_run_state run;
    tn_base base;                         /* hashes of the base of the trained weights */
    uint64_t weights, moments;            /* hashes of the files */
    uint64_t tokenizer, tokenizer_config; /* 0: the run gave no tokenizer */
} tn_state;

/* Hashes the other files, which must be in the folder, and writes the file. Refuses a state that it
   could not read again. */
int tn_state_save(const char *folder, tn_state *s, tn_error *e);
int tn_state_load(const char *folder, tn_state *s, tn_error *e);
/* The same in the open folder `at`; `folder` is its name for messages. Refuses a link. */
int tn_state_load_at(int at, const char *folder, tn_state *s, tn_error *e);
/* Refuses weights and moments whose hashes are not those in the state. */
int tn_state_check_files(const char *folder, const tn_state *s, tn_error *e);
/* The name of a tokenizer file in the open folder `at` that is not the one in the state: somebody
   put it there, or it cannot be read. NULL: there is none. */
const char *tn_state_foreign(int at, const char *folder, const tn_state *s);

#endif
