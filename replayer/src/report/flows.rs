//! The sections on the way of requests: by size, stop by stop; and on where freed chunks went.

use super::units::{bytes, count, percent, size_range};
use super::{Line, Section, Table, chart};
use crate::flows::Destination;
use crate::funnel::stops;
use crate::outcome::Outcome;
use malloscope_allocator::observe::counters::SourceKind;
use std::collections::BTreeMap;

/// How long the longest bar is.
const BAR: usize = 24;

/// Where requests are served, in few words; and the kinds of places that are meant.
const GROUPS: [(&str, &[SourceKind]); 5] = [
    ("#tcache", &[SourceKind::Tcache]),
    (
        "#bins",
        &[
            SourceKind::Fast,
            SourceKind::Small,
            SourceKind::Unsorted,
            SourceKind::LastRemainder,
            SourceKind::Large,
            SourceKind::Split,
        ],
    ),
    ("#top", &[SourceKind::Top, SourceKind::GrownTop]),
    ("#mapped", &[SourceKind::Mapped]),
    ("#in place", &[SourceKind::Stayed, SourceKind::Extended, SourceKind::Remapped]),
];

/// The requests by size.
pub(super) fn sizes(outcome: &Outcome) -> Option<Section> {
    let total: u64 = outcome.request_flows.iter().map(|flow| flow.requests).sum();
    let columns = ["asked for", "#requests", "#share", "#chunk bytes"];
    let columns: Vec<&str> = columns.into_iter().chain(GROUPS.map(|(name, _)| name)).collect();
    let mut table = Table::with_columns(&columns);
    let mut classes: BTreeMap<u64, Vec<&crate::flows::RequestFlow>> = BTreeMap::new();
    for flow in &outcome.request_flows {
        classes.entry(flow.least_request).or_default().push(flow);
    }
    for (least, flows) in classes {
        let requests: u64 = flows.iter().map(|flow| flow.requests).sum();
        let greatest = flows.first().and_then(|flow| flow.greatest_request);
        let chunks: u64 = flows.iter().map(|flow| flow.bytes).sum();
        let served = |kinds: &[SourceKind]| -> String {
            let those = flows.iter().filter(|flow| kinds.iter().any(|kind| kind.name() == flow.from));
            match those.map(|flow| flow.requests).sum() {
                0 => String::new(),
                some => percent(some, requests),
            }
        };
        let row = [size_range(least, greatest), count(requests), percent(requests, total), bytes(chunks)];
        table.push(row.into_iter().chain(GROUPS.map(|(_, kinds)| served(kinds))));
    }
    let notes =
        vec!["Of each size, the share that each kind of place served; in place: by realloc.".to_owned()];
    (total > 0).then(|| Section {
        title: "Request sizes".to_owned(),
        lines: Vec::new(),
        table: Some(table),
        notes,
    })
}

/// The way of all requests, stop by stop.
pub(super) fn decisions(outcome: &Outcome) -> Option<Section> {
    let mut table = Table::with_columns(&["stop", "#arrived", "#asked", "#served", "#of arrived", ""]);
    let mut lines = Vec::new();
    for stop in stops(outcome) {
        if stop.arrived == 0 || stop.served == 0 && stop.asked.unwrap_or(0) == 0 {
            continue;
        }
        table.push([
            stop.name.to_owned(),
            count(stop.arrived),
            stop.asked.map(count).unwrap_or_default(),
            count(stop.served),
            percent(stop.served, stop.arrived),
            chart::bar(stop.served, stop.arrived, BAR),
        ]);
        if let (Some(sorted), Some(asked)) = (stop.sorted, stop.asked.filter(|&asked| asked > 0)) {
            let each = sorted as f64 / asked as f64;
            let said = format!("{} chunks were sorted on the way, {each:.2} a look", count(sorted));
            lines.push(Line::Text(said));
        }
    }
    let notes =
        vec!["What a stop does not serve arrives at the next; not all that arrive ask it.".to_owned()];
    (!table.rows.is_empty()).then(|| Section {
        title: "Decisions".to_owned(),
        lines,
        table: Some(table),
        notes,
    })
}

/// Where freed chunks went.
pub(super) fn frees(outcome: &Outcome) -> Option<Section> {
    let sums = |into: Destination| {
        let those = outcome.free_flows.iter().filter(|flow| flow.into == into.name());
        those.fold((0, 0), |(frees, bytes), flow| (frees + flow.frees, bytes + flow.bytes))
    };
    let sums = Destination::ALL.map(|into| (into.name(), sums(into)));
    let total: u64 = sums.iter().map(|(_, (frees, _))| frees).sum();
    let most = sums.iter().map(|(_, (frees, _))| *frees).max().unwrap_or(0);
    let mut table = Table::with_columns(&["to", "#chunks", "#share", "#chunk bytes", ""]);
    for (name, (frees, size)) in sums.into_iter().filter(|(_, (frees, _))| *frees > 0) {
        let bar = chart::bar(frees, most, BAR);
        table.push([name.to_owned(), count(frees), percent(frees, total), bytes(size), bar]);
    }
    let lines = vec![Line::Text(format!("{} allocations ended", count(total)))];
    (total > 0).then(|| Section {
        title: "Freed to".to_owned(),
        lines,
        table: Some(table),
        notes: Vec::new(),
    })
}
