//! The agent's file, read as a dynamic linker reads it: what it promises not to do to a program.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use malloscope_recorder::agent::BYTES;
use malloscope_wire::handover::MARK;
use object::elf::{self, DynamicFlags, DynamicTag, FileHeader64, ProgramHeader64};
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol};

fn file() -> ElfFile64<'static> {
    ElfFile64::parse(BYTES).unwrap()
}

fn segments() -> &'static [ProgramHeader64<Endianness>] {
    let header = FileHeader64::<Endianness>::parse(BYTES).unwrap();
    header.program_headers(Endianness::Little, BYTES).unwrap()
}

/// The value of this tag in the dynamic section.
fn value(tag: DynamicTag) -> Option<u64> {
    let endian = Endianness::Little;
    let entries = segments().iter().find_map(|segment| segment.dynamic(endian, BYTES).unwrap()).unwrap();
    entries.iter().find(|entry| entry.tag(endian) == tag).map(|entry| entry.d_val(endian))
}

fn has_flag(flag: DynamicFlags) -> bool {
    value(elf::DT_FLAGS).unwrap() & flag.0 != 0
}

#[test]
fn it_needs_no_library_and_runs_nothing_when_it_is_loaded() {
    for tag in [elf::DT_NEEDED, elf::DT_INIT, elf::DT_INIT_ARRAY, elf::DT_FINI, elf::DT_RUNPATH] {
        assert_eq!(value(tag), None, "tag {tag:#x}");
    }
}

#[test]
fn at_the_end_of_a_program_it_runs_one_function() {
    let bytes = value(elf::DT_FINI_ARRAYSZ);
    assert_eq!(bytes, Some(size_of::<u64>() as u64));
}

#[test]
fn it_asks_for_one_symbol_and_can_do_without() {
    let file = file();
    let wanted: Vec<_> = file.dynamic_symbols().filter(|symbol| symbol.is_undefined()).collect();
    let names: Vec<&str> = wanted.iter().map(|symbol| symbol.name().unwrap()).collect();
    assert_eq!(names, ["dl_iterate_phdr"]);
    assert!(wanted.iter().all(|symbol| symbol.is_weak()));
    assert_eq!(value(elf::DT_VERNEED), None, "nor for a version of it");
}

#[test]
fn it_has_no_thread_local_storage() {
    assert!(segments().iter().all(|segment| segment.p_type(Endianness::Little) != elf::PT_TLS));
    assert!(!has_flag(elf::DF_STATIC_TLS));
}

#[test]
fn all_it_asks_for_is_bound_when_it_is_loaded() {
    assert!(has_flag(elf::DF_BIND_NOW));
    assert_eq!(value(elf::DT_JMPREL), None, "there is nothing to be bound later");
    assert!(segments().iter().any(|segment| segment.p_type(Endianness::Little) == elf::PT_GNU_RELRO));
}

#[test]
fn its_stack_is_not_executable_and_no_memory_is_both_written_and_run() {
    for segment in segments() {
        let flags = segment.p_flags(Endianness::Little);
        assert_ne!(flags & (elf::PF_W | elf::PF_X), elf::PF_W | elf::PF_X);
    }
}

#[test]
fn it_defines_what_it_stands_before_and_nothing_else() {
    let file = file();
    let defined: BTreeSet<&str> = file
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition())
        .map(|symbol| symbol.name().unwrap())
        .collect();
    let expected = BTreeSet::from([
        "aligned_alloc",
        "brk",
        "calloc",
        "cfree",
        "dlclose",
        "fork",
        "free",
        "free_aligned_sized",
        "free_sized",
        "mallopt",
        "malloc",
        "malloc_trim",
        "memalign",
        "posix_memalign",
        "prctl",
        "pvalloc",
        "realloc",
        "reallocarray",
        "sbrk",
        "syscall",
        "valloc",
    ]);
    assert_eq!(defined, expected);
}

#[test]
fn it_cannot_panic() {
    let mark = b"malloscope's agent might panic. ";
    assert!(BYTES.windows(mark.len()).all(|window| window != mark));
}

#[test]
fn there_is_one_place_to_write_a_path_into() {
    let places = BYTES.windows(MARK.len()).filter(|window| *window == MARK).count();
    assert_eq!(places, 1);
}

#[test]
fn it_can_be_run_as_a_program() {
    let file = file();
    let text = file.section_by_name(".text").unwrap();
    assert!((text.address()..text.address() + text.size()).contains(&file.entry()));
    // Without the name of a dynamic linker, those of 2.35 and later would take it for a static program.
    assert!(segments().iter().any(|segment| segment.p_type(Endianness::Little) == elf::PT_INTERP));
}

#[test]
fn it_is_small() {
    let text = file().section_by_name(".text").unwrap().size();
    assert!(text < 64 << 10, "{text} bytes of code are loaded into every program");
    assert!(BYTES.len() < 256 << 10);
}
