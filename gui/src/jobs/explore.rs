//! Goes through a trace in a thread of its own: is asked for moments, and answers with plain data.

use crate::model::failure::Failure;
use crate::model::heap::{Ask, Moment};
use malloscope_replayer::explore::{ExploreError, Explorer, Step, Watched};
use malloscope_replayer::run::Progress;
use malloscope_replayer::trial::{MemoryKind, Trial};
use malloscope_symbols::{Named, names};
use malloscope_traces::{Reader, Stack, Stacks, Symbols};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;

/// What is heard of an exploration.
#[derive(Clone, Debug)]
pub enum News {
    /// How far it is on its way.
    Progress(Progress),
    /// It has come to a moment.
    Arrived(Arc<Moment>),
    /// The trace cannot be gone through.
    Failed(Failure),
    /// What the frames of a stack are called, the innermost first.
    Named(u32, Arc<[String]>),
}

/// An exploration under way. Dropping it ends it.
#[derive(Debug)]
pub struct Exploration {
    trace: PathBuf,
    trial: Trial,
    asks: Sender<Ask>,
    news: Receiver<News>,
    stop: Arc<AtomicBool>,
}

impl Exploration {
    /// Opens a trace, to be gone through as in this trial; `wake` is called whenever there is news.
    pub fn start(trace: PathBuf, trial: Trial, wake: impl Fn() + Send + 'static) -> Exploration {
        let (asks, asked) = mpsc::channel();
        let (sender, news) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let guide = Guide {
            trace: trace.clone(),
            // Only there one can go back.
            trial: Trial { memory: MemoryKind::Simulated, ..trial.clone() },
            asked,
            stop: Arc::clone(&stop),
            say: Box::new(move |news| {
                // Whoever has stopped listening is not told.
                let _ = sender.send(news);
                wake();
            }),
        };
        thread::spawn(move || guide.go());
        Exploration { trace, trial, asks, news, stop }
    }

    /// Whether it is this trace that it goes through, in this trial.
    pub fn is_of(&self, trace: &Path, trial: &Trial) -> bool {
        self.trace == trace && self.trial == *trial
    }

    /// Asks for something. A way that leads elsewhere is left.
    pub fn ask(&self, ask: Ask) {
        // A thread that has ended has said why.
        let _ = self.asks.send(ask);
        if matches!(ask, Ask::To(_)) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// All there is to hear now.
    pub fn news(&self) -> impl Iterator<Item = News> + '_ {
        self.news.try_iter()
    }
}

impl Drop for Exploration {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The thread's side.
struct Guide {
    trace: PathBuf,
    trial: Trial,
    asked: Receiver<Ask>,
    stop: Arc<AtomicBool>,
    say: Box<dyn Fn(News) + Send>,
}

impl Guide {
    fn go(self) {
        let book = match Book::read(&self.trace) {
            Ok(book) => book,
            Err(error) => return self.refuse(&Failure::of_trace(&error)),
        };
        let mut explorer = match Explorer::open(&self.trace, &self.trial) {
            Ok(explorer) => explorer,
            Err(error) => return self.refuse(&self.failure(&error)),
        };
        let mut asks = VecDeque::new();
        loop {
            asks.extend(self.asked.try_iter());
            let Some(ask) = asks.pop_front().or_else(|| self.asked.recv().ok()) else { return };
            self.stop.store(false, Ordering::Relaxed);
            if matches!(ask, Ask::To(_)) && asks.iter().any(|later| matches!(later, Ask::To(_))) {
                // Of several places only the last is worth going to.
                continue;
            }
            if self.answer(&mut explorer, &book, ask) == Reached::There {
                continue;
            }
            match self.asked.try_recv() {
                Ok(other) => asks.push_back(other),
                // Nobody wants to be elsewhere: the signal was meant for an earlier ask.
                Err(TryRecvError::Empty) => asks.push_front(ask),
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Whatever is asked, this is why it cannot be.
    fn refuse(&self, failure: &Failure) {
        while self.asked.recv().is_ok() {
            (self.say)(News::Failed(failure.clone()));
        }
    }

    fn answer(&self, explorer: &mut Explorer, book: &Book, ask: Ask) -> Reached {
        if let Ask::Name(stack) = ask {
            (self.say)(News::Named(stack, book.lines(Stack(stack))));
            return Reached::There;
        }
        let (latest, notice) = match self.way(explorer, ask) {
            Ok((latest, notice)) => (latest, notice.map(str::to_owned)),
            Err(ExploreError::Stopped) => return Reached::Stopped,
            Err(ExploreError::Corrupted { record, message }) => {
                let notice =
                    format!("The heap is found corrupted at record {record}: {message}. This is before.");
                match self.to_the_end_of(explorer, record) {
                    Ok(latest) => (latest, Some(notice)),
                    Err(ExploreError::Stopped) => return Reached::Stopped,
                    Err(error) => return self.fail(&error),
                }
            }
            Err(error) => return self.fail(&error),
        };
        match (explorer.heap(), explorer.coming()) {
            (Ok(heap), Ok(coming)) => {
                let total = explorer.total();
                (self.say)(News::Arrived(Arc::new(Moment { heap, latest, coming, total, notice })));
            }
            (Err(error), _) | (_, Err(error)) => return self.fail(&error),
        }
        Reached::There
    }

    fn fail(&self, error: &ExploreError) -> Reached {
        (self.say)(News::Failed(self.failure(error)));
        Reached::There
    }

    /// Goes where it was asked to. The latest call then, and what is to be noticed.
    fn way(
        &self,
        explorer: &mut Explorer,
        ask: Ask,
    ) -> Result<(Option<Step>, Option<&'static str>), ExploreError> {
        let mut progress = |progress| (self.say)(News::Progress(progress));
        let mut watched = Watched { progress: &mut progress, stop: &self.stop };
        let to = match ask {
            Ask::Next(what) => {
                if let Some(step) = explorer.next(what, &mut watched)? {
                    return Ok((Some(step), None));
                }
                let latest = self.to_the_end_of(explorer, u64::MAX)?;
                return Ok((latest, Some("No call does that any more: this is the end of the trace.")));
            }
            Ask::To(record) => record.saturating_add(1),
            Ask::On(calls) => explorer.made().saturating_add(calls),
            Ask::Back => explorer.made().saturating_sub(1),
            Ask::Name(_) => return Ok((None, None)),
        };
        Ok((self.to_the_end_of(explorer, to)?, None))
    }

    /// Goes to where so many records have been replayed, or to the end. The latest call then.
    fn to_the_end_of(&self, explorer: &mut Explorer, made: u64) -> Result<Option<Step>, ExploreError> {
        let mut progress = |progress| (self.say)(News::Progress(progress));
        let mut watched = Watched { progress: &mut progress, stop: &self.stop };
        let Some(before) = made.checked_sub(1) else {
            explorer.go_to(0, &mut watched)?;
            return Ok(None);
        };
        explorer.go_to(before, &mut watched)?;
        let latest = explorer.step()?;
        if latest.is_some() || explorer.made() == 0 {
            return Ok(latest);
        }
        // The trace ends before: once more, to hear of its last call.
        explorer.go_to(explorer.made() - 1, &mut watched)?;
        explorer.step()
    }

    fn failure(&self, error: &ExploreError) -> Failure {
        let trace = self.trace.display();
        Failure {
            what: error.to_string(),
            next: format!("`malloscope info {trace}` says what is known of the trace."),
        }
    }
}

/// Whether the way was gone to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    There,
    Stopped,
}

/// What frames are called: by the symbols that the trace carries, and otherwise by their modules.
struct Book {
    stacks: Stacks,
    symbols: Symbols,
}

impl Book {
    fn read(trace: &Path) -> Result<Book, malloscope_traces::Error> {
        let stacks = Reader::open_file(trace)?.stacks()?;
        let symbols = Reader::open_file(trace)?.symbols()?.unwrap_or_default();
        Ok(Book { stacks, symbols })
    }

    /// The lines of one stack.
    fn lines(&self, stack: Stack) -> Arc<[String]> {
        // Only the frames of this stack are looked up.
        let mut alone = Stacks {
            capture: self.stacks.capture,
            modules: self.stacks.modules.clone(),
            frames: vec![None; self.stacks.frames.len()],
        };
        for (number, frame) in self.stacks.of(stack) {
            if let Some(place) = alone.frames.get_mut(number.0 as usize) {
                *place = Some(frame);
            }
        }
        let names = names(&alone, &self.symbols);
        names.of(stack).map(line).collect()
    }
}

fn line(named: &Named) -> String {
    match (&named.file, named.line) {
        (Some(file), Some(line)) => format!("{} ({}:{line})", named.function, last_part(file)),
        _ => named.function.clone(),
    }
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
