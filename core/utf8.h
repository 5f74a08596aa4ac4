/* utf8.h - one character of UTF-8: no overlong forms, surrogates or numbers past U+10FFFF. */
#ifndef TN_UTF8_H
#define TN_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many of the n > 0 bytes at s the first character takes, with its number; 0: not UTF-8. */
size_t tn_utf8_read(const char *s, size_t n, uint32_t *code);
/* Writes a character to out (room for four bytes) and returns how many bytes it took. */
size_t tn_utf8_write(uint32_t code, char *out);
/* May a terminal get it as it is? Not controls of ASCII and Latin-1, the two line ends of Unicode,
   and what turns the direction of a line round. */
bool tn_utf8_is_plain(uint32_t code);

#endif
