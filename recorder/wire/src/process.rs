//! What a process says of itself at its first call, before anything is recorded of it.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Bytes of a [`Process`], text included.
const BYTES: usize = 16 * 1024;

/// Bytes of names and arguments; what does not fit is left out.
pub const TEXT_BYTES: usize = BYTES - 128;

/// A process's entry. The process writes it, sets `state` to ready, and leaves it alone but for `lost`.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Process {
    /// A [`State`].
    pub state: AtomicU32,
    /// The process's id.
    pub pid: AtomicU32,
    /// Its parent's.
    pub parent: AtomicU32,
    /// Whether it is recorded, or why not: a [`Verdict`].
    pub verdict: AtomicU32,
    /// A number no other entry of this recording has had.
    pub serial: AtomicU64,
    /// For a copy made by `fork` or its like: the serial of the process it is a copy of. 0 for a
    /// program that was started by `execve`.
    pub copy_of: AtomicU64,
    /// For a copy: what [`Kind::Fork`](crate::slot::Kind::Fork) in its parent's ring is marked
    /// with. 0 if the parent's agent did not see it being made.
    pub ticket: AtomicU64,
    /// When, in ticks.
    pub began: AtomicU64,
    /// The program break then.
    pub program_break: AtomicU64,
    /// Calls not recorded because no ring was free.
    pub lost: AtomicU64,
    /// Whether the process is about to end, and its memory has been looked at: a [`Leaving`].
    pub leaving: AtomicU32,
    /// Whether the process may ask the kernel which of its pages were touched. The recorder writes it, and takes it
    /// back: a process with filters of system calls may die of one it did not expect, and of what is in swap
    /// the kernel says that it is not there.
    pub may_look: AtomicU32,
    /// How much of `text` is used.
    pub text_length: AtomicU32,
    /// Names and arguments: see [`Text`].
    pub text: Text,
}

const _: () = assert!(size_of::<Process>() == BYTES);

/// How far the end of a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Leaving {
    /// It runs.
    Not,
    /// It is about to end, and waits a little for the recorder to look at its memory.
    Asks,
    /// The recorder has looked.
    Seen,
}

/// How far an entry has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Nobody has it.
    Free,
    /// A process is filling it in.
    Taken,
    /// It is filled in.
    Ready,
}

/// Whether a process is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Verdict {
    /// It is.
    Recorded,
    /// Its malloc is not glibc's; the text names the file it comes from.
    AnotherAllocator,
    /// Its kernel has no `MADV_WIPEONFORK` (4.14), without which a copy of it could not be told from it.
    OldKernel,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Verdict; 3] = [Verdict::Recorded, Verdict::AnotherAllocator, Verdict::OldKernel];
}

/// Names and arguments, one after the other: a [`Label`], two bytes of length, that many bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Text([AtomicU8; TEXT_BYTES]);

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Label {
    /// The path of the executable.
    Executable = 1,
    /// The next argument.
    Argument,
    /// An environment variable, `NAME=value`.
    Variable,
    /// The file the C library (or whatever the malloc is) was loaded from.
    LibcPath,
    /// Its version.
    LibcVersion,
    /// Its build id, in binary.
    LibcBuildId,
}

impl Label {
    /// Every label.
    pub const ALL: [Label; 6] = [
        Label::Executable,
        Label::Argument,
        Label::Variable,
        Label::LibcPath,
        Label::LibcVersion,
        Label::LibcBuildId,
    ];
}

impl Text {
    /// Appends a piece behind `used` bytes. Returns how many are used then; a piece that does not
    /// fit is left out.
    pub fn append(&self, used: usize, label: Label, piece: impl ExactSizeIterator<Item = u8>) -> usize {
        let length = piece.len();
        let end = used + 3 + length;
        let (Ok(short), Some(room)) = (u16::try_from(length), self.0.get(used..end)) else {
            return used;
        };
        let [low, high] = short.to_le_bytes();
        let bytes = [label as u8, low, high].into_iter().chain(piece);
        for (at, byte) in room.iter().zip(bytes) {
            at.store(byte, Ordering::Relaxed);
        }
        end
    }

    /// A copy of the first `used` bytes, as far as there are that many, one by one.
    pub fn bytes(&self, used: usize) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().take(used).map(|byte| byte.load(Ordering::Relaxed))
    }
}

/// The pieces in a copy of a [`Text`], as far as they make sense.
pub fn pieces(mut bytes: &[u8]) -> impl Iterator<Item = (Label, &[u8])> {
    core::iter::from_fn(move || {
        let [label, low, high, rest @ ..] = bytes else {
            return None;
        };
        let label = Label::ALL.into_iter().find(|known| *known as u8 == *label)?;
        let (piece, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))?;
        bytes = rest;
        Some((label, piece))
    })
}
