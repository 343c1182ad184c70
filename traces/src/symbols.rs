//! The names of a trace's frames: functions, files and lines, so that a trace can be read where its
//! programs are not.
//!
//! They are in a frame of their own behind the records, and nothing else depends on them: what is
//! missing or damaged there leaves addresses. Every text is there once, numbers stand for it. Who finds
//! the names is left to others; [`embed`](crate::embed()) puts them into a trace.

use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

use crate::damage::Fault;
use crate::encoding;
use crate::error::Error;
use crate::frame::{self, Frame, Kind};
use crate::redaction::file_name;
use crate::source::Source;
use crate::stacks::ModuleId;

/// How hard zstd tries: symbols are written once, by somebody who waited for debug information.
const LEVEL: i32 = 9;

/// A function that an address is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Function<'a> {
    /// Its name, demangled; empty if only its line is known.
    pub name: &'a str,
    /// The file that the line is in, as the compiler was told it.
    pub file: Option<&'a str>,
    /// The line, from 1: of the call in it.
    pub line: Option<u32>,
}

/// The names of frames.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Symbols {
    /// All texts, one behind the other.
    text: String,
    /// Where each text ends. Within `text`, in order, and between two characters.
    ends: Vec<u32>,
    /// The functions of all places. Their texts exist.
    functions: Vec<Named>,
    /// In the order of module and address, none twice. Their functions exist.
    places: Vec<Place>,
}

/// A function by the numbers of its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    name: u32,
    /// 0 if there is none, otherwise one more than its number.
    file: u32,
    /// 0 if it is not known.
    line: u32,
}

/// An address, and where its functions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    module: ModuleId,
    address: u64,
    end: u32,
}

/// The body of the frame, before it is packed.
#[derive(Serialize, Deserialize)]
struct Body<'bytes> {
    text: &'bytes str,
    lengths: Vec<u32>,
    functions: Vec<Named>,
    /// The module, how far the address is behind the last (behind 0 in another module), and how many
    /// functions it has.
    places: Vec<(u32, u64, u32)>,
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Symbols of {} addresses", self.places.len())
    }
}

impl Symbols {
    /// The functions at an address ([`Frame`](crate::stacks::Frame)): the innermost first, each inlined
    /// into the next. None if nothing is known of it.
    pub fn of(&self, module: ModuleId, address: u64) -> impl ExactSizeIterator<Item = Function<'_>> {
        let found = self.places.binary_search_by_key(&(module, address), |at| (at.module, at.address));
        let named = found.map_or(&[][..], |number| {
            let begin = number.checked_sub(1).map_or(0, |before| self.places[before].end);
            &self.functions[begin as usize..self.places[number].end as usize]
        });
        named.iter().map(|named| self.function(*named))
    }

    /// How many addresses have a name or a line.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The same, but of files only what they are called.
    pub(crate) fn without_folders(&self) -> Symbols {
        let mut left = Builder::default();
        let mut begin = 0;
        for place in &self.places {
            let functions = self.functions[begin..place.end as usize].iter().map(|named| {
                let function = self.function(*named);
                Function { file: function.file.map(file_name), ..function }
            });
            left.put(place.module, place.address, functions);
            begin = place.end as usize;
        }
        left.finish()
    }

    fn function(&self, named: Named) -> Function<'_> {
        Function {
            name: self.text(named.name),
            file: named.file.checked_sub(1).map(|number| self.text(number)),
            line: (named.line > 0).then_some(named.line),
        }
    }

    fn text(&self, number: u32) -> &str {
        let number = number as usize;
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[begin as usize..self.ends[number] as usize]
    }

    /// Appends the body of the frame. Returns how long it is when unpacked.
    pub(crate) fn pack(&self, into: &mut Vec<u8>) -> Result<u32, Error> {
        let mut unpacked = Vec::new();
        encoding::encode(&self.body(), &mut unpacked);
        let packed = zstd::bulk::compress(&unpacked, LEVEL).map_err(Error::Writing)?;
        let length = unpacked.len().max(packed.len());
        let too_long = || Error::TooLong { part: Kind::Symbols.name(), length, limit: frame::LONGEST };
        if length > frame::LONGEST {
            return Err(too_long());
        }
        into.extend_from_slice(&packed);
        u32::try_from(unpacked.len()).map_err(|_| too_long())
    }

    fn body(&self) -> Body<'_> {
        let mut last = Place { module: ModuleId(0), address: 0, end: 0 };
        let place = |place: &Place| {
            let from = if place.module == last.module { last.address } else { 0 };
            let told = (place.module.0, place.address - from, place.end - last.end);
            last = *place;
            told
        };
        Body {
            text: &self.text,
            lengths: differences(&self.ends),
            functions: self.functions.clone(),
            places: self.places.iter().map(place).collect(),
        }
    }

    /// Reads such a body, and believes nothing in it that does not fit together.
    fn unpack(frame: Frame, body: &[u8]) -> Result<Symbols, Fault> {
        // The frame was read, so this length is within bounds.
        let bytes = zstd::bulk::decompress(body, frame.unpacked as usize).map_err(|_| Fault::Encoding)?;
        Symbols::checked(encoding::decode(&bytes)?).ok_or(Fault::Encoding)
    }

    fn checked(body: Body<'_>) -> Option<Symbols> {
        let ends = sums(body.lengths.iter().copied())?;
        let all_there = ends.last().copied().unwrap_or(0) as usize == body.text.len();
        let between_characters = ends.iter().all(|end| body.text.is_char_boundary(*end as usize));
        let texts = ends.len();
        let exists = |named: &Named| (named.name as usize) < texts && named.file as usize <= texts;
        let functions_end = sums(body.places.iter().map(|(.., functions)| *functions))?;
        let all_used = functions_end.last().copied().unwrap_or(0) as usize == body.functions.len();
        if !(all_there && between_characters && all_used && body.functions.iter().all(exists)) {
            return None;
        }
        let mut places: Vec<Place> = Vec::with_capacity(body.places.len());
        for ((module, behind, _), end) in body.places.into_iter().zip(functions_end) {
            let module = ModuleId(module);
            let last = places.last().filter(|last| last.module == module);
            let address = last.map_or(0, |last| last.address).checked_add(behind)?;
            if places.last().is_some_and(|last| (last.module, last.address) >= (module, address)) {
                return None;
            }
            places.push(Place { module, address, end });
        }
        Some(Symbols { text: body.text.to_owned(), ends, functions: body.functions, places })
    }
}

/// Each number less the one before it. They never fall.
fn differences(numbers: &[u32]) -> Vec<u32> {
    let before = std::iter::once(0).chain(numbers.iter().copied());
    numbers.iter().zip(before).map(|(number, before)| number - before).collect()
}

/// Each number with all those before it, if that is no more than can be counted.
fn sums(numbers: impl Iterator<Item = u32>) -> Option<Vec<u32>> {
    let mut sum = 0_u32;
    let add = |number| {
        sum = sum.checked_add(number)?;
        Some(sum)
    };
    numbers.map(add).collect()
}

/// Gathers names, in any order.
#[derive(Debug, Default)]
pub struct Builder {
    symbols: Symbols,
    numbers: HashMap<String, u32>,
    /// The places, with where their functions begin in `symbols`.
    begins: Vec<(Place, u32)>,
}

impl Builder {
    /// Says what is at an address: the innermost function first. What was said of it first counts.
    ///
    /// Names beyond four gigabytes of text, or four billion of anything, are left out.
    pub fn put<'a>(
        &mut self,
        module: ModuleId,
        address: u64,
        functions: impl IntoIterator<Item = Function<'a>>,
    ) {
        let begin = self.symbols.functions.len();
        for function in functions {
            let Some(named) = self.named(function) else { break };
            self.symbols.functions.push(named);
        }
        let end = self.symbols.functions.len();
        if let (Ok(begin), Ok(end)) = (u32::try_from(begin), u32::try_from(end))
            && begin < end
        {
            self.begins.push((Place { module, address, end }, begin));
        }
    }

    /// All that was said.
    pub fn finish(self) -> Symbols {
        let Builder { mut symbols, mut begins, .. } = self;
        // Stable, so that the first of equals stays the first.
        begins.sort_by_key(|(place, _)| (place.module, place.address));
        begins.dedup_by_key(|(place, _)| (place.module, place.address));
        let unsorted = std::mem::take(&mut symbols.functions);
        for (place, begin) in begins {
            symbols.functions.extend_from_slice(&unsorted[begin as usize..place.end as usize]);
            let end = u32::try_from(symbols.functions.len()).expect("no more than there were unsorted");
            symbols.places.push(Place { end, ..place });
        }
        symbols
    }

    fn named(&mut self, function: Function<'_>) -> Option<Named> {
        let file = match function.file {
            Some(file) => self.number(file)? + 1,
            None => 0,
        };
        Some(Named { name: self.number(function.name)?, file, line: function.line.unwrap_or(0) })
    }

    /// The number of a text; never the highest there is.
    fn number(&mut self, text: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(text) {
            return Some(*number);
        }
        let number = u32::try_from(self.symbols.ends.len()).ok().filter(|number| *number < u32::MAX)?;
        let end = u32::try_from(self.symbols.text.len().checked_add(text.len())?).ok()?;
        self.symbols.text.push_str(text);
        self.symbols.ends.push(end);
        self.numbers.insert(text.to_owned(), number);
        Some(number)
    }
}

impl<R: Read + Seek> Source<R> {
    /// The symbols in the frames from a byte on, which is where a frame begins; the last of them count.
    /// Nothing if there are none, or if they cannot be read.
    ///
    /// Damage is not told of here: whoever reads the records comes past it.
    pub fn symbols(&mut self, from: u64) -> Result<Option<Symbols>, Error> {
        let mut found = None;
        let mut next = self.next_frame(from)?;
        while let Some((at, frame)) = next {
            if frame.kind == Kind::Symbols {
                found = Some((at, frame));
            }
            next = self.frame_after(at, Some(frame))?;
        }
        let Some((at, frame)) = found else { return Ok(None) };
        let mut body = Vec::new();
        let read = self.body(at, frame, &mut body)?.and_then(|()| Symbols::unpack(frame, &body));
        Ok(read.ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str) -> Function<'_> {
        Function { name, file: Some("a.c"), line: Some(3) }
    }

    fn body(symbols: &Symbols) -> Body<'_> {
        symbols.body()
    }

    fn two() -> Symbols {
        let mut builder = Builder::default();
        builder.put(ModuleId(1), 16, [function("inlined"), function("outer")]);
        builder.put(ModuleId(0), 32, [Function { name: "é", file: None, line: None }]);
        builder.finish()
    }

    #[test]
    fn what_was_said_first_of_an_address_counts_and_each_text_is_there_once() {
        let mut builder = Builder::default();
        builder.put(ModuleId(0), 9, [function("b"), function("a")]);
        builder.put(ModuleId(0), 9, [function("c")]);
        builder.put(ModuleId(0), 8, []);
        let symbols = builder.finish();
        assert_eq!(symbols.of(ModuleId(0), 9).map(|f| f.name).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(symbols.of(ModuleId(0), 8).len(), 0);
        assert_eq!((symbols.len(), symbols.text.as_str()), (1, "a.cbac"));
    }

    #[test]
    fn a_body_that_contradicts_itself_is_not_believed() {
        let symbols = two();
        assert_eq!(Symbols::checked(body(&symbols)), Some(symbols.clone()));
        let wrong: [fn(&mut Body<'_>); 9] = [
            |body| body.lengths[0] += 1,
            |body| body.lengths.push(u32::MAX),
            |body| (body.lengths[0], body.lengths[1]) = (body.lengths[0] + 1, body.lengths[1] - 1),
            |body| body.functions[0].name = 99,
            |body| body.functions[0].file = 99,
            |body| body.functions.truncate(1),
            |body| body.places[0].2 = u32::MAX,
            |body| body.places.swap(0, 1),
            |body| body.places.extend([(1, u64::MAX, 0)]),
        ];
        for (number, change) in wrong.into_iter().enumerate() {
            let mut damaged = body(&symbols);
            // Texts in the order in which they came: "a.c", "inlined", "outer", "é".
            if number == 2 {
                damaged.lengths = vec![3, 7, 6, 1];
            } else {
                change(&mut damaged);
            }
            assert_eq!(Symbols::checked(damaged), None, "change {number}");
        }
    }
}
