#!/bin/sh
# declared.sh - prints the functions and objects that the headers of a folder declare, as a C compiler sees
# them: the words before "(" and before "[]", and the last word of a declaration of an object.
# Usage: declared.sh FOLDER
find "$1" -name '*.h' | sed 's|.*|#include "&"|' | ${CC:-cc} -std=c11 -P -E -xc - | grep -v '^#' | tr '\n' ' ' |
    sed 's/__attribute__ *((format([^)]*)))//g; :a; s/{[^{}]*}//g; ta' | tr ';' '\n' |
    grep -v '^ *typedef\|static\|^ *struct tn_[a-z]* *$' | grep -o 'tn_[a-z0-9_]* *(\|tn_[a-z0-9_]*\[\]\|tn_[a-z0-9_]* *$' |
    tr -d '([] ' | sort -u
