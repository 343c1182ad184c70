//! Which place served each request of a trace, and where each chunk went that was freed: found out by one replay, and
//! kept as two bytes for each record.
//!
//! The worker sends seven bytes for each call that was served or freed something: the number of its record in five, and in two
//! the number of who served it and above that, in the last four bits, that of where what it freed went, the
//! least significant first. Calls of several threads are not replayed in the order of their records, so each says which it is.

use crate::flows::Destination;
use crate::run::{Job, Lines, Progress};
use crate::trial::Trial;
use crate::worker::{Launcher, WorkerError, run_in_worker};
use malloscope_allocator::bins::{self, Bin};
use malloscope_allocator::observe::Source;
use malloscope_allocator::observe::counters::SourceKind;
use serde::{Serialize, Serializer};
use std::io::{self, Write};
use std::path::Path;

/// Bytes that are sent for a call: five for its record, and two.
const SENT: usize = 7;
/// Of no request: it was not served, or the record asks for nothing.
const NOBODY: u16 = (1 << SOURCE_BITS) - 1;
/// The bits for who served; those above are for where something went.
const SOURCE_BITS: u32 = 12;
/// Of a record that freed nothing, and was not served.
const NOTHING: u16 = u16::MAX;
const _: () = assert!(ServedFrom::COUNT < NOBODY as usize && Destination::ALL.len() < 15);

/// Who served a request: a bin, or what is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServedFrom(u16);

/// What serves requests and is no bin, or not as others are: numbered behind the bins.
const OTHERS: [SourceKind; 5] = [
    SourceKind::LastRemainder,
    SourceKind::GrownTop,
    SourceKind::Stayed,
    SourceKind::Extended,
    SourceKind::Remapped,
];

/// From here on, the bins once more: larger chunks of them were cut.
const CUT: usize = Bin::COUNT + OTHERS.len();

impl ServedFrom {
    /// How many numbers there are at most.
    pub(crate) const COUNT: usize = CUT + Bin::COUNT;

    /// All there are: bins in the order in which they are asked, the others, and bins of which chunks are cut.
    pub fn all() -> impl Iterator<Item = ServedFrom> {
        let others = OTHERS.into_iter().map(ServedFrom::other);
        let cut = Bin::all().filter(|bin| matches!(bin, Bin::Small(_) | Bin::Large(_))).map(ServedFrom::cut);
        Bin::all().map(ServedFrom::bin).chain(others).chain(cut)
    }

    fn numbered(number: usize) -> ServedFrom {
        // There are some hundreds.
        ServedFrom(u16::try_from(number).unwrap_or(NOBODY))
    }

    /// This bin.
    pub fn bin(bin: Bin) -> ServedFrom {
        ServedFrom::numbered(bin.index())
    }

    /// A larger chunk of this bin.
    pub fn cut(bin: Bin) -> ServedFrom {
        ServedFrom::numbered(CUT + bin.index())
    }

    fn other(kind: SourceKind) -> ServedFrom {
        let place = OTHERS.iter().position(|&other| other == kind);
        ServedFrom::numbered(place.map_or(usize::from(NOBODY), |place| Bin::COUNT + place))
    }

    /// What the allocator says of it.
    pub fn of(source: Source) -> ServedFrom {
        match source {
            Source::Tcache(number) => ServedFrom::bin(Bin::Tcache(number)),
            Source::Fast(number) => ServedFrom::bin(Bin::Fast(number)),
            Source::Small(number) => ServedFrom::bin(Bin::Small(number)),
            Source::Unsorted => ServedFrom::bin(Bin::Unsorted),
            Source::Large(number) => ServedFrom::bin(Bin::Large(number)),
            Source::Top => ServedFrom::bin(Bin::Top),
            Source::Mapped => ServedFrom::bin(Bin::Mapped),
            Source::Split(number) => ServedFrom::cut(bins::list(number.into())),
            other => ServedFrom::other(SourceKind::of(other)),
        }
    }

    /// Its number, less than [`ServedFrom::COUNT`]; of nobody another.
    pub(crate) fn number_of(from: Option<ServedFrom>) -> u16 {
        from.map_or(NOBODY, |from| from.0)
    }

    /// Who has this number.
    #[inline]
    pub(crate) fn of_number(number: u16) -> Option<ServedFrom> {
        (usize::from(number) < ServedFrom::COUNT).then_some(ServedFrom(number))
    }

    fn as_bin(self) -> Option<Bin> {
        let index = usize::from(self.0);
        Bin::all().find(|bin| bin.index() == index || bin.index() + CUT == index)
    }

    fn is_cut(self) -> bool {
        usize::from(self.0) >= CUT
    }

    /// The kind of place it is.
    pub fn kind(self) -> Option<SourceKind> {
        Some(match self.as_bin() {
            Some(_) if self.is_cut() => SourceKind::Split,
            Some(Bin::Tcache(_)) => SourceKind::Tcache,
            Some(Bin::Fast(_)) => SourceKind::Fast,
            Some(Bin::Small(_)) => SourceKind::Small,
            Some(Bin::Unsorted) => SourceKind::Unsorted,
            Some(Bin::Large(_)) => SourceKind::Large,
            Some(Bin::Top) => SourceKind::Top,
            Some(Bin::Mapped) => SourceKind::Mapped,
            None => *OTHERS.get(usize::from(self.0).checked_sub(Bin::COUNT)?)?,
        })
    }

    /// What it is called: a bin that is one of many by its number among them.
    pub fn name(self) -> String {
        match self.as_bin().map(Bin::name) {
            Some((kind, Some(number))) if self.is_cut() => format!("split of {kind} {number}"),
            Some((kind, Some(number))) => format!("{kind} {number}"),
            _ => self.kind().map_or("?", SourceKind::name).to_owned(),
        }
    }
}

impl Serialize for ServedFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// Who served the request of each record, and where went what it freed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servings {
    by_record: Vec<u16>,
}

impl Servings {
    /// Replays a trace in a process of its own, to know it.
    ///
    /// # Errors
    ///
    /// When that cannot be done.
    pub fn replayed(
        launcher: &Launcher,
        trace: &Path,
        trial: Trial,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Servings, WorkerError> {
        let job = Job { lines: Some(Lines::Servings), ..Job::of(trace, trial) };
        let mut heard = Heard::default();
        run_in_worker(launcher, &job, &mut heard, progress)?;
        Ok(heard.servings)
    }

    /// Who served the request of a record; nothing if there was none, or it was not served.
    #[inline]
    pub fn of(&self, record: u64) -> Option<ServedFrom> {
        let place = usize::try_from(record).ok()?;
        self.by_record.get(place).copied().and_then(source)
    }

    /// Where went what the call of a record freed; nothing if it freed nothing.
    #[inline]
    pub fn freed_to(&self, record: u64) -> Option<Destination> {
        let place = usize::try_from(record).ok()?;
        Destination::ALL.get(usize::from(self.by_record.get(place)? >> SOURCE_BITS)).copied()
    }

    /// How many requests were served from each place, by their numbers.
    pub fn counts(&self) -> impl Iterator<Item = (ServedFrom, u64)> {
        let mut counts = [0_u64; ServedFrom::COUNT];
        for from in self.by_record.iter().filter_map(|&both| source(both)) {
            counts[usize::from(from.0)] += 1;
        }
        ServedFrom::all().map(move |from| (from, counts[usize::from(from.0)]))
    }
}

/// Who served, of both.
#[inline]
fn source(both: u16) -> Option<ServedFrom> {
    ServedFrom::of_number(both & NOBODY)
}

/// Says who served the request of a record, and where went what it freed, if it did either.
///
/// # Errors
///
/// When `out` takes no more.
pub(crate) fn send(
    out: &mut dyn Write,
    record: u64,
    from: Option<ServedFrom>,
    to: Option<Destination>,
) -> io::Result<()> {
    let from_number = from.map_or(NOBODY, |from| from.0);
    let both = to.map_or(NOTHING << SOURCE_BITS, |to| (to as u16) << SOURCE_BITS) | from_number;
    if both == NOTHING {
        return Ok(());
    }
    let [a, b, c, d, e, ..] = record.to_le_bytes();
    let [from, more] = both.to_le_bytes();
    out.write_all(&[a, b, c, d, e, from, more])
}

/// What has been heard so far; what is sent may be cut anywhere.
#[derive(Debug, Default)]
struct Heard {
    servings: Servings,
    rest: Vec<u8>,
}

impl Heard {
    fn hear(&mut self, sent: &[u8]) {
        let &[a, b, c, d, e, from, more] = sent else { return };
        let record = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]);
        let Ok(place) = usize::try_from(record) else { return };
        let by_record = &mut self.servings.by_record;
        if place >= by_record.len() {
            by_record.resize(place + 1, NOTHING);
        }
        by_record[place] = u16::from_le_bytes([from, more]);
    }
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        let sent = std::mem::take(&mut self.rest);
        let whole = sent.chunks_exact(SENT);
        self.rest = whole.remainder().to_vec();
        whole.for_each(|sent| self.hear(sent));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_place_has_a_number_and_a_name_of_its_own() {
        let all: Vec<ServedFrom> = ServedFrom::all().collect();
        let numbers: BTreeSet<u16> = all.iter().map(|from| from.0).collect();
        let names: BTreeSet<String> = all.iter().map(|from| from.name()).collect();
        assert_eq!((numbers.len(), names.len()), (all.len(), all.len()));
        let kinds: BTreeSet<_> = all.iter().filter_map(|from| from.kind()).map(SourceKind::name).collect();
        assert_eq!(kinds.len(), SourceKind::ALL.len());
        assert_eq!(ServedFrom::of(Source::Tcache(3)).name(), "tcache 3");
        let split = ServedFrom::of(Source::Split(70));
        assert_eq!((split.name().as_str(), split.kind()), ("split of large 70", Some(SourceKind::Split)));
        assert!(all.contains(&split));
    }

    #[test]
    fn what_is_sent_is_heard_however_it_is_cut() {
        let mut sent = Vec::new();
        send(&mut sent, 7, None, None).unwrap();
        assert!(sent.is_empty(), "there is nothing to say");
        send(&mut sent, 8, None, Some(Destination::Tcache)).unwrap();
        let top = ServedFrom::of(Source::Top);
        for record in [3, 0, 300] {
            let to = (record == 300).then_some(Destination::Trimmed);
            send(&mut sent, record, Some(top), to).unwrap();
        }
        for cut in 1..sent.len() {
            let mut heard = Heard::default();
            sent.chunks(cut).for_each(|part| heard.write_all(part).unwrap());
            let of = |record| heard.servings.of(record);
            assert_eq!(
                [of(0), of(1), of(3), of(300), of(301)],
                [Some(top), None, Some(top), Some(top), None]
            );
            let to = |record| heard.servings.freed_to(record);
            let (tcache, trimmed) = (Some(Destination::Tcache), Some(Destination::Trimmed));
            assert_eq!([to(0), to(7), to(8), to(300), to(301)], [None, None, tcache, trimmed, None]);
            assert_eq!(heard.servings.counts().map(|(_, times)| times).sum::<u64>(), 3);
        }
    }
}
