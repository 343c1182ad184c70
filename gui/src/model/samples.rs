//! Traces to begin with: those of the source, if it is at hand, and one that is always there.

use std::path::{Path, PathBuf};

/// What the samples are and what they show, in a table.
const README: &str = include_str!("../../../traces/samples/README.md");
/// The sample that is always there.
const BUILT_IN: &str = "mappings";
/// Its bytes.
const BUILT_IN_BYTES: &[u8] = include_bytes!("../../../traces/samples/mappings.mscope");

/// A trace to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its name.
    pub name: &'static str,
    /// What was recorded.
    pub program: String,
    /// What it shows.
    pub shows: &'static str,
    /// Where it is.
    pub place: Place,
}

/// Where a sample is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this file.
    File(PathBuf),
    /// In the window itself: these bytes.
    BuiltIn(&'static [u8]),
}

/// The samples that lie in a folder, and the one that is always there.
pub fn all(folder: Option<&Path>) -> Vec<Sample> {
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `"));
    let sample = |row: &'static str| {
        let (name, rest) = row.split_once("` | ")?;
        let (program, shows) = rest.trim_end_matches([' ', '|']).split_once(" | ")?;
        let file = folder.map(|folder| folder.join(format!("{name}.mscope"))).filter(|file| file.is_file());
        let place = match file {
            Some(file) => Place::File(file),
            None if name == BUILT_IN => Place::BuiltIn(BUILT_IN_BYTES),
            None => return None,
        };
        Some(Sample { name, program: plain(program), shows, place })
    };
    rows.filter_map(sample).collect()
}

/// Text without the marks of links and code: `[handing.c](handing.c)` is `handing.c`.
fn plain(text: &str) -> String {
    let text = text.split_once("](").map_or(text, |(text, _)| text);
    text.chars().filter(|char| !"[]`".contains(*char)).collect()
}

/// Where the samples of the source lie, if something is in it, such as an executable that was built there:
/// in a folder above.
pub fn folder_near(path: &Path) -> Option<PathBuf> {
    path.ancestors().take(5).map(|above| above.join("traces/samples")).find(|it| it.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_says_what_it_shows_and_one_is_always_there() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = source.join("../traces/samples");
        let samples = all(Some(&folder));
        let files = std::fs::read_dir(&folder).unwrap();
        let is_trace = |file: &std::fs::DirEntry| file.path().extension().is_some_and(|it| it == "mscope");
        assert_eq!(samples.len(), files.filter_map(Result::ok).filter(is_trace).count());
        let threads = samples.iter().find(|sample| sample.name == "threads").unwrap();
        assert_eq!(threads.program, "handing.c");
        assert!(threads.shows.starts_with("16 threads"), "{threads:?}");
        let [built_in] = &all(None)[..] else { panic!("there is one") };
        assert_eq!(built_in.name, BUILT_IN);
        assert!(matches!(built_in.place, Place::BuiltIn(bytes) if bytes.len() > 10_000));
    }

    #[test]
    fn samples_are_found_from_where_a_build_puts_executables() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(
            folder_near(&source.join("target/debug/malloscope-gui")),
            Some(source.join("traces/samples"))
        );
        assert_eq!(folder_near(Path::new("/malloscope-gui")), None);
    }
}
