#!/bin/sh
# head.sh - prints the output that the comment at the top of an example shows below its command.
# Usage: head.sh FILE
awk '/build\/examples\// { shown = 1; next }
    !shown { next }
    !/^(       |$)/ { exit }
    { end = sub(/ *\*\/$/, ""); line = substr($0, 8) }
    line == "" { if (any) blank = blank "\n" }
    line != "" { printf "%s%s\n", blank, line; any = 1; blank = "" }
    end { exit }' "$1"
