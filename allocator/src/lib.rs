//! A twin of glibc's malloc that a person can read: given memory and calls, it decides as glibc
//! would, address for address.
//!
//! # The way of a request
//!
//! 1. [`Heap::malloc`](heap::Heap::malloc) rounds the request up to a chunk size
//!    ([`Geometry::chunk_for`](layout::Geometry::chunk_for)).
//! 2. The thread's **tcache** may have a chunk of that size: `bins/tcache.rs`. Most requests end here.
//! 3. Otherwise the thread needs its **arena**; its first call chooses one: `arena/choice.rs`.
//! 4. The arena's **fastbin** of the size: `bins/fast.rs`.
//! 5. The **small bin** of the size: `bins/small.rs`. A large request instead merges what lies in
//!    fastbins: `arena/merge.rs`.
//! 6. The **unsorted bin** is walked, and what does not fit is sorted: `bins/unsorted.rs`.
//! 7. The **large bin** of the size, best fit: `bins/large.rs`.
//! 8. The next larger bin that has anything, found by bitmap: `bins/map.rs`. The chunk is split.
//! 9. The **top** chunk: `arena/top.rs`.
//! 10. The kernel: a mapping of its own for a large chunk, `system/mapping.rs`; the **program break**
//!     moves for the main arena, `system/program_break.rs`; a **segment** grows or is made for the
//!     others, `arena/segment.rs`.
//!
//! A release goes the other way: unmapped, or into the tcache, or into a fastbin, or merged with its
//! neighbours into the unsorted bin or the top chunk, which may then be trimmed.
//!
//! Where `MALLOC_CHECK_` counts, other functions stand in front of all that: `check_hooks.rs`.
//!
//! # Words
//!
//! A *request* is the bytes a program asks for; a *payload* is the address it is given; a *chunk* is
//! the span set aside: head, payload, padding ([`chunk`] draws it). A *bin* is a place where free
//! chunks wait. A *release* is how one glibc release behaves, a row of data ([`release`]); *tunables*
//! are what the user set ([`tunables`]), *parameters* the limits in force ([`parameters`]).
//!
//! # What is absent
//!
//! No files, clocks, threads, environment variables or traces, and so no `std`: a [`Heap`](heap::Heap) is a function of
//! its calls. What it needs of a machine are two small traits ([`memory`]). What it does is told to an
//! observer ([`observe`]), which costs nothing when nobody listens. Contention, which decides arenas
//! in a live process, is for whoever makes the calls to know.
//!
//! For those who know the C: `chunksize`, `prev_inuse` → [`chunk`]; `unlink_chunk` → `list.rs`;
//! `_int_malloc` → `malloc.rs` and one method per bin; `_int_free`, `malloc_consolidate` →
//! `arena/merge.rs`; `arena_get2`, `reused_arena` → `arena/choice.rs`; `mp_` →
//! [`Tunables`](tunables::Tunables) and [`Parameters`](parameters::Parameters); `malloc_printerr` →
//! [`Corruption`](corruption::Corruption) and [`last_words`]; `int_mallinfo`, `__malloc_info`, `__malloc_stats` →
//! [`statistics`].
//!
//! ```
//! use malloscope_allocator::address::Request;
//! use malloscope_allocator::heap::Heap;
//! use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, Simulated};
//! use malloscope_allocator::memory::Processors;
//! use malloscope_allocator::release::V2_36;
//! use malloscope_allocator::thread::ThreadId;
//! use malloscope_allocator::tunables::Tunables;
//!
//! // A freed chunk is served again.
//! let machine = Simulated::new(DEFAULT_BREAK, Processors { online: 2, allowed: 2 });
//! let mut heap = Heap::new(machine, (), V2_36, &Tunables::default());
//! let payload = heap.malloc(ThreadId::MAIN, Request(100))?;
//! assert_eq!(payload, DEFAULT_BREAK + 0x2a0);
//! heap.free(ThreadId::MAIN, payload)?;
//! assert_eq!(heap.malloc(ThreadId::MAIN, Request(104))?, payload);
//! # Ok::<(), malloscope_allocator::corruption::Refusal>(())
//! ```
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod address;
pub mod adopt;
pub mod arena;
pub mod bins;
pub mod check;
mod check_hooks;
pub mod chunk;
pub mod claim;
pub mod corruption;
mod free;
#[cfg(test)]
mod fresh;
pub mod heap;
pub mod huge_pages;
pub mod last_words;
pub mod layout;
mod list;
mod malloc;
mod mallopt;
mod memalign;
pub mod memory;
pub mod observe;
pub mod parameters;
mod realloc;
pub mod release;
pub mod snapshot;
pub mod statistics;
mod system;
pub mod thread;
pub mod tunables;
pub mod whereabouts;
