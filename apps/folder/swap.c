/* swap.c - moves waiting files into OUT, and finishes or removes the files of a killed run. */
#include "apps/folder/swap.h"
#include "data/formats/folder.h"
#include "optim/run/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char counts[] = ".tenon-new"; /* the name of a folder whose files move up into OUT */

int swap_failed(const char *folder, const char *what, tn_error *e)
{
    return tn_fail(e, errno == ENOMEM ? TN_ENOMEM : TN_EIO, "%s: cannot %s: %s", folder, what,
                   strerror(errno));
}

void swap_name(uint64_t run, char out[SWAP_NAME])
{
    snprintf(out, SWAP_NAME, ".tenon-%016" PRIx64 ".tmp", run);
}

bool swap_waits(const char *name, uint64_t *run)
{
    char again[SWAP_NAME];
    if (strncmp(name, ".tenon-", 7))
        return false;
    *run = strtoull(name + 7, NULL, 16);
    swap_name(*run, again);
    return !strcmp(name, again);
}

int swap_remove(const output_kind *kind, int at, const char *name)
{
    const char *names[OUTPUT_NAMES + 1] = { MARKER };
    for (int i = 0; kind->names[i].name; i++)
        names[i + 1] = kind->names[i].name;
    return tn_folder_remove(at, name, names);
}

/* Moves one file up. If it does not exist, it was moved before. */
static int move_up(int from, int at, const char *folder, const char *name, bool over, tn_error *e)
{
    if (e->code || !tn_at_rename(from, name, at, name, over ? 0 : TN_RENAME_NEW) || errno == ENOENT)
        return e->code;
    if (errno == EEXIST)
        return tn_fail(e, TN_ESTATE,
                       "%s/%s: put there while this run went on; expected nothing of "
                       "that name",
                       folder, name);
    return swap_failed(folder, "put the new files in place", e);
}

/* Renames a file that is about the older result, which stays for now. It was renamed before if the
   new file is in its place, or if an earlier run gave that result its file. */
static int keep_older(const output_kind *kind, int from, int at, const char *folder, int i,
                      const marker *old, const marker *new, tn_error *e)
{
    const struct output_name *n = &kind->names[i];
    struct stat st;
    const int older = n->older ? output_name_find(kind, n->older) : -1;
    if (e->code || older < 0 || !(new->own >> older & 1) || !(old->own >> i & 1) ||
        tn_at_stat(from, n->name, &st, AT_SYMLINK_NOFOLLOW))
        return e->code;
    if (tn_at_rename(at, n->name, at, n->older, TN_RENAME_NEW) && errno != EEXIST &&
        errno != ENOENT)
        swap_failed(folder, "keep the files of the older result", e);
    return e->code;
}

/* Renames what is about the older result, removes what the old marker lists and the new one does
   not, then moves the new marker, then the files. In this order it can begin again wherever it was
   cut short. */
static int move_all(const output_kind *kind, int from, int at, const char *folder, tn_error *e)
{
    marker old, new;
    marker_read(kind, at, folder, &old, e);
    if (!marker_read(kind, from, folder, &new, e) && !new.there)
        new = old; /* it was moved */
    if (!e->code && strcmp(new.command, kind->command))
        tn_fail(e, TN_ESTATE, "%s: what tenon %s wrote; expected another folder", folder,
                new.command);
    for (int i = 0; kind->names[i].name; i++)
        keep_older(kind, from, at, folder, i, &old, &new, e);
    for (int i = 0; kind->names[i].name && !e->code; i++)
        if ((old.own & ~new.own) >> i & 1 && tn_at_remove(at, kind->names[i].name, false) &&
            errno != ENOENT)
            swap_failed(folder, "remove the older result", e);
    move_up(from, at, folder, MARKER, old.there, e);
    for (int i = 0; kind->names[i].name; i++)
        move_up(from, at, folder, kind->names[i].name, !old.there || old.own >> i & 1,
                e); /* there is no old marker: checked before */
    return e->code;
}

/* Goes on moving the files of a folder that counts, if there is one. */
static int move_on(const output_kind *kind, int at, const char *folder, tn_error *e)
{
    const int from = e->code ? -1 : tn_folder_open(at, counts);
    if (from < 0 && !e->code && errno != ENOENT)
        tn_fail(e, TN_EIO, "%s/%s: cannot be opened: %s", folder, counts, strerror(errno));
    if (from < 0)
        return e->code;
    move_all(kind, from, at, folder, e);
    close(from);
    if (!e->code && swap_remove(kind, at, counts))
        tn_fail(e, TN_EIO, "%s/%s: cannot be removed: %s", folder, counts, strerror(errno));
    if (!e->code && tn_at_flush(at))
        swap_failed(folder, "flush this folder", e);
    return e->code;
}

int swap_install(const output_kind *kind, int at, const char *folder, const char *name, tn_error *e)
{
    if (!e->code && (tn_at_rename(at, name, at, counts, TN_RENAME_NEW) || tn_at_flush(at)))
        swap_failed(folder, "put the new files in place", e);
    return move_on(kind, at, folder, e);
}

/* Settles a folder that waits: if its run has a checkpoint, its files count. */
static int settle(const output_kind *kind, int at, const char *folder, const char *name,
                  uint64_t run, bool resume, uint64_t *waiting, tn_error *e)
{
    marker m;
    if (marker_read(kind, at, folder, &m, e))
        return e->code;
    if (kind->checkpoints && run != m.run && tn_checkpoint_is_there(at, run, e))
        return swap_install(kind, at, folder, name, e);
    if (resume && run != m.run && !kind->checkpoints) {
        *waiting = run;
        return e->code;
    }
    if (!e->code && resume && run != m.run)
        return tn_fail(
            e, TN_ESTATE,
            "%s: the run that was begun last was killed before its first "
            "checkpoint; expected --overwrite, which begins it anew (rm -r %s/%s goes back "
            "to the run before it)",
            folder, folder, name);
    if (!e->code && swap_remove(kind, at, name)) /* which a killed run left */
        tn_fail(e, TN_EIO, "%s/%s: cannot be removed: %s", folder, name, strerror(errno));
    return e->code;
}

int swap_recover(const output_kind *kind, int at, const char *folder, bool resume,
                 uint64_t *waiting, tn_error *e)
{
    marker m;
    uint64_t run;
    move_on(kind, at, folder, e);
    char **all = e->code ? NULL : tn_folder_names(at, folder, e);
    for (size_t i = 0; all && all[i] && !e->code; i++)
        if (swap_waits(all[i], &run))
            settle(kind, at, folder, all[i], run, resume, waiting, e);
    tn_folder_names_free(all);
    if (!marker_read(kind, at, folder, &m, e) && kind->checkpoints) {
        tn_checkpoint_sweep(at, 0);
        if (m.before)
            tn_checkpoint_remove_all(at, m.before);
    }
    return e->code;
}
