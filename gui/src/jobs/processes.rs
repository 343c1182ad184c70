//! `malloscope record --list`: which processes can be attached to.

use super::background::Background;
use super::record::not_found;
use crate::model::failure::Failure;
use crate::model::processes::Processes;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What came of it: one answer.
pub type Answer = Result<Processes, Failure>;

/// Asks the command `recorder`; `wake` is called when it has answered.
pub fn ask(recorder: PathBuf, wake: impl Fn() + Send + 'static) -> Background<Answer> {
    Background::start(wake, move |desk| desk.say(listed(&recorder)))
}

fn listed(recorder: &Path) -> Answer {
    let mut command = Command::new(recorder);
    command.args(["record", "--list", "--format", "json"]).stdin(Stdio::null());
    let answer = command.output().map_err(|error| not_found(&error, recorder))?;
    let failure = |what: String| Failure { what, next: "In a terminal: malloscope record --list".to_owned() };
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
        return Err(failure(format!("The processes are not known ({}): {said}", answer.status)));
    }
    let mut listed: Processes = serde_json::from_slice(&answer.stdout)
        .map_err(|error| failure(format!("What the command said of processes makes no sense: {error}")))?;
    // Who is attached to waits for the recorder at times, and the recorder would wait for this window.
    listed.processes.retain(|process| process.pid != std::process::id());
    Ok(listed)
}
