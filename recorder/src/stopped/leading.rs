//! Leading threads out of code, so that none is in the midst of a call.
//!
//! Where the unwind tables say to where the outermost call returns, a thread runs until it comes there: the processor is asked
//! to stop it (a debug register), no code is changed. All others go step by step, which takes a hundred
//! times as long. Whichever way it goes, a thread that is about to wait in the kernel, or to make a call there that changes more
//! than memory, is left before that: it changes nothing until it goes on.

use std::thread;
use std::time::{Duration, Instant};

use super::code::{Code, WayOut};
use super::requests::{self, Ask, Registers, Stop, ask, is_waiting, look, wait};
use super::{PATIENCE, Stopped, set};
use crate::attach::target::{self, Target};

/// The instruction that calls the kernel.
const SYSCALL: u16 = u16::from_le_bytes([0x0f, 0x05]);

/// The calls about memory that malloc makes, and what the agent asks of itself: none of them waits for anybody.
const QUICK: [libc::c_long; 8] = [
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
];

/// What futex(2) is to do, without its flags.
const FUTEX_COMMAND: u64 = 0x7f;
const FUTEX_WAKE: u64 = 1;

/// So many steps, and the tables tell the way: from the stub of a function, or its first instructions.
const FIRST_STEPS: u32 = 8;

/// A thread that runs to where it comes out.
struct OnItsWay {
    id: u32,
    out: WayOut,
}

impl Stopped {
    /// Lets every thread that is somewhere in this code go on until it is not; all of them together for so long at
    /// most. Returns whether all are outside of it, or wait in it for the kernel.
    pub fn lead_out(&mut self, code: &Code, target: &Target, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let inside: Vec<u32> = self.threads.keys().copied().filter(|id| self.is_inside(*id, code)).collect();
        let inside: Vec<u32> = inside.into_iter().filter(|id| !self.is_waiting(*id)).collect();
        if inside.is_empty() {
            return true;
        }
        if ignores_steps(self.pid) {
            return false;
        }
        let mut all = Vec::new();
        for &id in &inside {
            all.extend(self.send_out(id, code, target));
        }
        self.see_out(all, deadline);
        let mut are_outside = true;
        for id in inside {
            are_outside &= self.step_out(id, code, target, deadline);
            self.rest(id);
        }
        are_outside
    }

    fn is_inside(&self, id: u32, code: &Code) -> bool {
        self.threads.get(&id).is_some_and(|thread| code.contains(thread.registers.rip))
    }

    fn is_waiting(&self, id: u32) -> bool {
        self.threads.get(&id).is_none_or(|thread| is_waiting(&thread.registers))
    }

    /// Lets a thread run to where it comes out, if that is known.
    fn send_out(&mut self, id: u32, code: &Code, target: &Target) -> Option<OnItsWay> {
        for _ in 0..FIRST_STEPS {
            let thread = self.threads.get(&id)?;
            if thread.must_stay || !code.contains(thread.registers.rip) {
                return None;
            }
            if let Some(out) = code.way_out(&thread.registers, target) {
                self.listen_for_steps(id)?;
                requests::watch(id, Some(out.address)).ok()?;
                ask(Ask::ToAnyCall, id, 0).ok()?;
                return Some(OnItsWay { id, out });
            }
            if is_about_to_wait(&thread.registers, target) || !self.step(id) {
                return None;
            }
        }
        None
    }

    /// Waits until they have come out. Those that have not in time are stopped where they are.
    fn see_out(&mut self, mut all: Vec<OnItsWay>, deadline: Instant) {
        let watched: Vec<u32> = all.iter().map(|one| one.id).collect();
        while !all.is_empty() && Instant::now() < deadline {
            all.retain(|one| match look(one.id) {
                None => true,
                Some(stop) => self.goes_on(one, stop),
            });
            thread::yield_now();
        }
        for one in &all {
            let _ = ask(Ask::Interrupt, one.id, 0);
        }
        for one in all {
            if let Ok(stop) = wait(one.id, PATIENCE) {
                self.park(one.id, stop);
            }
        }
        for id in watched {
            // One that is gone watches for nothing.
            let _ = requests::watch(id, None);
        }
    }

    /// What a thread's stop means for its way out: whether it is still on it.
    fn goes_on(&mut self, one: &OnItsWay, stop: Stop) -> bool {
        match stop {
            Stop::Signal(libc::SIGTRAP) if !requests::was_sent(one.id) => {
                let registers = requests::registers(one.id);
                let is_deeper = registers.is_some_and(|registers| registers.rsp < one.out.stack);
                if is_deeper && ask(Ask::ToAnyCall, one.id, 0).is_ok() {
                    return true;
                }
                self.stands(one.id, registers);
                false
            }
            Stop::Call => {
                self.park(one.id, stop);
                let before = self.threads.get(&one.id).map(|thread| thread.registers);
                let is_quick = before.is_some_and(|registers| is_quick(&registers));
                is_quick && self.step(one.id) && ask(Ask::ToAnyCall, one.id, 0).is_ok()
            }
            stop => {
                let _ = self.settle(one.id, stop);
                let can_go_on = self.threads.get(&one.id).is_some_and(|thread| !thread.must_stay);
                can_go_on && ask(Ask::ToAnyCall, one.id, 0).is_ok()
            }
        }
    }

    /// Has a thread stand where it was stopped; before a call of the kernel if it was about to make one.
    fn park(&mut self, id: u32, stop: Stop) {
        match (stop, requests::registers(id)) {
            (Stop::Call, Some(registers)) => {
                // The kernel will not make it, and forgets that there was one.
                let rip = registers.rip - SYSCALL.to_le_bytes().len() as u64;
                let before = Registers { rip, rax: registers.orig_rax, orig_rax: u64::MAX, ..registers };
                let _ = requests::set_registers(id, &before);
                let _ = self.settle(id, stop);
            }
            (Stop::Signal(libc::SIGTRAP), registers) if !requests::was_sent(id) => self.stands(id, registers),
            (stop, _) => drop(self.settle(id, stop)),
        }
    }

    fn step_out(&mut self, id: u32, code: &Code, target: &Target, deadline: Instant) -> bool {
        let mut has_moved = false;
        loop {
            let Some(thread) = self.threads.get(&id) else { return true };
            let registers = thread.registers;
            let waits = is_about_to_wait(&registers, target) || !has_moved && is_waiting(&registers);
            if !code.contains(registers.rip) || waits {
                return true;
            }
            if thread.must_stay || Instant::now() > deadline || !self.step(id) {
                return false;
            }
            has_moved = true;
        }
    }

    /// One step of a thread. Returns whether it stands again.
    fn step(&mut self, id: u32) -> bool {
        if self.listen_for_steps(id).is_none() {
            return false;
        }
        if ask(Ask::Step, id, 0).is_err() {
            self.threads.remove(&id);
            return true;
        }
        match wait(id, PATIENCE) {
            // A signal that was sent meanwhile is told, and the step is not.
            Ok(Stop::Signal(libc::SIGTRAP)) if !requests::was_sent(id) => {
                self.stands(id, requests::registers(id));
                true
            }
            Ok(stop) => self.settle(id, stop).is_ok(),
            Err(_) => false,
        }
    }

    /// Has a thread that made steps stand still for no other reason than that it was asked to. From any other stop, and
    /// if it was still to be told of a step, the signal for that would end the process when it goes on.
    fn rest(&mut self, id: u32) {
        let must_stay = |stopped: &Stopped| stopped.threads.get(&id).is_none_or(|thread| thread.must_stay);
        while !must_stay(self) && is_about_to_be_told(self.pid, id) {
            // It is told before it gets anywhere.
            let told = ask(Ask::ToAnyCall, id, 0).is_ok().then(|| wait(id, PATIENCE));
            match told {
                Some(Ok(Stop::Signal(libc::SIGTRAP))) if !requests::was_sent(id) => {}
                Some(Ok(stop)) => drop(self.settle(id, stop)),
                _ => break,
            }
        }
        if !must_stay(self) {
            let _ = ask(Ask::Interrupt, id, 0);
            if ask(Ask::Continue, id, 0).is_ok()
                && let Ok(stop) = wait(id, PATIENCE)
            {
                let _ = self.settle(id, stop);
            }
        }
    }

    /// Sees to it that a thread does not block what tells us of steps: the kernel would forget who handles that.
    fn listen_for_steps(&mut self, id: u32) -> Option<()> {
        self.change_mask(id, |mask| mask & !set(&[libc::SIGTRAP])).ok()
    }
}

/// Whether what tells us of a step, or of a place, is still on its way to a thread.
fn is_about_to_be_told(pid: u32, thread: u32) -> bool {
    let pending = target::status_in(pid, &format!("task/{thread}/status"), "SigPnd");
    let pending = pending.and_then(|set| u64::from_str_radix(&set, 16).ok());
    pending.is_some_and(|pending| pending & set(&[libc::SIGTRAP]) != 0)
}

/// Whether the process ignores what tells us of a step: the kernel would have it ignored no longer.
fn ignores_steps(pid: u32) -> bool {
    let ignored = target::status(pid, "SigIgn").and_then(|set| u64::from_str_radix(&set, 16).ok());
    ignored.is_none_or(|ignored| ignored & set(&[libc::SIGTRAP]) != 0)
}

/// Whether a thread's next instruction is a call of the kernel that may take any time.
fn is_about_to_wait(registers: &Registers, target: &Target) -> bool {
    let is_call = target.half(registers.rip).is_some_and(|code| code & 0xffff == u32::from(SYSCALL));
    is_call && !is_quick(registers)
}

/// Whether the call that a thread is about to make is one of those that wait for nobody, or wakes others who wait
/// for a lock.
fn is_quick(registers: &Registers) -> bool {
    let number = registers.rax.cast_signed();
    QUICK.contains(&number) || number == libc::SYS_futex && registers.rsi & FUTEX_COMMAND == FUTEX_WAKE
}
