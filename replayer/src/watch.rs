//! What is listened to while a heap is replayed: counters, the moving thresholds, the kernel's calls.

use crate::detail::Detail;
use crate::flows::Flows;
use crate::metrics::searches::Searching;
use malloscope_allocator::address::Address;
use malloscope_allocator::observe::counters::Counters;
use malloscope_allocator::observe::{Event, KernelCall, Observer, Source};
use serde::{Deserialize, Serialize};

/// The most moves of the threshold that are remembered, from the first on.
const REMEMBERED_MOVES: usize = 256;

/// The mmap threshold moved by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThresholdMove {
    /// The record whose call freed a mapped chunk.
    pub record: u64,
    /// The mmap threshold since; the trim threshold is twice that. Bytes.
    pub to: u64,
}

/// Listens to a heap.
#[derive(Debug, Default)]
pub struct Watch {
    /// The record being replayed.
    pub record: u64,
    /// Everything counted.
    pub counters: Counters,
    /// Which sizes were served and freed where, if that is counted.
    pub flows: Option<Flows>,
    /// How far requests search.
    pub searches: Searching,
    /// How the mmap threshold moved.
    pub threshold_moves: Vec<ThresholdMove>,
    /// Arenas that were made besides the main one.
    pub arenas_made: u64,
    /// Memory that went back to the kernel since this was last taken: where, and how many bytes.
    pub given_back: Vec<(Address, u64)>,
    /// Whether the kernel was called since this was last cleared.
    pub kernel_called: bool,
    /// Where the latest request was served from, until somebody takes it.
    pub served: Option<Source>,
    /// The kernel's calls since they were last taken, if they are wanted.
    pub calls: Option<Vec<KernelLine>>,
}

/// A call to the kernel, or somebody else's move of the break, by the record that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelLine {
    /// The record.
    pub record: u64,
    /// The call.
    pub call: KernelCall,
}

impl Watch {
    /// What is to be heard, if so much is measured.
    pub(crate) fn of(detail: Detail) -> Watch {
        Watch {
            flows: (detail >= Detail::Weighed).then(Flows::default),
            searches: Searching::of(detail),
            ..Watch::default()
        }
    }

    /// What was counted so far does not count.
    pub(crate) fn restart(&mut self) {
        self.record = 0;
        self.counters = Counters::default();
        self.flows = self.flows.take().map(|_| Flows::default());
        self.searches.clear();
        self.threshold_moves = Vec::new();
        self.arenas_made = 0;
        self.given_back.clear();
        self.kernel_called = false;
        self.served = None;
    }

    #[cold]
    fn note_kernel(&mut self, call: KernelCall) {
        self.kernel_called = true;
        self.given_back.extend(given_back(call));
        if let Some(calls) = &mut self.calls {
            calls.push(KernelLine { record: self.record, call });
        }
    }
}

/// The memory that goes back to the kernel with a call, if any does.
fn given_back(call: KernelCall) -> Option<(Address, u64)> {
    match call {
        KernelCall::MoveBreak { by, from: Some(from) } if by < 0 => {
            Some((from - by.unsigned_abs(), by.unsigned_abs()))
        }
        KernelCall::MapOver { at, length }
        | KernelCall::Unmap { at, length }
        | KernelCall::Discard { at, length } => Some((at, length)),
        _ => None,
    }
}

impl Observer for Watch {
    #[inline]
    fn event(&mut self, event: Event) {
        self.counters.event(event);
        if let Some(flows) = &mut self.flows {
            flows.event(&event);
        }
        match event {
            Event::Served { from, .. } => self.served = Some(from),
            Event::Kernel(call) => self.note_kernel(call),
            Event::ForeignBreak { by, from } => self.note_kernel(KernelCall::MoveBreak { by, from }),
            Event::ThresholdMoved { to } if self.threshold_moves.len() < REMEMBERED_MOVES => {
                self.threshold_moves.push(ThresholdMove { record: self.record, to });
            }
            Event::ArenaMade { .. } => self.arenas_made += 1,
            Event::LookedAt { bin, chunks } => self.searches.note(self.record, bin, chunks),
            _ => {}
        }
    }
}
