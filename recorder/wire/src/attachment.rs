//! What the recorder and an agent that it put into a running process tell each other before there are rings,
//! and after.
//!
//! It lies in the agent, where the recorder finds it by [`MARK`] in the agent's file and in the process's memory: it
//! writes there while all threads are stopped. An agent that a program was started with finds out itself
//! what is told here, and keeps it in the same place.

use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};

use crate::BANKS;

/// Begins the attachment in the agent's file.
pub const MARK: [u8; 32] = *b"malloscope's attachment is here:";

/// Bytes of a function's name, with the zero behind it.
pub const NAME_BYTES: usize = 24;

/// How many functions an agent may ask for.
pub const FUNCTIONS: usize = 32;

/// [`Wiped`](Attachment::wiped) begins with a word that says how far a process has come; this is that of
/// one the recorder has attached to, before the first call of any of its threads. Zero is a copy of it.
pub const SEATED: u32 = 4;

/// What is told.
#[repr(C)]
pub struct Attachment {
    mark: [AtomicU8; MARK.len()],
    /// The process id of the recorder that is attached; 0 if none is.
    pub recorder: AtomicU32,
    /// The number of the process's entry, while a recorder is attached.
    pub process: AtomicU32,
    /// When that recorder began, in the kernel's ticks since the machine did: with its id, this tells it from
    /// all others.
    pub recorder_began: AtomicU64,
    /// The serial of the process's entry; in a copy that has not arrived, of its parent's.
    pub serial: AtomicU64,
    /// 1 if process ids are other numbers for the recorder than for the process: then copies of it cannot be
    /// told from each other, and are not recorded.
    pub names_differ: AtomicU32,
    reserved: AtomicU32,
    /// Where [`Shared`](crate::Shared) is mapped; 0 if it never was. Where a recorder has left, private
    /// memory is mapped there that says that it ended, for a thread that is yet on its way to a ring.
    pub memory: AtomicUsize,
    /// The same of each bank.
    pub banks: [AtomicUsize; BANKS],
    /// What is zeros in a copy of the process, and whenever a recorder attaches.
    pub wiped: AtomicPtr<()>,
    /// How much that is.
    pub wiped_length: AtomicUsize,
    /// How far from each thread pointer the agent keeps a pointer to what is in there; 0 if nowhere.
    pub shortcut: AtomicUsize,
    /// What threads keep for their stacks: the first [`Kept`].
    pub kept: AtomicUsize,
    /// The functions the agent calls.
    pub functions: [Function; FUNCTIONS],
    /// What stands where the program would find another function, while a recorder is attached.
    pub hooks: [Hook; FUNCTIONS],
    /// What functions that are patched begin with a jump to.
    pub gates: [Gate; FUNCTIONS],
    /// Code whose calls of them are nobody's: the agent's, and that of malloc itself.
    pub own: [Span; 2],
    /// The functions that were ever patched in this process.
    pub patches: [Patch; FUNCTIONS],
}

/// How much of a function is kept of how it begins. A jump takes up to 16 bytes, and goes on to the end of an instruction.
pub const BEGINNING: usize = 32;

/// The agent's part in patching a function: see [`bench`](crate::bench).
#[repr(C)]
pub struct Gate {
    /// The function's name, ended by zeros; empty behind the last.
    pub name: [AtomicU8; NAME_BYTES],
    /// What is to stand before it.
    pub at: AtomicPtr<()>,
    /// Where the agent keeps the address that it calls the function at.
    pub real: AtomicPtr<()>,
}

/// Addresses that follow one another.
#[repr(C)]
pub struct Span {
    /// The first.
    pub start: AtomicUsize,
    /// How many.
    pub length: AtomicUsize,
}

/// A function that is patched, or was.
#[repr(C)]
pub struct Patch {
    /// Where it is; 0 behind the last.
    pub function: AtomicUsize,
    /// What does the same as it did.
    pub original: AtomicUsize,
    /// How it begins when nobody is attached.
    pub before: [AtomicU8; BEGINNING],
    /// How it begins when somebody is.
    pub after: [AtomicU8; BEGINNING],
}

/// A function of the agent's that stands before one of the program's.
#[repr(C)]
pub struct Hook {
    /// Where it is; 0 behind the last.
    pub at: AtomicUsize,
    /// Where that of the program is.
    pub original: AtomicUsize,
}

/// A function that the agent calls.
#[repr(C)]
pub struct Function {
    /// Its name, ended by zeros; empty behind the last.
    pub name: [AtomicU8; NAME_BYTES],
    /// Where it is; 0 if there is none.
    pub address: AtomicUsize,
}

/// What a thread keeps for its stacks: a mapping, which begins so. A [`Table`] follows.
#[repr(C)]
pub struct Kept {
    /// The next; 0 if there is none.
    pub next: AtomicUsize,
    /// How long it is.
    pub length: AtomicUsize,
    /// Not 0 while somebody is at it.
    pub busy: AtomicUsize,
}

/// Another mapping that belongs to it: a table of frames.
#[repr(C)]
#[derive(Default)]
pub struct Table {
    /// Where it is; 0 before there is one.
    pub at: AtomicUsize,
    /// How many entries it has, as a power of two.
    pub size_log2: AtomicU32,
    /// How many of them are frames.
    pub count: AtomicU32,
}

/// Bytes of a table's entry.
pub const ENTRY_BYTES: usize = 16;

impl Attachment {
    /// What an agent begins with, which asks for these functions, has these gates, and has so much there that is to be
    /// wiped.
    pub const fn blank<const GATES: usize>(
        names: &[&str],
        gates: [Gate; GATES],
        wiped: *mut (),
        wiped_length: usize,
    ) -> Attachment {
        assert!(names.len() < FUNCTIONS);
        let mut mark = [const { AtomicU8::new(0) }; MARK.len()];
        let mut i = 0;
        while i < MARK.len() {
            mark[i] = AtomicU8::new(MARK[i]);
            i += 1;
        }
        let mut functions = [const { Function::none() }; FUNCTIONS];
        let mut i = 0;
        while i < names.len() {
            functions[i] = Function::named(names[i]);
            i += 1;
        }
        Attachment {
            mark,
            recorder: AtomicU32::new(0),
            process: AtomicU32::new(0),
            recorder_began: AtomicU64::new(0),
            serial: AtomicU64::new(0),
            names_differ: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
            memory: AtomicUsize::new(0),
            banks: [const { AtomicUsize::new(0) }; BANKS],
            wiped: AtomicPtr::new(wiped),
            wiped_length: AtomicUsize::new(wiped_length),
            shortcut: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            functions,
            hooks: [const { Hook { at: AtomicUsize::new(0), original: AtomicUsize::new(0) } }; FUNCTIONS],
            gates: all_gates(gates),
            own: [const { Span { start: AtomicUsize::new(0), length: AtomicUsize::new(0) } }; 2],
            patches: [const { Patch::none() }; FUNCTIONS],
        }
    }
}

/// These gates, and none behind them.
const fn all_gates<const GATES: usize>(mut gates: [Gate; GATES]) -> [Gate; FUNCTIONS] {
    assert!(GATES < FUNCTIONS);
    let mut all = [const { Gate::of("", ptr::null_mut(), ptr::null_mut()) }; FUNCTIONS];
    let mut i = 0;
    while i < GATES {
        mem::swap(&mut all[i], &mut gates[i]);
        i += 1;
    }
    all
}

impl Gate {
    /// A gate to the function of this name, which is so much of the agent's.
    pub const fn of(name: &str, at: *mut (), real: *mut ()) -> Gate {
        Gate { name: Function::named(name).name, at: AtomicPtr::new(at), real: AtomicPtr::new(real) }
    }
}

impl Patch {
    const fn none() -> Patch {
        const fn bytes() -> [AtomicU8; BEGINNING] {
            [const { AtomicU8::new(0) }; BEGINNING]
        }
        Patch {
            function: AtomicUsize::new(0),
            original: AtomicUsize::new(0),
            before: bytes(),
            after: bytes(),
        }
    }
}

impl Function {
    const fn none() -> Function {
        Function { name: [const { AtomicU8::new(0) }; NAME_BYTES], address: AtomicUsize::new(0) }
    }

    const fn named(name: &str) -> Function {
        let (bytes, mut function) = (name.as_bytes(), Function::none());
        assert!(bytes.len() < NAME_BYTES);
        let mut i = 0;
        while i < bytes.len() {
            function.name[i] = AtomicU8::new(bytes[i]);
            i += 1;
        }
        function
    }
}
