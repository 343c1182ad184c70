//! What a page fault and a call of the kernel take on this machine: measured, by making some.

use crate::outcome::Outcome;
use malloscope_allocator::address::Address;
use malloscope_allocator::memory::process::Process;
use malloscope_allocator::memory::{Access, Kernel, Mapping, Processors, Words};
use serde::Serialize;
use std::time::Instant;

/// Pages that are touched for it.
const PAGES: u64 = 4096;
/// Mappings that are made for it and not touched.
const CALLS: u64 = 512;
/// It is done so often, and the fastest counts: whatever else the machine does only makes it slower.
const ROUNDS: u32 = 5;

/// What the kernel's work takes, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prices {
    /// A first touch of a page: the fault, zeroing it, and giving it back.
    pub fault: f64,
    /// A call that changes a mapping.
    pub call: f64,
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
        Some(Prices { fault, call })
    }

    /// What the kernel's work for a run would take.
    pub fn kernel_nanos(&self, run: &Outcome) -> f64 {
        run.measured.faults as f64 * self.fault + run.kernel.total() as f64 * self.call
    }
}

fn map(process: &mut Process, length: u64) -> Option<Address> {
    process.map(Mapping { length, access: Access::ReadWrite, hint: None, no_reserve: false, huge_page: 0 })
}
