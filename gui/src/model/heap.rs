//! The heap at one record, as the window shows it: where it stands, what is chosen, how it is coloured.

use super::colouring::Colouring;
use super::failure::Failure;
use super::picture::Picture;
use malloscope_replayer::explore::map::{HeapMap, Piece, State};
use malloscope_replayer::explore::{Next, Step};
use malloscope_replayer::outcome::BinRow;
use malloscope_replayer::report::units::{bytes, count};
use malloscope_replayer::run::Progress;
use malloscope_replayer::trial::Trial;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Stacks whose names are remembered at most: then all are forgotten.
const NAMES: usize = 1 << 12;

/// The heap at one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// Every chunk.
    pub heap: HeapMap,
    /// The latest call; none before the first.
    pub latest: Option<Step>,
    /// The next call, in words; none at the end.
    pub coming: Option<String>,
    /// How many records the trace has, if that is known.
    pub total: Option<u64>,
    /// Something to be noticed: why it is not the moment that was asked for.
    pub notice: Option<String>,
}

impl Moment {
    /// The latest record; none before the first.
    pub fn record(&self) -> Option<u64> {
        self.heap.made.checked_sub(1)
    }
}

/// What is asked of whoever goes through the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Go to just after this record, or to the end if that comes before.
    To(u64),
    /// Make so many calls more.
    On(u64),
    /// Take the latest call back.
    Back,
    /// Go on until a call does this.
    Next(Next),
    /// Say what the frames of this stack are called.
    Name(u32),
}

/// What the window knows of the heap at one record.
#[derive(Clone, Debug, Default)]
pub struct Exploring {
    /// The settings of the run whose heap it is; none until something was asked.
    pub of: Option<Trial>,
    /// Where it stands, if it does anywhere yet.
    pub moment: Option<Arc<Moment>>,
    /// What was asked for last, if it is not there yet, and how far that is.
    pub under_way: Option<(Ask, Option<Progress>)>,
    /// Why there is nothing to show.
    pub failure: Option<Failure>,
    /// The record that was asked for last, or that was come to otherwise.
    pub at: Option<u64>,
    /// What colours say.
    pub colouring: Colouring,
    /// The chunk that was chosen, by its address.
    pub chosen: Option<u64>,
    /// The free chunks beside the chosen one in its bin, if it waits in one.
    pub links: Vec<(&'static str, String)>,
    /// While it goes on by itself: how many calls at a time.
    pub playing: Option<u64>,
    /// The latest picture.
    pub picture: Option<Arc<Picture>>,
    /// What the frames of stacks are called, the innermost first.
    pub names: BTreeMap<u32, Arc<[String]>>,
}

impl Exploring {
    /// Forgets what is of one trace or run only.
    pub fn restarted(&self) -> Exploring {
        Exploring { colouring: self.colouring, ..Exploring::default() }
    }

    /// Chooses the chunk at this address.
    pub fn choose(&mut self, chunk: Option<u64>) {
        self.chosen = chunk;
        self.link();
    }

    /// Looks up what lies beside the chosen chunk in its bin: all chunks are gone through for that.
    fn link(&mut self) {
        let heap = self.moment.as_ref().map(|moment| &moment.heap);
        let number = heap.zip(self.chosen).and_then(|(heap, address)| heap.piece_at(address));
        self.links = heap.zip(number).map(|(heap, number)| links(heap, number)).unwrap_or_default();
    }

    /// Something was asked for, of the run with these settings.
    pub fn asked(&mut self, ask: Ask, of: &Trial) {
        if self.of.as_ref() != Some(of) {
            *self = Exploring { of: Some(of.clone()), ..self.restarted() };
        }
        if let Ask::Name(stack) = ask {
            // Asked for once: until then it has no lines.
            if self.names.len() >= NAMES {
                self.names.clear();
            }
            self.names.entry(stack).or_insert_with(|| Arc::new([]));
            return;
        }
        if let Ask::To(record) = ask {
            self.at = Some(record);
        }
        self.failure = None;
        self.under_way = Some((ask, None));
    }

    /// A moment was come to. The record that all views should look at from now on, if that is another.
    pub fn arrived(&mut self, moment: Arc<Moment>) -> Option<u64> {
        let asked = self.under_way.take().map(|(ask, _)| ask);
        let record = moment.record();
        if moment.coming.is_none() || moment.notice.is_some() {
            self.playing = None;
        }
        self.moment = Some(moment);
        self.link();
        match asked {
            Some(Ask::To(_)) | None => None,
            _ => {
                self.at = record;
                record
            }
        }
    }
}

/// What is to be said of one piece of memory, a line each: what it is called, and what it is.
pub fn described(moment: &Moment, number: usize) -> Vec<(&'static str, String)> {
    let map = &moment.heap;
    let Some(piece) = map.pieces.get(number) else { return Vec::new() };
    let mut lines = vec![("State", state(piece))];
    if piece.head != 0 {
        lines.push(("Chunk", format!("{:#x}", piece.address)));
        lines.push(("Size", format!("{:#x}, {}", piece.size, bytes(piece.size))));
        lines.push(("Head", head(piece.head)));
    } else {
        lines.push(("Address", format!("{:#x}", piece.address)));
        lines.push(("Size", bytes(piece.size)));
    }
    if let Some(allocation) = map.allocation(piece) {
        let payload = piece.address + HEADER;
        lines.push(("Payload", format!("{payload:#x}")));
        lines.push(("Request", format!("{} bytes", count(allocation.request))));
        lines.push(match allocation.record {
            Some(record) => {
                let age = map.made.saturating_sub(record + 1);
                ("Made", format!("at record {}, {} records ago", count(record), count(age)))
            }
            None => ("Made", "before the trace began".to_owned()),
        });
        lines.push(("Thread", allocation.thread.to_string()));
    }
    if let Some(region) = map.region_of(number)
        && region.pin == Some(number)
        && region.pinned > 0
    {
        lines.push(("Pins", format!("{} of free memory below it", bytes(region.pinned))));
    }
    lines
}

/// The chunks that wait in a bin, by thread or arena those first that would be taken first.
pub fn waiting_in<'a>(map: &'a HeapMap, bin: &BinRow) -> Vec<&'a Piece> {
    let waits = |piece: &&Piece| piece.waits_in(&bin.kind, bin.number);
    let mut waiting: Vec<&Piece> = map.pieces.iter().filter(waits).collect();
    waiting.sort_by_key(|piece| (piece.thread, piece.place, piece.address));
    waiting
}

/// The free chunks beside a free one in its bin: what would be taken before it, and what after it.
fn links(map: &HeapMap, number: usize) -> Vec<(&'static str, String)> {
    let Some(piece) = map.pieces.get(number) else { return Vec::new() };
    if piece.bin_name().is_empty() {
        return Vec::new();
    }
    let (before, after) = map.neighbours(number);
    let say = |other: Option<usize>, none: &str| match other {
        Some(other) => format!("{:#x}", map.pieces[other].address),
        None => none.to_owned(),
    };
    vec![
        ("Taken before", say(before, "none: it is the next")),
        ("Taken after", say(after, "none: it is the last")),
    ]
}

/// Bytes between a chunk and its payload.
const HEADER: u64 = 16;

/// What a piece is, with the bin it waits in.
pub fn state(piece: &Piece) -> String {
    let bin = piece.bin_name();
    match (piece.state, piece.thread) {
        (State::Own, Some(thread)) => format!("{}: thread {thread}’s tcache lies in it", piece.state.name()),
        (State::Cached, Some(thread)) => {
            format!("free, number {} of {bin} of thread {thread}", u64::from(piece.place) + 1)
        }
        (State::Top, _) => "top chunk".to_owned(),
        _ if bin.is_empty() => piece.state.name().to_owned(),
        _ => format!("free, number {} of {bin}", u64::from(piece.place) + 1),
    }
}

/// A head with its flags.
fn head(head: u64) -> String {
    let flags = [(1, "previous in use"), (2, "mapped"), (4, "not in the main arena")];
    let set: Vec<&str> = flags.iter().filter(|(flag, _)| head & flag != 0).map(|&(_, name)| name).collect();
    if set.is_empty() { format!("{head:#x}") } else { format!("{head:#x} ({})", set.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_steps_move_the_record_that_all_look_at() {
        let moment = |made| {
            let heap = HeapMap { made, ..HeapMap::default() };
            let coming = Some("malloc(1)".to_owned());
            Arc::new(Moment { heap, latest: None, coming, total: None, notice: None })
        };
        let of = Trial::default();
        let mut exploring = Exploring::default();
        exploring.asked(Ask::To(7), &of);
        assert_eq!((exploring.at, exploring.arrived(moment(8))), (Some(7), None));
        exploring.asked(Ask::On(1), &of);
        assert_eq!((exploring.arrived(moment(9)), exploring.at), (Some(8), Some(8)));
        exploring.asked(Ask::Name(3), &of);
        assert!(exploring.under_way.is_none() && exploring.names.contains_key(&3));
        exploring.playing = Some(10);
        exploring.asked(Ask::On(10), &of);
        exploring.arrived(Arc::new(Moment { coming: None, ..(*moment(12)).clone() }));
        assert_eq!(exploring.playing, None, "there is nothing more to play");
        let other = Trial { release: Some("2.23".to_owned()), ..Trial::default() };
        exploring.asked(Ask::To(3), &other);
        assert!(exploring.moment.is_none() && exploring.of == Some(other), "another run is another heap");
    }

    #[test]
    fn a_head_says_its_flags() {
        assert_eq!(head(0x20), "0x20");
        assert_eq!(head(0x1005), "0x1005 (previous in use, not in the main arena)");
    }
}
