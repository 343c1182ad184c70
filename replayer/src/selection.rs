//! What a filter selects of one trace, so that it can be asked while the trace is gone through.
//!
//! How long an allocation will live, and where it goes then, is not known when it is made. Where a filter asks for that, a
//! walk over the trace finds it out before: a bit for each record.

use crate::allocations::{Allocation, When, walk};
use crate::filter::Filter;
use crate::range::Range;
use crate::run::Progress;
use crate::served::{ServedFrom, Servings};
use malloscope_traces::{Error, Reader, Record, Stack};
use std::io::{Read, Seek};
use std::sync::Arc;

/// What a filter selects of one trace.
#[derive(Clone, Debug)]
pub struct Selection {
    filter: Filter,
    /// Which records made allocations that end as is wanted; nothing if that does not matter.
    with_end: Option<Bits>,
    /// Who served the requests, where that is known beforehand.
    servings: Option<Arc<Servings>>,
}

impl Selection {
    /// What a filter selects of the allocations made in a range of a trace, of which nothing has been read; nothing
    /// is said where it selects all. Without `servings`, places are those that whoever asks has seen himself.
    ///
    /// # Errors
    ///
    /// When the trace has to be read for that, and cannot be. What is damaged is passed over: whoever reads the
    /// trace for more than that tells of it.
    pub fn of<R: Read + Seek>(
        filter: &Filter,
        reader: &mut Reader<R>,
        range: Range,
        servings: Option<Arc<Servings>>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<Selection>, Error> {
        if filter.is_all() {
            return Ok(None);
        }
        let filter = *filter;
        let mut selection = Selection { filter, with_end: None, servings };
        if filter.lifetime.is_some() || filter.freed_to.is_some() {
            let Filter { lifetime, freed_to, .. } = filter;
            let alone = Filter { lifetime, freed_to, ..Filter::default() };
            let servings = selection.servings.as_deref();
            let mut bits = Bits::default();
            let mut found = |one: Allocation, end: When| {
                if alone.selects(&one, end, servings) {
                    bits.set(one.made.record);
                }
            };
            walk::each(reader, range, progress, &mut found)?;
            selection.with_end = Some(bits);
        }
        Ok(Some(selection))
    }

    /// Whether it selects the allocation that a call makes, or the call, if it is given nothing.
    #[inline]
    pub(crate) fn selects(&self, number: u64, record: &Record, stack: Stack) -> bool {
        let from = self.servings.as_ref().and_then(|servings| servings.of(number));
        self.selects_served(number, record, stack, from)
    }

    /// The same where it is known who has served it.
    #[inline]
    pub(crate) fn selects_served(
        &self,
        number: u64,
        record: &Record,
        stack: Stack,
        from: Option<ServedFrom>,
    ) -> bool {
        let request = record.call.request().unwrap_or(0);
        self.filter.selects_call(record.thread.0, stack.0, request)
            && self.filter.selects_served(from)
            && self.with_end.as_ref().is_none_or(|bits| bits.is_set(number))
    }
}

/// A bit for each record.
#[derive(Clone, Debug, Default)]
struct Bits {
    words: Vec<u64>,
}

impl Bits {
    fn set(&mut self, record: u64) {
        let Ok(word) = usize::try_from(record / 64) else { return };
        if word >= self.words.len() {
            // Written, not only reserved: in a worker, a page first touched later would pass for one of the heap's.
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (record % 64);
    }

    #[inline]
    fn is_set(&self, record: u64) -> bool {
        let word = usize::try_from(record / 64).ok().and_then(|word| self.words.get(word));
        word.is_some_and(|word| word >> (record % 64) & 1 == 1)
    }
}
