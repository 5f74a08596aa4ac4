/* utf8.h - one character of UTF-8: no overlong forms, surrogates or numbers past U+10FFFF. */
#ifndef TN_UTF8_H
#define TN_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the first character of the n > 0 bytes at s into *code. Returns how many bytes it takes; 0
   if they are not UTF-8. */
size_t tn_utf8_read(const char *s, size_t n, uint32_t *code);
/* Writes a character to out (room for four bytes) and returns how many bytes it took. */
size_t tn_utf8_write(uint32_t code, char *out);
/* May the character be written to a terminal unchanged? False for the controls of ASCII and
   Latin-1, the two line ends of Unicode, and characters that change the direction of a line. */
bool tn_utf8_is_plain(uint32_t code);

#endif
