//! Whether a thread ran all the time during a call.
//!
//! The time between a thread's calls says little about when it had an arena's lock: it may have slept
//! for most of it. What tells is the kernel's `rseq`. glibc from 2.35 on registers an area with it in
//! each thread's control block. Where that area names a critical section, and the thread is taken off
//! the processor or handles a signal outside of that section, the kernel takes the name away. So
//! before a call we name a section that nobody can be in, and look afterwards whether it is still named.
//! It stays named between calls: so the next one sees whether the thread was interrupted there.
//!
//! A program with sections of its own names them whenever it enters one, and does not call malloc in
//! one: it may not call anything. So what we overwrite is a name the kernel would have taken away.

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use crate::system;
use crate::threads::{Entry, thread_pointer};

/// What the kernel wants to find before the place where it would go on after an interruption:
/// `RSEQ_SIG` of glibc on x86-64.
const SIGNATURE: u32 = 0x5305_3053;

/// How far into the area the name is: `rseq_cs` in the kernel's `struct rseq`.
const NAME: usize = 8;

/// How far into the area the number of the processor is; negative if the area is not registered.
const PROCESSOR: usize = 4;

/// A critical section, as the kernel's `struct rseq_cs`.
#[repr(C, align(32))]
struct Section {
    version: u32,
    flags: u32,
    start: AtomicPtr<u32>,
    length: usize,
    abort: AtomicPtr<u32>,
}

/// In place of code: nobody runs it.
static NO_CODE: AtomicU32 = AtomicU32::new(SIGNATURE);

/// A section nobody can be in.
static SECTION: Section = Section {
    version: 0,
    flags: 0,
    start: AtomicPtr::new((&raw const NO_CODE).cast_mut().cast()),
    length: 1,
    abort: AtomicPtr::new((&raw const NO_CODE).cast_mut().wrapping_add(1).cast()),
};

/// How far the name is from a thread pointer; 0 if glibc has registered no areas.
static OFFSET: AtomicUsize = AtomicUsize::new(0);

/// Takes what glibc says of its areas: `__rseq_offset` and `__rseq_size`.
///
/// # Safety
///
/// Both are as in `sys/rseq.h`.
pub unsafe fn take(offset: *const isize, size: *const u32) {
    // SAFETY: as the caller promises.
    let offset = unsafe { offset.read() };
    // SAFETY: as above.
    let size = unsafe { size.read() };
    if size != 0 {
        OFFSET.store(offset.cast_unsigned().wrapping_add(NAME), Ordering::Relaxed);
    }
}

/// Whether it is known of the thread that asks.
pub fn is_known() -> bool {
    let offset = OFFSET.load(Ordering::Relaxed);
    if offset == 0 {
        return false;
    }
    let processor = thread_pointer().wrapping_add(offset).wrapping_sub(NAME - PROCESSOR);
    // SAFETY: the area is in every thread's control block, registered or not.
    let processor = unsafe { &*ptr::with_exposed_provenance::<AtomicI32>(processor) };
    processor.load(Ordering::Relaxed) >= 0
}

/// Looks out for interruptions of the thread that asks from now on.
#[inline(always)]
pub fn watch() {
    if !was_none() {
        watch_again();
    }
}

/// Names the section again. The thread was interrupted between its calls, so it is asked for how often
/// it has been: what is added to that is a call's.
#[cold]
#[inline(never)]
fn watch_again() {
    name_section();
    if let Some(entry) = Entry::mine() {
        let _ = switches(entry);
    }
}

/// How often the thread that asks, which has this entry, was taken off the processor since it last asked.
///
/// A thread that is alone is not asked: it needs nothing of this to be in order.
pub fn switches(entry: &Entry) -> Switches {
    let is_alone = entry.has_company.load(Ordering::Acquire) == 0;
    let now = (!is_alone).then(system::switches);
    let word = now.map_or(0, |now| KNOWN | u64::from(now.waits) << 32 | u64::from(now.preemptions));
    let before = entry.switches.swap(word, Ordering::Relaxed);
    now.filter(|_| before & KNOWN != 0).map_or_else(Switches::default, |now| Switches {
        waits: now.waits.wrapping_sub((before >> 32) as u32) & !(1 << 31),
        preemptions: now.preemptions.wrapping_sub(before as u32),
    })
}

/// How often a thread was taken off the processor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Switches {
    /// Because it waited for something.
    pub waits: u32,
    /// Although it could have gone on.
    pub preemptions: u32,
}

/// In [`Entry::switches`]: the thread has asked.
const KNOWN: u64 = 1 << 63;

fn name_section() {
    let offset = OFFSET.load(Ordering::Relaxed);
    if offset != 0 {
        // SAFETY: there lies the name in the area of the thread that asks.
        unsafe {
            asm!(
                "mov fs:[{offset}], {section}",
                offset = in(reg) offset,
                section = in(reg) &raw const SECTION,
                options(nostack, preserves_flags),
            );
        }
    }
}

/// Whether there was none since.
#[inline(always)]
pub fn was_none() -> bool {
    let offset = OFFSET.load(Ordering::Relaxed);
    if offset == 0 {
        return true;
    }
    let section: *const Section;
    // SAFETY: as above.
    unsafe {
        asm!(
            "mov {section}, fs:[{offset}]",
            offset = in(reg) offset,
            section = lateout(reg) section,
            options(nostack, readonly, preserves_flags),
        );
    }
    section == &raw const SECTION
}
