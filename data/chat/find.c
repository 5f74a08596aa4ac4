/* find.c - the chat template of a model: in its folder, or in its GGUF file. */
#include "data/chat/chat.h"
#include "data/formats/gguf_file.h"
#include "data/gguf.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 16 << 20 }; /* bytes of a file */

/* "chat_template" of tokenizer_config.json: a text, or a list with one called "default". */
static char *from_config(const char *path, tn_error *e)
{
    const tn_json *root = tn_json_read(path, e), *v = tn_json_find(root, "chat_template");
    const tn_json *list = v && v->kind == TN_ARRAY ? v->child : NULL;
    for (; list; list = list->next) {
        const char *name = "";
        tn_json_get_string(list, "name", &name, e);
        if (!strcmp(name, "default"))
            v = tn_json_find(list, "template");
    }
    char *text = v && v->kind == TN_STRING ? strdup(v->text) : NULL;
    if (v && v->kind == TN_STRING && !text)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    tn_json_free(root);
    return text;
}

static char *from_folder(const char *folder, tn_error *e)
{
    static const char *const names[] = { "chat_template.jinja", "tokenizer_config.json" };
    char *text = NULL;
    for (int i = 0; i < 2 && !text && !e->code; i++) {
        size_t size;
        char *path = tn_path_newest(folder, names[i]);
        if (!path)
            tn_fail(e, TN_ENOMEM, "%s: out of memory", folder);
        else if (tn_path_is(path, NULL, e) != TN_ABSENT && !e->code)
            text = i ? from_config(path, e) : tn_text_read(path, MOST, &size, e);
        free(path);
    }
    return text;
}

static char *from_gguf(const char *path, tn_error *e)
{
    const char *found = NULL;
    tn_gguf *g = tn_gguf_open(path, e);
    if (g)
        tn_gguf_get_string(g, "tokenizer.chat_template", &found, e);
    char *text = found && !e->code ? strdup(found) : NULL;
    if (found && !text)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    tn_gguf_close(g);
    return text;
}

char *tn_chat_template_read(const char *model, tn_error *e)
{
    if (tn_given(e, model, __func__))
        return NULL;
    char *text = tn_path_is(model, NULL, e) == TN_FOLDER ? from_folder(model, e) : NULL;
    char *gguf = text || e->code ? NULL : tn_gguf_of(model, e);
    if (gguf && !e->code)
        text = from_gguf(gguf, e);
    free(gguf);
    return text;
}
