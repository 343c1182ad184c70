//! Why a process cannot be attached to, said so that one knows what to do.

use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::process::getuid;

use super::patches::NotPatched;
use super::target::{self, Target};
use crate::program;
use crate::stopped::Trouble;

/// Why a process cannot be attached to.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such process.
    #[error("there is no process {0}")]
    NoProcess(u32),
    /// It is a thread of another.
    #[error("{thread} is a thread of process {process}: attach to that")]
    Thread {
        /// What was asked for.
        thread: u32,
        /// Its process.
        process: u32,
    },
    /// It is this one.
    #[error("{0} is malloscope itself")]
    Ourselves(u32),
    /// It is the kernel's, or has ended.
    #[error(
        "process {0} runs no program: it is the kernel's own, or has ended and waits for its parent to notice"
    )]
    NoProgram(u32),
    /// Its program is of a kind that cannot be recorded.
    #[error("process {pid}: {source}")]
    Program {
        /// The process.
        pid: u32,
        /// What is wrong with it.
        source: program::Refusal,
    },
    /// It is another user's.
    #[error("process {pid} is of user {user}, and we are {us}: attach as that user, or as root")]
    AnotherUser {
        /// The process.
        pid: u32,
        /// Its user.
        user: u32,
        /// Ours.
        us: u32,
    },
    /// Somebody traces it.
    #[error(
        "process {pid} is traced by process {tracer} (a debugger, or strace) and can have one tracer only: end that first"
    )]
    Traced {
        /// The process.
        pid: u32,
        /// Its tracer.
        tracer: u32,
    },
    /// The kernel does not let us.
    #[error("the kernel does not let us trace process {pid}{hint}")]
    Denied {
        /// The process.
        pid: u32,
        /// What may have to be changed.
        hint: String,
    },
    /// It has rights its user does not have.
    #[error(
        "process {0} was started with other rights than its user's (set-user-ID, or capabilities): such are not attached to"
    )]
    Privileged(u32),
    /// It may not make the system calls that an agent makes.
    #[error(
        "process {pid} has a seccomp filter that forbids it a system call ({call}) which an agent in it makes: it would be \
         ended, or be told of errors. Attach to it without that filter (in a container: `--security-opt seccomp=unconfined`)"
    )]
    Filtered {
        /// The process.
        pid: u32,
        /// The call.
        call: &'static str,
    },
    /// Nobody knows whether it may.
    #[error(
        "process {pid} has a seccomp filter, and the kernel does not show us which system calls that forbids: it may be ended \
         for those an agent makes. Attach as root, and from outside of its container"
    )]
    UnknownFilter {
        /// The process.
        pid: u32,
        /// What the kernel says.
        source: io::Error,
    },
    /// Its malloc is not glibc's.
    #[error("process {pid} has its malloc from {library}, and not from glibc")]
    AnotherAllocator {
        /// The process.
        pid: u32,
        /// Where it has it from.
        library: String,
    },
    /// Another recorder is there.
    #[error("process {pid} is being recorded already{by}")]
    Recorded {
        /// The process.
        pid: u32,
        /// By whom.
        by: String,
    },
    /// Its modules cannot be made out.
    #[error(
        "process {0} has no list of modules that makes sense, or changes it all the time: nothing was changed"
    )]
    Unsettled(u32),
    /// It did not come out of the dynamic linker or of what a recorder has left there.
    #[error(
        "process {0} was at no time where it could be attached to: a thread is always within the dynamic linker, or within the agent. Nothing was changed; try again"
    )]
    Busy(u32),
    /// It has ended meanwhile.
    #[error("process {0} ended while we attached to it")]
    Ended(u32),
    /// A thread does not stop.
    #[error("process {pid} was not attached to, and nothing was changed: {trouble}")]
    Unstoppable {
        /// The process.
        pid: u32,
        /// Which thread, and why.
        trouble: Trouble,
    },
    /// This build has no gum.
    #[error(
        "`--engine gum` is not in this malloscope, which was built without frida-gum. Build it with `--features gum` \
         where a devkit of frida-gum is installed (frida-gum.h and libfrida-gum.a in /usr/local, in /usr or in the directory that \
         FRIDA_GUM_DEVKIT_DIR names), or with `--features gum-download`, which downloads one. `--engine got` needs nothing"
    )]
    NoGum,
    /// Its functions could not be patched.
    #[error(
        "the functions of malloc in process {pid} were not patched ({why}); it goes on as before. `--engine got` changes no code"
    )]
    Unpatched {
        /// The process.
        pid: u32,
        /// Why.
        why: NotPatched,
    },
    /// Its kernel is older than 4.14.
    #[error(
        "the kernel is older than 4.14 (it has no MADV_WIPEONFORK): copies of process {0} could not be told from it"
    )]
    OldKernel(u32),
    /// The kernel refused it what the agent needs.
    #[error("process {pid} cannot be given {what}; it goes on as before")]
    NoRoom {
        /// The process.
        pid: u32,
        /// What it was asked for.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Whether a process can be attached to, as far as that is known from outside. Returns its dynamic linker's
/// path, and its program's.
pub fn examine(pid: u32) -> Result<(PathBuf, PathBuf), Refusal> {
    let process =
        target::status(pid, "Tgid").and_then(|id| id.parse().ok()).ok_or(Refusal::NoProcess(pid))?;
    if process != pid {
        return Err(Refusal::Thread { thread: pid, process });
    }
    if pid == std::process::id() {
        return Err(Refusal::Ourselves(pid));
    }
    let us = getuid().as_raw();
    let user = target::status(pid, "Uid").and_then(|users| users.split_whitespace().next()?.parse().ok());
    if let Some(user) = user.filter(|user| us != 0 && *user != us) {
        return Err(Refusal::AnotherUser { pid, user, us });
    }
    if has_ended(pid) {
        return Err(Refusal::NoProgram(pid));
    }
    let tracer = target::status(pid, "TracerPid").and_then(|id| id.parse().ok()).unwrap_or(0);
    if tracer != 0 {
        return Err(Refusal::Traced { pid, tracer });
    }
    let program = match target::executable(pid) {
        Ok(program) => program,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(denied(pid)),
        Err(_) => return Err(Refusal::NoProgram(pid)),
    };
    let file = PathBuf::from(format!("/proc/{pid}/exe"));
    // Of one that ends meanwhile nothing can be read.
    let why =
        |source| if has_ended(pid) { Refusal::NoProgram(pid) } else { Refusal::Program { pid, source } };
    let linker = program::check_running(&file, program.clone()).map_err(why)?;
    Ok((linker, program))
}

/// Whether a process has ended, or runs no program any more because it is just about to.
pub fn has_ended(pid: u32) -> bool {
    let has_program = !target::executable(pid).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    !has_program || target::status(pid, "State").is_none_or(|state| state.starts_with(['Z', 'X']))
}

/// Whether the kernel gave it other rights than its user's.
pub fn is_privileged(target: &Target) -> bool {
    target.auxiliary(libc::AT_SECURE).is_some_and(|secure| secure != 0)
}

/// The kernel does not let us trace a process of our own user.
pub fn denied(pid: u32) -> Refusal {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    Refusal::Denied { pid, hint: hint(scope.trim()) }
}

/// What can be done where `ptrace_scope` says this, or is not there.
fn hint(scope: &str) -> String {
    match scope {
        "" | "0" => {
            ": attach as root, or with CAP_SYS_PTRACE (in a container: `--cap-add SYS_PTRACE`)".to_owned()
        }
        "3" => ": /proc/sys/kernel/yama/ptrace_scope is 3, which forbids it to everybody until the next boot"
            .to_owned(),
        scope => format!(
            ": /proc/sys/kernel/yama/ptrace_scope is {scope}. Attach as root, or write 0 there (`sysctl kernel.yama.ptrace_scope=0`)"
        ),
    }
}

impl Refusal {
    /// What trouble with its threads means for an attempt to attach.
    pub fn of_trouble(pid: u32, trouble: Trouble) -> Refusal {
        match trouble {
            Trouble::Gone => Refusal::Ended(pid),
            Trouble::Denied => denied(pid),
            trouble => Refusal::Unstoppable { pid, trouble },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_says_what_can_be_done() {
        for (scope, words) in [
            ("", "CAP_SYS_PTRACE"),
            ("0", "CAP_SYS_PTRACE"),
            ("1", "ptrace_scope is 1. Attach as root, or write 0 there"),
            ("2", "ptrace_scope is 2. Attach as root, or write 0 there"),
            ("3", "until the next boot"),
        ] {
            let said = Refusal::Denied { pid: 7, hint: hint(scope) }.to_string();
            assert!(said.contains("trace process 7") && said.contains(words), "{said}");
        }
    }
}
