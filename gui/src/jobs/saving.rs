//! Makes a file of what a frame painted, off the frame thread.

use crate::picture::camera::Shot;
use crate::picture::svg;
use egui::{Context, Rect};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// A picture being written.
#[derive(Debug)]
pub struct Saving {
    said: Receiver<String>,
}

impl Saving {
    /// Starts; the screen is told to look again when it is done.
    pub fn start(shot: Shot, part: Option<Rect>, path: PathBuf, context: Context) -> Saving {
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            let written = write(&shot, part, &path, &context);
            // A window that is gone is not told.
            let _ = say.send(match written {
                Ok(()) => format!("Saved {}", path.display()),
                Err(error) => format!("{} cannot be written: {error}", path.display()),
            });
            context.request_repaint();
        });
        Saving { said }
    }

    /// What became of it, once that is known.
    pub fn said(&self) -> Option<String> {
        self.said.try_recv().ok()
    }
}

/// Writes a picture: SVG if the file is named so, else PNG.
///
/// # Errors
///
/// Those of the file system.
pub fn write(shot: &Shot, part: Option<Rect>, path: &Path, context: &Context) -> io::Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg")) {
        svg::write(shot, part, context, &mut file)?;
    } else {
        shot.develop(context, part).write_png(&mut file)?;
    }
    file.flush()
}
