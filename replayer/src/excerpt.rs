//! Some lines of a source file, where it is at hand: the one that a frame is at, and those around it.
//!
//! A trace names files as they lay where its program was built. What is read is only shown: a file that is none of
//! ours, or has changed since, does no harm but to mislead, and so its name stands beside it.

use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// Nothing longer is a source file.
const LONGEST: u64 = 16 << 20;
/// A line is cut where nobody reads on.
const WIDEST: usize = 400;

/// Some lines of a source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The file.
    pub file: String,
    /// The line that was asked for, counted from 1.
    pub line: u32,
    /// The number of the first of `lines`.
    pub first: u32,
    /// The lines.
    pub lines: Vec<String>,
}

impl Excerpt {
    /// A line of a file with so many before and behind it, as far as there are so many.
    ///
    /// # Errors
    ///
    /// When there is no such file, it cannot be read, or has no such line.
    pub fn read(file: &str, line: u32, around: u32) -> io::Result<Excerpt> {
        let opened = File::open(file)?;
        // A pipe would never end, and a device has no lines.
        if !opened.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let first = line.saturating_sub(around).max(1);
        let mut reader = BufReader::new(opened.take(LONGEST));
        let mut lines = Vec::new();
        let mut text = Vec::new();
        for number in 1..=line.saturating_add(around) {
            text.clear();
            if reader.read_until(b'\n', &mut text)? == 0 {
                break;
            }
            if number >= first {
                lines.push(shown(&text));
            }
        }
        let has_line = lines.len() > (line - first.min(line)) as usize;
        if !has_line || line == 0 {
            return Err(io::Error::other(format!("it has no line {line}")));
        }
        Ok(Excerpt { file: file.to_owned(), line, first, lines })
    }

    /// The line that was asked for.
    pub fn text(&self) -> &str {
        self.lines.get((self.line - self.first) as usize).map_or("", String::as_str)
    }

    /// The lines with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &str)> {
        (self.first..).zip(self.lines.iter().map(String::as_str))
    }
}

/// A line as it is shown: without its end, and with room for tabs.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.trim_end().replace('\t', "    ");
    text.chars().filter(|letter| !letter.is_control()).take(WIDEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_those_around_it_as_far_as_there_are_any() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.c");
        std::fs::write(&path, "one\n\ttwo\r\nthr\u{7}ee\nfour\nfive").unwrap();
        let path = path.to_str().unwrap();
        let read = |line, around| Excerpt::read(path, line, around);
        let two = read(2, 1).unwrap();
        assert_eq!((two.text(), two.first), ("    two", 1));
        assert_eq!(two.numbered().collect::<Vec<_>>(), [(1, "one"), (2, "    two"), (3, "three")]);
        assert_eq!(read(5, 9).unwrap().lines.len(), 5);
        assert_eq!((read(1, 0).unwrap().lines.len(), read(1, 0).unwrap().text()), (1, "one"));
        assert!(read(6, 3).is_err() && read(0, 3).is_err() && read(u32::MAX, 3).is_err());
        assert!(Excerpt::read("/nowhere/a.c", 1, 0).is_err());
        assert!(Excerpt::read(directory.path().to_str().unwrap(), 1, 0).is_err());
        assert!(Excerpt::read("/dev/zero", 1, 0).is_err());
    }
}
