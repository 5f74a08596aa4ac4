/* folder.h - work in a folder by its descriptor. Internal header.
   A call works only in that folder, even if somebody renames it meanwhile or puts a link in its
   place.

       int at = tn_folder_open(AT_FDCWD, "out");
       tn_at_rename(at, "a.tmp", at, "a", 0);
       tn_at_remove(at, "b", false);
       close(at);

   `at` is a descriptor of a folder or AT_FDCWD, and `name` is a path from there. Results are those
   of the system's calls: -1 and errno. A call that a signal interrupts is made again.

   Linux can interrupt open, read, write, fsync, ftruncate, flock, statvfs and close on a slow file
   system. If a program serves the file system (FUSE), Linux can also interrupt calls that look up a
   name or list a folder. It does not interrupt calls that need only memory or descriptors: mmap,
   lseek, fcntl, dup. */
#ifndef TN_FOLDER_H
#define TN_FOLDER_H

#include "core/core.h"

#include <sys/types.h>

struct stat;

int tn_at_open(int at, const char *name, int flags);
/* Opens a folder for reading. A link to a folder is refused (ELOOP or ENOTDIR). */
int tn_folder_open(int at, const char *name);
int tn_at_make(int at, const char *name); /* a new folder */
/* flags: AT_SYMLINK_NOFOLLOW asks about a link itself. */
int tn_at_stat(int at, const char *name, struct stat *out, int flags);
int tn_at_stat_self(int at, struct stat *out);                           /* of an open file, too */
ssize_t tn_at_link(int at, const char *name, char *target, size_t room); /* where a link leads */
/* flags 0: what was at `to` is gone. A system or file system may not know the others (EINVAL). */
enum {
    TN_RENAME_NEW = 1,  /* refused if there is something at `to` (EEXIST) */
    TN_RENAME_SWAP = 2, /* both change places */
};
int tn_at_rename(int from_at, const char *from, int to_at, const char *to, unsigned flags);
int tn_at_remove(int at, const char *name, bool folder); /* of a link: the link */
int tn_at_flush(int fd); /* a file, or the list of files of a folder */

/* The sorted names in a folder, ended by NULL; free them with tn_folder_names_free. NULL: see e. */
char **tn_folder_names(int at, const char *path, tn_error *e);
void tn_folder_names_free(char **names);

/* tn_writer writes NAME.tenon.tmp, and renames it to NAME when it is complete. */
#define TN_UNFINISHED ".tenon.tmp"
/* Does the folder `name` hold anything but files of these names (ended by NULL) and their
   unfinished forms? `other` then has the first such name. Returns false for a folder that cannot be
   read; removing the folder gives the error. */
bool tn_folder_has_others(int at, const char *name, const char *const *names, char other[256]);
/* Removes these files and the folder. A folder with other files stays as it is; so does a link. */
int tn_folder_remove(int at, const char *name, const char *const *names);

#endif
