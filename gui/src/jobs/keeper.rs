//! Writes what survives a restart whenever it has changed, off the frame thread: a home may lie on a slow
//! disk, or on none.

use crate::app::persist::Kept;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What changes in this time is written once: a window that is being resized changes every frame.
const TOGETHER: Duration = Duration::from_millis(300);

/// Whoever writes. Dropping it writes what is not written yet.
#[derive(Debug)]
pub struct Keeper {
    changes: Option<Sender<Kept>>,
    writer: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Writes to this file, as soon as there is something to write.
    pub fn of(path: PathBuf) -> Keeper {
        let (changes, changed) = mpsc::channel::<Kept>();
        let writer = thread::spawn(move || {
            let mut complained = false;
            while let Ok(mut kept) = changed.recv() {
                let ended = loop {
                    match changed.recv_timeout(TOGETHER) {
                        Ok(newer) => kept = newer,
                        Err(RecvTimeoutError::Timeout) => break false,
                        Err(RecvTimeoutError::Disconnected) => break true,
                    }
                };
                if let Err(error) = kept.write(&path)
                    && !complained
                {
                    complained = true;
                    eprintln!("malloscope-gui: the layout cannot be kept in {}: {error}", path.display());
                }
                if ended {
                    return;
                }
            }
        });
        Keeper { changes: Some(changes), writer: Some(writer) }
    }

    /// Has this written.
    pub fn keep(&self, kept: Kept) {
        if let Some(changes) = &self.changes {
            // The writer ends only with us.
            let _ = changes.send(kept);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(writer) = self.writer.take() {
            // A panic over there has been printed there.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_is_on_disk_when_the_keeper_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("window.json");
        let keeper = Keeper::of(path.clone());
        for zoom in [0.5, 1.0, 1.5, 2.0] {
            keeper.keep(Kept { zoom, ..Kept::default() });
        }
        drop(keeper);
        assert_eq!(Kept::read(&path).zoom, 2.0);
    }
}
