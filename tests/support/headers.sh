#!/bin/sh
# headers.sh - compiles each header of a folder alone and all together, in a program that has macros of
# its own; then all once more as a C++ program includes them that takes them for C.
# Usage: headers.sh FOLDER COMPILER FLAG...
folder=$1
shift
text=$(mktemp) || exit 1
trap 'rm -f "$text"' EXIT
compile() {
    {
        printf '#define %s left\n' OP ERR TYPE
        cat
        echo 'extern int left; int use(void); int use(void) { return OP + ERR + TYPE; }'
    } >"$text"
    "$@" -fsyntax-only -I"$folder" "$text"
}
all=$(cd "$folder" && find . -name '*.h' | sed 's|..\(.*\)|#include <\1>|')
echo "$all" | while read -r line; do
    echo "$line" | compile "$@" || exit 1
done || exit 1
echo "$all" | compile "$@" || exit 1
printf '%s\n' '#ifdef __cplusplus' 'extern "C" {' '#endif' "$all" '#ifdef __cplusplus' '}' '#endif' | compile "$@"
