//! Leading threads out of code, step by step, so that none is in the midst of a call.
//!
//! One that waits in the kernel, or is about to, is left there: it changes nothing until it goes on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::requests::{self, Ask, Registers, Stop, ask, is_waiting, wait};
use super::{PATIENCE, Stopped, set};
use crate::attach::target;
use crate::heap::copy::{Memory, PAGE, Range};
use crate::heap::remote::Remote;

/// The instruction that calls the kernel.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// The calls about memory that malloc makes: none of them waits for anybody.
const QUICK: [libc::c_long; 6] = [
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

impl Stopped {
    /// Lets every thread that is somewhere in this code go on, alone and step by step, until it is not; all of them
    /// together for so long at most. Returns whether all are outside of it, or wait in it for the kernel.
    pub fn lead_out(&mut self, code: &[Range], patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let may_step = !ignores_steps(self.pid);
        let mut instructions = Instructions::of(self.pid);
        let threads: Vec<u32> = self.threads.keys().copied().collect();
        let mut are_outside = true;
        for thread in threads {
            are_outside &= self.lead_one_out(thread, code, &mut instructions, may_step.then_some(deadline));
        }
        are_outside
    }

    fn lead_one_out(
        &mut self,
        id: u32,
        code: &[Range],
        instructions: &mut Instructions,
        deadline: Option<Instant>,
    ) -> bool {
        let mut is_first = true;
        loop {
            let Some(thread) = self.threads.get(&id) else { return true };
            let registers = thread.registers;
            let is_outside = !code.iter().any(|part| part.contains(registers.rip));
            if is_outside || is_first && is_waiting(&registers) || instructions.is_about_to_wait(&registers) {
                return true;
            }
            if thread.must_stay || deadline.is_none_or(|deadline| Instant::now() > deadline) {
                return false;
            }
            // If it is blocked, the kernel forgets who handles it.
            let is_listened_for = self.change_mask(id, |mask| mask & !set(&[libc::SIGTRAP])).is_ok();
            if !is_listened_for || !self.step(id) {
                return false;
            }
            is_first = false;
        }
    }

    /// One step of a thread. Returns whether it stands again.
    fn step(&mut self, id: u32) -> bool {
        if ask(Ask::Step, id, 0).is_err() {
            self.threads.remove(&id);
            return true;
        }
        let Ok(stop) = wait(id, PATIENCE) else { return false };
        // One that was sent meanwhile is told, and the step is not.
        if let (Stop::Signal(libc::SIGTRAP), Some(registers)) = (stop, requests::registers(id))
            && !requests::was_sent(id)
        {
            self.threads.entry(id).and_modify(|thread| thread.registers = registers);
            return true;
        }
        self.settle(id, stop).is_ok()
    }
}

/// Whether the process ignores what tells us of a step: the kernel would have it ignored no longer.
fn ignores_steps(pid: u32) -> bool {
    let ignored = target::status(pid, "SigIgn").and_then(|set| u64::from_str_radix(&set, 16).ok());
    ignored.is_none_or(|ignored| ignored & set(&[libc::SIGTRAP]) != 0)
}

/// The instructions of a process that stands still: pages of them, each read once.
struct Instructions {
    memory: Remote,
    pages: HashMap<u64, Vec<u8>>,
}

impl Instructions {
    fn of(pid: u32) -> Instructions {
        Instructions { memory: Remote(pid), pages: HashMap::new() }
    }

    /// Whether a thread's next instruction is a call of the kernel that may take any time: all but those about
    /// memory that malloc makes, and that to wake others who wait for a lock.
    fn is_about_to_wait(&mut self, registers: &Registers) -> bool {
        let number = registers.rax.cast_signed();
        let wakes = number == libc::SYS_futex && registers.rsi & FUTEX_COMMAND == FUTEX_WAKE;
        self.is_call(registers.rip) && !QUICK.contains(&number) && !wakes
    }

    fn is_call(&mut self, at: u64) -> bool {
        let end = at.saturating_add(SYSCALL.len() as u64 - 1);
        [at, end].map(|at| self.byte(at)) == SYSCALL.map(Some)
    }

    fn byte(&mut self, at: u64) -> Option<u8> {
        let start = at & !(PAGE - 1);
        let page = self.pages.entry(start).or_insert_with(|| {
            let range = Range { start, end: start.saturating_add(PAGE) };
            let mut page = vec![0; usize::try_from(range.length()).unwrap_or(0)];
            // What cannot be read is no instruction.
            let read = self.memory.read(&[range], &mut page);
            read.map_or_else(|_| Vec::new(), |()| page)
        });
        page.get(usize::try_from(at - start).ok()?).copied()
    }
}
