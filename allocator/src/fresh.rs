//! Heaps for tests.

use crate::heap::Heap;
use crate::memory::Processors;
use crate::memory::simulated::{DEFAULT_BREAK, Simulated};
use crate::release::Release;
use crate::tunables::Tunables;

/// A heap of this release that was never asked for anything, on a machine with two processors.
pub fn heap(release: Release) -> Heap<Simulated> {
    heap_with(release, &Tunables::default())
}

/// The same with these settings.
pub fn heap_with(release: Release, tunables: &Tunables) -> Heap<Simulated> {
    let machine = Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 });
    Heap::new(machine, (), release, tunables)
}
