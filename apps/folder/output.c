/* output.c - takes a command's folder, and puts the files of a run into it, all or none. */
#include "apps/folder/guard.h"
#include "apps/folder/parents.h"
#include "apps/folder/swap.h"
#include "apps/report/show.h"
#include "data/formats/file.h"
#include "data/formats/folder.h"
#include "optim/run/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* ---- opening ---- */

/* The first file in OUT that is worth keeping; NULL: none. */
static const char *find_sign(const output *out)
{
    struct stat st;
    for (int i = 0; out->kind->names[i].name; i++) {
        const struct output_name *n = &out->kind->names[i];
        if (n->sign && out->m.own >> i & 1 &&
            (tn_at_stat(out->at, n->name, &st, AT_SYMLINK_NOFOLLOW) ? errno != ENOENT
                                                                    : st.st_size > 0))
            return n->name;
    }
    return NULL;
}

/* Refuses an older run unless it is to be continued or replaced. */
static int check_older(output *out, tn_error *e)
{
    const bool asked = out->resume || out->o->overwrite;
    const char *sign = find_sign(out);
    const int64_t step = out->kind->checkpoints && out->m.there
                             ? tn_checkpoint_before(out->at, INT64_MAX, out->m.run, e)
                             : -1;
    if (e->code)
        return e->code;
    if (out->resume && out->kind->checkpoints && step < 0)
        return tn_fail(e, TN_ESTATE, "%s: no complete checkpoint; expected one to resume",
                       out->folder);
    if (sign && !asked && out->kind->older)
        return tn_fail(e, TN_ESTATE, "%s/%s: %s", out->folder, sign, out->kind->older);
    const bool failed =
        sign && !(marker_results(out->kind) >> output_name_find(out->kind, sign) & 1);
    if (sign && !asked && !out->kind->again && !(failed && step >= 0))
        return tn_fail(e, TN_ESTATE, "%s: holds a %s run (%s); --overwrite replaces it",
                       out->folder, failed ? "failed" : "finished", sign);
    if (step >= 0 && !asked)
        return tn_fail(e, TN_ESTATE,
                       "%s: holds a run stopped after step %lld; --resume continues "
                       "it, --overwrite replaces it",
                       out->folder, (long long)step);
    if (((sign || step >= 0) && !out->resume) || out->waiting)
        out->before = out->m.run;
    return 0;
}

/* From now on files go to OUT ("."), or to a folder in it. */
static int work_in(output *out, const char *name, tn_error *e)
{
    char *work = strcmp(name, ".") ? tn_path_join(out->folder, name) : strdup(out->folder);
    const int at = work ? tn_folder_open(out->at, name) : -1;
    if (!work)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", out->folder);
    else if (at < 0)
        swap_failed(work, "open this folder", e);
    if (out->work_at >= 0)
        close(out->work_at);
    free(out->work);
    out->work = work;
    out->work_at = at;
    return e->code;
}

/* Is another process at work in the folder? A killed process may need a moment to end. */
static bool is_taken(int at)
{
    enum { TRIALS = 50 };
    const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
    bool taken = true;
    for (int i = 0; i < TRIALS && taken; i++) {
        taken = flock(at, LOCK_EX | LOCK_NB) && (errno == EWOULDBLOCK || errno == EINTR);
        if (taken)
            nanosleep(&pause, NULL);
    }
    return taken;
}

/* Locks an existing folder for this process, and refuses files that must not be in it. */
static int take(output *out, tn_error *e)
{
    out->at = tn_folder_open(AT_FDCWD, out->folder);
    if (out->at < 0)
        return swap_failed(out->folder, "open this folder", e);
    if (is_taken(out->at))
        return tn_fail(e, TN_ESTATE, "%s: another run is writing there; expected another folder",
                       out->folder);
    if (guard_reads(out, e) ||
        swap_recover(out->kind, out->at, out->folder, out->resume, &out->waiting, e) ||
        marker_read(out->kind, out->at, out->folder, &out->m, e))
        return e->code;
    if (out->m.there && strcmp(out->m.command, out->kind->command))
        return tn_fail(e, TN_ESTATE, "%s: what tenon %s wrote; expected another folder",
                       out->folder, out->m.command);
    if (!out->m.there && out->resume && out->kind->checkpoints)
        guard_adopt(out, e);
    if (guard_changed(out, e) || guard_names(out, e) || check_older(out, e) || !out->waiting)
        return e->code;
    char name[SWAP_NAME];
    swap_name(out->waiting, name);
    return work_in(out, name, e);
}

/* The path without slashes and dots at its end: lstat of "link/" would follow the link. */
static char *plain_path(const char *path)
{
    char *plain = strdup(path);
    for (size_t n = plain ? strlen(plain) : 0; n > 1; plain[--n] = 0)
        if (plain[n - 1] != '/' && !(plain[n - 1] == '.' && plain[n - 2] == '/'))
            break;
    return plain;
}

int output_open(output *out, const output_kind *kind, const char *folder, const options *o,
                bool resume, tn_error *e)
{
    struct stat st;
    char target[256] = "";
    *out = (output){ .kind = kind, .o = o, .resume = resume, .at = -1, .work_at = -1 };
    out->folder = plain_path(folder);
    out->work = out->folder ? strdup(out->folder) : NULL;
    if (!out->work)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    if (tn_at_stat(AT_FDCWD, out->folder, &st, AT_SYMLINK_NOFOLLOW)) {
        if (errno != ENOENT && errno != ENOTDIR)
            return swap_failed(out->folder, "look at this folder", e);
        if (resume && kind->checkpoints)
            return tn_fail(e, TN_ESTATE, "%s: %s; expected the folder of a run to resume",
                           out->folder, strerror(errno));
        return 0;
    }
    if (S_ISLNK(st.st_mode) && tn_at_link(AT_FDCWD, out->folder, target, sizeof target - 1) >= 0)
        return tn_fail(e, TN_ESTATE,
                       "%s: a link to %s; expected a folder, or nothing yet (the result takes the "
                       "place of the folder, and would take that of the link)",
                       out->folder, target);
    if (!S_ISDIR(st.st_mode))
        return tn_fail(e, TN_EIO, "%s: a file; expected a folder, or nothing yet", out->folder);
    return take(out, e);
}

/* ---- beginning ---- */

/* `at` is open in the place that `where` names. */
static int check_space(int at, const char *where, double bytes, const char *beside, tn_error *e)
{
    struct statvfs fs;
    char left[SHOWN], needed[SHOWN];
    int failed;
    do
        failed = fstatvfs(at, &fs);
    while (failed && errno == EINTR);
    if (failed)
        return swap_failed(where, "ask for the free space", e);
    const double room = (double)fs.f_bavail * (double)fs.f_frsize;
    if (room < bytes)
        tn_fail(e, TN_EIO, "%s: %s are free on this disk; expected %s, for the result%s", where,
                show_bytes(room, left), show_bytes(bytes, needed), beside);
    return e->code;
}

static int check_room(const output *out, double bytes, tn_error *e)
{
    return check_space(out->at, out->folder, bytes,
                       out->kind->checkpoints ? " and one checkpoint" : "", e);
}

/* The run's number: the hash, or the hash of that if the run that is replaced has this number. */
static uint64_t number_from(const output *out, uint64_t hash)
{
    while (!hash || hash == out->before)
        hash = tn_hash64(&hash, sizeof hash, 0);
    return hash;
}

/* ---- writing ---- */

int output_here(const output *out, tn_error *e)
{
    struct stat a, b;
    if (!e->code && (tn_at_stat_self(out->at, &a) ||
                     tn_at_stat(AT_FDCWD, out->folder, &b, AT_SYMLINK_NOFOLLOW) ||
                     a.st_dev != b.st_dev || a.st_ino != b.st_ino))
        tn_fail(e, TN_EIO,
                "%s: moved away while this run went on; expected it to stay in its place",
                out->folder);
    return e->code;
}

int output_stage(output *out, tn_error *e)
{
    char name[SWAP_NAME];
    swap_name(out->run, name);
    if (output_here(out, e))
        return e->code;
    if (!out->waiting && tn_at_make(out->at, name))
        return swap_failed(out->folder, "make a folder in it", e);
    out->waits = true;
    out->kept = out->waiting != 0;
    return work_in(out, name, e);
}

int output_begin(output *out, uint64_t hash, double bytes, tn_error *e)
{
    if (!e->code && out->at < 0) {
        out->made = parents_make(out->folder, e);
        if (!e->code)
            take(out, e);
    }
    if (e->code || check_room(out, bytes, e))
        return e->code;
    out->run = out->waiting ? out->waiting : out->resume ? out->m.run : 0;
    out->run = out->run ? out->run : number_from(out, hash);
    if (output_stage(out, e))
        return e->code;
    /* After a kill, if there is a checkpoint, this marker shows that the run owns OUT. */
    marker m = out->m;
    m.run = out->run;
    m.before = out->before;
    m.unnumbered = out->resume && out->m.unnumbered;
    for (int i = 0; out->kind->names[i].name; i++)
        if (!out->kind->names[i].result) {
            m.own |= 1u << i;
            m.hash[i] = 0; /* of the older file */
        }
    if (out->before)
        marker_add_older(out->kind, &out->m, ~marker_results(out->kind), false, &m);
    return marker_write(out->kind, out->work, &m, e);
}

/* Flushes the files that wait. Returns their bits, and gives their hashes to m. */
static unsigned waiting_files(const output *out, marker *m, tn_error *e)
{
    unsigned files = 0;
    for (int i = 0; out->kind->names[i].name && !e->code; i++) {
        const struct output_name *n = &out->kind->names[i];
        const int fd = tn_at_open(out->work_at, n->name, O_RDONLY | O_NOFOLLOW);
        if (fd < 0 && errno == ENOENT)
            continue;
        files |= 1u << i;
        m->hash[i] = fd < 0 || n->head ? 0 : marker_hash(out->work_at, out->work, n->name, e);
        if (fd < 0 || tn_at_flush(fd))
            swap_failed(out->work, "flush the files", e);
        if (fd >= 0)
            close(fd);
    }
    return files;
}

/* Refuses to replace a file that belongs to no run: it was put there after this one began. */
static int check_free(const output *out, unsigned files, tn_error *e)
{
    struct stat st;
    for (int i = 0; out->kind->names[i].name && !e->code; i++)
        if ((files & ~out->m.own) >> i & 1 &&
            !tn_at_stat(out->at, out->kind->names[i].name, &st, AT_SYMLINK_NOFOLLOW))
            tn_fail(e, TN_ESTATE,
                    "%s/%s: put there while this run went on; expected nothing of that "
                    "name",
                    out->folder, out->kind->names[i].name);
    return e->code;
}

int output_place(output *out, tn_error *e)
{
    char name[SWAP_NAME];
    if (e->code || !out->waits)
        return e->code;
    guard_changed(out, e);
    marker m = out->m;
    const unsigned results = marker_results(out->kind);
    const unsigned files = waiting_files(out, &m, e);
    const bool result = (files & results) != 0; /* then all files of the older run go */
    m.run = out->run;
    m.before = result ? 0 : out->before;
    m.unnumbered = out->resume && out->m.unnumbered;
    m.own = files | (out->m.own & ~(result ? results : 0));
    if (out->m.run != out->run) /* whose checkpoints are gone */
        m.own &= files | ~marker_followers(out->kind);
    if (!result)
        marker_add_older(out->kind, &out->m, files, out->resume, &m);
    if (check_free(out, files, e) || output_here(out, e) ||
        marker_write(out->kind, out->work, &m, e))
        return e->code;
    swap_name(out->run, name);
    if (!swap_install(out->kind, out->at, out->folder, name, e))
        marker_read(out->kind, out->at, out->folder, &out->m, e);
    out->waits = out->kept = false;
    out->waiting = 0;
    return e->code ? e->code : work_in(out, ".", e);
}

void output_close(output *out)
{
    char name[SWAP_NAME];
    tn_error e = { 0 };
    swap_name(out->run, name);
    /* After a first checkpoint the waiting files count: the next run moves them into OUT. */
    if (out->waits && !out->kept &&
        (out->run == out->m.run || !out->kind->checkpoints ||
         !tn_checkpoint_is_there(out->at, out->run, &e)))
        swap_remove(out->kind, out->at, name);
    if (out->made && (out->at < 0 || !output_here(out, &e))) /* else OUT is another's now */
        parents_unmake(out->folder, out->made);
    if (out->work_at >= 0)
        close(out->work_at);
    if (out->at >= 0)
        close(out->at);
    free(out->folder);
    free(out->work);
    *out = (output){ .at = -1, .work_at = -1 };
}

/* The folder of a file, with the slash; "." if its path has none. NULL when memory is out. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
}

int output_file_room(const char *path, double bytes, tn_error *e)
{
    char *around = e->code ? NULL : folder_of(path);
    const int made = around ? parents_make(around, e) : 0;
    const int at = around && !e->code ? tn_at_open(AT_FDCWD, around, O_RDONLY | O_DIRECTORY) : -1;
    if (!around)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    else if (at < 0 && !e->code)
        swap_failed(path, "write", e);
    else if (at >= 0)
        check_space(at, path, bytes, "", e);
    if (at >= 0)
        close(at);
    if (around && e->code)
        parents_unmake(around, made);
    free(around);
    return e->code;
}

int output_check_file(const char *flag, const char *path, const char *ending, bool makes,
                      tn_error *e)
{
    struct stat st;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = *name ? strrchr(name + 1, '.') : NULL;
    if (ending && dot && strcasecmp(dot, ending) != 0)
        return tn_fail(e, APP_USAGE, "%s %s: expected a name that ends in %s, or has no ending",
                       flag, path, ending);
    char *around = folder_of(path);
    if (!around)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    else if (!tn_at_stat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW))
        tn_fail(e, APP_USAGE, "%s %s: something is there; expected a name that is free", flag,
                path);
    else if (errno != ENOENT ||
             (tn_at_stat(AT_FDCWD, around, &st, 0) && (!makes || errno != ENOENT)))
        swap_failed(path, "write", e);
    free(around);
    return e->code;
}
