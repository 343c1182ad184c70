//! The processes there are that may be attached to, as `malloscope record --list` prints them.

use serde::Deserialize;

/// What the command says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Processes {
    /// The ways there are by which calls come to a recorder: the first is the one that is meant if none is named.
    pub engines: Vec<String>,
    /// The processes, the latest first.
    pub processes: Vec<Process>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its user.
    pub user: String,
    /// Its name.
    pub name: String,
    /// Its program and the arguments of it.
    pub command: Vec<String>,
    /// Bytes of it that are in memory.
    pub resident_bytes: u64,
    /// Why it cannot be attached to, if it cannot.
    pub refused: Option<String>,
}

impl Process {
    /// Its command, on one line.
    pub fn line(&self) -> String {
        let line = if self.command.is_empty() { self.name.clone() } else { self.command.join(" ") };
        line.chars().map(|char| if char.is_control() { '·' } else { char }).collect()
    }

    /// Whether each word that was typed is in its id, its user, its name or its command. Capitals do not matter.
    fn is_meant(&self, typed: &str) -> bool {
        let Process { pid, user, name, .. } = self;
        let said = format!("{pid} {user} {name} {}", self.line()).to_lowercase();
        typed.to_lowercase().split_whitespace().all(|word| said.contains(word))
    }
}

impl Processes {
    /// Those that are meant by what was typed: the ones that can be attached to, and, where they are wanted, the others
    /// after them.
    pub fn meant(&self, typed: &str, with_refused: bool) -> Vec<&Process> {
        let meant = |process: &&Process| process.is_meant(typed);
        let (refused, open): (Vec<_>, Vec<_>) =
            self.processes.iter().filter(meant).partition(|process| process.refused.is_some());
        open.into_iter().chain(refused.into_iter().filter(|_| with_refused)).collect()
    }

    /// How many cannot be attached to.
    pub fn refused(&self) -> usize {
        self.processes.iter().filter(|process| process.refused.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_found_by_words_that_can_be_attached_to_first() {
        let process = |pid: u32, user: &str, command: &str, refused: Option<&str>| Process {
            pid,
            user: user.to_owned(),
            name: command.split(' ').next().unwrap_or_default().to_owned(),
            command: command.split(' ').map(str::to_owned).collect(),
            resident_bytes: 0,
            refused: refused.map(str::to_owned),
        };
        let all = Processes {
            engines: vec!["got".to_owned()],
            processes: vec![
                process(31, "root", "busybox sh", Some("it is static")),
                process(12, "ada", "python3 Server.py --port 80", None),
                process(7, "root", "python3 other.py", None),
            ],
        };
        let pids = |typed: &str, with_refused: bool| {
            all.meant(typed, with_refused).iter().map(|process| process.pid).collect::<Vec<u32>>()
        };
        assert_eq!(pids("", true), [12, 7, 31]);
        assert_eq!(pids("", false), [12, 7]);
        assert_eq!(pids("PYTHON server", true), [12]);
        assert_eq!(pids("ada", true), [12]);
        assert_eq!(pids(" root ", true), [7, 31]);
        assert_eq!((pids("7", true), all.refused()), (vec![7], 1));
    }
}
