//! Which release a recorded libc behaves as, told by what it answered and not by its version.
//!
//! Distributions carry fixes back, so a version is not enough. A trace may therefore say where some calls
//! landed that were made to the same libc outside of the program (see `FORMAT.md`, “Probe”). Here the
//! same calls are made to a twin of every release there is: one that gives the same answers to the last
//! address, head and break is what the libc behaves as. Nothing here knows what the calls are meant to
//! find out; so neither a new script nor a new release changes a line.

use crate::engine::{Answer, Engine};
use crate::fidelity::Comparison;
use crate::trial::Touch;
use crate::watch::Watch;
use malloscope_allocator::address::Address;
use malloscope_allocator::chunk::Chunk;
use malloscope_allocator::corruption::Corruption;
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::Processors;
use malloscope_allocator::memory::simulated::{DEFAULT_BREAK, PAGE, Simulated};
use malloscope_allocator::observe::KernelCall;
use malloscope_allocator::release::Release;
use malloscope_allocator::tunables::environment;
use malloscope_traces::Record;
use malloscope_traces::header::Header;
use malloscope_traces::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a libc behaves as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recognition {
    /// Nobody knows more than its version: it was not probed.
    #[default]
    NotProbed,
    /// As the release of this name.
    As(String),
    /// As no release known: it was probed, and none gives the same answers.
    Unlike,
}

/// The memory of the simulated machine, and the most that one mapping may have: many times what is asked
/// for by us, and little enough for what a stranger's trace may ask.
const MEMORY: u64 = 1 << 30;

/// What is known of a recording before its first call: its header, and what its libc behaves as.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The header.
    pub header: Header,
    /// What the libc of the header behaves as.
    pub recognition: Recognition,
    /// The heap as it stood before the first call, if that was not the process's first.
    pub snapshot: Option<Arc<Snapshot>>,
}

impl From<Header> for Recording {
    /// Makes the calls of the header's probe to every release: about a millisecond.
    fn from(header: Header) -> Recording {
        let recognition = recognize(&header);
        Recording { header, recognition, snapshot: None }
    }
}

impl Recording {
    /// The release that the libc behaves as, if it was probed and is one we know.
    pub fn recognized(&self) -> Option<Release> {
        let Recognition::As(name) = &self.recognition else { return None };
        Release::named(name)
    }
}

/// What the libc of this header behaves as.
///
/// It was probed in an environment that sets nothing; but what its machine sets for all programs was set.
pub fn recognize(header: &Header) -> Recognition {
    let libc = &header.libc;
    if libc.probe.is_empty() {
        return Recognition::NotProbed;
    }
    let alike = answering_alike(&libc.probe, &header.program.system_wide());
    match nearest(&alike, &Release::ALL.map(|row| row.name), &libc.version) {
        Some(name) => Recognition::As(name.to_owned()),
        None => Recognition::Unlike,
    }
}

/// A variable: its name, and its value.
type Variable<'a> = (&'a str, &'a str);

/// The names of all releases that give these answers where these variables are set, oldest first.
pub fn answering_alike(probe: &[Record], set: &[Variable<'_>]) -> Vec<&'static str> {
    Release::ALL.into_iter().filter(|row| answers_alike(row, probe, set)).map(|row| row.name).collect()
}

/// What the release of this name answers to the calls of a probe where these variables are set. `None` if
/// there is no such release, or the calls corrupt its heap.
pub fn answers_of(name: &str, calls: &[Record], set: &[Variable<'_>]) -> Option<Vec<Record>> {
    let release = Release::named(name)?;
    let mut answers = Vec::new();
    let made = make(&release, calls, set, |probed, record, answer| {
        let program_break = if record.program_break == 0 { 0 } else { probed.program_break.0 };
        let mut record = Record { program_break, ..*record };
        if let (Answer::Payload(payload), Some(to)) = (answer, record.call.placed_mut()) {
            to.pointer.address = payload.0;
            to.head =
                if payload.is_null() { 0 } else { Chunk::of(probed.memory, payload).head(probed.memory).0 };
        }
        answers.push(record);
    });
    made.ok().map(|()| answers)
}

/// Of several releases that behave alike, that nearest to the version's own in the list of `all`; the
/// older one of two that are as near, and the newest where the version says nothing.
fn nearest<'a>(alike: &[&'a str], all: &[&str], version: &str) -> Option<&'a str> {
    let place = |name: &str| all.iter().position(|row| *row == name);
    let expected = Release::of(version).and_then(|row| place(row.name)).unwrap_or(all.len());
    alike.iter().copied().min_by_key(|name| place(name).unwrap_or(all.len()).abs_diff(expected))
}

/// Whether this release gives these answers, all of them.
fn answers_alike(release: &Release, probe: &[Record], set: &[Variable<'_>]) -> bool {
    let mut comparison = Comparison::new(recorded_break(probe), initial_break(probe));
    let made = make(release, probe, set, |probed, record, answer| {
        probed.kernel_calls.iter().for_each(|call| comparison.note(*call));
        let ours = match answer {
            Answer::Payload(payload) => Some(payload),
            Answer::Refused(_) => Some(Address::NULL),
            _ => None,
        };
        comparison.compare(probed.memory, probed.program_break, (0, record), ours, false);
    });
    let fidelity = comparison.result();
    made.is_ok() && fidelity.placements > 0 && fidelity.is_exact()
}

fn recorded_break(probe: &[Record]) -> u64 {
    probe.first().map_or(0, |record| record.program_break)
}

fn initial_break(probe: &[Record]) -> Address {
    DEFAULT_BREAK + recorded_break(probe) % PAGE
}

/// The machine after a call.
struct Probed<'a> {
    memory: &'a Simulated,
    program_break: Address,
    /// What the call asked of the kernel.
    kernel_calls: Vec<KernelCall>,
}

/// Makes the calls of a probe to a release, and shows each answer.
fn make(
    release: &Release,
    calls: &[Record],
    set: &[Variable<'_>],
    mut look: impl FnMut(Probed<'_>, &Record, Answer),
) -> Result<(), Corruption> {
    let mut machine = Simulated::new(initial_break(calls), Processors { online: 1, allowed: 1 });
    machine.limit_grants(MEMORY);
    machine.limit_total(MEMORY);
    let watch = Watch { calls: Some(Vec::new()), ..Watch::default() };
    let (tunables, _) = environment::read(release, set.iter().copied());
    let heap = Heap::new(machine, watch, *release, &tunables);
    let mut engine = Engine::new(heap, Touch::None, true);
    for record in calls {
        let answer = engine.execute(record)?;
        let lines = engine.heap_mut().observer_mut().calls.replace(Vec::new()).unwrap_or_default();
        let memory = engine.heap().memory();
        let kernel_calls = lines.into_iter().map(|line| line.call).collect();
        look(Probed { memory, program_break: memory.program_break(), kernel_calls }, record, answer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_traces::header::{Libc, Program, SYSTEM_WIDE_TUNABLES};
    use malloscope_traces::{Call, Placed};
    use malloscope_traces::{Pointer, Slot, Thread};

    const BREAK: u64 = 0x5600_0000_0000;

    /// What 2.36 answers to three calls.
    fn answers() -> Vec<Record> {
        let record =
            |program_break, call| Record { time: Default::default(), thread: Thread(0), program_break, call };
        let pointer = |address, slot| Pointer { address: BREAK + address, slot: Slot(slot) };
        let malloc = |request, address, slot, head| {
            let to = Placed { pointer: pointer(address, slot), head };
            record(BREAK + 0x21000, Call::Malloc { request, to })
        };
        vec![
            record(BREAK, Call::ThreadStart { id: 0 }),
            malloc(24, 0x2a0, 0, 0x21),
            malloc(100, 0x2c0, 1, 0x71),
            record(BREAK + 0x21000, Call::Free { pointer: pointer(0x2a0, 0) }),
            malloc(20, 0x2a0, 0, 0x21),
        ]
    }

    fn libc(version: &str, probe: Vec<Record>) -> Header {
        let libc = Libc { version: version.to_owned(), probe, ..Libc::default() };
        Header { libc, ..Header::default() }
    }

    #[test]
    fn a_probe_answers_under_what_its_machine_sets() {
        let set = "nonoverridable glibc.malloc.top_pad=65536";
        let probe = answers_of("2.44", &answers(), &[(SYSTEM_WIDE_TUNABLES, set)]).unwrap();
        assert!(answering_alike(&probe, &[]).is_empty());
        let environment = [(SYSTEM_WIDE_TUNABLES, set), ("MALLOC_ARENA_MAX", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let program = Program { environment: environment.to_vec(), ..Program::default() };
        let header = Header { program, ..libc("2.44", probe) };
        assert_eq!(recognize(&header), Recognition::As("2.44".to_owned()));
    }

    #[test]
    fn a_libc_is_what_answers_as_it_does_and_of_several_the_nearest_to_its_version() {
        let alike = answering_alike(&answers(), &[]);
        assert!(alike.contains(&"2.36") || alike.contains(&"2.35"), "{alike:?}");
        for name in &alike {
            assert_eq!(recognize(&libc(name, answers())), Recognition::As((*name).to_owned()));
        }
        // A version that answers otherwise, before all of these and behind them.
        let newest = (*alike.last().unwrap()).to_owned();
        assert_eq!(recognize(&libc("2.19", answers())), Recognition::As(newest));
    }

    #[test]
    fn of_several_releases_the_nearest_is_taken() {
        let all = Release::ALL.map(|row| row.name);
        let (oldest, newest) = (all[0], all[all.len() - 1]);
        assert_eq!(nearest(&[oldest, newest], &all, oldest), Some(oldest));
        assert_eq!(nearest(&[oldest, newest], &all, newest), Some(newest));
        assert_eq!(nearest(&[oldest], &all, newest), Some(oldest), "it is not what its version says");
        assert_eq!(nearest(&[oldest, newest], &all, "musl"), Some(newest));
        assert_eq!(nearest(&[], &all, newest), None);
    }

    #[test]
    fn one_answer_that_differs_makes_it_unlike_all() {
        let spoil: [fn(&mut Vec<Record>); 4] = [
            |answers| answers[3].program_break += 0x1000,
            |answers| answers[4].call.placed_mut().unwrap().pointer.address += 0x4a00,
            |answers| answers[2].call.placed_mut().unwrap().head ^= 1,
            |answers| answers[0].program_break += 8,
        ];
        for (number, spoil) in spoil.into_iter().enumerate() {
            let mut answers = answers();
            spoil(&mut answers);
            assert_eq!(recognize(&libc("2.36", answers)), Recognition::Unlike, "{number}");
        }
    }

    #[test]
    fn without_answers_nothing_is_known() {
        assert_eq!(recognize(&libc("2.36", Vec::new())), Recognition::NotProbed);
    }

    #[test]
    fn a_release_knows_its_own_answers() {
        for row in Release::ALL {
            let answers = answers_of(row.name, &answers(), &[]).unwrap();
            assert!(answering_alike(&answers, &[]).contains(&row.name), "{}", row.name);
        }
        assert_eq!(answers_of("1.0", &answers(), &[]), None);
    }
}
