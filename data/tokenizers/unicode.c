/* unicode.c - the class of a code point: letter, number, white space or another. */
#include "data/tokenizers/unicode.h"

#include <stdlib.h>

static int by_range(const void *code, const void *range)
{
    const uint32_t c = *(const uint32_t *)code;
    const tn_code_range *r = range;
    return (c > r->last) - (c < r->first);
}

static bool is_in(uint32_t code, const tn_code_range *table, size_t n)
{
    return bsearch(&code, table, n, sizeof *table, by_range) != NULL;
}

#define IS_IN(code, table) is_in(code, table, sizeof table / sizeof *table)

static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

tn_class tn_unicode_class(uint32_t code)
{
    if (is_space(code))
        return TN_SPACE;
    if (code < 0x80) {
        const uint32_t small = code | 0x20;
        return code >= '0' && code <= '9'     ? TN_DIGIT
               : small >= 'a' && small <= 'z' ? TN_LETTER
                                              : TN_OTHER;
    }
    if (IS_IN(code, tn_unicode_letters))
        return TN_LETTER;
    return IS_IN(code, tn_unicode_numbers) ? TN_DIGIT : TN_OTHER;
}

bool tn_unicode_is_number(uint32_t code)
{
    return tn_unicode_class(code) == TN_DIGIT || IS_IN(code, tn_unicode_later_numbers);
}
