#!/bin/sh
# headers.sh - compiles each header of a folder alone, then all together, then all inside extern "C".
# The program defines macros (OP, ERR, TYPE), which the headers must leave as they are.
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
