//! Work on a thread of its own, which can be stopped.

use super::leash::{Collar, Leash, leash};
use malloscope_replayer::worker::Launcher;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// Work under way. Dropping it stops it: what it has started ends, and what it reads comes to an end.
#[derive(Debug)]
pub struct Background<T> {
    news: Receiver<T>,
    is_stopped: Arc<AtomicBool>,
    _leash: Option<Leash>,
}

/// What work is done at: it says how it goes here, and hears that it should stop.
#[derive(Debug)]
pub struct Desk<T, W> {
    sender: Sender<T>,
    wake: W,
    is_stopped: Arc<AtomicBool>,
    collar: Option<Collar>,
}

impl<T: Send + 'static> Background<T> {
    /// Starts it; `wake` is called whenever there is news.
    pub fn start<W: Fn() + Send + 'static>(
        wake: W,
        work: impl FnOnce(&Desk<T, W>) + Send + 'static,
    ) -> Background<T> {
        let (sender, news) = mpsc::channel();
        // Without a pipe there is still work; what it starts merely cannot be stopped halfway.
        let (leash, collar) = leash().ok().unzip();
        let is_stopped = Arc::new(AtomicBool::new(false));
        let desk = Desk { sender, wake, is_stopped: Arc::clone(&is_stopped), collar };
        thread::spawn(move || work(&desk));
        Background { news, is_stopped, _leash: leash }
    }

    /// All there is to hear now.
    pub fn news(&self) -> impl Iterator<Item = T> + '_ {
        self.news.try_iter()
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }
}

impl<T, W: Fn()> Desk<T, W> {
    /// Says something. Whoever has stopped listening is not told.
    pub fn say(&self, news: T) {
        let _ = self.sender.send(news);
        (self.wake)();
    }

    /// How to start a worker that ends when this work is stopped.
    pub fn launcher(&self, launcher: &Launcher) -> Launcher {
        let mut launcher = launcher.clone();
        launcher.arguments.extend(self.collar.as_ref().map(Collar::name));
        launcher
    }

    /// A file that cannot be read any more once this work is stopped.
    pub fn until_stopped<R>(&self, file: R) -> UntilStopped<R> {
        UntilStopped { file, is_stopped: Arc::clone(&self.is_stopped) }
    }
}

/// A file that cannot be read any more once the work on it is stopped.
#[derive(Debug)]
pub struct UntilStopped<R> {
    file: R,
    is_stopped: Arc<AtomicBool>,
}

impl<R: Read> Read for UntilStopped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody wants to know any more"));
        }
        self.file.read(buffer)
    }
}

impl<R: Seek> Seek for UntilStopped<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_answers_and_what_is_dropped_reads_no_further() {
        let (go, wait) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let background = Background::start(
            || {},
            move |desk| {
                let mut file = desk.until_stopped(&b"ab"[..]);
                let mut byte = [0];
                file.read_exact(&mut byte).unwrap();
                desk.say(byte[0]);
                wait.recv().unwrap();
                tell.send(file.read_exact(&mut byte).is_err()).unwrap();
            },
        );
        assert_eq!(background.news.recv(), Ok(b'a'));
        drop(background);
        go.send(()).unwrap();
        assert!(told.recv().unwrap());
    }
}
