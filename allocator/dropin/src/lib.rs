//! The twin as a malloc for whole programs: `LD_PRELOAD=libmalloscope_malloc.so program`.
//!
//! Whatever the program asks of malloc, the twin answers, over this process's real program break and
//! mappings; glibc's own malloc is never called. It is a lock around the twin, meant for checking the
//! twin against the world and not for speed. The way of a call: [`entry`] is what the program calls;
//! it goes to the one [`twin`] behind the one [`lock`], as the thread that [`roster`] knows the caller
//! to be, and comes back as an address, an `errno`, or the end of the process ([`answer`]). The twin is made
//! by the first call, as the environment says ([`settings`]); [`fork`] and thread exits ([`key`]) are told
//! to it; [`statistics`] asks it, and [`report`] writes at exit what its bins have done. [`memory`]
//! is where the twin's own Rust values live, and [`system`] all we ask of the kernel for ourselves.
//!
//! # What it must not do
//!
//! It *is* malloc, so nothing that it calls may call malloc. There is no `std` in it, whose
//! thread-local variables would also change what glibc asks for each thread. A profile that aborts
//! on panic makes the file that is meant, `cargo build --profile agent`; in others, which only lints and
//! tests build, Rust insists on `std`.
//!
//! # What differs from glibc
//!
//! One lock for all: threads never contend for an arena, so none is passed over as locked. A thread
//! is noticed by its first call. It gives its cache back in the last round of the destructors of
//! thread-specific data, which is just before glibc does; what libc still frees of the thread's own after
//! that, goes past the cache. A signal handler that calls malloc in the middle of malloc is told so and
//! aborted: in glibc it may deadlock.
//!
//! # Unsafe code
//!
//! What could go wrong: a program may free what it was not given, and write where it should not; then
//! what the twin reads is damaged, as glibc's would be, and it says so or dies. Who promises what: the
//! program, that it keeps to malloc(3) and takes nothing off the break that it did not put there, which is
//! what [`Process`](malloscope_allocator::memory::process::Process) asks, and glibc too; the [`lock`], that
//! one thread at a time has the twin.
#![cfg_attr(panic = "abort", no_std)]
#![expect(unsafe_code, reason = "see above")]

extern crate alloc;

pub mod answer;
pub mod entry;
pub mod fork;
pub mod key;
pub mod lock;
pub mod memory;
pub mod report;
pub mod roster;
pub mod settings;
pub mod statistics;
pub mod system;
pub mod twin;

#[cfg(panic = "abort")]
mod freestanding;
