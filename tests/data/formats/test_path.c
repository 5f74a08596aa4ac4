/* test_path.c - a path is absent only if the system says so; after other errors it is unreadable. */
#include "tests/support/tests.h"

#include "tests/support/fixtures.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* fstatat replaces the system's function. It fails `interrupts` times with EINTR, then with the
   error stat_fails, if that is not 0. */
static int stat_fails, interrupts;

int fstatat(int at, const char *path, struct stat *st, int flags)
{
    int (*real)(int, const char *, struct stat *, int);
    *(void **)&real = dlsym(RTLD_NEXT, "fstatat");
    errno = interrupts ? EINTR : stat_fails;
    if (interrupts)
        return interrupts--, -1;
    return stat_fails ? -1 : real(at, path, st, flags);
}

static const struct {
    const char *folder, *name;
    tn_presence is;
    int code;
    const char *text;
} rows[] = {
    { "file", NULL, TN_FILE, 0, NULL },
    { ".", "file", TN_FILE, 0, NULL },
    { "folder", NULL, TN_FOLDER, 0, NULL },
    { "", NULL, TN_FOLDER, 0, NULL },
    { "", "folder", TN_FOLDER, 0, NULL },
    { "folder/", "inside", TN_FILE, 0, NULL },
    { "fifo", NULL, TN_FILE, 0, NULL },
    { "good", NULL, TN_FILE, 0, NULL },
    { "way", "inside", TN_FILE, 0, NULL },
    { "none", NULL, TN_ABSENT, 0, NULL },
    { "none", "none/none", TN_ABSENT, 0, NULL },
    { "/no where", "at all", TN_ABSENT, 0, NULL },
    { "folder", "none", TN_ABSENT, 0, NULL },
    { "way", "none", TN_ABSENT, 0, NULL },
    { "dangling", NULL, TN_UNREADABLE, TN_EIO,
      "dangling: a link to /no where, which cannot be followed: No such" },
    { ".", "dangling", TN_UNREADABLE, TN_EIO, "./dangling: a link to /no where" },
    { "dangling", "inside", TN_UNREADABLE, TN_EIO, "dangling: a link to /no where" },
    { "dangling", "a/b/c", TN_UNREADABLE, TN_EIO, "dangling: a link to /no where" },
    { "dangling/", NULL, TN_UNREADABLE, TN_EIO, "dangling: a link to /no where" },
    { "twice", NULL, TN_UNREADABLE, TN_EIO, "twice: a link to dangling" },
    { "round", NULL, TN_UNREADABLE, TN_EIO,
      "round: a link to round, which cannot be followed: Too many" },
    { "round", "inside", TN_UNREADABLE, TN_EIO, "round: a link to round" },
    { "file", "inside", TN_UNREADABLE, TN_EIO, "file/inside: Not a directory" },
};

START_TEST(absent_is_what_is_not_there)
{
    tn_error e = { 0 };
    char *folder = temporary();
    ck_assert_int_eq(chdir(folder), 0);
    put_file(".", "file", "x");
    ck_assert(!mkdir("folder", 0777) && !mkfifo("fifo", 0666) && !symlink("file", "good"));
    put_file("folder", "inside", "x");
    ck_assert(!symlink("/no where", "dangling") && !symlink("dangling", "twice"));
    ck_assert(!symlink("round", "round") && !symlink("folder", "way"));
    ck_assert_int_eq(tn_path_is(rows[_i].folder, rows[_i].name, &e), rows[_i].is);
    if (rows[_i].code)
        must_fail(&e, rows[_i].code, rows[_i].text);
    must(&e);
    discard(folder);
}
/* clang-format off */
END_TEST

static const struct { int number, code; } failures[] = {
    { EACCES, TN_EIO }, { EIO, TN_EIO }, { ENOMEM, TN_ENOMEM }, { ENAMETOOLONG, TN_EIO }, { EOVERFLOW, TN_EIO },
};
/* clang-format on */

START_TEST(no_other_reason_is_absence)
{
    tn_error e = { 0 };
    stat_fails = failures[_i].number;
    ck_assert_int_eq(tn_path_is("/no where", "file", &e), TN_UNREADABLE);
    ck_assert_msg(!strncmp(e.text, "/no where/", 10), "%s", e.text);
    must_fail(&e, failures[_i].code, "/file: ");
    stat_fails = 0;
}
END_TEST

START_TEST(a_signal_is_no_absence)
{
    tn_error e = { 0 };
    char *folder = temporary();
    put_file(folder, "file", "x");
    for (int n = 1; n < 5; n++) {
        interrupts = n;
        ck_assert_int_eq(tn_path_is(folder, "file", &e), TN_FILE);
        must(&e);
    }
    discard(folder);
}
END_TEST

/* A run is first written into .tenon-new, and then its files are moved up. A file that is still
   there is newer than one that was moved. A file that cannot be read is not skipped. */
START_TEST(what_waits_is_the_newest)
{
    char *folder = temporary(), *waits = tn_path_join(folder, ".tenon-new"), *path;
    put_file(folder, "old", "x");
    ck_assert_int_eq(mkdir(waits, 0777), 0);
    put_file(waits, "new", "x");
    path = tn_path_newest(folder, "old");
    ck_assert(path && !strstr(path, ".tenon-new"));
    free(path);
    path = tn_path_newest(folder, "new");
    ck_assert(path && strstr(path, "/.tenon-new/new"));
    free(path);
    stat_fails = EIO;
    path = tn_path_newest(folder, "old");
    ck_assert(path && strstr(path, "/.tenon-new/old"));
    stat_fails = 0;
    free(path);
    free(waits);
    discard(folder);
}
END_TEST

/* A folder without permission to enter it: its files are unreadable, not absent. */
START_TEST(no_permission_is_no_absence)
{
    tn_error e = { 0 };
    char *folder = temporary(), *closed = tn_path_join(folder, "closed");
    ck_assert(!mkdir(closed, 0700) && !chmod(folder, 0755));
    put_file(closed, "file", "x");
    ck_assert(!chmod(closed, 0) && (geteuid() || !seteuid(65534)));
    ck_assert_int_eq(tn_path_is(closed, "file", &e), TN_UNREADABLE);
    must_fail(&e, TN_EIO, "closed/file: Permission denied");
    ck_assert_int_eq(tn_path_is(closed, "none", &e), TN_UNREADABLE);
    must_fail(&e, TN_EIO, "closed/none: Permission denied");
    ck_assert(getuid() || !seteuid(0));
    ck_assert_int_eq(chmod(closed, 0700), 0);
    free(closed);
    discard(folder);
}
END_TEST

START_TEST(an_error_that_is_set_stays)
{
    tn_error e = { 0 };
    tn_fail(&e, TN_EARG, "first");
    ck_assert_int_eq(tn_path_is("/", NULL, &e), TN_UNREADABLE);
    ck_assert_int_eq(tn_path_is("/no where", NULL, &e), TN_UNREADABLE);
    must_fail(&e, TN_EARG, "first");
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, absent_is_what_is_not_there, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(c, no_other_reason_is_absence, 0, sizeof failures / sizeof *failures);
    tcase_add_test(c, a_signal_is_no_absence);
    tcase_add_test(c, what_waits_is_the_newest);
    tcase_add_test(c, no_permission_is_no_absence);
    tcase_add_test(c, an_error_that_is_set_stays);
}
