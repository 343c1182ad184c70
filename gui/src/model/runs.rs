//! The runs there are: the trace under the recorded settings, and under as many others as were asked for.

use super::differences::Differences;
use super::{Replayed, Tile};
use malloscope_replayer::trial::Trial;

/// The most runs there are at one time: each keeps some megabytes of what came of it.
pub const MOST: usize = 48;

/// Which run; no two of a trace ever have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u32);

impl RunId {
    /// The run under the recorded settings.
    pub const RECORDED: RunId = RunId(0);

    /// Its place among all there ever were: lines of it are drawn in the colour of this number.
    pub fn number(self) -> usize {
        self.0 as usize
    }
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Which.
    pub id: RunId,
    /// Its settings.
    pub trial: Trial,
    /// What distinguishes them from the recorded ones: `mmap_threshold 64K`.
    pub name: String,
    /// What came of it.
    pub replay: Tile<Replayed>,
    /// What had come of it when it was heard of last, while it is made, or where it was stopped.
    pub so_far: Option<Box<Replayed>>,
    /// Whether it is drawn and compared beside the others.
    pub is_drawn: bool,
}

impl Run {
    /// What came of it: all of it, or so far.
    pub fn seen(&self) -> Option<&Replayed> {
        self.replay.ready().or(self.so_far.as_deref())
    }
}

/// All runs of a trace. The first is that under the recorded settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Runs {
    /// Not empty.
    list: Vec<Run>,
    next: u32,
    shown: RunId,
    baseline: RunId,
    differences: Option<Differences>,
}

impl Default for Runs {
    /// The recorded settings alone, and nobody asked for their replay.
    fn default() -> Runs {
        let recorded = Run { name: Trial::default().name(), is_drawn: true, ..Run::default() };
        Runs {
            list: vec![recorded],
            next: 1,
            shown: RunId::RECORDED,
            baseline: RunId::RECORDED,
            differences: None,
        }
    }
}

impl Runs {
    /// All, in the order they were asked for.
    pub fn all(&self) -> &[Run] {
        &self.list
    }

    /// The run under the recorded settings.
    pub fn recorded(&self) -> &Run {
        &self.list[0]
    }

    /// This run, if it is still there.
    pub fn get(&self, id: RunId) -> Option<&Run> {
        self.list.iter().find(|run| run.id == id)
    }

    /// The run under these settings.
    pub fn of(&self, trial: &Trial) -> Option<&Run> {
        self.list.iter().find(|run| run.trial == *trial)
    }

    /// Those that are drawn and came to something, with it.
    pub fn drawn(&self) -> impl Iterator<Item = (&Run, &Replayed)> {
        let drawn = self.list.iter().filter(|run| run.is_drawn);
        drawn.filter_map(|run| Some((run, run.replay.ready()?)))
    }

    /// The run that tables show.
    pub fn shown(&self) -> &Run {
        self.get(self.shown).filter(|run| run.replay.ready().is_some()).unwrap_or(self.recorded())
    }

    /// The run that the others are measured against.
    pub fn baseline(&self) -> &Run {
        self.get(self.baseline).unwrap_or(self.recorded())
    }

    /// What those that are drawn have more or less than the baseline; nothing where there is nothing beside it.
    pub fn differences(&self) -> Option<&Differences> {
        self.differences.as_ref()
    }

    /// Whether any is being made.
    pub fn is_any_loading(&self) -> bool {
        self.list.iter().any(|run| run.replay.is_loading())
    }

    /// Adds a run, to be made; nothing if there are too many.
    pub(crate) fn add(&mut self, trial: Trial) -> Option<RunId> {
        if self.list.len() >= MOST {
            return None;
        }
        let id = RunId(self.next);
        self.next += 1;
        let name = trial.name();
        let run = Run { id, trial, name, replay: Tile::Loading(None), is_drawn: true, ..Run::default() };
        self.list.push(run);
        Some(id)
    }

    /// Takes a run away; that under the recorded settings stays.
    pub(crate) fn remove(&mut self, id: RunId) {
        self.list.retain(|run| run.id == RunId::RECORDED || run.id != id);
        for chosen in [&mut self.shown, &mut self.baseline] {
            if *chosen == id {
                *chosen = RunId::RECORDED;
            }
        }
        self.compare();
    }

    /// Says what came of a run. What is heard of one that was taken away is heard by nobody.
    pub(crate) fn hear(&mut self, id: RunId, replay: Tile<Replayed>) {
        if let Some(run) = self.list.iter_mut().find(|run| run.id == id) {
            let is_loading = replay.is_loading() && run.replay.is_loading();
            if !matches!(replay, Tile::Loading(Some(_)) | Tile::Missing) {
                // What is heard now is about another replay, or about all of this one.
                run.so_far = None;
            }
            run.replay = replay;
            // How far one is changes nothing about the others, and is heard often.
            if !is_loading {
                self.compare();
            }
        }
    }

    /// Says what has come of a run so far. It is compared with nothing.
    pub(crate) fn hear_so_far(&mut self, id: RunId, replayed: Box<Replayed>) {
        if let Some(run) = self.list.iter_mut().find(|run| run.id == id) {
            run.so_far = Some(replayed);
        }
    }

    /// Has tables show this run.
    pub(crate) fn show(&mut self, id: RunId) {
        self.shown = id;
    }

    /// Draws a run beside the others, or not.
    pub(crate) fn draw(&mut self, id: RunId, is_drawn: bool) {
        if let Some(run) = self.list.iter_mut().find(|run| run.id == id) {
            run.is_drawn = is_drawn;
            self.compare();
        }
    }

    /// Measures the others against this run.
    pub(crate) fn measure_against(&mut self, id: RunId) {
        self.baseline = id;
        self.compare();
    }

    fn compare(&mut self) {
        self.differences = Differences::of(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(value: u64) -> Trial {
        Trial { settings: vec![("top_pad".to_owned(), value)], ..Trial::default() }
    }

    #[test]
    fn runs_come_and_go_and_the_recorded_one_stays() {
        let mut runs = Runs::default();
        let (first, second) = (runs.add(trial(0)).unwrap(), runs.add(trial(65536)).unwrap());
        assert_eq!(
            runs.all().iter().map(|run| run.name.as_str()).collect::<Vec<_>>(),
            ["as recorded", "top_pad 0", "top_pad 64K"]
        );
        assert!(runs.is_any_loading());
        runs.measure_against(second);
        assert_eq!(runs.baseline().id, second);
        runs.remove(second);
        runs.remove(RunId::RECORDED);
        assert_eq!((runs.all().len(), runs.baseline().id), (2, RunId::RECORDED));
        // A number is not given twice: what is still heard of the old one would be taken for the new one's.
        let third = runs.add(trial(1)).unwrap();
        assert!(third != second && third != first);
        runs.hear(second, Tile::Missing);
        assert_eq!(runs.of(&trial(1)).map(|run| run.id), Some(third));
    }

    #[test]
    fn there_are_not_more_runs_than_can_be_kept() {
        let mut runs = Runs::default();
        assert_eq!((1..100).filter_map(|value| runs.add(trial(value))).count(), MOST - 1);
    }

    #[test]
    fn tables_show_a_run_when_it_has_come_to_something() {
        let mut runs = Runs::default();
        let id = runs.add(trial(0)).unwrap();
        runs.show(id);
        assert_eq!(runs.shown().id, RunId::RECORDED);
    }
}
