//! A replay in the background: a thread that listens to a worker.

use super::leash::{Leash, leash};
use crate::model::failure::Failure;
use malloscope_replayer::report::{Report, TraceInfo};
use malloscope_replayer::run::{Job, Progress};
use malloscope_replayer::worker::{Launcher, run_in_worker};
use std::io;
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// What is heard of a replay.
#[derive(Clone, Debug)]
pub enum News {
    /// How far it is.
    Progress(Progress),
    /// It is done.
    Done(Box<Report>),
    /// It came to nothing.
    Failed(Failure),
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
            say(match replay(&launcher, &job, &mut |progress| say(News::Progress(progress))) {
                Ok(report) => News::Done(Box::new(report)),
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

fn replay(launcher: &Launcher, job: &Job, progress: &mut dyn FnMut(Progress)) -> Result<Report, Failure> {
    let trace = TraceInfo::of(&job.trace).map_err(|error| Failure::of_trace(&error))?;
    let outcome = run_in_worker(launcher, job, &mut io::sink(), progress)
        .map_err(|error| Failure::of_replay(&error, &job.trace))?;
    Ok(Report { trace, outcome, stacks: Vec::new() })
}
