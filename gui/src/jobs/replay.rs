//! A replay in the background: a thread that listens to a worker.

use super::leash::{Leash, leash};
use crate::model::Replayed;
use crate::model::failure::Failure;
use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::report::{Report, TraceInfo};
use malloscope_replayer::run::{Job, Progress};
use malloscope_replayer::worker::{self, Launcher, hear_worker};
use std::io;
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// What is heard of a replay.
#[derive(Clone, Debug)]
pub enum News {
    /// How far it is.
    Progress(Progress),
    /// What came of it so far.
    SoFar(Box<Replayed>),
    /// It is done.
    Done(Box<Replayed>),
    /// It came to nothing.
    Failed(Failure),
}

impl News {
    /// Whether more will be heard.
    pub fn goes_on(&self) -> bool {
        matches!(self, News::Progress(_) | News::SoFar(_))
    }
}

/// A replay under way. Dropping it stops it.
#[derive(Debug)]
pub struct Replay {
    news: Receiver<News>,
    _leash: Option<Leash>,
}

impl Replay {
    /// Starts a replay; `wake` is called whenever there is news.
    pub fn start(launcher: &Launcher, job: Job, wake: impl Fn() + Send + 'static) -> Replay {
        let (sender, news) = mpsc::channel();
        let mut launcher = launcher.clone();
        // Without a pipe there is still a replay; it merely cannot be stopped halfway.
        let (leash, collar) = leash().ok().unzip();
        thread::spawn(move || {
            // Whoever has stopped listening is not told.
            let say = |news| {
                let _ = sender.send(news);
                wake();
            };
            launcher.arguments.extend(collar.as_ref().map(|collar| collar.name()));
            say(match replay(&launcher, &job, &say) {
                Ok(replayed) => News::Done(Box::new(replayed)),
                Err(failure) => News::Failed(failure),
            });
        });
        Replay { news, _leash: leash }
    }

    /// All there is to hear now.
    pub fn news(&self) -> impl Iterator<Item = News> + '_ {
        self.news.try_iter()
    }
}

fn replay(launcher: &Launcher, job: &Job, say: &impl Fn(News)) -> Result<Replayed, Failure> {
    // Off the frame thread: it takes some milliseconds.
    let replayed =
        |trace: TraceInfo, outcome: Outcome| Replayed::new(Report { trace, outcome, stacks: Vec::new() });
    let about = || TraceInfo::of(&job.trace).map_err(|error| Failure::of_trace(&error));
    let trace = about()?;
    let outcome = hear_worker(launcher, job, &mut io::sink(), &mut |news| {
        say(match news {
            worker::News::Progress(progress) => News::Progress(progress),
            worker::News::SoFar(outcome) => News::SoFar(Box::new(replayed(trace.clone(), *outcome))),
        });
        Ok(())
    });
    let outcome = outcome.map_err(|error| Failure::of_replay(&error, &job.trace))?;
    // What was followed has an ending now.
    Ok(replayed(about()?, outcome))
}
