#!/bin/sh
# Runs each given test program, two at a time. The last line counts the checks of all; what failed is
# repeated above it, so that the end of a long log says what is wrong.
# EMULATOR runs each of them, if they are for another CPU.
# The temporary folders of the tests lie in one folder, which is removed at the end in any case.
export LC_ALL=C
log=$(mktemp -d) || exit 1
trap 'rm -rf "$log"' EXIT
trap 'sleep 1; exit 130' HUP INT TERM # gives child processes of tests a moment to end
mkdir "$log/tmp" "$log/out" || exit 1
export TMPDIR="$log/tmp"
for t in "$@"; do echo "$t"; done | xargs -P 2 -I{} sh -c '
    name=$(echo "{}" | tr / _)
    if $EMULATOR "{}" >"$1/$name" 2>&1; then :; else echo "exit $?" >>"$1/$name"; fi
    sed "s|^|$(echo "{}" | sed "s|.*/\(tests[64]*/\)|\1|"): |" "$1/$name"' sh "$log/out"
cd "$log/out" && grep -HE '^exit |:[FE]:' -- * | sed 's/^[^:]*\(tests[64]*_[^:]*\):/failed: \1: /'
cat "$log"/out/* | awk '/^[0-9]+%: Checks:/ { gsub(",", ""); checks += $3; bad += $5 + $7; runs++ }
    /^exit / { ended++ }
    END { passed = checks - bad # a program that did not report its checks adds one failure
          if (runs + 0 < '$#') bad += '$#' - runs; if (!bad && ended) bad = ended
          printf "%d passed, %d failed\n", passed, bad; exit bad > 0 || checks == 0 }'
