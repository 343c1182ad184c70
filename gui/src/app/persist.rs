//! What of the window survives a restart: its size, its colours, and where the panels are.

use super::state;
use crate::model::layout::Layout;
use egui::ThemePreference;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The version of the file. A file of another version is left out: a layout is quickly made again.
const VERSION: u32 = 1;
/// More is not a layout.
const MOST_BYTES: u64 = 1 << 20;

/// What survives a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Dark, light, or as the desktop is.
    #[serde(default)]
    pub colours: Colours,
    /// How much larger everything is than usual.
    #[serde(default = "one")]
    pub zoom: f32,
    /// The window's width and height, in points.
    #[serde(default)]
    pub size: Option<[f32; 2]>,
    /// Where the panels are.
    #[serde(default)]
    pub layout: Option<Layout>,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Written<K> {
    version: u32,
    #[serde(flatten)]
    kept: K,
}

/// Dark, light, or as the desktop is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colours {
    /// As the desktop is.
    #[default]
    Desktop,
    /// Light on dark.
    Dark,
    /// Dark on light.
    Light,
}

impl From<ThemePreference> for Colours {
    fn from(theme: ThemePreference) -> Colours {
        match theme {
            ThemePreference::System => Colours::Desktop,
            ThemePreference::Dark => Colours::Dark,
            ThemePreference::Light => Colours::Light,
        }
    }
}

impl From<Colours> for ThemePreference {
    fn from(colours: Colours) -> ThemePreference {
        match colours {
            Colours::Desktop => ThemePreference::System,
            Colours::Dark => ThemePreference::Dark,
            Colours::Light => ThemePreference::Light,
        }
    }
}

fn one() -> f32 {
    1.0
}

impl Default for Kept {
    fn default() -> Kept {
        Kept { colours: Colours::Desktop, zoom: 1.0, size: None, layout: None }
    }
}

impl Kept {
    /// What the file says, made sound. A file that is missing or cannot be understood says nothing.
    pub fn read(path: &Path) -> Kept {
        let is_short = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MOST_BYTES);
        let text = is_short.then(|| fs::read_to_string(path).ok()).flatten();
        let written = text.and_then(|text| serde_json::from_str::<Written<Kept>>(&text).ok());
        let known = written.filter(|written| written.version == VERSION);
        known.map_or_else(Kept::default, |written| written.kept.made_sound())
    }

    fn made_sound(self) -> Kept {
        let is_size = |[width, height]: &[f32; 2]| {
            let is_side = |side: f32| (200.0..=20_000.0).contains(&side);
            is_side(*width) && is_side(*height)
        };
        let zoom = if self.zoom.is_finite() { self.zoom.clamp(0.5, 3.0) } else { 1.0 };
        Kept {
            zoom,
            size: self.size.filter(is_size),
            layout: self.layout.and_then(Layout::made_sound),
            colours: self.colours,
        }
    }

    /// Writes the file: whole, or not at all.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&Written { version: VERSION, kept: self })?;
        let (folder, name) = path.parent().zip(path.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
        state::write(folder, &name.to_string_lossy(), &text).map(|_| ())
    }
}

/// The file, in the folder of what survives the window.
pub fn path(folder: &Path) -> PathBuf {
    folder.join("window.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::view::View;

    #[test]
    fn what_is_written_is_read_and_what_is_broken_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/window.json");
        assert_eq!(Kept::read(&path), Kept::default());
        let layout = Layout::Tabs(View::ALL.map(Layout::Panel).into(), 2);
        let kept =
            Kept { colours: Colours::Light, zoom: 1.5, size: Some([1000.0, 700.0]), layout: Some(layout) };
        kept.write(&path).unwrap();
        assert_eq!(Kept::read(&path), kept);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        for broken in ["", "{", "[1]", r#"{"version":2}"#, r#"{"version":1,"layout":{"tabs":[]}}"#] {
            fs::write(&path, broken).unwrap();
            assert_eq!(Kept::read(&path), Kept::default(), "{broken}");
        }
        fs::write(&path, r#"{"version":1,"zoom":1e9,"size":[-1,3],"layout":{"tabs":[[],0]}}"#).unwrap();
        assert_eq!(Kept::read(&path), Kept { zoom: 3.0, ..Kept::default() });
        assert_eq!(Kept::read(folder.path()), Kept::default(), "a folder is no file");
    }
}
