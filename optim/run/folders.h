/* folders.h - the folders checkpoint-N of a run on the disk. Internal header.

   A checkpoint is known by its trainer_state.json, which says N and the run's number; one without a
   number, as tenon once wrote them, may be of any run. Under the name
   checkpoint-N.RUN.tmp (RUN: 16 hexadecimal digits) it is filled, and emptied. What is neither is
   not ours, and stays; so does a checkpoint in which somebody has put more. */
#ifndef TN_FOLDERS_H
#define TN_FOLDERS_H

#include "optim/optim.h"

extern const char *const tn_checkpoint_files[]; /* weights, optimizer, state; ended by NULL */

/* The N of "checkpoint-N", perhaps behind folders; -1: another name ("checkpoint-007" is one). */
int64_t tn_checkpoint_number(const char *path);
/* "folder/checkpoint-STEP" in new memory; NULL: no memory. */
char *tn_checkpoint_path(const char *folder, int64_t step);

/* damaged: the state cannot be read, or its step is not the name's. */
/* clang-format off */
typedef struct tn_checkpoint_id { int64_t step; uint64_t run; bool damaged; } tn_checkpoint_id;
/* clang-format on */
/* Is `name` in the folder `at` a checkpoint: a folder of that form, no link, with a state? Errors:
   out of memory alone; what the system does not let us read is damaged. */
bool tn_checkpoint_identify(int at, const char *name, tn_checkpoint_id *out, tn_error *e);
/* Largest N < below of the checkpoints of a run (0: of any), damaged ones too; -1: none,
   or e is set. */
int64_t tn_checkpoint_before(int at, int64_t below, uint64_t run, tn_error *e);

/* Has this run (not 0) a checkpoint that is whole? Damaged ones say nothing. */
bool tn_checkpoint_is_there(int at, uint64_t run, tn_error *e);

/* Makes the folder and in it an empty one for checkpoint-STEP; its path in new memory. The folder's
   descriptor, which tn_checkpoint_end closes; -1: e says why. */
int tn_checkpoint_begin(const char *folder, const tn_run_state *r, char **path, tn_error *e);
/* Puts what was filled in its place and removes what is not kept; if e is set, removes it. */
int tn_checkpoint_end(int at, const char *folder, const tn_run_state *r, int keep, tn_error *e);

/* What saves and removals that were cut short left; of one run, or of all (0). */
void tn_checkpoint_sweep(int at, uint64_t run);
void tn_checkpoint_remove_all(int at, uint64_t run); /* of that run */

#endif
