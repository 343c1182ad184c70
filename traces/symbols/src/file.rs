//! One ELF file: who it is, whom it names, its sections and its symbols.
//!
//! Nothing is mapped: what is asked for is read, once, and kept until the file is closed. A file that
//! claims its sections to overlap cannot make us read it many times over.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use object::read::elf::{ElfFile, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{CompressedData, CompressionFormat, Endianness, Object, ObjectSection, ReadCache, elf};

use crate::symbol_table::{Symbol, SymbolTable};

/// How often a file may be read through, and what is granted to small ones besides. Sections that do not
/// overlap need one reading.
const READINGS: u64 = 3;
const GRANTED: u64 = 1 << 20;

/// The longest section when unpacked. The longest of real ones, those of browsers, have some two gigabytes.
const LONGEST_SECTION: u64 = 1 << 32;

/// How many times as long as it is packed a section is believed to be, before that is seen.
const BELIEVED: usize = 16;

/// How much memory unpacking `.gnu_debugdata` may take beside what it unpacks, in KiB. `xz -9` asks for 64 MiB.
const XZ_MEMORY: u32 = 128 << 10;

/// The longest `.gnu_debugdata` when unpacked: a symbol table. Large ones have some megabytes.
const LONGEST_MINI: u64 = 1 << 28;

/// The bytes of a file, read as they are asked for.
type Bytes = ReadCache<Limited>;

/// Where the bytes of a file come from.
#[derive(Debug)]
enum Limited {
    File { file: File, left: u64 },
    Memory(io::Cursor<Vec<u8>>),
}

impl Read for Limited {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Limited::Memory(bytes) => bytes.read(into),
            Limited::File { file, left } => {
                let read = file.read(into)?;
                *left = left.checked_sub(read as u64).ok_or(io::ErrorKind::FileTooLarge)?;
                Ok(read)
            }
        }
    }
}

impl Seek for Limited {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Limited::Memory(bytes) => bytes.seek(to),
            Limited::File { file, .. } => file.seek(to),
        }
    }
}

/// A file that was opened, and is an ELF file if [`elf`](Self::elf) says so.
#[derive(Debug)]
pub(crate) struct Opened {
    pub path: PathBuf,
    bytes: Bytes,
}

impl Opened {
    /// Opens a file; `None` if there is none. Devices and pipes, which a trace may name too, are left alone.
    pub fn open(path: &Path) -> Option<Opened> {
        let about = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let file = File::open(path).ok()?;
        let left = about.len().saturating_mul(READINGS).saturating_add(GRANTED);
        Some(Opened { path: path.to_owned(), bytes: ReadCache::new(Limited::File { file, left }) })
    }

    /// A file that was in another.
    fn of_memory(path: &Path, bytes: Vec<u8>) -> Opened {
        let bytes = ReadCache::new(Limited::Memory(io::Cursor::new(bytes)));
        Opened { path: path.to_owned(), bytes }
    }

    /// What is in it, if it is an ELF file.
    pub fn elf(&self) -> Option<Elf<'_>> {
        Some(Elf { file: object::File::parse(&self.bytes).ok()?, path: &self.path })
    }
}

/// A link to a file of debug information: its name and its checksum.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub name: String,
    pub checksum: u32,
}

/// A link to a supplementary file: its path, from the file's own folder, and its build id.
#[derive(Clone, Debug)]
pub(crate) struct Supplement {
    pub path: String,
    pub build_id: Vec<u8>,
}

/// An ELF file that is open.
pub(crate) struct Elf<'data> {
    file: object::File<'data, &'data Bytes>,
    path: &'data Path,
}

impl<'data> Elf<'data> {
    /// The GNU build id; empty if it has none.
    pub fn build_id(&self) -> &'data [u8] {
        self.file.build_id().ok().flatten().unwrap_or_default()
    }

    pub fn link(&self) -> Option<Link> {
        let (name, checksum) = self.file.gnu_debuglink().ok()??;
        Some(Link { name: String::from_utf8(name.to_vec()).ok()?, checksum })
    }

    pub fn supplement(&self) -> Option<Supplement> {
        let (path, build_id) = self.file.gnu_debugaltlink().ok()??;
        Some(Supplement { path: String::from_utf8(path.to_vec()).ok()?, build_id: build_id.to_vec() })
    }

    /// Whether it has DWARF, and not only the place where it was.
    pub fn has_debug_information(&self) -> bool {
        let section = self.file.section_by_name(".debug_info");
        section.is_some_and(|section| {
            section.compressed_file_range().is_ok_and(|range| range.compressed_size > 0)
        })
    }

    /// Whether it has a whole table of symbols, and not only of those that others may use.
    pub fn has_symbols(&self) -> bool {
        self.file.symbols().next().is_some()
    }

    pub fn is_little_endian(&self) -> bool {
        self.file.is_little_endian()
    }

    /// The addresses of its first byte and behind its last that are mapped.
    pub fn extent(&self) -> Option<(u64, u64)> {
        match &self.file {
            object::File::Elf32(file) => extent(file),
            object::File::Elf64(file) => extent(file),
            _ => None,
        }
    }

    /// A section, unpacked; empty if there is none or it is damaged.
    pub fn section(&self, name: &str) -> Cow<'data, [u8]> {
        let section = self.file.section_by_name(name);
        section.and_then(|section| unpack(section.compressed_data().ok()?)).unwrap_or_default()
    }

    /// The symbols of functions: of all of them, or of those that other files may use, and of
    /// `.gnu_debugdata` if it has that.
    pub fn symbols(&self) -> SymbolTable {
        let mut symbols = Vec::new();
        self.gather(&mut symbols);
        if !self.has_symbols()
            && let Some(mini) = self.mini_debug_information()
            && let Some(elf) = mini.elf()
        {
            elf.gather(&mut symbols);
        }
        SymbolTable::new(symbols)
    }

    /// The ELF file in `.gnu_debugdata`.
    fn mini_debug_information(&self) -> Option<Opened> {
        let packed = self.file.section_by_name(".gnu_debugdata")?.data().ok()?;
        let mut bytes = Vec::new();
        let reader = lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_MEMORY);
        reader.take(LONGEST_MINI).read_to_end(&mut bytes).ok()?;
        Some(Opened::of_memory(self.path, bytes))
    }

    fn gather(&self, into: &mut Vec<Symbol>) {
        match &self.file {
            object::File::Elf32(file) => gather(file, into),
            object::File::Elf64(file) => gather(file, into),
            _ => {}
        }
    }
}

fn extent<'a, H: FileHeader<Endian = Endianness>>(file: &ElfFile<'a, H, &'a Bytes>) -> Option<(u64, u64)> {
    let endian = file.endian();
    let segments = file.elf_program_headers().iter();
    let segments = segments.filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let extents = segments.map(|segment| {
        let begin = segment.p_vaddr(endian).into();
        (begin, begin.saturating_add(segment.p_memsz(endian).into()))
    });
    extents.reduce(|(begin, end), (other_begin, other_end)| (begin.min(other_begin), end.max(other_end)))
}

/// Appends the functions of a file's tables of symbols.
fn gather<'data, H: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'data, H, &'data Bytes>,
    into: &mut Vec<Symbol>,
) {
    let endian = file.endian();
    let sections = file.elf_section_table();
    for table in [file.elf_symbol_table(), file.elf_dynamic_symbol_table()] {
        // All names at once: they are read one by one otherwise, and long ones not at all.
        let strings = sections.section(table.string_section());
        let Ok(strings) = strings.and_then(|section| section.data(endian, file.data())) else { continue };
        for (index, symbol) in table.enumerate() {
            let kind = symbol.st_type();
            let is_code = matches!(kind, elf::STT_FUNC | elf::STT_GNU_IFUNC);
            let section = table.symbol_section(endian, symbol, index).ok().flatten();
            let Some(section) = section.and_then(|index| sections.section(index).ok()) else { continue };
            let is_executable = section.sh_flags(endian).contains(elf::SHF_EXECINSTR);
            if !(is_executable && (is_code || kind == elf::STT_NOTYPE)) {
                continue;
            }
            let Some(name) = name(strings, symbol.st_name(endian)) else { continue };
            let begin: u64 = section.sh_addr(endian).into();
            into.push(Symbol {
                address: symbol.st_value(endian).into(),
                size: symbol.st_size(endian).into(),
                section_end: begin.saturating_add(section.sh_size(endian).into()),
                is_function: is_code,
                binding: symbol.st_bind(),
                name,
            });
        }
    }
}

/// A name in a table of them; `None` if it is empty or not in the table.
fn name(strings: &[u8], at: u32) -> Option<String> {
    let rest = strings.get(at as usize..)?;
    let length = rest.iter().position(|byte| *byte == 0)?;
    (length > 0).then(|| String::from_utf8_lossy(&rest[..length]).into_owned())
}

fn unpack(section: CompressedData<'_>) -> Option<Cow<'_, [u8]>> {
    let mut reader: Box<dyn Read + '_> = match section.format {
        CompressionFormat::None => return Some(Cow::Borrowed(section.data)),
        CompressionFormat::Zlib => Box::new(flate2::read::ZlibDecoder::new(section.data)),
        CompressionFormat::Zstandard => Box::new(zstd::Decoder::with_buffer(section.data).ok()?),
        _ => return None,
    };
    let length = usize::try_from(section.uncompressed_size.min(LONGEST_SECTION)).ok()?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length.min(section.data.len().saturating_mul(BELIEVED))).ok()?;
    reader.by_ref().take(length as u64).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == section.uncompressed_size).then_some(Cow::Owned(bytes))
}
