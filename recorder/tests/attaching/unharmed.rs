//! What threads are left with that were stopped, and led out of malloc: their signals, and what they block.

use std::fs;
use std::time::Duration;

use malloscope_recorder::attach::target::Target;
use malloscope_recorder::heap;
use malloscope_recorder::stopped::Stopped;

use crate::programs::program;
use crate::running::{Running, attach};

/// Which signals each thread of a process has blocked, and which the process handles, as the kernel says.
fn signals_of(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let status = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let of_signals = |line: &&str| line.starts_with("SigBlk") || line.starts_with("SigCgt");
    status.map(|status| status.lines().filter(of_signals).collect::<Vec<_>>().join(" ")).collect()
}

/// Takes the heap of a process, and attaches to it, again and again.
fn look_often(pid: u32) {
    // A thread may be in a handler that interrupted malloc whenever we look.
    let taken = (0..30).filter(|_| heap::take(pid).is_ok()).count();
    assert!(taken > 0);
    for _ in 0..5 {
        attach(pid).unwrap();
    }
}

#[test]
fn signals_that_come_while_threads_are_led_out_of_malloc_are_handled_when_they_go_on() {
    // One that waits in the order it came, one of which only one can wait, and that which tells of a step.
    for signal in [libc::SIGRTMIN() + 3, libc::SIGUSR1, libc::SIGTRAP] {
        eprintln!("signal {signal}");
        let running = Running::start(&program("heeds"), &["2", &signal.to_string()]);
        look_often(running.pid());
        assert_eq!(running.end(), "all were handled");
    }
}

#[test]
fn threads_that_were_led_out_of_malloc_block_and_handle_the_signals_they_did_before() {
    let running = Running::start(&program("heeds"), &["2", "0"]);
    let before = signals_of(running.pid());
    assert_eq!(before.len(), 3);
    look_often(running.pid());
    assert_eq!(signals_of(running.pid()), before);
    running.end();
}

#[test]
fn threads_that_were_stopped_on_their_way_out_of_malloc_are_unharmed() {
    let running = Running::start(&program("steps"), &["4"]);
    let target = Target::open(running.pid()).unwrap();
    let code = heap::code_of_malloc(&target).unwrap();
    for time in 0..400 {
        let mut stopped = Stopped::all(running.pid()).unwrap();
        // About as long as it takes to come to the end of a call.
        stopped.lead_out(&code, &target, Duration::from_micros(time % 200));
    }
    assert!(running.end().ends_with(" steps"));
}
