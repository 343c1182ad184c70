//! What we know of each thread, found with two loads and without thread-local storage.
//!
//! A TLS segment of ours, however small, would make glibc ask malloc for a larger table of them
//! with every thread it creates, and the heap we record would not be the heap there is without us.
//! So there is a table of our own, by thread pointer; and since looking there costs 2 ns a call, each
//! thread keeps the address of its entry as the value of a pthread key, which glibc keeps in the
//! thread's control block: see [`shortcut`](crate::shortcut).
//!
//! The table is zeros in the child of a fork, of whatever kind. There every call finds an entry with
//! no room, takes the slow path and begins a new recording; it costs nothing here.

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use malloscope_wire::{Heartbeat, Ring, Slot};

use crate::callers::Callers;
use crate::exit;
use crate::modules::Known;
use crate::rules::Rules;

/// How many threads of a process can have an entry, as a power of two.
const ENTRIES_LOG2: u32 = 12;

/// What is zeros in a forked child. It lies in memory the kernel gave us zeroed and no file is
/// behind, which is what [`Advice::WipeOnFork`](crate::system::Advice) asks for.
#[repr(C, align(4096))]
pub struct Wiped {
    /// How far this process has come: see [`arrival`](crate::arrival).
    pub progress: AtomicU32,
    /// 1 in a copy of a recorded process, once it has arrived.
    pub is_copy: AtomicU32,
    /// The entry of the first thread; null before it has one.
    pub first: AtomicPtr<Entry>,
    /// The modules whose code has been met.
    pub modules: Known,
    /// The rules for code that has been met.
    pub rules: Rules,
    entries: [Entry; 1 << ENTRIES_LOG2],
}

/// Of this process, and no copy of it.
pub static WIPED: Wiped = Wiped {
    progress: AtomicU32::new(0),
    is_copy: AtomicU32::new(0),
    first: AtomicPtr::new(ptr::null_mut()),
    modules: Known::new(),
    rules: Rules::new(),
    entries: [const { Entry::empty() }; 1 << ENTRIES_LOG2],
};

/// A thread's entry: its way to its ring. Only the thread itself uses it, once it has it; but see
/// `has_company`.
#[repr(C, align(128))]
pub struct Entry {
    /// The thread pointer; 0 in an entry never taken.
    key: AtomicUsize,
    /// The thread's ring; null when it has none.
    pub ring: AtomicPtr<Ring>,
    /// The ring's slots.
    pub slots: AtomicPtr<Slot>,
    /// The recorder's heartbeat.
    pub heartbeat: AtomicPtr<Heartbeat>,
    /// The index of the next slot to reserve.
    pub cursor: AtomicU64,
    /// The first index that may not be reserved without asking; 0 only in an entry that is nobody's.
    pub limit: AtomicU64,
    /// The program break as this thread last recorded it.
    pub program_break: AtomicUsize,
    /// The heartbeat when a call that began was last stamped.
    pub beat: AtomicU32,
    /// 1 once the process has more than one thread. Written by the second.
    pub has_company: AtomicU32,
    // What follows is not needed for every call, and in another cache line.
    /// What is known of the thread's last stack; null if it has had none.
    pub callers: AtomicPtr<Callers>,
    /// Under which [`Tenancy`](malloscope_wire::ring::Tenancy) the thread has the ring.
    pub tenancy: AtomicU64,
    /// The kernel's name for the thread.
    pub thread: AtomicU32,
    /// How often the thread's end was announced: see [`exit`].
    pub farewells: AtomicU32,
    /// How often the thread had been taken off the processor when it last asked, in two halves; 0 if it
    /// has not: see [`interruption`](crate::interruption).
    pub switches: AtomicU64,
}

impl Entry {
    const fn empty() -> Entry {
        Entry {
            key: AtomicUsize::new(0),
            ring: AtomicPtr::new(ptr::null_mut()),
            slots: AtomicPtr::new(ptr::null_mut()),
            heartbeat: AtomicPtr::new(ptr::null_mut()),
            cursor: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            program_break: AtomicUsize::new(0),
            beat: AtomicU32::new(0),
            has_company: AtomicU32::new(0),
            callers: AtomicPtr::new(ptr::null_mut()),
            tenancy: AtomicU64::new(0),
            thread: AtomicU32::new(0),
            farewells: AtomicU32::new(0),
            switches: AtomicU64::new(0),
        }
    }

    /// The entry of the thread that asks, if it has one.
    pub fn mine() -> Option<&'static Entry> {
        let key = thread_pointer();
        Self::from_home(key)
            .take_while(|entry| entry.key.load(Ordering::Relaxed) != 0)
            .find(|entry| entry.key.load(Ordering::Relaxed) == key)
    }

    /// An entry for the thread that asks, which has none; `None` if all are taken. It is filled in
    /// before it can be found.
    pub fn take(fill: impl FnOnce(&Entry)) -> Option<&'static Entry> {
        let key = thread_pointer();
        let entry = Self::from_home(key).find(|entry| entry.change_key(0, RESERVED)).or_else(|| {
            // Threads that have left keep their entries, because calls may follow, until we run out.
            Self::from_home(key).find(|entry| {
                let theirs = entry.key.load(Ordering::Relaxed);
                theirs != RESERVED && exit::has_left(entry) && entry.change_key(theirs, RESERVED)
            })
        })?;
        fill(entry);
        entry.key.store(key, Ordering::Release);
        Some(entry)
    }

    fn change_key(&self, from: usize, to: usize) -> bool {
        self.key.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// All entries, in the order in which this key looks for its own.
    fn from_home(key: usize) -> impl Iterator<Item = &'static Entry> {
        let (before, after) = WIPED.entries.split_at(home(key));
        after.iter().chain(before)
    }
}

/// The key of an entry that is being filled in.
const RESERVED: usize = 1;

/// Where a key's entry is, unless another key was there first.
fn home(key: usize) -> usize {
    // Thread pointers are pages apart and alike in their low bits.
    (key >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (usize::BITS - ENTRIES_LOG2)
}

/// The address that tells this thread from all others alive.
pub fn thread_pointer() -> usize {
    let pointer: usize;
    // SAFETY: on x86-64 the first word of every thread's control block is the block's own address.
    unsafe {
        asm!("mov {}, fs:0", out(reg) pointer, options(nostack, pure, readonly, preserves_flags));
    }
    pointer
}
