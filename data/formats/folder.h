/* folder.h - work in a folder by its descriptor. Internal header.
   What is opened, renamed or removed lies in that very folder, wherever links lead and whatever the
   folder is called by now.

       int at = tn_folder_open(AT_FDCWD, "out");
       tn_at_rename(at, "a.tmp", at, "a", 0);
       tn_at_remove(at, "b", false);
       close(at);

   `at` is a descriptor of a folder or AT_FDCWD, `name` a path from there. Results are those of the
   system's calls (-1 and errno); a call that a signal interrupts is made again. Linux interrupts
   open, read, write, fsync, ftruncate, flock, statvfs and close on any slow file system, and on one
   that is served by a program (FUSE) whatever looks up a name or lists a folder, too. It does not
   interrupt what works on memory or descriptors alone: mmap, lseek, fcntl, dup, rename of a stream. */
#ifndef TN_FOLDER_H
#define TN_FOLDER_H

#include "core/core.h"

#include <sys/types.h>

struct stat;

int tn_at_open(int at, const char *name, int flags);
/* Reading a folder; a link to one is refused (ELOOP or ENOTDIR). */
int tn_folder_open(int at, const char *name);
int tn_at_make(int at, const char *name); /* a new folder */
/* Of flags AT_SYMLINK_NOFOLLOW looks at a link itself; AT_EMPTY_PATH, with the name "", at `at`. */
int tn_at_stat(int at, const char *name, struct stat *out, int flags);
ssize_t tn_at_link(int at, const char *name, char *target, size_t room); /* where a link leads */
int tn_at_rename(int from_at, const char *from, int to_at, const char *to, unsigned flags);
int tn_at_remove(int at, const char *name, bool folder); /* a link goes as a link */
int tn_at_flush(int fd); /* of a file, or a folder's list of files */

/* The names in a folder, sorted, ended by NULL; freed by tn_folder_names_free. NULL: e says why. */
char **tn_folder_names(int at, const char *path, tn_error *e);
void tn_folder_names_free(char **names);

/* What tn_writer calls a file until it is whole: NAME.tenon.tmp. */
#define TN_UNFINISHED ".tenon.tmp"
/* Does the folder `name` hold anything but files of these names (ended by NULL), whole or
   unfinished? Then it is named in `other`. False too where it cannot be read: removing it will
   say so. */
bool tn_folder_has_others(int at, const char *name, const char *const *names, char other[256]);
/* Removes these files and the folder; one that holds others, or is a link, stays as it is. */
int tn_folder_remove(int at, const char *name, const char *const *names);

#endif
