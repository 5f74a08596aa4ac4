#!/bin/sh
# map.sh - prints the tree, with the first line of each file; fails if that is not "NAME - WHAT IT HOLDS.".
# Usage: map.sh FILE...
bad=0
in_order() { # sorts the files by folder, then by name
    for f in "$@"; do echo "$(dirname "$f") $f"; done | LC_ALL=C sort | cut -d ' ' -f 2
}
for f in $(in_order "$@"); do
    name=$(basename "$f")
    line=$(head -n 1 "$f" | sed 's|^/\* ||; s| \*/$||')
    says=${line#"$name - "}
    case "$line" in "$name - "*.) ;; *) bad=1; says="?? $line" ;; esac
    folder=$(dirname "$f")
    [ "$folder" = "$before" ] || printf '\n%s/\n' "$folder"
    before=$folder
    printf '  %-22s %s\n' "$name" "$says"
done
exit $bad
