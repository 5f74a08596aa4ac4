/* carry.c - copies the files of a model folder that are not its weights or its config. */
#include "apps/run/carry.h"
#include "apps/run/show.h"

#include <stdlib.h>

enum { MOST = 1 << 28 }; /* bytes of a file */

const char *const carry_names[] = { "tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "added_tokens.json",
                                    "vocab.json",
                                    "merges.txt",
                                    "tokenizer.model",
                                    "chat_template.jinja",
                                    "generation_config.json",
                                    NULL };

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

/* The folder that has the tokenizer. NULL: none, or see e. */
static const char *folder_of(const char *model, const char *adapter, tn_error *e)
{
    if (tn_path_is(model, NULL, e) == TN_FOLDER && tn_tokenizer_file(model, e))
        return model;
    if (adapter && !e->code && tn_path_is(adapter, NULL, e) == TN_FOLDER &&
        tn_tokenizer_file(adapter, e))
        return adapter;
    return NULL;
}

int carry_files(const char *model, const char *adapter, const char *to, tn_error *e)
{
    const char *from = folder_of(model, adapter, e);
    for (int i = 0; from && carry_names[i] && !e->code; i++)
        copy(from, to, carry_names[i], e);
    if (from != model && tn_path_is(model, NULL, e) == TN_FOLDER)
        copy(model, to, "generation_config.json", e);
    if (!from && !e->code)
        show_note("%s has no tokenizer that is written with the model", model);
    return e->code;
}

tn_tokenizer *carry_tokenizer(const char *model, const char *adapter, tn_error *e)
{
    const char *from = folder_of(model, adapter, e);
    return from && !e->code ? tn_tokenizer_open(from, e) : NULL;
}
