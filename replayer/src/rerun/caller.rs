//! One call of a thread to a real malloc, by the clock, and what the program writes then.

use super::act::Doing;
use super::times::Clocks;
use super::worker::Malloc;
use crate::trial::Touch;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of a page, of which one is written.
const PAGE: u64 = 4096;

/// What is asked of malloc, but for where its memory is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) doing: Doing,
    /// The alignment's logarithm.
    pub(super) alignment: u8,
    /// Bytes.
    pub(super) size: u64,
}

/// What came of some calls.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) clocks: Clocks,
    pub(super) calls: u64,
    pub(super) refused: u64,
    /// The threads that made them.
    pub(super) threads: u32,
}

impl Made {
    /// Another thread's calls are counted with these.
    pub(super) fn absorb(&mut self, other: &Made) {
        self.clocks.absorb(&other.clocks);
        self.calls += other.calls;
        self.refused += other.refused;
        self.threads += other.threads;
    }
}

/// Who makes calls.
pub(super) struct Caller<M> {
    malloc: Arc<M>,
    touch: Touch,
    pub(super) made: Made,
}

impl<M: Malloc> Caller<M> {
    /// A thread that has called nothing yet.
    pub(super) fn new(malloc: Arc<M>, touch: Touch) -> Caller<M> {
        let made = Made { clocks: Clocks::new(), calls: 0, refused: 0, threads: 1 };
        Caller { malloc, touch, made }
    }

    /// Makes a call that gives back or changes `old`, if there is such; what the program has then. What is not there
    /// cannot be given back: then no call is made.
    pub(super) fn make(&mut self, asked: Asked, old: Option<M::Block>) -> Option<M::Block> {
        let malloc = &self.malloc;
        let size = asked.size;
        let written = old.as_ref().map_or(0, M::size);
        let began;
        let made = match (asked.doing, old) {
            (Doing::Exit, _) | (Doing::Free, None) => return None,
            (Doing::Trim, _) => {
                malloc.trim(size);
                return None;
            }
            (Doing::Free, Some(block)) => {
                began = Instant::now();
                malloc.free(block);
                self.note(asked.doing, began);
                return None;
            }
            (Doing::Reallocate, Some(block)) => {
                began = Instant::now();
                malloc.reallocate(block, size).map_err(Some)
            }
            (Doing::Allocate | Doing::Reallocate, _) => {
                began = Instant::now();
                malloc.allocate(size).ok_or(None)
            }
            (Doing::AllocateZeroed, _) => {
                began = Instant::now();
                malloc.allocate_zeroed(size).ok_or(None)
            }
            (Doing::AllocateAligned, _) => {
                began = Instant::now();
                malloc.allocate_aligned(1 << asked.alignment, size).ok_or(None)
            }
        };
        self.note(asked.doing, began);
        match made {
            Ok(mut block) => {
                touch::<M>(&mut block, self.touch, written);
                Some(block)
            }
            Err(as_it_was) => {
                self.made.refused += 1;
                as_it_was
            }
        }
    }

    fn note(&mut self, doing: Doing, began: Instant) {
        self.made.clocks.note(doing, began);
        self.made.calls += 1;
    }
}

/// The program writes into its new memory, of which it had so many bytes before.
fn touch<M: Malloc>(block: &mut M::Block, touch: Touch, written: u64) {
    let size = M::size(block);
    let step = match touch {
        Touch::None => return,
        Touch::First if written == 0 => return M::write(block, 0),
        Touch::First => return,
        Touch::Pages => PAGE,
        Touch::All => 1,
    };
    let mut at = written;
    while at < size {
        M::write(block, at);
        at += step;
    }
    if size > written {
        // However it lies in its pages, the last has been written to.
        M::write(block, size - 1);
    }
}
