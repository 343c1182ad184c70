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
