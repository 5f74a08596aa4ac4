/* checkpoint.c - loads and checks the checkpoints of a run; checkpoint_save.c writes them.
   OUT/checkpoint-N holds

       model.safetensors       every trained weight, exact. For a LoRA run these are its
                               factors. The metadata has the scale of each, and the config that
                               the adapters were read with: so the folder is an adapter, too
       optimizer.safetensors   the state blocks by name, exact; double is F64
       trainer_state.json      the step of the run, and hashes of its base and its files
       tokenizer.json, tokenizer_config.json      if the run gives its tokenizer

   The base of a LoRA run is not in it, but its hash is: another base is refused. */
#include "data/formats/file.h"
#include "data/formats/folder.h"
#include "optim/run/checkpoint.h"
#include "optim/run/folders.h"
#include "optim/run/trainer_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int tn_checkpoint_given(const char *folder, const tn_params *p, const tn_optim *o,
                        const tn_run_state *r, const char *function, tn_error *e)
{
    const int missing = tn_given(e, folder && p && o && r, function);
    if (missing)
        return missing;
    if (o->params != p)
        return tn_fail(e, TN_EARG,
                       "%s: an optimizer of other params; expected those it was made for", folder);
    if (tn_params_is_sketch(p))
        return tn_fail(e, TN_ESTATE, "%s: params of a sketch, which have no numbers", folder);
    return tn_units_check(o, e);
}

tn_saved tn_saved_weights(const tn_params *p)
{
    tn_saved s = {
        .file = TN_STATE_WEIGHTS, .one = "weight", .all = "weights", .which = "that are trained"
    };
    s.entries = calloc((size_t)tn_params_count(p) + 1, sizeof *s.entries);
    for (int64_t i = 0; i < tn_params_count(p) && s.entries; i++) {
        const tn_param *a = tn_params_at(p, i);
        const tn_tensor *w = a->w;
        if (!w->wants_grad)
            continue;
        tn_entry *t = &s.entries[s.count++];
        *t = (tn_entry){ .name = a->name,
                         .type = tn_file_real(),
                         .ndim = w->ndim,
                         .bytes = w->x,
                         .size = tn_tensor_bytes(w) };
        memcpy(t->dim, w->dim, (size_t)w->ndim * sizeof *w->dim);
    }
    return s;
}

tn_saved tn_saved_state(const tn_optim *o)
{
    tn_saved s = { .file = TN_STATE_MOMENTS,
                   .one = "optimizer's state",
                   .all = "blocks",
                   .which = "of the optimizer" };
    s.entries = calloc((size_t)o->block_count + 1, sizeof *s.entries);
    for (; s.count < o->block_count && s.entries; s.count++) {
        const tn_state_block *b = &o->blocks[s.count];
        s.entries[s.count] = (tn_entry){ .name = b->name,
                                         .type = b->real ? tn_file_real() : TN_FILE_F64,
                                         .ndim = 1,
                                         .dim = { b->n },
                                         .bytes = b->data,
                                         .size = tn_state_block_bytes(b) };
    }
    return s;
}

/* The entry of the file that has the name, the type and the shape of `like`. */
static const tn_entry *entry_like(const tn_safetensors *s, const tn_entry *like, tn_error *e)
{
    const tn_entry *entry = tn_safetensors_find(s, like->name);
    if (!entry) {
        tn_fail(e, TN_EFORMAT, "%s: %s is not in it", tn_safetensors_path(s), like->name);
        return NULL;
    }
    const int64_t n = tn_entry_count(entry), expected = tn_entry_count(like);
    bool fits = entry->type == like->type && entry->ndim == like->ndim;
    for (int k = 0; fits && k < like->ndim; k++)
        fits = entry->dim[k] == like->dim[k];
    if (fits)
        return entry;
    tn_fail(e, TN_EFORMAT,
            "%s: %s has %" PRId64 " numbers of type %s, expected %" PRId64 " of %s%s",
            tn_safetensors_path(s), like->name, n, tn_file_type_name(entry->type), expected,
            tn_file_type_name(like->type), n == expected ? " (or the shape differs)" : "");
    return NULL;
}

/* Refuses an infinity or a NaN: no run can go on from there. */
static int check_finite(const tn_safetensors *s, const tn_entry *entry, tn_error *e)
{
    double value = 0;
    const int64_t n = tn_entry_count(entry);
    const int64_t i = tn_not_finite(entry->type, entry->bytes, n, &value);
    if (i < n)
        tn_fail(e, TN_EFORMAT, "%s: %s holds %g at element %" PRId64 "; expected finite numbers",
                tn_safetensors_path(s), entry->name, value, i);
    return e->code;
}

/* Reads all weights, or all state, from their file. If write is false, it only checks them. */
static int fill(const tn_saved *to, const tn_safetensors *s, bool write, tn_error *e)
{
    for (int64_t i = 0; i < to->count && !e->code; i++) {
        const tn_entry *t = &to->entries[i], *entry = entry_like(s, t, e);
        if (entry && !check_finite(s, entry, e) && write)
            memcpy((void *)t->bytes, entry->bytes, t->size); /* our memory, not the file's */
        if (entry)
            tn_file_pass_bytes(entry->bytes, t->size); /* there is a copy, or it was only read */
    }
    if (!e->code && to->count != tn_safetensors_count(s))
        tn_fail(e, TN_EFORMAT, "%s: holds %" PRId64 " %s, expected the %" PRId64 " %s",
                tn_safetensors_path(s), tn_safetensors_count(s), to->all, to->count, to->which);
    return e->code;
}

/* Does def have this name, or this second name? An older run may have written the second name. */
static bool is_named(const tn_optim_def *def, const char *name)
{
    return !strcmp(name, def->name) || (def->also && !strcmp(name, def->also));
}

/* Refuses a checkpoint of another run, before its large files are read. */
static int check_run(const char *path, const tn_state *s, const tn_optim *o, const tn_run_state *r,
                     tn_error *e)
{
    const tn_optim_def *def = tn_optim_definition(o);
    const int64_t number = tn_checkpoint_number(path);
    if (number >= 0 && s->run.step != number)
        return tn_fail(e, TN_EFORMAT,
                       "%s/%s: step is %" PRId64 "; expected %" PRId64 ", the number of its folder",
                       path, TN_STATE_FILE, s->run.step, number);
    if (!is_named(def, s->optimizer))
        return tn_fail(e, TN_EARG, "%s: of a run with %s, this one has %s; expected the same", path,
                       s->optimizer, def->name);
    if (r->options_hash && s->run.options_hash != r->options_hash)
        return tn_fail(e, TN_EARG, "%s: of a run with other options; expected the same", path);
    if (r->run && s->run.run && s->run.run != r->run)
        return tn_fail(e, TN_EARG, "%s: of another run; expected one of this run", path);
    return TN_OK;
}

/* Refuses another base: two models may have trained weights of the same names and shapes. */
static int check_base(const char *path, const tn_state *s, const tn_params *p, tn_error *e)
{
    const tn_base base = s->format > 1 ? tn_params_base(p) : s->base; /* format 1 has none */
    if (s->base.config != base.config)
        return tn_fail(e, TN_EARG,
                       "%s: of a run on a model with another config (heads, sizes, "
                       "...) or another scale of LoRA; expected the same",
                       path);
    if (s->base.frozen != base.frozen)
        return tn_fail(e, TN_EARG,
                       "%s: of a run on a base model with other frozen weights; "
                       "expected the same",
                       path);
    return TN_OK;
}

int tn_checkpoint_check(const char *path, const tn_params *p, tn_error *e)
{
    tn_state s;
    const int missing = tn_given(e, path && p, __func__);
    if (missing || tn_state_load(path, &s, e) || tn_state_check_files(path, &s, e))
        return missing ? missing : e->code;
    return check_base(path, &s, p, e);
}

/* Loads a checkpoint. It checks everything before it changes anything. */
static int load(const char *path, tn_params *p, tn_optim *o, tn_run_state *r, tn_error *e)
{
    const tn_saved saved[] = { tn_saved_weights(p), tn_saved_state(o) };
    tn_safetensors *files[2] = { 0 };
    tn_state s;
    if (!tn_state_load(path, &s, e) && !check_run(path, &s, o, r, e))
        tn_state_check_files(path, &s, e);
    for (int i = 0; i < 2; i++) {
        char *name = saved[i].entries ? tn_path_join(path, saved[i].file) : NULL;
        if (!name)
            tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
        files[i] = e->code ? NULL : tn_safetensors_open(name, e);
        free(name);
    }
    for (int i = 0; i < 2 && !e->code; i++)
        fill(&saved[i], files[i], false, e);
    if (!e->code)
        check_base(path, &s, p, e);
    for (int i = 0; i < 2 && !e->code; i++)
        fill(&saved[i], files[i], true, e);
    if (!e->code) {
        s.run.run = s.run.run ? s.run.run : r->run;
        s.run.before = r->before;
        s.run.tokenizer = r->tokenizer;
        s.run.adapter_config = r->adapter_config;
        *r = s.run;
        tn_optim_set_steps(o, r->step);
    }
    for (int i = 0; i < 2; i++) {
        tn_safetensors_close(files[i]);
        free(saved[i].entries);
    }
    return e->code;
}

static int64_t newest(const char *folder, int64_t below, uint64_t run, tn_error *e)
{
    const int at = e->code ? -1 : tn_at_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY);
    if (!e->code && at < 0 && errno != ENOENT)
        tn_fail(e, TN_EIO, "%s: cannot list this folder: %s", folder, strerror(errno));
    if (at < 0)
        return -1;
    const int64_t step = tn_checkpoint_before(at, below, run, e);
    close(at);
    return step;
}

int64_t tn_checkpoint_newest(const char *folder, uint64_t run, tn_error *e)
{
    if (tn_given(e, folder, __func__))
        return -1;
    return newest(folder, INT64_MAX, run, e);
}

/* The path of a checkpoint: of `folder` itself if it is one (without slashes at its end), or of the
   newest one in it. *around becomes the folder that holds it. NULL: e has the reason. */
static char *find_checkpoint(const char *folder, uint64_t run, char **around, tn_error *e)
{
    const bool itself = tn_path_is(folder, TN_STATE_FILE, e) == TN_FILE;
    const int64_t step = itself ? 0 : tn_checkpoint_newest(folder, run, e);
    if (step < 0) {
        tn_fail(e, TN_EIO, "%s: there is no checkpoint in it", folder);
        return NULL;
    }
    char *path = itself ? strdup(folder) : tn_checkpoint_path(folder, step);
    for (size_t n = path ? strlen(path) : 0; n > 1 && path[n - 1] == '/';)
        path[--n] = 0;
    *around = itself ? tn_path_join(folder, "..") : strdup(folder);
    if (!path || !*around)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    return path;
}

int tn_checkpoint_load(const char *folder, tn_params *p, tn_optim *o, tn_run_state *r, tn_error *e)
{
    const int missing = tn_checkpoint_given(folder, p, o, r, __func__, e);
    if (missing)
        return missing;
    char *around = NULL, *path = find_checkpoint(folder, r->run, &around, e);
    tn_error wrong = { 0 };
    if (!e->code)
        load(path, p, o, r, &wrong);
    const int64_t step = path ? tn_checkpoint_number(path) : -1;
    const bool damaged = wrong.code == TN_EFORMAT || wrong.code == TN_EIO;
    tn_error other = { 0 }; /* the first error is reported, not this one */
    const int64_t before = damaged && step >= 0 ? newest(around, step, r->run, &other) : -1;
    if (before >= 0)
        tn_fail(e, wrong.code, "%s; the one before is checkpoint-%" PRId64, wrong.text, before);
    else if (wrong.code)
        tn_fail(e, wrong.code, "%s", wrong.text);
    free(path);
    free(around);
    return e->code;
}
