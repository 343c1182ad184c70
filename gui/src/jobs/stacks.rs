//! What takes time about stacks: finding their names, charging them, growing trees, sorting tables.

use super::background::{Background, Desk, UntilStopped};
use crate::model::failure::Failure;
use malloscope_replayer::allocations::{self, Listing, allocations};
use malloscope_replayer::blame::legend::Legend;
use malloscope_replayer::blame::tree::{Shape, Tree};
use malloscope_replayer::blame::{Blame, Of, What, recorded_within};
use malloscope_replayer::excerpt::Excerpt;
use malloscope_replayer::export::collect::{self, Wanted, collect};
use malloscope_replayer::export::symbolized;
use malloscope_replayer::filter::Filter;
use malloscope_replayer::range::Range;
use malloscope_replayer::run::{Job, Progress};
use malloscope_replayer::selection::Selection;
use malloscope_replayer::served::Servings;
use malloscope_replayer::sites::{Column, SiteRow, SiteTable};
use malloscope_replayer::trial::Trial;
use malloscope_replayer::worker::{Launcher, run_in_worker};
use malloscope_symbols::Progress as Looking;
use malloscope_traces::{Error, Reader};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many lines of source are shown before and behind the one that is looked at.
const AROUND: u32 = 30;

/// One kind of work; there is one of each at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// What frames are called.
    Names,
    /// What stacks are to blame for.
    Charge(Source),
    /// A tree of calls.
    Grow,
    /// The table of sites.
    List,
    /// The order of its rows.
    Sort,
    /// Who served the requests.
    Serve,
    /// Single allocations.
    Scan,
    /// What stands in the source.
    Read,
}

/// Who says what stacks are to blame for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The trace alone.
    Trace,
    /// A replay under the recorded settings.
    Recorded,
    /// A replay under others.
    Other,
}

/// Work to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Find out what the frames of a trace are called.
    Name(PathBuf),
    /// Find out what its stacks are to blame for: all that this source knows.
    Charge(Charge),
    /// Grow a tree.
    Grow(Box<Grow>),
    /// Find out what its stacks allocated.
    List(Box<List>),
    /// Sort the table of that.
    Sort(Box<Sort>),
    /// Find out who served its requests.
    Serve(PathBuf),
    /// List its single allocations.
    Scan(Box<Scan>),
    /// Read this line of a file, and some around it.
    Read(String, u32),
}

/// Sites to be listed.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// The trace.
    pub trace: PathBuf,
    /// Of which records, if not of all.
    pub range: Option<Range>,
    /// Of which allocations.
    pub only: Only,
}

/// Which allocations count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Only {
    /// These.
    pub filter: Filter,
    /// Who served them, where the filter asks for that.
    pub servings: Option<Arc<Servings>>,
}

/// Single allocations to be listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The trace.
    pub trace: PathBuf,
    /// Made in which records.
    pub range: Range,
    /// Which, and who served them, where that is to be shown.
    pub only: Only,
    /// Sorted by what.
    pub order: allocations::Order,
    /// The other way round.
    pub is_reversed: bool,
}

/// Stacks to be charged.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    /// The trace.
    pub trace: PathBuf,
    /// Who says it.
    pub source: Source,
    /// Under which settings, where that is a replay.
    pub trial: Box<Trial>,
    /// Of which records, where that is the trace.
    pub range: Range,
    /// Of which allocations.
    pub only: Only,
}

/// A tree to be grown.
#[derive(Clone, Debug, PartialEq)]
pub struct Grow {
    /// What frames are called.
    pub legend: Arc<Legend>,
    /// Of what.
    pub what: What,
    /// Where that is found, and where in a second run.
    pub first: Arc<Vec<Blame>>,
    /// The second run.
    pub second: Option<Arc<Vec<Blame>>>,
    /// How.
    pub shape: Shape,
}

/// A table to be sorted.
#[derive(Clone, Debug, PartialEq)]
pub struct Sort {
    /// The table.
    pub table: Arc<SiteTable>,
    /// By what.
    pub by: Column,
    /// The greatest first?
    pub is_descending: bool,
    /// Only stacks with this text, by these names.
    pub filter: Option<(String, Arc<Legend>)>,
}

/// What is heard of it.
#[derive(Clone, Debug)]
pub enum News {
    /// Names are looked for, here.
    Looking(String),
    /// What frames are called.
    Named(Arc<Legend>),
    /// How far it is.
    Progress(Progress),
    /// What stacks are to blame for.
    Charged(Arc<Vec<Blame>>),
    /// The tree.
    Grown(Arc<Tree>),
    /// The table.
    Listed(Arc<SiteTable>),
    /// The rows in order, and their sum.
    Sorted(Arc<Vec<u32>>, Box<SiteRow>),
    /// Who served the requests.
    Served(Arc<Servings>),
    /// Single allocations.
    Scanned(Arc<Listing>),
    /// What stands in the source; nothing where the file is not at hand.
    Read(Option<Arc<Excerpt>>),
    /// It came to nothing.
    Failed(Failure),
}

impl Work {
    /// Which kind it is.
    pub fn slot(&self) -> Slot {
        match self {
            Work::Name(_) => Slot::Names,
            Work::Charge(charge) => Slot::Charge(charge.source),
            Work::Grow(_) => Slot::Grow,
            Work::List(_) => Slot::List,
            Work::Sort(_) => Slot::Sort,
            Work::Serve(_) => Slot::Serve,
            Work::Scan(_) => Slot::Scan,
            Work::Read(..) => Slot::Read,
        }
    }

    fn whole<W: Fn()>(self, launcher: &Launcher, desk: &Desk<News, W>) -> Result<News, Failure> {
        Ok(match self {
            Work::Name(trace) => News::Named(Arc::new(name(&trace, desk)?)),
            Work::Charge(charge) => News::Charged(Arc::new(charge.blames(launcher, desk)?)),
            Work::Grow(grow) => News::Grown(Arc::new(grow.tree()?)),
            Work::List(list) => News::Listed(Arc::new(list.table(desk)?)),
            Work::Sort(sort) => sort.rows(),
            Work::Serve(trace) => News::Served(Arc::new(serve(&trace, launcher, desk)?)),
            Work::Scan(scan) => News::Scanned(Arc::new(scan.listing(desk)?)),
            Work::Read(file, line) => News::Read(Excerpt::read(&file, line, AROUND).ok().map(Arc::new)),
        })
    }
}

/// All that is under way.
#[derive(Debug, Default)]
pub struct Jobs {
    running: Vec<(Slot, Background<News>)>,
}

impl Jobs {
    /// Whether any work is under way.
    pub fn are_some(&self) -> bool {
        !self.running.is_empty()
    }

    /// Starts work, in place of what there may be of its kind; `wake` is called whenever there is news.
    pub fn start(&mut self, launcher: &Launcher, work: Work, wake: impl Fn() + Send + 'static) {
        let slot = work.slot();
        self.stop(slot);
        let launcher = launcher.clone();
        let background = Background::start(wake, move |desk| {
            desk.say(work.whole(&launcher, desk).unwrap_or_else(News::Failed));
        });
        self.running.push((slot, background));
    }

    /// Stops work of one kind.
    pub fn stop(&mut self, slot: Slot) {
        self.running.retain(|(running, _)| *running != slot);
    }

    /// Stops all.
    pub fn stop_all(&mut self) {
        self.running.clear();
    }

    /// What has been heard since this was last asked.
    pub fn news(&mut self) -> Vec<(Slot, News)> {
        let mut heard = Vec::new();
        self.running.retain(|(slot, background)| {
            let news: Vec<News> = background.news().collect();
            let goes_on = news.iter().all(|news| matches!(news, News::Progress(_) | News::Looking(_)));
            heard.extend(news.into_iter().map(|news| (*slot, news)));
            goes_on
        });
        heard
    }
}

fn name<W: Fn()>(trace: &Path, desk: &Desk<News, W>) -> Result<Legend, Failure> {
    let failed = |error: Error| Failure::of_trace(&error);
    let stacks = Reader::open_file(trace).map_err(failed)?.stacks().map_err(failed)?;
    if stacks.capture.is_none() && stacks.frames.len() < 2 {
        return Err(no_stacks());
    }
    let mut said = |progress: Looking<'_>| {
        desk.say(News::Looking(match progress {
            Looking::Module { done, of, path } => format!("{} of {of}, {path}", done + 1),
            Looking::Fetch(fetch) => fetch.url.to_owned(),
        }));
    };
    let symbols = symbolized::symbols(trace, &stacks, &mut said).map_err(failed)?;
    Ok(Legend::of(&stacks, symbolized::namer(&stacks, &symbols)))
}

/// What is said of a trace without stacks.
fn no_stacks() -> Failure {
    Failure {
        what: "The trace has no stacks: nobody asked for them when it was recorded.".to_owned(),
        next: "Record them too: `malloscope record --stacks all -o app.mscope -- app`, or, where that takes too \
               long, a sample of them: `--stacks sample:512K`."
            .to_owned(),
    }
}

/// A trace that can be read until the work is stopped.
type Stoppable = Reader<UntilStopped<BufReader<File>>>;

fn open<W: Fn()>(trace: &Path, desk: &Desk<News, W>) -> Result<Stoppable, Failure> {
    let file = File::open(trace).map_err(|error| Failure {
        what: format!("{}: {error}", trace.display()),
        next: "Check that it is still there, and that you may read it.".to_owned(),
    })?;
    Reader::open(desk.until_stopped(BufReader::new(file))).map_err(|error| Failure::of_trace(&error))
}

impl Charge {
    fn blames<W: Fn()>(self, launcher: &Launcher, desk: &Desk<News, W>) -> Result<Vec<Blame>, Failure> {
        let mut said = |progress| desk.say(News::Progress(progress));
        let all = What::ALL.into_iter();
        if self.source == Source::Trace {
            let whats: Vec<What> = all.filter(|what| !what.needs_replay()).collect();
            let selection = self.only.selection(&self.trace, self.range, desk)?;
            let mut reader = open(&self.trace, desk)?;
            let of = Of { whats: &whats, range: self.range, selection: selection.as_ref() };
            let read = recorded_within(&mut reader, of, &mut said);
            return Ok(read.map_err(|error| Failure::of_trace(&error))?.blames);
        }
        let blame = all.filter(|what| what.needs_replay()).collect();
        let job = Job { blame, filter: self.only.filter, ..Job::of(&self.trace, *self.trial) };
        let outcome = run_in_worker(&desk.launcher(launcher), &job, &mut io::sink(), &mut said);
        Ok(outcome.map_err(|error| Failure::of_replay(&error, &job.trace))?.blame)
    }
}

impl Only {
    /// What the filter selects of a trace; nothing is said where it selects all.
    fn selection<W: Fn()>(
        &self,
        trace: &Path,
        range: Range,
        desk: &Desk<News, W>,
    ) -> Result<Option<Selection>, Failure> {
        let mut reader = open(trace, desk)?;
        let mut said = |progress| desk.say(News::Progress(progress));
        let found = Selection::of(&self.filter, &mut reader, range, self.servings.clone(), &mut said);
        found.map_err(|error| Failure::of_trace(&error))
    }
}

impl List {
    fn table<W: Fn()>(&self, desk: &Desk<News, W>) -> Result<SiteTable, Failure> {
        let range = self.range.unwrap_or(Range::ALL);
        let selection = self.only.selection(&self.trace, range, desk)?;
        let mut reader = open(&self.trace, desk)?;
        let said = |progress| desk.say(News::Progress(progress));
        let wanted = Wanted { range: self.range, selection: selection.as_ref(), ..Wanted::default() };
        let profile = collect(&mut reader, true, wanted, said).map_err(|error| match error {
            collect::Error::Trace(error) => Failure::of_trace(&error),
            collect::Error::NoStacks => no_stacks(),
        })?;
        Ok(SiteTable::of(&profile, None))
    }
}

fn serve<W: Fn()>(trace: &Path, launcher: &Launcher, desk: &Desk<News, W>) -> Result<Servings, Failure> {
    let mut said = |progress| desk.say(News::Progress(progress));
    let found = Servings::replayed(&desk.launcher(launcher), trace, Trial::default(), &mut said);
    found.map_err(|error| Failure::of_replay(&error, trace))
}

impl Scan {
    fn listing<W: Fn()>(&self, desk: &Desk<News, W>) -> Result<Listing, Failure> {
        let mut reader = open(&self.trace, desk)?;
        let wanted = allocations::Wanted {
            most: allocations::MOST,
            order: self.order,
            is_reversed: self.is_reversed,
            range: self.range,
            filter: self.only.filter,
            servings: self.only.servings.as_deref(),
        };
        let listed = allocations(&mut reader, wanted, &mut |progress| desk.say(News::Progress(progress)));
        listed.map_err(|error| Failure::of_trace(&error))
    }
}

impl Grow {
    fn tree(&self) -> Result<Tree, Failure> {
        let of = |blames: &Arc<Vec<Blame>>| blames.iter().position(|blame| blame.what == self.what);
        let Some(first) = of(&self.first) else {
            return Err(Failure {
                what: format!("Nobody was charged with “{}”.", self.what.title()),
                next: "Choose something else, or open the trace again.".to_owned(),
            });
        };
        let second = self.second.as_ref().and_then(|second| second.get(of(second)?));
        Ok(Tree::of(&self.legend, &self.first[first], second, &self.shape))
    }
}

impl Sort {
    fn rows(&self) -> News {
        let filter = self.filter.as_ref().filter(|(text, _)| !text.trim().is_empty());
        let wanted = filter.map(|(text, legend)| legend.stacks_with(&legend.search(text)));
        let rows = self.table.sorted(self.by, self.is_descending, wanted.as_deref());
        let sum = if wanted.is_some() { self.table.sum(&rows) } else { self.table.total };
        News::Sorted(Arc::new(rows), Box::new(sum))
    }
}
