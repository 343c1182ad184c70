//! What the engines that are built in have in common, and what one of them sees that the other does not.

use std::collections::HashSet;
use std::ops::Range;

use malloscope_recorder::attach::Engine;
use malloscope_traces::{Call, Record};

use crate::memory::image;
use crate::programs::program;
use crate::records;
use crate::running::{A_WHILE, Running, attach_by};

/// The sizes that `kept.c` asks for in each way.
const STEPS: u64 = 3000;
const KEPT: Range<u64> = 4000..4000 + STEPS;
const FROM_NOTHING: Range<u64> = 10000..10000 + STEPS;
const ALIGNED: Range<u64> = 20000..20000 + STEPS;
const MOVED: Range<u64> = 30000..30000 + STEPS;

/// Those that are built in.
fn engines() -> Vec<Engine> {
    let all = [Engine::Got, Engine::Gum];
    let there: Vec<Engine> = all.into_iter().filter(|engine| engine.is_there().is_ok()).collect();
    if there.len() < all.len() {
        eprintln!("left out: the engine gum is not built in");
    }
    there
}

/// The sizes that were asked of `malloc` in this range.
fn asked(records: &[Record], range: &Range<u64>) -> Vec<u64> {
    let request = |record: &Record| match record.call {
        Call::Malloc { request, .. } => Some(request),
        _ => None,
    };
    records.iter().filter_map(request).filter(|request| range.contains(request)).collect()
}

/// Panics unless every step follows the one before it.
fn assert_steps(sizes: &[u64], range: &Range<u64>) {
    for (before, after) in sizes.iter().zip(&sizes[1..]) {
        assert_eq!(after - range.start, (before - range.start + 1) % STEPS);
    }
}

#[test]
fn calls_through_kept_addresses_come_where_code_is_patched() {
    for engine in engines() {
        let running = Running::start(&program("kept"), &[]);
        let taken = attach_by(running.pid(), engine, A_WHILE).unwrap();
        running.end();
        let kept = asked(&records(&taken.path()), &KEPT);
        match engine {
            Engine::Got => assert_eq!(kept, []),
            Engine::Gum => {
                assert!(kept.len() > 10);
                assert_steps(&kept, &KEPT);
            }
        }
    }
}

#[test]
fn calls_that_malloc_makes_of_itself_are_nobodys() {
    for engine in engines() {
        let running = Running::start(&program("kept"), &[]);
        let taken = attach_by(running.pid(), engine, A_WHILE).unwrap();
        running.end();
        let records = records(&taken.path());
        for range in [&FROM_NOTHING, &ALIGNED, &MOVED] {
            assert_eq!(asked(&records, range), [], "{engine:?}");
        }
        let count = |is_it: fn(&Call) -> bool| records.iter().filter(|record| is_it(&record.call)).count();
        let aligned = count(|call| matches!(call, Call::PosixMemalign { .. }));
        let resized = count(|call| matches!(call, Call::Realloc { request, .. } if MOVED.contains(request)));
        let fresh =
            count(|call| matches!(call, Call::Realloc { request, .. } if FROM_NOTHING.contains(request)));
        assert!(aligned > 10 && aligned.abs_diff(resized) < 2 && aligned.abs_diff(fresh) < 2, "{engine:?}");
        // What a thread had put aside when it ends is free already.
        let ends = count(|call| matches!(call, Call::ThreadExit));
        assert!(ends > 0, "{engine:?}");
        let mut freed = HashSet::new();
        for record in &records {
            let placed = record.call.placed().map(|to| to.pointer.address);
            if let Call::Realloc { old, .. } = record.call
                && placed != Some(old.address)
            {
                freed.insert(old.address);
            }
            if let Call::Free { pointer } = record.call
                && !pointer.is_null()
            {
                assert!(freed.insert(pointer.address), "{engine:?}: {pointer:?} is freed twice");
            }
            placed.map(|address| freed.remove(&address));
        }
    }
}

#[test]
fn code_is_not_patched_that_a_thread_comes_back_to_the_midst_of() {
    if Engine::Gum.is_there().is_err() {
        eprintln!("left out: the engine gum is not built in");
        return;
    }
    let mut running = Running::start(&program("halfway"), &[]);
    let code = || image(running.pid(), |path| path.ends_with("/libc.so.6"));
    let before = code();
    let refused = attach_by(running.pid(), Engine::Gum, A_WHILE).err().unwrap().to_string();
    assert!(refused.contains("was at no time where it could be attached to"), "{refused}");
    before.assert_same(&code());
    running.tell(b"!");
    assert_eq!(running.line(), "on");
    let taken = attach_by(running.pid(), Engine::Gum, A_WHILE).unwrap();
    assert_eq!(running.end(), "fine");
    let calls = records(&taken.path());
    assert!(calls.iter().any(|record| matches!(record.call, Call::Malloc { request: 100, .. })));
}

#[test]
fn a_process_can_be_attached_to_by_one_engine_after_the_other_and_is_left_as_it_was() {
    let running = Running::by(std::process::Command::new(program("steps")).arg("2").env("LD_BIND_NOW", "1"));
    let before = image(running.pid(), |_| true);
    for _ in 0..3 {
        for engine in engines() {
            let taken = attach_by(running.pid(), engine, A_WHILE).unwrap();
            assert!(crate::assert_no_step_is_missing(&records(&taken.path())) > 100);
            assert_eq!(taken.recorded.traces[0].lost, 0);
            before.assert_same(&image(running.pid(), |path| !path.contains("memfd")));
        }
    }
    running.end();
}
