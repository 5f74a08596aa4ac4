/* jsonl.c - reads a file of records, one JSON object per line. */
#include "data/data.h"
#include "data/formats/file.h"
#include "data/sets/dataset.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LONGEST_LINE = 32 << 20 }; /* bytes; it limits the memory for parsing a line */

struct tn_jsonl {
    char *path;
    const char *text;  /* the mapped file */
    size_t size, end;  /* its bytes; its bytes without blank lines at the end */
    size_t at, passed; /* begin of the next line; end of the memory that was returned */
    int64_t line;      /* lines read */
    const tn_json *object;
};

/* The length of the text without blank lines at its end. */
static size_t without_blanks(const char *text, size_t n)
{
    while (n > 0 && memchr(" \t\r\n", text[n - 1], 4) != NULL)
        n--;
    return n;
}

tn_jsonl *tn_jsonl_open(const char *path, tn_error *e)
{
    if (tn_given(e, path, __func__))
        return NULL;
    tn_jsonl *j = calloc(1, sizeof *j);
    if (j == NULL || (j->path = strdup(path)) == NULL) {
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    } else if ((j->text = tn_file_map(path, 1, TN_LONGEST_FILE, &j->size, e)) != NULL) {
        j->at = tn_text_mark(path, j->text, j->size, e);
        j->end = without_blanks(j->text, j->size);
        if (j->at >= j->end)
            tn_fail(e, TN_EFORMAT, "%s:1: an empty file; expected a JSON object a line", path);
    }
    if (!e->code)
        return j;
    tn_jsonl_close(j);
    return NULL;
}

void tn_jsonl_close(tn_jsonl *j)
{
    if (j == NULL)
        return;
    tn_json_free(j->object);
    if (j->text != NULL)
        munmap((void *)j->text, j->size);
    free(j->path);
    free(j);
}

/* Has the object a member of this name that is not null? */
static bool has(const tn_json *object, const char *key)
{
    const tn_json *v = tn_json_find(object, key);
    return v != NULL && v->kind != TN_NULL;
}

/* Reads a string member of a line's object. */
static int read_member(const tn_json *object, const char *key, bool may_be_empty, tn_span *out,
                       tn_error *e)
{
    const tn_json *v = tn_json_find(object, key);
    if (v == NULL)
        return tn_fail(e, TN_EFORMAT,
                       "\"%s\" is missing; expected \"text\", or \"prompt\" and "
                       "\"completion\"",
                       key);
    if (v->kind != TN_STRING)
        return tn_fail(e, TN_EFORMAT, "\"%s\" is not a string; expected a string", key);
    if (v->length == 0 && !may_be_empty)
        return tn_fail(e, TN_EFORMAT, "\"%s\" is empty; expected some text", key);
    *out = (tn_span){ v->text, v->length };
    return TN_OK;
}

/* Reads the record of a line's object. Members of other names are ignored. */
static int read_record(const tn_json *object, tn_jsonl_record *out, tn_error *e)
{
    if (object->kind != TN_OBJECT)
        return tn_fail(e, TN_EFORMAT,
                       "not an object; expected {\"text\"} or "
                       "{\"prompt\",\"completion\"}");
    out->pair = has(object, "prompt") || has(object, "completion");
    if (!out->pair)
        return read_member(object, "text", false, &out->text, e);
    if (has(object, "text"))
        return tn_fail(e, TN_EFORMAT,
                       "\"text\" beside \"prompt\" or \"completion\"; expected one "
                       "form");
    return read_member(object, "prompt", true, &out->prompt, e)
               ? e->code
               : read_member(object, "completion", false, &out->text, e);
}

/* Takes the next line, which ends in LF or CRLF. Gives memory of earlier lines back
   to the system. */
static tn_span take_line(tn_jsonl *j)
{
    const char *start = j->text + j->at, *newline = memchr(start, '\n', j->end - j->at);
    const size_t length = newline == NULL ? j->end - j->at : (size_t)(newline - start);
    if (j->at - j->passed >= TN_AT_ONCE) {
        tn_file_pass(j->text, j->passed, j->at);
        j->passed = j->at;
    }
    j->at += length + (newline != NULL);
    j->line++;
    return (tn_span){ start, length > 0 && start[length - 1] == '\r' ? length - 1 : length };
}

bool tn_jsonl_next(tn_jsonl *j, tn_jsonl_record *out, tn_error *e)
{
    if (tn_given(e, j && out, __func__) || j->at >= j->end)
        return false;
    tn_error inner = { 0 };
    const tn_span line = take_line(j);
    *out = (tn_jsonl_record){ .prompt = { "", 0 }, .text = { "", 0 }, .line = j->line };
    tn_json_free(j->object);
    j->object = NULL;
    if (without_blanks(line.s, line.n) == 0)
        tn_fail(&inner, TN_EFORMAT, "an empty line; expected a JSON object");
    else if (line.n > LONGEST_LINE)
        tn_fail(&inner, TN_EFORMAT, "a line of %zu bytes; expected at most %d", line.n,
                LONGEST_LINE);
    else if ((j->object = tn_json_parse(line.s, line.n, j->path, j->line, e)) != NULL)
        read_record(j->object, out, &inner);
    if (inner.code)
        tn_dataset_fail(j->path, j->line, &inner, e);
    return !e->code;
}
