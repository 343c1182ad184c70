//! Our placements beside the recorded ones: how many are the same, and where they first part.
//!
//! What “the same” means is said in `places.rs`.

use crate::places::Places;
use malloscope_allocator::address::Address;
use malloscope_allocator::arena::LONGEST_SEGMENT;
use malloscope_allocator::chunk::{Chunk, FOREIGN, MAPPED, PREVIOUS_IN_USE};
use malloscope_allocator::memory::Memory;
use malloscope_allocator::observe::KernelCall;
use malloscope_traces::text;
use malloscope_traces::{Placed, Pointer, Record, Thread};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// How a placement differs from the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The chunk lies elsewhere.
    Placement,
    /// It lies in the same place, but its size or flags differ.
    Head,
    /// The chunk lies where the recorded one did, but only because it was put there.
    Claim,
    /// The program break is elsewhere after the call.
    ProgramBreak,
    /// One got memory and the other did not.
    Refusal,
}

/// One call whose outcome differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// The number of its record.
    pub record: u64,
    /// The thread that made it.
    pub thread: u32,
    /// The call, as text.
    pub call: String,
    /// What differs.
    pub difference: Difference,
    /// What was recorded, as text.
    pub recorded: String,
    /// What we got, as text.
    pub replayed: String,
    /// Why, as far as can be told from the trace.
    pub why: String,
}

/// The share of a run's outcomes that equal the recorded ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fidelity {
    /// Placements compared.
    pub placements: u64,
    /// Of those, the ones that are the same.
    pub same_placements: u64,
    /// Of those that are not counted as the same, the ones whose chunks were put where they were recorded: no order
    /// of the calls explained why they lay there.
    #[serde(default)]
    pub claimed: u64,
    /// Of the placements that are the same, those whose size or flags are not.
    pub other_heads: u64,
    /// Calls after which the break was compared.
    pub breaks: u64,
    /// Of those, the ones after which it was the same.
    pub same_breaks: u64,
    /// The first calls whose outcome differs.
    pub first_mismatches: Vec<Mismatch>,
}

impl Fidelity {
    /// The share of placements that are the same, in percent, to four places; never rounded up, so
    /// that 100 means all.
    pub fn percent_rounded_down(&self) -> f64 {
        let (same, all) = (u128::from(self.same_placements), u128::from(self.placements));
        let millionths = (same * 1_000_000).checked_div(all).unwrap_or(1_000_000);
        millionths as f64 / 10_000.0
    }

    /// Whether everything compared is the same.
    pub fn is_exact(&self) -> bool {
        self.same_placements == self.placements && self.other_heads == 0 && self.same_breaks == self.breaks
    }
}

/// How many mismatches are kept.
const KEPT: usize = 16;
/// Calls of another thread this close in time may have happened in the other order, in nanoseconds.
const CLOSE: u64 = 10_000;

/// Compares while a trace is replayed.
#[derive(Debug)]
pub(crate) struct Comparison {
    recorded_break: u64,
    initial_break: Address,
    places: Places,
    result: Fidelity,
    /// The thread of the latest record, and its time.
    current: Option<(Thread, u64)>,
    /// The times of the latest records of the threads before it, to tell contention by.
    latest: HashMap<Thread, u64>,
}

impl Comparison {
    /// Nothing has been compared yet.
    pub(crate) fn new(recorded_break: u64, initial_break: Address) -> Comparison {
        Comparison {
            recorded_break,
            initial_break,
            places: Places::new(recorded_break, initial_break),
            result: Fidelity::default(),
            current: None,
            latest: HashMap::new(),
        }
    }

    /// Follows what is mapped in the replay.
    pub(crate) fn note(&mut self, call: KernelCall) {
        self.places.note(call);
    }

    /// Compares the outcome of one call: ours is a payload, null where there was no memory; it may lie there only
    /// because it was put there.
    #[inline]
    pub(crate) fn compare<M: Memory>(
        &mut self,
        memory: &M,
        program_break: Address,
        (index, record): (u64, &Record),
        ours: Option<Address>,
        is_claimed: bool,
    ) {
        if let (Some(theirs), Some(ours)) = (record.call.placed(), ours) {
            self.compare_placement(memory, program_break, (index, record), theirs, ours, is_claimed);
        }
        if record.program_break != 0 {
            self.compare_break(program_break, index, record);
        }
        let current = self.current.replace((record.thread, record.time.0));
        if let Some((thread, time)) = current.filter(|&(thread, _)| thread != record.thread) {
            self.latest.insert(thread, time);
        }
    }

    #[inline]
    fn compare_placement<M: Memory>(
        &mut self,
        memory: &M,
        program_break: Address,
        (index, record): (u64, &Record),
        theirs: Placed,
        ours: Address,
        is_claimed: bool,
    ) {
        let address = theirs.pointer.address;
        if address == Pointer::UNKNOWN {
            return;
        }
        self.result.placements += 1;
        if ours.is_null() || address == 0 {
            if ours.is_null() == (address == 0) {
                self.result.same_placements += 1;
            } else {
                self.differ(index, record, Difference::Refusal, described(address), described(ours.0));
            }
            return;
        }
        let head = Chunk::of(memory, ours).head(memory);
        if !self.places.are_same(program_break, theirs, ours, head) {
            let recorded = self.describe(address, theirs.head, self.recorded_break);
            let replayed = self.describe(ours.0, head.0, self.initial_break.0);
            self.differ(index, record, Difference::Placement, recorded, replayed);
            return;
        }
        if is_claimed {
            self.result.claimed += 1;
            let there = self.describe(address, theirs.head, self.recorded_break);
            self.differ(
                index,
                record,
                Difference::Claim,
                there.clone(),
                format!("{there}, where it was put"),
            );
            return;
        }
        self.result.same_placements += 1;
        // Other threads free the chunk below after the call and before its head was read.
        let ignored = if self.latest.is_empty() { 0 } else { PREVIOUS_IN_USE };
        if theirs.head != 0 && (theirs.head ^ head.0) & !ignored != 0 {
            self.result.other_heads += 1;
            let (recorded, replayed) = (format!("{:#x}", theirs.head), format!("{:#x}", head.0));
            self.differ(index, record, Difference::Head, recorded, replayed);
        }
    }

    #[inline]
    fn compare_break(&mut self, program_break: Address, index: u64, record: &Record) {
        self.result.breaks += 1;
        let recorded = record.program_break.wrapping_sub(self.recorded_break);
        let replayed = program_break - self.initial_break;
        if recorded == replayed {
            self.result.same_breaks += 1;
        } else {
            let (recorded, replayed) = (format!("+{recorded:#x}"), format!("+{replayed:#x}"));
            self.differ(index, record, Difference::ProgramBreak, recorded, replayed);
        }
    }

    #[cold]
    fn differ(
        &mut self,
        index: u64,
        record: &Record,
        difference: Difference,
        recorded: String,
        replayed: String,
    ) {
        if self.result.first_mismatches.len() >= KEPT {
            return;
        }
        self.result.first_mismatches.push(Mismatch {
            record: index,
            thread: record.thread.0,
            call: text::Line { number: index, record, placements: true }.to_string(),
            difference,
            recorded,
            replayed,
            why: self.why(record),
        });
    }

    /// What the trace can say about the cause.
    fn why(&self, record: &Record) -> String {
        if !self.result.first_mismatches.is_empty() {
            return "follows from an earlier one".to_owned();
        }
        let current = self.current.into_iter();
        let others = self.latest.iter().map(|(&thread, &time)| (thread, time)).chain(current);
        let close: HashSet<Thread> = others
            .filter(|&(_, time)| record.time.0.saturating_sub(time) < CLOSE)
            .map(|(thread, _)| thread)
            .filter(|&thread| thread != record.thread)
            .collect();
        match close.len() {
            0 => "no other thread was near: the trace lacks something, or the twin is wrong".to_owned(),
            count => {
                format!("{count} other threads called within 10 µs: the order of the calls is not certain")
            }
        }
    }

    fn describe(&self, address: u64, head: u64, start: u64) -> String {
        if head & MAPPED != 0 {
            format!("mapped, {:#x} into a page", address % 4096)
        } else if head & FOREIGN != 0 {
            format!("a segment +{:#x}", address % LONGEST_SEGMENT)
        } else {
            format!("the break +{:#x}", address.wrapping_sub(start))
        }
    }

    /// What has been compared so far does not count.
    pub(crate) fn restart(&mut self) {
        self.result = Fidelity::default();
    }

    /// The result so far.
    pub(crate) fn result(&self) -> Fidelity {
        self.result.clone()
    }
}

fn described(address: u64) -> String {
    if address == 0 { "no memory".to_owned() } else { "memory".to_owned() }
}
