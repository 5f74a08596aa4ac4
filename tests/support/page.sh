#!/bin/sh
# page.sh - builds and runs the programs of a page, and compares what they print with what the page shows.
# A C part of the page is a file; its first line has the name: /* tape.c - ... A part that begins with "$ "
# is a command and its output. The script works in the current folder, which has a Makefile.
# Usage: page.sh PAGE
awk '/^```/ { inside = !inside; first = inside; is_c = $0 == "```c"; next }
    !inside { next }
    first && is_c { to = $2 }
    first && !is_c { to = "/dev/null" }
    first && /^\$ / { n++; print substr($0, 3) >("command." n); to = "want." n; printf "" >to }
    first { first = 0; if (to ~ /^want/) next }
    { print >to }' "$1" || exit 1
n=1
while [ -f command.$n ]; do
    sh command.$n >got.$n 2>&1 || { cat command.$n got.$n; exit 1; }
    diff want.$n got.$n || { cat command.$n; exit 1; }
    n=$((n + 1))
done
[ $n -gt 1 ]
