//! The page that `advise` prints: what kind of problem it is, what to set, what that buys and costs, why, what else
//! there is, and how sure all of it is.

use super::comparison::MEASURES;
use super::pins::{NamedPinned, said};
use super::stacks::Blamed;
use super::units::{bytes, count, nanos, percent, signed_count};
use super::{Line, Section, Table, TraceInfo, json};
use crate::advise::paste::Paste;
use crate::advise::prices::{Prices, searching};
use crate::advise::verdict::{Class, Facts};
use crate::advise::{Goal, Weighed, Weight, choice, program_nanos};
use crate::fidelity::Fidelity;
use crate::flows::Destination;
use crate::outcome::Outcome;
use malloscope_allocator::observe::counters::SourceKind;
use serde::Serialize;
use std::io::{self, Write};

/// How many regions are told of.
const REGIONS: usize = 2;
/// Stacks that caused less than this part are not named.
const LEAST_SHARE: f64 = 0.02;
/// How many stacks are named for why.
const STACKS: usize = 3;
/// How many runs are named that were not made.
const NAMED: usize = 8;

/// Everything that advice rests on.
#[derive(Clone, Debug)]
pub struct Advice<'a> {
    /// The trace.
    pub trace: &'a TraceInfo,
    /// What is to become less.
    pub goal: Goal,
    /// What was run, the recorded settings first.
    pub runs: &'a [Weighed],
    /// The run that is recommended, by its place.
    pub chosen: Option<usize>,
    /// What to paste for it.
    pub paste: Paste,
    /// What is known of the recorded settings.
    pub facts: Facts,
    /// What is pinned at the worst moment.
    pub pins: &'a [NamedPinned],
    /// The stacks that matter most.
    pub stacks: &'a [Blamed],
    /// How faithful the replay of the recorded settings is.
    pub fidelity: Option<&'a Fidelity>,
    /// Within what the numbers lie, whatever the program writes: as recorded, and as recommended.
    pub bands: Vec<Band>,
    /// What the kernel's work takes.
    pub prices: Prices,
    /// What was not run because the budget was spent.
    pub untried: &'a [String],
}

/// Numbers of a run if the program writes nothing of what it asks for, and if it writes everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Band {
    /// What is resident at the peak, in bytes.
    pub resident_peak: (u64, u64),
    /// Page faults.
    pub faults: (u64, u64),
}

impl Band {
    fn said(&self) -> String {
        format!(
            "{} to {} resident at the peak, {} to {} page faults",
            bytes(self.resident_peak.0),
            bytes(self.resident_peak.1),
            count(self.faults.0),
            count(self.faults.1)
        )
    }
}

/// Advice, for programs.
#[derive(Serialize)]
struct Document<'a> {
    trace: &'a TraceInfo,
    goal: Goal,
    classes: Vec<Class>,
    verdict: String,
    recommended: Option<Row<'a>>,
    paste: &'a Paste,
    facts: &'a Facts,
    runs: Vec<Row<'a>>,
    alternatives: Vec<&'a str>,
    pins: &'a [NamedPinned],
    bands: &'a [Band],
    prices_nanos: Prices,
    fidelity: Option<&'a Fidelity>,
    untried: &'a [String],
    notes: Vec<String>,
}

/// A run, for programs.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    settings: &'a [(String, u64)],
    options: Vec<String>,
    weight: Weight,
    measures: Vec<(&'static str, u64)>,
    kernel_nanos: f64,
}

impl Advice<'_> {
    fn base(&self) -> &Outcome {
        &self.runs[0].outcome
    }

    fn chosen(&self) -> Option<&Weighed> {
        self.chosen.map(|place| &self.runs[place])
    }

    /// The page.
    pub fn sections(&self) -> Vec<Section> {
        let mut sections = vec![self.verdict(), self.recommendation()];
        sections.extend(self.price());
        sections.extend([self.why(), self.alternatives()]);
        sections.extend(self.releases());
        sections.push(self.confidence());
        sections
    }

    /// Everything, for programs.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let alternatives = choice::alternatives(self.runs, self.chosen);
        let document = Document {
            trace: self.trace,
            goal: self.goal,
            classes: self.facts.classes(),
            verdict: self.verdict_words(),
            recommended: self.chosen.map(|place| self.row(&self.runs[place])),
            paste: &self.paste,
            facts: &self.facts,
            runs: self.runs.iter().map(|run| self.row(run)).collect(),
            alternatives: alternatives
                .into_iter()
                .map(|place| self.runs[place].planned.name.as_str())
                .collect(),
            pins: self.pins,
            bands: &self.bands,
            prices_nanos: self.prices,
            fidelity: self.fidelity,
            untried: self.untried,
            notes: self.confidence_words(),
        };
        json::write("malloscope.advice", &document, out)
    }

    fn row<'a>(&self, run: &'a Weighed) -> Row<'a> {
        Row {
            name: &run.planned.name,
            settings: &run.planned.trial.settings,
            options: run.planned.trial.options(),
            weight: run.weight,
            measures: MEASURES.iter().map(|measure| (measure.name, measure.of(&run.outcome))).collect(),
            kernel_nanos: self.prices.kernel_nanos(&run.outcome),
        }
    }

    fn verdict(&self) -> Section {
        let mut lines = vec![Line::Text(self.trace.command()), Line::Text(self.verdict_words())];
        lines.extend(self.lasting().map(Line::Text));
        lines.extend(self.base().settings.warnings.iter().cloned().map(Line::Warning));
        lines.extend(self.base().damage.iter().cloned().map(Line::Warning));
        if let Some(lost) = self.trace.ending.as_ref().map(|ending| ending.lost).filter(|&lost| lost > 0) {
            lines.push(Line::Warning(format!(
                "{} calls were lost while recording: nothing here is exact",
                count(lost)
            )));
        }
        Section { lines, ..Section::default() }
    }

    /// One sentence or two: what kind of problem it is.
    fn verdict_words(&self) -> String {
        let said: Vec<String> = self.facts.classes().into_iter().map(|class| self.of_class(class)).collect();
        said.join(" ")
    }

    fn of_class(&self, class: Class) -> String {
        let (facts, base) = (&self.facts, self.base());
        let worst = &facts.worst;
        let at_worst = format!(
            "At its worst, after record {} of {}, {} is resident and {} of it lives; most of the rest is",
            count(worst.record),
            count(base.records),
            bytes(worst.resident),
            bytes(worst.live)
        );
        match class {
            Class::Storm => format!(
                "The kernel’s work for malloc takes {}: {} page faults and {} calls.",
                self.kernel_share(),
                count(base.measured.faults),
                count(base.kernel.total())
            ),
            Class::Arenas => format!(
                "{at_worst} free in arenas besides the main one: {} in {} of them.",
                bytes(worst.other_arenas),
                count(worst.arenas)
            ),
            Class::Pinned => format!(
                "{at_worst} free in the main arena, below the chunk at its end: {}, which cannot go back by itself.",
                bytes(worst.main_below)
            ),
            Class::Top => format!(
                "{at_worst} free at the end of the main arena, which keeps it: {}, with a trim threshold of {}.",
                bytes(worst.main_top),
                bytes(base.thresholds.last_trim_threshold)
            ),
            Class::Overhead => format!(
                "{at_worst} what chunks take beyond what was asked for, by their heads and by rounding: {}.",
                bytes(worst.held.saturating_sub(worst.live))
            ),
            Class::None if facts.live_peak > facts.resident_peak => format!(
                "Not a problem of malloc’s: more lived at once, {}, than was ever resident, {}, as parts of it are never written \
                 to; and the kernel’s work for malloc takes {}.",
                bytes(facts.live_peak),
                bytes(facts.resident_peak),
                self.kernel_share()
            ),
            Class::None => format!(
                "Not a problem of malloc’s: the most that lived at any time, {}, is {} of the most that was resident, {}; and \
                 the kernel’s work for malloc takes {}.",
                bytes(facts.live_peak),
                share(facts.live_part()),
                bytes(facts.resident_peak),
                self.kernel_share()
            ),
        }
    }

    /// The kernel's part of the time, in words.
    fn kernel_share(&self) -> String {
        match self.facts.kernel_share {
            Some(part) => format!("an estimated {} of the program’s time", share(part)),
            None => format!("an estimated {}", time(self.prices.kernel_nanos(self.base()))),
        }
    }

    /// For how long it is about so bad.
    fn lasting(&self) -> Option<String> {
        let classes = self.facts.classes();
        let is_memory = classes.iter().any(|class| !matches!(class, Class::Storm | Class::None));
        is_memory.then(|| {
            format!(
                "At least half as much is resident and does not live during {} of the {}. The most that lived at any time, \
                 {}, is {} of the most that was resident, {}.",
                share(self.facts.lasts),
                if self.facts.kernel_share.is_some() { "time" } else { "calls" },
                bytes(self.facts.live_peak),
                share(self.facts.live_part()),
                bytes(self.facts.resident_peak)
            )
        })
    }

    fn recommendation(&self) -> Section {
        let mut lines = Vec::new();
        let what = match self.facts.classes()[..] {
            [Class::None] => "What can be won all the same",
            _ => "What to set",
        };
        let title = format!("{what}, for {}", self.goal.name());
        let Some(chosen) = self.chosen() else {
            let tried = count(self.settable());
            lines.push(Line::Text(match choice::little(self.runs, self.goal) {
                Some(saved) => format!(
                    "Nothing: of {tried} settings that were tried, the best saves {} of memory, which is not worth one.",
                    bytes(whole_bytes(saved))
                ),
                None => format!(
                    "Nothing: of {tried} settings that were tried, none makes it better by more than real runs differ anyway."
                ),
            }));
            let end = self.base().measured.resident;
            if !self.trace.goes_on() && end > self.facts.resident_peak / 2 {
                lines.push(Line::Text(format!(
                    "The {} that were resident when the program exited were not weighed: one that goes on would keep them.",
                    bytes(end)
                )));
            }
            return Section { title, lines, ..Section::default() };
        };
        let Paste { variables, tunables, mallopt, systemd, unset } = &self.paste;
        if !unset.is_empty() {
            lines.push(Line::Text(format!("unset {}", unset.join(" "))));
        }
        let mut paste = |what: &str, text: &Option<String>| {
            let lines_of = text.iter().flat_map(|text| text.lines());
            lines.extend(lines_of.map(|line| Line::Text(format!("{what:<12}{line}"))));
        };
        paste("shell", variables);
        paste(if variables.is_some() { "or" } else { "shell" }, tunables);
        paste("systemd", systemd);
        paste("or in C", mallopt);
        if chosen.planned.trial.settings.is_empty() {
            lines.push(Line::Text("and nothing else: the defaults are better".to_owned()));
        } else {
            let release = &self.base().settings.release;
            lines.push(Line::Text(format!(
                "glibc {release} reads each of these. A variable must be there before the program starts{}.",
                if mallopt.is_some() { "; mallopt is called at the beginning of main" } else { "" }
            )));
        }
        if !chosen.outcome.settings.warnings.is_empty() {
            let said = "It is the default value: what helps is that setting it fixes the thresholds, which otherwise move.";
            lines.push(Line::Text(said.to_owned()));
        }
        let others = &self.trace.header.program.environment;
        if !others.is_empty() && unset.is_empty() {
            let names: Vec<&str> = others.iter().map(|(name, _)| name.as_str()).collect();
            lines.push(Line::Text(format!(
                "It is meant beside what the environment set already: {}.",
                names.join(", ")
            )));
        }
        Section { title, lines, ..Section::default() }
    }

    /// How many settings were tried.
    fn settable(&self) -> u64 {
        self.runs.iter().skip(1).filter(|run| choice::can_be_set(&run.planned.trial)).count() as u64
    }

    fn price(&self) -> Option<Section> {
        let chosen = self.chosen()?;
        let (base, with) = (self.base(), &chosen.outcome);
        let mut table = Table::with_columns(&["", "#as recorded", "#with it", "#difference"]);
        let has_times = base.measured.mean_resident_over_time.is_some();
        for name in PRICED {
            // Without times the mean over the calls is what is weighed.
            let name = if name == OVER_TIME && !has_times { OVER_CALLS } else { name };
            let Some(measure) = MEASURES.iter().find(|measure| measure.name == name) else { continue };
            let (before, after) = (measure.of(base), measure.of(with));
            let row = [measure.shown(before), measure.shown(after), measure.difference(after, before)];
            table.push(std::iter::once(name.to_owned()).chain(row));
        }
        let (before, after) = (searching(base), searching(with));
        let difference = signed_count(i128::from(after) - i128::from(before));
        table.push(["requests and frees that search".to_owned(), count(before), count(after), difference]);
        let mut estimated = |what: &str, before: f64, after: f64| {
            let sign = if after < before { "−" } else { "+" };
            let difference = format!("{sign}{}", time((after - before).abs()));
            table.push([format!("{what}, estimated"), time(before), time(after), difference]);
        };
        estimated("the kernel’s work", self.prices.kernel_nanos(base), self.prices.kernel_nanos(with));
        estimated("searching", self.prices.search_nanos(base), self.prices.search_nanos(with));
        let mut notes = vec![format!(
            "In all: memory {}, time {} (estimated). Memory is the mean of the changes at the peak and over {}{}.",
            change(chosen.weight.memory),
            change(chosen.weight.time),
            if has_times { "time" } else { "the calls" },
            if self.trace.goes_on() {
                ", and half as much at the end"
            } else {
                "; the program had exited at the end"
            }
        )];
        notes.extend(self.locks(chosen));
        Some(Section {
            title: "What it buys and costs".to_owned(),
            table: Some(table),
            notes,
            ..Section::default()
        })
    }

    /// What threads would share, if arenas are fewer.
    fn locks(&self, chosen: &Weighed) -> Option<String> {
        let arenas = |run: &Outcome| run.arenas.len();
        let is_fewer = arenas(&chosen.outcome) < arenas(self.base());
        is_fewer.then(|| {
            let (locking, all) = locking(&chosen.outcome);
            format!(
                "{} instead of {}: {} of {} requests and frees ({}) take an arena’s lock, because the thread’s own cache \
                 does not do. Waiting for it is not in the numbers above: measure it.",
                match arenas(&chosen.outcome) {
                    1 => "1 arena".to_owned(),
                    arenas => format!("{arenas} arenas"),
                },
                arenas(self.base()),
                count(locking),
                count(all),
                percent(locking, all)
            )
        })
    }

    fn why(&self) -> Section {
        let base = self.base();
        let mut lines = Vec::new();
        let worst = &self.facts.worst;
        if self.facts.classes().iter().any(|class| matches!(class, Class::Pinned | Class::Arenas)) {
            let regions = self.pins.iter().take(REGIONS);
            lines.extend(regions.flat_map(|region| of_region(region, worst.record)).map(Line::Text));
        }
        if base.arenas.len() > 1 {
            let system: u64 = base.arenas.iter().skip(1).map(|arena| arena.system).sum();
            lines.push(Line::Text(format!(
                "{} threads in {} arenas; those besides the main one have {} from the kernel at the end",
                count(base.threads.into()),
                base.arenas.len(),
                bytes(system)
            )));
        }
        let thresholds = &base.thresholds;
        if thresholds.moved > 0 {
            lines.push(Line::Text(format!(
                "Freeing mapped chunks raised the mmap threshold {}, from {} to {}; the trim threshold is twice that",
                if thresholds.moved == 1 { "once".to_owned() } else { format!("{} times", count(thresholds.moved)) },
                bytes(thresholds.first_mmap_threshold),
                bytes(thresholds.last_mmap_threshold)
            )));
        }
        if let Some(fixed) = self.runs.iter().find(|run| run.planned.name == "thresholds static")
            && (fixed.weight.time > 1.02 || fixed.weight.memory > 1.02)
        {
            lines.push(Line::Text(format!(
                "Setting any of top_pad, mmap_threshold, trim_threshold and mmap_max, if only to its default, would fix them: \
                 {} faults instead of {}, {} calls of the kernel instead of {}",
                count(fixed.outcome.measured.faults),
                count(base.measured.faults),
                count(fixed.outcome.kernel.total()),
                count(base.kernel.total())
            )));
        }
        for blamed in self.stacks.iter().filter(|blamed| self.matters(blamed)) {
            for stack in blamed.stacks.iter().take(STACKS).filter(|stack| stack.share >= LEAST_SHARE) {
                lines.push(Line::Text(format!(
                    "{} of {}: {}",
                    share(stack.share),
                    described(blamed.what),
                    stack.frames.join(" ← ")
                )));
            }
        }
        if lines.is_empty() {
            lines.push(Line::Text(
                "Nothing more is known: record it with `--stacks all` to see who asks.".to_owned(),
            ));
        }
        Section { title: "Why".to_owned(), lines, ..Section::default() }
    }

    /// Whether these stacks explain what was found.
    fn matters(&self, blamed: &Blamed) -> bool {
        use crate::blame::What;
        let classes = self.facts.classes();
        match blamed.what {
            What::Faults => classes.contains(&Class::Storm),
            What::Peak => classes.contains(&Class::None) || classes.contains(&Class::Overhead),
            What::Pinned => classes.contains(&Class::Pinned),
            _ => false,
        }
    }

    fn alternatives(&self) -> Section {
        let mut lines = Vec::new();
        let trimmed = self.runs.iter().find(|run| run.outcome.trims.calls == 1);
        if let Some(run) = trimmed
            && let Some(trim) = run.outcome.trims.first.first()
            && trim.returned > 0
        {
            let again = run.outcome.measured.faults.saturating_sub(self.base().measured.faults);
            lines.push(Line::Text(format!(
                "malloc_trim(0) after record {} would give back {}; {} from it",
                count(trim.record),
                bytes(trim.returned),
                match again {
                    1 => "one page fault follows".to_owned(),
                    _ => format!("{} page faults follow", count(again)),
                }
            )));
        }
        let table = self.weighed("instead", &choice::alternatives(self.runs, self.chosen));
        let has_rows = !table.rows.is_empty();
        let note = if has_rows {
            "Those that no other run beats in both memory and time, both relative to the recorded settings."
        } else {
            "No other run is better in memory or in time without being beaten by one above."
        };
        let table = has_rows.then_some(table);
        Section { title: "Alternatives".to_owned(), lines, table, notes: vec![note.to_owned()] }
    }

    /// Some runs, and how they weigh.
    fn weighed(&self, what: &str, places: &[usize]) -> Table {
        let mut table =
            Table::with_columns(&[what, "#memory", "#time, estimated", "#faults", "#kernel calls"]);
        for run in places.iter().map(|&place| &self.runs[place]) {
            table.push([
                run.planned.name.clone(),
                change(run.weight.memory),
                change(run.weight.time),
                count(run.outcome.measured.faults),
                count(run.outcome.kernel.total()),
            ]);
        }
        table
    }

    /// What other releases would bring, if that was asked for.
    fn releases(&self) -> Option<Section> {
        let places = choice::releases(self.runs);
        (!places.is_empty()).then(|| Section {
            title: "Other releases".to_owned(),
            table: Some(self.weighed("instead", &places)),
            notes: vec![format!(
                "The recorded settings as each release takes them, relative to glibc {}. What was advised above is meant for \
                 that one: after an upgrade, ask again.",
                self.base().settings.release
            )],
            ..Section::default()
        })
    }

    fn confidence(&self) -> Section {
        let lines = self.confidence_words().into_iter().map(Line::Text).collect();
        Section { title: "How sure this is".to_owned(), lines, ..Section::default() }
    }

    /// What there was no time for.
    fn untried_words(&self) -> Option<String> {
        let (first, more) = self.untried.split_at(self.untried.len().min(NAMED));
        let more =
            if more.is_empty() { String::new() } else { format!(" and {} more", count(more.len() as u64)) };
        (!first.is_empty()).then(|| {
            format!(
                "The budget was spent on {} runs beside the recorded settings, and one that was not made may be better: {}{more}.",
                count(self.runs.len() as u64 - 1),
                first.join("; ")
            )
        })
    }

    fn confidence_words(&self) -> Vec<String> {
        let base = self.base();
        let mut words = Vec::new();
        words.push(match self.fidelity {
            Some(fidelity) if fidelity.placements > 0 => format!(
                "The replay of the recorded settings puts {:.4} % of {} allocations where they really were.",
                fidelity.percent_rounded_down(),
                count(fidelity.placements)
            ),
            _ => "The trace does not say where allocations really were: the replay could not be held against them.".to_owned(),
        });
        words.push(if base.threads > 1 {
            format!(
                "{} threads: their calls are replayed in the recorded order; under other settings the program would make \
                 them in another, so the numbers are estimates.",
                count(base.threads.into())
            )
        } else {
            "One thread: it would make the same calls under every setting, so faults and calls are counted, not guessed, \
             for a program that writes as assumed."
                .to_owned()
        });
        if let [recorded, rest @ ..] = &self.bands[..] {
            let with = rest.first().map(|with| format!("; with it {}", with.said())).unwrap_or_default();
            let but = match base.spared {
                0 => String::new(),
                spared => format!(
                    ", but for {} that nobody had touched at the end or before they went",
                    bytes(spared)
                ),
            };
            words.push(format!(
                "It is assumed that the program writes to every page it asks for{but}. From writing nothing to writing \
                 everything it would be {} as recorded{with}.",
                recorded.said()
            ));
        }
        words.extend(self.untried_words());
        words.push(format!(
            "Times are estimates: {:.0} ns a page fault, {:.0} ns a call of the kernel, and {:.0} ns more where no cache \
             serves a request or takes a free, measured on this machine; {}.",
            self.prices.fault,
            self.prices.call,
            self.prices.search,
            match program_nanos(base) {
                Some(whole) => format!("the program took {} while it was recorded", time(whole)),
                None => "the trace does not say how long the program took".to_owned(),
            }
        ));
        words
    }
}

/// What pins in a region, in words.
fn of_region(region: &NamedPinned, record: u64) -> Vec<String> {
    let pinned = &region.pinned;
    let arena = super::pins::name(pinned.arena);
    let mut lines = vec![format!(
        "{arena}: {} is free below the chunk at its end, which has {}",
        bytes(pinned.below),
        bytes(pinned.top)
    )];
    if pinned.returns_merged > pinned.returns_now {
        lines.push(format!(
            "{arena}: {} of it lies just below chunks that wait in fastbins, which are merged by malloc_trim, or when much \
             is freed at once",
            bytes(pinned.returns_merged - pinned.returns_now)
        ));
    }
    let first = pinned.steps.first().zip(region.callers.first().and_then(|callers| callers.first()));
    lines.extend(first.map(|(step, caller)| {
        let what = match step.chunks {
            1 => "the highest chunk".to_owned(),
            chunks => format!("the {} highest chunks", count(chunks)),
        };
        format!("{arena}: {} could go back but for {what}: {}", bytes(step.returns), said(caller, record))
    }));
    lines
}

/// What is shown of what it buys and costs.
const PRICED: [&str; 5] = ["resident, peak", OVER_TIME, "resident, end", "minor faults", "kernel calls"];
const OVER_TIME: &str = "resident, mean over time";
const OVER_CALLS: &str = "resident, mean";

/// Bytes of memory that are saved.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of what a machine can hold")]
fn whole_bytes(saved: f64) -> u64 {
    saved.max(0.0).round() as u64
}

/// Requests and frees that take an arena's lock, where there are several threads; and all.
fn locking(run: &Outcome) -> (u64, u64) {
    let served: u64 = run.served.iter().map(|row| row.requests).sum();
    let own = [SourceKind::Tcache, SourceKind::Mapped, SourceKind::Remapped].map(SourceKind::name);
    let passing = run.served.iter().filter(|row| !own.contains(&row.from.as_str()));
    let freed: u64 = run.free_flows.iter().map(|flow| flow.frees).sum();
    // A chunk goes into a fastbin without a lock.
    let lockless = [Destination::Tcache, Destination::Fast, Destination::Unmapped].map(Destination::name);
    let freed_past = run.free_flows.iter().filter(|flow| !lockless.contains(&flow.into.as_str()));
    let locking =
        passing.map(|row| row.requests).sum::<u64>() + freed_past.map(|flow| flow.frees).sum::<u64>();
    (locking, served + freed)
}

fn described(what: crate::blame::What) -> &'static str {
    use crate::blame::What;
    match what {
        What::Faults => "the page faults",
        What::Pinned => "what was pinned, over time",
        _ => "what lives at the peak",
    }
}

fn share(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

/// A ratio to the recorded settings, as people say it.
fn change(ratio: f64) -> String {
    let percent = 100.0 * (ratio - 1.0);
    if percent.abs() < 0.05 {
        "±0.0 %".to_owned()
    } else {
        format!("{}{:.1} %", if percent < 0.0 { "−" } else { "+" }, percent.abs())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "nanoseconds of a run")]
fn time(of: f64) -> String {
    nanos(of.max(0.0).round() as u64)
}
