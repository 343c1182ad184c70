//! DHAT's JSON, version 2, as valgrind's `dh_view.html` reads it.
//!
//! Every stack is a “program point” with its totals, its own greatest moment, what it had when the program
//! had most live (`t-gmax`) and at the end (`t-end`), and how long its blocks lived. Accesses to the blocks
//! are not in a trace (`bkacc` is false). Times are microseconds, or records where there is no clock.

use super::Profile;
use super::code::{Code, Place};
use super::sequence::Sequence;
use super::sites::{Amount, Site, whole};
use serde::Serialize;
use std::collections::HashMap;
use std::io::{self, Write};

/// Nanoseconds in a unit of time.
const UNIT: u64 = 1000;

/// Blocks that lived no longer are shown as short-lived, in units of time: what valgrind's own tools that
/// count microseconds take.
const SHORT: u64 = 10;

#[derive(Serialize)]
struct File<Points: Serialize, Frames: Serialize> {
    #[serde(rename = "dhatFileVersion")]
    version: u32,
    mode: &'static str,
    verb: &'static str,
    /// Whether there are lifetimes.
    bklt: bool,
    /// Whether there are accesses.
    bkacc: bool,
    /// The unit of time, a million of them, and how many are short.
    tu: &'static str,
    #[serde(rename = "Mtu")]
    million: &'static str,
    tuth: u64,
    cmd: String,
    pid: u32,
    /// When the most was live, and the end.
    tg: u64,
    te: u64,
    pps: Points,
    ftbl: Frames,
}

/// A program point. `b` is for bytes, `bk` for blocks.
#[derive(Serialize)]
struct Point {
    /// In total, and the lifetimes together.
    tb: u64,
    tbk: u64,
    tl: u64,
    /// When it had most bytes itself.
    mb: u64,
    mbk: u64,
    /// When the program had most.
    gb: u64,
    gbk: u64,
    /// At the end.
    eb: u64,
    ebk: u64,
    /// The numbers of its frames, the innermost first.
    fs: Vec<u32>,
}

/// What sites whose stacks look the same did together. There are several only where frames are lost.
#[derive(Clone, Copy, Default)]
struct Sum {
    node: u32,
    total: Amount,
    most: Amount,
    at_peak: Amount,
    end: Amount,
    lifetimes: f64,
}

impl Sum {
    fn add(&mut self, site: &Site) {
        for (sum, amount) in [
            (&mut self.total, site.allocated),
            (&mut self.most, site.most),
            (&mut self.at_peak, site.at_peak),
            (&mut self.end, site.live()),
        ] {
            sum.blocks += amount.blocks;
            sum.bytes += amount.bytes;
        }
        self.lifetimes += site.lifetimes;
    }
}

/// Writes a profile.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(profile: &Profile, code: &Code, out: &mut dyn Write) -> io::Result<()> {
    // The viewer refuses a file that has a stack twice.
    let mut sums: Vec<Sum> = Vec::new();
    let mut by_node = HashMap::new();
    for site in &profile.sites {
        let node = code.node_of(site.stack);
        let number = *by_node.entry(node).or_insert(sums.len());
        if number == sums.len() {
            sums.push(Sum { node, ..Sum::default() });
        }
        sums[number].add(site);
    }
    // The number of the first function of every place in the table of frames, whose first is the root's.
    let mut next = 1;
    let firsts = code.places.iter().map(|place| {
        let first = next;
        next += u32::try_from(place.lines.len()).unwrap_or(0);
        first
    });
    let firsts: Vec<u32> = firsts.collect();
    let frames = || {
        let of_place = |place: &Place| frames(profile, code, place);
        std::iter::once("[root]".to_owned()).chain(code.places.iter().flat_map(of_place).collect::<Vec<_>>())
    };
    let (unit, million) = if profile.has_clock { ("µs", "s") } else { ("records", "Mrecords") };
    let file = File {
        version: 2,
        mode: "heap",
        verb: "Allocated",
        bklt: true,
        bkacc: false,
        tu: unit,
        million,
        tuth: SHORT,
        cmd: profile.command(),
        pid: profile.pid(),
        tg: profile.peak.time / UNIT,
        // Shares of the end are shown, and of nothing there are none.
        te: profile.duration.div_ceil(UNIT).max(1),
        pps: Sequence(|| sums.iter().map(|sum| point(code, sum, &firsts))),
        ftbl: Sequence(frames),
    };
    serde_json::to_writer(&mut *out, &file)?;
    writeln!(out)
}

fn point(code: &Code, sum: &Sum, firsts: &[u32]) -> Point {
    let frames = code.places_of(sum.node).flat_map(|place| {
        let first = firsts[place as usize];
        first..first + u32::try_from(code.places[place as usize].lines.len()).unwrap_or(0)
    });
    #[expect(clippy::cast_precision_loss, reason = "a thousand")]
    let lifetimes = sum.lifetimes / UNIT as f64;
    Point {
        tb: whole(sum.total.bytes),
        tbk: whole(sum.total.blocks),
        tl: whole(lifetimes),
        mb: whole(sum.most.bytes),
        mbk: whole(sum.most.blocks),
        gb: whole(sum.at_peak.bytes),
        gbk: whole(sum.at_peak.blocks),
        eb: whole(sum.end.bytes),
        ebk: whole(sum.end.blocks),
        fs: frames.collect(),
    }
}

/// The frames of a place as valgrind prints them: `0x4005E4: main (main.c:12)`.
fn frames(profile: &Profile, code: &Code, place: &Place) -> Vec<String> {
    let module = place.module.and_then(|module| profile.stacks.modules.get(module));
    let address = place.address.wrapping_add(module.map_or(0, |module| module.bias));
    let frame = |line: &super::code::Line| {
        let function = code.function(*line);
        let name = &function.name;
        match (&function.file, line.line, module) {
            (Some(file), Some(line), _) => format!("{address:#X}: {name} ({file}:{line})"),
            (Some(file), None, _) => format!("{address:#X}: {name} ({file})"),
            (None, _, Some(module)) => format!("{address:#X}: {name} (in {})", module.path),
            (None, _, None) => format!("{address:#X}: {name}"),
        }
    };
    place.lines.iter().map(frame).collect()
}
