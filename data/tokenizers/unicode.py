#!/usr/bin/env python3
"""Makes unicode_classes.c and unicode_nfc.c, the tables of Unicode that tokenizers need.

    pip install unicodedata2==16.0.0 tokenizers==0.23.3
    python3 data/tokenizers/unicode.py [--check]

A tokenizer must split a text as the one with which its model was trained. So each table is that of the
package tokenizers: letters, numbers and white space are those of Unicode 16, all code points are compared.
Its pre-tokenizer Digits knows the numbers of Unicode 17, its normalizer NFC the characters of Unicode 12.
The script asks the package for these differences. --check compares the files with what it would write.
"""
import os
import sys

import unicodedata2 as unicode
from tokenizers import Regex, normalizers, pre_tokenizers

POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
nfc, nfd = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str
digits = pre_tokenizers.Digits(individual_digits=True)


def matched(pattern):
    """The code points that the pattern matches in the package. It never passes U+0000 on."""
    left = set(normalizers.Replace(Regex(pattern), "").normalize_str("".join(map(chr, POINTS))))
    return [c for c in POINTS if chr(c) not in left]


def ranges(points):
    out = []
    for c in points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def classes():
    letters = [c for c in POINTS if unicode.category(chr(c))[0] == "L"]
    numbers = [c for c in POINTS if unicode.category(chr(c))[0] == "N"]
    assert letters == matched(r"\p{L}") and numbers == matched(r"\p{N}")
    assert [tuple(r) for r in ranges(matched(r"\s"))] == [
        (9, 13), (32, 32), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
        (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)]
    isolated = [c for c in POINTS if len(digits.pre_tokenize_str("a" + chr(c) + "a")) == 3]
    assert set(numbers) <= set(isolated)
    return letters, numbers, sorted(set(isolated) - set(numbers))


def combining():
    """(code point, class) of the characters that the package sorts."""
    out = []
    for c in POINTS:
        k, ch = unicode.combining(chr(c)), chr(c)
        known = nfd("a\u0345" + ch) == "a" + nfd(ch) + "\u0345" if k != 240 else nfd("a" + ch + "\u0334") != "a" + ch + "\u0334"
        if k and known:
            out.append((c, k))
    return out


def decompositions():
    """(code point, first, second or 0) of the characters that the package takes apart. Hangul is arithmetic."""
    out = []
    for c in POINTS:
        d = unicode.decomposition(chr(c))
        if d and d[0] != "<" and nfd(chr(c)) != chr(c):
            assert nfd(chr(c)) == unicode.normalize("NFD", chr(c))
            out.append((c, *([int(x, 16) for x in d.split()] + [0])[:2]))
    return out


def composing(rows):
    """The numbers of the rows that are put together again, in ascending order of their two parts."""
    pairs = [(a, b, i) for i, (c, a, b) in enumerate(rows) if b and nfc(chr(a) + chr(b)) == chr(c)]
    return [i for _, _, i in sorted(pairs)]


def table(declaration, items):
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 1 > 128:
            lines.append(line)
            line = "   "
        line += (" " if line == "   " else "") + item + ","
    return "%s = {\n%s\n};\n" % (declaration, "\n".join(lines + [line]))


def range_table(name, points):
    r = ranges(points)
    return table("const tn_code_range tn_unicode_%s[%d]" % (name, len(r)), ["{%d,%d}" % tuple(x) for x in r])


def files():
    head = "/* %s - %s\n   Made by data/tokenizers/unicode.py; the first line of a table gives its size. */\n"
    start = "#include \"data/tokenizers/unicode.h\"\n\n/* clang-format off */\n"
    letters, numbers, later = classes()
    marks, rows = combining(), decompositions()
    runs = []
    for c, k in marks:
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == k:
            runs[-1][1] = c
        else:
            runs.append([c, c, k])
    order = composing(rows)
    return {
        "unicode_classes.c": head % ("unicode_classes.c", "which code points are letters and numbers.") + start +
        range_table("letters", letters) + range_table("numbers", numbers) + range_table("later_numbers", later),
        "unicode_nfc.c": head % ("unicode_nfc.c", "combining classes, and characters of two parts.") + start +
        table("const tn_mark_range tn_unicode_marks[%d]" % len(runs), ["{%d,%d,%d}" % tuple(r) for r in runs]) +
        table("const tn_decomposed tn_unicode_parts[%d]" % len(rows), ["{%d,%d,%d}" % r for r in rows]) +
        table("const uint16_t tn_unicode_composing[%d]" % len(order), ["%d" % i for i in order]),
    }


def main():
    folder, good = os.path.dirname(os.path.abspath(__file__)), True
    for name, text in files().items():
        path = os.path.join(folder, name)
        if "--check" in sys.argv:
            same = open(path).read() == text
            good = good and same
            print("%s: %s" % (name, "as made" if same else "differs"))
        else:
            open(path, "w").write(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
