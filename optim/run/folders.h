/* folders.h - the folders checkpoint-N of a run on the disk. Internal header. */
#ifndef TN_FOLDERS_H
#define TN_FOLDERS_H

#include "data/data.h"

/* "folder/checkpoint-STEPsuffix" in new memory; NULL: no memory. */
char *tn_checkpoint_path(const char *folder, int64_t step, const char *suffix);
/* The number of "checkpoint-N", perhaps behind folders; -1: another name. */
int64_t tn_checkpoint_number(const char *path);
/* Largest N < below of the checkpoints in folder that hold `file`; -1: none. */
int64_t tn_checkpoint_before(const char *folder, int64_t below, const char *file);
bool tn_file_exists(const char *folder, const char *name);
int tn_folder_flush(const char *path, tn_error *e); /* its list of files reaches the disk */
/* Flushes `from`, gives it the name `to` (what was there goes) and flushes the folder around it. */
int tn_folder_replace(const char *from, const char *to, const char *around, tn_error *e);
void tn_folder_remove(const char *path);            /* with the files in it */
/* Removes the checkpoints before number `newest` but the last keep - 1 of them, and leftovers. */
void tn_checkpoint_prune(const char *folder, int64_t newest, int keep, const char *file);

#endif
