//! The columns of addresses and heads: where an allocation landed, when guessing was not enough.
//!
//! Three guesses are made at an address. Whoever asks for as much as it just freed mostly gets the
//! same place, so places freed in this batch are kept in stacks, one for each thread and size, and
//! one of the top few is the first guess. Fresh memory is handed out in order, so the place behind
//! the last allocation of this thread is the second. A `realloc` mostly leaves things where they
//! are: the third. What is left is written as the difference to the last place this thread got for
//! this size.
//!
//! These are habits that allocators have, not a model of one: a guess that fails costs two or three
//! bytes and is never wrong. Remembering what was freed in earlier batches too would save less than
//! 0.03 bytes a call on ten programs out of eleven and chain every batch to the ones before.

use super::unfold::Cursors;
use super::{Column, Columns};
use crate::damage::Fault;
use crate::varint;

/// The call failed and returned the null pointer.
const NULL: u8 = 0;
/// The allocation stayed where it was.
const STAYED: u8 = 1;
/// Right behind the last allocation of this thread that no freed place was used for.
const BEHIND: u8 = 2;
/// A number follows in the column of places: how many times 16 bytes away from the last of this thread and size.
const SIXTEENS: u8 = 3;
/// The same, in single bytes.
const BYTES: u8 = 4;
/// In a trace without placements: somewhere.
const SOMEWHERE: u8 = 1;
/// What is added to a depth in the stack of freed places.
const STACK: u8 = 5;
/// How deep one looks into a stack.
const DEPTH: u8 = 10;

/// The flags in a head, and the one that says the allocation has a mapping of its own, which tells
/// nothing about the next.
const FLAGS: u64 = 7;
const MAPPED: u64 = 2;

/// The stacks, shared by those threads and sizes that happen to meet in one.
const BINS: usize = 1 << 12;
/// The threads told apart.
const THREADS: usize = 1 << 8;

/// The size an allocation of `request` bytes is filed under: what malloc would most likely set
/// aside for it, in units of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class(u32);

impl Class {
    /// Filed nowhere.
    pub const NONE: Class = Class(0);

    /// The class of a request.
    #[inline]
    pub fn of(request: u64) -> Class {
        let sixteens = request.saturating_add(8 + 15) >> 4;
        Class(u32::try_from(sixteens).unwrap_or(u32::MAX).max(2))
    }

    fn bytes(self) -> u64 {
        u64::from(self.0) << 4
    }
}

/// What is remembered of a thread and a class.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    /// The top of the stack of freed places: the number of its node; 0 for none.
    top: u32,
    /// Where the last allocation was placed.
    last: u64,
}

/// A freed place in a stack.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    address: u64,
    below: u32,
}

/// What is remembered of a thread.
#[derive(Clone, Copy, Debug)]
struct Front {
    /// The end of its last allocation that no freed place was used for.
    address: u64,
    /// The lowest three bits of its last head.
    flags: u64,
}

/// What the next address and head are guessed from.
#[derive(Debug)]
pub(super) struct Guesses {
    bins: Vec<Bin>,
    fronts: Vec<Front>,
    /// All nodes; the first stands for no node.
    nodes: Vec<Node>,
    /// The top of the stack of unused nodes.
    spare: u32,
}

impl Default for Guesses {
    fn default() -> Guesses {
        let mut guesses = Guesses { bins: Vec::new(), fronts: Vec::new(), nodes: Vec::new(), spare: 0 };
        guesses.clear();
        guesses
    }
}

/// Who asks, and for how much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    bin: usize,
    front: usize,
    class: Class,
}

impl Asker {
    #[inline]
    pub fn new(thread: u32, class: Class) -> Asker {
        let mixed = (u64::from(class.0) ^ u64::from(thread) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Asker { bin: (mixed >> 52) as usize, front: thread as usize % THREADS, class }
    }
}

impl Guesses {
    /// Forgets everything: another batch begins.
    pub fn clear(&mut self) {
        self.bins.clear();
        self.bins.resize(BINS, Bin::default());
        self.fronts.clear();
        self.fronts.resize(THREADS, Front { address: 0, flags: 1 });
        self.nodes.clear();
        self.nodes.push(Node::default());
        self.spare = 0;
    }

    /// Writes the address and the head of an allocation that was at `old` before, if it was
    /// anywhere. Returns whether the head was not what one expects.
    #[inline]
    pub fn put(&mut self, asker: Asker, address: u64, head: u64, old: u64, columns: &mut Columns) -> bool {
        let guess = self.guess(asker, address, old);
        columns[Column::Guesses].push(guess);
        match guess {
            SIXTEENS => {
                varint::put_signed(&mut columns[Column::Places], self.distance(asker, address) / 16);
            }
            BYTES => varint::put_signed(&mut columns[Column::Places], self.distance(asker, address)),
            _ => {}
        }
        let surprise = head.wrapping_sub(self.expected_head(asker)).cast_signed();
        if surprise != 0 {
            varint::put_signed(&mut columns[Column::Heads], surprise);
        }
        self.settle(asker, guess, address, head);
        surprise != 0
    }

    /// Writes that a call returned the null pointer.
    #[inline]
    pub fn put_null(columns: &mut Columns) {
        columns[Column::Guesses].push(NULL);
    }

    /// Writes that a call returned memory, in a trace that does not say where.
    #[inline]
    pub fn put_somewhere(columns: &mut Columns) {
        columns[Column::Guesses].push(SOMEWHERE);
    }

    /// Reads whether a call returned memory, in a trace that does not say where.
    #[inline]
    pub fn take_somewhere(cursors: &mut Cursors<'_>) -> Result<bool, Fault> {
        match cursors[Column::Guesses].byte()? {
            NULL => Ok(false),
            SOMEWHERE => Ok(true),
            code => Err(Fault::Code { column: Column::Guesses, code }),
        }
    }

    /// Reads what [`put`](Self::put) or [`put_null`](Self::put_null) wrote: an address and a head,
    /// both 0 for the null pointer.
    #[inline]
    pub fn take(
        &mut self,
        asker: Asker,
        old: u64,
        surprise: bool,
        cursors: &mut Cursors<'_>,
    ) -> Result<(u64, u64), Fault> {
        let guess = cursors[Column::Guesses].byte()?;
        let address = match guess {
            NULL => return Ok((0, 0)),
            STAYED if old != 0 => old,
            BEHIND => self.fronts[asker.front].address,
            SIXTEENS => {
                self.reference(asker).wrapping_add_signed(cursors[Column::Places].signed()?.wrapping_mul(16))
            }
            BYTES => self.reference(asker).wrapping_add_signed(cursors[Column::Places].signed()?),
            code => self.pick(asker, code)?,
        };
        if address == 0 {
            return Err(Fault::Code { column: Column::Guesses, code: guess });
        }
        let difference = if surprise { cursors[Column::Heads].signed()? } else { 0 };
        let head = self.expected_head(asker).wrapping_add_signed(difference);
        self.settle(asker, guess, address, head);
        Ok((address, head))
    }

    /// A place was given back by `asker`'s thread.
    #[inline]
    pub fn release(&mut self, asker: Asker, address: u64) {
        let bin = &mut self.bins[asker.bin];
        let node = Node { address, below: bin.top };
        if self.spare == 0 {
            // As many nodes as a batch has records: their numbers fit.
            bin.top = u32::try_from(self.nodes.len()).expect("a batch is shorter than four billion records");
            self.nodes.push(node);
        } else {
            bin.top = self.spare;
            self.spare = std::mem::replace(&mut self.nodes[self.spare as usize], node).below;
        }
    }

    /// The code of the guess that is right. A place taken from a stack is removed.
    #[inline]
    fn guess(&mut self, asker: Asker, address: u64, old: u64) -> u8 {
        if address == old {
            return STAYED;
        }
        let top = self.bins[asker.bin].top;
        if self.nodes[top as usize].address == address {
            self.remove(asker, 0, top);
            return STACK;
        }
        if self.fronts[asker.front].address == address {
            return BEHIND;
        }
        if let Some(depth) = self.search(asker, address) {
            return STACK + depth;
        }
        if self.distance(asker, address) % 16 == 0 { SIXTEENS } else { BYTES }
    }

    /// Looks for `address` below the top of its stack, and removes it.
    fn search(&mut self, asker: Asker, address: u64) -> Option<u8> {
        let mut above = self.bins[asker.bin].top;
        for depth in 1..DEPTH {
            let node = self.nodes[above as usize].below;
            if node == 0 {
                return None;
            }
            if self.nodes[node as usize].address == address {
                self.remove(asker, above, node);
                return Some(depth);
            }
            above = node;
        }
        None
    }

    /// Removes the place at the depth that a code stands for.
    #[inline]
    fn pick(&mut self, asker: Asker, code: u8) -> Result<u64, Fault> {
        let wrong = Fault::Code { column: Column::Guesses, code };
        let depth = code.checked_sub(STACK).filter(|depth| *depth < DEPTH).ok_or(wrong)?;
        let (mut above, mut node) = (0, self.bins[asker.bin].top);
        for _ in 0..depth {
            (above, node) = (node, self.nodes[node as usize].below);
        }
        if node == 0 {
            return Err(wrong);
        }
        Ok(self.remove(asker, above, node))
    }

    /// Takes `node` out of its stack, where it lies below `above`, or on top if that is 0.
    #[inline]
    fn remove(&mut self, asker: Asker, above: u32, node: u32) -> u64 {
        let Node { address, below } = self.nodes[node as usize];
        if above == 0 {
            self.bins[asker.bin].top = below;
        } else {
            self.nodes[above as usize].below = below;
        }
        // Nobody looks for 0, so an unused node is never found at the top of an empty stack.
        self.nodes[node as usize] = Node { address: 0, below: self.spare };
        self.spare = node;
        address
    }

    /// How far `address` is from what differences refer to.
    #[inline]
    fn distance(&self, asker: Asker, address: u64) -> i64 {
        address.wrapping_sub(self.reference(asker)).cast_signed()
    }

    /// The last place of this thread and size; if there is none, where its fresh memory begins.
    #[inline]
    fn reference(&self, asker: Asker) -> u64 {
        match self.bins[asker.bin].last {
            0 => self.fronts[asker.front].address,
            last => last,
        }
    }

    /// A head tells the size, and flags which are mostly those of the thread's last head.
    #[inline]
    fn expected_head(&self, asker: Asker) -> u64 {
        asker.class.bytes() | self.fronts[asker.front].flags
    }

    /// Learns from an allocation.
    #[inline]
    fn settle(&mut self, asker: Asker, guess: u8, address: u64, head: u64) {
        let front = &mut self.fronts[asker.front];
        if head & MAPPED == 0 {
            front.flags = head & FLAGS;
        }
        if guess == STAYED {
            return;
        }
        self.bins[asker.bin].last = address;
        if guess < STACK && head & MAPPED == 0 {
            front.address = address.wrapping_add(head & !FLAGS);
        }
    }
}
