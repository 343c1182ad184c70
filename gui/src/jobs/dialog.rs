//! The desktop's dialog for choosing a file, on a thread of its own.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// Nobody cancels a dialog faster than this: then there was none.
const INSTANT: Duration = Duration::from_millis(250);

/// What came of a dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// This file was chosen.
    File(PathBuf),
    /// None was.
    Nothing,
    /// There is no dialog here: neither a portal nor zenity answered.
    NoDialog,
}

/// A dialog that is open.
#[derive(Debug)]
pub struct Dialog {
    chosen: Receiver<Chosen>,
}

impl Dialog {
    /// Opens a dialog for traces; `wake` is called when it is closed.
    pub fn open(wake: impl Fn() + Send + 'static) -> Dialog {
        Dialog::open_with(pick, wake)
    }

    fn open_with(
        pick: impl FnOnce() -> Option<PathBuf> + Send + 'static,
        wake: impl Fn() + Send + 'static,
    ) -> Dialog {
        let (sender, chosen) = mpsc::channel();
        thread::spawn(move || {
            let opened = Instant::now();
            let chosen = match pick() {
                Some(path) => Chosen::File(path),
                None if opened.elapsed() < INSTANT => Chosen::NoDialog,
                None => Chosen::Nothing,
            };
            // Whoever has stopped listening is not told.
            let _ = sender.send(chosen);
            wake();
        });
        Dialog { chosen }
    }

    /// What came of it, once it is closed.
    pub fn chosen(&self) -> Option<Chosen> {
        self.chosen.try_recv().ok()
    }
}

fn pick() -> Option<PathBuf> {
    let dialog = rfd::FileDialog::new().set_title("Open a trace");
    dialog.add_filter("Traces", &["mscope"]).add_filter("All files", &["*"]).pick_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(pick: impl FnOnce() -> Option<PathBuf> + Send + 'static) -> Chosen {
        let (wake, woken) = mpsc::channel();
        let dialog = Dialog::open_with(pick, move || wake.send(()).unwrap());
        woken.recv().unwrap();
        dialog.chosen().unwrap()
    }

    #[test]
    fn no_answer_at_once_means_that_there_is_no_dialog() {
        assert_eq!(chosen(|| None), Chosen::NoDialog);
        assert_eq!(chosen(|| Some("/a.mscope".into())), Chosen::File("/a.mscope".into()));
    }
}
