//! The objects loaded into this process, and the functions they define.
//!
//! `dlsym` may call malloc and takes its time to say no, so we read the tables the dynamic linker
//! itself uses: program headers, dynamic section, GNU hash table. They were loaded, hence checked,
//! by that linker; what is read here is trusted as far as it trusts it.

use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use core::{ptr, slice};

use libc::{Elf64_Ehdr, Elf64_Phdr, Elf64_Sym, dl_phdr_info};

use crate::{arrival, system};

// The one symbol we want from others. Weak, so that no dynamic linker can refuse to load us for
// want of it: an agent that stops a program from starting is worse than none.
global_asm!(".weak dl_iterate_phdr", ".hidden __ehdr_start");

type Visit = unsafe extern "C" fn(*mut dl_phdr_info, usize, *mut c_void) -> c_int;
type Iterate = unsafe extern "C" fn(Visit, *mut c_void) -> c_int;

/// `dl_iterate_phdr`, if this process has one.
fn iterate() -> Option<Iterate> {
    let address: usize;
    // SAFETY: reads an entry of our own global offset table. A declared function would be assumed to exist.
    unsafe {
        asm!(
            "mov {}, qword ptr [rip + dl_iterate_phdr@GOTPCREL]",
            out(reg) address,
            options(nostack, pure, readonly, preserves_flags),
        );
    }
    // SAFETY: either zero, which is `None`, or the function of this type.
    unsafe { core::mem::transmute::<usize, Option<Iterate>>(address) }
}

/// Shows every loaded object to `look`, in the order in which the dynamic linker searches them,
/// until it breaks off.
pub fn each(mut look: impl FnMut(&Object) -> ControlFlow<()>) {
    if arrival::is_lonely_copy() {
        return each_listed(look);
    }
    let Some(iterate) = iterate() else { return };
    let mut look = |object: &Object| {
        // The program comes first.
        if PROGRAM.load(Ordering::Relaxed).is_null() {
            PROGRAM_HEADERS.store(object.headers.len(), Ordering::Relaxed);
            PROGRAM.store(object.headers.as_ptr().cast_mut(), Ordering::Release);
        }
        look(object)
    };
    let mut look: &mut dyn FnMut(&Object) -> ControlFlow<()> = &mut look;
    // SAFETY: `visit` is given the closure, which lives until this returns.
    unsafe { iterate(visit, ptr::from_mut(&mut look).cast()) };
}

/// The program headers of the program, once they have been seen.
static PROGRAM: AtomicPtr<Elf64_Phdr> = AtomicPtr::new(ptr::null_mut());
static PROGRAM_HEADERS: AtomicUsize = AtomicUsize::new(0);

/// The dynamic linker's `_r_debug`; null while it is not known.
pub static LIST: AtomicPtr<Debug> = AtomicPtr::new(ptr::null_mut());

/// What debuggers read: the list of loaded objects. As `struct r_debug` of `link.h`.
#[repr(C)]
pub struct Debug {
    version: c_int,
    first: *const Listed,
}

/// An object on that list. As `struct link_map` of `link.h`.
#[repr(C)]
struct Listed {
    base: usize,
    name: *const c_char,
    dynamic: *const Dynamic,
    next: *const Listed,
}

/// The same as [`each`], by the list that debuggers read, and without the lock that others change it under.
///
/// For a copy of a process (`fork`) with one thread: that lock was not given back if another thread of the parent
/// had it, and `dl_iterate_phdr` would wait for ever. Until glibc 2.35 every C++ exception takes it.
fn each_listed(mut look: impl FnMut(&Object) -> ControlFlow<()>) {
    // SAFETY: null, or the dynamic linker's own.
    let Some(debug) = (unsafe { LIST.load(Ordering::Relaxed).as_ref() }) else { return };
    let mut next = debug.first;
    // SAFETY: nobody else is here to change the list, and whoever did so when we were copied changed one pointer at a time.
    while let Some(listed) = unsafe { next.as_ref() } {
        if let Some(object) = Object::listed(listed)
            && look(&object).is_break()
        {
            return;
        }
        next = listed.next;
    }
}

/// This object itself, which no table of the dynamic linker has if a recorder put it into a running process.
pub fn own() -> Object {
    let header: *const Elf64_Ehdr;
    // SAFETY: reads nothing: where an object's file begins is where its first segment is.
    unsafe {
        asm!(
            "lea {}, [rip + __ehdr_start]",
            out(reg) header,
            options(nomem, nostack, preserves_flags),
        );
    }
    // SAFETY: we are loaded, and the linker put it there.
    unsafe { Object::with_header(header, c"[malloscope]".as_ptr()) }
}

unsafe extern "C" fn visit(info: *mut dl_phdr_info, _size: usize, data: *mut c_void) -> c_int {
    // SAFETY: `each` passed the address of such a reference, and is waiting for us.
    let look = unsafe { &mut *data.cast::<&mut dyn FnMut(&Object) -> ControlFlow<()>>() };
    // SAFETY: the dynamic linker passes a valid description.
    let info = unsafe { &*info };
    // SAFETY: the object is loaded, so its headers are in memory.
    let object = unsafe { Object::described_by(info) };
    c_int::from(look(&object).is_break())
}

/// A loaded object.
pub struct Object {
    base: usize,
    name: *const c_char,
    headers: &'static [Elf64_Phdr],
    tables: Tables,
}

/// A description as `dl_iterate_phdr` would give it.
fn described(base: usize, name: *const c_char, headers: *const Elf64_Phdr, count: u16) -> dl_phdr_info {
    dl_phdr_info {
        dlpi_addr: base as u64,
        dlpi_name: name,
        dlpi_phdr: headers,
        dlpi_phnum: count,
        // What follows is not looked at.
        dlpi_adds: 0,
        dlpi_subs: 0,
        dlpi_tls_modid: 0,
        dlpi_tls_data: ptr::null_mut(),
    }
}

/// Addresses of the parts of an object's dynamic section; 0 where it has none.
#[derive(Clone, Copy, Default)]
struct Tables {
    strings: usize,
    symbols: usize,
    versions: usize,
    hashes: usize,
    /// Where in `strings` the object's own name is.
    own_name: Option<usize>,
}

/// An entry of a dynamic section.
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: usize,
}

const DT_NULL: i64 = 0;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_SONAME: i64 = 14;
const DT_GNU_HASH: i64 = 0x6fff_fef5;
const DT_VERSYM: i64 = 0x6fff_fff0;

impl Object {
    /// # Safety
    ///
    /// `info` describes an object that is loaded.
    unsafe fn described_by(info: &dl_phdr_info) -> Object {
        // SAFETY: as promised; an object that is loaded before malloc is first called stays loaded.
        let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let mut object = Object {
            base: info.dlpi_addr as usize,
            name: info.dlpi_name,
            headers,
            tables: Tables::default(),
        };
        if let Some(header) = object.header(libc::PT_DYNAMIC) {
            let first = (object.base + header.p_vaddr as usize) as *const Dynamic;
            // SAFETY: a loaded object's dynamic section lies where its header says.
            object.tables = unsafe { Tables::read(first, object.base) };
        }
        object
    }

    /// # Safety
    ///
    /// An object is loaded whose header is there, and has this name.
    unsafe fn with_header(header: *const Elf64_Ehdr, name: *const c_char) -> Object {
        // SAFETY: as promised.
        let &Elf64_Ehdr { e_phoff, e_phnum, .. } = unsafe { &*header };
        let base = header as usize;
        let headers = (base + e_phoff as usize) as *const Elf64_Phdr;
        // SAFETY: as promised.
        unsafe { Object::described_by(&described(base, name, headers, e_phnum)) }
    }

    /// An object on the list, if it is as far as having a place.
    fn listed(listed: &Listed) -> Option<Object> {
        const MAGIC: u32 = u32::from_le_bytes(*b"\x7fELF");
        if listed.dynamic.is_null() {
            return None;
        }
        if listed.base == 0 {
            // A program that is not moved: where its header is, is not told here.
            let headers = PROGRAM.load(Ordering::Acquire);
            let count = PROGRAM_HEADERS.load(Ordering::Relaxed) as u16;
            let info = described(0, listed.name, headers, count);
            // SAFETY: the program's own headers, as the dynamic linker told them.
            return (!headers.is_null()).then(|| unsafe { Object::described_by(&info) });
        }
        let header = listed.base as *const u32;
        if !system::can_be_read(listed.base) {
            return None;
        }
        // SAFETY: it can be read.
        let is_header = unsafe { header.read() } == MAGIC;
        // SAFETY: an object on the list is loaded, and there is its header.
        is_header.then(|| unsafe { Object::with_header(header.cast(), listed.name) })
    }

    /// The file it was loaded from; empty for the program itself.
    pub fn name(&self) -> &CStr {
        // SAFETY: the dynamic linker's own name for the object.
        unsafe { CStr::from_ptr(self.name) }
    }

    /// The name others ask for it by.
    pub fn own_name(&self) -> Option<&CStr> {
        // SAFETY: the offset is the object's own, into its own strings.
        self.tables.own_name.map(|at| unsafe { self.string(at) })
    }

    /// Whether this address lies within it.
    pub fn contains(&self, address: usize) -> bool {
        self.headers.iter().filter(|header| header.p_type == libc::PT_LOAD).any(|header| {
            let begin = self.base.wrapping_add(header.p_vaddr as usize);
            address.wrapping_sub(begin) < header.p_memsz as usize
        })
    }

    /// The address of what it defines under this name, as of the name's default version.
    pub fn find(&self, name: &CStr) -> Option<*mut ()> {
        let Tables { symbols, strings, hashes, .. } = self.tables;
        if symbols == 0 || strings == 0 || hashes == 0 {
            return None;
        }
        let wanted = hash(name.to_bytes());
        // SAFETY: the table of a loaded object.
        let table = unsafe { HashTable::at(hashes) };
        let mut index = table.first(wanted)?;
        loop {
            let entry = table.entry(index);
            if (entry ^ wanted) >> 1 == 0 && self.defines(index, name) {
                let symbol = self.symbol(index);
                return Some(self.base.wrapping_add(symbol.st_value as usize) as *mut ());
            }
            if entry & 1 != 0 {
                return None;
            }
            index += 1;
        }
    }

    /// Whether the symbol with this index is a definition of this name, in its default version,
    /// that needs no resolving of its own.
    fn defines(&self, index: u32, name: &CStr) -> bool {
        const STT_GNU_IFUNC: u8 = 10;
        let symbol = self.symbol(index);
        // SAFETY: the offset is the symbol's own, into its object's strings.
        let named = unsafe { self.string(symbol.st_name as usize) };
        symbol.st_shndx != 0
            && symbol.st_info & 0xf != STT_GNU_IFUNC
            && named == name
            && !self.is_hidden_version(index)
    }

    fn is_hidden_version(&self, index: u32) -> bool {
        const HIDDEN: u16 = 0x8000;
        let versions = self.tables.versions as *const u16;
        if versions.is_null() {
            return false;
        }
        // SAFETY: there is a version for every symbol.
        let version = unsafe { versions.add(index as usize) };
        // SAFETY: as above.
        unsafe { version.read() & HIDDEN != 0 }
    }

    fn symbol(&self, index: u32) -> &Elf64_Sym {
        // SAFETY: the index comes from the object's own hash table.
        let symbol = unsafe { (self.tables.symbols as *const Elf64_Sym).add(index as usize) };
        // SAFETY: as above.
        unsafe { &*symbol }
    }

    /// # Safety
    ///
    /// The object has a string at that offset.
    unsafe fn string(&self, at: usize) -> &CStr {
        // SAFETY: as promised.
        unsafe { CStr::from_ptr((self.tables.strings + at) as *const c_char) }
    }

    fn header(&self, kind: u32) -> Option<&Elf64_Phdr> {
        self.headers.iter().find(|header| header.p_type == kind)
    }

    /// How far it was moved from the addresses in its file.
    pub fn bias(&self) -> usize {
        self.base
    }

    /// Where its first segment begins, and its last one ends.
    pub fn extent(&self) -> (usize, usize) {
        let segments = || self.headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
        let start = segments().map(|header| header.p_vaddr).min().unwrap_or(0);
        let end = segments().map(|header| header.p_vaddr.wrapping_add(header.p_memsz)).max().unwrap_or(0);
        (self.base.wrapping_add(start as usize), self.base.wrapping_add(end as usize))
    }

    /// Where its data lies that can be written, from start to end.
    pub fn writable(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let data = |header: &&Elf64_Phdr| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W != 0;
        self.headers.iter().filter(data).map(|header| {
            let start = self.base.wrapping_add(header.p_vaddr as usize);
            (start, start.wrapping_add(header.p_memsz as usize))
        })
    }

    /// Where its `.eh_frame_hdr` is; 0 if it has none.
    pub fn unwinding(&self) -> usize {
        let header = self.header(libc::PT_GNU_EH_FRAME);
        header.map_or(0, |header| self.base.wrapping_add(header.p_vaddr as usize))
    }

    /// Its build id; empty if it has none.
    pub fn build_id(&self) -> &[u8] {
        self.headers
            .iter()
            .filter(|header| header.p_type == libc::PT_NOTE)
            .find_map(|header| {
                let at = (self.base + header.p_vaddr as usize) as *const u8;
                // SAFETY: notes of a loaded object lie within a loaded segment.
                build_id_in(unsafe { slice::from_raw_parts(at, header.p_memsz as usize) })
            })
            .unwrap_or_default()
    }
}

impl Tables {
    /// # Safety
    ///
    /// `entry` begins the dynamic section of the object loaded at `base`.
    unsafe fn read(mut entry: *const Dynamic, base: usize) -> Tables {
        let mut tables = Tables::default();
        // glibc writes absolute addresses into the section when it loads an object, but not into the
        // kernel's own object, and musl into none.
        let absolute = |value: usize| if value < base { base + value } else { value };
        loop {
            // SAFETY: we stop at the entry that ends the section.
            let &Dynamic { tag, value } = unsafe { &*entry };
            match tag {
                DT_NULL => return tables,
                DT_STRTAB => tables.strings = absolute(value),
                DT_SYMTAB => tables.symbols = absolute(value),
                DT_VERSYM => tables.versions = absolute(value),
                DT_GNU_HASH => tables.hashes = absolute(value),
                DT_SONAME => tables.own_name = Some(value),
                _ => {}
            }
            // SAFETY: this was not the last entry.
            entry = unsafe { entry.add(1) };
        }
    }
}

/// A GNU hash table: buckets of symbol indices, and for each symbol its hash, whose lowest bit ends a bucket.
struct HashTable {
    bucket_count: u32,
    first_symbol: u32,
    buckets: *const u32,
    entries: *const u32,
}

impl HashTable {
    /// # Safety
    ///
    /// Such a table is there.
    unsafe fn at(address: usize) -> HashTable {
        let words = address as *const u32;
        // SAFETY: as promised, four counts come first: buckets, first symbol, words of filter, shift.
        let [bucket_count, first_symbol, filter_words, _] = unsafe { words.cast::<[u32; 4]>().read() };
        let buckets = words.wrapping_add(4 + 2 * filter_words as usize);
        HashTable {
            bucket_count,
            first_symbol,
            buckets,
            entries: buckets.wrapping_add(bucket_count as usize),
        }
    }

    /// The first symbol that may have this hash.
    fn first(&self, hash: u32) -> Option<u32> {
        let bucket = hash.checked_rem(self.bucket_count)?;
        // SAFETY: a bucket of this table.
        let bucket = unsafe { self.buckets.add(bucket as usize) };
        // SAFETY: as above.
        let index = unsafe { bucket.read() };
        (index >= self.first_symbol).then_some(index)
    }

    fn entry(&self, index: u32) -> u32 {
        // SAFETY: the index is from a bucket, or follows one that did not end it.
        let entry = unsafe { self.entries.add((index - self.first_symbol) as usize) };
        // SAFETY: as above.
        unsafe { entry.read() }
    }
}

/// The hash of a name, as GNU hash tables have it.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)))
}

/// The build id among these notes: each is the lengths of a name and a content, a kind, the name, the
/// content, both filled up to four bytes.
fn build_id_in(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let (header, rest) = notes.split_first_chunk::<12>()?;
        let word = |at: usize| Some(u32::from_ne_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let (name_length, length, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let (name, rest) = rest.split_at_checked(name_length.checked_next_multiple_of(4)?)?;
        if kind == NT_GNU_BUILD_ID && name.starts_with(b"GNU\0") {
            return rest.get(..length);
        }
        notes = rest.get(length.checked_next_multiple_of(4)?..)?;
    }
}
