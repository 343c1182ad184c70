//! From sizes to places: where requests were served from, and where freed chunks went.

use malloscope_replayer::filter::{Destinations, Filter, Places, Sizes};
use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::report::units::{bytes, count, percent, size_range};
use std::collections::BTreeMap;

/// Which way memory goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Side {
    /// From malloc to the program.
    #[default]
    Requests,
    /// From the program to malloc.
    Frees,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unit {
    /// How many.
    #[default]
    Count,
    /// How many bytes of chunks.
    Bytes,
}

/// How many, and how many chunk bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub times: u64,
    /// Bytes of their chunks.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, times: u64, bytes: u64) {
        self.times += times;
        self.bytes = self.bytes.wrapping_add(bytes);
    }

    /// One of the two.
    pub fn of(self, unit: Unit) -> u64 {
        match unit {
            Unit::Count => self.times,
            Unit::Bytes => self.bytes,
        }
    }

    /// One of the two, in words.
    pub fn said(self, unit: Unit) -> String {
        match unit {
            Unit::Count => count(self.times),
            Unit::Bytes => bytes(self.bytes),
        }
    }
}

/// A class of sizes, or a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The least and the greatest size of a class; of a place, nothing.
    pub sizes: Option<Sizes>,
    /// All that flows through it.
    pub amount: Amount,
}

/// From a class of sizes to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The number of the class.
    pub class: usize,
    /// The number of the place.
    pub place: usize,
    /// How much.
    pub amount: Amount,
}

/// All flows of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// Which side.
    pub side: Side,
    /// Classes of sizes, the smallest first.
    pub classes: Vec<Node>,
    /// Places, in the order in which malloc asks them.
    pub places: Vec<Node>,
    /// What flows between them, by class and place.
    pub flows: Vec<Flow>,
    /// All of it.
    pub total: Amount,
}

impl Flows {
    /// The flows of a run.
    pub fn of(outcome: &Outcome, side: Side) -> Flows {
        match side {
            Side::Requests => {
                let order = outcome.served.iter().map(|row| row.from.as_str()).collect();
                let flow = outcome.request_flows.iter().map(|flow| {
                    let class = (flow.least_request, flow.greatest_request);
                    (class, flow.from.as_str(), flow.requests, flow.bytes)
                });
                Flows::between(side, order, flow)
            }
            Side::Frees => {
                let order = malloscope_replayer::flows::Destination::ALL.map(|place| place.name()).into();
                let flow = outcome.free_flows.iter().map(|flow| {
                    let class = (flow.least_chunk, flow.greatest_chunk);
                    (class, flow.into.as_str(), flow.frees, flow.bytes)
                });
                Flows::between(side, order, flow)
            }
        }
    }

    fn between<'a>(
        side: Side,
        order: Vec<&str>,
        flows: impl Iterator<Item = ((u64, Option<u64>), &'a str, u64, u64)> + Clone,
    ) -> Flows {
        let mut classes: BTreeMap<u64, Node> = BTreeMap::new();
        let mut places: BTreeMap<usize, Node> = BTreeMap::new();
        let mut total = Amount::default();
        let place = |name: &str| order.iter().position(|place| *place == name).unwrap_or(order.len());
        let node = |name: String| Node { name, sizes: None, amount: Amount::default() };
        for ((least, greatest), name, times, bytes) in flows.clone() {
            let class = classes.entry(least).or_insert_with(|| Node {
                sizes: Sizes::new(least, greatest),
                ..node(size_range(least, greatest))
            });
            class.amount.add(times, bytes);
            let place = places.entry(place(name)).or_insert_with(|| node(name.to_owned()));
            place.amount.add(times, bytes);
            total.add(times, bytes);
        }
        let flows = flows.map(|((least, _), name, times, bytes)| Flow {
            // As many as come before it.
            class: classes.range(..least).count(),
            place: places.range(..place(name)).count(),
            amount: Amount { times, bytes },
        });
        let flows = flows.collect();
        Flows {
            side,
            flows,
            classes: classes.into_values().collect(),
            places: places.into_values().collect(),
            total,
        }
    }

    /// A flow in words: what, how many, and of what that is how much.
    pub fn said(&self, flow: &Flow, unit: Unit) -> String {
        let (class, place) = (&self.classes[flow.class], &self.places[flow.place]);
        let of = |node: &Node| percent(flow.amount.of(unit), node.amount.of(unit));
        format!(
            "{} → {}: {} ({} of these sizes, {} of this place)",
            class.name,
            place.name,
            flow.amount.said(unit),
            of(class),
            of(place)
        )
    }

    /// A class or a place in words.
    pub fn said_of(&self, node: &Node, unit: Unit) -> String {
        let share = percent(node.amount.of(unit), self.total.of(unit));
        format!("{}: {}, {share}", node.name, node.amount.said(unit))
    }

    /// A filter that lets through what flows from a class, or to a place, or from the one to the other. Of frees it is to a
    /// place alone: their classes are of chunks, and how large those are is not what was asked for.
    pub fn filter(&self, class: Option<usize>, place: Option<usize>) -> Option<Filter> {
        let name = |place: usize| self.places.get(place).map(|place| place.name.as_str());
        match self.side {
            Side::Requests => {
                let sizes = class.and_then(|class| self.classes.get(class)?.sizes);
                let places = place.and_then(|place| Places::of_kind(name(place)?));
                Some(Filter { sizes, places, ..Filter::default() })
            }
            Side::Frees if class.is_some() => None,
            Side::Frees => {
                let freed_to = place.and_then(|place| Destinations::of_name(name(place)?));
                Some(Filter { freed_to, ..Filter::default() })
            }
        }
    }

    /// How much flows from a class to a place.
    pub fn amount(&self, class: usize, place: usize) -> Amount {
        let flow = self.flows.iter().find(|flow| flow.class == class && flow.place == place);
        flow.map(|flow| flow.amount).unwrap_or_default()
    }
}

/// What a place is, in one sentence.
pub fn meaning(place: &str) -> &'static str {
    match place {
        "tcache" => "The thread's own cache of free chunks, which takes no lock.",
        "fastbin" => "A stack of the arena's for one small size; its chunks are not merged with neighbours.",
        "small bin" => "A list of the arena's for one size, first in, first out.",
        "unsorted bin" => "What was freed lately and has not been sorted into the bin of its size.",
        "last remainder" => "What was left of the chunk split last, split once more.",
        "large bin" => "A list of the arena's for a range of sizes, served by the best fit.",
        "split of a larger chunk" => "No bin had the size: a chunk of the next larger bin was cut in two.",
        "top" => "The chunk that borders unclaimed memory.",
        "grown top" => "The top chunk, after the kernel had made it larger.",
        "mapped" => "A mapping of the chunk's own, by mmap.",
        "realloc: stayed" => "The chunk stayed where it was, as it is or made smaller.",
        "realloc: extended" => "The chunk took in free memory above it.",
        "realloc: remapped" => "The chunk's own mapping was given another length, by mremap.",
        "top, then trimmed" => "It joined the top chunk, which then gave memory back to the kernel.",
        "unmapped" => "It had a mapping of its own, which went back to the kernel.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_replayer::flows::Destination;

    type Flowing<'a> = ((u64, Option<u64>), &'a str, u64, u64);

    #[test]
    fn nodes_are_the_sums_of_their_flows() {
        let list: [Flowing<'_>; 3] = [
            ((17, Some(32)), "top", 5, 500),
            ((0, Some(16)), "tcache", 3, 30),
            ((17, Some(32)), "tcache", 2, 40),
        ];
        let flows = Flows::between(Side::Requests, vec!["tcache", "fastbin", "top"], list.into_iter());
        let nodes = |nodes: &[Node]| -> Vec<(String, u64)> {
            nodes.iter().map(|node| (node.name.clone(), node.amount.times)).collect()
        };
        assert_eq!(nodes(&flows.classes), [("0–16 B".to_owned(), 3), ("17–32 B".to_owned(), 7)]);
        assert_eq!(nodes(&flows.places), [("tcache".to_owned(), 5), ("top".to_owned(), 5)]);
        assert_eq!((flows.total, flows.amount(1, 0).times), (Amount { times: 10, bytes: 570 }, 2));
        assert_eq!(flows.amount(0, 1), Amount::default());
        let options = |class, place| flows.filter(class, place).unwrap().options();
        let (size, place) = (("--size", "17..33".to_owned()), ("--place", "top".to_owned()));
        assert_eq!(options(Some(1), Some(1)), [size.clone(), place.clone()]);
        assert_eq!((options(Some(1), None), options(None, Some(1))), (vec![size], vec![place]));
        let frees = Flows::between(Side::Frees, vec!["tcache", "fastbin", "top"], list.into_iter());
        let freed = frees.filter(None, Some(1)).unwrap().options();
        assert_eq!(freed, [("--freed-to", "top".to_owned())]);
        assert_eq!(frees.filter(Some(1), Some(1)), None, "sizes are those of chunks");
        let said = flows.said(&flows.flows[0], Unit::Count);
        assert_eq!(said, "17–32 B → top: 5 (71.4 % of these sizes, 100.0 % of this place)");
        assert_eq!(flows.said_of(&flows.places[1], Unit::Bytes), "top: 500 B, 87.7 %");
    }

    #[test]
    fn every_place_has_a_meaning() {
        let sources = malloscope_replayer::flows::SOURCES;
        for name in sources.into_iter().chain(Destination::ALL.map(Destination::name)) {
            assert!(meaning(name).ends_with('.'), "{name}");
        }
    }
}
