//! What a page fault, a call of the kernel, and a call of malloc that has to search take on this machine: measured, by
//! making some. The malloc is the twin, over memory of this process.

use crate::flows::Destination;
use crate::outcome::Outcome;
use malloscope_allocator::address::{Address, Request};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::process::Process;
use malloscope_allocator::memory::{Access, Kernel, Mapping, Processors, Words};
use malloscope_allocator::observe::counters::SourceKind;
use malloscope_allocator::release::Release;
use malloscope_allocator::thread::ThreadId;
use malloscope_allocator::tunables::{Tunable, Tunables};
use serde::Serialize;
use std::time::Instant;

/// Pages that are touched for it.
const PAGES: u64 = 512;
/// Mappings that are made for it and not touched.
const CALLS: u64 = 64;
/// Requests, each with a free.
const PAIRS: u64 = 4_000;
/// It is done so often, and the fastest counts: whatever else the machine does only makes it slower. Each time takes less
/// than a turn of the scheduler.
const ROUNDS: u32 = 40;

/// What the kernel's work takes, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prices {
    /// A first touch of a page: the fault, zeroing it, and giving it back.
    pub fault: f64,
    /// A call that changes a mapping.
    pub call: f64,
    /// What a request or a free takes more if no cache serves it: neither the thread's nor a fastbin.
    pub search: f64,
}

impl Prices {
    /// Measures both, with mappings of this process. Nothing if it is granted none.
    pub fn measured() -> Option<Prices> {
        let mut process = Process::new(Processors { online: 1, allowed: 1 }, false)?;
        let page = process.page_size();
        let (mut call, mut fault) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..ROUNDS {
            let began = Instant::now();
            for _ in 0..CALLS {
                let at = map(&mut process, page)?;
                process.unmap(at, page);
            }
            call = call.min(began.elapsed().as_nanos() as f64 / (2 * CALLS) as f64);
            let began = Instant::now();
            let at = map(&mut process, PAGES * page)?;
            for number in 0..PAGES {
                process.fill(at + number * page, 1, 1);
            }
            process.unmap(at, PAGES * page);
            let whole = began.elapsed().as_nanos() as f64 - 2.0 * call;
            fault = fault.min(whole.max(0.0) / PAGES as f64);
        }
        let (mut cached, mut searched) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..ROUNDS {
            cached = cached.min(of_malloc(&[])?);
            searched = searched.min(of_malloc(&[(Tunable::TcacheCount, 0), (Tunable::Mxfast, 0)])?);
        }
        Some(Prices { fault, call, search: (searched - cached).max(0.0) })
    }

    /// What the kernel's work for a run would take.
    pub fn kernel_nanos(&self, run: &Outcome) -> f64 {
        run.measured.faults as f64 * self.fault + run.kernel.total() as f64 * self.call
    }

    /// What a run's requests and frees that have to search would take more than if a cache served them.
    pub fn search_nanos(&self, run: &Outcome) -> f64 {
        searching(run) as f64 * self.search
    }
}

/// Requests that neither a thread's cache nor a fastbin served, and frees that went to neither; without those of
/// chunks with a mapping of their own, whose calls of the kernel are counted.
pub fn searching(run: &Outcome) -> u64 {
    let cached =
        [SourceKind::Tcache, SourceKind::Fast, SourceKind::Mapped, SourceKind::Stayed, SourceKind::Remapped];
    let cached = cached.map(SourceKind::name);
    let requests =
        run.served.iter().filter(|row| !cached.contains(&row.from.as_str())).map(|row| row.requests);
    let quick = [Destination::Tcache, Destination::Fast, Destination::Unmapped].map(Destination::name);
    let frees =
        run.free_flows.iter().filter(|flow| !quick.contains(&flow.into.as_str())).map(|flow| flow.frees);
    requests.sum::<u64>() + frees.sum::<u64>()
}

/// What a request or a free takes under these settings, in nanoseconds, of blocks that come and go a few at a time.
fn of_malloc(settings: &[(Tunable, u64)]) -> Option<f64> {
    // The last release that has both caches to switch off is as good as any.
    let release = Release::OF_SCRIPTS;
    let mut tunables = Tunables::default();
    for &(tunable, value) in settings {
        tunables.set(&release, tunable, value).ok()?;
    }
    let process = Process::new(Processors { online: 1, allowed: 1 }, false)?;
    let mut heap = Heap::new(process, (), release, &tunables);
    let mut blocks = [Address::NULL; 6];
    let mut pairs = 0u64;
    let began = Instant::now();
    while pairs < PAIRS {
        for (place, block) in blocks.iter_mut().enumerate() {
            *block = heap.malloc(ThreadId::MAIN, Request(40 + 40 * place as u64)).ok()?;
        }
        for block in blocks {
            heap.free(ThreadId::MAIN, block).ok()?;
        }
        pairs += blocks.len() as u64;
    }
    Some(began.elapsed().as_nanos() as f64 / (2 * pairs) as f64)
}

fn map(process: &mut Process, length: u64) -> Option<Address> {
    process.map(Mapping { length, access: Access::ReadWrite, hint: None, no_reserve: false, huge_page: 0 })
}
