/* jsonl.c - reads a file of records: one JSON object per line, or a list of them. */
#include "data/data.h"
#include "data/formats/file.h"
#include "data/sets/dataset.h"
#include "data/sets/record.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    LONGEST_LINE = 32 << 20,
    LONGEST_LIST = 256 << 20
}; /* bytes: limits of memory for parsing */

struct tn_jsonl {
    char *path;
    const char *text;           /* the mapped file */
    size_t size, end;           /* its bytes; its bytes without blank lines at the end */
    size_t at, passed;          /* begin of the next line; end of the memory that was returned */
    tn_record_format format;    /* that all records must have; or any */
    int64_t line;               /* lines read; of a list: the line of the last object */
    const tn_json *object;      /* of the last line */
    const tn_json *list, *item; /* of a file that is a list: all of it, and its next object */
    tn_record_memory memory;
};

/* The length of the text without blank lines at its end. */
static size_t without_blanks(const char *text, size_t n)
{
    while (n > 0 && memchr(" \t\r\n", text[n - 1], 4) != NULL)
        n--;
    return n;
}

/* A file that begins with "[" is one list. */
static bool is_list(const tn_jsonl *j)
{
    size_t at = j->at;
    while (memchr(" \t\r\n", j->text[at], 4) != NULL)
        at++;
    return j->text[at] == '[';
}

static int open_list(tn_jsonl *j, tn_error *e)
{
    if (j->size > LONGEST_LIST)
        return tn_fail(e, TN_EFORMAT,
                       "%s: a list of %zu bytes; expected at most %d, or a JSON object a line",
                       j->path, j->size, LONGEST_LIST);
    j->list = tn_json_parse(j->text + j->at, j->end - j->at, j->path, 0, e);
    j->item = j->list ? j->list->child : NULL;
    j->line = 1;
    j->passed = j->at; /* offsets of objects count from here */
    return e->code;
}

tn_jsonl *tn_jsonl_open(const char *path, tn_record_format format, tn_error *e)
{
    if (tn_given(e, path, __func__))
        return NULL;
    tn_jsonl *j = calloc(1, sizeof *j);
    if (j == NULL || (j->path = strdup(path)) == NULL) {
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    } else if ((j->text = tn_file_map(path, 1, TN_LONGEST_FILE, &j->size, e)) != NULL) {
        j->format = format;
        j->at = tn_text_mark(path, j->text, j->size, e);
        j->end = without_blanks(j->text, j->size);
        if (j->at >= j->end)
            tn_fail(e, TN_EFORMAT, "%s:1: an empty file; expected a JSON object a line", path);
        else if (!e->code && is_list(j))
            open_list(j, e);
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
    tn_json_free(j->list);
    tn_record_memory_free(&j->memory);
    if (j->text != NULL)
        munmap((void *)j->text, j->size);
    free(j->path);
    free(j);
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

/* Takes the next line that is not blank. False: there is none. */
static bool take_record(tn_jsonl *j, tn_span *line)
{
    bool blank = true;
    while (j->at < j->end && blank) {
        *line = take_line(j);
        blank = without_blanks(line->s, line->n) == 0;
    }
    return !blank;
}

static const tn_json *parse_line(tn_jsonl *j, tn_span line, tn_error *e)
{
    tn_json_free(j->object);
    j->object = NULL;
    if (line.n > LONGEST_LINE)
        tn_fail(e, TN_EFORMAT, "%s:%lld: a line of %zu bytes; expected at most %d", j->path,
                (long long)j->line, line.n, LONGEST_LINE);
    else
        j->object = tn_json_parse(line.s, line.n, j->path, j->line, e);
    return j->object;
}

/* The next object of a list, with its line. */
static const tn_json *take_item(tn_jsonl *j)
{
    const tn_json *item = j->item;
    if (item) {
        for (; j->at < j->passed + item->offset; j->at++)
            j->line += j->text[j->at] == '\n';
        j->item = item->next;
    }
    return item;
}

bool tn_jsonl_next(tn_jsonl *j, tn_jsonl_record *out, tn_error *e)
{
    tn_span line = { NULL, 0 };
    if (tn_given(e, j && out, __func__) || (!j->list && !take_record(j, &line)))
        return false;
    tn_error inner = { 0 };
    const tn_json *object = j->list ? take_item(j) : parse_line(j, line, e);
    *out = (tn_jsonl_record){ .line = j->line };
    if (!object)
        return false;
    if (tn_record_read(object, j->format, &j->memory, out, &inner))
        tn_dataset_fail(j->path, j->line, &inner, e);
    return !e->code;
}
