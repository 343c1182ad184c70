//! A batch turned on its side: one column for each thing there is to say about a call, and in it
//! only what the columns before it do not already tell.
//!
//! [`Fold`] turns records into columns, [`Unfold`] turns columns back into records. Whatever one of
//! them expects of the next record the other expects too, because what both of them remember is
//! the same type with the same methods, and `put` stands beside `take`: [`time`], [`handed`],
//! [`slot`], [`place`], [`site`]. What they remember begins empty with every batch, so a batch that is lost
//! takes nothing with it.
//!
//! Every column is compressed on its own, since what is regular in one is noise in the next.
//!
//! What is done for every record is inlined by decree: left to the compiler, calls and results passed
//! through memory took a third of the time.

mod birth;
mod cursors;
mod fold;
mod handed;
mod kind;
mod place;
mod site;
mod slot;
mod table;
mod time;
mod unfold;

use std::fmt;
use std::ops::{Index, IndexMut};

pub(crate) use fold::Fold;
pub(crate) use handed::Holder;
use serde::{Deserialize, Serialize};
pub(crate) use site::Sites;
pub(crate) use slot::{Taken, Vacant};
pub(crate) use unfold::Unfold;

macro_rules! columns {
    ($($(#[$doc:meta])* $column:ident = $name:literal,)*) => {
        /// The columns of a batch, in the order in which they are stored.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Column {
            $($(#[$doc])* $column,)*
        }

        impl Column {
            /// All of them.
            pub const ALL: [Column; [$($name),*].len()] = [$(Column::$column),*];
        }

        impl fmt::Display for Column {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Column::$column => $name,)* })
            }
        }
    };
}

columns! {
    /// What was called, and which of the rarer columns speak of it: one byte a record.
    Kinds = "kinds",
    /// How long after the record before, one byte a record.
    Times = "times",
    /// How long, where that is not enough.
    Gaps = "gaps",
    /// Who, where it is not whoever made the call before.
    Threads = "threads",
    /// The sizes, counts and alignments asked for.
    Requests = "requests",
    /// Which allocation was handed over, by its age in this batch.
    Handed = "handed",
    /// The slots of allocations older than this batch.
    Elders = "elders",
    /// The slots taken by new allocations, where it is not the one vacated last.
    Slots = "slots",
    /// Which of the guesses at the address was right.
    Guesses = "guesses",
    /// The addresses nobody guessed.
    Places = "places",
    /// The heads that are not what the request leads one to expect.
    Heads = "heads",
    /// How far the program break moved.
    Breaks = "breaks",
    /// The addresses of allocations that were never seen.
    Strays = "strays",
    /// The arguments of the rare calls.
    Rest = "rest",
    /// Whether the stack of a call was guessed: one byte for each that asks for memory.
    Sites = "sites",
    /// The stacks nobody guessed.
    Stacks = "stacks",
}

/// The bytes of every column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Columns([Vec<u8>; Column::ALL.len()]);

impl Columns {
    /// Empties all of them.
    pub fn clear(&mut self) {
        self.0.iter_mut().for_each(Vec::clear);
    }
}

impl Index<Column> for Columns {
    type Output = Vec<u8>;

    fn index(&self, column: Column) -> &Vec<u8> {
        &self.0[column as usize]
    }
}

impl IndexMut<Column> for Columns {
    fn index_mut(&mut self, column: Column) -> &mut Vec<u8> {
        &mut self.0[column as usize]
    }
}

/// What a batch begins from, beside the time in its frame. All later values are differences to the
/// ones before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// The thread of the first record.
    pub thread: u32,
    /// The program break after the first record.
    pub program_break: u64,
}
