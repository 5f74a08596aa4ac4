/* letters.h - which characters texts have, for a tokenizer of characters.

       letters l = letters_begin(&e);
       letters_add(&l, "a.txt", bytes, n, at, &e);
       tn_tokenizer *k = letters_tokenizer(&l, &e);
       letters_end(&l); */
#ifndef TN_APP_LETTERS_H
#define TN_APP_LETTERS_H

#include "data/data.h"

typedef struct letters {
    unsigned char *seen; /* (code points) */
} letters;

letters letters_begin(tn_error *e);
/* Adds the characters of n bytes, which begin at byte `at` of a text. Returns how many bytes were
   read: fewer, if the last of them begin a character. */
size_t letters_add(letters *l, const char *path, const char *s, size_t n, size_t at, tn_error *e);
/* Adds those of a file, without a byte order mark. */
int letters_add_file(letters *l, const char *path, tn_error *e);
tn_tokenizer *letters_tokenizer(const letters *l, tn_error *e);
void letters_end(letters *l);

#endif
