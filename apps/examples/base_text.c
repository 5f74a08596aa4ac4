/* base_text.c - writes the text that the bundled base model is made from, as JSONL.
   The generator in data/tasks/pretrain.c makes the records. It knows none of the tasks.

       build/examples/base_text COUNT SEED [short]                                             */
#include "data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: base_text COUNT SEED [short]\n");
        return 2;
    }
    uint64_t count = strtoull(argv[1], NULL, 10), seed = strtoull(argv[2], NULL, 10);
    tn_text line = { 0 };
    char printable[96] = "\n";
    for (char c = ' '; c <= '~'; c++)
        printable[1 + c - ' '] = c;
    tn_text_add(&line, "{\"text\":");
    tn_text_quote(&line, printable, sizeof printable);
    tn_text_add(&line, "}\n");
    fwrite(line.s, 1, line.n, stdout);
    for (uint64_t i = 0; i < count && !line.failed; i++) {
        tn_record r;
        tn_base_record(seed, i, argc > 3 && !strcmp(argv[3], "short"), &r);
        line.n = 0;
        tn_text_add(&line, "{\"prompt\":");
        tn_text_quote(&line, r.prompt, strlen(r.prompt));
        tn_text_add(&line, ",\"completion\":");
        tn_text_quote(&line, r.completion, strlen(r.completion));
        tn_text_add(&line, "}\n");
        fwrite(line.s, 1, line.n, stdout);
    }
    bool failed = line.failed || fflush(stdout);
    tn_text_free(&line);
    return failed;
}
