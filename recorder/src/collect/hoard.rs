//! What threads write while nobody can make records of it: when a process is attached to, a trace begins with its heap, and
//! to make that of a copy takes a while. The process runs again by then, and would soon wait for room in its
//! rings: so another thread of ours empties them, and keeps what was in them.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::Duration;

use malloscope_wire::Clock;
use malloscope_wire::ring;
use malloscope_wire::slot::Copied;

use super::rings;
use super::strand::Strand;
use crate::memory::Memory;

/// How often the rings are looked at. In that time no thread fills one.
const NAP: Duration = Duration::from_micros(300);

/// Rings that have been read from their beginnings, by their numbers.
pub type Strands<'m> = HashMap<usize, Strand<'m>>;

/// A thread that empties the rings of the process that was attached to.
#[derive(Debug)]
pub struct Hoard<'m> {
    is_enough: Arc<AtomicBool>,
    thread: Option<ScopedJoinHandle<'m, Strands<'m>>>,
}

impl<'m> Hoard<'m> {
    /// Begins to empty the rings of the process with this entry, which nobody has read before. So many bytes
    /// are kept at most; then threads wait for room, or lose calls, as always.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn begin(
        scope: &'m Scope<'m, '_>,
        memory: &'m Memory,
        clock: Clock,
        process: usize,
        bytes: usize,
    ) -> io::Result<Hoard<'m>> {
        let is_enough = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_enough);
        let thread = Builder::new().name("hoard".to_owned()).spawn_scoped(scope, move || {
            let mut strands = Strands::new();
            while !told.load(Ordering::Relaxed) {
                empty(memory, clock, process, bytes / size_of::<Copied>(), &mut strands);
                std::thread::sleep(NAP);
            }
            strands
        })?;
        Ok(Hoard { is_enough, thread: Some(thread) })
    }

    /// Ends it. Whoever reads the strands finds first what was kept.
    pub fn end(mut self) -> Strands<'m> {
        self.is_enough.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Hoard<'_> {
    fn drop(&mut self) {
        self.is_enough.store(true, Ordering::Relaxed);
    }
}

/// Empties all rings of a process once.
fn empty<'m>(memory: &'m Memory, clock: Clock, process: usize, slots: usize, strands: &mut Strands<'m>) {
    // Threads that wait for room see that somebody reads.
    memory.shared().control.heartbeat.0.fetch_add(1, Ordering::Relaxed);
    for (number, tenancy) in rings::tenants(memory) {
        if usize::from(tenancy.process) == process
            && let Some((header, slots)) = memory.ring(number)
        {
            strands.entry(number).or_insert_with(|| Strand::new(header, slots, ring::FIRST, clock));
        }
    }
    let share = slots / strands.len().max(1);
    for strand in strands.values_mut() {
        strand.hoard(share);
    }
}
