#!/bin/sh
# fuzz.sh FOLDER [OPTION...] - runs libFuzzer for every format; fails if there is a finding.
# FOLDER has the programs seeds and fuzz. Findings are put into FOLDER/found/FORMAT. A copy in
# tests/fuzz/found/FORMAT becomes a test.
build=$1; shift
TMPDIR=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) || exit 1 # in memory if possible
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'sleep 1; exit 130' HUP INT TERM # gives child processes a moment to end
bad=0
"$build/seeds" "$build/rows" || exit 1
for rows in "$build"/rows/*/; do
    format=$(basename "$rows")
    mkdir -p "$build/corpus/$format" "$build/found/$format"
    if ! FORMAT=$format "$build/fuzz" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=512 \
        -print_final_stats=1 -artifact_prefix="$build/found/$format/" "$@" \
        "$build/corpus/$format" "$rows" >"$build/$format.log" 2>&1; then
        bad=1
        echo "$format: something was found; see $build/$format.log and $build/found/$format"
    fi
    awk -v f="$format" '/number_of_executed_units/ { n = $2 } /average_exec_per_sec/ { s = $2 }
        / cov: / { c = $4 } END { printf "%-20s %9d executions, %6d a second, %5d edges\n", f, n, s, c }' \
        "$build/$format.log"
done
exit $bad
