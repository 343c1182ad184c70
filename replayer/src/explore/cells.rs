//! A heap's memory cut into cells of one length, and what most of each cell is: what pictures are made of.

use super::map::{HeapMap, Piece};
use std::ops::Range;

/// A class of pieces: a number below [`CLASSES`].
pub type Class = u8;
/// How many classes there may be.
pub const CLASSES: usize = 16;
/// The class of a cell where there is nothing.
pub const NOTHING: Class = 255;

/// How many pieces a class has, and how many bytes they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Pieces.
    pub pieces: u64,
    /// Bytes.
    pub bytes: u64,
}

impl HeapMap {
    /// What most of each cell is, where the first begins at `from` and all are `cell` bytes long, and where
    /// only these pieces count; `class` says of a piece what it is. Takes as long as there are pieces in
    /// the cells, and cells.
    pub fn cells(
        &self,
        pieces: Range<usize>,
        from: u64,
        cell: u64,
        count: usize,
        class: impl Fn(&Piece) -> Class,
    ) -> Vec<Class> {
        let cell = cell.max(1);
        let mut cells = vec![NOTHING; count];
        let end = from.saturating_add(cell.saturating_mul(count as u64));
        let all = &self.pieces[pieces];
        let first = all.partition_point(|piece| piece.address + piece.size <= from);
        let mut filling = Filling { number: 0, bytes: [0; CLASSES] };
        for piece in all[first..].iter().take_while(|piece| piece.address < end) {
            let class = class(piece);
            let (start, stop) =
                (piece.address.max(from) - from, (piece.address + piece.size).min(end) - from);
            let (first, last) = (start / cell, stop.saturating_sub(1) / cell);
            if filling.number != first {
                filling.settle(&mut cells, first);
            }
            if first == last {
                filling.add(class, stop - start);
                continue;
            }
            filling.add(class, (first + 1) * cell - start);
            filling.settle(&mut cells, last);
            let whole = index(first + 1)..index(last).min(count);
            if whole.start < whole.end {
                cells[whole].fill(class);
            }
            filling.add(class, stop - last * cell);
        }
        filling.settle(&mut cells, u64::MAX);
        cells
    }

    /// How much of the heap each class has.
    pub fn shares(&self, class: impl Fn(&Piece) -> Class) -> [Share; CLASSES] {
        let mut shares = [Share::default(); CLASSES];
        for piece in &self.pieces {
            if let Some(share) = shares.get_mut(usize::from(class(piece))) {
                share.pieces += 1;
                share.bytes += piece.size;
            }
        }
        shares
    }
}

/// The cell that is being filled.
struct Filling {
    number: u64,
    /// By class.
    bytes: [u64; CLASSES],
}

impl Filling {
    fn add(&mut self, class: Class, bytes: u64) {
        self.bytes[usize::from(class) % CLASSES] += bytes;
    }

    /// Nothing more comes into the cell: the next is this.
    fn settle(&mut self, cells: &mut [Class], next: u64) {
        let (class, most) = (0..)
            .zip(self.bytes)
            .max_by_key(|&(class, bytes)| (bytes, Class::MAX - class))
            .unwrap_or((NOTHING, 0));
        if most > 0
            && let Some(cell) = cells.get_mut(index(self.number))
        {
            *cell = class;
        }
        *self = Filling { number: next, bytes: [0; CLASSES] };
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::map::State;

    fn map(sizes: &[(u64, State)]) -> HeapMap {
        let mut map = HeapMap::default();
        let mut at = 1000;
        for &(size, state) in sizes {
            map.pieces.push(Piece::of_own(at, size).in_state(state));
            at += size;
        }
        map
    }

    #[test]
    fn a_cell_is_what_most_of_it_is() {
        let map = map(&[(30, State::Live), (50, State::Top), (300, State::Fast), (20, State::Live)]);
        let cells = |from, cell, count| {
            let class = |piece: &Piece| piece.state as Class;
            map.cells(0..map.pieces.len(), from, cell, count, class)
        };
        let (live, fast, top) = (State::Live as u8, State::Fast as u8, State::Top as u8);
        assert_eq!(cells(1000, 100, 5), [top, fast, fast, fast, NOTHING]);
        assert_eq!(cells(1000, 100, 2), [top, fast]);
        assert_eq!(cells(1000, 10, 5), [live, live, live, top, top]);
        assert_eq!(cells(1375, 10, 3), [live, live, live], "as many bytes: the lower class");
        assert_eq!(cells(900, 50, 4), [NOTHING, NOTHING, live, top]);
        assert_eq!(cells(5000, 50, 2), [NOTHING, NOTHING]);
        let shares = map.shares(|piece| piece.state as Class);
        assert_eq!(shares[State::Live.index()], Share { pieces: 2, bytes: 50 });
        assert_eq!(shares.iter().map(|share| share.bytes).sum::<u64>(), 400);
    }

    #[test]
    fn cells_are_what_adding_up_byte_by_byte_says() {
        let mut random = 7_u64;
        let states = [State::Live, State::Cached, State::Top, State::Own];
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 33
        };
        let pieces: Vec<(u64, State)> =
            (0..200).map(|_| (16 * (1 + next() % 12), states[(next() % 4) as usize])).collect();
        let map = map(&pieces);
        let of_byte = |at: u64| map.piece_at(at).map(|number| map.pieces[number].state as Class);
        for (from, cell) in [(1000, 64), (1016, 48), (1777, 100), (900, 7)] {
            let cells = map.cells(0..map.pieces.len(), from, cell, 150, |piece| piece.state as Class);
            for (number, &found) in (0..).zip(&cells) {
                let mut bytes = [0; CLASSES];
                let classes = (from + number * cell..from + (number + 1) * cell).filter_map(of_byte);
                classes.for_each(|class| bytes[usize::from(class)] += 1);
                let most = bytes.iter().max().copied().unwrap();
                let expected = bytes.iter().position(|&one| one == most && most > 0);
                let found = Some(usize::from(found)).filter(|_| found != NOTHING);
                assert_eq!(found, expected, "cell {number} of {cell} from {from}");
            }
        }
    }
}
