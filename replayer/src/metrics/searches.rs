//! How far requests search: the free chunks that are looked at in unsorted, small and large bins.
//!
//! | bin | a chunk is looked at |
//! |---|---|
//! | unsorted | when a request takes it out: to be served, cached or sorted |
//! | small | when it serves a request, or goes to the tcache after one that did |
//! | large | when its size is compared with a request's, or with that of a chunk which is sorted into the bin; of several of one size only the first is |
//!
//! What a call looks at in all bins of a kind is one search of that kind; of a single bin, each walk of it is one.
//! Requests that a tcache, a fastbin or the top chunk serves before any of this look at none.
//! A percentile is right to an eighth; means and the longest are exact.

use crate::detail::Detail;
use crate::histogram::Histogram;
use malloscope_allocator::bins::Bin;
use serde::{Deserialize, Serialize};

/// Steps of each power of two, as a power of two.
const STEPS_LOG: u32 = 3;
/// No search looks at two to this chunks: there is no memory for so many.
const BITS: u32 = 32;

/// The kinds of bins that are searched, and all of them together.
const KINDS: [&str; 4] = ["all", "unsorted", "small", "large"];

/// Counts searches.
#[derive(Clone, Debug)]
pub struct Searching {
    /// The record whose call searches now.
    record: u64,
    /// What it has looked at so far, by kind.
    open: [u64; KINDS.len()],
    /// All kinds, or only the first.
    kinds: Vec<Histogram>,
    /// Of each bin, if that is counted.
    bins: Vec<Histogram>,
    /// The record of the longest search of all.
    longest_at: u64,
}

impl Default for Searching {
    fn default() -> Searching {
        Searching::of(Detail::Whole)
    }
}

impl Searching {
    /// None yet; of each kind and each bin only where everything is measured.
    pub(crate) fn of(detail: Detail) -> Searching {
        let empty = Histogram::new(STEPS_LOG, BITS);
        let (kinds, bins) = if detail == Detail::Whole { (KINDS.len(), Bin::COUNT) } else { (1, 0) };
        Searching {
            record: 0,
            open: [0; KINDS.len()],
            kinds: vec![empty.clone(); kinds],
            bins: vec![empty; bins],
            longest_at: 0,
        }
    }

    /// The call of this record looks at so many chunks of a bin.
    #[inline]
    pub(crate) fn note(&mut self, record: u64, bin: Bin, chunks: u32) {
        if record != self.record {
            self.close();
            self.record = record;
        }
        let kind = match bin {
            Bin::Unsorted => 1,
            Bin::Small(_) => 2,
            _ => 3,
        };
        let chunks = u64::from(chunks);
        self.open[0] += chunks;
        self.open[kind] += chunks;
        if let Some(walks) = self.bins.get_mut(bin.index()) {
            walks.count(chunks);
        }
    }

    /// The call that searched has ended.
    fn close(&mut self) {
        if self.open[0] > self.kinds[0].greatest() {
            self.longest_at = self.record;
        }
        for (&open, kind) in self.open.iter().zip(&mut self.kinds) {
            if open > 0 {
                kind.count(open);
            }
        }
        self.open = [0; KINDS.len()];
    }

    /// What was counted so far does not count. The memory for it stays where it is.
    pub(crate) fn clear(&mut self) {
        self.open = [0; KINDS.len()];
        self.longest_at = 0;
        self.kinds.iter_mut().chain(&mut self.bins).for_each(Histogram::clear);
    }

    /// What has been counted.
    pub(crate) fn searches(&self) -> Searches {
        let mut closed = self.clone();
        closed.close();
        let kinds = KINDS.iter().zip(&closed.kinds).map(|(kind, counted)| row(kind, None, counted));
        let bins = Bin::all().filter(|&bin| bin != Bin::Unsorted).filter_map(|bin| {
            let (kind, number) = bin.name();
            Some(row(kind, number, closed.bins.get(bin.index())?))
        });
        Searches {
            rows: kinds.chain(bins).filter(|row| row.searches > 0).collect(),
            longest_at: closed.longest_at,
        }
    }
}

fn row(kind: &str, number: Option<u8>, counted: &Histogram) -> SearchRow {
    SearchRow {
        kind: kind.to_owned(),
        number,
        searches: counted.number(),
        chunks: u64::try_from(counted.sum()).unwrap_or(u64::MAX),
        p99: counted.at(990),
        longest: counted.greatest(),
    }
}

/// How far requests searched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Searches {
    /// All together, by kind of bin, and of each bin.
    pub rows: Vec<SearchRow>,
    /// The record whose call looked at most chunks, the first of such.
    pub longest_at: u64,
}

impl Searches {
    /// The row of all bins together, if anything was searched.
    pub fn all(&self) -> Option<&SearchRow> {
        self.rows.iter().find(|row| row.kind == KINDS[0])
    }
}

/// Searches of some bins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchRow {
    /// `all`, or the kind of bin: `unsorted`, `small` or `large`.
    pub kind: String,
    /// The bin's number, where the row is of one of several.
    pub number: Option<u8>,
    /// Searches that looked at any chunk: calls, or where the row is of one bin, walks of it.
    pub searches: u64,
    /// The chunks they looked at.
    pub chunks: u64,
    /// 99 of a hundred of them looked at no more, rounded down by an eighth at most.
    pub p99: u64,
    /// The longest looked at so many.
    pub longest: u64,
}

impl SearchRow {
    /// Chunks of a search, on average.
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    pub fn mean(&self) -> f64 {
        self.chunks as f64 / self.searches.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_search_and_a_walk_of_a_bin_another() {
        let mut searching = Searching::default();
        searching.note(7, Bin::Large(70), 3);
        searching.note(7, Bin::Large(70), 5);
        searching.note(7, Bin::Unsorted, 2);
        searching.note(9, Bin::Small(4), 1);
        let searches = searching.searches();
        let shown: Vec<_> = searches
            .rows
            .iter()
            .map(|row| (row.kind.as_str(), row.number, row.searches, row.chunks, row.longest))
            .collect();
        assert_eq!(
            shown,
            [
                ("all", None, 2, 11, 10),
                ("unsorted", None, 1, 2, 2),
                ("small", None, 1, 1, 1),
                ("large", None, 1, 8, 8),
                ("small", Some(4), 1, 1, 1),
                ("large", Some(70), 2, 8, 5),
            ]
        );
        assert_eq!(searches.longest_at, 7);
        searching.clear();
        assert_eq!(searching.searches(), Searches::default());
    }
}
