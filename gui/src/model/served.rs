//! Where requests were served from.

use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::report::units::{bytes, count, percent};

/// One kind of place, and what it served.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedLine {
    /// The kind of place.
    pub from: String,
    /// Requests.
    pub requests: String,
    /// Of all that were served: between 0 and 1.
    pub share: f64,
    /// The same in percent.
    pub percent: String,
    /// The bytes of their chunks.
    pub bytes: String,
}

/// The places that served anything, in the order in which malloc asks them.
pub fn of(outcome: &Outcome) -> Vec<ServedLine> {
    let total: u64 = outcome.served.iter().map(|row| row.requests).sum();
    let rows = outcome.served.iter().filter(|row| row.requests > 0);
    rows.map(|row| ServedLine {
        from: row.from.clone(),
        requests: count(row.requests),
        share: row.requests as f64 / total as f64,
        percent: percent(row.requests, total),
        bytes: bytes(row.bytes),
    })
    .collect()
}
