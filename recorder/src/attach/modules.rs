//! The modules loaded into a process, read from outside: what they define, and the words through which they
//! call what others define.
//!
//! All of it is the process's memory and not to be trusted: what makes no sense is not there, and every list
//! has an end.

use super::target::Target;
use crate::program::number;

/// How many modules a process may have.
const MOST_MODULES: usize = 1 << 14;

/// How many symbols a module may have.
const MOST_SYMBOLS: u64 = 1 << 22;

/// A loaded module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The file it was loaded from; empty for the program.
    pub name: String,
    /// How far it was moved from the addresses in its file.
    pub bias: u64,
    /// Where its dynamic section is.
    dynamic: u64,
}

/// What a dynamic section says.
#[derive(Clone, Copy, Debug, Default)]
struct Tables {
    strings: u64,
    strings_length: u64,
    symbols: u64,
    gnu_hash: u64,
    hash: u64,
    relocations: u64,
    relocations_length: u64,
    calls: u64,
    calls_length: u64,
    own_name: Option<u64>,
}

const DT_NULL: u64 = 0;
const DT_PLTRELSZ: u64 = 2;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_JMPREL: u64 = 23;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

/// Bytes of a symbol, and where in it is what.
const SYMBOL: u64 = 24;
const VALUE: u64 = 8;

/// Bytes of a relocation.
const RELOCATION: usize = 24;

/// The relocations whose word is the address of what a symbol stands for: `R_X86_64_64`, `GLOB_DAT` and `JUMP_SLOT`.
const OF_SYMBOLS: [u32; 3] = [1, 6, 7];

/// What a module defines.
#[derive(Clone, Copy, Debug)]
pub struct Defined {
    /// Where it is.
    pub at: u64,
    /// Where in the module's table of symbols its value is.
    pub value_at: u64,
}

/// A word that holds the address of what a name stands for.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Where the word is.
    pub at: u64,
    /// Which of the names that were asked for.
    pub name: usize,
}

/// All modules, the program first, in the order in which the dynamic linker searches them; `None` if
/// its list is just being changed, or cannot be found.
pub fn loaded(target: &Target) -> Option<Vec<Module>> {
    const CONSISTENT: u32 = 0;
    let linker = linker(target)?;
    let debug = linker.find(target, "_r_debug")?.at;
    if target.half(debug + 24)? != CONSISTENT {
        return None;
    }
    let mut modules = Vec::new();
    let mut at = target.word(debug + 8)?;
    while at != 0 && modules.len() < MOST_MODULES {
        let [bias, name, dynamic, next] = [0, 8, 16, 24].map(|offset| target.word(at + offset));
        let name = target.string(name?).unwrap_or_default();
        let name = String::from_utf8_lossy(&name).into_owned();
        modules.push(Module { name, bias: bias?, dynamic: dynamic? });
        at = next?;
    }
    (!modules.is_empty()).then_some(modules)
}

/// The dynamic linker.
pub fn linker(target: &Target) -> Option<Module> {
    let base = match target.auxiliary(libc::AT_BASE)? {
        // It was run as a program.
        0 => target.auxiliary(libc::AT_PHDR)? & !0xfff,
        base => base,
    };
    let (_, dynamic, _) = segments(target, base)?.into_iter().find(|(kind, ..)| *kind == libc::PT_DYNAMIC)?;
    Some(Module { name: "ld.so".to_owned(), bias: base, dynamic })
}

/// The segments of the object whose header is at `base`: kind, address, length.
pub fn segments(target: &Target, base: u64) -> Option<Vec<(u32, u64, u64)>> {
    let header = target.bytes(base, 64)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (at, count) = (number::<8>(&header, 32), number::<2>(&header, 56));
    let headers = target.bytes(base.checked_add(at)?, count * 56)?;
    let segments = headers.as_chunks::<56>().0.iter();
    let segment = |header: &[u8; 56]| {
        let kind = u32::try_from(number::<4>(header, 0)).unwrap_or(0);
        (kind, base.wrapping_add(number::<8>(header, 16)), number::<8>(header, 40))
    };
    Some(segments.map(segment).collect())
}

impl Module {
    /// The part of its memory that is only read once it is loaded, if its header is where its file begins.
    pub fn read_only(&self, target: &Target) -> Option<(u64, u64)> {
        let segments = segments(target, self.bias)?;
        segments
            .into_iter()
            .find(|(kind, ..)| *kind == libc::PT_GNU_RELRO)
            .map(|(_, at, length)| (at, length))
    }

    /// Its build id; empty if it has none.
    pub fn build_id(&self, target: &Target) -> Vec<u8> {
        let segments = segments(target, self.bias).unwrap_or_default();
        let notes = segments.into_iter().filter(|(kind, ..)| *kind == libc::PT_NOTE);
        let mut bytes = notes.filter_map(|(_, at, length)| target.bytes(at, length.min(1 << 16)));
        bytes.find_map(|notes| build_id_in(&notes)).unwrap_or_default()
    }

    /// All of it that is loaded, segment by segment: where each is, and what is there.
    pub fn loaded_bytes<'a>(&self, target: &'a Target) -> impl Iterator<Item = (u64, Vec<u8>)> + 'a {
        let segments = segments(target, self.bias).unwrap_or_default().into_iter();
        let loaded = segments.filter(|(kind, ..)| *kind == libc::PT_LOAD);
        loaded.filter_map(|(_, at, length)| Some((at, target.bytes(at, length)?)))
    }

    /// The name others ask for it by; empty if it has none.
    pub fn own_name(&self, target: &Target) -> String {
        let tables = self.tables(target);
        let name = tables.own_name.and_then(|at| target.string(tables.strings.checked_add(at)?));
        String::from_utf8_lossy(&name.unwrap_or_default()).into_owned()
    }

    /// What it defines under this name.
    pub fn find(&self, target: &Target, name: &str) -> Option<Defined> {
        self.definitions(target, &[name]).into_iter().next().map(|(_, defined)| defined)
    }

    /// All it defines under any of these names: which of them, and what. There may be several versions of one.
    pub fn definitions(&self, target: &Target, names: &[&str]) -> Vec<(usize, Defined)> {
        self.read_definitions(target, names).unwrap_or_default()
    }

    fn read_definitions(&self, target: &Target, names: &[&str]) -> Option<Vec<(usize, Defined)>> {
        let tables = self.tables(target);
        let count = tables.symbol_count(target)?.min(MOST_SYMBOLS);
        let symbols = target.bytes(tables.symbols, count * SYMBOL)?;
        let strings = target.bytes(tables.strings, tables.strings_length)?;
        let symbols = symbols.as_chunks::<24>().0.iter().zip(0_u64..);
        let defined = symbols.filter_map(|(symbol, index)| {
            let (section, value) = (number::<2>(symbol, 6), number::<8>(symbol, 8));
            let named = name_at(&strings, number::<4>(symbol, 0))?;
            let name = names.iter().position(|name| name.as_bytes() == named)?;
            let at = self.bias.wrapping_add(value);
            let value_at = tables.symbols + index * SYMBOL + VALUE;
            (section != 0).then_some((name, Defined { at, value_at }))
        });
        Some(defined.collect())
    }

    /// The words that hold the addresses of what these names stand for.
    pub fn slots(&self, target: &Target, names: &[&str]) -> Vec<Slot> {
        self.read_slots(target, names).unwrap_or_default()
    }

    fn read_slots(&self, target: &Target, names: &[&str]) -> Option<Vec<Slot>> {
        let tables = self.tables(target);
        let pieces = [(tables.relocations, tables.relocations_length), (tables.calls, tables.calls_length)];
        let of_symbols: Vec<(u64, u64)> = pieces
            .into_iter()
            .filter(|(at, _)| *at != 0)
            .filter_map(|(at, length)| target.bytes(at, length))
            .flat_map(|bytes| {
                bytes.as_chunks::<RELOCATION>().0.iter().filter_map(of_symbol).collect::<Vec<_>>()
            })
            .collect();
        let count = of_symbols.iter().map(|(_, symbol)| symbol + 1).max()?;
        let symbols = target.bytes(tables.symbols, count.min(MOST_SYMBOLS) * SYMBOL)?;
        let strings = target.bytes(tables.strings, tables.strings_length)?;
        let slot = |(offset, symbol): (u64, u64)| {
            let symbol = usize::try_from(symbol).ok()?;
            let named = name_at(&strings, number::<4>(symbols.as_chunks::<24>().0.get(symbol)?, 0))?;
            let name = names.iter().position(|name| name.as_bytes() == named)?;
            Some(Slot { at: self.bias.wrapping_add(offset), name })
        };
        Some(of_symbols.into_iter().filter_map(slot).collect())
    }

    fn tables(&self, target: &Target) -> Tables {
        const MOST_ENTRIES: u64 = 1 << 10;
        let mut tables = Tables::default();
        // glibc writes absolute addresses into the section when it loads an object, but not into all.
        let absolute = |value: u64| if value < self.bias { value + self.bias } else { value };
        for entry in 0..MOST_ENTRIES {
            let at = self.dynamic.wrapping_add(entry * 16);
            let (Some(tag), Some(value)) = (target.word(at), target.word(at.wrapping_add(8))) else { break };
            match tag {
                DT_NULL => break,
                DT_STRTAB => tables.strings = absolute(value),
                DT_STRSZ => tables.strings_length = value,
                DT_SYMTAB => tables.symbols = absolute(value),
                DT_GNU_HASH => tables.gnu_hash = absolute(value),
                DT_HASH => tables.hash = absolute(value),
                DT_RELA => tables.relocations = absolute(value),
                DT_RELASZ => tables.relocations_length = value,
                DT_JMPREL => tables.calls = absolute(value),
                DT_PLTRELSZ => tables.calls_length = value,
                DT_SONAME => tables.own_name = Some(value),
                _ => {}
            }
        }
        tables
    }
}

impl Tables {
    /// How many symbols there are, which only the tables of their hashes tell.
    fn symbol_count(&self, target: &Target) -> Option<u64> {
        if self.hash != 0 {
            return target.half(self.hash + 4).map(u64::from);
        }
        let header = target.bytes(self.gnu_hash, 16)?;
        let [buckets, first, words] = [0, 4, 8].map(|at| number::<4>(&header, at));
        let buckets_at = self.gnu_hash + 16 + words * 8;
        let last = target.bytes(buckets_at, buckets * 4)?;
        let last =
            last.as_chunks::<4>().0.iter().map(|bucket| u64::from(u32::from_le_bytes(*bucket))).max()?;
        if last < first {
            return Some(first);
        }
        let entries = buckets_at + buckets * 4;
        // The lowest bit of a hash ends a bucket.
        let ends =
            |symbol: &u64| target.half(entries + (symbol - first) * 4).is_none_or(|hash| hash & 1 != 0);
        (last..MOST_SYMBOLS).find(ends).map(|symbol| symbol + 1)
    }
}

/// Where the word of a relocation is, and the number of its symbol, if it holds that symbol's address.
fn of_symbol(relocation: &[u8; RELOCATION]) -> Option<(u64, u64)> {
    let kind = u32::try_from(number::<4>(relocation, 8)).ok()?;
    let (symbol, addend) = (number::<4>(relocation, 12), number::<8>(relocation, 16));
    (OF_SYMBOLS.contains(&kind) && addend == 0 && symbol != 0).then_some((number::<8>(relocation, 0), symbol))
}

/// The string that begins there.
fn name_at(strings: &[u8], at: u64) -> Option<&[u8]> {
    strings.get(usize::try_from(at).ok()?..)?.split(|byte| *byte == 0).next()
}

/// The build id among these notes: each is the lengths of a name and a content, a kind, the name, the content.
fn build_id_in(notes: &[u8]) -> Option<Vec<u8>> {
    let is_it = |note: &[u8]| note.starts_with(&[4, 0, 0, 0]) && note.ends_with(b"\x03\0\0\0GNU\0");
    let rest = notes.windows(16).position(is_it).and_then(|at| notes.get(at..))?;
    let length = usize::try_from(number::<4>(rest, 4)).ok()?;
    rest.get(16..)?.get(..length).map(<[u8]>::to_vec)
}
