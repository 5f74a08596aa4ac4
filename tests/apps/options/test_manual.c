/* test_manual.c - the page of each command has all options; groff reads it without a warning. */
#include "apps/commands/commands.h"
#include "apps/options/options_set.h"
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes the file `page` for a command ("": the program), and lets groff format it with one line per
   paragraph. False if there is no groff. */
static bool set_page(const place *p, const char *name)
{
    ck_assert_int_eq(tenon(p, "--man %s", name), 0);
    if (shell(p, "command -v groff >/dev/null")) {
        printf("left out: there is no groff\n");
        return false;
    }
    ck_assert_int_eq(shell(p,
                           "cp out page && groff -man -ww -Tascii -P-cbou -rLL=2000n page 2>said |"
                           " tr -s ' ' >set; cat said; test ! -s said"),
                     0);
    return true;
}

static void has_option(const command *c, const option *row, const char *set)
{
    char name[64], left[80];
    tn_text says = { 0 };
    snprintf(left, sizeof left, "--%s%s", row->kind == OPTION_FLAG && *row->def ? "[no-]" : "",
             option_dashed(row->name, name));
    ck_assert_msg(strstr(set, left) != NULL, "%s: there is no %s", c->name, left);
    option_says(row, c->letter, &says);
    ck_assert_msg(strstr(set, says.s) != NULL, "%s: there is no \"%s\"", c->name, says.s);
    tn_text_free(&says);
}

START_TEST(page_has_all_options)
{
    const command *c = &commands[_i];
    place p = place_make();
    if (set_page(&p, c->name)) {
        char *set = place_read("set");
        ck_assert_ptr_nonnull(strstr(set, c->help));
        for (int i = 0; i < OPTIONS; i++)
            if (strchr(options_table[i].commands, c->letter))
                has_option(c, &options_table[i], set);
        free(set);
    }
    place_end(&p);
}
END_TEST

START_TEST(first_page_has_all_commands)
{
    place p = place_make();
    if (set_page(&p, "")) {
        char *set = place_read("set");
        for (const command *c = commands; c->name; c++) {
            char page[64];
            snprintf(page, sizeof page, "tenon-%s(1)", c->name);
            ck_assert_msg(strstr(set, c->help) && strstr(set, page), "%s is missing", c->name);
        }
        free(set);
    }
    place_end(&p);
}
END_TEST

START_TEST(unknown_command_has_no_page)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "--man trian"), 2);
    place_has(&p, "err", "did you mean train?");
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    int n = 0;
    while (commands[n].name)
        n++;
    tcase_add_loop_test(c, page_has_all_options, 0, n);
    tcase_add_test(c, first_page_has_all_commands);
    tcase_add_test(c, unknown_command_has_no_page);
}
