//! The frame around every part of a trace: where it begins, what it is, how long, and whether it is intact.
//!
//! ```text
//!  0        8      12      16      20        24      28          36          44        48        52
//!  ┌────────┬───────┬───────┬───────┬─────────┬───────┬───────────┬───────────┬─────────┬─────────┬──────┄
//!  │  mark  │ kind  │ batch │records│unpacked │stored │   first   │   time    │body crc │frame crc│ body
//!  └────────┴───────┴───────┴───────┴─────────┴───────┴───────────┴───────────┴─────────┴─────────┴──────┄
//! ```
//!
//! The mark lets a reader who has lost his place find the next frame. The frame has a checksum of its
//! own, so that a batch whose body is damaged can still say how many records it had and where the next
//! one begins.

use crate::damage::Fault;

/// What every frame begins with: a byte that is no text, a name, and a line's end that a transfer as
/// text would change.
pub(crate) const MARK: [u8; 8] = *b"\x8aMSCOPE\n";

/// How long a frame is.
pub(crate) const LENGTH: usize = 52;

/// How long the tail is: a frame, and the byte where the ending's begins.
pub(crate) const TAIL: u64 = LENGTH as u64 + 8;

/// How much of it the frame's own checksum covers: all that stands before it.
const CHECKED: usize = LENGTH - 4;

/// The most records in a batch: as many a reader may be asked to keep in memory.
pub(crate) const MOST_RECORDS: u32 = 1 << 20;

/// The longest body, stored or unpacked: what a reader may be asked to keep in memory.
pub(crate) const LONGEST: usize = 1 << 26;

/// What is in a frame. A reader steps over kinds it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Header,
    Records,
    Index,
    Ending,
    /// Where the ending is; always the last 60 bytes of a file.
    Tail,
    /// What the C library answered when it was probed.
    Probe,
    /// What the tree of stacks grew by.
    Stacks,
    /// The names of the frames of stacks.
    Symbols,
    /// The heap as it stood before the first record.
    Snapshot,
    /// What the kernel said of the process at one moment.
    Reading,
    /// Memory that was never touched.
    Untouched,
    /// What is left out of the trace.
    Redaction,
    Unknown(u32),
}

/// The kinds there are, their codes, and what they are called in messages.
const KINDS: [(Kind, u32, &str); 12] = [
    (Kind::Header, 1, "header"),
    (Kind::Records, 2, "batch"),
    (Kind::Index, 3, "index"),
    (Kind::Ending, 4, "ending"),
    (Kind::Tail, 5, "tail"),
    (Kind::Probe, 6, "probe"),
    (Kind::Stacks, 7, "part of the stacks"),
    (Kind::Symbols, 8, "symbols"),
    (Kind::Snapshot, 9, "snapshot of the heap"),
    (Kind::Reading, 10, "reading"),
    (Kind::Untouched, 11, "untouched memory"),
    (Kind::Redaction, 12, "redaction"),
];

impl Kind {
    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or("part", |(.., name)| name)
    }

    fn code(self) -> u32 {
        match self {
            Kind::Unknown(code) => code,
            known => KINDS.iter().find(|(kind, ..)| *kind == known).map_or(0, |(_, code, _)| *code),
        }
    }

    fn from_code(code: u32) -> Kind {
        KINDS.iter().find(|(_, known, _)| *known == code).map_or(Kind::Unknown(code), |(kind, ..)| *kind)
    }
}

/// What stands before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub kind: Kind,
    /// How many batches of records came before.
    pub batch: u32,
    /// How many records are in this one.
    pub records: u32,
    /// How long the body is when its columns are unpacked.
    pub unpacked: u32,
    /// How long the body is in the file.
    pub stored: u32,
    /// How many records came before.
    pub first: u64,
    /// The time of the first record, in units of the clock's resolution.
    pub time: u64,
    /// The checksum of the body.
    pub body_checksum: u32,
}

impl Frame {
    /// A frame before the first record, with nothing in it.
    pub fn of_nothing(kind: Kind) -> Frame {
        Frame { kind, batch: 0, records: 0, unpacked: 0, stored: 0, first: 0, time: 0, body_checksum: 0 }
    }

    /// The frame as it stands in the file.
    pub fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&MARK);
        bytes[8..12].copy_from_slice(&self.kind.code().to_le_bytes());
        bytes[12..16].copy_from_slice(&self.batch.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.records.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.unpacked.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.stored.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.first.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.time.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.body_checksum.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..CHECKED]);
        bytes[CHECKED..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a frame, and believes it only if its checksum does.
    pub fn from_bytes(bytes: &[u8; LENGTH]) -> Result<Frame, Fault> {
        if bytes[..8] != MARK {
            return Err(Fault::NoFrame);
        }
        let (expected, found) = (word(bytes, CHECKED), crc32fast::hash(&bytes[..CHECKED]));
        if expected != found {
            return Err(Fault::FrameChecksum { expected, found });
        }
        let frame = Frame {
            kind: Kind::from_code(word(bytes, 8)),
            batch: word(bytes, 12),
            records: word(bytes, 16),
            unpacked: word(bytes, 20),
            stored: word(bytes, 24),
            first: long(bytes, 28),
            time: long(bytes, 36),
            body_checksum: word(bytes, 44),
        };
        let length = u64::from(frame.stored.max(frame.unpacked));
        if length > LONGEST as u64 {
            return Err(Fault::TooLong { length, limit: LONGEST as u64 });
        }
        if frame.records > MOST_RECORDS {
            return Err(Fault::TooLong { length: frame.records.into(), limit: MOST_RECORDS.into() });
        }
        Ok(frame)
    }

    /// Where what follows the body begins, if the frame begins at `at`.
    pub fn end(&self, at: u64) -> u64 {
        at.saturating_add(LENGTH as u64).saturating_add(self.stored.into())
    }

    /// Whether this is the body that belongs to the frame.
    pub fn check(&self, body: &[u8]) -> Result<(), Fault> {
        let (expected, found) = (self.body_checksum, crc32fast::hash(body));
        if expected == found { Ok(()) } else { Err(Fault::BodyChecksum { expected, found }) }
    }
}

fn word(bytes: &[u8; LENGTH], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8; LENGTH], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}
