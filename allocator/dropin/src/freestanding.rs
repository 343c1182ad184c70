//! What becomes of a panic where there is no `std`: a line on stderr, and the process aborts.

use crate::system;
use core::fmt::{self, Write};
use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Memory may be what is lacking, so nothing is put together first.
    let _ = writeln!(Stderr, "malloscope: {info}");
    system::abort()
}

struct Stderr;

impl Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        system::say(text);
        Ok(())
    }
}

// What goes through stack frames while a panic unwinds them: the parts of Rust's library that come compiled
// name it. Here a panic aborts, so it is never called; and it is nobody's else to see.
core::arch::global_asm!(
    ".globl rust_eh_personality, _Unwind_Resume",
    ".hidden rust_eh_personality, _Unwind_Resume",
    "rust_eh_personality:",
    "_Unwind_Resume:",
    "ud2",
);
