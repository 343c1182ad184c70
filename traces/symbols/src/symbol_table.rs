//! The functions of a symbol table, by address.
//!
//! A symbol names the bytes from its address on, as many as its size says. Functions in hand-written
//! assembly often have no size: such a one reaches to the next symbol, and no further than its section.
//! Where symbols overlap, the one that begins last counts; of several at one address, the one that others
//! are most likely to know.

use object::elf;

/// A function of a symbol table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    pub address: u64,
    /// In bytes; 0 if it is not known.
    pub size: u64,
    /// Where its section ends.
    pub section_end: u64,
    /// Whether it says of itself that it is a function, and not only a place in code.
    pub is_function: bool,
    /// `STB_GLOBAL`, `STB_WEAK`, `STB_LOCAL` …
    pub binding: elf::SymbolBind,
    pub name: String,
}

impl Symbol {
    /// Which of several symbols of one address counts: the smallest. A name with fewer underscores in
    /// front is the one that programs use.
    fn order(&self) -> impl Ord + '_ {
        let binding = match self.binding {
            elf::STB_GLOBAL => 0,
            elf::STB_WEAK => 1,
            _ => 2,
        };
        let underscores = self.name.bytes().take_while(|byte| *byte == b'_').count();
        (self.size == 0, !self.is_function, binding, underscores, self.name.len(), &self.name)
    }
}

/// A stretch of code and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    begin: u64,
    end: u64,
    symbol: usize,
}

/// The functions of a file, by address.
#[derive(Debug, Default)]
pub(crate) struct SymbolTable {
    symbols: Vec<Symbol>,
    /// In order, and none overlaps another.
    stretches: Vec<Stretch>,
}

impl SymbolTable {
    /// The table of these symbols.
    pub fn new(mut symbols: Vec<Symbol>) -> SymbolTable {
        symbols.sort_by(|a, b| a.address.cmp(&b.address).then_with(|| a.order().cmp(&b.order())));
        symbols.dedup_by_key(|symbol| symbol.address);
        let nexts = symbols.iter().skip(1).map(|next| next.address).chain([u64::MAX]);
        let end = |(symbol, next): (&Symbol, u64)| match symbol.size {
            0 => symbol.section_end.min(next),
            size => symbol.address.saturating_add(size),
        };
        let ends: Vec<u64> = symbols.iter().zip(nexts).map(end).collect();
        let stretches = flattened(&symbols, &ends);
        SymbolTable { symbols, stretches }
    }

    /// The name of the function that an address is in, as linkers see it.
    pub fn name(&self, address: u64) -> Option<&str> {
        let behind = self.stretches.partition_point(|stretch| stretch.begin <= address);
        let stretch = self.stretches[..behind].last().filter(|stretch| address < stretch.end)?;
        Some(&self.symbols[stretch.symbol].name)
    }
}

/// Each address given to the last symbol that begins at or before it and has not ended.
fn flattened(symbols: &[Symbol], ends: &[u64]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::with_capacity(symbols.len());
    // Those that have begun, the last of them last; and up to where everything is given.
    let (mut open, mut given): (Vec<usize>, u64) = (Vec::new(), 0);
    let mut give = |begin: &mut u64, end: u64, symbol: usize| {
        if *begin < end {
            stretches.push(Stretch { begin: *begin, end, symbol });
            *begin = end;
        }
    };
    for (number, symbol) in symbols.iter().enumerate() {
        while let Some(&last) = open.last() {
            give(&mut given, ends[last].min(symbol.address), last);
            if ends[last] > symbol.address {
                break;
            }
            open.pop();
        }
        given = given.max(symbol.address);
        open.push(number);
    }
    while let Some(last) = open.pop() {
        give(&mut given, ends[last], last);
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str, address: u64, size: u64) -> Symbol {
        Symbol {
            address,
            size,
            section_end: 1000,
            is_function: true,
            binding: elf::STB_GLOBAL,
            name: name.to_owned(),
        }
    }

    #[test]
    fn an_address_has_the_name_of_the_symbol_it_is_in_and_no_other() {
        let table = SymbolTable::new(vec![
            symbol("outer", 100, 100),
            symbol("inner", 120, 10),
            symbol("assembly", 300, 0),
            symbol("next", 350, 10),
            symbol("last", 900, 0),
            symbol("__alias", 350, 10),
            Symbol { binding: elf::STB_LOCAL, ..symbol("alias", 100, 100) },
        ]);
        let cases = [
            (99, None),
            (100, Some("outer")),
            (125, Some("inner")),
            (130, Some("outer")),
            (199, Some("outer")),
            (200, None),
            (349, Some("assembly")),
            (350, Some("next")),
            (360, None),
            (999, Some("last")),
            (1000, None),
            (u64::MAX, None),
        ];
        for (address, name) in cases {
            assert_eq!(table.name(address), name, "at {address}");
        }
        assert_eq!(SymbolTable::default().name(0), None);
    }

    #[test]
    fn every_address_agrees_with_a_plain_search() {
        // Twenty symbols, placed by a linear congruence so that they overlap in every way.
        let mut state = 1_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let symbols: Vec<_> =
                (0..20).map(|number| symbol(&format!("f{number:02}"), next(200), 1 + next(60))).collect();
            let table = SymbolTable::new(symbols.clone());
            for address in 0..300 {
                let mut within: Vec<_> = symbols.iter().collect();
                within.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
                within.dedup_by_key(|symbol| symbol.address);
                within.retain(|symbol| (symbol.address..symbol.address + symbol.size).contains(&address));
                assert_eq!(table.name(address), within.last().map(|symbol| symbol.name.as_str()));
            }
        }
    }
}
