//! A scene, played on the twin.

use crate::{CRASHES, LIVES, NEVER_ENDS, PROGRAM, Scene, settled};
use malloscope_allocator::address::{Address, Request};
use malloscope_allocator::corruption::{Corruption, Refusal};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, Simulated};
use malloscope_allocator::memory::{Access, Kernel, Mapping, Processors, Words};
use malloscope_allocator::release::Release;
use malloscope_allocator::thread::ThreadId;
use malloscope_allocator::tunables::{Ignored, Tunable, Tunables};

/// What malloc says, or that it says nothing.
pub fn play(scene: &Scene, release: Release) -> String {
    let mut tunables = Tunables::default();
    for (name, value) in &scene.tunables {
        // Not every release has every tunable.
        let _: Result<(), Ignored> =
            tunables.set(&release, Tunable::named(name).unwrap(), value.parse().unwrap());
    }
    let machine = Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 });
    let heap = Heap::new(machine, (), release, &tunables);
    let mut stage = Stage { heap, slots: [Address::NULL; 64], called_with: Address::NULL };
    for line in &scene.lines {
        match stage.make(line) {
            Ok(()) => {}
            Err(Corruption::WildArena) => return CRASHES.to_owned(),
            Err(Corruption::CacheGoesRound) => return NEVER_ENDS.to_owned(),
            Err(corruption) => {
                let words = stage.heap.last_words(corruption, stage.called_with, PROGRAM);
                return settled(&words.text, DEFAULT_BREAK.0);
            }
        }
    }
    LIVES.to_owned()
}

struct Stage {
    heap: Heap<Simulated>,
    slots: [Address; 64],
    /// The pointer of the latest call.
    called_with: Address,
}

impl Stage {
    fn make(&mut self, line: &str) -> Result<(), Corruption> {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        let numbers: Vec<u64> = words.map(number).collect();
        let at = |index: usize| numbers.get(index).copied().unwrap_or(0);
        let slot = usize::try_from(at(0)).unwrap_or(0) % 64;
        let place = self.slots[slot] + at(1);
        let other = |slots: &[Address; 64]| slots[usize::try_from(at(2)).unwrap_or(0) % 64] + at(3);
        self.called_with = self.slots[slot];
        match name {
            "malloc" => {
                let payload = self.heap.malloc(ThreadId::MAIN, Request(at(1)));
                self.slots[slot] = given(payload)?;
            }
            "realloc" => {
                let payload = self.heap.realloc(ThreadId::MAIN, self.slots[slot], Request(at(1)));
                self.slots[slot] = given(payload)?;
            }
            "free" => self.heap.free(ThreadId::MAIN, self.slots[slot])?,
            "point" => self.slots[slot] = self.slots[usize::try_from(at(1)).unwrap()] + at(2),
            "page" => {
                let mapping = Mapping {
                    length: 65536,
                    access: Access::ReadWrite,
                    hint: None,
                    no_reserve: false,
                    huge_page: 0,
                };
                self.slots[slot] = self.heap.memory_mut().map(mapping).unwrap();
            }
            "store" => self.store(place, at(2)),
            "add" => self.store(place, self.heap.memory().load(place).wrapping_add(at(2))),
            "copy" => self.store(place, self.heap.memory().load(other(&self.slots))),
            "link" => self.store(place, other(&self.slots).0),
            "mangle" => {
                let mangles = self.heap.release().links_are_mangled;
                let key = if mangles { place.0 >> 12 } else { 0 };
                self.store(place, other(&self.slots).0 ^ key);
            }
            "mallinfo" => {
                self.heap.mallinfo()?;
            }
            "usable" => {
                self.heap.usable_size(self.slots[slot])?;
            }
            "wall" => self.heap.memory_mut().limit_break(DEFAULT_BREAK + at(0)),
            "sbrk" => {
                self.heap.move_foreign_break(i64::from_ne_bytes(at(0).to_ne_bytes()));
            }
            _ => panic!("{line} is not understood"),
        }
        Ok(())
    }

    fn store(&mut self, at: Address, word: u64) {
        self.heap.memory_mut().store(at, word);
    }
}

/// The payload, or null where there is no memory.
fn given(payload: Result<Address, Refusal>) -> Result<Address, Corruption> {
    match payload {
        Ok(payload) => Ok(payload),
        Err(Refusal::Corrupted(corruption)) => Err(corruption),
        Err(_) => Ok(Address::NULL),
    }
}

/// A number as C reads it: decimal or hexadecimal, below zero from the other end.
fn number(word: &str) -> u64 {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    let value = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    let value = value.unwrap();
    if sign { value.wrapping_neg() } else { value }
}
