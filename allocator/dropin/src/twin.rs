//! The one twin of this process, made by the first call, or when the library is loaded if none came
//! before.

use crate::lock::Lock;
use crate::roster::{Caller, Roster};
use crate::settings::{self, Settings};
use crate::{answer, fork, key, memory, system};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::process::Process;
use malloscope_allocator::observe::counters::Counters;
use malloscope_allocator::thread::ThreadId;

/// A heap over this process's memory, whose bins are counted.
pub type RealHeap = Heap<Process, Counters>;

static TWIN: Lock<Option<Twin>> = Lock::new(None);

/// Whether any thread has called but the one the process began with.
static HAD_THREADS: AtomicBool = AtomicBool::new(false);

/// Called when the library has been loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

/// Makes the twin: its handlers of `fork` must come before the program's own.
extern "C" fn at_start() {
    call(|_, _| {});
}

#[derive(Debug)]
struct Twin {
    heap: RealHeap,
    roster: Roster,
    report: Option<Vec<u8>>,
}

/// Makes one call on the heap, as the calling thread; `errno` stays as it is.
#[inline]
pub fn call<R>(make: impl FnOnce(&mut RealHeap, ThreadId) -> R) -> R {
    let errno = system::errno();
    let mut twin = TWIN.lock();
    let twin_now = twin.get_or_insert_with(Twin::new);
    let thread = twin_now.caller();
    let answer = make(&mut twin_now.heap, thread);
    drop(twin);
    system::set_errno(errno);
    answer
}

/// The heap and where to report what its bins have done, if there ever was a call and it is wanted.
pub fn report_with<R>(make: impl FnOnce(&RealHeap, &[u8]) -> R) -> Option<R> {
    let twin = TWIN.lock();
    let twin = twin.as_ref()?;
    Some(make(&twin.heap, twin.report.as_deref()?))
}

impl Twin {
    fn new() -> Twin {
        let Settings { release, tunables, report } = Settings::read();
        let Some(memory) = Process::new(settings::processors(), settings::charges_for_every_page()) else {
            system::say("malloscope: there is no memory at all\n");
            system::abort()
        };
        fork::prepare();
        key::make();
        let heap = Heap::new(memory, Counters::default(), release, &tunables);
        Twin { heap, roster: Roster::new(), report }
    }

    #[inline]
    fn caller(&mut self) -> ThreadId {
        match self.roster.caller() {
            Caller::Known(id) => id,
            Caller::New(id) => {
                HAD_THREADS.store(true, Ordering::Relaxed);
                self.heap.thread_created(id);
                key::watch();
                id
            }
        }
    }
}

/// The calling thread ends: what it cached goes back to its arena.
pub fn thread_ends() {
    let errno = system::errno();
    let mut held = TWIN.lock();
    let answer = match held.as_mut().map(|twin| (twin.roster.end(), twin)) {
        Some((Some(id), twin)) => twin.heap.thread_exited(id),
        _ => Ok(()),
    };
    drop(held);
    system::set_errno(errno);
    answer::whole(answer);
}

/// A `fork` begins: until it is over, no other thread's call is under way.
pub fn hold() {
    TWIN.hold();
    memory::hold();
}

/// The `fork` is over: others may call again, if there are any.
pub fn release() {
    memory::release();
    TWIN.release();
}

/// This is the child of a `fork`: the calling thread is the only one. While there never was another, there
/// is nothing to tell.
pub fn tell_of_fork() {
    if !HAD_THREADS.load(Ordering::Relaxed) {
        return;
    }
    if let Some(twin) = TWIN.lock().as_mut() {
        let id = twin.caller();
        twin.heap.forked(id);
        twin.roster.forked(id);
    }
}
