//! What a record costs: nanoseconds to write and to read it, and bytes in each column.
//!
//! `cargo bench -p malloscope-traces -- FILE…` measures traces that were recorded; without a file,
//! three that are made up. Of five runs the best counts, since whatever else the machine does can
//! only slow one down.

#![allow(clippy::unwrap_used, reason = "a measurement that fails has no result to give")]

use std::fs;
use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use malloscope_traces::header::{Clock, ClockSource, Heap};
use malloscope_traces::*;

const RUNS: usize = 5;

/// How many records are written between two looks at the clock: few enough to stay near the processor.
const STRETCH: usize = 1024;

fn main() {
    let files = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect::<Vec<_>>();
    for file in &files {
        report(file, &fs::read(file).unwrap());
    }
    if files.is_empty() {
        report("malloc and free in a loop", &made_up(pairs()));
        report("a heap that grows and is torn down", &made_up(grown()));
        report("sizes and lifetimes at random", &made_up(random()));
    }
}

fn report(name: &str, trace: &[u8]) {
    let (write, read) = (0..RUNS)
        .map(|_| measure(trace))
        .fold((Duration::MAX, Duration::MAX), |best, run| (best.0.min(run.0), best.1.min(run.1)));
    let mut reader = Reader::open(Cursor::new(trace)).unwrap();
    let records = reader.records().count() as f64;
    println!("{name}: {records} records");
    println!("  write {:6.1} ns a record", write.as_nanos() as f64 / records);
    println!("  read  {:6.1} ns a record", read.as_nanos() as f64 / records);
    println!("  file  {:6.3} bytes a record", trace.len() as f64 / records);
    for (column, ColumnSize { stored, unpacked }) in reader.column_sizes() {
        let (stored, unpacked) = (stored as f64 / records, unpacked as f64 / records);
        println!("    {:9} {stored:6.3} of {unpacked:5.3}", column.to_string());
    }
}

/// How long it takes to write all records of a trace, and to read them.
fn measure(trace: &[u8]) -> (Duration, Duration) {
    let mut reader = Reader::open(Cursor::new(trace)).unwrap();
    let mut writer = Writer::new(Nowhere, reader.header()).unwrap();
    let (mut batch, mut near) = (Vec::new(), Vec::with_capacity(STRETCH));
    let (mut write, mut read) = (Duration::ZERO, Duration::ZERO);
    loop {
        let begin = Instant::now();
        let more = reader.next_batch(&mut batch).unwrap();
        read += begin.elapsed();
        if more.is_none() {
            break;
        }
        for stretch in batch.chunks(STRETCH) {
            near.clear();
            near.extend_from_slice(stretch);
            let begin = Instant::now();
            near.iter().for_each(|record| writer.record(record).unwrap());
            write += begin.elapsed();
        }
    }
    let begin = Instant::now();
    writer.finish(&Ending::default()).unwrap();
    (write + begin.elapsed(), read)
}

struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn made_up(calls: impl Iterator<Item = Call>) -> Vec<u8> {
    let header = Header {
        heap: Heap { initial_break: 0x5555_0000_0000, placements: true },
        clock: Clock { source: ClockSource::Tsc, began: 0, resolution: Clock::FINE_ENOUGH },
        ..Header::default()
    };
    let mut writer = Writer::new(Vec::new(), &header).unwrap();
    let mut dice = Dice(1);
    let mut time = 0;
    for call in calls {
        time += 20 + dice.below(80);
        let record = Record { time: Nanos(time), thread: Thread(0), program_break: 0x5555_8000_0000, call };
        writer.record(&record).unwrap();
    }
    writer.finish(&Ending::default()).unwrap()
}

const BASE: u64 = 0x5555_0000_0010;

fn malloc(request: u64, address: u64) -> Call {
    Call::Malloc { request, to: Placed { pointer: Pointer::seen(address), head: (request + 23) & !15 | 1 } }
}

fn free(address: u64) -> Call {
    Call::Free { pointer: Pointer::seen(address) }
}

fn pairs() -> impl Iterator<Item = Call> {
    (0..2_000_000u64).flat_map(|_| [malloc(100, BASE), free(BASE)])
}

fn grown() -> impl Iterator<Item = Call> {
    let address = |n: u64| BASE + n * 112;
    let grow = (0..1_000_000u64).map(move |n| malloc(100, address(n)));
    grow.chain((0..1_000_000).map(move |n| free(address(n))))
}

/// A thousand allocations at a time, each replaced when the dice say so.
fn random() -> impl Iterator<Item = Call> {
    let mut dice = Dice(2);
    let mut held = [false; 1024];
    (0..4_000_000u64).map(move |_| {
        let place = dice.below(1024);
        let address = BASE + place * 2048;
        let holds = &mut held[usize::try_from(place).unwrap()];
        *holds = !*holds;
        if *holds { malloc(1 + dice.below(2000), address) } else { free(address) }
    })
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
