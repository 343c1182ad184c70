//! Processes that cannot be attached to, or end at the wrong moment: what is said, and that no harm is done.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio, id};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use malloscope_recorder::attach::refusal::Refusal;
use malloscope_recorder::{Capture, Error, Sampling};
use malloscope_traces::Cause;
use rustix::process::{Pid, Resource, Rlimit, Signal, getuid, kill_process, prlimit};

use crate::programs::{library, program, program_with, set_user_id};
use crate::running::{A_WHILE, Running, attach, attach_wanting};
use crate::{assert_no_step_is_missing, records};

/// Panics unless a process is refused with words like these, and goes on. Returns what it says in the end.
fn check_refused(running: Running, words: &str) -> String {
    assert_refused(running.pid(), words);
    running.end()
}

fn assert_refused(pid: u32, words: &str) {
    let Err(error) = attach(pid) else { panic!("it was attached to, although {words}") };
    let error = error.to_string();
    assert!(error.contains(words), "{error}");
}

fn awkward(way: &str) -> Running {
    Running::start(&program("awkward"), &[way])
}

fn state(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

#[test]
fn a_process_that_is_not_there_is_not_attached_to() {
    let running = awkward("");
    let pid = running.pid();
    running.end();
    assert_refused(pid, &format!("there is no process {pid}"));
    assert_refused(0, "there is no process 0");
    assert_refused(u32::MAX, "there is no process");
    assert_refused(id(), "malloscope itself");
    // The kernel's own: the process that begins all of its threads.
    if fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        assert_refused(2, "the kernel's own");
    }
}

#[test]
fn a_thread_is_told_from_its_process() {
    let running = Running::start(&program("steps"), &["1"]);
    let pid = running.pid();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let ids = tasks.map(|task| task.file_name().into_string().unwrap().parse::<u32>().unwrap());
    let thread = ids.into_iter().find(|id| *id != pid).unwrap();
    assert_refused(thread, &format!("is a thread of process {pid}"));
}

#[test]
fn a_process_that_is_traced_is_not_attached_to() {
    let mut running = awkward("traced");
    let child: u32 = running.line().parse().unwrap();
    assert_refused(child, &format!("is traced by process {}", running.pid()));
    assert_eq!(running.end(), "unharmed");
}

#[test]
fn a_process_whose_seccomp_filter_forbids_what_an_agent_calls_is_not_attached_to() {
    let words = if getuid().is_root() { "memfd_create" } else { "seccomp" };
    assert_eq!(check_refused(awkward("forbidden"), words), "unharmed");
}

#[test]
fn a_process_whose_seccomp_filter_allows_what_an_agent_calls_is_recorded_and_lives() {
    let running = awkward("filtered");
    if !getuid().is_root() {
        assert_eq!(check_refused(running, "seccomp"), "unharmed");
        eprintln!("left out: only root is shown filters");
        return;
    }
    let stacks = Some(Capture { sampling: Sampling::All, depth: 32 });
    for stacks in [None, stacks] {
        let taken = attach_wanting(running.pid(), Some(Duration::from_millis(200)), stacks, &mut |_| ());
        let trace = &taken.expect("it may be attached to").recorded.traces[0];
        assert!(trace.calls > 20, "{} calls", trace.calls);
        assert_eq!(trace.lost, 0);
    }
    assert_eq!(running.end(), "unharmed");
}

#[test]
fn a_set_user_id_program_is_not_attached_to() {
    let directory = tempfile::TempDir::new().unwrap();
    let Some(program) = set_user_id(&program("awkward"), directory.path()) else {
        eprintln!("left out: only root can make a program of somebody else");
        return;
    };
    assert_eq!(check_refused(Running::start(&program, &[]), "other rights than"), "unharmed");
}

#[test]
fn a_static_program_is_not_attached_to() {
    let running = Running::start(&program_with("awkward", &["-static"]), &[]);
    assert_eq!(check_refused(running, "statically linked"), "unharmed");
}

#[test]
fn a_program_for_another_libc_is_not_attached_to() {
    // What its dynamic linker is called is all that is known of a libc from outside.
    let directory = tempfile::TempDir::new().unwrap();
    let linker = directory.path().join("ld-musl-x86_64.so.1");
    std::os::unix::fs::symlink("/lib64/ld-linux-x86-64.so.2", &linker).unwrap();
    let flag = format!("-Wl,--dynamic-linker={}", linker.display());
    let running = Running::start(&program_with("awkward", &[&flag]), &[]);
    assert_eq!(check_refused(running, "does not use glibc"), "unharmed");
}

#[test]
fn a_program_of_32_bits_is_not_attached_to() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("small");
    fs::write(&file, program_of_32_bits()).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let Ok(mut child) = Command::new(&file).stdout(Stdio::null()).spawn() else {
        eprintln!("left out: this kernel runs no programs of 32 bits");
        return;
    };
    assert_refused(child.id(), "is not a 64-bit program");
    assert!(child.try_wait().unwrap().is_none(), "it runs on");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// An ELF file for i386 that calls `pause`, for ever.
fn program_of_32_bits() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    // mov eax, 29; int 0x80; jmp to the beginning
    let code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7];
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |bytes: &[u8]| file.extend(bytes);
    for half in [2_u16, 3] {
        put(&half.to_le_bytes());
    }
    for word in [1, BASE + HEADERS, 52, 0, 0] {
        put(&word.to_le_bytes());
    }
    for half in [52_u16, 32, 1, 0, 0, 0] {
        put(&half.to_le_bytes());
    }
    let length = HEADERS + u32::try_from(code.len()).unwrap();
    for word in [1, 0, BASE, BASE, length, length, 5, 0x1000] {
        put(&word.to_le_bytes());
    }
    put(&code);
    file
}

#[test]
fn a_program_with_another_malloc_is_not_attached_to() {
    let mut command = Command::new(program("awkward"));
    command.env("LD_PRELOAD", library("allocator"));
    assert_eq!(check_refused(Running::by(&mut command), "liballocator.so, and not from glibc"), "unharmed");
}

#[test]
fn a_process_has_one_recorder_at_a_time() {
    let running = Running::start(&program("steps"), &["1"]);
    let (pid, is_asked) = (running.pid(), AtomicBool::new(false));
    let taken = attach_wanting(pid, Some(A_WHILE * 3), None, &mut |_| {
        assert_refused(pid, &format!("is being recorded already by process {}", id()));
        is_asked.store(true, Ordering::Relaxed);
    });
    assert!(assert_no_step_is_missing(&records(&taken.unwrap().path())) > 0);
    assert!(is_asked.into_inner());
    running.end();
}

/// Waits until a process stands still. The kernel has a thread that was let go run into its stop again, without a step of
/// the program: so it may seem to run for a moment.
fn until_stopped(pid: u32) {
    let since = Instant::now();
    while state(pid) != 'T' {
        assert!(since.elapsed() < Duration::from_secs(20), "it goes on");
    }
}

#[test]
fn a_stopped_process_is_recorded_when_it_goes_on_and_stays_stopped_until_then() {
    let running = Running::start(&program("steps"), &["2"]);
    let pid = running.pid();
    signal(pid, Signal::STOP);
    until_stopped(pid);
    let mut was_stopped = false;
    let taken = attach_wanting(pid, Some(A_WHILE * 3), None, &mut |progress| {
        if !was_stopped {
            was_stopped = true;
            until_stopped(pid);
            assert_eq!(progress.calls, 0);
            signal(pid, Signal::CONT);
        }
    });
    assert!(was_stopped);
    assert!(assert_no_step_is_missing(&records(&taken.unwrap().path())) > 0);
    // Left in the same state too.
    signal(pid, Signal::STOP);
    until_stopped(pid);
    attach(pid).unwrap();
    until_stopped(pid);
    signal(pid, Signal::CONT);
    running.end();
}

#[test]
fn a_process_may_end_at_any_moment_of_being_attached_to() {
    let mut refused = 0;
    for calls in 0..60_u32 {
        let running = Running::start(&program("awkward"), &["brief", &(calls * calls * 500).to_string()]);
        match attach(running.pid()) {
            Ok(taken) => {
                assert_eq!(taken.recorded.traces.len(), 1);
                assert_eq!(taken.recorded.traces[0].lost, 0);
            }
            Err(Error::Attach(
                Refusal::Ended(_)
                | Refusal::NoProcess(_)
                | Refusal::NoProgram(_)
                | Refusal::Denied { .. }
                | Refusal::Unsettled(_),
            )) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        assert_eq!(running.end(), "unharmed");
    }
    assert!(refused > 0, "none ended before it was attached to");
}

#[test]
fn a_process_that_is_killed_leaves_a_trace_up_to_that() {
    let mut running = Running::start(&program("steps"), &["3"]);
    let pid = running.pid();
    let taken = attach_wanting(pid, None, None, &mut |progress| {
        if progress.calls > 1000 {
            let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
        }
    });
    let taken = taken.unwrap();
    assert!(assert_no_step_is_missing(&records(&taken.path())) > 100);
    assert_eq!(taken.recorded.traces[0].cause, Cause::Unknown);
    running.kill();
}

#[test]
fn a_process_that_becomes_another_program_ends_its_trace() {
    let mut running = awkward("becomes");
    let pid = running.pid();
    let mut is_told = false;
    let taken = attach_wanting(pid, None, None, &mut |_| {
        if !is_told {
            is_told = true;
            running.tell(b"some bytes");
            running.say_no_more();
        }
    });
    let taken = taken.unwrap();
    assert!(matches!(taken.recorded.traces[0].cause, Cause::Replaced { .. } | Cause::Unknown));
    assert_eq!(running.end(), "another");
    assert!(records(&taken.path()).len() >= 20);
}

#[test]
fn who_is_ended_by_a_limit_of_bytes_leaves() {
    let running = Running::start(&program("steps"), &["2"]);
    let taken = crate::running::attach_until_bytes(running.pid(), 100_000).unwrap();
    assert!(fs::metadata(taken.path()).unwrap().len() >= 100_000);
    assert_eq!(taken.recorded.traces[0].cause, Cause::Stopped);
    running.end();
}

#[test]
fn a_process_in_namespaces_of_its_own_is_recorded() {
    let inside = Command::new("unshare")
        .args(["--pid", "--mount", "--fork", "--mount-proc", "true"])
        .stderr(Stdio::null())
        .status();
    if !inside.is_ok_and(|status| status.success()) {
        eprintln!("left out: we may not make namespaces");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--pid", "--mount", "--fork", "--mount-proc"]).arg(program("steps")).arg("2");
    let running = Running::by(&mut command);
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    let child: u32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    for _ in 0..2 {
        let taken = attach(child).unwrap();
        assert!(assert_no_step_is_missing(&records(&taken.path())) > 100);
        assert_eq!(taken.recorded.traces[0].lost, 0);
        assert!(Path::new(&taken.recorded.traces[0].program).ends_with("steps"));
    }
    running.end();
}

#[test]
fn a_process_that_may_have_no_more_memory_is_not_attached_to_and_goes_on() {
    let running = Running::start(&program("steps"), &["2"]);
    let limit = |bytes: Option<u64>| {
        let pid = Pid::from_raw(running.pid().cast_signed());
        prlimit(pid, Resource::As, Rlimit { current: bytes, maximum: None }).unwrap()
    };
    limit(Some(1 << 20));
    for _ in 0..3 {
        assert_refused(running.pid(), "cannot be given memory for the agent");
    }
    // Enough for the agent, and not for what it shares with the recorder.
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kilobytes: u64 = size.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    limit(Some((kilobytes << 10) + (4 << 20)));
    assert_refused(running.pid(), "cannot be given the memory it would share with the recorder");
    limit(None);
    assert_eq!(attach(running.pid()).unwrap().recorded.traces[0].lost, 0);
    assert!(running.end().ends_with(" steps"));
}
