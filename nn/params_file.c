/* params_file.c - saves and opens a set of weights as one safetensors file, by their names. */
#include "nn/folders/weights.h"
#include "core/tape.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static bool is_wanted(const tn_param *a, const char *pattern)
{
    return !pattern || !fnmatch(pattern, a->name, 0);
}

/* How many weights match. Refuses params that hold an error or no numbers, and a pattern that
   matches nothing. */
static int64_t count_wanted(const tn_params *p, const char *pattern, tn_error *e)
{
    const tn_error *broken = tn_params_error(p);
    int64_t n = 0;
    for (int64_t i = 0; i < tn_params_count(p); i++)
        n += is_wanted(tn_params_at(p, i), pattern);
    if (broken->code)
        tn_fail(e, broken->code, "%s", broken->text);
    else if (tn_params_is_sketch(p))
        tn_fail(e, TN_ESTATE, "these params are a sketch: they have no numbers");
    else if (!n && pattern)
        tn_fail(e, TN_EARG, "\"%s\" matches no weight", pattern);
    else if (!n)
        tn_fail(e, TN_EARG, "there is no weight");
    return e->code ? 0 : n;
}

int tn_params_save(const tn_params *p, const char *pattern, const char *path, tn_file_type type,
                   tn_error *e)
{
    const int missing = tn_given(e, p && path, __func__);
    if (missing)
        return missing;
    if (type != TN_FILE_F64 && type != TN_FILE_F32 && type != TN_FILE_F16 && type != TN_FILE_BF16)
        return tn_fail(e, TN_EARG, "%s: weights are written as F64, F32, F16 or BF16", path);
    int64_t n = count_wanted(p, pattern, e), k = 0;
    tn_entry *entries = n ? calloc((size_t)n, sizeof *entries) : NULL;
    if (n && !entries)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    for (int64_t i = 0; i < tn_params_count(p) && !e->code; i++) {
        const tn_param *a = tn_params_at(p, i);
        if (!is_wanted(a, pattern))
            continue;
        tn_entry *entry = &entries[k++];
        *entry = (tn_entry){ .name = a->name, .type = type, .ndim = a->w->ndim, .tensor = a->w };
        memcpy(entry->dim, a->w->dim, sizeof a->w->dim);
        tn_weight_check_numbers(a->name, a->w, type, e);
    }
    if (!e->code)
        tn_safetensors_write(path, entries, n, (const char *const[]){ "format", "pt", NULL }, e);
    free(entries);
    return e->code;
}

/* Refuses a file with a tensor that is not one of the weights asked for. */
static void refuse_others(const tn_params *p, const char *pattern, const tn_safetensors *file,
                          tn_error *e)
{
    for (int64_t i = 0; i < tn_safetensors_count(file) && !e->code; i++) {
        const char *name = tn_safetensors_at(file, i)->name;
        const tn_param *a = tn_params_find(p, name);
        if (!a || !is_wanted(a, pattern))
            tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" is not a weight %s%s",
                    tn_safetensors_path(file), name, pattern ? "that matches " : "of these params",
                    pattern ? pattern : "");
    }
}

/* Reads one weight. With `try` it reads only into a copy, to see whether it can be read. */
static void read_weight(const tn_safetensors *file, const tn_param *a, bool try, tn_error *e)
{
    const tn_entry *entry = tn_safetensors_find(file, a->name);
    tn_tensor *to = try ? tn_tensor_new(TN_REAL, a->w->ndim, a->w->dim, false) : a->w;
    if (!entry)
        tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" is missing", tn_safetensors_path(file), a->name);
    else if (!to)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", tn_safetensors_path(file));
    else if (!tn_tensor_own(to))
        tn_fail(e, TN_ENOMEM, "%s: out of memory", a->name);
    else
        tn_weight_read(file, entry, to, e);
    if (try)
        tn_tensor_free(to);
}

/* All weights are tried before the first one changes. */
int tn_params_open(tn_params *p, const char *pattern, const char *path, tn_error *e)
{
    const int missing = tn_given(e, p && path, __func__);
    if (missing)
        return missing;
    tn_safetensors *file = count_wanted(p, pattern, e) ? tn_safetensors_open(path, e) : NULL;
    if (file)
        refuse_others(p, pattern, file, e);
    for (int try = 1; file && try >= 0; try--)
        for (int64_t i = 0; i < tn_params_count(p) && !e->code; i++)
            if (is_wanted(tn_params_at(p, i), pattern))
                read_weight(file, tn_params_at(p, i), try, e);
    tn_safetensors_close(file);
    return e->code;
}
