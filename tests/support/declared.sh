#!/bin/sh
# declared.sh - prints the names of the functions and objects that the headers of a folder declare.
# The C compiler expands the macros. A name is a word before "(" or "[]", or the last word of a declaration.
# Usage: declared.sh FOLDER
find "$1" -name '*.h' | sed 's|.*|#include "&"|' | ${CC:-cc} -std=c11 -P -E -xc - | grep -v '^#' | tr '\n' ' ' |
    sed 's/__attribute__ *((format([^)]*)))//g; :a; s/{[^{}]*}//g; ta' | tr ';' '\n' |
    grep -v '^ *typedef\|static\|^ *struct tn_[a-z]* *$' | grep -o 'tn_[a-z0-9_]* *(\|tn_[a-z0-9_]*\[\]\|tn_[a-z0-9_]* *$' |
    tr -d '([] ' | sort -u
