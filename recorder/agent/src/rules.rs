//! The rules for code that has been met, by address: reading them from the module's tables takes a
//! microsecond, finding one here a few nanoseconds.
//!
//! A table for all threads that is only added to. An entry is taken by its key, holds no rule until one is
//! written, and is another's once the modules may have changed: see [`modules::generation`].

use core::sync::atomic::{AtomicU64, Ordering};

use crate::cfi::{self, EXACT, Rule};
use crate::modules;
use crate::threads::WIPED;

/// How many rules are kept, as a power of two.
const ENTRIES_LOG2: u32 = 16;

/// How far from where it should be a rule is looked for.
const REACH: usize = 8;

/// Bits of an address; above them a key says whether it is exact, and then the generation.
const ADDRESS_BITS: u32 = 48;
const EXACT_SHIFT: u32 = ADDRESS_BITS - EXACT.trailing_zeros();
const GENERATION_SHIFT: u32 = ADDRESS_BITS + 1;

/// The rules that are kept.
pub struct Rules {
    entries: [Entry; 1 << ENTRIES_LOG2],
}

/// The rule for one address.
struct Entry {
    /// The address, whether that is exact, and above it the low end of the generation; 0 in an entry never taken.
    key: AtomicU64,
    /// The rule as a word; 0 before it is written.
    rule: AtomicU64,
}

impl Entry {
    const fn empty() -> Entry {
        Entry { key: AtomicU64::new(0), rule: AtomicU64::new(0) }
    }
}

impl Rules {
    /// None.
    #[expect(clippy::new_without_default, reason = "it is a constant")]
    pub const fn new() -> Rules {
        Rules { entries: [const { Entry::empty() }; 1 << ENTRIES_LOG2] }
    }
}

/// The rule for a frame whose code goes on at this address, which is [`EXACT`] or where a call returns to; `None` if
/// the recorder cannot be told of its module.
#[inline(always)]
pub fn rule(pc: usize, reached: u32, generation: u32) -> Option<Rule> {
    let key = key(pc, reached, generation);
    let entry = &WIPED.rules.entries[home(pc)];
    let rule = entry.rule.load(Ordering::Acquire);
    if entry.key.load(Ordering::Acquire) == key && rule != 0 && entry.rule.load(Ordering::Acquire) == rule {
        return Some(Rule::of(rule));
    }
    farther(key)
}

#[inline(always)]
fn key(pc: usize, reached: u32, generation: u32) -> u64 {
    pc as u64 | u64::from(reached & EXACT) << EXACT_SHIFT | u64::from(generation) << GENERATION_SHIFT
}

/// Where it should be. One frame's rule must be found before the next frame can: nothing more should be done with
/// the address than this. Code that lies together is kept together.
#[inline(always)]
fn home(pc: usize) -> usize {
    (pc ^ pc >> 14) & ((1 << ENTRIES_LOG2) - 1)
}

/// The entries where a key may be.
fn places(key: u64) -> impl Iterator<Item = &'static Entry> {
    let (before, after) = WIPED.rules.entries.split_at(home(address(key)));
    after.iter().chain(before).take(REACH)
}

fn address(key: u64) -> usize {
    (key & ((1 << ADDRESS_BITS) - 1)) as usize
}

#[inline(never)]
fn farther(key: u64) -> Option<Rule> {
    let known = places(key).find(|entry| entry.key.load(Ordering::Acquire) == key);
    if let Some(word) = known.map(|entry| entry.rule.load(Ordering::Acquire)).filter(|word| *word != 0) {
        return Some(Rule::of(word));
    }
    look_up(key)
}

/// Reads the rule, and keeps it.
#[cold]
#[inline(never)]
fn look_up(key: u64) -> Option<Rule> {
    // What returns to an address was called right before it.
    let is_exact = key >> ADDRESS_BITS & 1 != 0;
    let pc = address(key) - usize::from(!is_exact);
    let module = modules::find(pc).ok()?;
    let rule = module.map_or(cfi::UNKNOWN, |module| cfi::rule(&module, pc));
    let here = look_up as *const () as usize;
    let rule = rule.marked(module.is_some_and(|module| (module.start..module.end).contains(&here)));
    let generation = key >> GENERATION_SHIFT;
    let free = places(key).find(|entry| {
        let theirs = entry.key.load(Ordering::Relaxed);
        let is_free = theirs == 0 || theirs != TAKEN && theirs >> GENERATION_SHIFT != generation;
        is_free && entry.key.compare_exchange(theirs, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    });
    if let Some(entry) = free {
        entry.rule.store(rule.word(), Ordering::Release);
        entry.key.store(key, Ordering::Release);
    }
    Some(rule)
}

/// The key of an entry whose rule is being written.
const TAKEN: u64 = u64::MAX;
