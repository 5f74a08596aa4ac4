/* weights.c - finds and reads the tensors of a Hugging Face folder. */
#include "nn/folders/weights.h"
#include "nn/model.h"
#include "core/op.h"
#include "data/formats/file.h"
#include "data/formats/folder.h"
#include "data/formats/gguf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_FILES = 1000 };

typedef struct tn_weights {
    tn_source source; /* the first member */
    tn_safetensors **files;
    int64_t count;
} tn_weights;

static const char single[] = "model.safetensors", index_name[] = "model.safetensors.index.json";

/* Opens folder/name as the next file. */
static tn_safetensors *open_file(tn_weights *w, const char *folder, const char *name, tn_error *e)
{
    size_t room = (size_t)w->count + 1;
    tn_safetensors **files = realloc(w->files, room * sizeof *files);
    if (files)
        w->files = files;
    char *path = tn_path_newest(folder, name);
    if (!files || !path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    tn_safetensors *s = e->code ? NULL : tn_safetensors_open(path, e);
    if (s)
        w->files[w->count++] = s;
    free(path);
    return s;
}

/* The open file of that name; NULL if it is not open. */
static tn_safetensors *opened(const tn_weights *w, const char *name)
{
    for (int64_t i = 0; i < w->count; i++) {
        const char *path = tn_safetensors_path(w->files[i]), *slash = strrchr(path, '/');
        if (!strcmp(slash ? slash + 1 : path, name))
            return w->files[i];
    }
    return NULL;
}

/* Reads one line of the index: tensor v->key is in the file v->text. Opens the file if it is not
   open. The names of missing files go into `missing`. */
static void open_shard(tn_weights *w, const char *folder, const tn_json *v, char missing[256],
                       tn_error *e)
{
    if (v->kind != TN_STRING || !v->length || strlen(v->text) != v->length ||
        strchr(v->text, '/')) {
        tn_json_refuse(v, "the name of a file in this folder", e);
        return;
    }
    tn_safetensors *s = opened(w, v->text);
    if (!s && w->count == MOST_FILES)
        tn_fail(e, TN_EFORMAT, "%s: the index names more than %d files", folder, MOST_FILES);
    size_t n = strlen(missing);
    if (!s && tn_path_is(folder, v->text, e) == TN_ABSENT) {
        if (!strstr(missing, v->text))
            snprintf(missing + n, 256 - n, " %s", v->text);
        return;
    }
    s = s || e->code ? s : open_file(w, folder, v->text, e);
    if (s && !tn_safetensors_find(s, v->key))
        tn_fail(e, TN_EFORMAT, "%s: tensor \"%s\" is not there, but the index says so",
                tn_safetensors_path(s), v->key);
}

static void open_shards(tn_weights *w, const char *folder, const tn_json *index, tn_error *e)
{
    char missing[256] = "";
    const tn_json *map = tn_json_find(index, "weight_map");
    if (!map || map->kind != TN_OBJECT) {
        tn_json_refuse(map ? map : index, "an object weight_map: tensor name to file name", e);
        return;
    }
    for (const tn_json *v = map->child; v && !e->code; v = v->next)
        open_shard(w, folder, v, missing, e);
    if (!map->count)
        tn_json_refuse(map, "at least one tensor", e);
    if (missing[0])
        tn_fail(e, TN_EIO, "%s: files that %s names are missing:%s", folder, index_name, missing);
}

/* Do the first n letters of a name end like a file of weights, of any program? */
static bool ends_as_weights(const char *name, size_t n)
{
    static const char *const ends[] = { ".safetensors",
                                        ".safetensors.index.json",
                                        ".bin",
                                        ".pt",
                                        ".bin.index.json",
                                        ".pth",
                                        ".ckpt",
                                        ".h5",
                                        ".msgpack",
                                        ".gguf",
                                        ".onnx",
                                        ".npz" };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n > strlen(ends[i]) && !strncmp(name + n - strlen(ends[i]), ends[i], strlen(ends[i])))
            return true;
    return false;
}

/* Does the file hold weights? Files that are packed, in parts or loaded in part count, too:
   "model.safetensors.gz", "pytorch_model.bin.part". Texts about a file ("model.pt.md") and the
   files of a killed save (".tmp") do not count. */
static bool holds_weights(const char *name)
{
    static const char *const others[] = { ".md", ".txt", ".json", ".html", ".tmp" };
    const char *last = strrchr(name, '.');
    for (size_t i = 0; last && i < sizeof others / sizeof *others; i++)
        if (!strcmp(last, others[i]))
            return ends_as_weights(name, strlen(name));
    return ends_as_weights(name, strlen(name)) ||
           (last && ends_as_weights(name, (size_t)(last - name)));
}

/* Refuses a folder with weights under names that are not read: its model must not be random. */
static int refuse_other_weights(const char *folder, tn_error *e)
{
    const int at = tn_at_open(AT_FDCWD, *folder ? folder : ".", O_RDONLY | O_DIRECTORY);
    if (at < 0)
        return tn_fail(e, errno == ENOMEM ? TN_ENOMEM : TN_EIO, "%s: cannot open this folder: %s",
                       folder, strerror(errno));
    char **names = tn_folder_names(at, folder, e);
    for (size_t i = 0; names && names[i] && !e->code; i++)
        if (holds_weights(names[i]))
            tn_fail(e, TN_EFORMAT,
                    "%s: weights in %s; expected %s, which AutoModelForCausalLM.from_pretrained"
                    "(\"%s\").save_pretrained(\"NEW\") of Transformers writes",
                    folder, names[i], single, folder);
    tn_folder_names_free(names);
    close(at);
    return e->code;
}

/* What model.safetensors is, or its index. */
static tn_presence is_safetensors(const char *folder, tn_error *e)
{
    const tn_presence is = tn_path_is(folder, single, e);
    return is == TN_ABSENT ? tn_path_is(folder, index_name, e) : is;
}

char *tn_weights_gguf(const char *folder, tn_error *e)
{
    return is_safetensors(folder, e) == TN_ABSENT ? tn_gguf_in(folder, e) : NULL;
}

tn_presence tn_model_weights(const char *folder, tn_error *e)
{
    if (tn_given(e, folder, __func__))
        return TN_UNREADABLE;
    tn_presence is = tn_path_is(folder, NULL, e);
    if (is != TN_FOLDER)
        return is;
    is = is_safetensors(folder, e);
    char *gguf = is == TN_ABSENT ? tn_gguf_in(folder, e) : NULL;
    if (gguf)
        is = TN_FILE;
    free(gguf);
    return is == TN_ABSENT && refuse_other_weights(folder, e) ? TN_UNREADABLE : is;
}

/* Opens the files that the index names. */
static void open_index(tn_weights *w, const char *folder, tn_error *e)
{
    char *path = tn_path_newest(folder, index_name);
    const tn_json *index = path ? tn_json_read(path, e) : NULL;
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
    if (index)
        open_shards(w, folder, index, e);
    tn_json_free(index);
    free(path);
}

/* ---- the files as a source ---- */

static void describe(const tn_safetensors *file, const tn_entry *entry, int64_t index,
                     tn_stored *out)
{
    *out = (tn_stored){ .path = tn_safetensors_path(file),
                        .name = entry->name,
                        .index = index,
                        .type = entry->type == tn_file_real() ? TN_REAL
                                : entry->type == TN_FILE_BF16 ? TN_BF16
                                : entry->type == TN_FILE_F16  ? TN_F16
                                                              : TN_DTYPES,
                        .ndim = entry->ndim,
                        .bytes = entry->bytes,
                        .size = entry->size,
                        .entry = entry };
    memcpy(out->dim, entry->dim, sizeof out->dim);
}

/* The file of a tensor; *index becomes its number there. */
static const tn_safetensors *file_of(const tn_weights *w, int64_t *index)
{
    int64_t f = 0;
    for (; *index >= tn_safetensors_count(w->files[f]); f++)
        *index -= tn_safetensors_count(w->files[f]);
    return w->files[f];
}

static void stored_at(const tn_source *s, int64_t index, tn_stored *out)
{
    int64_t i = index;
    const tn_safetensors *file = file_of((const tn_weights *)s, &i);
    describe(file, tn_safetensors_at(file, i), index, out);
}

static bool find_exact(const tn_weights *w, const char *name, tn_stored *out)
{
    int64_t before = 0;
    for (int64_t f = 0; f < w->count; f++) {
        const tn_entry *entry = tn_safetensors_find(w->files[f], name);
        if (entry) {
            describe(w->files[f], entry, before + (entry - tn_safetensors_at(w->files[f], 0)), out);
            return true;
        }
        before += tn_safetensors_count(w->files[f]);
    }
    return false;
}

/* A name in a file may lack the first part ("transformer."). NULL: the name has only one part. */
static const char *short_name(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot && strchr(dot + 1, '.') ? dot + 1 : NULL;
}

enum { SPELLINGS = 4 };

/* Names that the weight may have in a file, from 0; NULL: there is no such spelling. Files of
   models that also see images have two: Transformers writes the first, and has the second in
   memory. */
static const char *spelling(const tn_source *s, const char *name, int i, char out[256])
{
    const size_t model = strlen("model.");
    if (i == 0)
        return name;
    if (i == 1)
        return short_name(name);
    if (!s->nested || (i == 3 && strncmp(name, "model.", model) != 0))
        return NULL;
    snprintf(out, 256, "%s%s", i == 2 ? "language_model." : "model.language_model.",
             name + (i == 3 ? model : 0));
    return out;
}

static bool find_stored(const tn_source *s, const char *name, tn_stored *out)
{
    char room[256];
    bool found = false;
    for (int i = 0; i < SPELLINGS && !found; i++) {
        const char *other = spelling(s, name, i, room);
        found = other && find_exact((const tn_weights *)s, other, out);
    }
    return found;
}

static bool fits(const tn_source *s, const tn_stored *t, const char *name)
{
    char room[256];
    bool same = false;
    for (int i = 0; i < SPELLINGS && !same; i++) {
        const char *other = spelling(s, name, i, room);
        same = other && !strcmp(t->name, other);
    }
    return same;
}

/* Does a model of text and images have this tensor for its images? */
static bool is_of_images(const char *name)
{
    static const char *const parts[] = { "vision_tower.", "multi_modal_projector." };
    name += strncmp(name, "model.", 6) ? 0 : 6;
    return !strncmp(name, parts[0], strlen(parts[0])) || !strncmp(name, parts[1], strlen(parts[1]));
}

/* Older files have some constants beside the weights. */
static bool is_beside(const tn_source *s, const tn_stored *t)
{
    if (s->nested && is_of_images(t->name))
        return true;
    static const char *const ends[] = { "attn.bias", "attn.masked_bias", "rotary_emb.inv_freq" };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (tn_target_matches(t->name, ends[i], strlen(ends[i])))
            return true;
    return false;
}

static int read_stored(const tn_source *s, const tn_stored *t, int64_t from, int64_t n,
                       tn_real *out, tn_error *e)
{
    const tn_entry *entry = t->entry;
    int64_t index = t->index;
    tn_real none[1];
    switch (entry->type) {
    case TN_FILE_F64:
    case TN_FILE_F32:
    case TN_FILE_F16:
    case TN_FILE_BF16:
        tn_from_file_type(entry->type,
                          (const char *)entry->bytes + tn_file_type_bytes(entry->type, from), n,
                          out);
        return e->code;
    default: return tn_entry_real(file_of((const tn_weights *)s, &index), entry, none, e);
    }
}

static void close_weights(tn_source *s)
{
    tn_weights *w = (tn_weights *)s;
    for (int64_t i = 0; i < w->count; i++)
        tn_safetensors_close(w->files[i]);
    free(w->files);
    free(w);
}

static void open_files(tn_weights *w, const char *folder, tn_error *e)
{
    if (tn_path_is(folder, single, e) != TN_ABSENT)
        open_file(w, folder, single, e);
    else
        open_index(w, folder, e);
    for (int64_t i = 0; i < w->count; i++)
        w->source.count += tn_safetensors_count(w->files[i]);
}

tn_source *tn_weights_open(const char *folder, tn_error *e)
{
    if (tn_model_weights(folder, e) == TN_ABSENT || e->code)
        return NULL;
    tn_weights *w = malloc(sizeof *w);
    if (!w) {
        tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
        return NULL;
    }
    *w = (tn_weights){ .source = { .at = stored_at,
                                   .find = find_stored,
                                   .fits = fits,
                                   .ignores = is_beside,
                                   .read = read_stored,
                                   .free = close_weights } };
    open_files(w, folder, e);
    if (!tn_source_start(&w->source, e))
        return &w->source;
    tn_source_drop(&w->source);
    return NULL;
}

int tn_weight_check(const tn_safetensors *file, const tn_entry *entry, int ndim,
                    const int64_t dim[], tn_error *e)
{
    char found[256], expected[256];
    bool same = entry->ndim == ndim;
    for (int i = 0; i < ndim && same; i++)
        same = entry->dim[i] == dim[i];
    if (same)
        return e->code;
    tn_shape_text(entry->ndim, entry->dim, found, sizeof found);
    tn_shape_text(ndim, dim, expected, sizeof expected);
    return tn_fail(e, TN_ESHAPE, "%s: tensor \"%s\" is %s; expected %s", tn_safetensors_path(file),
                   entry->name, found, expected);
}

int tn_weight_read(const tn_safetensors *file, const tn_entry *entry, tn_tensor *w, tn_error *e)
{
    if (tn_weight_check(file, entry, w->ndim, w->dim, e) || tn_entry_real(file, entry, w->x, e))
        return e->code;
    double value;
    const int64_t n = tn_tensor_count(w), i = tn_not_finite(tn_file_real(), w->x, n, &value);
    if (i < n)
        tn_fail(e, TN_ENONFINITE,
                "%s: tensor \"%s\" holds %g at element %lld; expected finite numbers",
                tn_safetensors_path(file), entry->name, value, (long long)i);
    return e->code;
}

int tn_weight_check_numbers(const char *name, const tn_tensor *w, tn_file_type type, tn_error *e)
{
    enum { PIECE = 512 };
    tn_real x[PIECE];
    const double most = type == TN_FILE_F16 ? 65504 : INFINITY;
    for (int64_t from = 0, n, count = tn_tensor_count(w); from < count; from += n) {
        n = count - from < PIECE ? count - from : PIECE;
        tn_widen(w->dtype, w->data, from, n, x);
        for (int64_t i = 0; i < n; i++)
            if (!isfinite(x[i]) || fabs((double)x[i]) > most)
                return tn_fail(e, TN_ENONFINITE,
                               "%s holds %g at element %lld, which is not written as %s", name,
                               (double)x[i], (long long)(from + i), tn_file_type_name(type));
    }
    return e->code;
}
