/* test_file.c - reading, mapping and writing whole files. */
#include "tests/support/tests.h"

#include "data/formats/file.h"
#include "tests/support/scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void is_refused(const tn_error *e, int code, const char *path, const char *why)
{
    ck_assert_int_eq(e->code, code);
    ck_assert_msg(!strncmp(e->text, path, strlen(path)), "%s", e->text);
    ck_assert_msg(strstr(e->text, why) != NULL, "\"%s\" does not say \"%s\"", e->text, why);
}

static void holds(const char *path, const char *bytes)
{
    tn_error e = { 0 };
    size_t n;
    char *got = tn_file_read(path, 1000, &n, &e);
    ck_assert_msg(got != NULL, "%s", e.text);
    ck_assert_uint_eq(n, strlen(bytes));
    ck_assert_str_eq(got, bytes);
    free(got);
}

START_TEST(writes_and_reads)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    const char *path = scratch_path(&s, "a");
    ck_assert_int_eq(tn_file_write(path, "one", 3, &e), 0);
    holds(path, "one");
    ck_assert_int_eq(tn_file_write(path, "and two", 7, &e), 0);
    holds(path, "and two");
    ck_assert_int_eq(tn_file_write(path, NULL, 0, &e), 0);
    holds(path, "");
    ck_assert_int_eq(access(scratch_path(&s, "a.tenon.tmp"), F_OK), -1);
    scratch_close(&s);
}
END_TEST

/* A name without a folder is in the working directory. This is flushed to the disk, too. */
START_TEST(writes_into_the_current_folder)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    ck_assert_int_eq(chdir(s.folder), 0);
    ck_assert_int_eq(tn_file_write("b", "here", 4, &e), 0);
    holds(scratch_path(&s, "b"), "here");
    scratch_close(&s);
}
END_TEST

/* An interrupted save may leave a temporary file. It does not prevent the next save, even if it is
   longer. A file with any other name stays. */
START_TEST(overwrites_what_a_save_left)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    scratch_write(&s, "a.tmp", "mine", 4);
    scratch_write(&s, "a.tenon.tmp", "half of something longer", 24);
    ck_assert_int_eq(tn_file_write(scratch_path(&s, "a"), "whole", 5, &e), 0);
    holds(s.path, "whole");
    holds(scratch_path(&s, "a.tmp"), "mine");
    ck_assert_int_eq(access(scratch_path(&s, "a.tenon.tmp"), F_OK), -1);
    scratch_close(&s);
}
/* clang-format off */
END_TEST

typedef struct row { const char *path; int code; const char *why; } row;
/* clang-format on */

static const row unreadable[] = {
    { "/nonexistent/file", TN_EIO, "No such file" },
    { "/", TN_EIO, "expected a file" },
    { "/dev/zero", TN_EIO, "expected a file" },
    { "/dev/null", TN_EIO, "expected a file" },
    { "", TN_EIO, "cannot open" },
};

START_TEST(refuses_to_read)
{
    const row *r = &unreadable[_i];
    tn_error e = { 0 };
    size_t n;
    ck_assert_ptr_null(tn_file_read(r->path, 1000, &n, &e));
    is_refused(&e, r->code, r->path, r->why);
    e = (tn_error){ 0 };
    ck_assert_ptr_null(tn_file_map(r->path, 1, 1000, &n, &e));
    is_refused(&e, r->code, r->path, r->why);
}
END_TEST

/* A FIFO without a writer would block for ever. */
START_TEST(refuses_a_fifo)
{
    scratch s;
    tn_error e = { 0 };
    size_t n;
    scratch_open(&s);
    ck_assert_int_eq(mkfifo(scratch_path(&s, "fifo"), 0600), 0);
    ck_assert_ptr_null(tn_file_read(s.path, 10, &n, &e));
    is_refused(&e, TN_EIO, s.path, "expected a file");
    scratch_close(&s);
}
END_TEST

START_TEST(keeps_to_sizes)
{
    scratch s;
    tn_error e = { 0 };
    size_t n;
    scratch_open(&s);
    const char *path = scratch_write(&s, "a", "12345", 5);
    char *five = tn_file_read(path, 5, &n, &e);
    ck_assert_str_eq(five, "12345");
    free(five);
    ck_assert_ptr_null(tn_file_read(path, 4, &n, &e));
    is_refused(&e, TN_EFORMAT, path, "5 bytes; expected at most 4");
    e = (tn_error){ 0 };
    const void *map = tn_file_map(path, 5, 5, &n, &e);
    ck_assert_mem_eq(map, "12345", 5);
    munmap((void *)map, n);
    ck_assert_ptr_null(tn_file_map(path, 6, 9, &n, &e));
    is_refused(&e, TN_EFORMAT, path, "5 bytes; expected at least 6");
    e = (tn_error){ 0 };
    ck_assert_ptr_null(tn_file_map(path, 1, 4, &n, &e));
    is_refused(&e, TN_EFORMAT, path, "5 bytes; expected at most 4");
    scratch_close(&s);
}
END_TEST

static const row unwritable[] = {
    { "/nonexistent/file", TN_EIO, "No such file" },
    { "/proc/file", TN_EIO, "cannot write" },
    { "/dev/full", TN_EIO, "expected a file or nothing" },
    { "/", TN_EIO, "expected a file or nothing" },
    { "/dev/null/file", TN_EIO, "Not a directory" },
};

START_TEST(refuses_to_write)
{
    const row *r = &unwritable[_i];
    tn_error e = { 0 };
    ck_assert_int_eq(tn_file_write(r->path, "x", 1, &e), r->code);
    is_refused(&e, r->code, r->path, r->why);
}
END_TEST

START_TEST(refuses_a_folder_without_permission)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    ck_assert_int_eq(chmod(s.folder, 0555), 0);
    if (!geteuid())
        ck_assert_int_eq(seteuid(65534), 0); /* root may write everywhere */
    ck_assert_int_eq(tn_file_write(scratch_path(&s, "a"), "x", 1, &e), TN_EIO);
    is_refused(&e, TN_EIO, s.path, "Permission denied");
    if (!getuid())
        ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(chmod(s.folder, 0755), 0);
    scratch_close(&s);
}
END_TEST

/* A link is neither replaced nor followed, whether it has the name of the file or the temporary
   name. */
START_TEST(refuses_links)
{
    scratch s;
    tn_error e = { 0 };
    char link[512];
    scratch_open(&s);
    scratch_write(&s, "victim", "precious", 8);
    snprintf(link, sizeof link, "%s", scratch_path(&s, "a"));
    ck_assert_int_eq(symlink("victim", link), 0);
    ck_assert_int_eq(tn_file_write(link, "x", 1, &e), TN_EIO);
    is_refused(&e, TN_EIO, link, "link");
    e = (tn_error){ 0 };
    ck_assert_int_eq(symlink("victim", scratch_path(&s, "b.tenon.tmp")), 0);
    ck_assert_int_eq(tn_file_write(scratch_path(&s, "b"), "x", 1, &e), TN_EIO);
    is_refused(&e, TN_EIO, s.path, "cannot write");
    holds(scratch_path(&s, "victim"), "precious");
    scratch_close(&s);
}
END_TEST

static void old_file_is_whole(scratch *s)
{
    holds(scratch_path(s, "a"), "old");
    ck_assert_int_eq(access(scratch_path(s, "a.tenon.tmp"), F_OK), -1);
}

/* A full disk: /dev/full takes the place of the temporary file. */
START_TEST(full_disk_leaves_the_old_file)
{
    scratch s;
    tn_error e = { 0 };
    scratch_open(&s);
    const char *path = scratch_write(&s, "a", "old", 3);
    tn_writer w = tn_writer_open(path, &e);
    int full = open("/dev/full", O_WRONLY);
    ck_assert_int_eq(dup2(full, w.fd), w.fd);
    tn_writer_add(&w, "new", 3);
    tn_writer_add(&w, "more", 4);
    ck_assert_int_eq(tn_writer_close(&w), TN_EIO);
    is_refused(&e, TN_EIO, path, "No space left");
    old_file_is_whole(&s);
    scratch_close(&s);
}
END_TEST

/* A limit of the file size: the first write is short, the second fails. */
START_TEST(short_write_leaves_the_old_file)
{
    scratch s;
    tn_error e = { 0 };
    static const char bytes[5000] = { 0 };
    scratch_open(&s);
    const char *path = scratch_write(&s, "a", "old", 3);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 4000, 4000 });
    ck_assert_int_eq(tn_file_write(path, bytes, sizeof bytes, &e), TN_EIO);
    is_refused(&e, TN_EIO, path, "File too large");
    old_file_is_whole(&s);
    scratch_close(&s);
}
END_TEST

START_TEST(earlier_errors_stick)
{
    scratch s;
    tn_error e = { .code = TN_ESTATE, .text = "earlier" };
    size_t n;
    scratch_open(&s);
    ck_assert_int_eq(tn_file_write(scratch_path(&s, "a"), "x", 1, &e), TN_ESTATE);
    ck_assert_int_eq(access(s.path, F_OK), -1);
    ck_assert_ptr_null(tn_file_read("/etc/passwd", 1 << 20, &n, &e));
    ck_assert_str_eq(e.text, "earlier");
    scratch_close(&s);
}
END_TEST

START_TEST(joins_paths)
{
    static const char *const table[][3] = { { "a", "b", "a/b" },
                                            { "a/", "b", "a/b" },
                                            { "/", "b", "/b" },
                                            { "", "b", "b" },
                                            { "a/b", "", "a/b/" } };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *path = tn_path_join(table[i][0], table[i][1]);
        ck_assert_str_eq(path, table[i][2]);
        free(path);
    }
}
END_TEST

START_TEST(folders)
{
    scratch s;
    tn_error e = { 0 };
    struct stat st;
    scratch_open(&s);
    ck_assert_int_eq(tn_folder_make(scratch_path(&s, "new"), &e), 0);
    ck_assert(!stat(s.path, &st) && S_ISDIR(st.st_mode));
    ck_assert_int_eq(tn_folder_make(s.path, &e), 0); /* it exists already */
    ck_assert_int_eq(tn_folder_make(scratch_path(&s, "none/new"), &e), TN_EIO);
    is_refused(&e, TN_EIO, s.path, "cannot make this folder: No such file");
    scratch_close(&s);
}
/* clang-format off */
END_TEST

/* Byte order marks at the beginning of a text. That of UTF-8 is dropped, others are refused. A part
   of a mark is text. */
static const struct mark { const char *bytes, *left, *error; size_t n; } marks[] = {
    { "\xEF\xBB\xBF" "ab", "ab", NULL, 5 },
    { "\xEF\xBB\xBF", "", NULL, 3 },
    { "\xEF\xBB\xBF\xEF\xBB\xBF" "a", "\xEF\xBB\xBF" "a", NULL, 7 },
    { "ab\xEF\xBB\xBF", "ab\xEF\xBB\xBF", NULL, 5 },
    { "\xEF\xBB", "\xEF\xBB", NULL, 2 },
    { "\xFF", "\xFF", NULL, 1 },
    { "", "", NULL, 0 },
    { "\xFF\xFE", NULL, "a text in UTF-16; expected UTF-8", 2 },
    { "\xFF\xFE" "a\0", NULL, "a text in UTF-16; expected UTF-8", 4 },
    { "\xFE\xFF\0a", NULL, "a text in UTF-16; expected UTF-8", 4 },
    { "\xFF\xFE\0\0", NULL, "a text in UTF-32; expected UTF-8", 4 },
    { "\0\0\xFE\xFF", NULL, "a text in UTF-32; expected UTF-8", 4 },
};
/* clang-format on */

START_TEST(drops_a_byte_order_mark)
{
    const struct mark *m = &marks[_i];
    scratch s;
    tn_error e = { 0 };
    size_t n = 99;
    scratch_open(&s);
    const char *path = scratch_write(&s, "a", m->bytes, m->n);
    char *text = tn_text_read(path, 100, &n, &e);
    if (m->error) {
        ck_assert_ptr_null(text);
        is_refused(&e, TN_EFORMAT, path, m->error);
    } else {
        ck_assert_msg(text != NULL, "%s", e.text);
        ck_assert_uint_eq(n, strlen(m->left));
        ck_assert_str_eq(text, m->left);
    }
    free(text);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, folders);
    tcase_add_test(c, writes_and_reads);
    tcase_add_test(c, writes_into_the_current_folder);
    tcase_add_test(c, overwrites_what_a_save_left);
    tcase_add_loop_test(c, refuses_to_read, 0, sizeof unreadable / sizeof *unreadable);
    tcase_add_test(c, refuses_a_fifo);
    tcase_add_test(c, keeps_to_sizes);
    tcase_add_loop_test(c, refuses_to_write, 0, sizeof unwritable / sizeof *unwritable);
    tcase_add_test(c, refuses_a_folder_without_permission);
    tcase_add_test(c, refuses_links);
    tcase_add_test(c, full_disk_leaves_the_old_file);
    tcase_add_test(c, short_write_leaves_the_old_file);
    tcase_add_test(c, earlier_errors_stick);
    tcase_add_test(c, joins_paths);
    tcase_add_loop_test(c, drops_a_byte_order_mark, 0, sizeof marks / sizeof *marks);
}
