/* folders.c - finds, makes and removes the folders checkpoint-N of a run.
   A folder with the name checkpoint-N is complete, because it was filled and flushed under another
   name before it was renamed. */
#include "optim/run/folders.h"
#include "data/formats/file.h"
#include "data/formats/folder.h"
#include "optim/run/trainer_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const checkpoint_files[] = { TN_STATE_WEIGHTS,        TN_STATE_MOMENTS,
                                                TN_STATE_FILE,           "tokenizer.json",
                                                "tokenizer_config.json", NULL };
static const char prefix[] = "checkpoint-", unfinished[] = ".tmp";

enum { NAME = 64, RUN_DIGITS = 16 }; /* bytes of a name */

/* ---- names ---- */

static void finished_name(int64_t step, char out[NAME])
{
    snprintf(out, NAME, "%s%" PRId64, prefix, step);
}

static void unfinished_name(int64_t step, uint64_t run, char out[NAME])
{
    snprintf(out, NAME, "%s%" PRId64 ".%016" PRIx64 "%s", prefix, step, run, unfinished);
}

/* The number after the prefix, if it has the form that we print: no leading zero, at most 18
   digits. Else -1. *rest becomes the text after the number. */
static int64_t read_number(const char *name, const char **rest)
{
    if (strncmp(name, prefix, sizeof prefix - 1))
        return -1;
    const char *s = name + sizeof prefix - 1;
    const size_t digits = strspn(s, "0123456789");
    *rest = s + digits;
    return !digits || digits > 18 || (*s == '0' && digits > 1) ? -1 : strtoll(s, NULL, 10);
}

int64_t tn_checkpoint_number(const char *path)
{
    const char *slash = strrchr(path, '/'), *rest = "";
    const int64_t n = read_number(slash ? slash + 1 : path, &rest);
    return *rest ? -1 : n;
}

/* "checkpoint-N.RUN.tmp" */
static bool read_unfinished(const char *name, uint64_t *run)
{
    const char *rest = "";
    if (read_number(name, &rest) < 0 || *rest++ != '.' ||
        strspn(rest, "0123456789abcdef") != RUN_DIGITS || strcmp(rest + RUN_DIGITS, unfinished))
        return false;
    *run = strtoull(rest, NULL, 16);
    return true;
}

char *tn_checkpoint_path(const char *folder, int64_t step)
{
    char name[NAME];
    finished_name(step, name);
    return tn_path_join(folder, name);
}

/* ---- which checkpoints there are ---- */

/* Reads the id of the checkpoint that is open as fd. False: it has no state, so is none. */
static bool read_id(int fd, const char *name, int64_t step, tn_checkpoint_id *out, tn_error *e)
{
    struct stat st;
    tn_state state;
    tn_error wrong = { 0 };
    if (tn_at_stat(fd, TN_STATE_FILE, &st, AT_SYMLINK_NOFOLLOW) ? errno == ENOENT
                                                                : !S_ISREG(st.st_mode))
        return false;
    if (!tn_state_load_at(fd, name, &state, &wrong)) {
        out->damaged = state.run.step != step;
        out->run = state.run.run;
    }
    if (wrong.code == TN_ENOMEM)
        *e = wrong;
    return true;
}

bool tn_checkpoint_identify(int at, const char *name, tn_checkpoint_id *out, tn_error *e)
{
    struct stat st;
    const int64_t step = tn_checkpoint_number(name);
    *out = (tn_checkpoint_id){ .damaged = true };
    if (e->code || step < 0 || tn_at_stat(at, name, &st, AT_SYMLINK_NOFOLLOW) ||
        !S_ISDIR(st.st_mode))
        return false;
    const int fd = tn_folder_open(at, name);
    const bool there = fd < 0 || read_id(fd, name, step, out, e);
    if (fd >= 0)
        close(fd);
    out->step = step;
    return there;
}

/* A checkpoint without a number may belong to any run. */
static bool is_of(const tn_checkpoint_id *id, uint64_t run)
{
    return !id->run || id->run == run;
}

int64_t tn_checkpoint_before(int at, int64_t below, uint64_t run, tn_error *e)
{
    tn_checkpoint_id id;
    int64_t best = -1;
    char **names = tn_folder_names(at, "checkpoints", e);
    for (size_t i = 0; names && names[i]; i++) {
        const int64_t n = tn_checkpoint_number(names[i]);
        if (n > best && n < below && tn_checkpoint_identify(at, names[i], &id, e) &&
            (id.damaged || !run || is_of(&id, run)))
            best = n;
    }
    tn_folder_names_free(names);
    return best;
}

bool tn_checkpoint_is_there(int at, uint64_t run, tn_error *e)
{
    tn_checkpoint_id id;
    bool found = false;
    char **names = tn_folder_names(at, "checkpoints", e);
    for (size_t i = 0; names && names[i] && !found; i++)
        found = tn_checkpoint_identify(at, names[i], &id, e) && !id.damaged && id.run == run;
    tn_folder_names_free(names);
    return found;
}

bool tn_checkpoint_has_others(int at, const char *name, char other[256])
{
    tn_state state;
    tn_error e = { 0 };
    const char *foreign = NULL;
    if (tn_folder_has_others(at, name, checkpoint_files, other))
        return true;
    const int fd = tn_folder_open(at, name);
    if (fd >= 0 && !tn_state_load_at(fd, name, &state, &e))
        foreign = tn_state_foreign(fd, name, &state);
    if (fd >= 0)
        close(fd);
    if (foreign)
        strcpy(other, foreign);
    return foreign != NULL;
}

/* ---- removing ---- */

void tn_checkpoint_sweep(int at, uint64_t run)
{
    tn_error e = { 0 };
    uint64_t of;
    char **names = tn_folder_names(at, "checkpoints", &e);
    for (size_t i = 0; names && names[i]; i++)
        if (read_unfinished(names[i], &of) && (!run || of == run))
            tn_folder_remove(at, names[i], checkpoint_files);
    tn_folder_names_free(names);
}

/* Renames the checkpoint to "unfinished" before it removes the files. If that is interrupted, the
   next save removes the rest. */
static void retire(int at, int64_t step, uint64_t run)
{
    char name[NAME], away[NAME], other[256];
    finished_name(step, name);
    unfinished_name(step, run, away);
    if (!tn_checkpoint_has_others(at, name, other) &&
        !tn_at_rename(at, name, at, away, TN_RENAME_NEW))
        tn_folder_remove(at, away, checkpoint_files);
}

/* Removes the checkpoints of a run with numbers under `below`, except the last `keep` of them and
   the two of `spared`. */
static void prune(int at, uint64_t run, int64_t below, int keep, const int64_t spared[2])
{
    tn_error e = { 0 }; /* what cannot be read stays */
    tn_checkpoint_id id;
    char name[NAME];
    for (int64_t n = below; (n = tn_checkpoint_before(at, n, run, &e)) >= 0;) {
        finished_name(n, name);
        if (tn_checkpoint_identify(at, name, &id, &e) && !id.damaged && is_of(&id, run) &&
            keep-- <= 0 && n != spared[0] && n != spared[1])
            retire(at, n, run);
    }
}

void tn_checkpoint_remove_all(int at, uint64_t run)
{
    prune(at, run, INT64_MAX, 0, (int64_t[]){ -1, -1 });
}

/* A save may be cut short before the file `best` has its new line: what it names stays, too. */
void tn_checkpoint_prune(int at, const tn_run_state *r, int keep)
{
    const int64_t best = r->best_step > 0 ? r->best_step : -1;
    prune(at, r->run, r->step, keep - 1, (int64_t[]){ best, tn_checkpoint_best(at) });
}

int64_t tn_checkpoint_best(int at)
{
    enum { LINE = NAME };
    tn_error e = { 0 }; /* a file that cannot be read names nothing */
    size_t size = 0;
    char *text = tn_file_read_at(at, TN_BEST_FILE, TN_BEST_FILE, LINE, &size, &e);
    int64_t step = -1;
    if (text && size && text[size - 1] == '\n') {
        text[size - 1] = 0;
        step = strchr(text, '/') ? -1 : tn_checkpoint_number(text);
    }
    free(text);
    return step;
}

/* ---- saving ---- */

int tn_checkpoint_begin(const char *folder, const tn_run_state *r, char **path, tn_error *e)
{
    char name[NAME];
    unfinished_name(r->step, r->run, name);
    *path = tn_path_join(folder, name);
    const int at = tn_folder_make(folder, e) ? -1 : tn_folder_open(AT_FDCWD, folder);
    if (!*path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    if (!e->code && at >= 0)
        tn_checkpoint_sweep(at, r->run);
    if (!e->code && (at < 0 || tn_at_make(at, name)))
        tn_fail(e, TN_EIO, "%s: cannot make this folder: %s", at < 0 ? folder : *path,
                strerror(errno));
    if (!e->code)
        return at;
    if (at >= 0)
        close(at);
    free(*path);
    *path = NULL;
    return -1;
}

/* May this run replace the checkpoint of that name? */
static bool is_ours(int at, const char *name, const tn_run_state *r)
{
    tn_error e = { 0 };
    tn_checkpoint_id id;
    char other[256];
    return tn_checkpoint_identify(at, name, &id, &e) && !id.damaged &&
           (is_of(&id, r->run) || (r->before && id.run == r->before)) &&
           !tn_checkpoint_has_others(at, name, other);
}

/* Flushes the folder `from`, gives it the name `to` and flushes the folder around it. */
static int replace(int at, const char *folder, const char *from, const char *to,
                   const tn_run_state *r, tn_error *e)
{
    struct stat st;
    const int fd = tn_folder_open(at, from);
    int failed = fd < 0 || tn_at_flush(fd);
    if (!failed && !tn_at_stat(at, to, &st, AT_SYMLINK_NOFOLLOW) && !is_ours(at, to, r))
        tn_fail(e, TN_ESTATE,
                "%s/%s: not of this run, and in the way of its checkpoint; expected "
                "nothing there",
                folder, to);
    if (!failed && !e->code) {
        failed = tn_at_rename(at, from, at, to, 0);
        if (failed && (errno == ENOTEMPTY || errno == EEXIST)) { /* both swap names at once */
            failed = tn_at_rename(at, from, at, to, TN_RENAME_SWAP);
            if (!failed)
                tn_folder_remove(at, from, checkpoint_files);
        }
        failed = failed || tn_at_flush(at);
    }
    if (failed)
        tn_fail(e, TN_EIO, "%s/%s: cannot be renamed to %s: %s", folder, from, to, strerror(errno));
    if (fd >= 0)
        close(fd);
    return e->code;
}

int tn_checkpoint_end(int at, const char *folder, const tn_run_state *r, int keep, tn_error *e)
{
    char from[NAME], to[NAME];
    if (at < 0)
        return e->code;
    unfinished_name(r->step, r->run, from);
    finished_name(r->step, to);
    if (!e->code)
        replace(at, folder, from, to, r, e);
    if (e->code)
        tn_folder_remove(at, from, checkpoint_files);
    if (!e->code)
        tn_checkpoint_prune(at, r, keep);
    if (!e->code && r->before && r->before != r->run)
        tn_checkpoint_remove_all(at, r->before);
    close(at);
    return e->code;
}
