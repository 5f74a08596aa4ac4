/* guard.h - the checks of a command's folder before anything is written into it.
   A command must not replace files that it reads, or files that belong to somebody else. */
#ifndef TN_APP_GUARD_H
#define TN_APP_GUARD_H

#include "apps/folder/output.h"

/* Refuses to write where the command reads. OUT, and each name in it that the command writes, must
   not be a file or folder of --model, --data ..., or contain one. Files are compared by device and
   inode, so that spelling, links and mounts do not matter. */
int guard_reads(const output *out, tn_error *e);
/* Resumes a run that has no marker: the checkpoints, config.used and log.jsonl in the folder are
   taken for files of that run, a result is not. */
int guard_adopt(output *out, tn_error *e);
/* Takes the files that are not what the run wrote off the marker's list: their hash is another, or
   they begin otherwise. A resume goes on with files that grow and with config.used, so that only
   the result is looked at then. */
int guard_changed(output *out, tn_error *e);
/* Refuses a folder in which a name that the command writes belongs to a file that the marker does
   not list. If an older tenon, without markers, wrote that file, the message has the command that
   removes it. */
int guard_names(const output *out, tn_error *e);
#endif
