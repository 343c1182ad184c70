//! What a trace is, and how it is written, read and salvaged.
//!
//! A trace is a file of [`Record`]s: what a program asked of malloc, call by call, and what it got.
//! This crate knows no allocator. It says what happened, never what should have.
//!
//! # The format on one page
//!
//! ```text
//! ┌───────┬─────────┬────────┬────────┬─────────┬─────────┬──┄─┬───────┬────────┬──────┐
//! │ magic │ version │ header │ header │ records │ records │    │ index │ ending │ tail │
//! │   8   │    4    │        │  again │         │         │    │       │        │  60  │
//! └───────┴─────────┴────────┴────────┴─────────┴─────────┴──┄─┴───────┴────────┴──────┘
//! ```
//!
//! After the version come frames, each with a mark, a kind, lengths and checksums, and behind it a
//! body. The [`Header`] is what a replay must know beforehand; the [`Ending`] is what is known only
//! afterwards; the [`Index`] says where each batch is, and the tail where the ending is. A recorder
//! that is killed leaves a trace that ends earlier.
//!
//! A batch has some thousands of records, turned on their side: a [`Column`] for each thing there is to
//! say about a call, compressed on its own. Hardly anything is said outright:
//!
//! ```text
//!             what was called   when   how much   which one      its slot     where           its head
//! record 40   malloc            +1     24                        last freed   freed last      as expected
//! record 41   malloc            +0     24                        last freed   freed last      as expected
//! record 42   free              +2                the youngest
//! record 43   malloc, break     +9     4000                      last freed   behind the one  as expected
//!             +0x21000                                                        before
//! ```
//!
//! A whole call takes 0.2 to 2.5 bytes (`MEASURED.md`). `FORMAT.md` has every byte.
//!
//! # Two promises
//!
//! **A reader needs no hash table.** A free names the allocation it ends, by a [`Slot`]: the table
//! entry that stands for it. The writer has looked the address up.
//!
//! **A damaged batch costs that batch.** No batch needs another to be understood, only the address of
//! an allocation made earlier comes from there; where that is lost the address is unknown, not wrong.
//! A trace is hostile input: no bytes make a reader panic or take memory without bound.
//!
//! # Where to read on
//!
//! | | |
//! |---|---|
//! | [`record`], [`header`], [`Ending`] | what a trace says |
//! | [`Writer`], `identity`, `addresses` | how records get into it, and which allocation an address stands for |
//! | [`Reader`], `source`, `salvage`, [`Damage`] | how they come out again, or do not |
//! | [`growing`] | whether a trace is still being written |
//! | [`stacks`], `growth` | from where it was asked: call stacks, and how they get into a trace |
//! | `columns` | what is said of a record, and what goes without saying |
//! | [`symbols`], [`embed()`] | the names of a trace's frames, and how they get into it |
//! | `probe` | what tells one C library from another of the same version |
//! | `preamble`, `frame`, `batch`, [`Index`], `encoding`, `varint` | the bytes around it |
//! | [`ops`], [`text`] | scripts of calls in and out, records as lines |
#![forbid(unsafe_code)]

mod addresses;
mod batch;
mod columns;
mod damage;
mod embed;
mod encoding;
mod ending;
mod error;
pub mod foreign;
mod frame;
pub mod growing;
mod growth;
pub mod header;
mod identity;
mod index;
pub mod ops;
mod preamble;
mod probe;
mod read;
pub mod readings;
pub mod record;
pub mod redaction;
mod salvage;
pub mod snapshot;
mod source;
pub mod stacks;
pub mod symbols;
pub mod text;
pub mod untouched;
mod varint;
mod write;

pub use batch::ColumnSize;
pub use columns::Column;
pub use damage::{Damage, Fault};
pub use embed::embed;
pub use ending::{Cause, Ending, Observed, Totals};
pub use error::{Error, Name};
pub use header::Header;
pub use identity::Oddities;
pub use index::{Entry, Index};
pub use read::{Reader, Records};
pub use record::{Call, Nanos, Placed, Pointer, Record, Slot, Thread};
pub use stacks::{Stack, Stacks};
pub use symbols::Symbols;
pub use write::Writer;
