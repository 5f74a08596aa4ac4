/* null.c - checks tables of calls with NULL (null.h). */
#include "tests/support/null.h"
#include "tests/support/tests.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a row ---- */

/* True if the call reported the mistake in its tn_error, or in its tape if it has no tn_error. True
   also if it has neither, or if argument `null` is the one that would hold the report. */
static bool is_told(const null_fixture *f, const null_call *call, int null)
{
    int at = -1;
    for (int i = 0; i < NULL_MOST; i++)
        if (call->argument[i] == ERROR || (call->argument[i] == TAPE && at < 0))
            at = i;
    if (at < 0 || at == null)
        return true;
    return call->argument[at] == ERROR ? f->e.code < 0 && f->e.text[0] : tn_tape_code(f->t) < 0;
}

static null_call check(const null_table *t, int i, int null)
{
    null_call call = { 0 };
    null_fixture *f = t->open();
    const bool refused = null >= 0;
    t->call(f, i, null, &call);
    if (refused && !(call.takes >> null & 1)) {
        ck_assert_msg(call.outcome != SUCCESS, "%s takes NULL as argument %d", call.name, null + 1);
        ck_assert_msg(is_told(f, &call, null), "%s does not say that argument %d is NULL",
                      call.name, null + 1);
    } else {
        ck_assert_msg(call.outcome != REFUSAL && !f->e.code && !tn_tape_code(f->t),
                      "%s, argument %d NULL (0: none): %s%s", call.name, null + 1, f->e.text,
                      f->e.code || !tn_tape_code(f->t) ? "" : tn_tape_error(f->t));
    }
    t->close(f);
    return call;
}

void null_row(const null_table *t, int i)
{
    const null_call call = check(t, i, -1);
    for (int null = 0; null < NULL_MOST; null++)
        if (call.argument[null] != NUMBER)
            check(t, i, null);
}

/* ---- all rows ---- */

/* The text of a header without comments, preprocessor lines, and what is between braces. */
static char *declarations(const char *path)
{
    enum { ROOM = 1 << 18 };
    char *text = calloc(ROOM, 1), *to = text;
    FILE *f = fopen(path, "r");
    ck_assert_msg(f && text, "%s cannot be read", path);
    ck_assert_uint_lt(fread(text, 1, ROOM - 1, f), ROOM - 1);
    fclose(f);
    int depth = 0;
    for (const char *s = text; *s; s++) {
        if (s[0] == '/' && s[1] == '*')
            s = strstr(s, "*/") + 1;
        else if (*s == '#')
            for (; s[1] && s[1] != '\n'; s++)
                s += s[0] == '\\';
        else if (*s == '{' || *s == '}')
            depth += *s == '{' ? 1 : -1;
        else if (depth == 0)
            *to++ = *s;
    }
    *to = 0;
    return text;
}

static bool has_row(const null_table *t, const char *name)
{
    for (int i = 0; i < t->rows; i++)
        if (!strcmp(t->names[i], name))
            return true;
    return false;
}

/* Finds the next function of a text from *s on. Writes its name and its parameters. */
static bool next_function(const char **s, char name[64], char list[1024])
{
    char word[61];
    for (int used = 0; **s; *s += used ? used : 1, used = 0) {
        if (isalnum((unsigned char)(*s)[-1]) || (*s)[-1] == '_')
            continue;
        if (!strncmp(*s, "typedef", 7))
            used = (int)strcspn(*s, ";");
        else if (sscanf(*s, "tn_%60[a-z0-9_](%1023[^;]%n", word, list, &used) == 2 ||
                 sscanf(*s, "TN_OP(%60[a-z_], (%1023[^)]%n", word, list, &used) == 2) {
            snprintf(name, 64, "tn_%s", word);
            *s += used;
            return true;
        }
    }
    return false;
}

void null_rows_are_all(const null_table *t, const char *header)
{
    char *text = declarations(header), name[64], list[1024];
    const char *s = text + 1; /* next_function reads the character before s, too */
    int functions = 0, without = 0;
    while (next_function(&s, name, list)) {
        const bool lacks = strpbrk(list, "*[") && !has_row(t, name);
        if (lacks)
            fprintf(stderr, "%s: %s has no row\n", header, name);
        functions++;
        without += lacks;
    }
    free(text);
    ck_assert_int_gt(functions, 0);
    ck_assert_msg(!without, "%s: %d of %d functions have no row", header, without, functions);
}
