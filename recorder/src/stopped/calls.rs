//! System calls that a process is made to make, and code that it is made to run: by one of its threads, which is brought
//! back to where it was.

use std::cell::Cell;
use std::io;

use super::requests::{self, Ask, Registers, Stop, Vectors, ask, wait};
use super::{LAST_PATIENCE, OF_INSTRUCTIONS, Stopped, Trouble, set};

/// The flags of a processor of which none is set that anybody sets; one is always there.
const FLAGS: u64 = 0x202;

/// Why a process did not make a call as it was told.
#[derive(Debug)]
pub enum CallFailed {
    /// The call was refused.
    Refused(io::Error),
    /// It was not made.
    Trouble(Trouble),
}

impl From<Trouble> for CallFailed {
    fn from(trouble: Trouble) -> CallFailed {
        CallFailed::Trouble(trouble)
    }
}

impl Stopped {
    /// Has the process make a system call, at an address where there is the instruction for it.
    ///
    /// # Errors
    ///
    /// When the kernel refuses what is asked of it, or the process is gone.
    pub fn call(&mut self, at: u64, number: i64, arguments: [u64; 6]) -> Result<u64, CallFailed> {
        let thread = self.caller()?;
        let found = self.threads.get(&thread).ok_or(Trouble::Gone)?.registers;
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        let rax = number.cast_unsigned();
        // It is no call that the kernel would restart.
        let orig_rax = u64::MAX;
        let registers = Registers { rip: at, rax, orig_rax, rdi, rsi, rdx, r10, r8, r9, ..found };
        requests::set_registers(thread, &registers)?;
        for _ in ["to the call", "to its end"] {
            self.go_on(thread, Ask::ToCall, |stop| matches!(stop, Stop::Call))?;
        }
        let returned = requests::registers(thread).ok_or(Trouble::Gone)?.rax.cast_signed();
        // The kernel's error numbers lie between −4095 and −1.
        match i32::try_from(returned) {
            Ok(error @ -4095..=-1) => Err(CallFailed::Refused(io::Error::from_raw_os_error(-error))),
            _ => Ok(returned.cast_unsigned()),
        }
    }

    /// Has the process run the code at an address, on a stack that ends at another, until it is about to make a system
    /// call, which the kernel then does not make: no filter of such calls hears of it. Returns the first
    /// arguments of that if it has this number, which is none; `None` if it has not, or the code came to grief before.
    ///
    /// # Errors
    ///
    /// When the process is gone, or does not come to an end of it.
    pub fn run(&mut self, code: u64, stack: u64, until: u32) -> Result<Option<(u64, u64)>, Trouble> {
        let thread = self.caller()?;
        let found = self.threads.get(&thread).ok_or(Trouble::Gone)?.registers;
        let vectors = Vectors::of(thread)?;
        // If one of these were blocked when an instruction causes it, the kernel would forget who handles it.
        requests::set_mask(thread, !OF_INSTRUCTIONS)?;
        // As after a call (System V ABI), and with no flag set that means something.
        let rsp = stack / 16 * 16 - 8;
        let registers = Registers { rip: code, rsp, rbp: 0, eflags: FLAGS, orig_rax: u64::MAX, ..found };
        requests::set_registers(thread, &registers)?;
        let fault = Cell::new(false);
        self.go_on(thread, Ask::ToAnyCall, |stop| {
            let is_fault = |signal: i32| set(&[signal]) & OF_INSTRUCTIONS != 0 && !requests::was_sent(thread);
            fault.set(matches!(stop, Stop::Signal(signal) if is_fault(*signal)));
            fault.get() || matches!(stop, Stop::Call)
        })?;
        let at = requests::registers(thread).ok_or(Trouble::Gone)?;
        let fault = fault.get();
        requests::set_mask(thread, u64::MAX)?;
        vectors.give(thread)?;
        requests::set_registers(thread, &Registers { orig_rax: u64::MAX, ..found })?;
        // From any other stop, the kernel would yet tell of the end of that call.
        let _ = ask(Ask::Interrupt, thread, 0);
        self.go_on(thread, Ask::Continue, |stop| matches!(stop, Stop::Asked))?;
        Ok((!fault && at.orig_rax == u64::from(until)).then_some((at.rdi, at.rsi)))
    }

    /// The thread that makes calls. No signal is handled in it from now on.
    fn caller(&mut self) -> Result<u32, Trouble> {
        if let Some(thread) = self.caller {
            return Ok(thread);
        }
        let thread = *self.threads.keys().next().ok_or(Trouble::Gone)?;
        self.change_mask(thread, |_| u64::MAX)?;
        self.caller = Some(thread);
        Ok(thread)
    }

    /// Lets a thread go on, like this, until it stops as wanted.
    fn go_on(&mut self, thread: u32, how: Ask, is_wanted: impl Fn(&Stop) -> bool) -> Result<(), Trouble> {
        ask(how, thread, 0).map_err(|_| Trouble::Gone)?;
        loop {
            let stop = wait(thread, LAST_PATIENCE)?;
            if is_wanted(&stop) {
                return Ok(());
            }
            if matches!(stop, Stop::Gone) {
                return Err(Trouble::Gone);
            }
            if how == Ask::Continue {
                // Any stop makes the kernel forget that it was asked for one.
                let _ = ask(Ask::Interrupt, thread, 0);
            }
            self.go_on_without(thread, how, stop)?;
        }
    }

    /// Brings the thread that made calls back to where it was.
    pub(super) fn put_back(&mut self) {
        let Some(thread) = self.caller.take() else { return };
        let Some(found) = self.threads.get(&thread).copied() else { return };
        // Only from such a stop does the kernel restart the call that was interrupted.
        let _ = ask(Ask::Interrupt, thread, 0);
        if self.go_on(thread, Ask::Continue, |stop| matches!(stop, Stop::Asked)).is_ok() {
            let _ = requests::set_registers(thread, &found.registers);
        }
    }
}
