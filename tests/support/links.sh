#!/bin/sh
# links.sh - fails if a Markdown file links to a file that does not exist.
# Usage: links.sh FILE.md...
bad=0
for f in "$@"; do
    for to in $(grep -o ']([^)#]*' "$f" | sed 's/^](//' | grep -v '^[a-z]*:'); do
        [ -e "$(dirname "$f")/$to" ] || { echo "$f: there is no $to"; bad=1; }
    done
done
exit $bad
