//! The report on one run, section by section.

use super::readings::KernelSaid;
use super::units::{bytes, count, nanos, percent};
use super::{Line, Report, Section, Table, beginning, chart, flows, questions, so_far, stacks, waiting};
use crate::metrics::Peak;
use crate::metrics::fragmentation::Fragmentation;
use crate::outcome::{BinRow, Outcome};
use crate::range::Range;
use crate::recognition::Recognition;
use malloscope_traces::Cause;

/// How wide and high the chart of the program break is.
const CHART: (usize, usize) = (72, 6);
/// How long the longest bar is.
const BAR: usize = 24;
/// How many bins of many are shown.
const SHOWN_BINS: usize = 14;
/// How many arenas of many are shown.
const SHOWN_ARENAS: usize = 12;

/// Every section that has something to say.
pub(super) fn sections(report: &Report) -> Vec<Section> {
    let outcome = &report.outcome;
    let sections = [
        opening(report),
        memory(report),
        program_break(outcome),
        served(outcome),
        flows::decisions(outcome),
        flows::sizes(outcome),
        flows::frees(outcome),
        bins(outcome),
        kernel(outcome),
        arenas(outcome),
        thresholds(outcome),
        stacks::section(&report.stacks),
        fidelity(outcome),
        questions::section(report),
    ];
    let mut sections: Vec<Section> = sections.into_iter().flatten().collect();
    let so_far = outcome.so_far.map(so_far::standing);
    if let Some(which) = so_far.or(outcome.range.map(records)) {
        for section in sections.iter_mut().filter(|section| !section.title.is_empty()) {
            section.lines.insert(0, text(&which));
        }
    }
    sections
}

/// Which records a section speaks of.
fn records(range: Range) -> String {
    format!("records {} to {}, which is not all", count(range.first()), count(range.end() - 1))
}

fn text(line: impl Into<String>) -> Line {
    Line::Text(line.into())
}

fn opening(report: &Report) -> Option<Section> {
    let (trace, outcome) = (&report.trace, &report.outcome);
    let mut lines = vec![text(trace.command()), text(recording(report)), text(replaying(outcome))];
    lines.extend(outcome.range.map(|range| text(ranged(range, trace.records))));
    if let Some(at) = outcome.so_far {
        let said = format!("This is no whole run: {}.", so_far::standing(at));
        lines.push(Line::Warning(said));
    }
    lines.extend(beginning::missing(trace).map(Line::Warning));
    if let Some(ending) = &trace.ending {
        if ending.lost > 0 {
            let lost =
                format!("{} calls were lost while recording: what follows is not exact", count(ending.lost));
            lines.push(Line::Warning(lost));
        }
    } else if outcome.so_far.is_none() {
        let cut = "The recording was cut short; this is what could be saved of it.";
        lines.push(Line::Warning(cut.to_owned()));
    }
    lines.extend(outcome.damage.iter().cloned().map(Line::Warning));
    if let Some(corrupted) = &outcome.corruption {
        let message = &corrupted.message;
        let said =
            format!("The heap is corrupted at record {}; glibc says: {message}", count(corrupted.record));
        lines.push(Line::Warning(said));
    }
    lines.extend(waiting::imbalance(outcome).map(Line::Warning));
    lines.extend(unlike(outcome));
    lines.extend(unknown(outcome));
    lines.extend(ignored(outcome));
    lines.extend(oddities(outcome));
    Some(Section { lines, ..Section::default() })
}

/// That only some records count.
fn ranged(range: Range, all: Option<u64>) -> String {
    let of = all.map(|all| format!(" of {}", count(all))).unwrap_or_default();
    let (first, last) = (count(range.first()), count(range.end() - 1));
    format!(
        "only records {first} to {last}{of} count; those before were replayed too, and made the heap what it was"
    )
}

/// What was recorded, and at what cost.
fn recording(report: &Report) -> String {
    let (trace, outcome) = (&report.trace, &report.outcome);
    let mut parts = vec![format!("{} calls by {}", count(outcome.calls), threads(outcome.threads))];
    if outcome.traced_nanos > 0 {
        parts.push(format!("in {}", nanos(outcome.traced_nanos)));
    }
    let mut line = parts.join(" ");
    // The trace has the calls that do not count too.
    if outcome.calls > 0 && outcome.range.is_none() && outcome.so_far.is_none() {
        let each = trace.file_bytes as f64 / outcome.calls as f64;
        line.push_str(&format!(" · trace {}, {each:.2} bytes a call", bytes(trace.file_bytes)));
    }
    if let Some(ending) = &trace.ending {
        if ending.cause != Cause::Imported {
            line.push_str(&format!(", {} lost", count(ending.lost)));
        }
        line.push_str(&how_it_ended(&ending.cause));
    }
    line
}

fn how_it_ended(cause: &Cause) -> String {
    match cause {
        Cause::Exited { status: 0 } | Cause::Unknown | Cause::Imported => String::new(),
        Cause::Exited { status } => format!(" · the program exited with status {status}"),
        Cause::Killed { signal } => format!(" · the program was killed by signal {signal}"),
        Cause::Replaced { by } => format!(" · the process became {by}"),
        Cause::Stopped => " · the program went on".to_owned(),
        Cause::Limited { limit } => format!(" · recorded up to the limit of {limit}"),
    }
}

fn threads(number: u32) -> String {
    if number == 1 { "1 thread".to_owned() } else { format!("{} threads", count(number.into())) }
}

/// What the program is taken to write.
pub(super) fn touching(outcome: &Outcome) -> String {
    let policy = format!("touch policy “{}”", outcome.trial.touch.name());
    match outcome.spared {
        0 => policy,
        spared => format!(
            "{policy} but for {} that were seen untouched at the end or before they went",
            bytes(spared)
        ),
    }
}

/// How it was replayed.
fn replaying(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let mut line = format!(
        "replayed as glibc {} over {} memory, {}, {} processors",
        settings.release,
        outcome.trial.memory.name(),
        touching(outcome),
        settings.processors
    );
    if let Some(recorded) =
        settings.recorded_release.as_ref().filter(|&recorded| *recorded != settings.release)
    {
        line.push_str(&format!(" (recorded: {recorded})"));
    }
    for (field, value) in &settings.release_changes {
        line.push_str(&format!(", release with {field}={value}"));
    }
    for (name, value) in &settings.tunables {
        line.push_str(&format!(", {name}={value}"));
    }
    line
}

/// That the recorded libc is none of those we know, if we took it for one.
fn unlike(outcome: &Outcome) -> Option<Line> {
    let is_unlike = outcome.settings.recognition == Recognition::Unlike && outcome.trial.release.is_none();
    let said = "The libc answered the probe as no release known; what follows is that of its version";
    is_unlike.then(|| Line::Warning(said.to_owned()))
}

/// That a glibc was asked for, or recorded, which is newer than all we know.
fn unknown(outcome: &Outcome) -> Option<Line> {
    let settings = &outcome.settings;
    let version = settings.unknown_version.as_ref()?;
    let said = format!(
        "glibc {version} is newer than any release known; what follows is that of {}",
        settings.release
    );
    Some(Line::Warning(said))
}

/// What was set and would be ignored, and what whoever set something should know.
fn ignored(outcome: &Outcome) -> impl Iterator<Item = Line> + '_ {
    let settings = &outcome.settings;
    settings.ignored.iter().chain(&settings.warnings).cloned().map(Line::Warning)
}

fn oddities(outcome: &Outcome) -> Vec<Line> {
    let odd = &outcome.oddities;
    let lines = [
        (odd.unknown_freed, "frees of memory whose allocation was not recorded were left out"),
        (odd.unknown_reallocated, "reallocations of such memory were replayed as allocations"),
        (odd.refused, "requests that had been granted were refused in the replay"),
    ];
    let said = |(number, what): (u64, &str)| Line::Warning(format!("{} {what}", count(number)));
    lines.into_iter().filter(|(number, _)| *number > 0).map(said).collect()
}

fn memory(report: &Report) -> Option<Section> {
    let outcome = &report.outcome;
    let measured = &outcome.measured;
    let mut table = Table::with_columns(&["", "#peak", "#at record", "#mean", "#end"]);
    let mut row = |name: &str, peak: Peak, mean: Option<u64>, end: u64| {
        let mean = mean.map(bytes).unwrap_or_default();
        table.push([name.to_owned(), bytes(peak.bytes), count(peak.record), mean, bytes(end)]);
    };
    let peaks = &measured.peaks;
    row("live", peaks.live, None, measured.live);
    row("held", peaks.held, None, measured.held);
    row("system", peaks.system, None, measured.system);
    row("resident", peaks.resident, Some(measured.mean_resident), measured.resident);
    row("pinned", peaks.pinned, None, measured.pinned);
    let mut lines = vec![text(format!("{} minor faults", count(measured.faults)))];
    lines.extend(report.trace.kernel_said.iter().flat_map(recorded).map(text));
    lines.extend(outcome.fragmentation.system.map(|found| text(fragmented("system", &found))));
    lines.extend(outcome.fragmentation.resident.map(|found| text(fragmented("resident", &found))));
    lines.extend(waiting::lines(outcome).into_iter().map(text));
    let notes = vec![
        "live: asked for and not freed; held: the chunks of those; system: what malloc has from the kernel;"
            .to_owned(),
        "resident: pages in memory; pinned: free in the main heap, but below its highest live chunk."
            .to_owned(),
    ];
    Some(Section { title: "Memory".to_owned(), lines, table: Some(table), notes })
}

/// What the kernel said of the process when it was recorded, to hold the replay against.
fn recorded(said: &KernelSaid) -> Vec<String> {
    let mut lines = vec![format!(
        "when it was recorded: the process had {} resident at most and {} in the end, and {} minor faults",
        bytes(said.peak_resident),
        bytes(said.resident),
        count(said.minor_faults)
    )];
    lines.extend(said.mappings.map(|mappings| {
        format!(
            "of that heap and arenas: {} resident at most, {} at the last of {} readings, of {} mapped",
            bytes(mappings.peak_malloc_resident),
            bytes(mappings.malloc_resident),
            count(mappings.readings),
            bytes(mappings.malloc_mapped)
        )
    }));
    lines
}

/// How much more is used than lives, in words.
fn fragmented(used: &str, found: &Fragmentation) -> String {
    let part = |ratio: f64| format!("{:.1} %", 100.0 * ratio);
    let Fragmentation { mean, at_most_live, at_most_used, of_peaks } = *found;
    format!(
        "{used} beyond live: {} on average, {} when most lives, {} when most is used, {} by the peaks",
        part(mean),
        part(at_most_live),
        part(at_most_used),
        part(of_peaks)
    )
}

fn program_break(outcome: &Outcome) -> Option<Section> {
    let (measured, kernel) = (&outcome.measured, &outcome.kernel);
    let points: Vec<(u64, u64)> =
        measured.series.iter().map(|sample| (sample.least_break, sample.greatest_break)).collect();
    if measured.peaks.program_break.bytes == 0 {
        return None;
    }
    let (columns, rows) = CHART;
    let mut drawing = chart::draw(&points, columns, rows);
    drawing[0].push_str(&format!("  {}", bytes(measured.peaks.program_break.bytes)));
    let grown =
        format!("grown {} times, {} in all", count(kernel.break_grown), bytes(kernel.break_grown_bytes));
    let trimmed = format!(
        "trimmed {} times, {} in all",
        count(kernel.break_trimmed),
        bytes(kernel.break_trimmed_bytes)
    );
    let end = format!(
        "at the end {}, of which {} is pinned below the highest live chunk",
        bytes(measured.program_break),
        bytes(measured.pinned)
    );
    let lines = vec![Line::Chart(drawing), text(format!("{grown}; {trimmed};")), text(end)];
    Some(Section { title: "Program break".to_owned(), lines, ..Section::default() })
}

fn served(outcome: &Outcome) -> Option<Section> {
    let total: u64 = outcome.served.iter().map(|row| row.requests).sum();
    let most = outcome.served.iter().map(|row| row.requests).max().unwrap_or(0);
    let mut table = Table::with_columns(&["from", "#requests", "#share", "#chunk bytes", ""]);
    for row in outcome.served.iter().filter(|row| row.requests > 0) {
        let bar = chart::bar(row.requests, most, BAR);
        table.push([
            row.from.clone(),
            count(row.requests),
            percent(row.requests, total),
            bytes(row.bytes),
            bar,
        ]);
    }
    let lines = vec![text(format!("{} of {} requests", count(total), count(outcome.requests)))];
    (total > 0).then(|| Section {
        title: "Served from".to_owned(),
        lines,
        table: Some(table),
        notes: Vec::new(),
    })
}

fn bins(outcome: &Outcome) -> Option<Section> {
    let mut rows: Vec<&BinRow> = outcome.bins.iter().filter(|row| row.requests > 0).collect();
    let all = rows.len();
    rows.sort_by_key(|row| std::cmp::Reverse(row.requests));
    rows.truncate(SHOWN_BINS);
    let mut table = Table::with_columns(&[
        "bin",
        "chunk sizes",
        "#requests",
        "#hits",
        "#misses",
        "#hit rate",
        "#bytes served",
        "",
    ]);
    for row in rows {
        let bar = chart::bar(row.hits, row.requests, 10);
        table.push([
            bin_name(row),
            sizes(row),
            count(row.requests),
            count(row.hits),
            count(row.misses),
            percent(row.hits, row.requests),
            bytes(row.hit_bytes),
            bar,
        ]);
    }
    let mut notes = Vec::new();
    if all > SHOWN_BINS {
        notes.push(format!("The {SHOWN_BINS} most asked of {all}; --format csv has all."));
    }
    let lines = waiting::searched(outcome).into_iter().map(text).collect();
    (all > 0).then(|| Section { title: "Bins".to_owned(), lines, table: Some(table), notes })
}

pub(super) fn bin_name(row: &BinRow) -> String {
    match row.number {
        Some(number) => format!("{} {number}", row.kind),
        None => row.kind.clone(),
    }
}

fn sizes(row: &BinRow) -> String {
    match (row.least_size, row.greatest_size) {
        (Some(least), Some(greatest)) if least == greatest => least.to_string(),
        (Some(least), Some(greatest)) if greatest < 1 << 40 => format!("{least}–{greatest}"),
        (Some(least), Some(_)) => format!("{least} and more"),
        _ => String::new(),
    }
}

fn kernel(outcome: &Outcome) -> Option<Section> {
    let kernel = &outcome.kernel;
    let mut table = Table::with_columns(&["call", "#times"]);
    let calls = [
        ("brk, growing", kernel.break_grown),
        ("brk, trimming", kernel.break_trimmed),
        ("mmap", kernel.mmap),
        ("munmap", kernel.munmap),
        ("mremap", kernel.mremap),
        ("mprotect", kernel.mprotect),
        ("madvise", kernel.madvise),
    ];
    for (name, times) in calls {
        table.push([name.to_owned(), count(times)]);
    }
    let mut lines = Vec::new();
    if kernel.refused > 0 {
        lines.push(Line::Warning(format!("{} of them were refused", count(kernel.refused))));
    }
    Some(Section { title: "System calls".to_owned(), lines, table: Some(table), notes: Vec::new() })
}

fn arenas(outcome: &Outcome) -> Option<Section> {
    let mut table = Table::with_columns(&["arena", "#threads", "#system", "#greatest", "#top"]);
    for row in outcome.arenas.iter().take(SHOWN_ARENAS) {
        let name = if row.arena == 0 { "main".to_owned() } else { row.arena.to_string() };
        table.push([name, count(row.threads), bytes(row.system), bytes(row.greatest_system), bytes(row.top)]);
    }
    let mut notes = Vec::new();
    if outcome.arenas.len() > SHOWN_ARENAS {
        notes.push(format!("The first {SHOWN_ARENAS} of {}; --format csv has all.", outcome.arenas.len()));
    }
    Some(Section { title: "Arenas".to_owned(), lines: Vec::new(), table: Some(table), notes })
}

fn thresholds(outcome: &Outcome) -> Option<Section> {
    let thresholds = &outcome.thresholds;
    let regime = if outcome.settings.dynamic_thresholds {
        "dynamic: freeing a mapped chunk raises them"
    } else {
        "static: one of them was set, so none moves by itself"
    };
    let mut lines = vec![
        text(format!("{regime}; the mmap threshold began at {}", bytes(thresholds.first_mmap_threshold))),
        text(format!(
            "and is {} at the end, the trim threshold {}; it moved {} times",
            bytes(thresholds.last_mmap_threshold),
            bytes(thresholds.last_trim_threshold),
            count(thresholds.moved)
        )),
    ];
    let moves = thresholds.moves.iter().take(8);
    let path: Vec<String> = moves.map(|to| format!("{} at {}", bytes(to.to), count(to.record))).collect();
    if !path.is_empty() {
        let more = if thresholds.moved > 8 { ", …" } else { "" };
        lines.push(text(format!("{}{more}", path.join(", "))));
    }
    Some(Section { title: "Thresholds".to_owned(), lines, ..Section::default() })
}

fn fidelity(outcome: &Outcome) -> Option<Section> {
    let fidelity = outcome.fidelity.as_ref()?;
    let mut lines = vec![text(format!(
        "{:.4} % of placements are the recorded ones: {} of {}; after {} of {} calls, so is the program break",
        fidelity.percent_rounded_down(),
        count(fidelity.same_placements),
        count(fidelity.placements),
        count(fidelity.same_breaks),
        count(fidelity.breaks),
    ))];
    if fidelity.claimed > 0 {
        lines.push(Line::Warning(format!(
            "{} chunks were put where they were recorded, since no order of the calls explains them",
            count(fidelity.claimed)
        )));
    }
    if fidelity.other_heads > 0 {
        lines.push(Line::Warning(format!("{} chunks differ in size or flags", count(fidelity.other_heads))));
    }
    if let Some(first) = fidelity.first_mismatches.first() {
        let what =
            format!("first at record {}, thread {}: {}", count(first.record), first.thread, first.call);
        lines.push(Line::Warning(what));
        lines.push(text(format!("  recorded {}, replayed {}", first.recorded, first.replayed)));
        lines.push(text(format!("  {}", first.why)));
    }
    Some(Section { title: "Fidelity".to_owned(), lines, ..Section::default() })
}
