#!/bin/bash
# What a frame costs in the real window with a long trace, panel by panel, and how much memory the window takes.
#
#     benches/window.sh [CALLS]
#
# It records a program of so many calls, 100 million by default, with all stacks, and shows it on a
# screen that nobody sees, by Mesa's software rendering: what drawing costs without a graphics
# processor is in the processor's time. Wants a gigabyte of disk, Xvfb and openbox.
# TRACE=FILE shows that trace instead; SIZE=WIDTHxHEIGHT is another window than 1600x1000;
# MALLOSCOPE=FILE records with that command instead of building one; WORK=DIRECTORY keeps the files.
set -euo pipefail
cd "$(dirname "$0")/.."

calls=${1:-100000000}
size=${SIZE:-1600x1000}
work=${WORK:-$(mktemp -d)}
mkdir -p "$work"
children=()
clean() {
    for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
    [ -n "${WORK:-}" ] || rm -rf "$work"
}
trap clean EXIT

cargo build --quiet --release --package malloscope-gui --example frames
frames=${CARGO_TARGET_DIR:-target}/release/examples/frames

trace=${TRACE:-$work/window.mscope}
if [ ! -e "$trace" ]; then
    if [ -z "${MALLOSCOPE:-}" ]; then
        cargo build --quiet --release --package malloscope
        MALLOSCOPE=${CARGO_TARGET_DIR:-target}/release/malloscope
    fi
    cc -O2 -fno-builtin -fno-optimize-sibling-calls -o "$work/window" benches/window.c
    "$MALLOSCOPE" record --stacks all -o "$trace" -- "$work/window" "$calls"
fi

# As large as the window, so that all of it is drawn.
exec 3> >(cat >"$work/display")
Xvfb -displayfd 3 -screen 0 "${size}x24" -nolisten tcp -noreset 2>/dev/null &
children+=($!)
exec 3>&-
until [ -s "$work/display" ]; do sleep 0.1; done
export DISPLAY=:$(cat "$work/display")
openbox >/dev/null 2>&1 &
children+=($!)

export LIBGL_ALWAYS_SOFTWARE=1 WINIT_X11_SCALE_FACTOR=1 XDG_RUNTIME_DIR="$work" XDG_STATE_HOME="$work"
unset WAYLAND_DISPLAY WAYLAND_SOCKET
echo "$(nproc) processors, $(stat -c %s "$trace") bytes of trace, window of $size"
"$frames" "$trace" "$size"
