//! Heaps of processes, walked: one that works all the while, and copies of one in which words are lies.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use malloscope_recorder::heap::copy::{Memory, Range};
use malloscope_recorder::heap::maps::{self, Mapped};
use malloscope_recorder::heap::remote::Remote;
use malloscope_recorder::heap::{HeapError, Rehearsed, Source, capture, of_core, take};
use malloscope_recorder::stopped::Stopped;
use malloscope_traces::snapshot::Snapshot;
use tempfile::TempDir;

fn built(folder: &TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(format!("{name}.c"));
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-fno-builtin", "-pthread", "-w", "-o"]).arg(&path).arg(source);
    assert!(compiler.status().unwrap().success(), "{name}.c does not compile");
    path
}

/// A program that goes on until this is dropped.
struct Running(Child);

impl Running {
    /// Starts it, and waits for its first line.
    fn start(program: &Path, arguments: &[&str]) -> Running {
        let mut command = Command::new(program);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        Running(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All private memory of a process, copied.
struct Copied {
    maps: Vec<Mapped>,
    threads: Vec<(u32, u64)>,
    parts: Vec<(Range, Vec<u8>)>,
}

impl Copied {
    fn of(pid: u32) -> Copied {
        let stopped = Stopped::all(pid).unwrap();
        let maps = maps::parse(&fs::read_to_string(format!("/proc/{pid}/maps")).unwrap());
        let threads = stopped.thread_pointers();
        let parts = maps.iter().filter(|one| one.is_private_and_writable).map(|one| {
            let mut bytes = vec![0; usize::try_from(one.range.length()).unwrap()];
            Remote(pid).read(&[one.range], &mut bytes).unwrap();
            (one.range, bytes)
        });
        let parts = parts.collect();
        Copied { maps, threads, parts }
    }

    fn walk(&self) -> Result<Snapshot, HeapError> {
        let source =
            Source { memory: self, maps: self.maps.clone(), threads: self.threads.clone(), pages: None };
        capture(source, &mut Rehearsed::default())?.parse()
    }

    /// Writes a word, and returns what was there.
    fn replace(&mut self, part: usize, word: usize, value: u64) -> u64 {
        let bytes: &mut [u8; 8] = self.parts[part].1[8 * word..].first_chunk_mut().unwrap();
        u64::from_le_bytes(std::mem::replace(bytes, value.to_le_bytes()))
    }
}

impl Memory for Copied {
    fn read(&self, wanted: &[Range], mut into: &mut [u8]) -> io::Result<()> {
        for range in wanted {
            let (_, bytes, start) = self
                .parts
                .iter()
                .map(|(part, bytes)| (part, bytes, part.start))
                .find(|(part, ..)| part.contains(range.start) && range.end <= part.end)
                .ok_or(io::ErrorKind::NotFound)?;
            let from = usize::try_from(range.start - start).unwrap();
            let length = usize::try_from(range.length()).unwrap();
            let (here, rest) = into.split_at_mut(length);
            here.copy_from_slice(&bytes[from..from + length]);
            into = rest;
        }
        Ok(())
    }
}

/// A core file as the kernel writes it: notes of the threads, of the process and of its files, and the memory.
fn core_of(copied: &Copied) -> Vec<u8> {
    let note = |kind: u32, body: Vec<u8>| {
        let length = u32::try_from(body.len()).unwrap();
        let mut note = [5, length, kind].map(u32::to_le_bytes).concat();
        note.extend(b"CORE\0\0\0\0");
        note.extend(body);
        note.resize(note.len().next_multiple_of(4), 0);
        note
    };
    let put = |body: &mut Vec<u8>, at: usize, bytes: &[u8]| body[at..at + bytes.len()].copy_from_slice(bytes);
    let mut process = vec![0; 136];
    put(&mut process, 24, &copied.threads[0].0.to_le_bytes());
    put(&mut process, 56, b"standing plain ");
    // The thread that was ended comes first in a core, which need not be the process's first.
    let mut notes = note(3, process);
    let order = copied.threads.iter().cycle().skip(1).take(copied.threads.len());
    for (id, pointer) in order {
        let mut thread = vec![0; 336];
        put(&mut thread, 32, &id.to_le_bytes());
        put(&mut thread, 112 + 8 * 21, &pointer.to_le_bytes());
        notes.extend(note(1, thread));
    }
    let files: Vec<&Mapped> = copied.maps.iter().filter(|one| one.name.starts_with('/')).collect();
    let mut body = [files.len() as u64, 4096].map(u64::to_le_bytes).concat();
    files
        .iter()
        .for_each(|one| body.extend([one.range.start, one.range.end, 0].map(u64::to_le_bytes).concat()));
    files.iter().for_each(|one| body.extend([one.name.as_bytes(), b"\0"].concat()));
    notes.extend(note(0x4649_4c45, body));
    let headers = copied.parts.len() + 1;
    let mut core = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0\x01\0\0\0".to_vec();
    core.extend([0, 64, 0].map(u64::to_le_bytes).concat());
    core.extend(0_u32.to_le_bytes());
    core.extend([64, 56, u16::try_from(headers).unwrap(), 0, 0, 0].map(u16::to_le_bytes).concat());
    let mut at = 64 + 56 * headers as u64;
    let mut header = |kind: u32, flags: u32, start: u64, length: u64| {
        core.extend([kind, flags].map(u32::to_le_bytes).concat());
        core.extend([at, start, 0, length, length, 1].map(u64::to_le_bytes).concat());
        at += length;
    };
    header(4, 0, 0, notes.len() as u64);
    copied.parts.iter().for_each(|(range, _)| header(1, 6, range.start, range.length()));
    core.extend(notes);
    copied.parts.iter().for_each(|(_, bytes)| core.extend(bytes));
    core
}

#[test]
fn a_core_file_has_the_heap_of_its_process_and_a_broken_one_is_an_error() {
    let folder = TempDir::new().unwrap();
    let program = built(&folder, "standing");
    let running = Running::start(&program, &["mapped", "2"]);
    let copied = Copied::of(running.0.id());
    let path = folder.path().join("core");
    let core = core_of(&copied);
    fs::write(&path, &core).unwrap();
    let taken = of_core(&path, &program).unwrap();
    assert_eq!(taken.snapshot, copied.walk().unwrap());
    assert_eq!(taken.snapshot.threads[0].id, running.0.id());
    assert_eq!(taken.header.program.arguments, ["standing", "plain"]);
    let live = take(running.0.id()).unwrap();
    assert_eq!(
        (taken.snapshot.arenas, taken.snapshot.mappings),
        (live.snapshot.arenas, live.snapshot.mappings)
    );
    assert_eq!(taken.header.libc.version, live.header.libc.version);
    assert_eq!(taken.header.libc.build_id, live.header.libc.build_id);
    // Cut off, and with every word of its headers and notes changed in turn.
    let mut random = Random(5);
    let mut errors = 0;
    let opening = 64 + 56 * (copied.parts.len() + 1) + 2000;
    for word in (0..opening / 8).step_by(3) {
        let mut broken = core[..core.len().min(opening + 100_000)].to_vec();
        let lie = [0, u64::MAX, 0x10_0000_0000, random.0][random.below(4)];
        broken[8 * word..8 * word + 8].copy_from_slice(&lie.to_le_bytes());
        if word % 2 == 0 {
            broken.truncate(8 * word);
        }
        fs::write(&path, &broken).unwrap();
        errors += usize::from(of_core(&path, &program).is_err());
    }
    assert_eq!(errors, (opening / 8).div_ceil(3));
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// What is read of a process that lies is an error or a heap, and nothing else: no panic, no loop, no memory without
/// end. Where words lie that malloc goes by, it is an error.
#[test]
fn no_lie_is_worse_than_an_error() {
    let folder = TempDir::new().unwrap();
    let program = built(&folder, "standing");
    for arguments in [["plain", "0"], ["mapped", "2"]] {
        let running = Running::start(&program, &arguments);
        let mut copied = Copied::of(running.0.id());
        drop(running);
        let sound = copied.walk().unwrap();
        let starts =
            [sound.limits.heap_start].into_iter().chain(sound.arenas.iter().map(|arena| arena.state));
        // The parts that a heap is in, and the first that lie in each.
        let parts: Vec<usize> =
            starts.filter_map(|at| copied.parts.iter().position(|(range, _)| range.contains(at))).collect();
        let chunks: Vec<u64> = sound
            .arenas
            .iter()
            .flat_map(|arena| &arena.regions)
            .flat_map(|region| region.chunks())
            .map(|(at, _)| at)
            .collect();
        let mut random = Random(17);
        let mut errors = 0;
        for _ in 0..600 {
            let mut changed = Vec::new();
            for _ in 0..1 + random.below(3) {
                let chunk = chunks[random.below(chunks.len())];
                // A word of a chunk that malloc may go by, or any word of malloc's variables.
                let (part, word) = if random.below(3) > 0 {
                    let part = copied.parts.iter().position(|(range, _)| range.contains(chunk)).unwrap();
                    let offset = usize::try_from(chunk - copied.parts[part].0.start).unwrap();
                    (part, offset / 8 + random.below(6))
                } else {
                    let part = parts[random.below(parts.len())];
                    (part, random.below(copied.parts[part].1.len().min(0x2000) / 8))
                };
                let other = chunks[random.below(chunks.len())];
                let lies =
                    [0, u64::MAX, other, other + 16, other | 1, 0x20 << random.below(40), chunk, random.0];
                let word = word.min(copied.parts[part].1.len() / 8 - 1);
                changed.push((part, word, copied.replace(part, word, lies[random.below(lies.len())])));
            }
            errors += usize::from(copied.walk().is_err());
            for (part, word, value) in changed.into_iter().rev() {
                copied.replace(part, word, value);
            }
        }
        assert!(errors > 200, "{arguments:?}: {errors} of 600");
        assert_eq!(copied.walk().unwrap(), sound);
    }
}

/// Whatever a thread was in the midst of, it is looked at anew until it is not; and it goes on.
#[test]
fn a_program_that_never_rests_is_taken_all_the_same() {
    let folder = TempDir::new().unwrap();
    let program = built(&folder, "restless");
    for threads in ["0", "2"] {
        let mut running = Running::start(&program, &[threads]);
        for _ in 0..12 {
            let taken = take(running.0.id()).unwrap();
            assert_eq!(taken.snapshot.threads.len(), 1 + threads.parse::<usize>().unwrap());
            assert!(taken.snapshot.arenas[0].system_bytes > 100_000);
        }
        assert!(running.0.try_wait().unwrap().is_none(), "it goes on");
    }
}

#[test]
fn who_is_traced_already_and_who_is_not_there_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let running = Running::start(&built(&folder, "standing"), &["plain"]);
    let stopped = Stopped::all(running.0.id()).unwrap();
    let refused = take(running.0.id());
    assert!(matches!(refused, Err(HeapError::Refused { .. })), "{refused:?}");
    drop(stopped);
    assert!(take(running.0.id()).is_ok());
    let gone = running.0.id();
    drop(running);
    assert!(matches!(take(gone), Err(HeapError::Gone(_))));
}
