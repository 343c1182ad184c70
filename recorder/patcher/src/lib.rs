//! What is put into a process that stands still, to patch functions of it, and taken out again: frida-gum, and as much of
//! a C library as that needs.
//!
//! The recorder lays it out from outside, has one thread of the process run it on a stack that is made for that, and
//! brings the thread back to where it was. So it calls nothing of the process and makes no system call, but for the one that
//! says how it ended: [`footing`] has the functions of a C library that gum calls, over memory that the recorder
//! made room for. Where it asks for any other, it is ended, and the recorder puts back what was changed.
//!
//! What is left of it in the process is the code that gum made, which does what the beginnings of the patched functions did.
//! Gum itself is never asked to take a patch back: it would use that code's room again, and a thread may be on its way there. The
//! recorder writes back what stood there.
//!
//! Without the feature `gum` there is no gum in it, and nobody uses it.
//!
//! # Unsafe code
//!
//! What could go wrong: gum writes over functions of a stranger's process, and is given C functions that keep to less than the
//! C library's. Who promises what: the recorder, that all other threads stand still, none of them within what is
//! overwritten, and that what [`Bench`](malloscope_wire::bench::Bench) says of functions and memory is so; [`footing`],
//! that only one thread is ever in it.
#![no_std]
#![expect(unsafe_code, reason = "see above")]

pub mod bench;
pub mod footing;
#[cfg(feature = "gum")]
pub mod patch;

#[cfg(all(feature = "gum", panic = "abort", not(test)))]
#[path = "../../agent/src/filling.rs"]
mod filling;

#[cfg(all(feature = "gum", panic = "abort", not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    bench::end(malloscope_wire::bench::Ending::GaveUp)
}
