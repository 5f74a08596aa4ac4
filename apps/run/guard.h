/* guard.h - what may not happen to the folder of a command. */
#ifndef TN_APP_GUARD_H
#define TN_APP_GUARD_H

#include "apps/run/output.h"

/* Refuses to write where the command reads: OUT, or anything in it that the command writes, is not a
   file or folder of --model, --data ..., nor lies one in it. Compared by device and inode, so that
   spelling, links and mounts do not matter. */
int guard_reads(const output *out, tn_error *e);
/* A folder without a marker whose run is to be resumed: it is that run's as far as its files show it,
   which the result's do not. */
int guard_adopt(output *out, tn_error *e);
/* Refuses a folder that holds, under a name which the command writes, what is not of a run that the
   marker knows; that of a tenon without markers with the command that removes it. */
int guard_names(const output *out, tn_error *e);
#endif
