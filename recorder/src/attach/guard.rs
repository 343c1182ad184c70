//! A second process that waits: if the recorder is killed, it takes the hooks out.
//!
//! Without it a process whose recorder is killed would go on well enough, since its agent sees that nobody
//! reads and falls silent; but it would be left with the hooks, and slower for it.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::{Attach, leave_orphan};

/// What the guard is told when it is not needed any more.
const DONE: u8 = b'.';

/// The guard of a recording, as the recorder has it.
#[derive(Debug)]
pub struct Guard(Option<Child>);

impl Guard {
    /// Starts one. Without it, a recorder that is killed leaves its hooks behind: no reason not to record.
    pub fn begin(attach: &Attach) -> Guard {
        let start = |(program, name): &(_, String)| {
            let mut command = Command::new::<&std::path::PathBuf>(program);
            command
                .arg(name)
                .args([attach.pid, std::process::id()].map(|pid| pid.to_string()))
                .stdin(Stdio::piped());
            // A signal that a terminal sends to all of us is not meant for it.
            command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().ok()
        };
        Guard(attach.guard.as_ref().and_then(start))
    }

    /// It is not needed any more.
    pub fn end(mut self) {
        self.release();
    }

    fn release(&mut self) {
        let Some(mut guard) = self.0.take() else { return };
        if let Some(mut pipe) = guard.stdin.take() {
            // If it is gone, it has heard.
            let _ = pipe.write_all(&[DONE]);
        }
        let _ = guard.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.release();
    }
}

/// What the guard does: waits until its recorder says that it has left, or says nothing any more; and leaves in
/// its place.
pub fn stand(pid: u32, recorder: u32) -> io::Result<()> {
    let mut said = Vec::new();
    io::stdin().read_to_end(&mut said)?;
    if said != [DONE] {
        leave_orphan(pid, recorder);
    }
    Ok(())
}
