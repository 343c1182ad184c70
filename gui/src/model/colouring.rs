//! What the colours of a heap map say: which class a piece of memory is in, and what the classes are.

use malloscope_replayer::explore::cells::{CLASSES, Class, Share};
use malloscope_replayer::explore::map::{Allocation, HeapMap, Piece, State};
use malloscope_replayer::report::heap::letter;
use std::collections::HashMap;

/// What colours say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Colouring {
    /// What it is.
    #[default]
    State,
    /// How many records ago it was allocated.
    Age,
    /// How large the chunk is.
    Size,
    /// Which thread allocated it.
    Thread,
    /// Which stack allocated it.
    Stack,
}

impl Colouring {
    /// All there are.
    pub const ALL: [Colouring; 5] =
        [Colouring::State, Colouring::Age, Colouring::Size, Colouring::Thread, Colouring::Stack];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Colouring::State => "State",
            Colouring::Age => "Age",
            Colouring::Size => "Size",
            Colouring::Thread => "Thread",
            Colouring::Stack => "Stack",
        }
    }

    /// What it shows, in one sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Colouring::State => "What each chunk is: live, or free and where it waits.",
            Colouring::Age => "How many records ago each live chunk was allocated.",
            Colouring::Size => "How large each live chunk is.",
            Colouring::Thread => "Which thread allocated each live chunk.",
            Colouring::Stack => "Which call stack allocated each live chunk.",
        }
    }
}

/// What kind of colour a class has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// That of a state.
    State(State),
    /// One of a sequence: its place, and of how many.
    Sequence(u8, u8),
    /// One of some that have no order.
    Category(u8),
    /// What is none of those that are told apart.
    Rest,
    /// Free memory, where colours are about what lives.
    Free,
}

/// A class of pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What is in it, in one sentence.
    pub meaning: String,
    /// A letter for those who do not go by colours.
    pub letter: char,
    /// Its colour.
    pub tone: Tone,
    /// The stack it is of, if it is of one.
    pub stack: Option<u32>,
    /// How much of the heap is in it.
    pub share: Share,
}

/// The classes of a heap at one moment, which together are all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    colouring: Colouring,
    /// The classes, by their numbers.
    pub entries: Vec<Entry>,
    /// Of threads or stacks, the classes of those that have one of their own.
    numbers: HashMap<u32, Class>,
    made: u64,
}

/// Where colours are about what lives: what is free, the top chunks, and what is malloc's own.
const FREE: Class = 0;
const TOP: Class = 1;
const OWN: Class = 2;
/// The first class of what lives.
const LIVE: Class = 3;
/// Threads or stacks that have a class of their own: as many as there are colours to tell them apart by.
const TOLD_APART: usize = 7;

/// Ages in records below which a class ends.
const AGES: [(u64, &str); 6] = [
    (10, "under 10"),
    (100, "under 100"),
    (1_000, "under 1,000"),
    (10_000, "under 10,000"),
    (100_000, "under 100,000"),
    (1_000_000, "under 1,000,000"),
];
/// Sizes of chunks up to which a class goes.
const SIZES: [(u64, &str); 6] = [
    (64, "up to 64 B"),
    (256, "up to 256 B"),
    (1 << 10, "up to 1 KiB"),
    (4 << 10, "up to 4 KiB"),
    (16 << 10, "up to 16 KiB"),
    (128 << 10, "up to 128 KiB"),
];

impl Key {
    /// The classes of a heap.
    pub fn of(map: &HeapMap, colouring: Colouring) -> Key {
        let mut key = Key { colouring, entries: Vec::new(), numbers: HashMap::new(), made: map.made };
        match colouring {
            Colouring::State => key.entries.extend(State::ALL.map(of_state)),
            _ => key.entries.extend(of_the_rest()),
        }
        match colouring {
            Colouring::State => {}
            Colouring::Age => {
                let meaning =
                    "Live, allocated so many records ago; what is from before the trace began is older.";
                key.sequence(AGES.iter().map(|(_, name)| *name).chain(["older"]), meaning);
            }
            Colouring::Size => {
                let names = SIZES.iter().map(|(_, name)| *name).chain(["larger"]);
                key.sequence(names, "Live chunks of such a size.");
            }
            Colouring::Thread => key.tell_apart(map, "thread"),
            Colouring::Stack => key.tell_apart(map, "stack"),
        }
        let shares = map.shares(|piece| key.class(map, piece));
        key.entries.iter_mut().zip(shares).for_each(|(entry, share)| entry.share = share);
        key
    }

    /// The class that a piece is in.
    pub fn class(&self, map: &HeapMap, piece: &Piece) -> Class {
        if self.colouring == Colouring::State {
            return piece.state as Class;
        }
        let Some(allocation) = map.allocation(piece) else {
            return match piece.state {
                State::Top => TOP,
                State::Other | State::Own | State::Live => OWN,
                _ => FREE,
            };
        };
        LIVE + match self.colouring {
            Colouring::Age => {
                let age = allocation.record.map(|record| self.made.saturating_sub(record + 1));
                place(AGES.iter().map(|&(end, _)| age.is_some_and(|age| age < end)))
            }
            Colouring::Size => place(SIZES.iter().map(|&(most, _)| piece.size <= most)),
            Colouring::Thread | Colouring::Stack | Colouring::State => {
                let others = u8::try_from(self.numbers.len()).unwrap_or(0);
                self.numbers.get(&self.number(allocation)).copied().unwrap_or(others)
            }
        }
    }

    /// The class of this number, if there is one.
    pub fn entry(&self, class: Class) -> Option<&Entry> {
        self.entries.get(usize::from(class))
    }

    fn number(&self, allocation: &Allocation) -> u32 {
        if self.colouring == Colouring::Thread { allocation.thread } else { allocation.stack }
    }

    fn sequence<'a>(&mut self, names: impl Iterator<Item = &'a str>, meaning: &str) {
        let names: Vec<&str> = names.collect();
        let of = u8::try_from(names.len()).unwrap_or(u8::MAX);
        for (number, name) in (0..).zip(names) {
            self.push(name.to_owned(), meaning, Tone::Sequence(number, of), None);
        }
    }

    /// Gives those threads or stacks a class that hold most bytes, and one to all others.
    fn tell_apart(&mut self, map: &HeapMap, what: &str) {
        let mut held: HashMap<u32, u64> = HashMap::new();
        for piece in &map.pieces {
            if let Some(allocation) = map.allocation(piece) {
                *held.entry(self.number(allocation)).or_default() += piece.size;
            }
        }
        let mut most: Vec<(u32, u64)> = held.into_iter().collect();
        most.sort_unstable_by_key(|&(number, bytes)| (std::cmp::Reverse(bytes), number));
        let others = most.len() > TOLD_APART;
        most.truncate(TOLD_APART);
        for (class, (number, _)) in (0..).zip(most) {
            let stack = (self.colouring == Colouring::Stack).then_some(number).filter(|&stack| stack != 0);
            let name = match (self.colouring, number) {
                (Colouring::Stack, 0) => "no stack".to_owned(),
                _ => format!("{what} {number}"),
            };
            self.push(name, "Live chunks that it allocated.", Tone::Category(class), stack);
            self.numbers.insert(number, class);
        }
        if others {
            self.push(format!("other {what}s"), "Live chunks that others allocated.", Tone::Rest, None);
        }
    }

    fn push(&mut self, name: String, meaning: &str, tone: Tone, stack: Option<u32>) {
        let letter =
            char::from_digit(u32::try_from(self.entries.len() - usize::from(LIVE)).unwrap_or(0) + 1, 10);
        let entry = Entry {
            name,
            meaning: meaning.to_owned(),
            letter: letter.unwrap_or('+'),
            tone,
            stack,
            share: Share::default(),
        };
        if self.entries.len() < CLASSES {
            self.entries.push(entry);
        }
    }
}

/// The place of the first that holds; one after the last, if none does.
fn place(mut holds: impl ExactSizeIterator<Item = bool>) -> Class {
    let all = holds.len();
    u8::try_from(holds.position(|holds| holds).unwrap_or(all)).unwrap_or(0)
}

fn of_state(state: State) -> Entry {
    Entry {
        name: state.name().to_owned(),
        meaning: state.meaning().to_owned(),
        letter: letter(state),
        tone: Tone::State(state),
        stack: None,
        share: Share::default(),
    }
}

fn of_the_rest() -> [Entry; LIVE as usize] {
    let entry = |name: &str, meaning: &str, letter, tone| Entry {
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        letter,
        tone,
        stack: None,
        share: Share::default(),
    };
    [
        entry("free", "Free chunks, wherever they wait.", ' ', Tone::Free),
        entry("top", State::Top.meaning(), letter(State::Top), Tone::State(State::Top)),
        entry("not the program’s", State::Other.meaning(), letter(State::Own), Tone::State(State::Own)),
    ]
}
