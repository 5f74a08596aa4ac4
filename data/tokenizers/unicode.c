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

const char tn_unicode_ascii[129] = "00000000033333000000000000000000"
                                   "30000000000000002222222222000000"
                                   "01111111111111111111111111100000"
                                   "01111111111111111111111111100000";

static bool is_space(uint32_t c)
{
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

tn_class tn_unicode_class_beyond(uint32_t code)
{
    if (is_space(code))
        return TN_SPACE;
    if (IS_IN(code, tn_unicode_letters))
        return TN_LETTER;
    return IS_IN(code, tn_unicode_numbers) ? TN_DIGIT : TN_OTHER;
}

bool tn_unicode_is_number(uint32_t code)
{
    const tn_class class = tn_unicode_class(code);
    return class == TN_DIGIT || (code >= 0x80 && IS_IN(code, tn_unicode_later_numbers));
}
