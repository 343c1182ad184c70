//! The replays under way and those that wait for their turn.

use super::replay::{News, Replay};
use crate::model::runs::RunId;
use malloscope_replayer::run::Job;
use malloscope_replayer::worker::Launcher;
use std::collections::VecDeque;

/// So many replays are made at a time: each keeps a processor busy, and often a second one with decoding.
const AT_A_TIME: usize = 2;

/// The replays under way and those that wait for their turn. Dropping it stops all.
#[derive(Debug)]
pub struct Queue {
    launcher: Launcher,
    under_way: Vec<(RunId, Replay)>,
    waiting: VecDeque<(RunId, Job)>,
}

impl Queue {
    /// Nothing to do yet; replays will be started with `launcher`.
    pub fn new(launcher: Launcher) -> Queue {
        Queue { launcher, under_way: Vec::new(), waiting: VecDeque::new() }
    }

    /// Puts a replay at the end, in place of one there may be of the same run.
    pub fn push(&mut self, run: RunId, job: Job, wake: impl Fn() + Clone + Send + 'static) {
        self.remove(run, wake.clone());
        self.waiting.push_back((run, job));
        self.start_next(wake);
    }

    /// Stops the replay of a run, or takes it out.
    pub fn remove(&mut self, run: RunId, wake: impl Fn() + Clone + Send + 'static) {
        self.waiting.retain(|(other, _)| *other != run);
        self.under_way.retain(|(other, _)| *other != run);
        self.start_next(wake);
    }

    /// Stops all.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.under_way.clear();
    }

    /// All there is to hear now; those that have ended make room for the next.
    pub fn news(&mut self, wake: impl Fn() + Clone + Send + 'static) -> Vec<(RunId, News)> {
        let mut heard = Vec::new();
        self.under_way.retain(|(run, replay)| {
            let news: Vec<News> = replay.news().collect();
            let goes_on = news.iter().all(News::goes_on);
            heard.extend(news.into_iter().map(|news| (*run, news)));
            goes_on
        });
        self.start_next(wake);
        heard
    }

    fn start_next(&mut self, wake: impl Fn() + Clone + Send + 'static) {
        while self.under_way.len() < AT_A_TIME
            && let Some((run, job)) = self.waiting.pop_front()
        {
            self.under_way.push((run, Replay::start(&self.launcher, job, wake.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::runs::Runs;
    use malloscope_replayer::trial::Trial;

    fn job() -> Job {
        let trace: std::path::PathBuf =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../traces/samples/xz.mscope").into();
        Job::of(trace, Trial::default())
    }

    #[test]
    fn two_are_made_at_a_time_and_the_next_when_one_is_stopped() {
        // This worker says nothing, and ends when its leash is let go: it reads the leash.
        let mut queue = Queue::new(Launcher { program: "cat".into(), arguments: Vec::new() });
        let mut runs = Runs::default();
        let ids: Vec<RunId> = (1..=4)
            .map(|pad| {
                let settings = vec![("top_pad".to_owned(), pad)];
                runs.add(Trial { settings, ..Trial::default() }).unwrap()
            })
            .collect();
        for &id in &ids {
            queue.push(id, job(), || {});
        }
        let under_way = |queue: &Queue| queue.under_way.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        assert_eq!((under_way(&queue), queue.waiting.len()), (vec![ids[0], ids[1]], 2));
        queue.remove(ids[2], || {});
        queue.remove(ids[0], || {});
        assert_eq!((under_way(&queue), queue.waiting.len()), (vec![ids[1], ids[3]], 0));
        assert!(queue.news(|| {}).is_empty());
        queue.clear();
        assert!(under_way(&queue).is_empty());
    }
}
