/* test_parents.c - missing folders of a path are made, and removed again. */
#include "apps/folder/parents.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The working directory has the folders "old" and "empty" and the file "file". made: how many
   folders of the path are made. first: the first of them. If a path is refused, no folder stays. */
/* clang-format off */
static const struct { const char *path; int made; const char *first, *error; } rows[] = {
    { "new", 1, "new", NULL },
    { "new/deep/out", 3, "new", NULL },
    { "old/new/out", 2, "old/new", NULL },
    { "old", 0, NULL, NULL },
    { "old/", 0, NULL, NULL },
    { "new/", 1, "new", NULL },
    { "./new//deep", 2, "new", NULL },
    { "new/./deep/.", 2, "new", NULL },
    { "old/../new", 1, "new", NULL },
    { "new/../empty/out", 1, "empty/out", NULL }, /* new stays; empty stays, because it existed */
    { "file/out", 0, NULL, "file/out: cannot make the folder: Not a directory" },
    { "old/new/./file", 2, "old/new", NULL },
};
/* clang-format on */

/* Makes a folder with old, empty and file, and enters it. */
static char *enter(char before[1024])
{
    char *folder = temporary();
    ck_assert_ptr_nonnull(getcwd(before, 1024));
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(mkdir("old", 0777), 0);
    ck_assert_int_eq(mkdir("empty", 0777), 0);
    put_file("old", "kept", "x");
    put_file(".", "file", "x");
    return folder;
}

static void leave(char *folder, const char *before)
{
    ck_assert_int_eq(chdir(before), 0);
    discard(folder);
}

static bool is_folder(const char *path)
{
    struct stat s;
    return !stat(path, &s) && S_ISDIR(s.st_mode);
}

START_TEST(what_is_made_is_taken_back)
{
    char before[1024], *folder = enter(before);
    tn_error e = { 0 };
    const int made = parents_make(rows[_i].path, &e);
    ck_assert_int_eq(made, rows[_i].made);
    if (rows[_i].error)
        must_fail(&e, TN_EIO, rows[_i].error);
    must(&e);
    ck_assert(is_folder(rows[_i].path) == !rows[_i].error);
    parents_unmake(rows[_i].path, made);
    if (rows[_i].first)
        ck_assert(!is_folder(rows[_i].first));
    ck_assert(is_folder("old") && is_folder("empty") && !access("old/kept", F_OK) &&
              !access("file", F_OK));
    leave(folder, before);
}
END_TEST

/* A folder that is no longer empty stays, and so do those above it. If it is made again, it existed
   before. */
START_TEST(what_is_used_stays)
{
    char before[1024], *folder = enter(before);
    tn_error e = { 0 };
    ck_assert_int_eq(parents_make("new/deep/out", &e), 3);
    put_file("new/deep", "mine", "x");
    parents_unmake("new/deep/out", 3);
    ck_assert(!is_folder("new/deep/out") && is_folder("new/deep"));
    ck_assert_int_eq(parents_make("new/deep/out", &e), 1);
    must(&e);
    leave(folder, before);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, what_is_made_is_taken_back, 0, sizeof rows / sizeof *rows);
    tcase_add_test(c, what_is_used_stays);
}
