/* fuzz.c - libFuzzer gives changed files of one format to its reader.
   FORMAT=json fuzz [options of libFuzzer] CORPUS SEEDS. A finding is a crash, a report of a
   sanitizer, a hang, or a refusal that is not one line about the file. A packed format is mostly
   changed as text, so that lengths and checksums are right. */
#include "tests/fuzz/formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The format and the folder of this process. They are global, because libFuzzer passes only
   data. */
static const format *f;
static char folder[64];

static void clean_up(void)
{
    folder_end(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned seed);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    const char *name = getenv("FORMAT");
    f = format_find(name ? name : "");
    if (!f) {
        fprintf(stderr, "FORMAT=%s: expected a format of tests/fuzz/formats.c\n", name ? name : "");
        exit(2);
    }
    folder_new(folder);
    f->furnish(folder);
    atexit(clean_up);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    tn_error e = { 0 };
    file_write(folder, f->file, (bytes){ (char *)(uintptr_t)data, n });
    f->use(folder, &e);
    const char *complaint = e.code ? format_complaint(f, folder, &e) : NULL;
    if (complaint) {
        fprintf(stderr, "%s: %s\n", complaint, e.text);
        abort();
    }
    return 0;
}

/* Unpacks a file of a packed format, changes its text, and packs it again. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned seed)
{
    if (!f->pack || seed % 4 == 0)
        return LLVMFuzzerMutate(data, n, most);
    bytes text = f->unpack((bytes){ (char *)data, n });
    const size_t room = text.n < most ? most : 2 * text.n; /* a text may be longer than its file */
    text.s = realloc(text.s, room + 1);
    text.n = LLVMFuzzerMutate((uint8_t *)text.s, text.n, room);
    bytes file = f->pack(text);
    const size_t kept = file.n < most ? file.n : most;
    memcpy(data, file.s, kept);
    free(file.s);
    free(text.s);
    return kept;
}
