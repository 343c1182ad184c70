//! Moments that are kept from the whole way, at even distances, so that going far back does not begin anew either.
//!
//! They may take so many bytes together. When there are too many, every other one goes and those to come are twice as far
//! apart: the longest way back is in proportion to the trace, and to the heap, but not to how long one has been on the way.
//!
//! Of what memory holds that alone is kept which malloc reads: heads of chunks and the links of those that are free. What the
//! program has, and what former chunks left behind in larger ones, is forgotten before.

use super::Moment;
use super::births::{Birth, Births};
use super::ear::Ear;
use crate::engine::{Engine, Held};
use malloscope_allocator::address::Address;
use malloscope_allocator::bins::Bin;
use malloscope_allocator::memory::packed::Packed;
use malloscope_allocator::memory::simulated::{PackedWords, Simulated};
use malloscope_traces::Stack;

/// What all of them take together.
const MOST_BYTES: u64 = 32 << 20;
/// Records between two as long as there is room: a fifth of a second of replaying, or less.
const LEAST_SPACING: u64 = 1 << 18;
/// What malloc reads of a chunk: both sizes of one in use, the link and the key of one that was in a cache, and what sorts
/// a free one into its list.
const READ: (u64, u64, u64) = (16, 32, 48);

/// A moment that takes little room.
#[derive(Debug)]
pub(super) struct Keyframe {
    /// It has no words, no slots and no births.
    moment: Moment,
    words: PackedWords,
    slots: Slots,
    /// The number of the tape's next entry.
    turn: u64,
}

impl Keyframe {
    /// How things stand now. Nothing is changed of that but what nobody reads.
    fn of(now: &mut Moment, turn: u64) -> Keyframe {
        forget(&mut now.engine);
        let words = now.engine.heap_mut().memory_mut().take_words();
        let (slots, births) = (now.engine.take_slots(), std::mem::take(&mut now.births));
        let moment = now.clone();
        let keyframe =
            Keyframe { moment, words: words.pack(), slots: Slots::of(&slots, &births, now.made), turn };
        now.engine.heap_mut().memory_mut().put_words(words);
        now.engine.put_slots(slots);
        now.births = births;
        keyframe
    }

    /// About how many bytes it takes.
    fn bytes(&self) -> u64 {
        self.words.bytes() + self.slots.packed.bytes()
    }

    /// How things stood then.
    pub(super) fn unpacked(&self) -> Moment {
        let mut moment = self.moment.clone();
        let (slots, births) = self.slots.unpack(moment.made);
        moment.engine.heap_mut().memory_mut().put_words(self.words.unpack());
        moment.engine.put_slots(slots);
        moment.births = births;
        moment
    }
}

/// What the trace's slots stand for, and how that began, of those that stand for anything.
#[derive(Debug)]
struct Slots {
    packed: Packed,
    /// How many there are of both.
    lengths: (usize, usize),
}

impl Slots {
    fn of(slots: &[Held], births: &Births, made: u64) -> Slots {
        let mut packed = Packed::default();
        for (number, held) in slots.iter().enumerate() {
            let birth = births.all().get(number).copied().unwrap_or_default();
            let since = made.wrapping_sub(birth.record);
            let all = [held.payload.0, held.request, since, birth.thread.into(), birth.stack.0.into()];
            all.into_iter().for_each(|word| packed.put(if held.payload.is_null() { 0 } else { word }));
        }
        packed.finish();
        Slots { packed, lengths: (slots.len(), births.all().len()) }
    }

    fn unpack(&self, made: u64) -> (Vec<Held>, Births) {
        let mut words = self.packed.words();
        let mut births = vec![Birth::default(); self.lengths.1];
        let mut one = |number| {
            let (payload, request) = (Address(words.take()), words.take());
            let (since, thread, stack) = (words.take(), words.take(), words.take());
            let narrow = |word| u32::try_from(word).unwrap_or_default();
            if let (false, Some(birth)) = (payload.is_null(), births.get_mut(number)) {
                let record = made.wrapping_sub(since);
                *birth = Birth { record, thread: narrow(thread), stack: Stack(narrow(stack)) };
            }
            Held { payload, request }
        };
        let slots = (0..self.lengths.0).map(&mut one).collect();
        (slots, Births::from(births))
    }
}

/// Forgets what lies in chunks that malloc does not read.
fn forget(engine: &mut Engine<Simulated, Ear>) {
    let heap = engine.heap();
    let words = heap.memory();
    let mut all = Vec::new();
    let payload = READ.1 - READ.0;
    for (_, held) in engine.all_held() {
        all.push((held.payload + payload, held.request.saturating_sub(payload)));
    }
    heap.each_waiting(|one| {
        let read = if matches!(one.bin, Bin::Tcache(_) | Bin::Fast(_)) { READ.1 } else { READ.2 };
        all.push((one.chunk.0 + read, one.chunk.size(words).bytes().saturating_sub(read)));
    });
    for top in heap.arenas().iter().filter(|arena| arena.has_memory()).map(|arena| arena.top()) {
        all.push((top.0 + READ.0, top.size(words).bytes().saturating_sub(READ.0)));
    }
    let memory = engine.heap_mut().memory_mut();
    all.into_iter().for_each(|(at, length)| memory.forget(at, length));
}

/// The moments that are kept, the oldest first.
#[derive(Debug)]
pub(super) struct Keyframes {
    kept: Vec<Keyframe>,
    pub(super) most: u64,
    spacing: u64,
    /// Where the next is due.
    due: u64,
}

impl Default for Keyframes {
    fn default() -> Keyframes {
        Keyframes::every(LEAST_SPACING)
    }
}

impl Keyframes {
    /// So far apart, as long as there is room.
    pub(super) fn every(spacing: u64) -> Keyframes {
        Keyframes { kept: Vec::new(), most: MOST_BYTES, spacing, due: spacing }
    }

    /// Whether one is to be kept now.
    #[inline]
    pub(super) fn is_due(&self, now: &Moment) -> bool {
        now.made >= self.due
    }

    /// Keeps how things stand now, if there is room for it.
    pub(super) fn keep(&mut self, now: &mut Moment, turn: u64) {
        if now.made.is_multiple_of(self.spacing) {
            self.kept.push(Keyframe::of(now, turn));
            while self.bytes() > self.most && !self.kept.is_empty() {
                self.spacing *= 2;
                // Every other one stays: the second, the fourth…
                let spacing = self.spacing;
                self.kept.retain(|kept| kept.moment.made.is_multiple_of(spacing));
            }
        }
        self.due = (now.made / self.spacing + 1) * self.spacing;
    }

    /// The latest after so many records and no later than others, and the tape's next entry then.
    pub(super) fn latest_within(&self, after: Option<u64>, made: u64) -> Option<(&Keyframe, u64)> {
        let place = self.kept.partition_point(|kept| kept.moment.made <= made);
        let kept = self.kept.get(place.checked_sub(1)?)?;
        after.is_none_or(|after| kept.moment.made > after).then_some((kept, kept.turn))
    }

    /// What all of them take.
    fn bytes(&self) -> u64 {
        self.kept.iter().map(Keyframe::bytes).sum()
    }

    /// How many there are, and their bytes.
    #[cfg(test)]
    pub(super) fn taken(&self) -> (usize, u64) {
        (self.kept.len(), self.bytes())
    }
}
