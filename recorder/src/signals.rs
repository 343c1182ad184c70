//! Signals that are meant for the program: the recorder passes them on and stays to write the trace.
//!
//! What the terminal sends reaches the program by itself; what another process sends to us does not.
//!
//! # Unsafe code
//!
//! What could go wrong: a handler does what a handler must not, or is there when its code is gone.
//! Who promises what: ours stores to atomics and does nothing else; it is a function of the program.
#![expect(unsafe_code, reason = "see above")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};

/// Those we pass on: by each of them people ask a program to end, or to do something of its own.
const PASSED_ON: [Signal; 6] =
    [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::USR1, Signal::USR2];

/// Set when a process has sent the signal of the same place to us.
static SENT: [AtomicBool; PASSED_ON.len()] = [const { AtomicBool::new(false) }; PASSED_ON.len()];

/// Those of them by which people ask a program to end.
const ENDING: usize = 4;

/// Set when we were asked to end, by whoever it was.
static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

/// While this lives, signals do not end us.
#[derive(Debug)]
pub struct PassingOn {
    before: Vec<(Signal, libc::sigaction)>,
}

impl PassingOn {
    /// From now on.
    pub fn begin() -> io::Result<PassingOn> {
        let mut passing = PassingOn { before: Vec::new() };
        ASKED_TO_END.store(false, Ordering::Relaxed);
        for signal in PASSED_ON {
            let before = set(signal, &handled())?;
            // Who was told to ignore a signal goes on ignoring it, as programs under `nohup` do.
            if before.sa_sigaction == libc::SIG_IGN {
                set(signal, &before)?;
            } else {
                passing.before.push((signal, before));
            }
        }
        Ok(passing)
    }

    /// Whether somebody asked us to end, at the terminal or from another process.
    pub fn asked_to_end(&self) -> bool {
        ASKED_TO_END.load(Ordering::Relaxed)
    }

    /// Sends to this process what was sent to us.
    pub fn pass_on(&self, to: Pid) {
        for (signal, sent) in PASSED_ON.into_iter().zip(&SENT) {
            if sent.swap(false, Ordering::Relaxed) {
                // If it is gone already, it needs no signal.
                let _ = kill_process(to, signal);
            }
        }
    }
}

impl Drop for PassingOn {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            let _ = set(*signal, before);
        }
    }
}

/// From now on a file that may not become so long (`RLIMIT_FSIZE`) is an error, and does not end us: a process may be in our
/// hands just then. What we start has it as it was.
pub fn survive_long_files() -> io::Result<()> {
    set(Signal::XFSZ, &handled()).map(drop)
}

/// Calls [`note`], which interrupts what we wait for.
fn handled() -> libc::sigaction {
    let action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeros are an action: the default one, with no flags and no signals blocked.
    let mut action = unsafe { action.assume_init() };
    action.sa_flags = libc::SA_SIGINFO;
    action.sa_sigaction = note as *const () as usize;
    action
}

extern "C" fn note(number: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if PASSED_ON.iter().take(ENDING).any(|signal| signal.as_raw() == number) {
        ASKED_TO_END.store(true, Ordering::Relaxed);
    }
    // SAFETY: the kernel passes it to handlers that ask for it.
    let origin = unsafe { (*info).si_code };
    // Above 0 it is the kernel's own doing: the terminal's, hence the program's as well.
    if origin <= 0 {
        for (signal, sent) in PASSED_ON.iter().zip(&SENT) {
            if signal.as_raw() == number {
                sent.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Sets what a signal does. Returns what it did before.
fn set(signal: Signal, action: &libc::sigaction) -> io::Result<libc::sigaction> {
    let mut before = MaybeUninit::uninit();
    // SAFETY: the action is one that was read, or `handled`.
    if unsafe { libc::sigaction(signal.as_raw(), ptr::from_ref(action), before.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded.
    Ok(unsafe { before.assume_init() })
}
