#!/bin/sh
# What the twin costs beside glibc itself, one thread, the same calls from an array, on real memory: nanoseconds of
# the processor a call, each the least of several runs, with nobody listening (off) and with every counter (on).
#     benches/allocator.sh
# Three mixes: small sizes that the tcache serves; 16 bytes to 64 KiB, some cleared, some made larger; large ones
# that come and go in waves, so that the heap grows and is trimmed. Then how it grows: the second mix at 10^4 calls
# and ten times as many, and so on up to 10^LARGEST (7).
set -eu
cd "$(dirname "$0")/.."
times=${TIMES:-7}
calls=${CALLS:-1000000}
largest=${LARGEST:-7}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --release --quiet -p malloscope-allocator --example calls
example=${CARGO_TARGET_DIR:-target}/release/examples/calls
cc -O2 -o "$work/glibc" benches/glibc.c

# A script of so many calls of a mix; the same one every time.
script() {
    awk -v mix="$1" -v calls="$2" '
        # Park and Miller: every awk draws the same.
        function draw(below) { seed = (seed * 16807) % 2147483647; return int(seed / 2147483647 * below) }
        function size() {
            if (mix == "small") return 1 + draw(400)
            if (mix == "mixed") return 16 + draw(2 ^ (5 + draw(12)))
            return 512 + draw(60000)
        }
        BEGIN {
            seed = 42
            live = mix == "large" ? 2000 : mix == "small" ? 100 : 10000
            for (made = 0; made < calls; made++) {
                slot = draw(live)
                grows = mix != "large" || int(made / 20000) % 2 == 0
                if (held[slot] && mix != "small" && draw(100) < 10) {
                    print "0 realloc " slot " " size()
                } else if (held[slot] && (mix != "large" || !grows || draw(4) == 0)) {
                    print "0 free " slot
                    held[slot] = 0
                } else if (!held[slot] && (grows || draw(8) == 0)) {
                    print "0 " (mix == "mixed" && draw(10) == 0 ? "calloc " : "malloc ") slot " " size()
                    held[slot] = 1
                } else {
                    made--
                }
            }
        }'
}

row() {
    awk -v name="$1" -v glibc="$2" -v off="$3" -v on="$4" 'BEGIN {
        printf "  %-10s %8.2f %8.2f %5.2f× %8.2f %5.2f×\n", name, glibc, off, off / glibc, on, on / glibc }'
}

measure() {
    row "$1" "$("$work/glibc" "$2" "$3")" "$("$example" "$2" "$3" off)" "$("$example" "$2" "$3" on)"
}

echo "$calls calls a mix; nanoseconds of the processor a call, and times glibc's:"
printf '  %-10s %8s %8s %6s %8s %6s\n' mix glibc off '' on ''
for mix in small mixed large; do
    script "$mix" "$calls" >"$work/$mix.ops"
    measure "$mix" "$work/$mix.ops" "$times"
done
echo "growth of the second:"
for power in $(seq 4 "$largest"); do
    script mixed "1$(printf "%0${power}d" 0)" >"$work/growth.ops"
    measure "10^$power" "$work/growth.ops" 3
done
