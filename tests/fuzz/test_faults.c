/* test_faults.c - files with one fault each, and valid files that look similar.
   A file with a fault must be refused with one line that names the file and the place. A valid file
   must be accepted. A file that a fuzzer found must do no harm. */
#include "tests/fuzz/formats.h"
#include "tests/support/tests.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void run(const format *f, const char *folder, bytes file, const char *says, const char *what)
{
    tn_error e = { 0 };
    file_write(folder, f->file, file);
    f->use(folder, &e);
    if (!says) {
        ck_assert_msg(!e.code, "%s: %s: refused: %s", f->name, what, e.text);
        return;
    }
    ck_assert_msg(e.code != 0, "%s: %s: accepted; expected \"%s\"", f->name, what, says);
    const char *complaint = format_complaint(f, folder, &e);
    ck_assert_msg(!complaint, "%s: %s: %s: %s", f->name, what, complaint, e.text);
    char *plain = unquoted(says, f->json);
    ck_assert_msg(strstr(e.text, plain) != NULL, "%s: %s: \"%s\"; expected \"%s\"", f->name, what,
                  e.text, plain);
    free(plain);
}

/* The valid file, then every row. */
START_TEST(faults_are_refused_and_nothing_else)
{
    const format *f = formats[_i];
    char folder[64], what[128];
    folder_new(folder);
    f->furnish(folder);
    bytes valid = file_read(folder, f->file);
    run(f, folder, valid, NULL, "the valid file");
    for (const row *r = f->rows; !r->says || *r->says; r++) {
        file_write(folder, f->file, valid);
        bytes file = format_made(f, folder, r);
        snprintf(what, sizeof what, "row %d (%.40s)", (int)(r - f->rows),
                 r->from ? r->from : r->to);
        run(f, folder, file, r->says, what);
        free(file.s);
    }
    free(valid.s);
    folder_end(folder);
}
END_TEST

/* Files that a fuzzer found once. They may be accepted or refused; a refusal must be one line. */
START_TEST(findings_stay_mended)
{
    const format *f = formats[_i];
    char folder[64], found[256];
    snprintf(found, sizeof found, "tests/fuzz/found/%s", f->name);
    DIR *dir = opendir(found);
    folder_new(folder);
    f->furnish(folder);
    for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
        tn_error e = { 0 };
        if (d->d_name[0] == '.')
            continue;
        bytes file = file_read(found, d->d_name);
        file_write(folder, f->file, file);
        f->use(folder, &e);
        const char *complaint = e.code ? format_complaint(f, folder, &e) : NULL;
        ck_assert_msg(!complaint, "%s/%s: %s: %s", found, d->d_name, complaint, e.text);
        free(file.s);
    }
    if (dir)
        closedir(dir);
    folder_end(folder);
}
END_TEST

void tests(TCase *c)
{
    int n = 0;
    while (formats[n])
        n++;
    tcase_add_loop_test(c, faults_are_refused_and_nothing_else, 0, n);
    tcase_add_loop_test(c, findings_stay_mended, 0, n);
}
