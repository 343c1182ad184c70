//! The Firefox Profiler's processed profile: every allocation and every free on its thread's track, and how
//! much memory was live.
//!
//! The layout is version 66 of the format, which later versions upgrade on loading
//! (<https://github.com/firefox-devtools/profiler/blob/main/docs-developer/CHANGELOG-formats.md>). Every
//! traced thread has a table of native allocations, which is what makes its call tree offer “retained” and
//! “allocated” memory. A row of a free is in the table of the thread that *allocated*, with the freeing
//! thread's number: the profiler pairs the rows of one table by their addresses.
//!
//! Long traces are thinned as [`super::lives`] says; weights then are bytes times how many allocations one
//! stands for.

use super::Profile;
use super::code::{Code, Line, NO_STACK};
use super::collect::{Lane, lane_of};
use super::lives::Life;
use super::pprof::hexadecimal;
use super::sequence::Sequence;
use super::sites::{real, whole};
use malloscope_traces::stacks::Module;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, Write};

/// The version of the format that this is.
const VERSION: u32 = 66;

/// Says that a function comes from a library.
const RESOURCE_LIBRARY: u32 = 1;

/// Tracks that are shown from the start.
const SHOWN: usize = 16;

/// Nanoseconds in the format's milliseconds.
const MILLISECOND: f64 = 1e6;

#[derive(Serialize)]
struct File<'a, Shared: Serialize, Threads: Serialize> {
    meta: Value,
    libs: Vec<Library<'a>>,
    shared: Shared,
    threads: Threads,
    pages: [u8; 0],
    #[serde(rename = "profilerOverhead")]
    overhead: [u8; 0],
    counters: [Value; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Library<'a> {
    name: &'a str,
    path: &'a str,
    debug_name: &'a str,
    debug_path: &'a str,
    breakpad_id: String,
    code_id: Option<String>,
    arch: &'a str,
}

/// The tables that all threads share, each a column of numbers a field.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shared {
    stack_table: Value,
    frame_table: Value,
    func_table: Value,
    native_symbols: Value,
    resource_table: Value,
    sources: Value,
    source_location_table: Value,
    string_array: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Thread<Allocations: Serialize> {
    name: String,
    is_main_thread: bool,
    paused_ranges: [u8; 0],
    pid: String,
    tid: String,
    process_name: String,
    process_type: &'static str,
    process_startup_time: f64,
    process_shutdown_time: f64,
    register_time: f64,
    unregister_time: f64,
    show_markers_in_timeline: bool,
    samples: Value,
    markers: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_allocations: Option<Allocations>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NativeAllocations<T: Serialize, W: Serialize, S: Serialize, A: Serialize, I: Serialize> {
    time: T,
    weight: W,
    weight_type: &'static str,
    stack: S,
    memory_address: A,
    thread_id: I,
    length: usize,
}

/// A birth or a death, and whose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    lane: u32,
    record: u64,
    /// A call may free one and make another: in this order.
    is_birth: bool,
    life: u32,
}

/// Text by number.
#[derive(Default)]
struct Strings {
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Strings {
    fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), self.texts.len() - 1);
        self.texts.len() - 1
    }
}

/// Writes a profile.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(profile: &Profile, code: &Code, out: &mut dyn Write) -> io::Result<()> {
    let (stack_table, rows) = stacks(code);
    let stack_of_site: Vec<u32> =
        profile.sites.iter().map(|site| rows[code.node_of(site.stack) as usize]).collect();
    let events = events(profile.lives.kept());
    let of_lane = |lane: usize| {
        let lane = u32::try_from(lane).unwrap_or(u32::MAX);
        let start = events.partition_point(|event| event.lane < lane);
        let end = events.partition_point(|event| event.lane <= lane);
        &events[start..end]
    };
    let threads = || {
        let lanes = profile.lanes.iter().enumerate();
        let lanes = lanes.filter(|(number, lane)| *number == 0 || lane.records > 0);
        lanes.map(|(number, lane)| thread(profile, &stack_of_site, number, *lane, of_lane(number)))
    };
    let file = File {
        meta: meta(profile),
        libs: profile.stacks.modules.iter().map(|module| library(profile, module)).collect(),
        shared: shared(profile, code, stack_table),
        threads: Sequence(threads),
        pages: [],
        overhead: [],
        counters: [memory(profile)],
    };
    serde_json::to_writer(&mut *out, &file)?;
    writeln!(out)
}

fn meta(profile: &Profile) -> Value {
    let threads = profile.lanes.iter().enumerate();
    let shown = threads.filter(|(number, lane)| *number == 0 || lane.records > 0).count().min(SHOWN);
    json!({
        "categories": [{ "name": "Other", "color": "grey", "subcategories": ["Other"] }],
        "debug": false,
        "extensions": { "length": 0, "baseURL": [], "id": [], "name": [] },
        "interval": 1,
        "preprocessedProfileVersion": VERSION,
        "version": 24,
        "processType": 0,
        "product": profile.program(),
        "arguments": profile.command(),
        "importedFrom": profile.header.recorder,
        "oscpu": format!("Linux {} {}", profile.header.host.kernel, profile.header.host.architecture),
        "logicalCPUs": profile.header.host.processors_online,
        "sampleUnits": { "time": "ms", "eventDelay": "ms", "threadCPUDelta": "µs" },
        "startTime": real(profile.header.clock.began) / MILLISECOND,
        "profilingStartTime": 0,
        // The end itself is not in the range that is shown, and the last calls may be at it.
        "profilingEndTime": real(profile.duration.saturating_add(1000)) / MILLISECOND,
        // What has no name is named after its module and offset: nobody should look for others.
        "symbolicated": true,
        "pausedRanges": [],
        "stackwalk": 1,
        "usesOnlyOneStackType": true,
        "sourceCodeIsNotOnSearchfox": true,
        "keepProfileThreadOrder": true,
        "markerSchema": [],
        "initialVisibleThreads": (0..shown).collect::<Vec<_>>(),
        "initialSelectedThreads": [0],
        "extra": [{
            "label": "Recording",
            "entries": profile.remarks().into_iter().chain(thinned(profile)).map(|remark| {
                json!({ "label": "Note", "format": "string", "value": remark })
            }).collect::<Vec<_>>(),
        }],
    })
}

/// What should be known of allocations that were left out.
pub fn thinned(profile: &Profile) -> Option<String> {
    match profile.lives.sampling() {
        malloscope_traces::stacks::Sampling::All => None,
        malloscope_traces::stacks::Sampling::Bytes { mean } => Some(format!(
            "of the allocations {} are in the profile, one in {mean} bytes asked for; each stands for others like it",
            profile.lives.kept().len()
        )),
    }
}

fn library<'a>(profile: &'a Profile, module: &'a Module) -> Library<'a> {
    let name = super::names::file_name(&module.path);
    Library {
        name,
        path: &module.path,
        debug_name: name,
        debug_path: &module.path,
        breakpad_id: breakpad_id(&module.build_id),
        code_id: (!module.build_id.is_empty()).then(|| hexadecimal(&module.build_id)),
        arch: &profile.header.host.architecture,
    }
}

/// The first sixteen bytes of a build id as a GUID, whose first three numbers are the other way round, and
/// an age of 0.
fn breakpad_id(build_id: &[u8]) -> String {
    let mut guid = [0; 16];
    for (to, from) in guid.iter_mut().zip(build_id) {
        *to = *from;
    }
    guid[..4].reverse();
    guid[4..6].reverse();
    guid[6..8].reverse();
    format!("{}0", hexadecimal(&guid).to_uppercase())
}

/// The table of stacks, one row for every function of every node; and the row of each node's innermost
/// function.
fn stacks(code: &Code) -> (Value, Vec<u32>) {
    let firsts = first_frames(code);
    let (mut offsets, mut frames): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut rows: Vec<u32> = Vec::with_capacity(code.nodes.len());
    for node in &code.nodes {
        let mut caller = node.caller.and_then(|caller| rows.get(caller as usize).copied());
        let lines = u32::try_from(code.places[node.place as usize].lines.len()).unwrap_or(0);
        // The outermost has depth 0, and is the first of its place.
        for depth in 0..lines {
            let row = u32::try_from(frames.len()).unwrap_or(u32::MAX);
            offsets.push(caller.map_or(0, |caller| row - caller));
            frames.push(firsts[node.place as usize] + depth);
            caller = Some(row);
        }
        rows.push(caller.unwrap_or(NO_STACK));
    }
    (json!({ "length": frames.len(), "prefixOffset": offsets, "frame": frames }), rows)
}

/// The number of the first frame of every place.
fn first_frames(code: &Code) -> Vec<u32> {
    let mut next = 0;
    let first = |lines: usize| {
        let first = next;
        next += u32::try_from(lines).unwrap_or(0);
        first
    };
    code.places.iter().map(|place| place.lines.len()).map(first).collect()
}

fn shared(profile: &Profile, code: &Code, stack_table: Value) -> Shared {
    let mut strings = Strings::default();
    let modules = &profile.stacks.modules;
    // A frame for every function of every place, the outermost first.
    let frames = code.places.iter().flat_map(|place| {
        let module = place.module.and_then(|module| modules.get(module));
        // Relative to the first byte of the file in memory.
        let base = module.map_or(0, |module| module.start.wrapping_sub(module.bias));
        let address = module.map(|_| place.address.wrapping_sub(base));
        let lines = place.lines.iter().rev().enumerate();
        lines.map(move |(depth, line)| (*line, address.filter(|address| *address < 1 << 53), depth))
    });
    let frames: Vec<(Line, Option<u64>, usize)> = frames.collect();
    let length = frames.len();
    let nothing = vec![Value::Null; length];
    let frame_table = json!({
        "length": length,
        "func": frames.iter().map(|(line, ..)| line.function).collect::<Vec<_>>(),
        "line": frames.iter().map(|(line, ..)| line.line).collect::<Vec<_>>(),
        "address": frames.iter().map(|(_, address, _)| address.map_or(json!(-1), Value::from)).collect::<Vec<_>>(),
        "inlineDepth": frames.iter().map(|(.., depth)| *depth).collect::<Vec<_>>(),
        "category": vec![0; length],
        "subcategory": vec![0; length],
        "column": nothing,
        "nativeSymbol": nothing,
        "innerWindowID": vec![0; length],
        "originalLocation": nothing,
    });
    let mut files = HashMap::new();
    let mut file_names = Vec::new();
    let mut sources = Vec::new();
    let mut names = Vec::new();
    for function in &code.functions {
        names.push(strings.number(&function.name));
        let source = function.file.as_deref().map(|file| {
            *files.entry(file).or_insert_with(|| {
                file_names.push(strings.number(file));
                file_names.len() - 1
            })
        });
        sources.push(source);
    }
    let resource = |module: Option<usize>| module.map_or(json!(-1), Value::from);
    let functions = code.functions.len();
    let func_table = json!({
        "length": functions,
        "name": names,
        "isJS": vec![false; functions],
        "relevantForJS": vec![false; functions],
        "resource": code.functions.iter().map(|function| resource(function.module)).collect::<Vec<_>>(),
        "source": sources,
        "lineNumber": vec![Value::Null; functions],
        "columnNumber": vec![Value::Null; functions],
        "originalLocation": vec![Value::Null; functions],
    });
    let resource_names = modules.iter().map(|module| strings.number(super::names::file_name(&module.path)));
    let resource_table = json!({
        "length": modules.len(),
        "lib": (0..modules.len()).collect::<Vec<_>>(),
        "name": resource_names.collect::<Vec<_>>(),
        "host": vec![Value::Null; modules.len()],
        "type": vec![RESOURCE_LIBRARY; modules.len()],
    });
    let unknown = vec![Value::Null; file_names.len()];
    Shared {
        stack_table,
        frame_table,
        func_table,
        native_symbols: json!({ "length": 0, "address": [], "functionSize": [], "libIndex": [], "name": [] }),
        resource_table,
        sources: json!({
            "length": file_names.len(),
            "id": unknown,
            "filename": file_names,
            "startLine": vec![1; file_names.len()],
            "startColumn": vec![1; file_names.len()],
            "sourceMapURL": unknown,
            "content": unknown,
        }),
        source_location_table: json!({ "length": 0, "source": [], "line": [], "column": [] }),
        string_array: strings.texts,
    }
}

/// Births and deaths, by the lane of the birth and then in the order they happened.
fn events(lives: &[Life]) -> Vec<Event> {
    let mut events = Vec::with_capacity(lives.len() * 2);
    for (number, life) in (0..).zip(lives) {
        let lane = u32::try_from(lane_of(life.born.thread)).unwrap_or(u32::MAX);
        events.push(Event { lane, record: life.born.record, is_birth: true, life: number });
        if let Some(died) = life.died {
            events.push(Event { lane, record: died.record, is_birth: false, life: number });
        }
    }
    events.sort_unstable();
    events
}

fn thread<'a>(
    profile: &'a Profile,
    stack_of_site: &'a [u32],
    number: usize,
    lane: Lane,
    events: &'a [Event],
) -> impl Serialize + 'a {
    let lives = profile.lives.kept();
    let life = move |event: &Event| &lives[event.life as usize];
    let step = move |event: &Event| match life(event).died {
        Some(died) if !event.is_birth => died,
        _ => life(event).born,
    };
    let weight = move |event: &Event| {
        let Life { request, .. } = *life(event);
        let stands_for = profile.sampling().weight(request) * profile.lives.sampling().weight(request);
        let bytes = i64::try_from(whole(stands_for * real(request))).unwrap_or(i64::MAX);
        if event.is_birth { bytes } else { -bytes }
    };
    let [from, to] = [lane.seen.0, lane.seen.1].map(|time| real(time) / MILLISECOND);
    let allocations = NativeAllocations {
        time: Sequence(move || events.iter().map(move |event| real(step(event).time) / MILLISECOND)),
        weight: Sequence(move || events.iter().map(weight)),
        weight_type: "bytes",
        stack: Sequence(move || events.iter().map(move |event| stack_of_site[life(event).site as usize])),
        memory_address: Sequence(move || events.iter().map(move |event| life(event).address)),
        thread_id: Sequence(move || events.iter().map(move |event| id(profile, lane_of(step(event).thread)))),
        length: events.len(),
    };
    Thread {
        name: if number == 0 { profile.program().to_owned() } else { format!("thread {number}") },
        is_main_thread: number == 0,
        paused_ranges: [],
        pid: profile.pid().to_string(),
        tid: id(profile, number).to_string(),
        process_name: profile.program().to_owned(),
        process_type: "default",
        process_startup_time: 0.0,
        process_shutdown_time: real(profile.duration) / MILLISECOND,
        register_time: from,
        unregister_time: to,
        show_markers_in_timeline: false,
        // Nobody sampled what the thread ran. Where it begins and ends is what its track shows.
        samples: json!({
            "length": 2,
            "stack": [null, null],
            "timeDeltas": [from, to - from],
            "weight": null,
            "weightType": "samples",
        }),
        markers: json!({
            "length": 0, "category": [], "data": [], "endTime": [], "name": [], "phase": [], "startTime": [],
        }),
        native_allocations: (!events.is_empty()).then_some(allocations),
    }
}

/// The kernel's name for a thread; where that is unknown, one that no other of the process has.
fn id(profile: &Profile, lane: usize) -> u64 {
    let known = profile.lanes.get(lane).map_or(0, |lane| lane.id);
    if known > 0 { known.into() } else { u64::from(profile.pid()) + lane as u64 }
}

/// The track of live memory: each sample says how much more or less it was.
fn memory(profile: &Profile) -> Value {
    let mut before = (0, 0, 0);
    let (mut deltas, mut counts, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for point in &profile.counters {
        deltas.push(real(point.time - before.0) / MILLISECOND);
        counts.push(i128::from(point.live) - i128::from(before.1));
        numbers.push(point.calls - before.2);
        before = (point.time, point.live, point.calls);
    }
    let counts: Vec<i64> = counts.into_iter().map(|count| i64::try_from(count).unwrap_or(i64::MAX)).collect();
    let row = |source: &str, unit: &str, label: &str| json!({ "type": "value", "source": source, "format": { "unit": unit }, "label": label });
    json!({
        "name": "malloc",
        "category": "Memory",
        "description": "bytes asked for and not given back",
        "pid": profile.pid().to_string(),
        "mainThreadIndex": 0,
        "samples": { "length": deltas.len(), "timeDeltas": deltas, "count": counts, "number": numbers },
        "display": {
            "graphType": "line-accumulated",
            "unit": "bytes",
            "color": "orange",
            "markerSchemaLocation": null,
            "sortWeight": 20,
            "label": "Live memory",
            "tooltipRows": [
                row("accumulated", "bytes", "live at this time"),
                row("count-range", "bytes", "range in the graph"),
                row("sample-number", "number", "calls of malloc since the previous sample"),
            ],
        },
    })
}
