//! A process that left a core file: its memory, its threads and what it had mapped, as the kernel wrote them down.
//!
//! ```text
//!   ELF header          type: core; where the program headers are
//!   program headers     notes; and a part of memory each: address, length, and where in the file so much of it is
//!   notes               of each thread its id and its registers; of the process its arguments, and the files mapped
//! ```
//!
//! Kernels leave out what can be read from a mapped file; nothing of that is needed here. A file that is not as it
//! should be is an error, whatever it says of lengths.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use malloscope_traces::Header;
use malloscope_traces::header::{self, Program};

use super::copy::{Memory, Range};
use super::maps::Mapped;
use super::{HeapError, Rehearsed, Source, Taken, capture, facts};
use crate::host;

const PROGRAM_HEADER: u64 = 56;
/// The most that is read of headers and of notes.
const MOST_HEADERS: u64 = 1 << 24;
const MOST_NOTES: u64 = 1 << 28;
/// A program header that says how many there are is the first section's, if that is not enough.
const TOO_MANY: u64 = 0xffff;
const PT_LOAD: u64 = 1;
const PT_NOTE: u64 = 4;
const WRITABLE: u64 = 2;
const NT_PRSTATUS: u64 = 1;
const NT_PSINFO: u64 = 3;
const NT_FILE: u64 = 0x4649_4c45;
/// In a thread's note: its id, and its register `fs_base`, the 22nd.
const THREAD_ID: u64 = 32;
const THREAD_POINTER: u64 = 112 + 8 * 21;
/// In the process's note: its id, its parent's, and its arguments.
const PROCESS_ID: u64 = 24;
const PARENT_ID: u64 = 28;
const ARGUMENTS: u64 = 56;
const ARGUMENTS_END: u64 = 136;

/// A part of memory, and where in the file it is, as far as it is.
#[derive(Clone, Copy, Debug)]
struct Part {
    range: Range,
    at: u64,
    stored: u64,
    is_writable: bool,
}

/// A core file.
struct Core {
    file: File,
    /// In the order of their addresses.
    parts: Vec<Part>,
    threads: Vec<(u32, u64)>,
    files: Vec<(Range, String)>,
    process: (u32, u32, String),
}

/// Takes the heap of the process.
pub fn take(path: &Path, exe: &Path) -> Result<Taken, HeapError> {
    let wrong = |reason| HeapError::Core { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|_| wrong("the file cannot be opened"))?;
    let core = Core::read(file).map_err(wrong)?;
    let source = Source { memory: &core, maps: core.maps(), threads: core.threads.clone(), pages: None };
    let captured = capture(source, &mut Rehearsed::default())?;
    let snapshot = captured.parse()?;
    let program = exe.canonicalize().unwrap_or_else(|_| exe.to_owned()).display().to_string();
    // A program that has its malloc inside is its own C library, wherever it lay then.
    let is_own = core.files.iter().any(|(_, name)| *name == captured.library)
        && Path::new(&captured.library).file_name() == exe.file_name();
    let library = if is_own { program.clone() } else { captured.library.clone() };
    let (pid, parent, arguments) = core.process;
    let header = Header {
        recorder: concat!("malloscope ", env!("CARGO_PKG_VERSION")).to_owned(),
        program: Program {
            path: program,
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            pid,
            parent,
            environment: Vec::new(),
        },
        host: header::Host { page_size: super::copy::PAGE, ..host::facts(0) },
        libc: facts::describe(Path::new(&library), &library),
        heap: header::Heap { initial_break: snapshot.limits.heap_start, placements: true },
        ..Header::default()
    };
    Ok(Taken { header, snapshot })
}

/// The number of so many bytes that is there.
fn number(bytes: &[u8], at: u64, length: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let found = bytes.get(at..at.checked_add(length)?)?;
    Some(found.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

impl Core {
    fn read(file: File) -> Result<Core, &'static str> {
        const NO_CORE: &str = "this is no core file of a 64-bit process for x86-64";
        let bytes = |at: u64, length: u64, most: u64| {
            let length = usize::try_from(length).ok().filter(|_| length <= most)?;
            // No more than the file has.
            let left = file.metadata().ok()?.len().checked_sub(at)?;
            let mut bytes = vec![0; length.min(usize::try_from(left).unwrap_or(0))];
            file.read_exact_at(&mut bytes, at).ok()?;
            Some(bytes)
        };
        let head = bytes(0, 64, 64).ok_or(NO_CORE)?;
        let field = |at, length| number(&head, at, length).ok_or(NO_CORE);
        let is_core = head.starts_with(b"\x7fELF\x02\x01")
            && field(16, 2)? == u64::from(libc::ET_CORE)
            && field(18, 2)? == u64::from(libc::EM_X86_64)
            && field(54, 2)? == PROGRAM_HEADER;
        if !is_core {
            return Err(NO_CORE);
        }
        let mut count = field(56, 2)?;
        if count == TOO_MANY {
            let section = bytes(field(40, 8)?, 64, 64).ok_or("its first section cannot be read")?;
            count = number(&section, 44, 4).ok_or("its first section cannot be read")?;
        }
        let headers = bytes(field(32, 8)?, count.saturating_mul(PROGRAM_HEADER), MOST_HEADERS);
        let headers = headers.ok_or("its program headers cannot be read")?;
        let (mut parts, mut notes) = (Vec::new(), Vec::new());
        for header in headers.chunks_exact(56) {
            let field = |at, length| number(header, at, length).unwrap_or(0);
            let (at, start, stored, length) = (field(8, 8), field(16, 8), field(32, 8), field(40, 8));
            match field(0, 4) {
                PT_LOAD => parts.push(Part {
                    range: Range { start, end: start.saturating_add(length) },
                    at,
                    stored,
                    is_writable: field(4, 4) & WRITABLE != 0,
                }),
                PT_NOTE => notes.push(bytes(at, stored, MOST_NOTES).ok_or("its notes cannot be read")?),
                _ => {}
            }
        }
        parts.sort_unstable_by_key(|part: &Part| part.range.start);
        let mut core =
            Core { file, parts, threads: Vec::new(), files: Vec::new(), process: Default::default() };
        notes.iter().try_for_each(|notes| core.read_notes(notes)).ok_or("its notes are broken off")?;
        // The one that was running comes first; the process's own is to.
        let pid = core.process.0;
        core.threads.sort_by_key(|thread| thread.0 != pid);
        if core.threads.is_empty() { Err("it has no threads") } else { Ok(core) }
    }

    fn read_notes(&mut self, notes: &[u8]) -> Option<()> {
        let mut at = 0;
        while at + 12 <= notes.len() as u64 {
            let field = |place| number(notes, at + place, 4);
            let (name, length, kind) = (field(0)?, field(4)?, field(8)?);
            let start = at + 12 + name.next_multiple_of(4);
            let end = start + length;
            let body = notes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)?;
            match kind {
                NT_PRSTATUS => {
                    let id = u32::try_from(number(body, THREAD_ID, 4)?).ok()?;
                    self.threads.push((id, number(body, THREAD_POINTER, 8)?));
                }
                NT_PSINFO => {
                    let id = |at| u32::try_from(number(body, at, 4)?).ok();
                    let text =
                        body.get(usize::try_from(ARGUMENTS).ok()?..usize::try_from(ARGUMENTS_END).ok()?)?;
                    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                    self.process =
                        (id(PROCESS_ID)?, id(PARENT_ID)?, String::from_utf8_lossy(text).trim().to_owned());
                }
                NT_FILE => self.read_files(body)?,
                _ => {}
            }
            at = end.next_multiple_of(4);
        }
        Some(())
    }

    /// The files that were mapped: how many, the size of a page, three words each, and then their names.
    fn read_files(&mut self, body: &[u8]) -> Option<()> {
        let count = number(body, 0, 8)?;
        let names = count.checked_mul(24)?.checked_add(16)?;
        let mut names = body.get(usize::try_from(names).ok()?..)?.split(|byte| *byte == 0);
        for file in 0..count {
            let at = 16 + file * 24;
            let range = Range { start: number(body, at, 8)?, end: number(body, at + 8, 8)? };
            self.files.push((range, String::from_utf8_lossy(names.next()?).into_owned()));
        }
        Some(())
    }

    /// What the process had mapped.
    fn maps(&self) -> Vec<Mapped> {
        let name = |part: &Part| {
            let of = |(range, _): &&(Range, String)| range.contains(part.range.start);
            self.files.iter().find(of).map(|(_, name)| name.clone()).unwrap_or_default()
        };
        let mapped = |part: &Part| Mapped {
            range: part.range,
            is_private_and_writable: part.is_writable && part.stored > 0,
            is_code: false,
            is_accessible: true,
            name: name(part),
        };
        self.parts.iter().map(mapped).collect()
    }
}

impl Memory for Core {
    fn read(&self, parts: &[Range], mut into: &mut [u8]) -> io::Result<()> {
        for wanted in parts {
            let length = usize::try_from(wanted.length()).map_err(|_| io::ErrorKind::InvalidInput)?;
            let (buffer, rest) = into.split_at_mut_checked(length).ok_or(io::ErrorKind::InvalidInput)?;
            let after = self.parts.partition_point(|part| part.range.start <= wanted.start);
            let part = after
                .checked_sub(1)
                .and_then(|place| self.parts.get(place))
                .ok_or(io::ErrorKind::NotFound)?;
            let offset = wanted.start - part.range.start;
            if wanted.end > part.range.start.saturating_add(part.stored) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.file.read_exact_at(buffer, part.at.saturating_add(offset))?;
            into = rest;
        }
        Ok(())
    }
}
