//! Listens to a heap that is explored: to what one call does, word for word, or only for what is looked for.

use super::Next;
use malloscope_allocator::observe::{Event, KernelCall, Observer, Source};

/// Listens to one call after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ear {
    /// What the latest call did, where somebody listens.
    heard: Vec<Event>,
    listens: bool,
    /// What of [`Next::ALL`] the latest call did, a bit each.
    reached: u8,
}

impl Ear {
    /// Begins or ends to listen.
    pub(super) fn listen(&mut self, listens: bool) {
        self.listens = listens;
        if !listens {
            // A call that consolidates a large heap does a lot.
            self.heard = Vec::new();
        }
    }

    /// A call begins. Whether anybody listens.
    #[inline]
    pub(super) fn begin(&mut self) -> bool {
        self.reached = 0;
        self.heard.clear();
        self.listens
    }

    /// What the latest call did; `None` where nobody listened.
    pub(super) fn heard(&self) -> Option<&[Event]> {
        self.listens.then_some(&self.heard)
    }

    /// Whether the latest call did this.
    #[inline]
    pub(super) fn has_reached(&self, what: Next) -> bool {
        self.reached & 1 << what as u8 != 0
    }
}

/// What it is that happened, if it is something to look for.
#[inline]
fn kind(event: &Event) -> Option<Next> {
    match event {
        Event::Served { from: Source::Tcache(_) | Source::Stayed, .. } => None,
        Event::Served { .. } => Some(Next::Miss),
        Event::TopGrew { .. } => Some(Next::Growth),
        Event::TopShrank { .. } => Some(Next::Trim),
        Event::Kernel(KernelCall::Map { at: Some(_), .. }) => Some(Next::Map),
        _ => None,
    }
}

impl Observer for Ear {
    #[inline]
    fn event(&mut self, event: Event) {
        if let Some(what) = kind(&event) {
            self.reached |= 1 << what as u8;
        }
        // Of what was looked at in vain nobody tells.
        if self.listens && !matches!(event, Event::LookedAt { .. }) {
            self.heard.push(event);
        }
    }
}
