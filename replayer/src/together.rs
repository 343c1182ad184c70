//! Several trials of one trace, replayed side by side over one reading of it.
//!
//! Decoding a trace, and finding the order in which several threads made their calls, comes to the same for every
//! trial, so it is done once for all: each batch is replayed by one trial after another, in one thread. Each has a
//! heap of its own, on a simulated machine; real memory has one program break, so there a replay is alone.
//!
//! Every trial takes the memory of a replay. Where all of them take more than they may, the last is given up, and
//! whoever wanted it is told that it was put off.

use crate::order::Reordering;
use crate::outcome::Outcome;
use crate::own;
use crate::run::{Audience, Job, Lineage, Progress, RunError, begin};
use crate::source::{Batch, Source};
use crate::trial::{MemoryKind, Trial};
use malloscope_traces::untouched::Spared;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;

/// Trials to be replayed side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What is wanted of each; its trial is the first.
    pub job: Job,
    /// The other trials.
    #[serde(default)]
    pub others: Vec<Trial>,
    /// The memory that all of them may take, in bytes.
    #[serde(default)]
    pub memory: Option<u64>,
}

impl Group {
    /// One job by itself.
    pub fn alone(job: Job) -> Group {
        Group { job, others: Vec::new(), memory: None }
    }

    /// How many trials there are.
    pub fn trials(&self) -> usize {
        1 + self.others.len()
    }

    /// Whether trials of this job may be replayed side by side: not over real memory, and nothing but outcomes is
    /// wanted of them.
    pub fn may_be_shared(job: &Job) -> bool {
        job.trial.memory == MemoryKind::Simulated && job.lines.is_none() && !job.follow && !job.so_far
    }
}

/// What came of a trial of a group.
#[derive(Debug)]
pub enum Answered {
    /// What came of it.
    Outcome(Box<Outcome>),
    /// Why nothing did.
    Failed(RunError),
    /// There was no memory for it beside the others.
    PutOff,
}

/// A replay on its way, of whatever machine.
pub(crate) trait Replay {
    /// Makes the calls of a parent, of those before record `until`, when it forked this child; whether there may be
    /// more.
    fn replay_parent(&mut self, batch: &Batch, until: u64, child: u32) -> bool;

    /// All calls of a parent have been made: it forks.
    fn fork(&mut self);

    /// This memory was seen not to be touched.
    fn spare(&mut self, untouched: Option<Arc<Spared>>);

    /// Makes the calls of a batch; whether more are wanted.
    fn replay(&mut self, batch: &Batch) -> Result<bool, RunError>;

    /// Records replayed.
    fn records(&self) -> u64;

    /// Whether the records that count have begun.
    fn has_begun(&self) -> bool;

    /// What came of it so far.
    fn so_far(&mut self, progress: Progress, damage: &[String]) -> Outcome;

    /// What came of it, when no more records follow.
    fn finish(
        self: Box<Self>,
        reordering: Option<Reordering>,
        damage: &[String],
    ) -> Result<Outcome, RunError>;
}

/// Batches that one of several replays before the next has its turn: half a million records. After each turn the
/// caches are full of another's heap; with one batch a turn, that costs as much as decoding once for all saves.
const STRETCH: usize = 16;

/// How far one of a group is.
enum State<'a> {
    Going(Box<dyn Replay + 'a>),
    Ended(Answered),
}

/// Replays the trials of a group, and says of each what came of it, in their order.
///
/// # Errors
///
/// When the trace cannot be read, or trials that cannot be replayed side by side are said to be.
pub fn replay(group: &Group, audience: &mut dyn Audience) -> Result<Vec<Answered>, RunError> {
    let others = group.others.iter().map(|trial| Job { trial: trial.clone(), ..group.job.clone() });
    let jobs: Vec<Job> = [group.job.clone()].into_iter().chain(others).collect();
    let line = Lineage::open(&group.job.trace, false)?;
    let mut nowhere: Vec<io::Sink> = jobs.iter().map(|_| io::sink()).collect();
    let replays = jobs.into_iter().zip(&mut nowhere).map(|(job, lines)| match Group::may_be_shared(&job) {
        true => begin(job, &line, lines),
        false => Err(RunError::NotShared),
    });
    let replays: Vec<_> = replays.collect();
    drive(line, &group.job, replays, group.memory, audience)
}

/// Sends all batches of a trace through replays that have begun.
pub(crate) fn drive(
    mut line: Lineage,
    job: &Job,
    replays: Vec<Result<Box<dyn Replay + '_>, RunError>>,
    memory: Option<u64>,
    audience: &mut dyn Audience,
) -> Result<Vec<Answered>, RunError> {
    let (header, source, total, _) = line.take_youngest(&job.trace);
    let total = total.map(|total| job.range.map_or(total, |range| total.min(range.end())));
    let mut all = All::new(replays, memory);
    let mut damage = Vec::new();
    for (_, source, _, until) in line.traces {
        let mut asked: Vec<bool> = all.states.iter().map(|_| true).collect();
        while asked.contains(&true)
            && let Some(batch) = source.next_sound(&mut damage)?
        {
            for (replay, asked) in all.going().zip(&mut asked) {
                *asked =
                    *asked && replay.replay_parent(&batch, until.unwrap_or(u64::MAX), header.program.pid);
            }
        }
        all.going().for_each(|replay| replay.fork());
    }
    all.going().for_each(|replay| replay.spare(source.untouched.clone()));
    let stretch = if all.states.len() > 1 { STRETCH } else { 1 };
    let mut done = 0;
    let mut batches = Vec::with_capacity(stretch);
    while all.going().next().is_some() {
        while batches.len() < stretch
            && let Some(batch) = source.next_sound(&mut damage)?
        {
            batches.push(batch);
        }
        if batches.is_empty() {
            break;
        }
        all.replay(&batches, &source, &damage);
        done = all.going().map(|replay| replay.records()).next().unwrap_or(done);
        let progress = Progress { done, total };
        audience.progress(progress);
        if let [State::Going(replay)] = &mut all.states[..]
            && replay.has_begun()
            && audience.wants_outcome(progress)
        {
            audience.hear(replay.so_far(progress, &damage));
        }
        batches.drain(..).for_each(|batch| source.recycle(batch));
    }
    Ok(all.finish(source.reordering(), &damage))
}

/// The replays of a group.
struct All<'a> {
    states: Vec<State<'a>>,
    /// The memory that they may take.
    memory: Option<u64>,
}

impl<'a> All<'a> {
    fn new(replays: Vec<Result<Box<dyn Replay + 'a>, RunError>>, memory: Option<u64>) -> All<'a> {
        let state = |replay| match replay {
            Ok(replay) => State::Going(replay),
            Err(error) => State::Ended(Answered::Failed(error)),
        };
        All { states: replays.into_iter().map(state).collect(), memory }
    }

    fn going(&mut self) -> impl Iterator<Item = &mut Box<dyn Replay + 'a>> {
        self.states.iter_mut().filter_map(|state| match state {
            State::Going(replay) => Some(replay),
            State::Ended(_) => None,
        })
    }

    /// Has one after another replay some batches.
    fn replay(&mut self, batches: &[Batch], source: &Source, damage: &[String]) {
        for state in &mut self.states {
            for batch in batches {
                let State::Going(replay) = state else { break };
                match replay.replay(batch) {
                    Ok(true) => {}
                    Ok(false) => state.end(source.reordering(), damage),
                    Err(error) => *state = State::Ended(Answered::Failed(error)),
                }
            }
        }
        self.put_off();
    }

    /// If they have more memory than they may, the last of several is given up. What it had is the others' now; if
    /// even that does not do, the next is.
    fn put_off(&mut self) {
        let Some(most) = self.memory else { return };
        let memory = own::memory();
        if memory <= most || self.going().count() < 2 {
            return;
        }
        let last = self.states.iter_mut().rfind(|state| matches!(state, State::Going(_)));
        *last.expect("at least two are going") = State::Ended(Answered::PutOff);
        self.memory = Some(memory);
    }

    fn finish(mut self, reordering: Option<Reordering>, damage: &[String]) -> Vec<Answered> {
        self.states.iter_mut().for_each(|state| state.end(reordering, damage));
        let ended = self.states.into_iter().filter_map(|state| match state {
            State::Going(_) => None,
            State::Ended(answered) => Some(answered),
        });
        ended.collect()
    }
}

impl State<'_> {
    /// It ends here, if it has not yet.
    fn end(&mut self, reordering: Option<Reordering>, damage: &[String]) {
        let before = std::mem::replace(self, State::Ended(Answered::PutOff));
        *self = State::Ended(match before {
            State::Ended(answered) => answered,
            State::Going(replay) => match replay.finish(reordering, damage) {
                Ok(outcome) => Answered::Outcome(Box::new(outcome)),
                Err(error) => Answered::Failed(error),
            },
        });
    }
}
