//! The processes there are that run a program, and which of them can be attached to, as far as that is seen without stopping
//! any: filters of system calls and threads that do not come out of malloc show only when it is tried.

use std::collections::HashMap;
use std::fs;
use std::io;

use super::refusal::{self, Refusal};
use super::target::{self, Target};
use super::{clear_of_recorders, glibc, survey};
use crate::readings;

/// A process.
#[derive(Debug)]
pub struct Candidate {
    /// Its id.
    pub pid: u32,
    /// Its user's name, or number if that has none.
    pub user: String,
    /// The name that it has for the kernel, which is its program's mostly.
    pub name: String,
    /// Its program and the arguments of it, as far as it still tells them.
    pub command: Vec<String>,
    /// Bytes of it that are in memory.
    pub resident: u64,
    /// Why it cannot be attached to, if it cannot.
    pub refusal: Option<Refusal>,
}

/// So often it is tried to learn a process's list of modules: one that is being changed now is settled soon.
const TRIES: u32 = 5;

/// All of them, the latest first, without us.
///
/// # Errors
///
/// When the kernel does not show which there are.
pub fn all() -> io::Result<Vec<Candidate>> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let users = users_in(&users);
    let processes = fs::read_dir("/proc")?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut all: Vec<Candidate> = pids.filter_map(|pid| candidate(pid, &users)).collect();
    all.sort_unstable_by_key(|candidate| std::cmp::Reverse((target::began(candidate.pid), candidate.pid)));
    Ok(all)
}

/// This process, unless it is ours, the kernel's, or gone.
fn candidate(pid: u32, users: &HashMap<&str, &str>) -> Option<Candidate> {
    let refusal = look(pid).err();
    if matches!(refusal, Some(Refusal::NoProcess(_) | Refusal::Ourselves(_) | Refusal::NoProgram(_))) {
        return None;
    }
    let user = target::status(pid, "Uid")?.split_whitespace().next()?.to_owned();
    let command = target::told(pid, "cmdline");
    let command = command.strip_suffix('\0').unwrap_or(&command);
    Some(Candidate {
        pid,
        user: users.get(user.as_str()).map_or(user.clone(), |name| (*name).to_owned()),
        name: target::told(pid, "comm").trim_end().to_owned(),
        command: command.split('\0').filter(|_| !command.is_empty()).map(str::to_owned).collect(),
        resident: readings::counted(pid).map_or(0, |reading| reading.resident),
        refusal,
    })
}

/// Whether a process can be attached to, as far as that is seen while it runs.
fn look(pid: u32) -> Result<(), Refusal> {
    refusal::examine(pid)?;
    let target = Target::open(pid).map_err(|_| refusal::denied(pid))?;
    if refusal::is_privileged(&target) {
        return Err(Refusal::Privileged(pid));
    }
    clear_of_recorders(&target)?;
    let of_the_living = |why| if refusal::has_ended(pid) { Refusal::NoProgram(pid) } else { why };
    glibc(&target, &survey(&target, TRIES).map_err(of_the_living)?).map(drop).map_err(of_the_living)
}

/// The names of users by their numbers, in a text like passwd(5).
fn users_in<'t>(text: &'t str) -> HashMap<&'t str, &'t str> {
    let user = |line: &'t str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((fields.nth(1)?, name))
    };
    text.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_numbers() {
        let users = users_in("root:x:0:0:root:/root:/bin/sh\n\nodd\nnobody:x:65534:65534::/:/bin/false\n");
        assert_eq!((users.len(), users["0"], users["65534"]), (2, "root", "nobody"));
    }
}
