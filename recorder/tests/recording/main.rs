//! Real programs under the recorder: what is recorded is what they say they did.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apart;
mod deadline;
mod programs;
mod run;
mod stacks;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use malloscope_recorder::program::Refusal;
use malloscope_recorder::{Capture, Children, Clock, Error, Sampling, Target, WhenFull, WhyNot, record};
use malloscope_traces::header::{ClockSource, Origin};

use malloscope_traces::{Call, Cause, Reader, Record, Thread};
use malloscope_wire::probe::SCRIPT;
use tempfile::TempDir;

use deadline::Deadline;
use programs::{cpp_program, library, program, program_with, set_user_id};
use run::{
    Run, Trace, assert_same, assert_within, bare, run, run_capturing, run_following, run_with, run_with_rings,
};

/// Checks that a single-threaded program's records are exactly what it said.
fn check_exact(name: &str, arguments: &[&str]) -> Run {
    // Whatever is recorded beside the calls, they are the same.
    let all = Capture { sampling: Sampling::All, depth: 64 };
    check_said(name, run_capturing(&program(name), arguments, WhenFull::Wait, Some(all)));
    check_said(name, run(&program(name), arguments))
}

fn check_said(name: &str, run: Run) -> Run {
    let trace = run.trace();
    let [speaker] = run.speakers()[..] else { panic!("{name} has one thread") };
    assert_same(&run.said_by(speaker), &trace.told_of(speaker));
    assert_eq!(trace.ending.lost, 0);
    assert_eq!(trace.header.program.pid, speaker);
    run
}

#[test]
fn every_function_is_recorded_with_what_it_was_asked_and_returned_and_errno_is_left_alone() {
    let run = check_exact("family", &[]);
    assert!(run.remarks().is_empty(), "{:?}", run.remarks());
    assert_eq!(run.recorded.exit_code(), 7);
}

#[test]
fn a_growing_and_shrinking_heap_is_recorded_call_by_call() {
    let trace = check_exact("peak", &[]).trace();
    let mut placed = trace.calls().filter_map(Call::placed).filter(|to| !to.pointer.is_null());
    assert!(placed.all(|to| to.head >= 32), "every payload has the head of a chunk before it");
    assert_eq!(trace.totals.oddities, Default::default());
    let breaks: HashSet<u64> = trace.records.iter().map(|record| record.program_break).collect();
    assert!(breaks.len() > 2, "the program break moved, and was seen to");
    assert!(breaks.iter().all(|at| *at >= trace.header.heap.initial_break));
}

#[test]
fn the_libc_was_asked_how_it_behaves_and_the_program_was_not() {
    let trace = check_exact("peak", &[]).trace();
    let probe = &trace.header.libc.probe;
    let steps: Vec<&Call> =
        probe.iter().map(|record| &record.call).filter(|call| call.is_of_malloc()).collect();
    assert_eq!(steps.len(), SCRIPT.len());
    assert!(steps.iter().filter_map(|call| call.placed()).all(|to| !to.pointer.is_null() && to.head >= 32));
    let threads: HashSet<Thread> = probe.iter().map(|record| record.thread).collect();
    assert_eq!(threads.len(), 2);
    assert!(probe[1].program_break > probe[0].program_break, "nothing was allocated before");
}

#[test]
fn a_trim_is_seen_in_the_record_of_the_free_that_did_it() {
    let trace = check_exact("peak", &[]).trace();
    let sinks = trace.records.windows(2).filter(|pair| pair[1].program_break < pair[0].program_break);
    let causes: Vec<&Call> = sinks.map(|pair| &pair[1].call).collect();
    assert!(!causes.is_empty());
    let can_trim = |call: &&Call| matches!(call, Call::Free { .. } | Call::Realloc { .. });
    assert!(causes.iter().all(can_trim), "{causes:?}");
}

#[test]
fn calls_libc_makes_for_itself_are_recorded() {
    let run = run(&program("libc_inside"), &[]);
    let trace = run.trace();
    for (_, said) in &run.said {
        let (request, address) = said.strip_prefix("returned ").unwrap().split_once(" = ").unwrap();
        let told = trace.told_of(trace.header.program.pid);
        let asked = told.iter().any(|told| told.ends_with(address) && told.contains(&format!(" {request} ")));
        assert!(asked, "{said}");
    }
}

#[test]
fn calls_before_main_and_from_libraries_loaded_late_are_recorded() {
    let library = library("early_library");
    let run = run(&program("early"), &[library.to_str().unwrap()]);
    let trace = run.trace();
    let told = trace.told_of(trace.header.program.pid);
    assert_eq!(told[0].split(" = ").next(), Some("malloc 1001"), "the constructors' are the first");
    assert_eq!(told[1].split(" = ").next(), Some("malloc 1002"));
    let late =
        told.iter().find(|told| told.starts_with("malloc 1004 ")).expect("the late library's is there");
    let address = late.split(" = ").nth(1).unwrap();
    assert!(told.contains(&format!("free {address}")), "and what it frees when it is unloaded");
}

#[test]
fn memory_that_goes_from_thread_to_thread_never_goes_back_in_time() {
    let run = run(&program("threads"), &[]);
    let trace = run.trace();
    assert_eq!(trace.totals.oddities, Default::default(), "no free comes before its malloc");
    for speaker in run.speakers() {
        assert_same(&run.said_by(speaker), &without_libc(&trace.told_of(speaker)));
    }
    assert_eq!(run.speakers().len(), 4);
}

/// Leaves out what libc frees when a thread ends, which programs do not tell.
fn without_libc(told: &[String]) -> Vec<String> {
    told.iter().filter(|told| *told != "free 0").cloned().collect()
}

#[test]
fn threads_that_come_and_go_are_told_apart() {
    let run = run(&program("churn"), &["200", "8"]);
    let trace = run.trace();
    assert_eq!(trace.ending.lost, 0);
    assert_eq!(trace.totals.oddities, Default::default());
    let is_start = |call: &&Call| matches!(call, Call::ThreadStart { .. });
    let starts = trace.calls().filter(is_start).count();
    assert_eq!(starts, 1 + 200 * 8);
    check_ends_come_last(&trace);
    for speaker in run.speakers() {
        assert_within(&run.said_by(speaker), &trace.told_of(speaker));
    }
}

/// Checks that every thread but the first ends once, and with its last record.
fn check_ends_come_last(trace: &Trace) {
    let mut ended = HashSet::new();
    for record in &trace.records {
        assert!(!ended.contains(&record.thread), "{:?} goes on after its end", record.thread);
        if record.call == Call::ThreadExit {
            ended.insert(record.thread);
        }
    }
    let threads: HashSet<Thread> = trace.records.iter().map(|record| record.thread).collect();
    assert_eq!(ended.len(), threads.len() - 1);
}

#[test]
fn it_is_told_which_calls_were_interrupted() {
    let run = run(&program("interrupted"), &[]);
    let trace = run.trace();
    let watched = trace.records.iter().filter(|record| record.call == Call::Watched);
    let watched: HashSet<Thread> = watched.map(|record| record.thread).collect();
    let interrupted: Vec<&Record> =
        trace.records.iter().filter(|record| matches!(record.call, Call::Interrupted { .. })).collect();
    if trace.ending.cause == (Cause::Exited { status: 3 }) {
        // The C library has no areas to see it by.
        assert_eq!((watched.len(), interrupted.len()), (0, 0));
        return;
    }
    assert_eq!(trace.ending.cause, Cause::Exited { status: 0 });
    assert_eq!(watched.len(), 2, "every thread is watched");
    // Two million pairs take 0.1 s or more, with a signal every 0.2 ms.
    let of_first = interrupted.iter().filter(|record| record.thread == Thread(0)).count();
    assert!(of_first > 50, "{of_first} calls were interrupted");
    let mut latest: HashMap<Thread, Call> = HashMap::new();
    for record in &trace.records {
        let before = latest.insert(record.thread, record.call);
        if matches!(record.call, Call::Interrupted { .. }) {
            assert!(before.is_some_and(|call| call.is_of_malloc()), "{before:?} was interrupted");
        }
    }
}

/// How often calls waited, over all threads.
fn waits(trace: &Trace) -> u32 {
    trace.calls().map(|call| if let Call::Interrupted { waits, .. } = call { *waits } else { 0 }).sum()
}

#[test]
fn calls_that_wait_for_an_arena_are_told_from_threads_that_sleep_between_calls() {
    let program = program("waits");
    let crowded = run(&program, &["share"]).trace();
    if !crowded.calls().any(|call| *call == Call::Watched) {
        // The C library has no areas to see it by.
        return;
    }
    let waited = waits(&crowded);
    assert!(waited > 5, "three threads waited {waited} times for one that held the arena sixty times");
    let sleepy = waits(&run(&program, &["sleep"]).trace());
    assert!(sleepy < 100, "calls waited {sleepy} times, where threads slept 2,400 times between them");
}

#[test]
fn a_thread_that_is_alone_is_not_said_to_be_interrupted() {
    let trace = run(&program("ends"), &["exit"]).trace();
    assert_eq!(trace.calls().filter(|call| matches!(call, Call::Interrupted { .. })).count(), 0);
}

#[test]
fn more_threads_than_rings_are_counted_and_not_waited_for() {
    let run = run(&program("crowd"), &["4500"]);
    let threads = run.number("threads ");
    let trace = run.trace();
    let recorded = trace.threads().len() as u64;
    assert!(recorded > threads.min(4096) * 9 / 10, "{recorded} of {threads}");
    if threads > 4096 {
        assert!(trace.ending.lost > 0);
    }
}

#[test]
fn threads_that_find_no_room_within_the_memory_are_counted_and_not_waited_for() {
    let run = run_with_rings(&program("crowd"), &["1500"], 1000);
    let threads = run.number("threads ");
    let trace = run.trace();
    let recorded = trace.threads().len() as u64;
    assert!(recorded > threads.min(1000) * 9 / 10, "{recorded} of {threads}");
    // What they were given while all were there.
    assert!(trace.ending.lost >= threads.saturating_sub(1000), "{} of {threads}", trace.ending.lost);
}

#[test]
fn what_was_called_before_the_end_is_recorded_whatever_the_end() {
    let ends = [
        ("exit", Cause::Exited { status: 3 }, 3),
        ("_exit", Cause::Exited { status: 4 }, 4),
        ("return", Cause::Exited { status: 5 }, 5),
        ("kill", Cause::Killed { signal: 9 }, 137),
        ("abort", Cause::Killed { signal: 6 }, 134),
        ("segv", Cause::Killed { signal: 11 }, 139),
    ];
    for (how, cause, code) in ends {
        let run = check_exact("ends", &[how]);
        assert_eq!(run.trace().ending.cause, cause, "{how}");
        assert_eq!(run.recorded.exit_code(), code, "{how}");
    }
}

#[test]
fn a_forked_child_has_a_trace_that_says_where_it_began() {
    let run = run(&program("forks"), &[]);
    let parent = run.trace();
    let pid = parent.header.program.pid;
    assert_eq!(run.remarks(), Vec::<&str>::new());
    assert_same(&run.said_by(pid), &parent.told_of(pid));
    let children: Vec<(&_, Trace)> = run
        .others()
        .into_iter()
        .filter(|(_, trace)| trace.header.program.path == parent.header.program.path)
        .collect();
    assert_eq!(children.len(), 3, "a child, a grandchild of a child that called nothing, one by clone");
    for (process, trace) in &children {
        assert!(process.is_copy);
        assert_same(&run.said_by(process.pid), &trace.told_of(process.pid));
        assert_eq!(trace.header.program.arguments, parent.header.program.arguments);
        assert_eq!(trace.totals.oddities.strays, 1, "what it inherited, it frees");
    }
    check_origins(&parent, &children);
}

/// Checks that each child's trace points at the record of its fork, or at least at a place where
/// what it freed was there.
fn check_origins(parent: &Trace, children: &[(&malloscope_recorder::RecordedProcess, Trace)]) {
    let mut at_forks = 0;
    for (process, trace) in children {
        let Origin::Forked { parent: _, trace: name, after } = &trace.header.origin else {
            panic!("{} is a copy", process.pid)
        };
        let named = Trace::read(&parent.path.with_file_name(name));
        assert_eq!(named.records, parent.records, "the trace it names is the parent's");
        let after = usize::try_from(*after).unwrap();
        // A copy that no fork made may be noticed when the parent has made its last call.
        let next = parent.records.get(after).map(|record| record.call);
        at_forks += usize::from(matches!(next, Some(Call::Fork { .. })));
        let freed = trace.calls().find_map(Call::handed).unwrap();
        let before = &parent.records[..after];
        assert!(
            before
                .iter()
                .any(|record| record.call.placed().is_some_and(|to| to.pointer.address == freed.address))
        );
    }
    assert_eq!(at_forks, 2, "those made by fork begin at the record of the fork");
}

#[test]
fn a_program_with_a_filter_of_system_calls_is_not_made_to_call_what_only_we_need() {
    for how in ["prctl", "syscall", "exec"] {
        let run = run(&program("filtered"), &[how]);
        assert_eq!(run.remarks(), Vec::<&str>::new(), "{how}");
        assert_eq!(run.recorded.exit_code(), 0, "{how}");
        // Before it had one, it was looked at what it gave back.
        let before = if how == "exec" {
            run.recorded.traces[1].path.clone()
        } else {
            run.recorded.traces[0].path.clone()
        };
        let seen = Reader::open_file(&before).unwrap().untouched().unwrap().unwrap_or_default();
        assert!(seen.mapped.iter().any(|&(.., start, end)| end - start >= 0xf_f000), "{how}: {seen:?}");
        if how == "exec" {
            let seen = Reader::open_file(&run.recorded.traces[0].path).unwrap().untouched().unwrap();
            assert!(seen.is_none_or(|seen| seen.mapped.is_empty()), "{how}");
        }
    }
}

#[test]
fn processes_are_followed_as_it_was_asked_for() {
    let named = |name: &str| Children::Named(vec![name.to_owned(), "no-such-program".to_owned()]);
    // A child, a grandchild, and one by clone.
    for (children, expected) in [(Children::None, 0), (named("forks"), 3), (named("fork"), 0)] {
        let run = run_following(&program("forks"), &[], children.clone());
        assert_eq!(run.remarks(), Vec::<&str>::new());
        let parent = run.trace();
        assert_same(&run.said_by(parent.header.program.pid), &parent.told_of(parent.header.program.pid));
        assert_eq!(run.others().len(), expected, "{children:?}");
    }
    let directory = TempDir::new().unwrap();
    let twice = ["peak", "ends", "peak", "ends"];
    let lines = twice.map(|name| format!("{} \"$1\" return\n", program(name).display())).concat();
    let shell = script(directory.path(), &lines);
    for (children, expected) in [(Children::All, 2 + 2), (named("peak"), 2), (Children::None, 0)] {
        let run = run_following(&shell, &[], children.clone());
        let others = run.others();
        let programs = others.iter().filter(|(process, _)| !process.is_copy).count();
        assert_eq!(programs, expected, "{children:?}");
        assert!(
            children != named("peak") || others.iter().all(|(process, _)| process.program.ends_with("/peak"))
        );
        let shell = run.trace().header.program;
        assert!(shell.path.contains("sh") && others.iter().all(|(process, _)| process.parent == shell.pid));
        assert!(others.iter().all(|(process, _)| {
            let name = process.path.file_name().unwrap().to_string_lossy().into_owned();
            let program = process.program.rsplit('/').next().unwrap();
            name == format!("app.{program}.{}.mscope", process.pid)
                || process.is_copy
                || process.pid == shell.pid
        }));
    }
    // What the launched process becomes is recorded, whatever it is.
    let run = run_following(&program("execs"), &[], Children::None);
    let pid = run.trace().header.program.pid;
    assert!(run.others().len() == 3 && run.others().iter().all(|(process, _)| process.pid == pid));
}

#[test]
fn each_program_a_process_becomes_has_a_trace_and_the_last_has_the_name() {
    let run = run(&program("execs"), &[]);
    assert_eq!(run.recorded.exit_code(), 9);
    let last = run.trace();
    let pid = last.header.program.pid;
    assert_eq!(last.header.program.arguments[2], "0");
    assert_eq!(last.ending.cause, Cause::Exited { status: 9 });
    let others = run.others();
    let (earlier, copies): (Vec<_>, Vec<_>) = others.iter().partition(|(process, _)| process.pid == pid);
    assert_eq!((earlier.len(), copies.len()), (3, 1));
    for (n, (process, trace)) in earlier.iter().enumerate() {
        let name = format!("app.execs.{pid}.{}.mscope", n + 1);
        assert_eq!(process.path.file_name().unwrap().to_str(), Some(name.as_str()));
        assert!(matches!(&trace.ending.cause, Cause::Replaced { by } if by.ends_with("execs")));
    }
    let told: usize = earlier.iter().map(|(process, trace)| trace.told_of(process.pid).len()).sum();
    assert_eq!(
        told + last.told_of(pid).len(),
        run.said_by(pid).len() + 1,
        "and a fork, of which it did not speak"
    );
    let Origin::Forked { trace: name, after, .. } = &copies[0].1.header.origin else { panic!("a copy") };
    let parent = Trace::read(&last.path.with_file_name(name));
    assert_eq!(
        parent.header.program.arguments[2], "2",
        "the trace it names is that of the program it was copied from"
    );
    assert!(matches!(parent.records[usize::try_from(*after).unwrap()].call, Call::Fork { .. }));
}

#[test]
fn signal_handlers_may_call_malloc_whatever_they_interrupt() {
    let run = run(&program("signals"), &["return", "300"]);
    let trace = run.trace();
    assert_eq!(trace.ending.lost, 0);
    let calls = trace.calls().filter(|call| matches!(call, Call::Malloc { .. } | Call::Free { .. })).count();
    assert_eq!(calls as u64, run.number("calls "));
}

#[test]
fn a_thread_that_waits_for_room_finds_it_although_a_handler_came_in_between() {
    let run = run(&program("signals"), &["linger", "50"]);
    let trace = run.trace();
    assert_eq!(trace.ending.lost, 0);
    assert_eq!(trace.ending.observed.calls, run.number("calls "));
    assert!(run.recorded.traces[0].waits > 0);
}

#[test]
fn signal_handlers_may_jump_out_of_the_agent() {
    let run = run(&program("signals"), &["jump", "300"]);
    let jumped = run.number("jumped ");
    let lost = run.trace().ending.lost;
    assert!(jumped > 0);
    assert!(lost <= jumped, "{lost} lost with {jumped} jumps: at most one with each");
}

#[test]
fn a_ring_that_is_full_is_waited_for() {
    let run = run(&program("busy"), &["3000000"]);
    let trace = run.trace();
    assert_eq!(trace.ending.lost, 0);
    assert_eq!(trace.ending.observed.calls, run.number("calls "));
}

#[test]
fn a_ring_that_is_full_may_drop_calls_and_then_says_how_many() {
    let run = run_with(&program("busy"), &["10000000"], WhenFull::Drop, None);
    let trace = run.trace();
    assert_eq!(trace.ending.observed.calls, run.number("calls "), "recorded and lost together are all");
    assert_eq!(run.recorded.traces[0].waits, 0);
}

#[test]
fn without_the_processors_clock_times_are_the_kernels() {
    let run = run_with(&program("threads"), &[], WhenFull::Wait, Some(Clock::Monotonic));
    let trace = run.trace();
    assert_eq!(trace.header.clock.source, ClockSource::Monotonic);
    assert_eq!(trace.totals.oddities, Default::default());
    assert!(trace.ending.duration.0 > 1_000_000);
    for speaker in run.speakers() {
        assert_same(&run.said_by(speaker), &without_libc(&trace.told_of(speaker)));
    }
}

#[test]
fn the_heap_is_where_it_would_be_without_us() {
    for arguments in [&[][..], &["threads"]] {
        let recorded = run(&program("places"), arguments);
        let bare = bare(&program("places"), arguments);
        assert_eq!(recorded.said, bare);
        assert!(bare.len() > 10_000);
    }
}

#[test]
fn a_program_sees_nothing_of_us_among_its_descriptors_and_variables() {
    let recorded = run(&program("descriptors"), &[]);
    assert_eq!(recorded.said, bare(&program("descriptors"), &[]));
    let calls = recorded.trace().calls().filter(|call| matches!(call, Call::Malloc { .. })).count();
    assert!(calls > 100_000, "and closing all descriptors does not end the recording");
}

#[test]
fn exceptions_pass_through_us() {
    let Some(program) = cpp_program("throws") else {
        eprintln!("there is no compiler for C++");
        return;
    };
    let run = run(&program, &[]);
    assert_eq!(run.number("caught "), 200);
    let trace = run.trace();
    assert_eq!(trace.totals.oddities, Default::default());
    assert!(trace.calls().any(|call| matches!(call, Call::Malloc { request: 100..200, .. })));
}

#[test]
fn a_program_that_brings_its_own_malloc_keeps_it_and_is_reported() {
    let library = library("allocator");
    let flags = ["-Wl,--no-as-needed", library.to_str().unwrap()];
    let run = run(&program_with("ends", &flags), &["exit"]);
    assert_eq!(run.recorded.exit_code(), 3);
    assert_eq!(run.recorded.traces.len(), 0);
    let [not_recorded] = &run.recorded.not_recorded[..] else { panic!("{:?}", run.recorded.not_recorded) };
    assert!(matches!(&not_recorded.why, WhyNot::AnotherAllocator(file) if file.ends_with("liballocator.so")));
}

/// A script for the shell, in this folder.
fn script(folder: &Path, lines: &str) -> PathBuf {
    let script = folder.join("script");
    fs::write(&script, format!("#! /bin/sh\n{lines}")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

#[test]
fn a_program_that_has_rights_its_caller_has_not_is_not_recorded() {
    let run = run(&program("secure"), &[]);
    assert_eq!(run.recorded.exit_code(), 6);
    assert_eq!((run.recorded.traces.len(), run.recorded.not_recorded.len()), (0, 0));
}

#[test]
fn a_set_user_id_program_that_a_recorded_one_starts_is_not_recorded_and_goes_on() {
    let directory = TempDir::new().unwrap();
    let Some(program) = set_user_id(&program("secure"), directory.path()) else {
        eprintln!("left out: only root can make a program of somebody else");
        return;
    };
    let run = run(&script(directory.path(), &format!("{}\nexit $?\n", program.display())), &[]);
    assert_eq!(run.recorded.exit_code(), 6);
    let programs: Vec<&str> = run.recorded.traces.iter().map(|trace| trace.program.as_str()).collect();
    assert!(
        !programs.is_empty() && programs.iter().all(|path| !path.ends_with("set_user_id")),
        "{programs:?}"
    );
}

#[test]
fn a_script_is_recorded_as_what_its_interpreter_makes_of_it() {
    let directory = TempDir::new().unwrap();
    let run = run(&script(directory.path(), "exit 12\n"), &[]);
    assert_eq!(run.recorded.exit_code(), 12);
    assert!(run.trace().header.program.path.contains("sh"));
}

#[test]
fn a_program_that_lies_about_everything_ends_its_recording_and_nothing_else() {
    for seed in ["1", "2", "3"] {
        let directory = TempDir::new().unwrap();
        let said = directory.path().join("said");
        let target =
            Target { program: program("liar").into(), arguments: vec![said.clone().into(), seed.into()] };
        let options = run::options(directory.path().join("app.mscope"));
        let deadline = Deadline::of_programs_with(&said);
        let recorded = record(&target, &options, &mut |_| ()).unwrap();
        deadline.check();
        assert!(run::read_said(&said).iter().any(|(_, what)| what.starts_with("found ")));
        drop(recorded);
    }
}

/// What comes of recording this file.
fn refusal(program: &Path) -> Refusal {
    let directory = TempDir::new().unwrap();
    let target = Target { program: program.into(), arguments: Vec::new() };
    let options = run::options(directory.path().join("app.mscope"));
    match record(&target, &options, &mut |_| ()) {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{} is not refused: {other:?}", program.display()),
    }
}

#[test]
fn what_cannot_be_recorded_is_refused_with_an_explanation() {
    let directory = TempDir::new().unwrap();
    let text = directory.path().join("text");
    fs::write(&text, "hello").unwrap();
    let not_executable = directory.path().join("not_executable");
    fs::copy(program("ends"), &not_executable).unwrap();
    fs::set_permissions(&not_executable, fs::Permissions::from_mode(0o644)).unwrap();
    let set_uid = directory.path().join("set_uid");
    fs::copy(program("ends"), &set_uid).unwrap();
    fs::set_permissions(&set_uid, fs::Permissions::from_mode(0o4755)).unwrap();
    let link = directory.path().join("link");
    symlink(&set_uid, &link).unwrap();
    let looping = directory.path().join("looping");
    fs::write(&looping, format!("#!{}\n", looping.display())).unwrap();
    for script in [&text, &looping] {
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    }

    let static_program = refusal(&program_with("ends", &["-static"]));
    assert!(matches!(static_program, Refusal::Static(_)));
    assert!(static_program.to_string().contains("dynamically"), "{static_program}");
    let musl = refusal(&program_with("ends", &["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"]));
    assert!(matches!(&musl, Refusal::NotGlibc { linker, .. } if linker.contains("musl")));
    assert!(matches!(refusal(&set_uid), Refusal::Privileged { how: "set-user-ID", .. }));
    assert!(matches!(refusal(&link), Refusal::Privileged { .. }));
    assert!(matches!(refusal(&text), Refusal::NotAProgram(_)));
    assert!(matches!(refusal(&looping), Refusal::NotAProgram(_)));
    assert!(matches!(refusal(directory.path()), Refusal::NotAProgram(_)));
    assert!(matches!(refusal(&not_executable), Refusal::NotExecutable(_)));
    assert!(matches!(refusal(Path::new("no-such-program")), Refusal::NotFound(_)));
    assert!(matches!(refusal(Path::new("/no/such/program")), Refusal::NotFound(_)));
}
