//! What a writer should make of records, by plain maps; and records of every kind to try it on.

#![allow(dead_code, reason = "every test uses a part of it")]

use std::collections::HashMap;
use std::io::Cursor;

use malloscope_traces::header::{Clock, ClockSource, Heap};
use malloscope_traces::*;
use proptest::prelude::*;

/// What is done to a writer.
#[derive(Clone, Debug)]
pub enum Step {
    Record(Record),
    /// A `realloc` of the allocation at this address begins.
    Claim(u64),
    /// The oldest `realloc` that has begun ends.
    Claimed {
        request: u64,
        to: Placed,
    },
    Flush,
}

/// A trace, and the records that should be read from it.
pub fn written(header: &Header, steps: &[Step]) -> (Vec<u8>, Vec<Record>) {
    let mut writer = Writer::new(Vec::new(), header).unwrap();
    let mut plain = Plain::new(header);
    let mut claims = Vec::new();
    let mut expected = Vec::new();
    for step in steps {
        match *step {
            Step::Record(record) => {
                writer.record(&record).unwrap();
                expected.push(plain.record(record));
            }
            Step::Claim(address) => {
                let slot = writer.claim(address);
                assert_eq!(slot, plain.claim(address));
                claims.push(Pointer { address, slot });
            }
            Step::Claimed { request, to } if !claims.is_empty() => {
                let call = Call::Realloc { old: claims.remove(0), request, to };
                let record = Record { time: Nanos(0), thread: Thread(0), program_break: 0, call };
                writer.record(&record).unwrap();
                expected.push(plain.record(record));
            }
            Step::Claimed { .. } => {}
            Step::Flush => writer.flush().unwrap(),
        }
    }
    (writer.finish(&Ending::default()).unwrap(), expected)
}

/// A record with its number.
pub type Numbered = (u64, Record);

/// All records that can be read, and what was said of the others.
pub fn read(trace: &[u8]) -> Result<(Vec<Numbered>, Vec<Damage>), Error> {
    let mut reader = Reader::open(Cursor::new(trace))?;
    let (mut batch, mut records, mut damages) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match reader.next_batch(&mut batch) {
            Ok(None) => return Ok((records, damages)),
            Ok(Some(first)) => records.extend((first..).zip(batch.iter().copied())),
            Err(Error::Damaged { damage, .. }) => damages.push(damage),
            Err(error) => return Err(error),
        }
    }
}

/// Whether a record is what it should be, but for addresses that are unknown.
pub fn same(read: &Record, expected: &Record) -> bool {
    let mut expected = *expected;
    let forget = |read: Pointer, expected: &mut Pointer| {
        if read.address == Pointer::UNKNOWN && expected.slot != Slot::NONE {
            expected.address = Pointer::UNKNOWN;
        }
    };
    match (&read.call, &mut expected.call) {
        (Call::Free { pointer: read }, Call::Free { pointer: expected })
        | (Call::UsableSize { pointer: read }, Call::UsableSize { pointer: expected }) => {
            forget(*read, expected)
        }
        (Call::Realloc { old: read, to, .. }, Call::Realloc { old: expected, to: expected_to, .. })
        | (
            Call::Reallocarray { old: read, to, .. },
            Call::Reallocarray { old: expected, to: expected_to, .. },
        ) => {
            forget(*read, expected);
            forget(to.pointer, &mut expected_to.pointer);
        }
        _ => {}
    }
    *read == expected
}

/// A header with or without placements, and with times in units of so many nanoseconds.
pub fn header(placements: bool, resolution: u64) -> Header {
    Header {
        heap: Heap { initial_break: 0x1000, placements },
        clock: Clock { source: ClockSource::Monotonic, began: 1, resolution },
        ..Header::default()
    }
}

/// Who lives where, without anything clever.
pub struct Plain {
    placements: bool,
    resolution: u64,
    live: HashMap<u64, Slot>,
    /// What was claimed, and where it lived; [`Slot::NONE`] if nothing was known to.
    claims: Vec<(u64, Slot)>,
    vacant: Vec<Slot>,
    made: u32,
}

impl Plain {
    pub fn new(header: &Header) -> Plain {
        Plain {
            placements: header.heap.placements,
            resolution: header.clock.resolution.max(1),
            live: HashMap::new(),
            claims: Vec::new(),
            vacant: Vec::new(),
            made: 0,
        }
    }

    pub fn claim(&mut self, address: u64) -> Slot {
        let slot = self.live.remove(&address).unwrap_or(Slot::NONE);
        if address != 0 {
            self.claims.push((address, slot));
        }
        slot
    }

    /// The record as it should be read.
    pub fn record(&mut self, mut record: Record) -> Record {
        record.time.0 -= record.time.0 % self.resolution;
        match &mut record.call {
            Call::Malloc { to, .. }
            | Call::Calloc { to, .. }
            | Call::Memalign { to, .. }
            | Call::AlignedAlloc { to, .. }
            | Call::PosixMemalign { to, .. }
            | Call::Valloc { to, .. }
            | Call::Pvalloc { to, .. } => self.place(to),
            Call::Realloc { old, request, to } => self.realloc(old, *request, to),
            Call::Reallocarray { old, count, size, to } => self.realloc(old, count.saturating_mul(*size), to),
            Call::Free { pointer } => {
                self.lift(pointer);
                if pointer.slot != Slot::NONE {
                    self.vacant.push(pointer.slot);
                }
            }
            Call::UsableSize { pointer } => {
                pointer.slot = self.live.get(&pointer.address).copied().unwrap_or(Slot::NONE);
            }
            _ => {}
        }
        if self.placements { record } else { without_placements(record) }
    }

    fn place(&mut self, to: &mut Placed) {
        if to.pointer.is_null() {
            *to = Placed { pointer: Pointer::NULL, head: 0 };
            return;
        }
        to.pointer.slot = self.vacant.pop().unwrap_or_else(|| {
            self.made += 1;
            Slot(self.made - 1)
        });
        self.live.insert(to.pointer.address, to.pointer.slot);
    }

    fn realloc(&mut self, old: &mut Pointer, request: u64, to: &mut Placed) {
        let claim =
            |claim: &(u64, Slot)| claim.1 == old.slot && (claim.1 != Slot::NONE || claim.0 == old.address);
        match self.claims.iter().position(claim) {
            Some(index) => {
                let (address, slot) = self.claims.swap_remove(index);
                *old = Pointer { address, slot };
            }
            None => self.lift(old),
        }
        if old.slot == Slot::NONE {
            self.place(to);
        } else if !to.pointer.is_null() {
            to.pointer.slot = old.slot;
            self.live.insert(to.pointer.address, old.slot);
        } else {
            *to = Placed { pointer: Pointer::NULL, head: 0 };
            if request == 0 {
                self.vacant.push(old.slot);
            } else {
                self.live.insert(old.address, old.slot);
            }
        }
    }

    fn lift(&mut self, pointer: &mut Pointer) {
        if pointer.is_null() {
            *pointer = Pointer::NULL;
        } else {
            pointer.slot = self.live.remove(&pointer.address).unwrap_or(Slot::NONE);
        }
    }
}

fn without_placements(mut record: Record) -> Record {
    let named = |pointer: &mut Pointer| {
        if pointer.slot != Slot::NONE {
            pointer.address = u64::from(pointer.slot.0) + 1;
        }
    };
    record.program_break = 0;
    match &mut record.call {
        Call::Malloc { to, .. }
        | Call::Calloc { to, .. }
        | Call::Memalign { to, .. }
        | Call::AlignedAlloc { to, .. }
        | Call::PosixMemalign { to, .. }
        | Call::Valloc { to, .. }
        | Call::Pvalloc { to, .. } => {
            named(&mut to.pointer);
            to.head = 0;
        }
        Call::Realloc { old, to, .. } | Call::Reallocarray { old, to, .. } => {
            named(old);
            named(&mut to.pointer);
            to.head = 0;
        }
        Call::Free { pointer } | Call::UsableSize { pointer } => named(pointer),
        _ => {}
    }
    record
}

/// Any steps at all: most of them nonsense, over so few addresses that they meet often.
pub fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => record().prop_map(Step::Record),
        2 => address().prop_map(Step::Claim),
        2 => (number(), placed()).prop_map(|(request, to)| Step::Claimed { request, to }),
        1 => Just(Step::Flush),
    ];
    prop::collection::vec(step, 0..most)
}

fn record() -> impl Strategy<Value = Record> {
    let thread = prop_oneof![20 => 0..3u32, 1 => any::<u32>()];
    let program_break = prop_oneof![20 => Just(0x2000), 1 => any::<u64>()];
    (number(), thread, program_break, call()).prop_map(|(time, thread, program_break, call)| Record {
        time: Nanos(time),
        thread: Thread(thread),
        program_break,
        call,
    })
}

fn call() -> impl Strategy<Value = Call> {
    let number = number;
    prop_oneof![
        10 => (number(), placed()).prop_map(|(request, to)| Call::Malloc { request, to }),
        10 => address().prop_map(|address| Call::Free { pointer: Pointer::seen(address) }),
        3 => (number(), number(), placed()).prop_map(|(count, size, to)| Call::Calloc { count, size, to }),
        3 => (address(), number(), placed())
            .prop_map(|(old, request, to)| Call::Realloc { old: Pointer::seen(old), request, to }),
        1 => (address(), number(), number(), placed())
            .prop_map(|(old, count, size, to)| Call::Reallocarray { old: Pointer::seen(old), count, size, to }),
        1 => (number(), number(), placed()).prop_map(|(alignment, request, to)| Call::Memalign { alignment, request, to }),
        1 => (number(), number(), placed())
            .prop_map(|(alignment, request, to)| Call::AlignedAlloc { alignment, request, to }),
        1 => (number(), number(), placed())
            .prop_map(|(alignment, request, to)| Call::PosixMemalign { alignment, request, to }),
        1 => (number(), placed()).prop_map(|(request, to)| Call::Valloc { request, to }),
        1 => (number(), placed()).prop_map(|(request, to)| Call::Pvalloc { request, to }),
        1 => (number(), any::<i32>()).prop_map(|(pad, returned)| Call::Trim { pad, returned }),
        1 => any::<[i32; 3]>()
            .prop_map(|[parameter, value, returned]| Call::Mallopt { parameter, value, returned }),
        1 => address().prop_map(|address| Call::UsableSize { pointer: Pointer::seen(address) }),
        1 => any::<i64>().prop_map(|by| Call::MoveBreak { by }),
        1 => any::<u32>().prop_map(|id| Call::ThreadStart { id }),
        1 => Just(Call::ThreadExit),
        1 => any::<u32>().prop_map(|thread| Call::Spawn { thread: Thread(thread) }),
        1 => any::<u32>().prop_map(|thread| Call::Join { thread: Thread(thread) }),
        1 => any::<u32>().prop_map(|child| Call::Fork { child }),
        1 => Just(Call::Watched),
        1 => any::<[u32; 2]>()
            .prop_map(|[waits, preemptions]| Call::Interrupted { waits, preemptions }),
    ]
}

fn placed() -> impl Strategy<Value = Placed> {
    let head = prop_oneof![Just(0x21), Just(0x31), Just(0x25), Just(0), any::<u64>()];
    (address(), head).prop_map(|(address, head)| match address {
        0 => Placed { pointer: Pointer::NULL, head: 0 },
        _ => Placed { pointer: Pointer::seen(address), head },
    })
}

/// No address of an allocation is the one that stands for an unknown one.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        40 => (0..24u64).prop_map(|place| place * 32),
        5 => (0..24u64).prop_map(|place| place * 8),
        1 => 0..u64::MAX,
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0..64u64, 5 => 0..20_000u64, 1 => any::<u64>()]
}
