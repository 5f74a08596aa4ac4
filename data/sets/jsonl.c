/* jsonl.c - reads a file of records: one JSON object per line, or a list of them. */
#include "data/sets/jsonl.h"
#include "data/formats/file.h"
#include "data/sets/dataset.h"
#include "data/sets/record.h"

#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_LINE = 32 << 20,
    LONGEST_LIST = 256 << 20
}; /* bytes: limits of memory for parsing */

struct tn_jsonl {
    char *path;
    tn_sections file;   /* closed: the section is all */
    tn_section section; /* of the file */
    tn_span text;       /* of the section */
    size_t at;          /* begin of the next line in it; of a list: of the last object */
    bool is_list;
    tn_record_format format;    /* that all records must have; or any */
    int64_t line;               /* lines read; of a list: the line of the last object */
    const tn_json *object;      /* of the last line */
    const tn_json *list, *item; /* of a file that is a list: all of it, and its next object */
    tn_record_memory memory;
};

/* ---- the file ---- */

static bool is_blank(tn_span s)
{
    while (s.n > 0 && memchr(" \t\r\n", s.s[s.n - 1], 4) != NULL)
        s.n--;
    return s.n == 0;
}

static size_t after_last_line(const void *arg, const char *s, size_t n)
{
    (void)arg;
    while (n > 0 && s[n - 1] != '\n')
        n--;
    return n;
}

static size_t nowhere(const void *arg, const char *s, size_t n)
{
    (void)arg;
    (void)s;
    (void)n;
    return 0;
}

/* The first byte that is not white space; -1: there is none. */
static int first_byte(const tn_input *in, size_t from, tn_error *e)
{
    char some[4096];
    for (size_t at = from, n; at < in->size; at += n) {
        n = in->size - at < sizeof some ? in->size - at : sizeof some;
        if (tn_input_read(in, some, n, at, e))
            break;
        for (size_t i = 0; i < n; i++)
            if (memchr(" \t\r\n", some[i], 4) == NULL)
                return (unsigned char)some[i];
    }
    return -1;
}

tn_sections tn_jsonl_sections(const char *path, bool *list, tn_error *e)
{
    tn_sections f = { .in = tn_input_open(path, e),
                      .cut = after_last_line,
                      .longest = LONGEST_LINE,
                      .kind = "a line" };
    char mark[4] = { 0 };
    const size_t n = f.in.size < sizeof mark ? f.in.size : sizeof mark;
    if (!tn_input_read(&f.in, mark, n, 0, e))
        f.from = tn_text_mark(path, mark, n, e);
    const int first = e->code ? 0 : first_byte(&f.in, f.from, e);
    f.at = f.from;
    f.to = f.in.size;
    *list = first == '['; /* a file that begins with it is one list */
    if (*list)
        f.cut = nowhere;
    if (first < 0)
        tn_fail(e, TN_EFORMAT, "%s:1: an empty file; expected a JSON object a line", path);
    else if (*list && f.in.size > LONGEST_LIST)
        tn_fail(e, TN_EFORMAT,
                "%s: a list of %zu bytes; expected at most %d, or a JSON object a line", path,
                f.in.size, LONGEST_LIST);
    return f;
}

/* ---- a reader ---- */

static tn_jsonl *make(const char *path, tn_record_format format, tn_error *e)
{
    tn_jsonl *j = calloc(1, sizeof *j);
    if (j != NULL) {
        j->file.in.fd = -1;
        j->format = format;
        j->path = strdup(path);
    }
    if (j != NULL && j->path != NULL)
        return j;
    tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    tn_jsonl_close(j);
    return NULL;
}

/* Begins with the section. */
static int begin_section(tn_jsonl *j, const tn_section *b, tn_error *e)
{
    j->text = b->text;
    j->at = 0;
    j->line = b->line;
    if (j->is_list) {
        j->list = tn_json_parse(b->text.s, b->text.n, j->path, 0, e);
        j->item = j->list ? j->list->child : NULL;
        j->line = 1;
    }
    return e->code;
}

tn_jsonl *tn_jsonl_of(const char *path, tn_record_format format, const tn_section *b, bool list,
                      tn_error *e)
{
    tn_jsonl *j = make(path, format, e);
    if (j != NULL)
        j->is_list = list;
    if (j != NULL && !begin_section(j, b, e))
        return j;
    tn_jsonl_close(j);
    return NULL;
}

tn_jsonl *tn_jsonl_open(const char *path, tn_record_format format, tn_error *e)
{
    if (tn_given(e, path, __func__))
        return NULL;
    tn_jsonl *j = make(path, format, e);
    if (j != NULL)
        j->file = tn_jsonl_sections(j->path, &j->is_list, e);
    if (!e->code && j->is_list && tn_sections_read(&j->file, &j->section, e))
        begin_section(j, &j->section, e);
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
    tn_input_close(&j->file.in);
    free(j->section.room);
    free(j->path);
    free(j);
}

/* Goes on with the next section of the file if this one is at its end. False: there is none. */
static bool has_more(tn_jsonl *j, tn_error *e)
{
    if (j->at < j->text.n)
        return true;
    if (j->file.in.fd < 0)
        return false;
    if (tn_sections_read(&j->file, &j->section, e))
        return !begin_section(j, &j->section, e);
    tn_input_check(&j->file.in, e);
    return false;
}

/* Takes the next line, which ends in LF or CRLF. */
static tn_span take_line(tn_jsonl *j)
{
    const size_t left = j->text.n - j->at;
    const char *start = j->text.s + j->at, *newline = memchr(start, '\n', left);
    const size_t length = newline == NULL ? left : (size_t)(newline - start);
    j->at += length + (newline != NULL);
    j->line++;
    return (tn_span){ start, length > 0 && start[length - 1] == '\r' ? length - 1 : length };
}

/* Takes the next line that is not blank. False: there is none. */
static bool take_record(tn_jsonl *j, tn_span *line, tn_error *e)
{
    bool blank = true;
    while (blank && has_more(j, e)) {
        *line = take_line(j);
        blank = is_blank(*line);
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
        for (; j->at < item->offset; j->at++)
            j->line += j->text.s[j->at] == '\n';
        j->item = item->next;
    }
    return item;
}

bool tn_jsonl_next(tn_jsonl *j, tn_jsonl_record *out, tn_error *e)
{
    tn_span line = { NULL, 0 };
    if (tn_given(e, j && out, __func__) || (!j->is_list && !take_record(j, &line, e)))
        return false;
    tn_error inner = { 0 };
    const tn_json *object = j->is_list ? take_item(j) : parse_line(j, line, e);
    *out = (tn_jsonl_record){ .line = j->line };
    if (!object)
        return false;
    if (tn_record_read(object, j->format, &j->memory, out, &inner))
        tn_dataset_fail(j->path, j->line, &inner, e);
    return !e->code;
}
