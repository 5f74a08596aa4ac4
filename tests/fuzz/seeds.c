/* seeds.c - writes the rows of every format into files, with which a fuzzer begins.
   `seeds FOLDER` writes FOLDER/FORMAT/N. `seeds --show` prints the message for each row instead. */
#include "tests/fuzz/formats.h"

#include "data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show(const format *f, const char *folder, const row *r, bytes made)
{
    tn_error e = { 0 };
    file_write(folder, f->file, made);
    f->use(folder, &e);
    printf("%s %d %s\n", f->name, (int)(r - f->rows),
           e.code ? e.text + strlen(folder) : "accepted");
    fflush(stdout);
}

static void write_rows(const format *f, const char *out)
{
    char folder[64], name[32];
    tn_error e = { 0 };
    char *to = path_in(out, f->name);
    folder_new(folder);
    f->furnish(folder);
    bytes valid = file_read(folder, f->file);
    if (strcmp(out, "--show")) {
        tn_folder_make(to, &e);
        file_write(to, "valid", valid);
    }
    for (const row *r = f->rows; !r->says || *r->says; r++) {
        bytes made = format_made(f, folder, r);
        snprintf(name, sizeof name, "%d", (int)(r - f->rows));
        if (!strcmp(out, "--show"))
            show(f, folder, r, made);
        else
            file_write(to, name, made);
        file_write(folder, f->file, valid);
        free(made.s);
    }
    free(valid.s);
    free(to);
    folder_end(folder);
}

int main(int argc, char **argv)
{
    tn_error e = { 0 };
    if (argc != 2)
        return 2;
    if (strcmp(argv[1], "--show") && tn_folder_make(argv[1], &e))
        return 1;
    for (int i = 0; formats[i]; i++)
        write_rows(formats[i], argv[1]);
    return 0;
}
