//! What traces are called: one recording may make many, side by side.
//!
//! The launched process has the name that was asked for, as its last program: a wrapper that
//! becomes the real program by `execve` gives the name up to it. Every other trace is named after its
//! program and process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What traces end with.
const EXTENSION: &str = "mscope";

/// How many bytes a program's name takes in that of a file. The kernel allows 255 in all.
const PROGRAM: usize = 64;

/// How many bytes are left for what was asked for, before a program, two numbers and the extension.
const STEM: usize = 255 - PROGRAM - 2 * 10 - EXTENSION.len() - 4;

/// Chooses names.
#[derive(Debug)]
pub struct Names {
    /// What was asked for.
    output: PathBuf,
    /// How often a program's name was wanted for a process, and how many numbers were given to it since.
    taken: HashMap<PathBuf, u32>,
}

impl Names {
    /// Names beside this one.
    pub fn beside(output: &Path) -> Self {
        Names { output: output.to_owned(), taken: HashMap::new() }
    }

    /// What was asked for: the name of the launched process's trace.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// A name for a process of this program that the launched process made.
    pub fn for_process(&mut self, program: &str, pid: u32) -> PathBuf {
        let plain = self.named(program, pid, "");
        if self.taken.contains_key(&plain) {
            return self.for_image(program, pid);
        }
        self.taken.insert(plain.clone(), 0);
        plain
    }

    /// A name for a program this process was before it became another.
    pub fn for_image(&mut self, program: &str, pid: u32) -> PathBuf {
        let number = self.taken.entry(self.named(program, pid, "")).or_default();
        *number += 1;
        let number = format!("{number}.");
        self.named(program, pid, &number)
    }

    fn named(&self, program: &str, pid: u32, number: &str) -> PathBuf {
        self.output.with_file_name(format!("{}.{}.{pid}.{number}{EXTENSION}", self.stem(), tame(program)))
    }

    fn stem(&self) -> String {
        let is_ours = self.output.extension().is_some_and(|extension| extension == EXTENSION);
        let stem = if is_ours { self.output.file_stem() } else { self.output.file_name() };
        cut(&stem.unwrap_or_default().to_string_lossy(), STEM).to_owned()
    }
}

/// A program's name as a part of a file name.
fn tame(program: &str) -> String {
    let is_tame = |c: char| c.is_alphanumeric() || "-_+".contains(c);
    let name: String = cut(program, PROGRAM).chars().map(|c| if is_tame(c) { c } else { '_' }).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// As much of the beginning of a text as takes no more bytes than that.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
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
    fn no_name_is_longer_than_the_kernel_allows() {
        for program in ["x".repeat(5000), "\u{1d400}".repeat(5000)] {
            for output in ["app.mscope".to_owned(), "\u{e9}".repeat(120)] {
                let mut names = Names::beside(Path::new(&output));
                let first = names.for_process(&program, u32::MAX);
                names.taken.values_mut().for_each(|number| *number = u32::MAX - 1);
                for name in [first, names.for_image(&program, u32::MAX)] {
                    assert!(name.as_os_str().len() <= 255, "{}", name.display());
                }
            }
        }
    }

    #[test]
    fn an_output_with_another_extension_keeps_it() {
        let mut names = Names::beside(Path::new("app.trace"));
        assert_eq!(names.for_process("sh", 1), Path::new("app.trace.sh.1.mscope"));
    }
}
