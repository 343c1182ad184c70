#!/bin/bash
# What recording costs the recorded program: processor time added per call of malloc, beside the
# bare program and beside heaptrack, in one run.
#
#     benches/recording.sh [REPETITIONS]
#
# Of each program the smallest user and system time of all repetitions counts, which take turns:
# bare, recorded, heaptrack. Ratios are to be trusted more than times; the machine's others are in both.
# heaptrack is its preload alone, writing to /dev/null: what the program itself pays for it. The last columns
# are the program and its recorder together, a call, beside heaptrack with the helpers it starts.
# STACKS=all or STACKS=sample:512K records stacks too.
# MALLOSCOPE=FILE measures that command instead of building one; WORK=DIRECTORY keeps the files.
set -euo pipefail
cd "$(dirname "$0")/.."

repetitions=${1:-5}
work=${WORK:-$(mktemp -d)}
mkdir -p "$work"
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT

if [ -z "${MALLOSCOPE:-}" ]; then
    cargo build --quiet --release --package malloscope
    MALLOSCOPE=${CARGO_TARGET_DIR:-target}/release/malloscope
fi
malloscope=$(realpath "$MALLOSCOPE")

heaptrack=
find_heaptrack() {
    for file in /usr/lib/heaptrack/libheaptrack_preload.so /usr/lib/*/heaptrack/libheaptrack_preload.so; do
        [ -e "$file" ] && heaptrack=$file
    done
    [ -n "$heaptrack" ]
}
if ! find_heaptrack; then
    apt-get install --yes heaptrack >"$work/apt.log" 2>&1 || true
    find_heaptrack || echo "heaptrack is not there and could not be installed: measured without it" >&2
fi
# Newer ones analyse at once unless told not to.
alone=
[ -z "$heaptrack" ] || ! heaptrack --help 2>&1 | grep -q -e --record-only || alone=--record-only

for program in recording_loop recording_cpu; do
    cc -O2 -fno-builtin -fno-optimize-sibling-calls -pthread -o "$work/$program" "benches/$program.c"
done
cpu=$work/recording_cpu
loop=$work/recording_loop

cat >"$work/build_json.py" <<'END'
import json
for _ in range(2):
    built = [{"id": i, "name": "n%d" % i, "tags": ["t%d" % (i * j % 1000) for j in range(6)],
              "at": [i / 7, i / 11], "in": {"a": i, "b": str(i) * 3}} for i in range(20000)]
    text = json.dumps(built)
    assert len(json.loads(text)) == len(built)
END
for i in $(seq 600); do
    cat <<END
struct s$i { int a, b; double c[$((i % 7 + 1))]; };
static int f$i(struct s$i *s, int n) { int t = $i; for (int k = 0; k < n; k++) {
  t += s->a * k ^ $i; if (t & $((1 << i % 10))) t -= s->b; else t += (int)s->c[k % $((i % 7 + 1))];
  switch (t % 5) { case 0: t += k; break; case 1: t ^= n; break; case 2: t *= 3; break; default: t--; } } return t; }
int g$i(struct s$i *s, int n) { return f$i(s, n) * f$i(s + 1, n - 1); }
END
done >"$work/large.c"

# Sets `least` to the smaller of two numbers, of which the first may not be there.
least() { if [ -z "$1" ] || [ "$2" -lt "$1" ]; then least=$2; else least=$1; fi; }

# Measures a program: its name, and how it is started.
measure() {
    local name=$1 bare= recorded= tracked= collector= helped= calls= least
    shift
    for _ in $(seq "$repetitions"); do
        "$cpu" "$work/time" "$@"
        least "$bare" "$(cat "$work/time")"; bare=$least
        "$cpu" "$work/all" "$malloscope" record --stacks "${STACKS:-none}" -o "$work/app.mscope" -- "$cpu" "$work/time" "$@" 2>"$work/said"
        least "$recorded" "$(cat "$work/time")"; recorded=$least
        least "$collector" $(($(cat "$work/all") - $(cat "$work/time"))); collector=$least
        calls=$(sed 's/,//g' "$work/said" | awk '/ calls of / && $3 > most { most = $3 } END { print most }')
        rm -f "$work"/app*.mscope
        if [ -n "$heaptrack" ]; then
            DUMP_HEAPTRACK_OUTPUT=/dev/null "$cpu" "$work/time" env LD_PRELOAD="$heaptrack" "$@" 2>/dev/null
            least "$tracked" "$(cat "$work/time")"; tracked=$least
            # shellcheck disable=SC2086 # an option, or none
            "$cpu" "$work/all" heaptrack $alone -o "$work/heaptrack" "$@" >"$work/said" 2>&1
            least "$helped" "$(cat "$work/all")"; helped=$least
            rm -f "$work"/heaptrack.*
        fi
    done
    awk -v name="$name" -v calls="$calls" -v bare="$bare" -v recorded="$recorded" -v tracked="$tracked" \
        -v collector="$collector" -v helped="$helped" 'BEGIN {
        printf "%-22s %11d %8.3f %8.3f %7.2f %7.2f", name, calls, bare / 1e6, recorded / 1e6,
            (recorded - bare) * 1e3 / calls, recorded / bare
        if (tracked) printf " %7.1f %7.2f", (tracked - bare) * 1e3 / calls, tracked / bare
        else printf " %7s %7s", "-", "-"
        printf " %9.1f %7.1f", calls / collector, (recorded - bare + collector) * 1e3 / calls
        if (helped) printf " %7.1f %5.2f\n", (helped - bare) * 1e3 / calls, (recorded - bare + collector) / (helped - bare)
        else printf " %7s %5s\n", "-", "-"
    }'
}

heading='%-22s %11s %8s %8s %7s %7s %7s %7s %9s %7s %7s %5s\n'
printf "$heading" "" "" bare recorded "" "" heap- track collector both heap- both
printf "$heading" program calls s s ns/call ratio ns/call ratio Mcalls/s ns/call track ratio
measure "loop, 1 thread" "$loop" 1 20000000 1
measure "loop, 2 threads" "$loop" 2 10000000 1
if [ -n "${STACKS:-}" ]; then
    measure "one stack of 12" "$loop" 1 5000000 1 12 1
    measure "64 stacks of 12" "$loop" 1 5000000 1000 12 64
fi
measure "loop, 1000 alive" "$loop" 1 10000000 1000
measure "loop, 2 × 1000 alive" "$loop" 2 5000000 1000
if command -v python3 >/dev/null; then
    PYTHONMALLOC=malloc measure "python3, JSON" "$(python3 -c 'import sys; print(sys.executable)')" "$work/build_json.py"
fi
measure "cc1 -O2" "$(cc -print-prog-name=cc1)" -quiet -O2 "$work/large.c" -o "$work/large.s"
