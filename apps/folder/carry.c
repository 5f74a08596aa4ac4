/* carry.c - copies the files of a model folder that are not its weights or its config. */
#include "apps/folder/carry.h"
#include "apps/report/show.h"

#include <stdlib.h>

enum { MOST = 1 << 28 }; /* bytes of a file */

#define NAME(name) name,
static const char *const names[] = { CARRIED(NAME) NULL };

static int copy(const char *from, const char *to, const char *name, tn_error *e)
{
    if (tn_path_is(from, name, e) == TN_ABSENT)
        return e->code;
    size_t size = 0;
    char *source = tn_path_newest(from, name), *target = tn_path_join(to, name);
    if (!source || !target)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", from);
    char *bytes = e->code ? NULL : tn_file_read(source, MOST, &size, e);
    if (bytes)
        tn_file_write(target, bytes, size, e);
    free(bytes);
    free(source);
    free(target);
    return e->code;
}

static bool has_tokenizer(const char *folder, tn_error *e)
{
    static const char *const one_of[] = { "tokenizer.json", "tokenizer.model", "vocab.json" };
    bool has = false;
    for (size_t i = 0; i < sizeof one_of / sizeof *one_of && !has && !e->code; i++)
        has = tn_path_is(folder, one_of[i], e) != TN_ABSENT;
    return has && !e->code;
}

/* The folder with the files of the tokenizer. NULL: none, or see e. */
static const char *folder_of(const char *model, const char *adapter, tn_error *e)
{
    const char *const folders[] = { model, adapter };
    for (int i = 0; i < 2; i++)
        if (folders[i] && tn_path_is(folders[i], NULL, e) == TN_FOLDER &&
            has_tokenizer(folders[i], e))
            return folders[i];
    return NULL;
}

/* Opens the tokenizer of a model that is a GGUF file, or a folder with one. NULL: there is none. */
static tn_tokenizer *open_own(const char *model, tn_error *e)
{
    tn_error none = { 0 };
    const bool folder = tn_path_is(model, NULL, e) == TN_FOLDER;
    if (e->code || (folder && tn_path_is(model, "model.safetensors", &none) != TN_ABSENT) ||
        (folder && tn_path_is(model, "model.safetensors.index.json", &none) != TN_ABSENT))
        return NULL;
    return tn_tokenizer_file(model, e) && !e->code ? tn_tokenizer_open(model, e) : NULL;
}

/* Copies the files of a tokenizer, or writes those of the one in a GGUF file. */
int carry_files(const char *model, const char *adapter, const char *to, tn_error *e)
{
    const char *from = folder_of(model, adapter, e);
    tn_tokenizer *own = from || e->code ? NULL : open_own(model, e);
    for (int i = 0; from && names[i] && !e->code; i++)
        copy(from, to, names[i], e);
    if (from != model && !e->code && tn_path_is(model, NULL, e) == TN_FOLDER)
        copy(model, to, "generation_config.json", e);
    if (own)
        tn_tokenizer_save(own, to, e);
    else if (!from && !e->code)
        show_note("%s has no tokenizer that is written with the model", model);
    tn_tokenizer_free(own);
    return e->code;
}

tn_tokenizer *carry_tokenizer(const char *model, const char *adapter, tn_error *e)
{
    const char *from = folder_of(model, adapter, e);
    if (from && !e->code)
        return tn_tokenizer_open(from, e);
    return tn_path_is(model, NULL, e) == TN_FOLDER ? open_own(model, e) : NULL;
}
