//! What waits in a heap, in words: free memory and its pages, how long it waits, how far is searched for it, and whether
//! the books of all this balance.

use super::units::{bytes, count, nanos, percent};
use crate::metrics::books::Free;
use crate::metrics::pages::{Wait, Waits};
use crate::metrics::retention::Retention;
use crate::metrics::searches::SearchRow;
use crate::outcome::Outcome;

/// That the books do not balance: then the replay is wrong. Where the heap itself was corrupted they need not.
pub(super) fn imbalance(outcome: &Outcome) -> Option<String> {
    let wrong = outcome.measured.books.wrong.as_ref().filter(|_| outcome.corruption.is_none())?;
    Some(format!(
        "The books of this replay do not balance, which is a fault of ours: after record {}, {} should be {}, and are {}",
        count(wrong.record),
        wrong.what,
        count(wrong.expected),
        count(wrong.found)
    ))
}

/// What was free in the end, how long pages waited, and how long what was not needed stayed.
pub(super) fn lines(outcome: &Outcome) -> Vec<String> {
    let measured = &outcome.measured;
    let free = (measured.books.looked > 0).then(|| free(&measured.books.free));
    let has_time = outcome.traced_nanos > 0;
    let waited = measured.waits.as_ref().filter(|waited| waited.all() > 0);
    let waits = waited.map(|waited| waits(waited, has_time));
    let retention = measured.retention.as_ref().map(|found| retention(found, has_time));
    [free, waits, retention].into_iter().flatten().collect()
}

fn free(free: &Free) -> String {
    format!(
        "free at the end: {} resident, {} unbacked; {} cached, {} on fastbins, {} in bins, {} in top chunks",
        bytes(free.resident),
        bytes(free.unbacked()),
        bytes(free.cached),
        bytes(free.fast),
        bytes(free.binned),
        bytes(free.top)
    )
}

fn waits(waits: &Waits, has_time: bool) -> String {
    let all = waits.all();
    let part = |wait: &Wait, what: &str| {
        let share = percent(wait.pages, all);
        match has_time && wait.pages > 0 {
            true => format!(
                "{share} {what}, half within {}, nine of ten within {}",
                nanos(wait.p50),
                nanos(wait.p90)
            ),
            false => format!("{share} {what}"),
        }
    };
    format!(
        "{} pages became free: {}; {}; {} waited at the end",
        count(all),
        part(&waits.returned, "went back"),
        part(&waits.reused, "were used again"),
        percent(waits.waiting, all)
    )
}

fn retention(found: &Retention, has_time: bool) -> String {
    let excess = format!("{} resident beyond live at the peak", bytes(found.excess));
    match (found.half_life_records, found.half_life.filter(|_| has_time)) {
        (Some(records), Some(time)) => {
            format!("half of the {excess} was gone after {} records, {}", count(records), nanos(time))
        }
        (Some(records), None) => format!("half of the {excess} was gone after {} records", count(records)),
        (None, _) => format!("of the {excess}, half was still there at the end"),
    }
}

/// How far requests searched, if any did.
pub(super) fn searched(outcome: &Outcome) -> Vec<String> {
    let searches = &outcome.searches;
    let Some(all) = searches.all() else { return Vec::new() };
    let far = |row: &SearchRow| {
        format!(
            "{:.1} chunks on average, {} for 99 of 100, {} at most",
            row.mean(),
            count(row.p99),
            count(row.longest)
        )
    };
    let first = format!(
        "{} of {} requests searched bins: {} (record {})",
        count(all.searches),
        count(outcome.requests),
        far(all),
        count(searches.longest_at)
    );
    let kinds = searches.rows.iter().filter(|row| row.number.is_none() && row.kind != all.kind);
    let kinds: Vec<String> =
        kinds.map(|row| format!("{} {:.1}/{}/{}", row.kind, row.mean(), row.p99, row.longest)).collect();
    vec![first, format!("  of these, mean/99 %/most: {}", kinds.join(", "))]
}
