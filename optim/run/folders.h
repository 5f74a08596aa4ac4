/* folders.h - the folders checkpoint-N of a run on the disk, and the file `best`. Internal header.

   A checkpoint is a folder with a trainer_state.json, which has N and the number of the run. Older
   ones do not have the number and may belong to any run. While a checkpoint is filled or removed
   its name is checkpoint-N.RUN.tmp (RUN: 16 hexadecimal digits). All other files are not ours and
   stay. A checkpoint to which somebody has added files stays, too. */
#ifndef TN_FOLDERS_H
#define TN_FOLDERS_H

#include "optim/optim.h"

#define TN_BEST_FILE "best" /* one line: "checkpoint-N" */

/* The N of "checkpoint-N", perhaps after folders. -1: another name, such as "checkpoint-007". */
int64_t tn_checkpoint_number(const char *path);
/* "folder/checkpoint-STEP" in new memory; NULL when memory is out. */
char *tn_checkpoint_path(const char *folder, int64_t step);

typedef struct tn_checkpoint_id {
    int64_t step;
    uint64_t run;
    bool damaged; /* the state cannot be read, or its step is not that of the name */
} tn_checkpoint_id;
/* Is `name` in the folder `at` a checkpoint: a folder of that form, not a link, with a state? The
   only error is that memory is out. A file that the system refuses to read counts as damaged. */
bool tn_checkpoint_identify(int at, const char *name, tn_checkpoint_id *out, tn_error *e);
/* Does the folder hold a file that the run did not write, or another tokenizer than the run's?
   `other` then has the name of the first such file. */
bool tn_checkpoint_has_others(int at, const char *name, char other[256]);
/* The largest N < below of the checkpoints of a run (0: of any), damaged ones included. -1: there
   is none, or e is set. */
int64_t tn_checkpoint_before(int at, int64_t below, uint64_t run, tn_error *e);

/* Is there a checkpoint of this run (not 0) that is not damaged? */
bool tn_checkpoint_is_there(int at, uint64_t run, tn_error *e);

/* Makes the folder, and in it an empty folder for checkpoint-STEP. The path of the second is put
   into new memory. Returns the descriptor of the first, which tn_checkpoint_end closes, or -1 with
   the reason in e. */
int tn_checkpoint_begin(const char *folder, const tn_run_state *r, char **path, tn_error *e);
/* The N of the file `best` in a folder, whose line "checkpoint-N" names the best checkpoint. -1:
   there is no such file, or it has another content. */
int64_t tn_checkpoint_best(int at);
/* Removes the checkpoints of the run under r->step that a save with this `keep` does not keep. */
void tn_checkpoint_prune(int at, const tn_run_state *r, int keep);
/* Gives the filled folder its name, and removes checkpoints that are not kept. If e is set, it
   removes the folder. */
int tn_checkpoint_end(int at, const char *folder, const tn_run_state *r, int keep, tn_error *e);

/* Removes the rests of interrupted saves and removals, of one run or of all runs (0). */
void tn_checkpoint_sweep(int at, uint64_t run);
void tn_checkpoint_remove_all(int at, uint64_t run); /* the checkpoints of that run */

#endif
