/* best.c - writes and follows the file `best`, which names the best checkpoint of a run. */
#include "apps/run/best.h"
#include "apps/folder/marker.h"
#include "data/formats/folder.h"
#include "optim/run/folders.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder of OUT/best; NULL: the path has another name at its end, or memory is out. */
static char *folder_of_best(const char *path)
{
    const size_t n = strlen(path), name = strlen(TN_BEST_FILE);
    if (n < name || strcmp(path + n - name, TN_BEST_FILE) ||
        (n > name && path[n - name - 1] != '/'))
        return NULL;
    return n > name ? strndup(path, n - name) : strdup(".");
}

/* Refuses OUT/best of a run that has not named its best checkpoint. */
static void refuse_unnamed(const char *path, const char *folder, tn_error *e)
{
    tn_error absent = { 0 };
    if (tn_path_is(path, NULL, &absent) == TN_ABSENT &&
        tn_path_is(folder, MARKER, &absent) == TN_FILE)
        tn_fail(e, TN_EIO,
                "%s: this run has no best checkpoint; expected one with --save-best that was "
                "validated, or %s itself, its result",
                path, folder);
}

/* The checkpoint that the file names, in new memory. NULL: the path is another thing, or e is set.
   any: a file with another content is another thing. */
static char *follow(const char *path, bool any, tn_error *e)
{
    tn_error absent = { 0 }; /* who reads the path reports it */
    const bool there = tn_path_is(path, NULL, &absent) == TN_FILE;
    char *folder = folder_of_best(path);
    if (folder && !there)
        refuse_unnamed(path, folder, e);
    if (!folder || !there) {
        free(folder);
        return NULL;
    }
    const int at = tn_at_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY);
    const int64_t step = at < 0 ? -1 : tn_checkpoint_best(at);
    char *to = step < 0 ? NULL : tn_checkpoint_path(folder, step);
    if (step < 0 && !any)
        tn_fail(e, TN_EFORMAT, "%s: expected one line, the name of a checkpoint beside it", path);
    else if (step >= 0 && !to)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    else if (to && tn_path_is(to, NULL, &absent) != TN_FOLDER)
        tn_fail(e, TN_EIO, "%s: names checkpoint-%lld; expected that folder beside it", path,
                (long long)step);
    if (at >= 0)
        close(at);
    free(folder);
    return to;
}

int best_follow(options *o, tn_error *e)
{
    const char **places[] = { &o->adapter_path, &o->argument[0], &o->reference };
    for (size_t i = 0; i < sizeof places / sizeof *places && !e->code; i++) {
        char *to = *places[i] ? follow(*places[i], i == 1, e) : NULL;
        if (to && !e->code) {
            *places[i] = to;
            o->followed[i] = to;
        } else {
            free(to);
        }
    }
    return e->code;
}

int64_t best_named(const output *out)
{
    return out->at < 0 ? -1 : tn_checkpoint_best(out->at);
}

bool best_is_there(const output *out, int64_t step)
{
    tn_error e = { 0 };
    tn_checkpoint_id id;
    char name[32];
    snprintf(name, sizeof name, "checkpoint-%lld", (long long)step);
    return tn_checkpoint_identify(out->at, name, &id, &e) && !id.damaged &&
           (!id.run || id.run == out->run);
}

int best_name(const output *out, int64_t step, tn_error *e)
{
    tn_text line = { 0 };
    tn_text_add(&line, "checkpoint-%lld\n", (long long)step);
    return tn_text_save(&line, out->work, TN_BEST_FILE, e);
}

int best_load(run *r, const char *folder, tn_error *e)
{
    tn_run_state of = { .run = r->state.run };
    char *path = e->code ? NULL : tn_checkpoint_path(folder, r->state.best_step);
    if (!e->code && !path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    if (path)
        tn_checkpoint_load(path, r->s->model->params, r->optim, &of, e);
    free(path);
    return e->code;
}
