/* unicode.h - what tokenizers know of Unicode: letters, numbers, white space, the form NFC. Internal header.

   The tables are made by unicode.py and are those of the package tokenizers, so that a text is split
   here as it was when a model was trained. */
#ifndef TN_UNICODE_H
#define TN_UNICODE_H

#include "data/data.h"

typedef enum tn_class { TN_OTHER, TN_LETTER, TN_DIGIT, TN_SPACE } tn_class; /* L*, N*, \s */

/* One sign for each character of ASCII, the number of its class. */
extern const char tn_unicode_ascii[129];
tn_class tn_unicode_class_beyond(uint32_t code); /* of U+0080 on */
static inline tn_class tn_unicode_class(uint32_t code)
{
    return code < 0x80 ? (tn_class)(tn_unicode_ascii[code] - '0') : tn_unicode_class_beyond(code);
}
/* Is it a number for the pre-tokenizer Digits? This knows a few more than TN_DIGIT. */
bool tn_unicode_is_number(uint32_t code);

/* Appends n bytes of UTF-8 in the form NFC. */
void tn_nfc(const char *text, size_t n, tn_text *out);
/* False: the text may not be in this form. True: it surely is. Fast. */
bool tn_nfc_is_plain(const char *text, size_t n);

/* clang-format off */
typedef struct tn_code_range { uint32_t first, last; } tn_code_range;
typedef struct tn_mark_range { uint32_t first, last, class; } tn_mark_range;      /* combining class, not 0 */
typedef struct tn_decomposed { uint32_t code, first, second; } tn_decomposed;   /* second 0: one part */
/* clang-format on */

/* All in ascending order. */
extern const tn_code_range tn_unicode_letters[677], tn_unicode_numbers[144],
    tn_unicode_later_numbers[2];
extern const tn_mark_range tn_unicode_marks[333];
extern const tn_decomposed tn_unicode_parts[2060];
extern const uint16_t tn_unicode_composing[940]; /* rows of parts, in order of their two parts */

#endif
