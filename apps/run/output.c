/* output.c - makes, clears and fills the output folder. */
#include "apps/run/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a run leaves when it is done; a folder with one of the first two holds a finished run. */
static const char *const results[] = { "model.safetensors", "adapter_model.safetensors",
                                       "adapter_config.json", "config.json", "tokenizer.json",
                                       "tokenizer_config.json", NULL };
enum { WEIGHTS = 2 };

int output_check(const options *o, tn_error *e)
{
    struct stat st, model;
    if (tn_path_is(o->output_dir, NULL, e) == TN_FILE)
        return tn_fail(e, TN_EIO, "%s: a file; expected a folder, or nothing yet", o->output_dir);
    const int64_t step = tn_checkpoint_newest(o->output_dir, 0, e);
    if (e->code)
        return e->code;
    if (!stat(o->output_dir, &st) && !stat(o->model, &model) && st.st_dev == model.st_dev &&
        st.st_ino == model.st_ino)
        return tn_fail(e, APP_USAGE, "--output-dir %s: the folder of --model; expected another",
                       o->output_dir);
    if (o->resume && o->overwrite)
        return tn_fail(e, APP_USAGE, "--resume and --overwrite: use only one");
    if (o->resume && step < 0)
        return tn_fail(e, TN_ESTATE, "%s: no complete checkpoint; expected one to resume",
                       o->output_dir);
    for (int i = 0; i < WEIGHTS && !o->resume && !o->overwrite; i++)
        if (tn_path_is(o->output_dir, results[i], e) != TN_ABSENT)
            return tn_fail(e, TN_ESTATE, "%s: holds a finished run (%s); --overwrite replaces it",
                           o->output_dir, results[i]);
    if (!o->resume && !o->overwrite && step >= 0)
        return tn_fail(
            e, TN_ESTATE,
            "%s: holds a run stopped after step %lld; --resume continues it, --overwrite "
            "replaces it",
            o->output_dir, (long long)step);
    return 0;
}

/* Removes the files of a folder that has no folders, and the folder. */
static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
        char *path = tn_path_join(folder, d->d_name);
        if (path && strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
            unlink(path);
        free(path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder);
}

static bool is_checkpoint(const char *name)
{
    return !strncmp(name, "checkpoint-", 11) && name[11] >= '0' && name[11] <= '9';
}

/* What a run before this one left: its result and its checkpoints. */
static void remove_run(const char *folder)
{
    for (int i = 0; results[i]; i++) {
        char *path = tn_path_join(folder, results[i]);
        if (path)
            unlink(path);
        free(path);
    }
    DIR *dir = opendir(folder);
    for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
        char *path = is_checkpoint(d->d_name) ? tn_path_join(folder, d->d_name) : NULL;
        if (path)
            remove_folder(path);
        free(path);
    }
    if (dir)
        closedir(dir);
}

int output_make(const char *folder, tn_error *e)
{
    if (e->code)
        return e->code;
    char *path = strdup(folder);
    if (!path)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    for (char *s = path + 1;; s++) {
        const char kept = *s;
        if (kept && kept != '/')
            continue;
        *s = 0;
        if (mkdir(path, 0777) && errno != EEXIST) {
            tn_fail(e, TN_EIO, "%s: cannot make the folder: %s", path, strerror(errno));
            break;
        }
        *s = kept;
        if (!kept)
            break;
    }
    free(path);
    return e->code;
}

int output_take(const options *o, tn_error *e)
{
    int folder = output_make(o->output_dir, e) ? -1 : open(o->output_dir, O_RDONLY | O_CLOEXEC);
    if (!e->code && folder < 0)
        tn_fail(e, TN_EIO, "%s: cannot open: %s", o->output_dir, strerror(errno));
    if (folder >= 0 && flock(folder, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        tn_fail(e, TN_ESTATE, "%s: another run is writing there; expected another folder",
                o->output_dir);
    if (!e->code && o->overwrite)
        remove_run(o->output_dir);
    if (!e->code)
        return folder;
    if (folder >= 0)
        close(folder);
    return -1;
}

int output_save(const setup *s, const options *o, tn_error *e)
{
    const tn_file_type type = !strcmp(o->save_dtype, "bf16") ? TN_FILE_BF16
                              : !strcmp(o->save_dtype, "f16") ? TN_FILE_F16 : TN_FILE_F32;
    if (e->code)
        return e->code;
    if (s->full || o->tokenizer) /* a base model has its own, unless it was made from the data */
        tn_tokenizer_save(s->tokenizer, o->output_dir, e);
    if (!e->code && s->full)
        tn_model_save(s->model, o->output_dir, type, e);
    if (!e->code && !s->full)
        tn_adapter_save(s->model, o->output_dir, type, e);
    return e->code;
}
