//! What is loaded into the recorded program: it stands before malloc and writes down every call.
//!
//! The way of a call, file by file: [`hooks`] is what the program calls; it calls the [`real`]
//! function, takes its thread's [lane] to a ring in shared memory and writes a slot. That is
//! all, nearly always. When the lane is not there or the ring is full, [`enrol`] sees to it: a
//! process [arrives](arrival) with its first call, maps the [memory] and says what it is; a thread
//! gets a ring, or waits for [room] in it; its [exit] and a [`fork`] are recorded too.
//! [`objects`], [`stack`], [`system`] and [`clock`] are what we need of the world, without libc.
//!
//! The same file can be run as a program, which tells what a libc does: see [`probe`]. Nothing of that
//! happens in a recorded one.
//!
//! # What we do not do to a stranger's process
//!
//! We never call malloc, nor anything that might. We start no thread, set no signal handler and
//! have no constructor. We have no thread-local storage and no dependencies: nothing but weak
//! symbols is asked of the process, so we can fail to record but not to load. One file is opened at
//! the first call, mapped and closed before that call returns, and none after that. `errno` is what the
//! real function left. We panic nowhere; a test looks for it in the finished file.
//!
//! # Unsafe code
//!
//! What could go wrong: this crate calls C functions by address, reads the dynamic linker's tables
//! and writes memory another process reads. Who promises what: the program, that its calls of
//! malloc are as C wants them; the dynamic linker, that its tables are right; [`memory`], that what
//! was mapped stays mapped, so that references to it may be `'static`. What is shared holds atomics only.
#![no_std]
#![expect(unsafe_code, reason = "see above")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "addresses have 64 bits on the one architecture we record, and counts are less than constants of ours"
)]

pub mod arrival;
pub mod attachment;
pub mod callers;
pub mod calls;
pub mod cfi;
pub mod clock;
pub mod enrol;
pub mod exit;
pub mod filters;
pub mod fork;
pub mod gates;
pub mod giving_back;
pub mod hooks;
pub mod interruption;
pub mod lane;
pub mod leaving;
pub mod memory;
pub mod modules;
pub mod objects;
pub mod probe;
pub mod real;
pub mod room;
pub mod rules;
pub mod shortcut;
pub mod stack;
pub mod system;
pub mod threads;
pub mod tree;
pub mod walk;

#[cfg(all(panic = "abort", not(test)))]
mod filling;
#[cfg(all(panic = "abort", not(test)))]
mod freestanding;
