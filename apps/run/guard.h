/* guard.h - the checks of a command's folder before anything is written into it.
   Nothing that is read, and nothing that belongs to somebody else, may be replaced. */
#ifndef TN_APP_GUARD_H
#define TN_APP_GUARD_H

#include "apps/run/output.h"

/* Refuses to write where the command reads: OUT, or anything in it that the command writes, is not
   a file or folder of --model, --data ..., nor lies one in it. Compared by device and inode, so
   that spelling, links and mounts do not matter. */
int guard_reads(const output *out, tn_error *e);
/* For the resume of a run without a marker: the folder's checkpoints, config.used and log.jsonl
   count as that run's, its result does not. */
int guard_adopt(output *out, tn_error *e);
/* Refuses a folder where a name that the command writes is taken by a file which the marker does
   not list. Where an older tenon without markers wrote it, the message has the command that removes
   it. */
int guard_names(const output *out, tn_error *e);
#endif
