//! Memory that a `free` is about to give back to the kernel: which of its pages nobody has touched is seen now or never.
//!
//! That is a chunk with a mapping of its own, and the top of the main heap together with what is freed next to it, when
//! that is so much that glibc may trim it (`systrim` in `malloc.c`). Where the top begins is read from libc's data;
//! that and how much is not trimmed are guesses, on which nothing depends but when we look.

use core::ffi::c_void;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use malloscope_wire::PAGE;
use malloscope_wire::process::Process;
use malloscope_wire::slot::Kind;

use crate::arrival::{self, Here};
use crate::lane::Lane;
use crate::objects::Object;
use crate::{attachment, clock, filters, real, system};

/// Bits of the word before a payload.
const PREV_INUSE: usize = 1;
const IS_MMAPPED: usize = 2;
const NON_MAIN_ARENA: usize = 4;
const FLAGS: usize = 7;

/// A chunk begins so many bytes before its payload.
const BEFORE: usize = 16;

/// glibc does not trim unless a `free` makes so much memory free (`FASTBIN_CONSOLIDATION_THRESHOLD`).
const TRIMMED: usize = 64 << 10;

/// So large a chunk is looked at wherever it is.
const LARGE: usize = 0x2000;

/// How much of the time looking may take.
#[derive(Clone, Copy)]
struct Allowance {
    /// One part in two to this power.
    share: u32,
    /// So many ticks of it are there from the beginning.
    grace: u64,
    /// What was not used is kept, but no more than so many ticks: who has waited for long is not slowed down for long.
    most: u64,
}

/// Looking of one kind: what it may take, and has taken, in ticks.
struct Looking {
    launched: Allowance,
    attached: Allowance,
    taken: AtomicU64,
}

static GIVING_BACK: Looking = Looking::at_given_back();
static FREEING: Looking = Looking::at_freed();

/// What a look takes, and how many pages of it take as much again, in ticks: about a microsecond. Not measured each
/// time, so that what is seen of a program does not depend on who else had the processor.
const TAKES: u64 = 3000;
const PAGES: usize = 200;

/// How much is looked at of what is larger: that takes part of a millisecond.
const MOST: usize = 1 << 30;

/// How many pages the kernel is asked about at once, and how many parts are told of, at most.
const AT_ONCE: usize = 512;
const PARTS: usize = 64;

/// How often the top is looked for: it is not where we expect it while another thread is at it.
const TRIES: u32 = 64;

static NOWHERE: AtomicUsize = AtomicUsize::new(0);

/// Where libc keeps where the top of the main arena begins.
static TOP: AtomicPtr<AtomicUsize> = AtomicPtr::new((&raw const NOWHERE).cast_mut());

/// Libc's data, from start to end.
static DATA: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

static TRIED: AtomicU32 = AtomicU32::new(0);

/// So much was free at the top, and not trimmed.
static UNTRIMMED: AtomicUsize = AtomicUsize::new(TRIMMED - 1);

impl Looking {
    /// At what is given back to the kernel, which takes more time by itself.
    const fn at_given_back() -> Looking {
        Looking {
            launched: Allowance { share: 3, grace: 1 << 24, most: 1 << 28 },
            attached: Allowance { share: 6, grace: 1 << 20, most: 1 << 20 },
            taken: AtomicU64::new(0),
        }
    }

    /// At what is only freed.
    const fn at_freed() -> Looking {
        Looking {
            launched: Allowance { share: 6, grace: 1 << 23, most: 1 << 28 },
            attached: Allowance { share: 8, grace: 1 << 20, most: 1 << 20 },
            taken: AtomicU64::new(0),
        }
    }

    /// Whether so many pages may be looked at now, by a process that began so many ticks ago.
    fn takes(&self, pages: usize, passed: u64, is_attached: bool) -> bool {
        let Allowance { share, grace, most } = if is_attached { self.attached } else { self.launched };
        let allowed = (passed >> share) + grace;
        let taken = self.taken.fetch_max(allowed.saturating_sub(most), Ordering::Relaxed);
        let may = taken < allowed;
        if may {
            self.taken.fetch_add(TAKES + TAKES * (pages / PAGES) as u64, Ordering::Relaxed);
        }
        may
    }
}

/// A process begins: what another looked at, that it is a copy of, is not its own.
pub fn begin() {
    for looking in [&GIVING_BACK, &FREEING] {
        looking.taken.store(0, Ordering::Relaxed);
    }
}

/// Notes where the object that malloc is in has its data.
pub fn expect_top_in(libc: &Object) {
    if let Some((start, end)) = libc.writable().next() {
        DATA[0].store(start, Ordering::Relaxed);
        DATA[1].store(end, Ordering::Relaxed);
    }
}

/// This process's entry, if it may ask the kernel about its pages.
fn may_look() -> Option<&'static Process> {
    let Here { process, .. } = arrival::already_here()?;
    (process.may_look.load(Ordering::Relaxed) != 0 && !filters::were_set()).then_some(process)
}

/// Where we think that the top of the main heap begins; 0 if we do not know.
#[inline(always)]
fn top() -> usize {
    // SAFETY: our own word, or one of libc's data.
    unsafe { &*TOP.load(Ordering::Relaxed) }.load(Ordering::Relaxed)
}

/// The program break was moved: looks for the top, if it is not where we think. Not for ever: libc keeps it in one place.
#[cold]
pub fn find_top() {
    if TRIED.load(Ordering::Relaxed) >= TRIES || may_look().is_none() {
        return;
    }
    TRIED.fetch_add(1, Ordering::Relaxed);
    if is_top(top()) {
        return;
    }
    let [start, end] = DATA.each_ref().map(|word| word.load(Ordering::Relaxed));
    let words = (start.next_multiple_of(8)..end & !7).step_by(8);
    // SAFETY: libc's data is loaded for as long as the process.
    let mut kept = words.map(|at| unsafe { &*(at as *const AtomicUsize) });
    if let Some(found) = kept.find(|word| is_top(word.load(Ordering::Relaxed))) {
        TOP.store(core::ptr::from_ref(found).cast_mut(), Ordering::Relaxed);
    }
}

/// Whether the top chunk may begin here: it would end at the program break.
fn is_top(chunk: usize) -> bool {
    /// No heap is larger than this.
    const LARGEST: usize = 1 << 40;
    let size = real::program_break().wrapping_sub(chunk);
    let is_chunk = chunk != 0 && chunk.is_multiple_of(BEFORE) && (2 * BEFORE..LARGEST).contains(&size);
    // Another thread may give that memory back at any moment: the kernel looks, as it need not fear that.
    let head = size | PREV_INUSE;
    is_chunk && system::holds(chunk + 8, head as u32) && system::holds(chunk + 12, (head >> 32) as u32)
}

/// # Safety
///
/// There is one.
unsafe fn word(at: usize) -> usize {
    // SAFETY: as promised.
    unsafe { &*(at as *const AtomicUsize) }.load(Ordering::Relaxed)
}

/// Whether freeing this payload may give memory back to the kernel.
///
/// # Safety
///
/// As `free`.
#[inline(always)]
pub unsafe fn is_near(payload: *mut c_void) -> bool {
    if payload.is_null() {
        return false;
    }
    let chunk = payload as usize - BEFORE;
    // SAFETY: a payload has its chunk's head before it.
    let head = unsafe { word(chunk + 8) };
    let is_next_to_top = chunk.wrapping_add(head & !FLAGS) == top();
    head & IS_MMAPPED != 0
        || head >= LARGE && head & NON_MAIN_ARENA == 0
        || is_next_to_top && may_be_trimmed(chunk)
}

/// Whether glibc may trim what is free at the top when all from this chunk on is.
#[inline(always)]
fn may_be_trimmed(chunk: usize) -> bool {
    real::program_break().wrapping_sub(chunk) > UNTRIMMED.load(Ordering::Relaxed)
}

/// What was free at the top when it was looked at, and where the program break was.
pub struct Before {
    free: usize,
    program_break: usize,
}

impl Before {
    /// The `free` has returned: notes whether so much is trimmed.
    pub fn learn(self) {
        let Before { free, program_break } = self;
        if real::program_break() < program_break {
            UNTRIMMED.fetch_min(free - 1, Ordering::Relaxed);
        } else {
            UNTRIMMED.fetch_max(free, Ordering::Relaxed);
        }
    }
}

/// Looks at what freeing this payload may give back, and tells which pages of it have no memory.
///
/// # Safety
///
/// As `free`.
pub unsafe fn look(payload: *mut c_void) -> Option<Before> {
    let process = may_look()?;
    let chunk = payload as usize - BEFORE;
    // SAFETY: a payload has its chunk's head before it.
    let head = unsafe { word(chunk + 8) };
    let next = chunk.wrapping_add(head & !FLAGS);
    let is_mapped = head & IS_MMAPPED != 0;
    let is_at_top = !is_mapped && next == top();
    // What the mapping has before a chunk of its own, and the free chunk that will be one with the top.
    let is_joined = is_mapped || is_at_top && head & PREV_INUSE == 0;
    // SAFETY: of both, the size lies there.
    let before = if is_joined { unsafe { word(chunk) } } else { 0 };
    let program_break = real::program_break();
    let end = if is_at_top { program_break } else { next };
    let start = chunk.wrapping_sub(before) & !(PAGE - 1);
    let end = (end & !(PAGE - 1)).min(start.saturating_add(MOST));
    let is_given_back = is_mapped || is_at_top && may_be_trimmed(chunk);
    let looking = if is_given_back { &GIVING_BACK } else { &FREEING };
    let passed = clock::now().saturating_sub(process.began.load(Ordering::Relaxed));
    if !looking.takes(end.saturating_sub(start) / PAGE, passed, attachment::is_ours()) {
        return None;
    }
    tell(if is_mapped { payload as usize } else { 0 }, start, end);
    is_at_top.then_some(Before { free: program_break.wrapping_sub(start).max(1), program_break })
}

/// Tells which pages from `start` to `end` have no memory.
fn tell(owner: usize, start: usize, end: usize) {
    let mut pages = [0_u8; AT_ONCE];
    let mut hole = None;
    let mut parts = 0;
    let mut at = start;
    while at < end && parts < PARTS {
        let Some(pages) = pages.get_mut(..((end - at) / PAGE).min(AT_ONCE)) else { return };
        if system::present(at, pages).is_err() {
            return;
        }
        for (page, bits) in (at..).step_by(PAGE).zip(pages.iter()) {
            match (bits & 1 != 0, hole) {
                (false, None) => hole = Some(page),
                (true, Some(from)) => {
                    tell_part(owner, from, page);
                    hole = None;
                    parts += 1;
                }
                _ => {}
            }
        }
        at += pages.len() * PAGE;
    }
    if let Some(from) = hole {
        tell_part(owner, from, at);
    }
}

fn tell_part(owner: usize, start: usize, end: usize) {
    if let Some(lane) = Lane::made() {
        lane.write_wide(Kind::Untouched, [owner as u64, 0], start as u64, end as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many looks of one page are taken, of as many as want to be at this time.
    fn taken(looking: &Looking, passed: u64, is_attached: bool) -> u64 {
        (0..).take_while(|_| looking.takes(1, passed, is_attached)).count() as u64
    }

    #[test]
    fn who_is_attached_to_loses_a_small_share_however_long_it_had_waited() {
        const SECOND: u64 = 1 << 31;
        for (looking, share) in [(Looking::at_given_back(), 6), (Looking::at_freed(), 8)] {
            // It was idle for an hour, and is busy for ten seconds from then on.
            let began = 3600 * SECOND;
            let looks: u64 = (0..10_000).map(|n| taken(&looking, began + n * SECOND / 1000, true)).sum();
            let took = looks * TAKES;
            assert!(took <= ((10 * SECOND) >> share) + (1 << 20) + TAKES, "{looks} looks");
            assert!(took >= ((10 * SECOND) >> share) / 2, "{looks} looks");
        }
    }

    #[test]
    fn who_was_launched_may_use_what_it_left_for_a_tenth_of_a_second_at_most() {
        let looking = Looking::at_given_back();
        assert_eq!(taken(&looking, 0, false), (1_u64 << 24).div_ceil(TAKES));
        assert_eq!(taken(&looking, 1 << 40, false), (1_u64 << 28).div_ceil(TAKES));
        assert_eq!(taken(&looking, 1 << 40, false), 0);
    }
}
