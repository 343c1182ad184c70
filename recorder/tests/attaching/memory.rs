//! What attaching could change of a process for good: the code of its modules, and the words through which they call
//! each other. Read by an ELF reader that is not ours, and the kernel's list of mappings.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use object::read::elf::ElfFile64;
use object::{Object, ObjectSymbol, ObjectSymbolTable, RelocationTarget};

/// By module and address: the words through which it calls others. By module and offset: what is never written, as a
/// checksum, and how it may be used.
#[derive(Debug, PartialEq, Eq)]
pub struct Image {
    words: BTreeMap<(String, u64), u64>,
    constant: BTreeMap<(String, u64), u64>,
    access: BTreeMap<(String, u64), u64>,
}

impl Image {
    /// Panics at the first difference.
    pub fn assert_same(&self, other: &Image) {
        for (which, one, other) in [
            ("word", &self.words, &other.words),
            ("code", &self.constant, &other.constant),
            ("right", &self.access, &other.access),
        ] {
            let differs = |(at, value): &(&(String, u64), &u64)| other.get(*at) != Some(*value);
            let found = one.iter().find(differs).map(|(at, value)| (at, value, other.get(at)));
            assert_eq!(found, None, "a {which} is not what it was");
            assert_eq!(one.len(), other.len());
        }
    }
}

/// The image of a process, as far as the modules with these names are concerned.
pub fn image(pid: u32, is_wanted: impl Fn(&str) -> bool) -> Image {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut image = Image { words: BTreeMap::new(), constant: BTreeMap::new(), access: BTreeMap::new() };
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [range, access, offset, _, _, path] = fields[..] else { continue };
        if !path.starts_with('/') || !is_wanted(path) {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end, offset] = [start, end, offset].map(|text| u64::from_str_radix(text, 16).unwrap());
        if offset == 0 {
            add_words(&mut image, &memory, path, start);
        }
        image.access.insert((path.to_owned(), offset), checksum(access.as_bytes()));
        if !access.contains('w') {
            let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
            memory.read_exact_at(&mut bytes, start).unwrap();
            image.constant.insert((path.to_owned(), offset), checksum(&bytes));
        }
    }
    assert!(!image.words.is_empty() && !image.constant.is_empty());
    image
}

fn add_words(image: &mut Image, memory: &File, path: &str, base: u64) {
    let file = fs::read(path).unwrap();
    let Ok(file) = ElfFile64::<object::Endianness>::parse(&*file) else { return };
    let is_fixed = file.kind() == object::ObjectKind::Executable;
    let bias = if is_fixed { 0 } else { base };
    let symbols = file.dynamic_symbol_table().unwrap();
    for (at, relocation) in file.dynamic_relocations().into_iter().flatten() {
        let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
        assert!(symbols.symbol_by_index(symbol).unwrap().name().is_ok());
        let mut word = [0; 8];
        memory.read_exact_at(&mut word, bias + at).unwrap();
        image.words.insert((path.to_owned(), at), u64::from_le_bytes(word));
    }
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
