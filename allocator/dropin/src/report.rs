//! What the bins have done, written at exit where `MALLOSCOPE_STATS` says.
//!
//! One JSON object: `release`; `process`; `asked` and `served`, requests and bytes; `bins`, those that
//! were of use, with what happened in each; `splits`, `merges`, `consolidations`; `kernel`, the calls to
//! it. A `%p` in the path stands for the process's number. A process that is killed, or leaves by
//! `_exit`, writes nothing; a forked child writes what was counted before the fork, too.

use crate::{system, twin};
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use malloscope_allocator::bins::Bin;
use malloscope_allocator::layout::Geometry;
use malloscope_allocator::observe::counters::{BinCounts, Counters, SourceKind};

/// Called by `exit`, after the program's own handlers.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;

extern "C" fn at_exit() {
    let process = system::process();
    let written = twin::report_with(|heap, path| {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = object(&mut text, heap.release().name, process, heap.observer());
        let path = CString::new(expand(path, process)).unwrap_or_default();
        system::replace(&path, text.as_bytes())
    });
    if written == Some(false) {
        system::say("malloscope: the file MALLOSCOPE_STATS names cannot be written\n");
    }
}

/// The path with the process's number for every `%p`.
fn expand(path: &[u8], process: i32) -> Vec<u8> {
    let mut number = String::new();
    let _ = write!(number, "{process}");
    let mut expanded = Vec::new();
    let mut rest = path;
    while let [first, after @ ..] = rest {
        rest = match after {
            [b'p', after @ ..] if *first == b'%' => {
                expanded.extend_from_slice(number.as_bytes());
                after
            }
            _ => {
                expanded.push(*first);
                after
            }
        };
    }
    expanded
}

fn object(out: &mut String, release: &str, process: i32, counters: &Counters) -> fmt::Result {
    writeln!(out, "{{\n  \"release\": \"{release}\",\n  \"process\": {process},")?;
    let (asked, bytes) = (counters.asked, counters.asked_bytes);
    writeln!(out, "  \"asked\": {{\"requests\": {asked}, \"bytes\": {bytes}}},\n  \"served\": [")?;
    let mut between = "";
    for kind in SourceKind::ALL {
        let served = counters.served(kind);
        let (name, requests, bytes) = (kind.name(), served.requests, served.bytes);
        write!(out, "{between}    {{\"from\": \"{name}\", \"requests\": {requests}, \"bytes\": {bytes}}}")?;
        between = ",\n";
    }
    out.write_str("\n  ],\n  \"bins\": [")?;
    between = "\n";
    for bin in Bin::all().filter(|&bin| *counters.bin(bin) != BinCounts::default()) {
        out.write_str(between)?;
        row(out, bin, counters.bin(bin))?;
        between = ",\n";
    }
    let (splits, merges) = (counters.splits, counters.merges);
    let (consolidations, moves) = (counters.consolidations, counters.threshold_moves);
    writeln!(out, "\n  ],\n  \"splits\": {splits},\n  \"merges\": {merges},")?;
    writeln!(out, "  \"consolidations\": {consolidations},\n  \"threshold_moves\": {moves},")?;
    kernel(out, counters)
}

fn row(out: &mut String, bin: Bin, counts: &BinCounts) -> fmt::Result {
    let (name, number) = bin.name();
    write!(out, "    {{\"bin\": \"{name}\"")?;
    if let Some(number) = number {
        write!(out, ", \"number\": {number}")?;
    }
    if let Some((smallest, greatest)) = bin.sizes(Geometry::OF_64_BITS) {
        let (smallest, greatest) = (smallest.bytes(), greatest.bytes());
        write!(out, ", \"smallest_chunk\": {smallest}, \"greatest_chunk\": {greatest}")?;
    }
    let BinCounts { hits, misses, hit_bytes, released, released_bytes, stashed, sorted } = counts;
    write!(out, ", \"hits\": {hits}, \"misses\": {misses}, \"hit_bytes\": {hit_bytes}")?;
    write!(out, ", \"released\": {released}, \"released_bytes\": {released_bytes}")?;
    write!(out, ", \"stashed\": {stashed}, \"sorted\": {sorted}}}")
}

fn kernel(out: &mut String, counters: &Counters) -> fmt::Result {
    let calls = &counters.kernel;
    let rows = [
        ("break_grown", calls.break_grown),
        ("break_grown_bytes", calls.break_grown_bytes),
        ("break_trimmed", calls.break_trimmed),
        ("break_trimmed_bytes", calls.break_trimmed_bytes),
        ("mmap", calls.map),
        ("munmap", calls.unmap),
        ("mremap", calls.remap),
        ("mprotect", calls.protect),
        ("madvise", calls.discard),
        ("refused", calls.refused),
    ];
    out.write_str("  \"kernel\": {")?;
    let mut between = "";
    for (name, count) in rows {
        write!(out, "{between}\"{name}\": {count}")?;
        between = ", ";
    }
    out.write_str("}\n}\n")
}
