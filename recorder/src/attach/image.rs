//! The agent as it lies in a process that the recorder puts it into: what a dynamic linker would do to load
//! it, done from outside.
//!
//! The agent needs no library, runs nothing when it is loaded and asks for one function, so all there is to do
//! is to lay out its segments and add its place to some words. The dynamic linker of the process knows nothing
//! of it: its locks are not taken, and nothing is allocated. A patcher is laid out in the same way: what it asks for, it is not
//! given.

use std::mem::offset_of;
use std::sync::OnceLock;

use malloscope_wire::Attachment;
use malloscope_wire::attachment::{FUNCTIONS, Function, Gate, Hook, MARK};

use crate::agent::BYTES;
use crate::program::number;

/// A page, on the one architecture we record.
const PAGE: u64 = malloscope_wire::PAGE as u64;

/// A file that is put into a process, as far as loading it is concerned.
#[derive(Debug)]
pub struct Image {
    bytes: &'static [u8],
    segments: Vec<Segment>,
    /// The words to which the agent's place is added: where they are, and what is added to it.
    moved: Vec<(u64, u64)>,
    /// The words that hold the address of a function of the process's: where they are, and its name.
    wanted: Vec<Wanted>,
    /// What it defines: where it is, and its name. Of the agent, that is its hooks.
    pub defined: Vec<(u64, String)>,
    /// Where its [`Attachment`] is, if it is the agent.
    pub attachment: u64,
    read_only: (u64, u64),
}

/// A word that holds the address of a function of others'.
#[derive(Clone, Debug)]
struct Wanted {
    at: u64,
    name: String,
    /// Whether it can do without.
    is_weak: bool,
}

/// A part of it that is to be mapped.
#[derive(Clone, Copy, Debug)]
struct Segment {
    at: u64,
    file: u64,
    file_length: u64,
    length: u64,
    flags: u64,
}

/// What is to be mapped where: a piece of the file that [`Image::laid_out`] returns, or zeros behind it.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// How far from the agent's place, and into the file.
    pub at: u64,
    /// How much.
    pub length: u64,
    /// How it may be used, as `mmap` has it.
    pub access: i32,
    /// Whether it is zeros.
    pub is_zeros: bool,
}

/// The agent's file.
pub fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| Image::of_agent().expect("the agent's file is one: we built it"))
}

impl Image {
    fn of_agent() -> Option<Image> {
        let mut image = Image::read(BYTES)?;
        let mark = BYTES.windows(MARK.len()).position(|bytes| bytes == MARK)? as u64;
        image.attachment = image.segments.iter().find_map(|segment| {
            let into = mark.checked_sub(segment.file).filter(|into| *into < segment.file_length)?;
            Some(segment.at + into)
        })?;
        Some(image)
    }

    /// Reads such a file.
    pub fn read(bytes: &'static [u8]) -> Option<Image> {
        let (at, count) = (number::<8>(bytes, 32), number::<2>(bytes, 56));
        let header = |header: u64| {
            let at = usize::try_from(at + header * 56).ok()?;
            let [file, address, file_length, length] =
                [8, 16, 32, 40].map(|field| number::<8>(bytes, at + field));
            let segment =
                Segment { at: address, file, file_length, length, flags: number::<4>(bytes, at + 4) };
            Some((u32::try_from(number::<4>(bytes, at)).ok()?, segment))
        };
        let headers: Vec<_> = (0..count).filter_map(header).collect();
        let of = |wanted: u32| {
            headers.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, segment)| *segment)
        };
        let read_only = of(libc::PT_GNU_RELRO).next().map_or((0, 0), |segment| (segment.at, segment.length));
        let mut image = Image {
            bytes,
            segments: of(libc::PT_LOAD).collect(),
            moved: Vec::new(),
            wanted: Vec::new(),
            defined: Vec::new(),
            attachment: 0,
            read_only,
        };
        image.read_dynamic(of(libc::PT_DYNAMIC).next()?)?;
        Some(image)
    }

    fn read_dynamic(&mut self, dynamic: Segment) -> Option<()> {
        let bytes = self.bytes;
        let start = usize::try_from(dynamic.file).ok()?;
        let entry = |tag: u64| {
            let entries = (start..).step_by(16).take(usize::try_from(dynamic.file_length / 16).unwrap_or(0));
            entries.into_iter().find(|at| number::<8>(bytes, *at) == tag).map(|at| number::<8>(bytes, at + 8))
        };
        let [strings, symbols] = [5, 6].map(|tag| self.in_file(entry(tag)?));
        let (strings, symbols) = (strings?, symbols?);
        let name = |symbol: usize| {
            let at = strings + usize::try_from(number::<4>(bytes, symbol)).ok()?;
            let name = bytes.get(at..)?.split(|byte| *byte == 0).next()?;
            String::from_utf8(name.to_vec()).ok()
        };
        // Those of calls are in a table of their own, where there are any.
        for (table, length) in [(7, 8), (23, 2)] {
            let (Some(table), Some(length)) = (entry(table), entry(length)) else { continue };
            for at in (self.in_file(table)?..).step_by(24).take(usize::try_from(length / 24).ok()?) {
                let (word, kind) = (number::<8>(bytes, at), number::<4>(bytes, at + 8));
                let symbol = symbols + usize::try_from(number::<4>(bytes, at + 12)).ok()? * 24;
                let (is_defined, value) =
                    (number::<2>(bytes, symbol + 6) != 0, number::<8>(bytes, symbol + 8));
                let is_weak = number::<1>(bytes, symbol + 4) >> 4 == 2;
                let added = number::<8>(bytes, at + 16);
                match kind {
                    8 => self.moved.push((word, added)),
                    1 | 6 | 7 if is_defined => self.moved.push((word, value.wrapping_add(added))),
                    1 | 6 | 7 => self.wanted.push(Wanted { at: word, name: name(symbol)?, is_weak }),
                    _ => return None,
                }
            }
        }
        // How many symbols there are is not said: they end where the next table begins, which is of hashes or versions.
        let others = [0x6fff_fef5, 0x6fff_fff0].into_iter().filter_map(|tag| self.in_file(entry(tag)?));
        let end = others.filter(|at| *at > symbols).min()?;
        for symbol in (symbols..end).step_by(24).take_while(|symbol| symbol + 24 <= end) {
            if number::<2>(bytes, symbol + 6) != 0 {
                self.defined.push((number::<8>(bytes, symbol + 8), name(symbol)?));
            }
        }
        Some(())
    }

    /// Where in the file is what has this address.
    fn in_file(&self, at: u64) -> Option<usize> {
        let segment = self
            .segments
            .iter()
            .find(|segment| (segment.at..segment.at + segment.file_length).contains(&at))?;
        usize::try_from(at - segment.at + segment.file).ok()
    }

    /// The functions of the process's whose addresses are written into it.
    pub fn wanted_functions(&self) -> impl Iterator<Item = &str> {
        self.wanted.iter().map(|wanted| wanted.name.as_str())
    }

    /// Those of them that it cannot do without.
    pub fn needed_functions(&self) -> impl Iterator<Item = &str> {
        self.wanted.iter().filter(|wanted| !wanted.is_weak).map(|wanted| wanted.name.as_str())
    }

    /// Where in it is what it defines under this name.
    pub fn find(&self, name: &str) -> Option<u64> {
        self.defined.iter().find(|(_, defined)| defined == name).map(|(at, _)| *at)
    }

    /// How much room it takes.
    pub fn length(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| segment.at + segment.length)
            .max()
            .unwrap_or(0)
            .next_multiple_of(PAGE)
    }

    /// Where code is in an agent at `base`.
    pub fn code(&self, base: u64) -> std::ops::Range<u64> {
        let is_code = |segment: &&Segment| segment.flags & u64::from(libc::PF_X) != 0;
        let code = self.segments.iter().find(is_code).map_or(0..0, |code| code.at..code.at + code.length);
        base + code.start..base + code.end
    }

    /// What an agent at `base` has there that never changes: its code. Tells one agent from another.
    pub fn constant(&self, base: u64) -> (u64, &'static [u8]) {
        let code = self.code(base);
        let bytes = self
            .in_file(code.start - base)
            .and_then(|at| self.bytes.get(at..at + usize::try_from(code.end - code.start).unwrap_or(0)));
        (code.start, bytes.unwrap_or_default())
    }

    /// The file as one of which all is where it will be in memory, for one that is put at `base`; `find`
    /// knows the functions of the process.
    pub fn laid_out(&self, base: u64, find: impl Fn(&str) -> Option<u64>) -> Vec<u8> {
        let length = self.segments.iter().map(|segment| segment.at + segment.file_length).max().unwrap_or(0);
        let mut file = vec![0; usize::try_from(length.next_multiple_of(PAGE)).unwrap_or(0)];
        let mut put = |at: u64, bytes: &[u8]| {
            if let Ok(at) = usize::try_from(at)
                && let Some(room) = file.get_mut(at..at + bytes.len())
            {
                room.copy_from_slice(bytes);
            }
        };
        for segment in &self.segments {
            let range =
                [segment.file, segment.file + segment.file_length].map(|at| usize::try_from(at).unwrap_or(0));
            put(segment.at, self.bytes.get(range[0]..range[1]).unwrap_or_default());
        }
        for (at, added) in &self.moved {
            put(*at, &base.wrapping_add(*added).to_le_bytes());
        }
        for Wanted { at, name, .. } in &self.wanted {
            put(*at, &find(name).unwrap_or(0).to_le_bytes());
        }
        file
    }

    /// How it is mapped.
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for segment in &self.segments {
            let start = segment.at / PAGE * PAGE;
            let file_end = (segment.at + segment.file_length).next_multiple_of(PAGE);
            let end = (segment.at + segment.length).next_multiple_of(PAGE);
            let sealed_end = self.read_only.0 + self.read_only.1;
            let is_sealed = self.read_only.0 <= segment.at && segment.at + segment.length <= sealed_end;
            let access = access(segment.flags, is_sealed);
            pieces.push(Piece { at: start, length: file_end - start, access, is_zeros: false });
            if end > file_end {
                pieces.push(Piece { at: file_end, length: end - file_end, access, is_zeros: true });
            }
        }
        pieces
    }
}

/// How a segment with these flags is used; one that is sealed is not written once it is there.
fn access(flags: u64, is_sealed: bool) -> i32 {
    let pairs =
        [(libc::PF_R, libc::PROT_READ), (libc::PF_W, libc::PROT_WRITE), (libc::PF_X, libc::PROT_EXEC)];
    let used = pairs.into_iter().filter(|(flag, _)| flags & u64::from(*flag) != 0);
    let used = used.filter(|(flag, _)| *flag != libc::PF_W || !is_sealed);
    used.fold(0, |access, (_, used)| access | used)
}

/// Where an agent at `base` has a field of its [`Attachment`].
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    base: u64,
}

/// Defines where each field is.
macro_rules! fields {
    ($($(#[$about:meta])* $name:ident)*) => {
        impl Fields {
            $($(#[$about])* pub fn $name(self) -> u64 {
                self.base + image().attachment + offset_of!(Attachment, $name) as u64
            })*
        }
    };
}

fields! {
    /// The recorder that is attached.
    recorder
    /// When that began.
    recorder_began
    /// The number of the process's entry.
    process
    /// The serial of that.
    serial
    /// Whether process ids differ.
    names_differ
    /// Where the shared memory is.
    memory
    /// Where its banks are.
    banks
    /// What is wiped.
    wiped
    /// How much.
    wiped_length
    /// How far the shortcut is from a thread pointer.
    shortcut
    /// What threads keep.
    kept
    /// The functions the agent calls.
    functions
    /// What is hooked.
    hooks
    /// Whose calls are nobody's.
    own
    /// What was patched.
    patches
}

impl Fields {
    /// Those of an agent at `base`.
    pub fn at(base: u64) -> Fields {
        Fields { base }
    }

    /// The functions the agent wants to know: where to write their addresses, and their names.
    pub fn wanted(self) -> Vec<(u64, String)> {
        let functions = self.functions();
        let in_file = image().in_file(functions - self.base).unwrap_or(0);
        let wanted = (0..FUNCTIONS).map_while(|i| {
            let at = i * size_of::<Function>();
            let name =
                BYTES.get(in_file + at + offset_of!(Function, name)..)?.split(|byte| *byte == 0).next()?;
            let address = functions + (at + offset_of!(Function, address)) as u64;
            (!name.is_empty()).then(|| (address, String::from_utf8_lossy(name).into_owned()))
        });
        wanted.collect()
    }

    /// Where each gate is.
    pub fn gates(self) -> impl Iterator<Item = u64> {
        let gates = self.base + image().attachment + offset_of!(Attachment, gates) as u64;
        (0..FUNCTIONS).map(move |i| gates + (i * size_of::<Gate>()) as u64)
    }

    /// Where the words of each hook are: where it is, and where what it stands before is.
    pub fn pairs(self) -> impl Iterator<Item = (u64, u64)> {
        let pair = move |i: usize| {
            let at = self.hooks() + (i * size_of::<Hook>()) as u64;
            (at + offset_of!(Hook, at) as u64, at + offset_of!(Hook, original) as u64)
        };
        (0..FUNCTIONS).map(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_can_be_laid_out() {
        let image = image();
        let file = image.laid_out(0x10_0000, |name| (name == "dl_iterate_phdr").then_some(0x1234));
        assert!(image.defined.iter().any(|(_, name)| name == "malloc"));
        assert_eq!(image.wanted.len(), 1);
        let word = |at: u64| number::<8>(&file, usize::try_from(at).unwrap());
        assert_eq!(word(image.wanted[0].at), 0x1234);
        let wiped = word(Fields::at(0).wiped());
        assert!(wiped >= 0x10_0000 && wiped < 0x10_0000 + image.length());
        let names: Vec<String> = Fields::at(0).wanted().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names.first().map(String::as_str), Some("malloc"));
        assert_eq!(names.last().map(String::as_str), Some("__rseq_size"));
        assert!(image.pieces().iter().all(|piece| piece.at % PAGE == 0 && piece.length % PAGE == 0));
    }
}
