/* test_folder.c - a folder is removed only if all its files have given names. */
#include "tests/support/tests.h"

#include "data/formats/folder.h"
#include "tests/support/scratch.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[] = { "a", "b.json", NULL };

/* The files in the folder x, and the name that is reported. "/": x is a link to the folder y. */
/* clang-format off */
typedef struct row { const char *files[3], *links[2], *folder, *other; bool removed; } row;
/* clang-format on */

static const row rows[] = {
    { .removed = true },
    { .files = { "a", "b.json" }, .removed = true },
    { .files = { "a", "a.tenon.tmp" }, .removed = true },
    { .files = { "a", "notes.txt" }, .other = "notes.txt" },
    { .files = { "a", "a.tmp" }, .other = "a.tmp" },
    { .files = { "b.json", "b.jso" }, .other = "b.jso" },
    { .folder = "a", .other = "a" },
    { .files = { "b.json" }, .links = { "a" }, .other = "a" },
    { .links = { "/" } },
};

START_TEST(removes_its_own_alone)
{
    const row *r = &rows[_i];
    scratch s;
    char other[256], path[64];
    scratch_open(&s);
    ck_assert_int_eq(chdir(s.folder), 0);
    ck_assert_int_eq(mkdir("y", 0777), 0);
    scratch_write(&s, "y/a", "mine", 4);
    if (r->links[0] && *r->links[0] == '/')
        ck_assert_int_eq(symlink("y", "x"), 0);
    else
        ck_assert_int_eq(mkdir("x", 0777), 0);
    for (int i = 0; r->files[i]; i++) {
        snprintf(path, sizeof path, "x/%s", r->files[i]);
        scratch_write(&s, path, "ours", 4);
    }
    snprintf(path, sizeof path, "x/%s", r->folder ? r->folder : r->links[0] ? r->links[0] : "");
    if (r->folder)
        ck_assert_int_eq(mkdir(path, 0777), 0);
    else if (r->links[0] && *r->links[0] != '/')
        ck_assert_int_eq(symlink("../y/a", path), 0);
    const int at = tn_folder_open(AT_FDCWD, s.folder);
    ck_assert_int_eq(tn_folder_has_others(at, "x", names, other), r->other != NULL);
    ck_assert_str_eq(other, r->other ? r->other : "");
    ck_assert_int_eq(tn_folder_remove(at, "x", names), r->removed ? 0 : -1);
    struct stat st;
    ck_assert_int_eq(lstat("x", &st) != 0, r->removed);
    for (int i = 0; r->files[i]; i++) { /* all files are removed, or none */
        snprintf(path, sizeof path, "x/%s", r->files[i]);
        ck_assert_int_eq(access(path, F_OK) != 0, r->removed);
    }
    ck_assert_int_eq(access("y/a", F_OK), 0);
    close(at);
    scratch_close(&s);
}
END_TEST

START_TEST(lists_in_order)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%02d", 37 * i % 100);
        scratch_write(&s, name, "", 0);
    }
    const int at = tn_folder_open(AT_FDCWD, s.folder);
    for (int round = 0; round < 2;
         round++) { /* the list does not depend on where the descriptor stands */
        char **all = tn_folder_names(at, s.folder, &e);
        ck_assert_ptr_nonnull(all);
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof name, "%02d", i);
            ck_assert_str_eq(all[i], name);
        }
        ck_assert_ptr_null(all[100]);
        tn_folder_names_free(all);
    }
    close(at);
    ck_assert_ptr_null(tn_folder_names(at, "gone", &e));
    ck_assert_int_eq(e.code, TN_EIO);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, removes_its_own_alone, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, lists_in_order);
}
