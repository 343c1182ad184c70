//! Asks a libc how it behaves: by some calls, made outside the program that is recorded.
//!
//! Distributions carry fixes back, so a version is not enough to know how a malloc places chunks. The
//! agent's file is also a program that makes the calls of [`malloscope_wire::probe`]; here it is run by the
//! dynamic linker of the program to be recorded, before that begins, in an environment that changes
//! nothing of malloc. What it answers goes into the traces of those processes that turn out to have the
//! same libc. Others, and all if anything goes wrong, are recorded without it.
//!
//! What the answers mean is left to those who replay.

use std::env;
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use malloscope_traces::header::Libc;
use malloscope_traces::{Call, Nanos, Placed, Pointer, Record, Thread};
use malloscope_wire::probe::{self, Answer, MARK, OPENING, SCRIPT, SLOTS, Step};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::agent::Agent;

/// How long we wait for answers. They usually take some milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest message we read: much more than ours, whose longest part are the answers.
const LONGEST: usize = 1 << 16;

/// The dynamic linker's option for directories, in front of all others, in which libraries are.
pub const LIBRARY_PATH: &str = "--library-path";

/// The same as a variable, which is the program's too.
const LIBRARY_VARIABLE: &str = "LD_LIBRARY_PATH";

/// What is loaded into the probing program: the libc, and what had threads in it before 2.34. If that is
/// not there, or is another libc's, the libc alone; then nothing is learned of arenas.
const LIBRARIES: [&str; 2] = ["libc.so.6 libpthread.so.0", "libc.so.6"];

/// What a libc answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    path: Vec<u8>,
    build_id: Vec<u8>,
    answers: Vec<Record>,
}

/// The calls that are made, as if each were given an address of its own, in the same mapping. Nobody
/// answers so: this is for those who want to know what somebody would.
pub fn calls() -> Vec<Record> {
    let answers = (1..).map(|number| [number * 0x1000, 2, 1]);
    records(1, SCRIPT, &answers.take(SCRIPT.len()).collect::<Vec<_>>())
}

/// Asks the libc that this dynamic linker finds, in these directories first. `None` if it does not answer.
pub fn run(linker: &Path, library_path: Option<&OsStr>) -> Option<Probed> {
    let agent = Agent::for_probing().ok()?;
    let deadline = Instant::now() + PATIENCE;
    LIBRARIES.iter().find_map(|libraries| {
        let mut command = Command::new(linker);
        if let Some(directories) = library_path {
            command.arg(LIBRARY_PATH).arg(directories);
        }
        command.arg(agent.path()).env_clear().env("LD_PRELOAD", libraries);
        if let Some(directories) = env::var_os(LIBRARY_VARIABLE) {
            command.env(LIBRARY_VARIABLE, directories);
        }
        Probed::read(&said_by(&mut command, deadline)?)
    })
}

/// What this program writes. It is ended if it does not end by itself in time.
fn said_by(command: &mut Command, deadline: Instant) -> Option<Vec<u8>> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let said = child.stdout.take().and_then(|speaker| listen(speaker, deadline));
    // It has ended, or is not to go on.
    let _ = child.kill();
    let _ = child.wait();
    said
}

/// All that is said, to its end. `None` if that does not come in time, or is too far.
fn listen(mut speaker: impl Read + AsFd, deadline: Instant) -> Option<Vec<u8>> {
    let (mut message, mut bytes) = (Vec::new(), [0; 4096]);
    while message.len() < LONGEST {
        let left = Timespec::try_from(deadline.checked_duration_since(Instant::now())?).ok()?;
        let mut listened = [PollFd::new(&speaker, PollFlags::IN)];
        // Interrupted, or timed out: the clock is looked at again.
        if poll(&mut listened, Some(&left)).is_ok_and(|ready| ready > 0) {
            match speaker.read(&mut bytes).ok()? {
                0 => return Some(message),
                read => message.extend_from_slice(bytes.get(..read)?),
            }
        }
    }
    None
}

impl Probed {
    /// What this libc answered; nothing if it is another than the one that was asked.
    pub fn answers_of(&self, libc: &Libc) -> Vec<Record> {
        // Two files with the same id are the same, whatever the ways to them. Those who build a libc
        // themselves often give it none.
        let is_same = match self.build_id.is_empty() {
            true => libc.build_id.is_empty() && self.path == libc.path.as_bytes(),
            false => self.build_id == libc.build_id,
        };
        if is_same { self.answers.clone() } else { Vec::new() }
    }

    /// Reads the message of a probing program.
    fn read(message: &[u8]) -> Option<Probed> {
        let (opening, rest) = message.split_at_checked(OPENING * 8)?;
        let [mark, program_break, path, build_id] = words(opening);
        let (path, rest) = rest.split_at_checked(usize::try_from(path).ok()?)?;
        let (build_id, rest) = rest.split_at_checked(usize::try_from(build_id).ok()?)?;
        let answers: Vec<Answer> = rest.chunks_exact(size_of::<Answer>()).map(words).collect();
        (mark == MARK && !answers.is_empty()).then(|| Probed {
            path: path.to_vec(),
            build_id: build_id.to_vec(),
            answers: records(program_break, SCRIPT, &answers),
        })
    }
}

/// The words in these bytes; 0 for those that are not there.
fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = bytes.try_into().map_or(0, u64::from_le_bytes);
    }
    words
}

/// The calls that were answered, as a trace has them. The break was here before the first.
fn records(program_break: u64, script: &[Step], answers: &[Answer]) -> Vec<Record> {
    let mut slots = [0; SLOTS];
    let mut records = Vec::new();
    let mut latest = None;
    for (step, &[payload, head, after]) in script.iter().zip(answers) {
        let record = |program_break, call| {
            let thread = Thread(step.thread.into());
            Record { time: Nanos(0), thread, program_break, call }
        };
        if latest != Some(step.thread) {
            let before = if latest.is_none() { program_break } else { 0 };
            records.push(record(before, Call::ThreadStart { id: 0 }));
            latest = Some(step.thread);
        }
        let to = Placed { pointer: Pointer::seen(payload), head };
        let mut trade = |slot: u8| {
            let slot = slots.get_mut(usize::from(slot)).map(|slot| std::mem::replace(slot, payload));
            Pointer::seen(slot.unwrap_or(0))
        };
        let call = match step.call {
            probe::Call::Malloc { slot, request } => {
                trade(slot);
                Call::Malloc { request: request.into(), to }
            }
            probe::Call::Calloc { slot, request } => {
                trade(slot);
                Call::Calloc { count: 1, size: request.into(), to }
            }
            probe::Call::Memalign { slot, alignment, request } => {
                trade(slot);
                Call::Memalign { alignment: alignment.into(), request: request.into(), to }
            }
            probe::Call::Realloc { slot, request } => {
                Call::Realloc { old: trade(slot), request: request.into(), to }
            }
            probe::Call::Free { slot } => Call::Free { pointer: trade(slot) },
        };
        records.push(record(after, call));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const BREAK: u64 = 0x5555_0000_0000;

    /// A message with so many answers, each to be known from the others.
    fn message(build_id: &[u8], answers: u64) -> Vec<u8> {
        let opening = [MARK, BREAK, 2, build_id.len() as u64];
        let answers = (0..answers).flat_map(|number| [BREAK + 16 * number, 0x21, BREAK + 0x21000]);
        let words =
            |words: &mut dyn Iterator<Item = u64>| words.flat_map(u64::to_le_bytes).collect::<Vec<_>>();
        [words(&mut opening.into_iter()), b"/l".to_vec(), build_id.to_vec(), words(&mut answers.into_iter())]
            .concat()
    }

    #[test]
    fn answers_become_records_of_the_calls_that_were_made() {
        let probed = Probed::read(&message(b"id", 3)).expect("a whole message");
        assert_eq!((probed.path.as_slice(), probed.build_id.as_slice()), (&b"/l"[..], &b"id"[..]));
        let placed = |number: u64| Placed { pointer: Pointer::seen(BREAK + 16 * number), head: 0x21 };
        let calls: Vec<_> = probed.answers.iter().map(|record| (record.program_break, record.call)).collect();
        assert_eq!(
            calls,
            [
                (BREAK, Call::ThreadStart { id: 0 }),
                (BREAK + 0x21000, Call::Malloc { request: 24, to: placed(0) }),
                (BREAK + 0x21000, Call::Malloc { request: 24, to: placed(1) }),
                (BREAK + 0x21000, Call::Free { pointer: Pointer::seen(BREAK) }),
            ]
        );
    }

    #[test]
    fn what_is_cut_off_is_less_and_what_makes_no_sense_is_nothing() {
        let whole = message(b"id", 3);
        let answered = |length: usize| Probed::read(&whole[..length]).map(|probed| probed.answers.len());
        assert_eq!(answered(whole.len() - 1), Some(3));
        assert_eq!(answered(whole.len() - 72), None, "no answer");
        assert_eq!(answered(33), None, "half a path");
        assert_eq!(answered(0), None);
        let mut marked = whole.clone();
        marked[0] ^= 1;
        assert_eq!(Probed::read(&marked), None);
        let mut long = whole.clone();
        long[16..24].fill(0xff);
        assert_eq!(Probed::read(&long), None);
    }

    #[test]
    fn another_libc_has_not_answered() {
        let libc = |path: &str, build_id: &[u8]| Libc {
            path: path.to_owned(),
            build_id: build_id.to_vec(),
            ..Libc::default()
        };
        let answered = |id: &[u8], libc: &Libc| {
            !Probed::read(&message(id, 3)).expect("a whole message").answers_of(libc).is_empty()
        };
        assert!(answered(b"id", &libc("/elsewhere", b"id")));
        assert!(!answered(b"id", &libc("/l", b"another")));
        assert!(!answered(b"id", &libc("/l", b"")));
        assert!(!answered(b"", &libc("/l", b"id")));
        assert!(answered(b"", &libc("/l", b"")));
        assert!(!answered(b"", &libc("/elsewhere", b"")));
    }

    #[test]
    fn nobody_is_waited_for_who_does_not_come_to_an_end() {
        let heard = |message: &[u8], ends: bool| {
            let (reader, mut writer) = std::io::pipe().expect("a pipe");
            writer.write_all(message).expect("there is room");
            let held = (!ends).then_some(writer);
            let heard = listen(reader, Instant::now() + if ends { PATIENCE } else { Duration::ZERO });
            drop(held);
            heard
        };
        assert_eq!(heard(b"all", true).as_deref(), Some(&b"all"[..]));
        assert_eq!(heard(b"", true).as_deref(), Some(&b""[..]));
        assert_eq!(heard(b"some", false), None);
        assert_eq!(heard(&[0; LONGEST], true), None, "an end that is too far");
    }

    #[test]
    fn what_cannot_be_run_does_not_answer() {
        for linker in ["/nowhere", "/bin/true", "/bin/cat"] {
            assert_eq!(run(Path::new(linker), None), None, "{linker}");
        }
    }
}
