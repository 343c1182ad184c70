//! Modules and addresses in, symbols out, one module after the other; and what was missing.

use std::path::{Path, PathBuf};

use malloscope_traces::Symbols;
use malloscope_traces::stacks::{Module, ModuleId, Stacks};
use malloscope_traces::symbols::{Builder, Function};

use crate::debug_information::{DebugInformation, Inlined, Sections};
use crate::debuginfod::{Artifact, Fetch};
use crate::demangle::demangle;
use crate::file::{Elf, Opened};
use crate::search::Search;
use crate::symbol_table::SymbolTable;

/// Finds files and looks addresses up.
#[derive(Debug, Default)]
pub struct Symbolizer {
    search: Search,
}

/// What was found of all modules.
#[derive(Debug, Default)]
pub struct Resolution {
    /// The names and lines.
    pub symbols: Symbols,
    /// What was found of each module that has frames, in the order of their numbers.
    pub modules: Vec<Resolved>,
}

/// What was found of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Which.
    pub module: ModuleId,
    /// How many addresses there are in it.
    pub addresses: usize,
    /// How many of them have the name of a function.
    pub named: usize,
    /// How many of them have a line.
    pub with_line: usize,
    /// Its own file, if it is there.
    pub file: Option<PathBuf>,
    /// Where its lines come from.
    pub lines: Lines,
    /// What would have said more, and is not there.
    pub missing: Option<Missing>,
}

/// Where the lines of a module come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lines {
    /// From nowhere: there are at most names.
    None,
    /// From its own file.
    Own,
    /// From a file of debug information.
    Separate(PathBuf),
}

/// What is missing of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Its file, or there is another one in its place.
    File,
    /// Debug information.
    DebugInformation,
    /// The file that holds what its debug information has in common with others' (`.gnu_debugaltlink`).
    Supplement,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A module is begun.
    Module {
        /// How many were before it.
        done: usize,
        /// How many there are.
        of: usize,
        /// Its path.
        path: &'a str,
    },
    /// Something is fetched from a server.
    Fetch(Fetch<'a>),
}

/// The addresses of all frames that are in a module, in order, each once.
pub fn addresses(stacks: &Stacks) -> Vec<(ModuleId, u64)> {
    let frames = stacks.frames.iter().flatten();
    let mut addresses: Vec<_> = frames.filter_map(|frame| Some((frame.module?, frame.address))).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

impl Symbolizer {
    /// One that looks for files there.
    pub fn new(search: Search) -> Symbolizer {
        Symbolizer { search }
    }

    /// Resolves all frames of a trace.
    pub fn resolve(&mut self, stacks: &Stacks, progress: &mut dyn FnMut(Progress<'_>)) -> Resolution {
        self.resolve_addresses(&stacks.modules, &addresses(stacks), progress)
    }

    /// Resolves some addresses, which are in order: those of frames, where calls return to.
    pub fn resolve_addresses(
        &mut self,
        modules: &[Module],
        addresses: &[(ModuleId, u64)],
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Resolution {
        let mut symbols = Builder::default();
        let mut resolved = Vec::new();
        let groups = addresses.chunk_by(|(module, _), (other, _)| module == other);
        let of = groups.clone().count();
        for (done, group) in groups.enumerate() {
            let Some(&(id, _)) = group.first() else { continue };
            let Some(module) = modules.get(id.0 as usize) else { continue };
            progress(Progress::Module { done, of, path: &module.path });
            let asked = Asked { id, module, addresses: group };
            let fetched = &mut |fetch: Fetch<'_>| progress(Progress::Fetch(fetch));
            resolved.push(self.resolve_module(asked, &mut symbols, fetched));
        }
        Resolution { symbols: symbols.finish(), modules: resolved }
    }

    fn resolve_module(
        &mut self,
        asked: Asked<'_>,
        symbols: &mut Builder,
        progress: &mut dyn FnMut(Fetch<'_>),
    ) -> Resolved {
        let files = self.files(asked.module, progress);
        let (own, debug) = (opened(&files.own), opened(&files.debug));
        let supplement = opened(&files.supplement);
        let with_lines = debug.as_ref().or(own.as_ref()).filter(|elf| elf.has_debug_information());
        let sections = with_lines.map(|elf| Sections::read(elf, supplement.as_ref()));
        // A separate file may have the symbols that its program was stripped of.
        let tables = Tables { own: table(own.as_ref()), debug: table(debug.as_ref()) };
        let lookup = Lookup { lines: sections.as_ref().and_then(Sections::open), tables };
        let (named, with_line) = lookup.all(&asked, symbols);
        let lines = match (&lookup.lines, &files.debug) {
            (None, _) => Lines::None,
            (Some(_), Some(debug)) => Lines::Separate(debug.path.clone()),
            (Some(_), None) => Lines::Own,
        };
        Resolved {
            module: asked.id,
            addresses: asked.addresses.len(),
            named,
            with_line,
            missing: files.missing(lookup.lines.is_some()),
            file: files.own.map(|own| own.path),
            lines,
        }
    }

    /// Finds the files of a module.
    fn files(&mut self, module: &Module, progress: &mut dyn FnMut(Fetch<'_>)) -> Files {
        let mut own = self.search.module(module);
        let elf = opened(&own);
        let has_lines = elf.as_ref().is_some_and(Elf::has_debug_information);
        let mut debug = None;
        if !has_lines {
            let link = elf.as_ref().and_then(Elf::link);
            debug = self.search.debug_information(module, link.as_ref());
            if !opened(&debug).is_some_and(|elf| elf.has_debug_information()) {
                let fetched = self.search.fetch(&module.build_id, Artifact::DebugInformation, progress);
                debug = fetched.or(debug);
            }
        }
        if own.is_none() && debug.is_none() {
            own = self.search.fetch(&module.build_id, Artifact::Executable, progress);
        }
        let of = debug.as_ref().or(own.as_ref());
        let wanted = of.and_then(|file| Some((file.elf()?.supplement()?, file.path.clone())));
        let supplement =
            wanted.as_ref().and_then(|(wanted, of)| self.search.supplement(wanted, of, progress));
        let lacks_supplement = wanted.is_some() && supplement.is_none();
        Files { own, debug, supplement, lacks_supplement }
    }
}

/// What is to be looked up in one module.
struct Asked<'a> {
    id: ModuleId,
    module: &'a Module,
    addresses: &'a [(ModuleId, u64)],
}

/// The files of a module.
struct Files {
    own: Option<Opened>,
    /// With the debug information, if that is in a file of its own.
    debug: Option<Opened>,
    supplement: Option<Opened>,
    lacks_supplement: bool,
}

impl Files {
    fn missing(&self, has_lines: bool) -> Option<Missing> {
        match has_lines {
            true => self.lacks_supplement.then_some(Missing::Supplement),
            false if self.own.is_none() => Some(Missing::File),
            false => Some(Missing::DebugInformation),
        }
    }
}

fn opened(file: &Option<Opened>) -> Option<Elf<'_>> {
    file.as_ref()?.elf()
}

fn table(elf: Option<&Elf<'_>>) -> SymbolTable {
    elf.map(Elf::symbols).unwrap_or_default()
}

/// The symbols of a module's own file, and of that with its debug information.
struct Tables {
    own: SymbolTable,
    debug: SymbolTable,
}

impl Tables {
    /// The name of the function that an address is in. The file that more was left in is asked first.
    fn name(&self, address: u64) -> Option<&str> {
        self.debug.name(address).or_else(|| self.own.name(address))
    }
}

/// All that is known of the addresses of one module.
struct Lookup<'a> {
    lines: Option<DebugInformation<'a>>,
    tables: Tables,
}

impl Lookup<'_> {
    /// Looks all addresses up. Returns how many have a name, and how many a line.
    fn all(&self, asked: &Asked<'_>, symbols: &mut Builder) -> (usize, usize) {
        let (mut named, mut with_line) = (0, 0);
        for &(module, address) in asked.addresses {
            let functions = self.functions(address);
            named += usize::from(functions.iter().any(|function| function.name.is_some()));
            with_line += usize::from(functions.iter().any(|function| function.line.is_some()));
            let told = functions.iter().map(|function| Function {
                name: function.name.as_deref().unwrap_or_default(),
                file: function.file.as_deref(),
                line: function.line,
            });
            symbols.put(module, address, told);
        }
        (named, with_line)
    }

    /// The functions at the call that returns to an address, demangled.
    fn functions(&self, address: u64) -> Vec<Inlined> {
        // The call is the instruction before, which ends one byte before.
        let Some(address) = address.checked_sub(1) else { return Vec::new() };
        let mut functions = self.lines.as_ref().map_or_else(Vec::new, |lines| lines.functions(address));
        self.complete(&mut functions, address);
        for function in &mut functions {
            function.name = function.name.as_deref().map(demangle);
        }
        functions
    }

    /// What the symbols know better: a function that debug information does not name, or names without
    /// the names it is within.
    fn complete(&self, functions: &mut Vec<Inlined>, address: u64) {
        let Some(symbol) = self.tables.name(address) else { return };
        let Some(outermost) = functions.last_mut() else {
            functions.push(Inlined { name: Some(symbol.to_owned()), ..Inlined::default() });
            return;
        };
        // Another function's symbol, at an address that folded functions share, does not have its name in it.
        let says_more =
            |name: &str| !is_mangled(name) && is_mangled(symbol) && symbol.contains(own_name(name));
        if outermost.name.as_deref().is_none_or(says_more) {
            outermost.name = Some(symbol.to_owned());
        }
    }
}

/// The name that a function has for itself, without type parameters: `new` of `new<u8>`, `closure` of
/// `{closure#0}`. Debug information that is only for lines has no more of the outer names.
fn own_name(name: &str) -> &str {
    name.trim_start_matches('{').split(['<', '#', '}']).next().filter(|own| !own.is_empty()).unwrap_or(name)
}

fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R")
}

/// The name of a module's file, without where it is.
pub(crate) fn file_name(module: &Module) -> String {
    let name = Path::new(&module.path).file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| module.path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_completes_the_name_that_it_has_in_it() {
        let cases = [
            ("new<u8>", "new"),
            ("{closure#0}<u8>", "closure"),
            ("main", "main"),
            ("<", "<"),
            ("{", "{"),
            ("", ""),
        ];
        for (name, own) in cases {
            assert_eq!(own_name(name), own, "{name}");
        }
    }
}
