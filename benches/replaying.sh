#!/bin/sh
# What replaying costs beside glibc itself: nanoseconds of the processor a call, each the least of several runs.
#     benches/replaying.sh [TRACE]
# Without a trace it records one: Python building, writing and parsing a JSON document.
# `glibc` makes the calls of the trace from an array in memory, and so does `allocator`: ours, over real memory, with
# every counter on. `replay` is `malloscope replay`, which measures memory after every call besides, over real and
# over simulated memory; `decode` reads the trace and does nothing else.
set -eu
cd "$(dirname "$0")/.."
times=${TIMES:-9}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --release --quiet
cargo build --release --quiet -p malloscope-traces --example decode
cargo build --release --quiet -p malloscope-allocator --example calls
built=${CARGO_TARGET_DIR:-target}/release
cc -O2 -o "$work/glibc" benches/glibc.c

trace=${1:-}
if [ -z "$trace" ]; then
    trace=$work/json.mscope
    PYTHONMALLOC=malloc "$built/malloscope" record -o "$trace" -- /usr/bin/python3 -s -S -c '
import json
rows = [{"id": i, "name": "row %d" % i, "tags": ["a"] * (i % 5)} for i in range(30000)]
print(len(json.loads(json.dumps(rows))))' >/dev/null
fi
"$built/malloscope" dump --format ops "$trace" >"$work/calls.ops"

# The least processor time of the replaying thread, a call.
replay() {
    for _ in $(seq "$times"); do
        "$built/malloscope" replay "$trace" --memory "$1" --touch none --format json
    done | awk '
        /"calls":/ && !seen { split($0, part, /[:,]/); observed = part[2]; seen = 1 }
        /"processor_seconds":/ { split($0, part, ":"); ns = part[2] * 1e9 / observed; seen = 0
                                 if (!least || ns < least) least = ns }
        END { printf "%.2f\n", least }'
}

glibc=$("$work/glibc" "$work/calls.ops" "$times")
allocator=$(for _ in $(seq "$times"); do "$built/examples/calls" "$work/calls.ops"; done | sort -n | head -n 1)
real=$(replay real)
simulated=$(replay simulated)
decode=$("$built/examples/decode" "$trace")
echo "$(grep -c . "$work/calls.ops") calls; nanoseconds of the processor a call, and times glibc's:"
for row in "glibc $glibc" "allocator $allocator" "replay-real $real" "replay-simulated $simulated" "decode $decode"; do
    # shellcheck disable=SC2086 # two words
    set -- $row
    awk -v name="$1" -v ns="$2" -v glibc="$glibc" 'BEGIN { printf "  %-18s %8.2f %8.2f\n", name, ns, ns / glibc }'
done
