//! A chunk that is freed while another thread's call takes chunks from the fastbins comes to lie among them.
//!
//! What is expected here is what `_int_malloc` and `malloc_consolidate` of glibc 2.36 do if the other
//! thread's compare-and-swap comes just then.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use malloscope_allocator::address::{Address, Request};
use malloscope_allocator::bins::lockless::During;
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::Processors;
use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, Simulated};
use malloscope_allocator::release::V2_36;
use malloscope_allocator::thread::ThreadId;
use malloscope_allocator::tunables::Tunables;

/// Who allocates from the main arena.
const OWNER: ThreadId = ThreadId(0);
/// Who frees what lies there.
const OTHER: ThreadId = ThreadId(1);
/// A tcache holds so many chunks of a size.
const CACHED: usize = 7;
const SMALL: Request = Request(24);

/// A heap, and chunks in use of the owner's arena. Of those of the size, the other thread's cache is full.
fn heap_with(chunks: usize) -> (Heap<Simulated>, Vec<Address>) {
    let machine = Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 });
    let mut heap = Heap::new(machine, (), V2_36, &Tunables::default());
    heap.thread_created(OTHER);
    let mut all: Vec<Address> = (0..chunks + CACHED).map(|_| heap.malloc(OWNER, SMALL).unwrap()).collect();
    for payload in all.split_off(chunks) {
        heap.free(OTHER, payload).unwrap();
    }
    (heap, all)
}

/// The other thread frees a chunk, which arrives during a call of the owner.
fn free_during(heap: &mut Heap<Simulated>, payload: Address, during: During) {
    heap.delay_fast(Some(during));
    heap.free(OTHER, payload).unwrap();
    heap.delay_fast(None);
}

/// The owner's call with this number.
fn malloc(heap: &mut Heap<Simulated>, call: u64, request: Request) -> Address {
    heap.begin_call(call);
    let payload = heap.malloc(OWNER, request).unwrap();
    heap.end_call().unwrap();
    heap.check().unwrap();
    payload
}

/// Four chunks are on the fastbin, and a fifth arrives there when `takes` have been moved to the tcache.
/// Returns which the owner is given, one after the other.
fn given_when_one_arrives_after(takes: u32) -> Vec<usize> {
    let (mut heap, all) = heap_with(12);
    for &payload in &all[..CACHED + 4] {
        heap.free(OWNER, payload).unwrap();
    }
    for _ in 0..CACHED {
        heap.malloc(OWNER, SMALL).unwrap();
    }
    free_during(&mut heap, all[11], During { call: 5, takes });
    assert!(heap.has_delayed());
    let given: Vec<Address> = (5..10).map(|call| malloc(&mut heap, call, SMALL)).collect();
    assert!(!heap.has_delayed());
    given.iter().map(|payload| all.iter().position(|other| other == payload).unwrap()).collect()
}

#[test]
fn a_chunk_arrives_among_those_moved_to_the_tcache() {
    // 10 is handed out; 9, 8 and 7 are moved, and handed out in the opposite order.
    assert_eq!(given_when_one_arrives_after(0), [10, 7, 8, 9, 11]);
    assert_eq!(given_when_one_arrives_after(1), [10, 7, 8, 11, 9]);
    assert_eq!(given_when_one_arrives_after(2), [10, 7, 11, 8, 9]);
    assert_eq!(given_when_one_arrives_after(3), [10, 11, 7, 8, 9]);
    // Too late to be moved: it is on the fastbin when the call is over.
    assert_eq!(given_when_one_arrives_after(4), [10, 7, 8, 9, 11]);
}

#[test]
fn a_chunk_arrives_after_its_fastbin_was_emptied() {
    let (mut heap, all) = heap_with(2);
    let _apart = heap.malloc(OWNER, Request(2000)).unwrap();
    for _ in 0..CACHED {
        let payload = heap.malloc(OWNER, SMALL).unwrap();
        heap.free(OTHER, payload).unwrap();
    }
    // The owner's cache is empty, the other's full: both chunks go to the fastbin. The second arrives
    // when the first fastbin, which is theirs, was emptied, and stays.
    heap.free(OTHER, all[0]).unwrap();
    free_during(&mut heap, all[1], During { call: 1, takes: 1 });
    malloc(&mut heap, 1, Request(3000));
    assert_eq!(malloc(&mut heap, 2, SMALL), all[1], "the fastbin comes first");
    assert_eq!(malloc(&mut heap, 3, SMALL), all[0], "it was sorted into its small bin");
}

#[test]
fn what_another_call_was_to_see_is_there_after_that_call_only() {
    let (mut heap, all) = heap_with(1);
    free_during(&mut heap, all[0], During { call: 7, takes: 0 });
    assert_ne!(malloc(&mut heap, 6, SMALL), all[0]);
    assert_ne!(malloc(&mut heap, 7, SMALL), all[0], "its fastbin was looked at before");
    assert_eq!(malloc(&mut heap, 8, SMALL), all[0]);
}
