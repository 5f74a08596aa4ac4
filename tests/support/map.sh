#!/bin/sh
# map.sh - prints the tree with what each file says it holds; fails where a first line does not say it.
# Usage: map.sh FILE...
bad=0
in_order() { # the files of a folder together, the folders by name
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
