//! The command of this build, and its answer.

use std::process::Command;

/// The command, in our own surroundings.
pub fn malloscope() -> Command {
    Command::new(env!("CARGO_BIN_EXE_malloscope"))
}

/// The answer of a command that should succeed and have nothing to complain about.
pub fn answer(command: &mut Command) -> String {
    let output = command.output().expect("the command runs");
    let [out, said] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success() && said.is_empty(), "{command:?}: {}: {said}{out}", output.status);
    String::from_utf8(output.stdout).expect("the answer is text")
}
