//! Attaching to programs that run: what is recorded of them, and how they are left.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod awkward;
mod engines;
mod memory;
#[path = "../recording/programs.rs"]
mod programs;
mod running;
mod soak;
mod unharmed;

use std::collections::HashMap;
use std::process::Command;

use malloscope_recorder::{Capture, Children, Sampling};
use malloscope_traces::header::Origin;
use malloscope_traces::{Call, Cause, Reader, Record, Thread};

use memory::image;
use programs::program;
use running::{A_WHILE, Running, attach, attach_following, attach_wanting};

/// All records of a trace.
fn records(path: &std::path::Path) -> Vec<Record> {
    let mut reader = Reader::open_file(path).unwrap();
    assert!(matches!(reader.header().origin, Origin::Attached { .. }));
    let mut records = Vec::new();
    let mut batch = Vec::new();
    while reader.next_batch(&mut batch).unwrap().is_some() {
        records.append(&mut batch);
    }
    records
}

/// Panics unless every thread of `steps.c` made one step after the other. Returns how many it made.
fn assert_no_step_is_missing(records: &[Record]) -> u64 {
    const SIZES: u64 = 3000;
    let mut last: HashMap<Thread, u64> = HashMap::new();
    let mut steps = 0;
    for record in records {
        if let Call::Malloc { request, .. } = record.call
            && let Some(step) = request.checked_sub(16).filter(|step| *step < SIZES)
        {
            if let Some(before) = last.insert(record.thread, step) {
                assert_eq!(step, (before + 1) % SIZES, "a step of {:?} is missing", record.thread);
            }
            steps += 1;
        }
    }
    steps
}

#[test]
fn no_call_is_missing_while_a_recorder_is_attached() {
    let running = Running::start(&program("steps"), &["4"]);
    let taken = attach(running.pid()).unwrap();
    let said = running.end();
    assert!(said.ends_with(" steps"), "{said}");
    let trace = &taken.recorded.traces[0];
    assert_eq!((trace.lost, &trace.cause), (0, &Cause::Stopped));
    let records = records(&taken.path());
    assert!(assert_no_step_is_missing(&records) > 1000);
    let threads = records.iter().filter(|record| matches!(record.call, Call::ThreadStart { .. })).count();
    assert_eq!(threads, 4);
}

#[test]
fn a_process_can_be_attached_to_again_and_is_left_as_it_was() {
    // What is bound late would be another word after a first call, recorded or not.
    let running = Running::by(Command::new(program("steps")).arg("2").env("LD_BIND_NOW", "1"));
    let before = image(running.pid(), |_| true);
    for _ in 0..3 {
        let taken = attach(running.pid()).unwrap();
        assert!(assert_no_step_is_missing(&records(&taken.path())) > 100);
        assert_eq!(taken.recorded.traces[0].lost, 0);
        before.assert_same(&image(running.pid(), |path| !path.contains("memfd")));
    }
    running.end();
}

#[test]
fn stacks_are_recorded_of_a_process_that_is_attached_to() {
    let running = Running::start(&program("steps"), &["1"]);
    let capture = Capture { sampling: Sampling::All, depth: 32 };
    for _ in 0..2 {
        let taken = attach_wanting(running.pid(), Some(A_WHILE), Some(capture), &mut |_| ()).unwrap();
        assert!(assert_no_step_is_missing(&records(&taken.path())) > 100);
        let mut reader = Reader::open_file(&taken.path()).unwrap();
        let mut batch = Vec::new();
        while reader.next_batch(&mut batch).unwrap().is_some() {}
        let stacks = reader.stacks().unwrap();
        assert!(stacks.modules.iter().any(|module| module.path.ends_with("/steps")), "{:?}", stacks.modules);
        assert!(stacks.frames.len() >= 3);
    }
    running.end();
}

#[test]
fn what_the_kernel_says_of_a_process_is_in_its_trace() {
    let running = Running::start(&program("steps"), &["2"]);
    let taken = attach(running.pid()).unwrap();
    let readings = Reader::open_file(&taken.path()).unwrap().readings().unwrap();
    running.end();
    // One when we came and one when we left.
    let (first, last) = (readings[0], readings[readings.len() - 1]);
    assert!(readings.len() >= 2 && readings.is_sorted_by_key(|reading| reading.time), "{readings:?}");
    assert!(first.resident > 0 && first.resident <= first.most_resident, "{first:?}");
    assert!(last.minor_faults >= first.minor_faults && first.minor_faults > 0, "{readings:?}");
    // Each thread's arena has a segment of its own, in which it has written.
    let mappings = first.mappings.unwrap();
    let arenas = mappings.arenas;
    assert!(
        arenas.resident > 0 && arenas.resident <= arenas.mapped && arenas.mapped < 64 << 20,
        "{mappings:?}"
    );
    assert!(mappings.heap.resident > 0 && mappings.proportional >= arenas.resident, "{mappings:?}");
}

#[test]
fn copies_of_a_process_are_followed_as_it_was_asked_for() {
    let shell = program_of("sh");
    for (children, is_followed) in [
        (Children::All, true),
        (Children::Named(vec![shell]), true),
        (Children::Named(vec!["another".to_owned()]), false),
        (Children::None, false),
    ] {
        // For each line, a copy of it makes words.
        let words = "echo ready; while read line; do (x=$line$line; eval \"y=$x\"; echo $y); done";
        let mut running = Running::by(Command::new("sh").args(["-c", words]));
        let taken =
            attach_following(running.pid(), children.clone(), &mut |_| running.tell(b"word\n")).unwrap();
        let traces = &taken.recorded.traces;
        assert!(!traces[0].is_copy && traces[0].pid == running.pid());
        assert_eq!(traces.len() > 1, is_followed, "{children:?}");
        for copy in &traces[1..] {
            let name = copy.path.file_name().unwrap().to_string_lossy().into_owned();
            let program = copy.program.rsplit('/').next().unwrap();
            assert!(copy.is_copy && name == format!("app.{program}.{}.mscope", copy.pid), "{name}");
        }
        assert!(running.end().contains("wordword"));
    }
}

/// What the program is called that a command is a link to.
fn program_of(command: &str) -> String {
    let path = std::fs::canonicalize(format!("/bin/{command}")).unwrap();
    path.file_name().unwrap().to_string_lossy().into_owned()
}
