//! A native Perfetto trace: counters of the heap over time, a lane for every thread, and heap profiles at
//! several moments, whose flamegraphs the viewer draws.
//!
//! The file is a row of packets, field 1 of a message that never ends. Field numbers are those of
//! <https://github.com/google/perfetto/tree/main/protos/perfetto/trace>. Text, mappings, frames and stacks
//! are said once, under numbers from 1 on, before the first dump that refers to them. A dump says how much
//! each stack has allocated and freed since the beginning; stacks that did nothing since the dump before are
//! left out.
//!
//! Times are nanoseconds since the trace began, and one clock is as good as another: a snapshot says that
//! all that occur stood at 0 together.

use super::Profile;
use super::code::{Code, Place};
use super::collect::Lane;
use super::counters::Point;
use super::protobuf::Message;
use super::sites::{Dump, whole};
use crate::metrics::series::Sample;
use malloscope_traces::stacks::Sampling;
use std::collections::HashMap;
use std::io::{self, Write};

/// A packet of the trace.
const PACKET: u32 = 1;

/// Fields of `TracePacket`.
mod packet {
    pub(super) const CLOCK_SNAPSHOT: u32 = 6;
    pub(super) const TIMESTAMP: u32 = 8;
    pub(super) const SEQUENCE: u32 = 10;
    pub(super) const TRACK_EVENT: u32 = 11;
    pub(super) const INTERNED_DATA: u32 = 12;
    pub(super) const SEQUENCE_FLAGS: u32 = 13;
    pub(super) const PROFILE_PACKET: u32 = 37;
    pub(super) const TRACK_DESCRIPTOR: u32 = 60;
}

/// Fields of `InternedData`.
mod interned {
    pub(super) const FUNCTION_NAMES: u32 = 5;
    pub(super) const FRAMES: u32 = 6;
    pub(super) const CALLSTACKS: u32 = 7;
    pub(super) const BUILD_IDS: u32 = 16;
    pub(super) const MAPPING_PATHS: u32 = 17;
    pub(super) const SOURCE_PATHS: u32 = 18;
    pub(super) const MAPPINGS: u32 = 19;
}

/// Values of `TrackEvent.type`.
mod event {
    pub(super) const SLICE_BEGIN: u64 = 1;
    pub(super) const SLICE_END: u64 = 2;
    pub(super) const COUNTER: u64 = 4;
}

/// Clocks: since boot, monotonic in its two kinds, and of the day.
const CLOCKS: [u64; 3] = [6, 3, 4];
const CLOCK_OF_THE_DAY: u64 = 1;

/// The sequence that tracks are on, and the one of the heap profiles.
const TRACKS: u64 = 1;
const HEAP: u64 = 2;

/// Sequence flags: nothing said before holds; it refers to what was said before.
const CLEARED: u64 = 1;
const REFERS: u64 = 2;

/// Bytes of interned data or samples in a packet, about.
const ENOUGH: usize = 1 << 16;

/// The track of the process; those of threads and counters follow.
const PROCESS: u64 = 1;

/// A counter: its name, whether it counts bytes, and what it is at a point.
struct Counter<T> {
    name: &'static str,
    is_bytes: bool,
    value: fn(&T) -> u64,
}

/// What the trace itself says.
const COUNTERS: [Counter<Point>; 5] = [
    Counter { name: "malloc live", is_bytes: true, value: |point| point.live },
    Counter { name: "malloc held", is_bytes: true, value: |point| point.held },
    Counter { name: "malloc mapped", is_bytes: true, value: |point| point.mapped },
    Counter { name: "program break", is_bytes: true, value: |point| point.program_break },
    Counter { name: "malloc calls", is_bytes: false, value: |point| point.calls },
];

/// What only a replay can say.
const REPLAYED: [Counter<Sample>; 4] = [
    Counter { name: "replayed resident", is_bytes: true, value: |sample| sample.resident },
    Counter { name: "replayed from the kernel", is_bytes: true, value: |sample| sample.system },
    Counter { name: "replayed pinned", is_bytes: true, value: |sample| sample.pinned },
    Counter { name: "replayed cached", is_bytes: true, value: |sample| sample.cached },
];

/// Writes a trace.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(profile: &Profile, code: &Code, out: &mut dyn Write) -> io::Result<()> {
    let mut out = Packets { out };
    out.write(|packet| {
        packet.message(packet::CLOCK_SNAPSHOT, |snapshot| {
            let began = (CLOCK_OF_THE_DAY, profile.header.clock.began.min(i64::MAX as u64));
            for (clock, time) in CLOCKS.map(|clock| (clock, 0)).into_iter().chain([began]) {
                snapshot.message(1, |message| {
                    message.number(1, clock).number(2, time);
                });
            }
            snapshot.number(2, CLOCKS[0]);
        });
    })?;
    write_tracks(profile, &mut out)?;
    write_events(profile, &mut out)?;
    if profile.has_stacks() {
        let callstacks = write_interned(profile, code, &mut out)?;
        let mut written = 0;
        for dump in &profile.dumps {
            write_dump(profile, dump, &callstacks, &mut written, &mut out)?;
        }
    }
    Ok(())
}

struct Packets<'a> {
    out: &'a mut dyn Write,
}

impl Packets<'_> {
    fn write(&mut self, write: impl FnOnce(&mut Message)) -> io::Result<()> {
        self.out.write_all(Message::new().message(PACKET, write).as_bytes())
    }

    /// A packet at a time.
    fn at(&mut self, time: u64, sequence: u64, write: impl FnOnce(&mut Message)) -> io::Result<()> {
        self.write(|packet| {
            packet.number(packet::TIMESTAMP, time).number(packet::SEQUENCE, sequence);
            write(packet);
        })
    }
}

fn track_of_counter(counter: usize) -> u64 {
    PROCESS + 1 + counter as u64
}

fn track_of_lane(lane: usize) -> u64 {
    track_of_counter(COUNTERS.len() + REPLAYED.len()) + lane as u64
}

/// The kernel's name for a thread; where that is unknown, one that no other of the process has.
fn thread_id(profile: &Profile, number: usize, lane: Lane) -> u64 {
    if lane.id > 0 { lane.id.into() } else { u64::from(profile.pid()) + number as u64 }
}

fn write_tracks(profile: &Profile, out: &mut Packets<'_>) -> io::Result<()> {
    let pid = u64::from(profile.pid());
    out.write(|packet| {
        packet.number(packet::SEQUENCE, TRACKS).number(packet::SEQUENCE_FLAGS, CLEARED);
        packet.message(packet::TRACK_DESCRIPTOR, |track| {
            track.number(1, PROCESS).message(3, |process| {
                process.number(1, pid).text(6, profile.program());
                for argument in &profile.header.program.arguments {
                    process.text(2, argument);
                }
            });
        });
    })?;
    for (number, counter) in (0..).zip(&COUNTERS) {
        write_counter_track(number, counter, out)?;
    }
    if !profile.replayed.is_empty() {
        for (number, counter) in (COUNTERS.len()..).zip(&REPLAYED) {
            write_counter_track(number, counter, out)?;
        }
    }
    for (number, lane) in threads(profile) {
        out.write(|packet| {
            packet.number(packet::SEQUENCE, TRACKS);
            packet.message(packet::TRACK_DESCRIPTOR, |track| {
                track.number(1, track_of_lane(number)).number(5, PROCESS).message(4, |thread| {
                    thread.number(1, pid).number(2, thread_id(profile, number, lane));
                    thread.text(5, &format!("thread {number}"));
                });
            });
        })?;
    }
    Ok(())
}

fn write_counter_track<T>(number: usize, counter: &Counter<T>, out: &mut Packets<'_>) -> io::Result<()> {
    out.write(|packet| {
        packet.number(packet::SEQUENCE, TRACKS);
        packet.message(packet::TRACK_DESCRIPTOR, |track| {
            track.number(1, track_of_counter(number)).text(2, counter.name).number(5, PROCESS);
            // Bytes, or a number.
            track.message(8, |descriptor| {
                descriptor.number(3, if counter.is_bytes { 3 } else { 2 });
            });
        });
    })
}

/// The threads that did anything.
fn threads(profile: &Profile) -> impl Iterator<Item = (usize, Lane)> {
    profile.lanes.iter().copied().enumerate().filter(|(_, lane)| lane.records > 0)
}

fn write_events(profile: &Profile, out: &mut Packets<'_>) -> io::Result<()> {
    for (number, lane) in threads(profile) {
        let name = format!("{} records", lane.records);
        out.at(lane.seen.0, TRACKS, |packet| {
            packet.message(packet::TRACK_EVENT, |message| {
                message.number(9, event::SLICE_BEGIN).number(11, track_of_lane(number)).text(23, &name);
            });
        })?;
        out.at(lane.seen.1, TRACKS, |packet| {
            packet.message(packet::TRACK_EVENT, |message| {
                message.number(9, event::SLICE_END).number(11, track_of_lane(number));
            });
        })?;
    }
    for (number, counter) in (0..).zip(&COUNTERS) {
        let values = profile.counters.iter().map(|point| (point.time, (counter.value)(point)));
        write_values(number, values, out)?;
    }
    for (number, counter) in (COUNTERS.len()..).zip(&REPLAYED) {
        let values = profile.replayed.iter();
        let values =
            values.map(|sample| (profile.time_of(sample.record, sample.time), (counter.value)(sample)));
        write_values(number, values, out)?;
    }
    Ok(())
}

/// Writes the values of a counter, but for those that are what they were before.
fn write_values(
    number: usize,
    values: impl Iterator<Item = (u64, u64)>,
    out: &mut Packets<'_>,
) -> io::Result<()> {
    let mut before = None;
    for (time, value) in values.filter(|(_, value)| before.replace(*value) != Some(*value)) {
        out.at(time, TRACKS, |packet| {
            packet.message(packet::TRACK_EVENT, |message| {
                message.number(9, event::COUNTER).number(11, track_of_counter(number)).number(30, value);
            });
        })?;
    }
    Ok(())
}

/// Interned data on its way into packets of bounded size.
struct Interning<'a, 'b> {
    out: &'a mut Packets<'b>,
    data: Message,
    is_first: bool,
}

impl Interning<'_, '_> {
    fn say(&mut self, field: u32, write: impl FnOnce(&mut Message)) -> io::Result<()> {
        self.data.message(field, write);
        if self.data.as_bytes().len() < ENOUGH { Ok(()) } else { self.flush() }
    }

    fn string(&mut self, field: u32, number: u64, text: &[u8]) -> io::Result<()> {
        self.say(field, |string| {
            string.number(1, number).bytes(2, text);
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        let flags = if self.is_first { CLEARED } else { REFERS };
        self.is_first = false;
        let data = std::mem::take(&mut self.data);
        self.out.at(0, HEAP, |packet| {
            packet.number(packet::SEQUENCE_FLAGS, flags);
            packet.bytes(packet::INTERNED_DATA, data.as_bytes());
        })
    }
}

/// Says what all dumps refer to. Returns the number of each site's stack.
fn write_interned(profile: &Profile, code: &Code, out: &mut Packets<'_>) -> io::Result<Vec<u64>> {
    let mut interning = Interning { out, data: Message::new(), is_first: true };
    for (number, module) in (1..).zip(&profile.stacks.modules) {
        interning.string(interned::BUILD_IDS, number, &module.build_id)?;
        // A path is given in its parts.
        interning.string(interned::MAPPING_PATHS, number, module.path.trim_start_matches('/').as_bytes())?;
        interning.say(interned::MAPPINGS, |mapping| {
            mapping.number(1, number).number(2, number);
            mapping.number(4, module.start).number(5, module.end).number(7, number);
        })?;
    }
    // Frames that are in no module still need a mapping.
    let no_module = profile.stacks.modules.len() as u64 + 1;
    interning.string(interned::MAPPING_PATHS, no_module, b"[no module]")?;
    interning.say(interned::MAPPINGS, |mapping| {
        mapping.number(1, no_module).number(7, no_module);
    })?;
    let mut files = HashMap::new();
    for (number, function) in (1..).zip(&code.functions) {
        interning.string(interned::FUNCTION_NAMES, number, function.name.as_bytes())?;
        if let Some(file) = &function.file
            && !files.contains_key(file.as_str())
        {
            let number = files.len() as u64 + 1;
            files.insert(file.as_str(), number);
            interning.string(interned::SOURCE_PATHS, number, file.as_bytes())?;
        }
    }
    let mut firsts = Vec::with_capacity(code.places.len());
    let mut next = 1;
    for place in &code.places {
        firsts.push(next);
        write_frames(code, place, no_module, &files, &mut next, &mut interning)?;
    }
    let mut callstacks = Vec::with_capacity(profile.sites.len());
    for (number, site) in (1..).zip(&profile.sites) {
        callstacks.push(number);
        // The frames of a place are numbered from the outermost on.
        let frames = code.places_of(code.node_of(site.stack)).flat_map(|place| {
            let first = firsts[place as usize];
            (first..first + code.places[place as usize].lines.len() as u64).rev()
        });
        let mut frames: Vec<u64> = frames.collect();
        frames.reverse();
        interning.say(interned::CALLSTACKS, |callstack| {
            callstack.number(1, number);
            for frame in frames {
                callstack.number(2, frame);
            }
        })?;
    }
    interning.flush()?;
    Ok(callstacks)
}

fn write_frames(
    code: &Code,
    place: &Place,
    no_module: u64,
    files: &HashMap<&str, u64>,
    next: &mut u64,
    interning: &mut Interning<'_, '_>,
) -> io::Result<()> {
    for line in place.lines.iter().rev() {
        let number = *next;
        *next += 1;
        let file = code.function(*line).file.as_deref().and_then(|file| files.get(file));
        interning.say(interned::FRAMES, |frame| {
            frame.number(1, number).number(2, u64::from(line.function) + 1);
            frame.number(3, place.module.map_or(no_module, |module| module as u64 + 1));
            frame.number(4, place.address);
            if let Some(file) = file {
                frame.number(5, *file);
            }
            if let Some(line) = line.line {
                frame.number(6, line.into());
            }
        })?;
    }
    Ok(())
}

/// Writes a dump in as many packets as it takes, of which so many are `written`. One in which nothing
/// changed has nothing to say.
fn write_dump(
    profile: &Profile,
    dump: &Dump,
    callstacks: &[u64],
    written: &mut u64,
    out: &mut Packets<'_>,
) -> io::Result<()> {
    // A sample takes 20 to 40 bytes.
    let mut parts = dump.sites.chunks(ENOUGH / 32).peekable();
    while let Some(part) = parts.next() {
        let goes_on = parts.peek().is_some();
        out.at(dump.time, HEAP, |packet| {
            packet.number(packet::SEQUENCE_FLAGS, REFERS);
            packet.message(packet::PROFILE_PACKET, |heap| {
                // Who reads it counts them, to find that none was lost.
                heap.number(6, goes_on.into()).number(7, *written);
                heap.message(5, |process| {
                    process.number(1, profile.pid().into()).number(3, 1).number(9, dump.time);
                    process.text(11, "libc.malloc");
                    if let Sampling::Bytes { mean } = profile.sampling() {
                        process.number(12, mean);
                    }
                    for (site, allocated, freed) in part {
                        process.message(2, |sample| {
                            sample.number(1, callstacks[*site as usize]);
                            sample.number(2, whole(allocated.bytes)).number(3, whole(freed.bytes));
                            sample.number(5, whole(allocated.blocks)).number(6, whole(freed.blocks));
                        });
                    }
                });
            });
        })?;
        *written += 1;
    }
    Ok(())
}
