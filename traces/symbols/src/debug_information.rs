//! Functions, inlined calls and lines out of DWARF.

use std::borrow::Cow;

use addr2line::{Context, LookupResult};
use gimli::{DwarfSections, EndianSlice, RunTimeEndian};

use crate::file::Elf;

/// The most functions that are inlined into each other at one address: compilers stop far before.
const DEEPEST: usize = 256;

/// A function that an address is in, as the compiler calls it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inlined {
    /// Its name, mangled if the compiler says it so.
    pub name: Option<String>,
    pub file: Option<String>,
    pub line: Option<u32>,
}

/// The sections of a file that say something of lines and functions.
pub(crate) struct Sections<'data> {
    own: DwarfSections<Cow<'data, [u8]>>,
    /// Those of the supplementary file, with what several files have in common.
    supplement: Option<DwarfSections<Cow<'data, [u8]>>>,
    endian: RunTimeEndian,
}

impl<'data> Sections<'data> {
    /// Reads the sections of a file, and of its supplement if there is one.
    pub fn read(elf: &Elf<'data>, supplement: Option<&Elf<'data>>) -> Sections<'data> {
        let endian = if elf.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        Sections { own: sections(elf), supplement: supplement.map(sections), endian }
    }

    /// Makes them ready to be asked; `None` if they are damaged.
    pub fn open(&self) -> Option<DebugInformation<'_>> {
        let dwarf = self.own.borrow_with_sup(self.supplement.as_ref(), |section| {
            EndianSlice::new(section.as_ref(), self.endian)
        });
        Some(DebugInformation { context: Context::from_dwarf(dwarf).ok()? })
    }
}

/// The sections of one file. What cannot be read is as if it were not there.
fn sections<'data>(elf: &Elf<'data>) -> DwarfSections<Cow<'data, [u8]>> {
    let section = |id: gimli::SectionId| {
        Ok::<_, std::convert::Infallible>(match id {
            // Where variables are: nobody asks for that, and it is a tenth of all.
            gimli::SectionId::DebugLoc | gimli::SectionId::DebugLocLists => Cow::Borrowed(&[][..]),
            id => elf.section(id.name()),
        })
    };
    match DwarfSections::load(section) {
        Ok(sections) => sections,
        Err(impossible) => match impossible {},
    }
}

/// DWARF that can be asked.
pub(crate) struct DebugInformation<'sections> {
    context: Context<EndianSlice<'sections, RunTimeEndian>>,
}

impl DebugInformation<'_> {
    /// The functions at an address of an instruction: the innermost first. Without a function there may be
    /// a line all the same. What is damaged says nothing.
    pub fn functions(&self, address: u64) -> Vec<Inlined> {
        // What lies in files of its own (split DWARF) is not looked for.
        let frames = match self.context.find_frames(address) {
            LookupResult::Output(frames) => frames,
            load => load.skip_all_loads(),
        };
        let Ok(mut frames) = frames else { return Vec::new() };
        let mut functions = Vec::new();
        while functions.len() < DEEPEST
            && let Ok(Some(frame)) = frames.next()
        {
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let location = frame.location.as_ref();
            functions.push(Inlined {
                name: name.filter(|name| !name.is_empty()).map(Cow::into_owned),
                file: location.and_then(|location| location.file).map(str::to_owned),
                line: location.and_then(|location| location.line).filter(|line| *line > 0),
            });
        }
        functions
    }
}
