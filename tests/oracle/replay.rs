//! A script through the command, as a user would replay it.

use super::Settings;
use super::common::{answer, malloscope};
use std::path::Path;
use tempfile::TempDir;

/// Both kinds of memory a heap can live in.
pub const MEMORIES: [&str; 2] = ["simulated", "real"];

/// The last line where malloc finds something corrupted and ends the process.
pub const DIES: &str = "- dies -\n";

/// A script that has been imported.
pub struct Trace {
    folder: TempDir,
}

impl Trace {
    pub fn import(script: &Path) -> Trace {
        let trace = Trace { folder: TempDir::new().expect("there is a folder for temporary files") };
        let mut command = malloscope();
        answer(command.arg("import").args(["--from", "ops"]).arg(script).arg("-o").arg(trace.path()));
        trace
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("script.mscope")
    }

    /// The lines the replay as a release prints for these options, such as `--placements`, and [`DIES`] if it
    /// ends with a corrupted heap.
    pub fn replay(&self, release: &str, lines: &[&str], memory: &str, settings: &Settings) -> String {
        let mut command = malloscope();
        command.arg("replay").args(lines).args(["--memory", memory, "--glibc", release]);
        command.args(["--processors", &settings.processors.to_string()]);
        if settings.bits != 64 {
            command.args(["--bits", &settings.bits.to_string()]);
        }
        let huge_page = if settings.begins_with_a_huge_page { 2 << 20 } else { 0 };
        for (option, value) in
            [("--break-offset", huge_page + settings.break_offset), ("--break-limit", settings.break_limit)]
        {
            if value != 0 {
                command.args([option, &value.to_string()]);
            }
        }
        for (name, value) in &settings.variables {
            command.args(["--set", &format!("{name}={value}")]);
        }
        for (name, value) in &settings.tunables {
            command.args(["--set", &format!("{name}={value}")]);
        }
        let output = command.arg(self.path()).output().expect("the command runs");
        let [text, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        if said.contains("the heap is corrupted") {
            return text.into_owned() + DIES;
        }
        assert!(output.status.success() && said.is_empty(), "{command:?}: {}: {said}", output.status);
        text.into_owned()
    }
}
