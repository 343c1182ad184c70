//! The traces that were opened last.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// So many are kept.
const MOST: usize = 10;

/// The traces that were opened last, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent {
    paths: Vec<PathBuf>,
}

impl Recent {
    /// Puts a trace first.
    pub fn add(&mut self, path: PathBuf) {
        self.paths.retain(|other| *other != path);
        self.paths.insert(0, path);
        self.paths.truncate(MOST);
    }

    /// Forgets a trace.
    pub fn forget(&mut self, path: &Path) {
        self.paths.retain(|other| other != path);
    }

    /// All of them.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads what was written before; what is not that says nothing.
    pub fn read(text: &[u8]) -> Recent {
        let mut recent: Recent = serde_json::from_slice(text).unwrap_or_default();
        recent.paths.retain(|path| path.is_absolute());
        recent.paths.truncate(MOST);
        recent
    }

    /// What [`Recent::read`] reads. A name that is no text cannot be written and is left out.
    pub fn written(&self) -> Vec<u8> {
        let texts: Vec<&str> = self.paths.iter().filter_map(|path| path.to_str()).collect();
        serde_json::to_vec_pretty(&texts).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_comes_first_and_none_twice() {
        let mut recent = Recent::default();
        for number in 0..30 {
            recent.add(format!("/{number}.mscope").into());
        }
        recent.add("/25.mscope".into());
        assert_eq!(recent.paths.len(), MOST);
        assert_eq!(recent.paths()[..3], ["/25.mscope", "/29.mscope", "/28.mscope"].map(PathBuf::from));
        recent.forget(Path::new("/29.mscope"));
        assert_eq!(recent.paths()[1], Path::new("/28.mscope"));
        assert_eq!(Recent::read(&recent.written()), recent);
    }

    #[test]
    fn what_is_broken_says_nothing() {
        for text in ["", "{", "7", "[7]", "{\"paths\":[]}"] {
            assert_eq!(Recent::read(text.as_bytes()), Recent::default(), "{text}");
        }
        assert_eq!(Recent::read(b"[\"relative\", \"/a\"]").paths(), [Path::new("/a")]);
    }
}
