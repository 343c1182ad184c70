//! Which allocations count: those of a thread, of some sizes, with some lifetimes, from some places, of a stack.
//!
//! A filter is plain data, written and read as the options of the command. What it leaves out is still there:
//! moments such as the peak are those of all allocations, and totals say what they are of.

mod destinations;
mod lifetime;
mod places;
mod sizes;

pub use destinations::Destinations;
pub use lifetime::Lifetime;
pub use places::Places;
pub use sizes::Sizes;

use crate::allocations::{Allocation, When};
use crate::flows::Destination;
use crate::served::{ServedFrom, Servings};
use serde::{Deserialize, Serialize};

/// Which allocations count; without anything said, all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Those that this thread made, by its number in the trace.
    pub thread: Option<u32>,
    /// Those of which so many bytes were asked for.
    pub sizes: Option<Sizes>,
    /// Those that lived for so many records.
    pub lifetime: Option<Lifetime>,
    /// Those that were served from one of these places; a replay finds out.
    pub places: Option<Places>,
    /// Those that went to one of these places when they were freed; a replay finds out.
    pub freed_to: Option<Destinations>,
    /// Those of this stack, by its number in the trace.
    pub stack: Option<u32>,
}

impl Filter {
    /// Whether all allocations count.
    pub fn is_all(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether what is known at the call itself lets it through.
    #[inline]
    pub(crate) fn selects_call(&self, thread: u32, stack: u32, request: u64) -> bool {
        self.thread.is_none_or(|wanted| wanted == thread)
            && self.stack.is_none_or(|wanted| wanted == stack)
            && self.sizes.is_none_or(|sizes| sizes.contains(request))
    }

    /// Whether it was served from one of the places; what was not served, is from none.
    #[inline]
    pub(crate) fn selects_served(&self, from: Option<ServedFrom>) -> bool {
        self.places.is_none_or(|places| from.is_some_and(|from| places.contain(from)))
    }

    /// Whether it lets an allocation through of which all is known; `end` is when it ended or was seen last. Without
    /// `servings` none is from any place, or went to any.
    #[inline]
    pub(crate) fn selects(&self, one: &Allocation, end: When, servings: Option<&Servings>) -> bool {
        let lives = |lifetime: Lifetime| lifetime.contains(one.lifetime(end).record, one.freed.is_some());
        let from = || servings.and_then(|servings| servings.of(one.made.record));
        let to = || servings.zip(one.freed).and_then(|(servings, freed)| servings.freed_to(freed.record));
        let went = |wanted: Destinations| to().is_some_and(|to: Destination| wanted.contain(to));
        self.selects_call(one.thread, one.stack.0, one.request)
            && (self.places.is_none() || self.selects_served(from()))
            && self.lifetime.is_none_or(lives)
            && self.freed_to.is_none_or(went)
    }

    /// Whether a replay has to find out what it asks for.
    pub fn needs_servings(&self) -> bool {
        self.places.is_some() || self.freed_to.is_some()
    }

    /// The options of a command that say it, and their values.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let options = [
            ("--thread", self.thread.map(|thread| thread.to_string())),
            ("--size", self.sizes.map(|sizes| sizes.to_string())),
            ("--lifetime", self.lifetime.map(|lifetime| lifetime.to_string())),
            ("--place", self.places.map(|places| places.to_string())),
            ("--freed-to", self.freed_to.map(|places| places.to_string())),
            ("--stack", self.stack.map(|stack| stack.to_string())),
        ];
        options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// A part of a filter, as `size=64..1K`: the name of an option and its value.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn part(text: &str) -> Result<Filter, String> {
        let all = Filter::default();
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let number = || value.parse().map_err(|_| format!("`{value}` is not the number of a {name}"));
        Ok(match name {
            "thread" => Filter { thread: Some(number()?), ..all },
            "size" => Filter { sizes: Some(value.parse()?), ..all },
            "lifetime" => Filter { lifetime: Some(value.parse()?), ..all },
            "place" => Filter { places: Some(value.parse()?), ..all },
            "freed-to" => Filter { freed_to: Some(value.parse()?), ..all },
            "stack" => Filter { stack: Some(number()?), ..all },
            _ => {
                return Err(format!("`{name}` is none of thread, size, lifetime, place, freed-to and stack"));
            }
        })
    }

    /// Its parts, each alone.
    pub fn apart(&self) -> Vec<Filter> {
        let alone = |(_, without): (String, Filter)| Filter {
            thread: self.thread.filter(|_| without.thread.is_none()),
            sizes: self.sizes.filter(|_| without.sizes.is_none()),
            lifetime: self.lifetime.filter(|_| without.lifetime.is_none()),
            places: self.places.filter(|_| without.places.is_none()),
            freed_to: self.freed_to.filter(|_| without.freed_to.is_none()),
            stack: self.stack.filter(|_| without.stack.is_none()),
        };
        self.parts().into_iter().map(alone).collect()
    }

    /// What both ask for; where that is the same thing, as the other does.
    pub fn and(self, other: &Filter) -> Filter {
        Filter {
            thread: other.thread.or(self.thread),
            sizes: other.sizes.or(self.sizes),
            lifetime: other.lifetime.or(self.lifetime),
            places: other.places.or(self.places),
            freed_to: other.freed_to.or(self.freed_to),
            stack: other.stack.or(self.stack),
        }
    }

    /// What it lets through, in words, each with the filter that does not ask for it.
    pub fn parts(&self) -> Vec<(String, Filter)> {
        let parts = [
            (self.thread.map(|thread| format!("thread {thread}")), Filter { thread: None, ..*self }),
            (self.sizes.map(Sizes::said), Filter { sizes: None, ..*self }),
            (self.lifetime.map(Lifetime::said), Filter { lifetime: None, ..*self }),
            (self.places.map(|places| format!("from {}", places.said())), Filter { places: None, ..*self }),
            (
                self.freed_to.map(|places| format!("freed to {}", places.said())),
                Filter { freed_to: None, ..*self },
            ),
            (self.stack.map(|stack| format!("stack {stack}")), Filter { stack: None, ..*self }),
        ];
        parts.into_iter().filter_map(|(said, without)| Some((said?, without))).collect()
    }

    /// All of it in words; nothing where all allocations count.
    pub fn said(&self) -> String {
        let parts: Vec<String> = self.parts().into_iter().map(|(said, _)| said).collect();
        parts.join(", ")
    }
}

/// A name as it is typed: without anything that shells or lists would take for more than a letter.
fn typed(name: &str) -> String {
    name.trim().to_lowercase().replace([':', ','], "").replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_said_as_options_and_in_words() {
        let filter = Filter {
            thread: Some(3),
            sizes: "17..=32".parse().ok(),
            lifetime: "..11".parse().ok(),
            places: "tcache-1,top".parse().ok(),
            freed_to: "unsorted-bin".parse().ok(),
            stack: Some(9),
        };
        let options = filter.options();
        let values: Vec<&str> = options.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["3", "17..33", "..11", "tcache-1,top", "unsorted-bin", "9"]);
        let said = "thread 3, 17–32 B, freed within 10 records, from tcache 1 or top, freed to unsorted bin, stack 9";
        assert_eq!(filter.said(), said);
        assert_eq!(filter.parts()[1].1, Filter { sizes: None, ..filter });
        assert!(Filter::default().is_all() && !filter.is_all() && Filter::default().said().is_empty());
        let apart = filter.apart();
        assert_eq!(apart.iter().fold(Filter::default(), |all, part| all.and(part)), filter);
        let typed =
            apart.iter().flat_map(Filter::options).map(|(name, value)| format!("{}={value}", &name[2..]));
        let read: Vec<Filter> = typed.map(|text| Filter::part(&text).unwrap()).collect();
        assert_eq!((apart.len(), read), (6, apart));
        for wrong in ["size", "size=", "thread=x", "colour=red", ""] {
            assert!(Filter::part(wrong).is_err(), "{wrong}");
        }
        let again: Filter = serde_json::from_str(&serde_json::to_string(&filter).unwrap()).unwrap();
        assert_eq!(again, filter);
    }
}
