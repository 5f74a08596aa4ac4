/* checkpoint.c - a run on the disk: OUT/checkpoint-N with

       model.safetensors       every trained weight, exact; a LoRA run holds its factors only
       optimizer.safetensors   the state blocks by name, exact; what is double in memory is F64
       trainer_state.json      where the run stood, the hash of both files and, last, its own

   The base under a LoRA run is not in it: that it is the same is what options_hash says. */
#include "optim/run/folders.h"
#include "optim/optim.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char weights_file[] = "model.safetensors", moments_file[] = "optimizer.safetensors",
                  state_file[] = "trainer_state.json";
static const tn_file_type real_type = sizeof(tn_real) == sizeof(float) ? TN_FILE_F32 : TN_FILE_F64;

enum { MOST_STATE = 1 << 20 }; /* bytes of a trainer_state.json */

/* ---- saving ---- */

static int save_weights(const char *folder, const tn_params *p, tn_error *e)
{
    char *path = tn_path_join(folder, weights_file);
    tn_entry *entries = calloc((size_t)tn_params_count(p) + 1, sizeof *entries);
    int64_t n = 0;
    for (int64_t i = 0; i < tn_params_count(p) && entries; i++) {
        const tn_param *a = tn_params_at(p, i);
        if (!a->w->wants_grad)
            continue;
        tn_entry *entry = &entries[n++];
        *entry =
            (tn_entry){ .name = a->name, .type = real_type, .rank = a->w->rank, .real = a->w->x };
        for (int k = 0; k < a->w->rank; k++)
            entry->dim[k] = a->w->dim[k];
    }
    if (path && entries)
        tn_safetensors_write(path, entries, n, NULL, e);
    else
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    free(entries);
    free(path);
    return e->code;
}

/* Every block of the state; *n of them. NULL: no memory. */
static tn_state_block *blocks_of(tn_optim *o, int64_t *n)
{
    tn_state_block one;
    for (*n = 0; tn_optim_state(o, *n, &one);)
        ++*n;
    tn_state_block *all = calloc((size_t)*n + 1, sizeof *all);
    for (int64_t i = 0; i < *n && all; i++)
        tn_optim_state(o, i, &all[i]);
    return all;
}

static int save_moments(const char *folder, tn_optim *o, tn_error *e)
{
    int64_t n;
    char *path = tn_path_join(folder, moments_file);
    tn_state_block *blocks = blocks_of(o, &n);
    tn_entry *entries = calloc((size_t)n + 1, sizeof *entries);
    for (int64_t i = 0; i < n && blocks && entries; i++)
        entries[i] = (tn_entry){ .name = blocks[i].name,
                                 .type = blocks[i].real ? real_type : TN_FILE_F64,
                                 .rank = 1,
                                 .dim = { blocks[i].n },
                                 .bytes = blocks[i].data,
                                 .size = (size_t)blocks[i].n *
                                         (blocks[i].real ? sizeof(tn_real) : sizeof(double)) };
    const char *metadata[] = { "optimizer", tn_optim_definition(o)->name, NULL };
    if (path && blocks && entries)
        tn_safetensors_write(path, entries, n, metadata, e);
    else
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    free(entries);
    free(blocks);
    free(path);
    return e->code;
}

static void close_with_checksum(tn_text *t)
{
    tn_text_add(t, "  \"checksum\": \"%016" PRIx64 "\"\n}\n", tn_hash64(t->s, t->n, 0));
}

static int save_state(const char *folder, tn_optim *o, const tn_run_state *r, tn_error *e)
{
    uint64_t weights, moments;
    if (tn_file_hash(folder, weights_file, &weights, e) ||
        tn_file_hash(folder, moments_file, &moments, e))
        return e->code;
    tn_text t = { 0 };
    tn_text_add(&t, "{\n  \"format\": 1,\n  \"optimizer\": \"%s\",\n",
                tn_optim_definition(o)->name);
    tn_text_add(
        &t, "  \"step\": %" PRId64 ",\n  \"batches\": %" PRId64 ",\n  \"tokens\": %" PRId64 ",\n",
        r->step, r->batches, r->tokens);
    if (isfinite(r->best))
        tn_text_add(&t, "  \"best\": %.17g,\n", r->best);
    tn_text_add(&t, "  \"options\": \"%016" PRIx64 "\",\n", r->options_hash);
    tn_text_add(&t, "  \"files\": { \"%s\": \"%016" PRIx64 "\", \"%s\": \"%016" PRIx64 "\" },\n",
                weights_file, weights, moments_file, moments);
    close_with_checksum(&t);
    return tn_text_save(&t, folder, state_file, e);
}

int tn_checkpoint_save(const char *folder, const tn_params *p, tn_optim *o, const tn_run_state *r,
                       int keep, tn_error *e)
{
    if (e->code)
        return e->code;
    const char *broken = tn_params_not_finite(p);
    if (broken)
        return tn_fail(e, TN_ENONFINITE, "%s: step %lld left the weight %s not finite; the checkpoint "
                       "was not written", folder, (long long)r->step, broken);
    char *temporary = tn_checkpoint_path(folder, r->step, ".tmp"),
         *path = tn_checkpoint_path(folder, r->step, "");
    if (!temporary || !path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    if (!e->code)
        tn_folder_remove(temporary);
    if (!e->code && !tn_folder_make(folder, e) && !tn_folder_make(temporary, e) &&
        !save_weights(temporary, p, e) && !save_moments(temporary, o, e) &&
        !save_state(temporary, o, r, e))
        tn_folder_replace(temporary, path, folder, e);
    if (!e->code)
        tn_checkpoint_prune(folder, r->step, keep, state_file);
    else if (temporary)
        tn_folder_remove(temporary);
    free(temporary);
    free(path);
    return e->code;
}

/* ---- loading ---- */

static bool hash_member(const tn_json *object, const char *key, uint64_t *out, tn_error *e)
{
    const char *text = "";
    char *end;
    tn_json_get_string(object, key, &text, e);
    *out = strtoull(text, &end, 16);
    if (strlen(text) != 16 || *end)
        tn_fail(e, TN_EFORMAT, "%s: %s is \"%s\", expected a hash of 16 digits", state_file, key,
                text);
    return !e->code;
}

/* The last line but one holds the hash of all before it. */
static int check_own_hash(const char *path, const char *text, size_t size, tn_error *e)
{
    tn_text t = { 0 };
    const char *last = NULL;
    for (const char *s = text; (s = strstr(s, "  \"checksum\"")) != NULL; s++)
        last = s;
    if (!last)
        return tn_fail(e, TN_EFORMAT,
                       "%s: has no checksum; it is cut short or not from a checkpoint", path);
    tn_text_bytes(&t, text, (size_t)(last - text));
    if (!t.failed)
        close_with_checksum(&t);
    if (t.failed)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    else if (t.n != size || memcmp(t.s, text, size))
        tn_fail(e, TN_EFORMAT, "%s: its checksum does not fit its content; the file is damaged",
                path);
    tn_text_free(&t);
    return e->code;
}

/* trainer_state.json with its checksum verified; NULL: refused. */
static const tn_json *read_state(const char *folder, tn_error *e)
{
    size_t size;
    char *path = tn_path_join(folder, state_file),
         *text = path ? tn_file_read(path, MOST_STATE, &size, e) : NULL;
    const tn_json *root = NULL;
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    if (text && !check_own_hash(path, text, size, e))
        root = tn_json_parse(text, size, path, 0, e);
    free(text);
    free(path);
    return root;
}

static int check_file(const char *folder, const tn_json *files, const char *name, tn_error *e)
{
    uint64_t is, expected;
    if (!hash_member(files, name, &expected, e) || tn_file_hash(folder, name, &is, e))
        return e->code;
    if (is != expected)
        return tn_fail(e, TN_EFORMAT, "%s/%s: its checksum is %016" PRIx64 ", expected %016" PRIx64
                       "; the file is damaged", folder, name, is, expected);
    return TN_OK;
}

/* The entry `name` of n numbers and this type, with these dimensions if a shape is given. */
static const tn_entry *entry_of(const tn_safetensors *s, const char *name, tn_file_type type,
                                int64_t n, const tn_tensor *shape, tn_error *e)
{
    const tn_entry *entry = tn_safetensors_find(s, name);
    if (!entry) {
        tn_fail(e, TN_EFORMAT, "%s: %s is not in it", tn_safetensors_path(s), name);
        return NULL;
    }
    bool fits =
        entry->type == type && tn_entry_count(entry) == n && (!shape || entry->rank == shape->rank);
    for (int k = 0; fits && shape && k < shape->rank; k++)
        fits = entry->dim[k] == shape->dim[k];
    if (fits)
        return entry;
    tn_fail(e, TN_EFORMAT,
            "%s: %s has %" PRId64 " numbers of type %s, expected %" PRId64 " of %s%s",
            tn_safetensors_path(s), name, tn_entry_count(entry), tn_file_type_name(entry->type), n,
            tn_file_type_name(type), tn_entry_count(entry) == n ? " (or the shape differs)" : "");
    return NULL;
}

/* All trained weights from the file, or, with write false, only whether they fit. */
static int fill_weights(const tn_safetensors *s, tn_params *p, bool write, tn_error *e)
{
    int64_t found = 0;
    for (int64_t i = 0; i < tn_params_count(p) && !e->code; i++) {
        const tn_param *a = tn_params_at(p, i);
        if (!a->w->wants_grad)
            continue;
        const tn_entry *entry = entry_of(s, a->name, real_type, tn_tensor_count(a->w), a->w, e);
        if (entry && write)
            tn_entry_real(s, entry, a->w->x, e);
        found++;
    }
    if (!e->code && found != tn_safetensors_count(s))
        tn_fail(e, TN_EFORMAT,
                "%s: holds %" PRId64 " weights, expected the %" PRId64 " that are trained",
                tn_safetensors_path(s), tn_safetensors_count(s), found);
    return e->code;
}

static int fill_moments(const tn_safetensors *s, tn_optim *o, bool write, tn_error *e)
{
    int64_t i = 0;
    tn_state_block b;
    for (; !e->code && tn_optim_state(o, i, &b); i++) {
        const tn_entry *entry = entry_of(s, b.name, b.real ? real_type : TN_FILE_F64, b.n, NULL, e);
        if (entry && write)
            memcpy(b.data, entry->bytes, entry->size);
    }
    if (!e->code && i != tn_safetensors_count(s))
        tn_fail(e, TN_EFORMAT, "%s: holds %" PRId64 " blocks, expected the %" PRId64 " of %s",
                tn_safetensors_path(s), tn_safetensors_count(s), i, tn_optim_definition(o)->name);
    return e->code;
}

/* Under its name or under its other one, which an older run may have written. */
static bool is_named(const tn_optim_def *def, const char *name)
{
    return !strcmp(name, def->name) || (def->also && !strcmp(name, def->also));
}

static int read_position(const tn_json *root, const tn_optim *o, tn_run_state *r, tn_error *e)
{
    const char *optimizer = "";
    uint64_t options = 0;
    r->best = NAN;
    tn_json_get_string(root, "optimizer", &optimizer, e);
    tn_json_get_int(root, "step", &r->step, e);
    tn_json_get_int(root, "batches", &r->batches, e);
    tn_json_get_int(root, "tokens", &r->tokens, e);
    tn_json_get_real(root, "best", &r->best, e);
    if (!hash_member(root, "options", &options, e))
        return e->code;
    if (!is_named(tn_optim_definition(o), optimizer))
        return tn_fail(e, TN_EARG, "the checkpoint is of a run with %s, this one has %s", optimizer,
                       tn_optim_definition(o)->name);
    if (r->options_hash && options != r->options_hash)
        return tn_fail(e, TN_EARG,
                       "the checkpoint is of a run with other options (or another base model)");
    r->options_hash = options;
    return TN_OK;
}

/* Everything is checked before anything is written. */
static int load(const char *path, tn_params *p, tn_optim *o, tn_run_state *r, tn_error *e)
{
    const tn_json *root = read_state(path, e), *files = tn_json_find(root, "files");
    char *weights = tn_path_join(path, weights_file), *moments = tn_path_join(path, moments_file);
    tn_safetensors *w = NULL, *m = NULL;
    tn_run_state position = { .options_hash = r->options_hash };
    if (!weights || !moments)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    if (!e->code && !read_position(root, o, &position, e) &&
        !check_file(path, files, weights_file, e) && !check_file(path, files, moments_file, e)) {
        w = tn_safetensors_open(weights, e);
        m = tn_safetensors_open(moments, e);
    }
    for (int write = 0; write < 2 && w && m && !e->code; write++)
        if (!fill_weights(w, p, write, e))
            fill_moments(m, o, write, e);
    if (!e->code) {
        *r = position;
        tn_optim_set_steps(o, r->step);
    }
    tn_safetensors_close(w);
    tn_safetensors_close(m);
    tn_json_free(root);
    free(weights);
    free(moments);
    return e->code;
}

int tn_checkpoint_load(const char *folder, tn_params *p, tn_optim *o, tn_run_state *r, tn_error *e)
{
    if (e->code)
        return e->code;
    bool itself = tn_file_exists(folder, state_file);
    int64_t step = itself ? tn_checkpoint_number(folder) : tn_checkpoint_newest(folder);
    if (!itself && step < 0)
        return tn_fail(e, TN_EIO, "%s: there is no checkpoint in it", folder);
    char *path = itself ? strdup(folder) : tn_checkpoint_path(folder, step, "");
    char *around = itself ? tn_path_join(folder, "..") : strdup(folder);
    tn_error wrong = { 0 };
    if (!path || !around)
        tn_fail(&wrong, TN_ENOMEM, "%s: out of memory", folder);
    else
        load(path, p, o, r, &wrong);
    bool damaged = wrong.code == TN_EFORMAT || wrong.code == TN_EIO;
    int64_t before = damaged && step >= 0 ? tn_checkpoint_before(around, step, state_file) : -1;
    if (before >= 0)
        tn_fail(e, wrong.code, "%s; the one before is checkpoint-%" PRId64, wrong.text, before);
    else if (wrong.code)
        tn_fail(e, wrong.code, "%s", wrong.text);
    free(path);
    free(around);
    return e->code;
}

int64_t tn_checkpoint_newest(const char *folder)
{
    return tn_checkpoint_before(folder, INT64_MAX, state_file);
}
