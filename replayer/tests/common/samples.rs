//! Real traces that were recorded once and are kept.

use std::path::{Path, PathBuf};

/// All of them.
pub fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/samples");
    let entries = folder.read_dir().expect("the samples are there");
    let files = entries.map(|entry| entry.expect("it can be read").path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "mscope")).collect()
}
