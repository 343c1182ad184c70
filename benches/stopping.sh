#!/bin/bash
# For how long a process stands still when it is attached to and when it is left: programs whose threads are in malloc all the
# while. The median and the longest of so many times, and how often the heap could be taken along.
#
#     benches/stopping.sh [TIMES] [THREADS…]
#
# MALLOSCOPE=FILE measures that command instead of building one.
set -euo pipefail
cd "$(dirname "$0")/.."

times=${1:-20}
shift || true
[ $# -gt 0 ] || set -- 1 8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -z "${MALLOSCOPE:-}" ]; then
    cargo build --quiet --release --package malloscope
    MALLOSCOPE=${CARGO_TARGET_DIR:-target}/release/malloscope
fi
malloscope=$(realpath "$MALLOSCOPE")
cc -O1 -fno-builtin -pthread -o "$work/steps" recorder/tests/programs/steps.c

# Milliseconds of what the recorder says: `7 ms`, `655 µs`, `1.2 s`.
milliseconds() {
    awk '{ print $2 == "s" ? $1 * 1000 : $2 == "µs" ? $1 / 1000 : $1 }'
}
median_and_longest() {
    sort -g | awk '{ all[NR] = $1 } END { printf "%.1f | %.1f", all[int((NR + 1) / 2)], all[NR] }'
}

echo '| threads in malloc | attaching, ms | longest | of it the heap, ms | longest | leaving, ms | longest | heap taken |'
echo '|--:|--:|--:|--:|--:|--:|--:|--:|'
for threads in "$@"; do
    mkfifo "$work/input"
    "$work/steps" "$threads" <"$work/input" >"$work/steps.out" &
    target=$!
    exec 3>"$work/input"
    until grep -qs ready "$work/steps.out"; do sleep 0.1; done
    taken=0
    for _ in $(seq "$times"); do
        "$malloscope" record --pid "$target" --for 20ms -o "$work/one.mscope" 2>>"$work/said" ||
            { tail -n 3 "$work/said"; exit 1; }
        ! "$malloscope" info "$work/one.mscope" | grep -q 'begins with the heap as it stood' || taken=$((taken + 1))
    done
    row="$threads"
    for words in 'stood still for' 'attached to,' 'and for'; do
        row+=" | $(sed -n "s/.*$words \([0-9.]* [^ ]*\) .*/\1/p" "$work/said" | milliseconds | median_and_longest)"
    done
    echo "| $row | $taken of $times |"
    exec 3>&-
    wait "$target"
    rm "$work/input" "$work/said" "$work/steps.out"
done
