//! What traces are called: one recording may make many, side by side.
//!
//! The launched process has the name that was asked for, as its last program: a wrapper that
//! becomes the real program by `execve` gives the name up to it. Every other trace is named after its
//! program and process.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What traces end with.
const EXTENSION: &str = "mscope";

/// Chooses names.
#[derive(Debug)]
pub struct Names {
    /// What was asked for.
    output: PathBuf,
    taken: HashSet<PathBuf>,
}

impl Names {
    /// Names beside this one.
    pub fn beside(output: &Path) -> Self {
        Names { output: output.to_owned(), taken: HashSet::new() }
    }

    /// What was asked for: the name of the launched process's trace.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// A name for a process of this program that the launched process made.
    pub fn for_process(&mut self, program: &str, pid: u32) -> PathBuf {
        let plain =
            self.output.with_file_name(format!("{}.{}.{pid}.{EXTENSION}", self.stem(), tame(program)));
        if self.taken.insert(plain.clone()) {
            return plain;
        }
        self.for_image(program, pid)
    }

    /// A name for a program this process was before it became another.
    pub fn for_image(&mut self, program: &str, pid: u32) -> PathBuf {
        let numbered = |n| format!("{}.{}.{pid}.{n}.{EXTENSION}", self.stem(), tame(program));
        let mut candidates = (1_u32..).map(|n| self.output.with_file_name(numbered(n)));
        let free = candidates.find(|path| !self.taken.contains(path)).unwrap_or_default();
        self.taken.insert(free.clone());
        free
    }

    fn stem(&self) -> String {
        let is_ours = self.output.extension().is_some_and(|extension| extension == EXTENSION);
        let stem = if is_ours { self.output.file_stem() } else { self.output.file_name() };
        stem.unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// A program's name as a part of a file name.
fn tame(program: &str) -> String {
    let is_tame = |c: char| c.is_alphanumeric() || "-_+".contains(c);
    let name: String = program.chars().take(64).map(|c| if is_tame(c) { c } else { '_' }).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_traces_have_one_name() {
        let mut names = Names::beside(Path::new("out/app.mscope"));
        assert_eq!(names.for_process("cc1", 7), Path::new("out/app.cc1.7.mscope"));
        assert_eq!(names.for_process("cc1", 7), Path::new("out/app.cc1.7.1.mscope"));
        assert_eq!(names.for_image("cc1", 7), Path::new("out/app.cc1.7.2.mscope"));
        assert_eq!(names.for_process("a/b c", 8), Path::new("out/app.a_b_c.8.mscope"));
        assert_eq!(names.for_process("", 9), Path::new("out/app.unknown.9.mscope"));
    }

    #[test]
    fn an_output_with_another_extension_keeps_it() {
        let mut names = Names::beside(Path::new("app.trace"));
        assert_eq!(names.for_process("sh", 1), Path::new("app.trace.sh.1.mscope"));
    }
}
