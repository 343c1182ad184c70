//! Patching the functions of malloc themselves, by frida-gum: then calls come to the agent that no word leads to.
//!
//! While all threads stand still, a patcher is laid out in the process, and one of its threads runs it: gum makes code
//! that does what the first instructions of each function did, and has each function begin with a jump to its
//! [gate](Gate). Then the patcher is taken out, with all the memory that it had; only the code that gum made
//! stays, for good, since a thread may always be on its way there. How each function began before and how it
//! begins now is written down in the agent. So everything after that is writing bytes: leaving, coming again, and cleaning up
//! after a recorder that was killed need no gum.
//!
//! A thread that stands within what is overwritten, behind its first byte, would go on in the midst of a jump. It is led out, as
//! threads are led out of malloc; and one that may come back there, because a signal interrupted it there, is
//! waited for.

use std::io;
use std::mem::offset_of;

use malloscope_wire::attachment::{BEGINNING, FUNCTIONS, Gate, NAME_BYTES, Patch, Span};

use super::hooks::{Survey, Way};
use super::image::{Fields, image};
use super::inside::Held;
use super::patcher;
use super::refusal::Refusal;
use super::target::Target;
use crate::heap::copy::Range;
use crate::stopped::Trouble;
use crate::stopped::calls::CallFailed;

/// By what the calls of a process come to the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// The words through which they go are changed. No code is.
    #[default]
    Got,
    /// The functions themselves begin with a jump.
    Gum,
}

impl Engine {
    /// Whether this build has it.
    ///
    /// # Errors
    ///
    /// When it has not: what to do about it.
    pub fn is_there(self) -> Result<(), Refusal> {
        if self == Engine::Gum && !patcher::IS_THERE { Err(Refusal::NoGum) } else { Ok(()) }
    }
}

/// A function that can be patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub function: u64,
    /// What is to stand before it.
    pub gate: u64,
    /// Where the agent keeps the address that it calls it at.
    real: u64,
}

/// A function that was patched, as it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patched {
    function: u64,
    original: u64,
    before: [u8; BEGINNING],
    after: [u8; BEGINNING],
}

/// The functions that can be patched, each once: it may have several names. The process must have an agent.
pub fn entries(target: &Target, fields: Fields, survey: &Survey) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for at in fields.gates() {
        let field = |offset: usize| target.word(at + offset as u64).unwrap_or(0);
        let name = target.bytes(at, NAME_BYTES as u64).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let Some(function) = find(survey, &String::from_utf8_lossy(name)) else { continue };
        if entries.iter().all(|known| known.function != function) {
            let (gate, real) = (field(offset_of!(Gate, at)), field(offset_of!(Gate, real)));
            entries.push(Entry { function, gate, real });
        }
    }
    entries
}

/// Code that no thread is to be in when functions of malloc's are patched: all that may be overwritten, but for the
/// first byte of each, from where it can go on in either way.
pub fn beginnings(survey: &Survey) -> Vec<Range> {
    let functions = OF_MALLOC.iter().filter_map(|name| find(survey, name));
    functions.map(|at| Range { start: at + 1, end: at + BEGINNING as u64 }).collect()
}

/// The functions of the file of glibc's that malloc is in, as far as they have names outside of it.
pub const OF_MALLOC: [&str; 17] = [
    "malloc",
    "free",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "malloc_trim",
    "malloc_usable_size",
    "mallinfo",
    "mallinfo2",
    "malloc_stats",
    "mallopt",
    "malloc_info",
];

/// Where malloc's code is: from the first of its functions to the end of the last. The others of that file
/// that call any of them lie in between.
fn code_of_malloc(target: &Target, survey: &Survey) -> Option<Range> {
    // This one is in a file of its own, with which it has nothing in common.
    let names = OF_MALLOC.iter().filter(|name| **name != "reallocarray");
    let functions = names.filter_map(|name| Some((find(survey, name)?, survey.length(target, name)?)));
    functions
        .map(|(start, length)| Range { start, end: start + length })
        .reduce(|one, other| Range { start: one.start.min(other.start), end: one.end.max(other.end) })
}

/// Where the library that malloc is in defines a function.
fn find(survey: &Survey, name: &str) -> Option<u64> {
    let (_, library) = survey.find("malloc")?;
    survey.find(name).filter(|(_, module)| *module == library).map(|(at, _)| at)
}

/// Tells the agent whose calls are nobody's.
pub fn tell_own(target: &Target, fields: Fields, base: u64, survey: &Survey) -> io::Result<()> {
    let malloc = code_of_malloc(target, survey).ok_or(io::ErrorKind::NotFound)?;
    let agent = image().code(base);
    let own = [agent, malloc.start..malloc.end];
    for (span, own) in (0..).zip(own) {
        let at = fields.own() + span * size_of::<Span>() as u64;
        target.write_word(at + offset_of!(Span, start) as u64, own.start)?;
        target.write_word(at + offset_of!(Span, length) as u64, own.end - own.start)?;
    }
    Ok(())
}

/// Has the agent call what does the same as a function, and not the function.
pub fn redirect(target: &Target, fields: Fields, entry: &Entry, original: u64) -> io::Result<()> {
    // It is kept from the agent's first call on, and until then there is what the agent is told.
    if target.word(entry.real) == Some(entry.function) {
        target.write_word(entry.real, original)?;
    }
    let told = fields.wanted().into_iter().map(|(at, _)| at);
    for at in told.filter(|at| target.word(*at) == Some(entry.function)) {
        target.write_word(at, original)?;
    }
    Ok(())
}

/// What was patched in this process, now or before.
pub fn known(target: &Target, fields: Fields) -> Vec<Patched> {
    let patches = (0..FUNCTIONS).map(|i| fields.patches() + (i * size_of::<Patch>()) as u64);
    let read = |at: u64| {
        let field = |offset: usize| at + offset as u64;
        let bytes = |offset| target.bytes(field(offset), BEGINNING as u64)?.try_into().ok();
        Some(Patched {
            function: target.word(field(offset_of!(Patch, function)))?,
            original: target.word(field(offset_of!(Patch, original)))?,
            before: bytes(offset_of!(Patch, before))?,
            after: bytes(offset_of!(Patch, after))?,
        })
    };
    patches.map_while(read).take_while(|patched| patched.function != 0).collect()
}

/// Writes down what was patched, before the first of it is.
pub fn remember(target: &Target, fields: Fields, all: &[Patched]) -> io::Result<()> {
    for (i, patched) in all.iter().enumerate() {
        let at = fields.patches() + (i * size_of::<Patch>()) as u64;
        let field = |offset: usize| at + offset as u64;
        target.write(field(offset_of!(Patch, before)), &patched.before)?;
        target.write(field(offset_of!(Patch, after)), &patched.after)?;
        target.write_word(field(offset_of!(Patch, original)), patched.original)?;
        target.write_word(field(offset_of!(Patch, function)), patched.function)?;
    }
    Ok(())
}

impl Patched {
    /// A function that began so, and begins so now; `original` does what it did.
    pub fn new(function: u64, original: u64, before: [u8; BEGINNING], after: [u8; BEGINNING]) -> Patched {
        Patched { function, original, before, after }
    }

    /// Has the function begin as wanted, if it begins as the other way has it. Returns whether it begins as wanted now.
    pub fn turn(&self, target: &Target, way: Way) -> io::Result<bool> {
        let (from, to) = if way == Way::In { (self.before, self.after) } else { (self.after, self.before) };
        // No more is written than differs: the next function may begin in between.
        let length = from.iter().zip(to).rposition(|(one, other)| *one != other).map_or(0, |last| last + 1);
        let (from, to) = (&from[..length], &to[..length]);
        let found = target.bytes(self.function, length as u64).unwrap_or_default();
        if found == from {
            target.write(self.function, to)?;
        }
        Ok(found == from || found == to)
    }
}

/// Has all functions that were ever patched begin as they did before.
pub fn turn_out(target: &Target, fields: Fields) -> io::Result<()> {
    known(target, fields).iter().try_for_each(|patched| patched.turn(target, Way::Out).map(drop))
}

/// Patches the functions of malloc's. Returns those that could be.
///
/// # Errors
///
/// When they could not: all is as it was then.
pub fn put_in(
    held: &mut Held<'_>,
    fields: Fields,
    base: u64,
    survey: &Survey,
) -> Result<Vec<u64>, NotPatched> {
    let target = held.target();
    let entries = entries(target, fields, survey);
    let mut all = known(target, fields);
    let missing = entries.iter().any(|entry| all.iter().all(|patched| patched.function != entry.function));
    if all.is_empty() && missing {
        all = patcher::patch(held, &entries)?;
        remember(target, fields, &all).map_err(NotPatched::Refused)?;
    }
    let turned = turn_in(target, fields, base, survey, &entries, &all);
    if turned.is_err() {
        let _ = turn_out(target, fields);
    }
    turned
}

fn turn_in(
    target: &Target,
    fields: Fields,
    base: u64,
    survey: &Survey,
    entries: &[Entry],
    all: &[Patched],
) -> Result<Vec<u64>, NotPatched> {
    tell_own(target, fields, base, survey).map_err(NotPatched::Refused)?;
    let mut turned = Vec::new();
    for patched in all {
        let entry = entries.iter().find(|entry| entry.function == patched.function);
        let entry = entry.ok_or(NotPatched::Changed)?;
        redirect(target, fields, entry, patched.original).map_err(NotPatched::Refused)?;
        if !patched.turn(target, Way::In).map_err(NotPatched::Refused)? {
            return Err(NotPatched::Changed);
        }
        turned.push(patched.function);
    }
    Ok(turned)
}

impl From<CallFailed> for NotPatched {
    fn from(failed: CallFailed) -> NotPatched {
        match failed {
            CallFailed::Refused(error) => NotPatched::Refused(error),
            CallFailed::Trouble(trouble) => NotPatched::Trouble(trouble),
        }
    }
}

/// Why functions could not be patched.
#[derive(Debug, thiserror::Error)]
pub enum NotPatched {
    /// Somebody else has changed them since they were patched first.
    #[error("they begin otherwise than they did when they were patched first")]
    Changed,
    /// The kernel refused something.
    #[error("{0}")]
    Refused(#[source] io::Error),
    /// There was trouble with its threads.
    #[error("{0}")]
    Trouble(#[from] Trouble),
    /// Gum did not do it.
    #[error("frida-gum {0}")]
    Gum(String),
}

impl NotPatched {
    /// Gum did not, for this reason.
    pub fn gum(why: &str) -> NotPatched {
        NotPatched::Gum(why.to_owned())
    }
}
