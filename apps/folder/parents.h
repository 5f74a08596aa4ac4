/* parents.h - makes a folder and the missing folders above it, and removes them again.

       int made = parents_make("new/deep/out", e);
       parents_unmake("new/deep/out", made);    removes those that are still empty */
#ifndef TN_APP_PARENTS_H
#define TN_APP_PARENTS_H

#include "core/core.h"

/* Returns how many of the path's folders were made. If one cannot be made, none is left.
   A folder that is made before a ".." of the path is not counted and stays: the folders above the
   last ones may then belong to somebody else. */
int parents_make(const char *path, tn_error *e);
void parents_unmake(const char *path, int made);

#endif
