/* swap.h - files that wait in OUT/.tenon-RUN.tmp until they are moved into OUT.
   See rule 4 of output.h. `at` is OUT, opened, and `folder` its path for
   messages. */
#ifndef TN_APP_SWAP_H
#define TN_APP_SWAP_H

#include "apps/folder/marker.h"

enum { SWAP_NAME = 40 };
void swap_name(uint64_t run, char out[SWAP_NAME]); /* ".tenon-RUN.tmp" */
bool swap_waits(const char *name, uint64_t *run);  /* is it such a name? *run becomes its number */
/* From now on the folder of that name counts: its files, a marker among them, move up. Refuses to
   replace a file that belongs to no run. */
int swap_install(const output_kind *kind, int at, const char *folder, const char *name,
                 tn_error *e);
/* Removes the folder, unless something else is in it. */
int swap_remove(const output_kind *kind, int at, const char *name);
/* Settles the folders that earlier runs left: moves up files that count, and removes others. A
   resume refuses others. If the command has no checkpoints, it leaves them and sets *waiting to
   their run's number. */
int swap_recover(const output_kind *kind, int at, const char *folder, bool resume,
                 uint64_t *waiting, tn_error *e);
/* Fails with errno: "FOLDER: cannot WHAT: why". */
int swap_failed(const char *folder, const char *what, tn_error *e);

#endif
