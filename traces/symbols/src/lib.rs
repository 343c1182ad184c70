//! Addresses become functions, files and lines, with inlined calls, after a recording is over.
//!
//! A [`Symbolizer`] takes the modules and frames of a trace and goes through the modules one by one: it
//! finds each one's file and its debug information ([`Search`]), and looks the addresses up. What it found
//! is a [`Symbols`](malloscope_traces::Symbols), the same as a trace can carry; [`Names`] turns a stack
//! into the lines that people see, wherever the symbols came from.
//!
//! # What holds
//!
//! **A wrong name is worse than none.** A file is used only if its build id is the module's; a module
//! without one only if the file at its path has none either and has the same extent. A file of debug
//! information must have the build id of its program or library, or the checksum that this asks for. An
//! address behind the end of a symbol does not get its name. What has no name is shown as `module+0xoffset`.
//!
//! **Files are hostile input.** They are read section by section, with a limit on what is read and
//! unpacked, and no more than one module is in memory at a time. Demangled names are cut off where
//! they grow beyond sense.
//!
//! **Nobody is asked who need not be.** Servers are asked only if `DEBUGINFOD_URLS` is set.
//!
//! # Whose code does the work
//!
//! `addr2line`, `gimli` and `object`, which the Rust standard library's own backtraces are made of. They
//! leave the finding of files to us, and that is where the promises above are kept. `wholesym` would do
//! that too, with 169 crates and an async runtime; `blazesym` is small, but does not follow
//! `.gnu_debugaltlink`, does not compare build ids, and maps files that others may truncate.
//!
//! Not read: split DWARF (`.dwo`, `.dwp`), whose functions get the names of the symbol table and the lines
//! of the skeleton; and DWARF 5's `.debug_sup`, which dwz writes only when it is asked to.
//!
//! # Where to read on
//!
//! | | |
//! |---|---|
//! | [`Symbolizer`], [`Resolution`] | modules and addresses in, symbols and what is missing out |
//! | [`Names`], [`Named`] | what is shown for a stack |
//! | [`Search`], [`Debuginfod`] | where files may be |
//! | `file`, `symbol_table`, `debug_information`, `demangle` | what is in them |
#![forbid(unsafe_code)]

mod debug_information;
mod debuginfod;
mod demangle;
mod file;
mod names;
mod search;
mod symbol_table;
mod symbolizer;

pub use debuginfod::Debuginfod;
pub use names::{Named, Names, names};
pub use search::Search;
pub use symbolizer::{Lines, Missing, Progress, Resolution, Resolved, Symbolizer, addresses};
