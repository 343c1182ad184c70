//! What a thread does, as the kernel tells it.

use std::fs;

/// A thread's name for the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    process: u32,
    /// 0 if it is not known here: in a process id namespace of the program's own.
    thread: u32,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It runs, or would if a processor were free.
    Running,
    /// It was stopped, and will go on where it is. Who stops one thread of a program stops all.
    Stopped,
    /// It waits for something.
    Waiting,
    /// There is no such thread any more.
    Nothing,
    /// We cannot know.
    Unknown,
}

impl Task {
    /// A thread that is known to be gone.
    pub const GONE: Task = Task { process: 0, thread: 0 };

    /// Whether it is known to be gone.
    pub fn is_gone(self) -> bool {
        self.process == 0
    }

    /// The thread of that process.
    pub fn new(process: u32, thread: u32) -> Self {
        Task { process, thread }
    }

    /// What it does.
    pub fn doing(self) -> Doing {
        let Task { process, thread } = self;
        if self.is_gone() {
            return Doing::Nothing;
        }
        if thread == 0 {
            return Doing::Unknown;
        }
        let Ok(stat) = fs::read_to_string(format!("/proc/{process}/task/{thread}/stat")) else {
            return Doing::Nothing;
        };
        // The state follows the name, which is in parentheses and may hold any character.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        match state {
            Some('R' | 'D') => Doing::Running,
            Some('T' | 't') => Doing::Stopped,
            Some('Z' | 'X') => Doing::Nothing,
            _ => Doing::Waiting,
        }
    }
}
