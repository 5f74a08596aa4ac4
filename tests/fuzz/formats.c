/* formats.c - the list of formats, files with one change, and the form of a refusal. */
#include "tests/fuzz/formats.h"

#include "data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
#define FORMATS(F)                                                                                 \
    F(json) F(safetensors) F(gguf) F(tokenizer) F(tokenizer_config) F(bpe) F(pieces) F(merges) F(sentencepiece) F(gguf_bpe) F(gguf_pieces) F(config) F(llama_config) F(gemma_config) F(gguf_model) F(gguf_adapter) F(weights) F(index)            \
    F(jsonl) F(text) F(token_file) F(adapter_config) F(adapter_weights) F(mlx_config) F(mlx_weights) F(state) F(checkpoint_weights)             \
    F(checkpoint_moments) F(options) F(command_line)
/* clang-format on */

#define F(name) extern const format format_##name;
FORMATS(F)
#undef F

const format *const formats[] = {
#define F(name) &format_##name,
    FORMATS(F)
#undef F
        NULL
};

const format *format_find(const char *name)
{
    for (int i = 0; formats[i]; i++)
        if (!strcmp(formats[i]->name, name))
            return formats[i];
    return NULL;
}

static void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

char *unquoted(const char *text, bool json)
{
    char *out = need(strdup(text));
    for (char *s = out; *s && json; s++)
        *s = *s == '\'' ? '"' : *s == '`' ? '\'' : *s;
    return out;
}

/* The bytes of a before `at`, then b, then the bytes of a from `on` on. */
static bytes joined(bytes a, size_t at, const char *b, size_t on)
{
    const size_t m = strlen(b);
    bytes out = { need(malloc(at + m + a.n - on + 1)), at + m + a.n - on };
    memcpy(out.s, a.s, at);
    memcpy(out.s + at, b, m);
    memcpy(out.s + at + m, a.s + on, a.n - on);
    return out;
}

static bytes changed(const format *f, bytes text, const row *r)
{
    char *from = unquoted(r->from ? r->from : "", f->json),
         *to = unquoted(r->to ? r->to : "", f->json);
    const size_t n = strlen(from);
    const char *at = n ? memmem(text.s, text.n, from, n) : text.s + text.n;
    if (!at) {
        fprintf(stderr, "%s: \"%s\" is not in the valid text\n", f->name, from);
        abort();
    }
    const size_t before = r->from ? (size_t)(at - text.s) : 0;
    bytes out = joined(text, before, to, r->from && r->to ? before + n : text.n);
    free(from);
    free(to);
    return out;
}

bytes format_made(const format *f, const char *folder, const row *r)
{
    const bytes file = file_read(folder, f->file);
    const bytes text = f->unpack && !r->raw ? f->unpack(file) : file;
    const bytes made = changed(f, text, r);
    bytes out = f->pack && !r->raw ? f->pack(made) : made;
    if (out.s != made.s)
        free(made.s);
    if (text.s != file.s)
        free(text.s);
    free(file.s);
    return out;
}

const char *format_complaint(const format *f, const char *folder, const tn_error *e)
{
    const char *text = e->text, *name = f->named ? f->named : f->file;
    if (strncmp(text, folder, strlen(folder)) || !strstr(text, name))
        return "the file is not named";
    for (const unsigned char *s = (const unsigned char *)text; *s; s++)
        if (*s < ' ' || *s == 127)
            return "a control character";
    return strlen(text) > strlen(folder) + strlen(name) + 8 ? NULL : "nothing is said";
}

/* ---- files ---- */

void folder_new(char path[64])
{
    const char *around = getenv("TMPDIR");
    if (snprintf(path, 64, "%s/tenon-faults-XXXXXX", around ? around : "/tmp") >= 64)
        abort();
    need(mkdtemp(path));
}

void folder_end(const char *path)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command))
        abort();
}

char *path_in(const char *folder, const char *name)
{
    return need(tn_path_join(folder, name));
}

void file_write(const char *folder, const char *name, bytes b)
{
    char *path = path_in(folder, name);
    FILE *f = need(fopen(path, "wb"));
    if (fwrite(b.s, 1, b.n, f) != b.n || fclose(f))
        abort();
    free(path);
}

void file_text(const char *folder, const char *name, const char *text)
{
    file_write(folder, name, (bytes){ (char *)(uintptr_t)text, strlen(text) });
}

void file_json(const char *folder, const char *name, const char *text)
{
    char *plain = unquoted(text, true);
    file_text(folder, name, plain);
    free(plain);
}

bytes file_read(const char *folder, const char *name)
{
    tn_error e = { 0 };
    char *path = path_in(folder, name);
    bytes b = { 0 };
    b.s = need(tn_file_read(path, 1 << 24, &b.n, &e));
    free(path);
    return b;
}

/* ---- tokenizers ---- */

void tokenizer_again(const tn_tokenizer *k, const char *folder, tn_error *e)
{
    char *again = path_in(folder, "again");
    tn_folder_make(again, e);
    if (tn_tokenizer_save(k, again, e))
        abort();
    tn_tokenizer *copy = tn_tokenizer_open(again, e);
    if (!copy || tn_tokenizer_size(copy) != tn_tokenizer_size(k) ||
        tn_tokenizer_end(copy) != tn_tokenizer_end(k))
        abort();
    tn_tokenizer_free(copy);
    free(again);
}
