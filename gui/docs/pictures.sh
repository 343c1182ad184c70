#!/bin/bash
# Makes the pictures in this folder anew: every panel, dark and light, and the whole window.
#
#     gui/docs/pictures.sh
#
# The trace is of `benches/window.c`, which makes the same calls every time. No display is needed; `convert` of
# ImageMagick is.
# MALLOSCOPE and MALLOSCOPE_GUI name the executables; without them they are built.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ -z "${MALLOSCOPE:-}" ] || [ -z "${MALLOSCOPE_GUI:-}" ]; then
    cargo build --quiet --release --package malloscope --package malloscope-gui
    built=${CARGO_TARGET_DIR:-target}/release
    MALLOSCOPE=${MALLOSCOPE:-$built/malloscope}
    MALLOSCOPE_GUI=${MALLOSCOPE_GUI:-$built/malloscope-gui}
fi
malloscope=$(realpath "$MALLOSCOPE")
gui=$(realpath "$MALLOSCOPE_GUI")
docs=$PWD/gui/docs
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cc -O2 -g -fno-builtin -fno-optimize-sibling-calls -o "$work/waves" benches/window.c
cd "$work"
"$malloscope" record --stacks all -o waves.mscope -- ./waves 300000 2>/dev/null

picture() {
    local name=$1
    shift
    for theme in dark light; do
        "$gui" --screenshot "$docs/$name-$theme.png" --theme "$theme" --window-size 1120x700 "$@" waves.mscope
    done
}

picture window --at 150000 --compare mmap_threshold=64K
picture timeline --view timeline --compare mmap_threshold=64K,trim_threshold=64K
picture bins --view bins
picture served --view served
picture map --view map --at 150000
picture flame --view flame
picture sites --view sites
picture allocations --view allocations --only size=64.. --only lifetime=100..
picture runs --view runs --compare mmap_threshold=64K --compare tcache_count=0 --compare glibc=2.31
picture report --view report

# None is larger than anybody wants to load: those that would be have 255 colours, which nobody sees.
for file in "$docs"/*.png; do
    [ "$(stat -c %s "$file")" -lt 150000 ] || convert "$file" +dither -colors 255 "png8:$file"
    size=$(stat -c %s "$file")
    [ "$size" -lt 150000 ] || { echo "$file has $size bytes" >&2; exit 1; }
done
