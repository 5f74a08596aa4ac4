/* test_textbook.c - every page of optim/ names its equations in its code, and is short.
   Every numbered equation in the head of an optimizer's file is named in its code. No page has more
   than 170 lines. */
#include "optim/optim.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LINES = 170 };

/* optim/NAME.c, in new memory. */
static char *page_of(const char *name, char *path, size_t room)
{
    tn_error e = { 0 };
    size_t size;
    snprintf(path, room, "optim/%s.c", name);
    for (char *c = path; *c; c++)
        *c = *c == '-' ? '_' : *c;
    char *text = tn_file_read(path, 1 << 20, &size, &e);
    must(&e);
    return text;
}

/* The length of the number of an equation at s: "(7)", "(7')" or a letter, "(c)". 0 if there is
   none. */
static size_t number_at(const char *s)
{
    if (*s != '(')
        return 0;
    size_t n = 1;
    while (isdigit((unsigned char)s[n]))
        n++;
    n += n == 1 && islower((unsigned char)s[n]);
    bool any = n > 1;
    n += s[n] == '\'';
    return any && s[n] == ')' ? n + 1 : 0;
}

/* Finds the numbers of the equations in the head: two spaces separate a number from its equation.
   Returns how many of them the code does not name. */
static int unnamed(const char *path, const char *head, const char *code, int *equations)
{
    int missing = 0;
    for (const char *line = head; line < code; line = strchr(line, '\n') + 1) {
        size_t indent = strspn(line, " "), length = strcspn(line, "\n");
        for (size_t i = indent + 2; indent >= 6 && i < length; i++) {
            size_t n = line[i - 1] == ' ' && line[i - 2] == ' ' ? number_at(line + i) : 0;
            char number[16];
            if (!n || n >= sizeof number)
                continue;
            snprintf(number, sizeof number, "%.*s", (int)n, line + i);
            ++*equations;
            if (strstr(code, number))
                continue;
            printf("%s: equation %s is not named in the code\n", path, number);
            missing++;
        }
    }
    return missing;
}

static void check_equations(const char *name)
{
    char path[64];
    char *text = page_of(name, path, sizeof path);
    const char *code = strstr(text, "*/");
    int equations = 0;
    ck_assert_msg(!strncmp(text, "/* ", 3) && code, "%s does not begin with a comment", path);
    ck_assert_msg(unnamed(path, text, code, &equations) == 0, "%s: see above", path);
    ck_assert_msg(equations > 0, "%s has no numbered equation", path);
    free(text);
}

START_TEST(every_equation_is_named_in_the_code)
{
    static const char *const shared[] = { "rite", "balora" };
    for (const tn_optim_def *const *def = tn_optims; *def; def++)
        check_equations((*def)->name);
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        check_equations(shared[i]);
}
END_TEST

START_TEST(a_page_is_short_and_says_cost_and_claims)
{
    static const char *const words[] = { "Cost:", "State:", "Claims:", "Trap" };
    for (const tn_optim_def *const *def = tn_optims; *def; def++) {
        char path[64];
        char *text = page_of((*def)->name, path, sizeof path);
        int lines = 0;
        for (const char *c = text; *c; c++)
            lines += *c == '\n';
        ck_assert_msg(lines <= MOST_LINES, "%s has %d lines, at most %d", path, lines, MOST_LINES);
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            ck_assert_msg(strstr(text, words[i]), "%s does not say \"%s\"", path, words[i]);
        free(text);
    }
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, every_equation_is_named_in_the_code);
    tcase_add_test(c, a_page_is_short_and_says_cost_and_claims);
}
