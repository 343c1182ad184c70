//! The panels there are, each of them a way to look at a heap.

use serde::{Deserialize, Serialize};

/// A panel: one way to look at a heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// The program break over the records, and what lives in it.
    #[default]
    Timeline,
    /// Every bin: how often it was asked, and how often it had what was wanted.
    Bins,
    /// Where requests were served from.
    Served,
    /// Who caused how much of something, as a picture of call stacks.
    Flame,
    /// What each call stack allocated, as a table.
    Sites,
    /// Single allocations, as a table.
    Allocations,
    /// Every chunk at one record, and the calls before and after it, one by one.
    Map,
    /// Other settings, and what they change.
    Runs,
    /// All that the command prints.
    Report,
}

impl View {
    /// All, in the order of their shortcuts.
    pub const ALL: [View; 9] = [
        View::Timeline,
        View::Bins,
        View::Served,
        View::Map,
        View::Flame,
        View::Sites,
        View::Runs,
        View::Report,
        View::Allocations,
    ];

    /// What stands on its tab.
    pub fn title(self) -> &'static str {
        match self {
            View::Timeline => "Timeline",
            View::Bins => "Bins",
            View::Served => "Served from",
            View::Flame => "Flamegraph",
            View::Sites => "Sites",
            View::Allocations => "Single allocations",
            View::Map => "Heap map",
            View::Runs => "What if",
            View::Report => "Report",
        }
    }

    /// The word for it in arguments.
    pub fn word(self) -> &'static str {
        match self {
            View::Timeline => "timeline",
            View::Bins => "bins",
            View::Served => "served",
            View::Flame => "flame",
            View::Sites => "sites",
            View::Allocations => "allocations",
            View::Map => "map",
            View::Runs => "runs",
            View::Report => "report",
        }
    }

    /// What it shows, in one sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            View::Timeline => "The program break over the records of the trace, and what lives in it.",
            View::Bins => "Every bin: how often it was asked, and how often it had what was wanted.",
            View::Served => "Where in malloc requests were served from.",
            View::Flame => {
                "Who caused how much of something: the wider a function, the more it and what it called."
            }
            View::Sites => "What each call stack allocated, left, and held at the peak, as a table.",
            View::Allocations => {
                "Single allocations: how large they were, how long they lived, where they were and who made them."
            }
            View::Map => "Every chunk of the heap at one record, and what malloc decides, call by call.",
            View::Runs => "The same trace under other settings, and what they change.",
            View::Report => "All that `malloscope replay` prints.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_titles_tell_panels_apart() {
        for (number, view) in View::ALL.into_iter().enumerate() {
            for other in &View::ALL[number + 1..] {
                assert_ne!(view.word(), other.word());
                assert_ne!(view.title(), other.title());
            }
            let word = serde_json::to_string(&view).unwrap();
            assert_eq!(word, format!("{:?}", view.word()), "one word in files and in arguments");
        }
    }
}
