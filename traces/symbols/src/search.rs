//! Where the file of a module is, and where its debug information: the places where distributions and
//! debuggers put them, and those that the user names.
//!
//! | what | where |
//! |---|---|
//! | the module | its path; in each folder of the user's: its path, its name, `.build-id/xx/yyyy`; `/usr/lib/debug/.build-id/xx/yyyy` |
//! | its debug information | the module's file; in each folder of the user's and `/usr/lib/debug`: `.build-id/xx/yyyy.debug`, the path with `.debug` behind it, the folder with the name of `.gnu_debuglink`; that name beside the file and in `.debug` there; in the user's folders also by name alone |
//! | its supplement | the path in `.gnu_debugaltlink`, from the file's folder; `.dwz` and `.build-id` in the folders above |
//!
//! And debuginfod, if the user set it. A file that is found is taken only if it is the right one.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use malloscope_traces::stacks::Module;

use crate::debuginfod::{Artifact, Debuginfod, Fetch};
use crate::file::{Link, Opened, Supplement};

/// Where debug information is installed.
const SYSTEM: &str = "/usr/lib/debug";

/// How long build ids are. GNU ld writes 8 (xxh), 16 (md5, uuid) or 20 bytes (sha1), and what the user says.
const BUILD_IDS: std::ops::RangeInclusive<usize> = 2..=64;

/// The largest pages there are: how far the end of a mapping may be from that of a segment.
const LARGEST_PAGE: u64 = 1 << 16;

/// Where to look for files.
#[derive(Debug, Default)]
pub struct Search {
    /// The user's folders, which come first.
    pub debug_dirs: Vec<PathBuf>,
    /// Servers, if the user named any.
    pub debuginfod: Option<Debuginfod>,
}

impl Search {
    /// Looks in these folders, where debug information is installed, and at the servers in `DEBUGINFOD_URLS`.
    pub fn from_environment(debug_dirs: Vec<PathBuf>) -> Search {
        Search { debug_dirs, debuginfod: Debuginfod::from_environment() }
    }

    /// The file of a module.
    pub(crate) fn module(&self, module: &Module) -> Option<Opened> {
        let path = Path::new(&module.path);
        let id = build_id_path(&module.build_id, "");
        let users = self.debug_dirs.iter().flat_map(|dir| {
            let by_id = id.as_ref().map(|id| dir.join(id));
            [Some(under(dir, path)), path.file_name().map(|name| dir.join(name)), by_id]
        });
        let system = id.as_ref().map(|id| Path::new(SYSTEM).join(id));
        let places = [path.is_absolute().then(|| path.to_owned())].into_iter().chain(users).chain([system]);
        first(places.flatten(), |opened| is_module(opened, module))
    }

    /// A separate file with the debug information of a module, whose own file may have a link to it.
    pub(crate) fn debug_information(&self, module: &Module, link: Option<&Link>) -> Option<Opened> {
        let path = Path::new(&module.path);
        let is_it = |opened: &Opened| is_debug_information(opened, module, link);
        first(self.debug_places(path, &module.build_id, link), is_it)
    }

    fn debug_places(&self, path: &Path, build_id: &[u8], link: Option<&Link>) -> Vec<PathBuf> {
        // A name, not a path that leads elsewhere.
        let link =
            link.map(|link| Path::new(&link.name)).filter(|link| link.file_name() == Some(link.as_os_str()));
        let folder = path.parent().unwrap_or(Path::new(""));
        // Where the folder really is: /lib is often a link, and debug files are installed for /usr/lib.
        let real = fs::canonicalize(folder).ok().filter(|real| real != folder && path.is_absolute());
        let folders: Vec<&Path> = [Some(folder), real.as_deref()].into_iter().flatten().collect();
        let mut places = Vec::new();
        for dir in self.dirs() {
            places.extend(build_id_path(build_id, ".debug").map(|id| dir.join(id)));
            for folder in &folders {
                places.extend(path.file_name().map(|name| under(dir, folder).join(with_debug(name))));
                places.extend(link.map(|link| under(dir, folder).join(link)));
            }
        }
        for folder in folders.iter().filter(|folder| folder.is_absolute()) {
            places.extend(link.map(|link| folder.join(link)));
            places.extend(link.map(|link| folder.join(".debug").join(link)));
        }
        for dir in &self.debug_dirs {
            places.extend(link.map(|link| dir.join(link)));
            places.extend(path.file_name().map(|name| dir.join(with_debug(name))));
            places.extend(path.file_name().map(|name| dir.join(name)));
            places.push(under(dir, path));
        }
        places
    }

    /// The supplementary file that a file of debug information asks for.
    pub(crate) fn supplement(
        &mut self,
        wanted: &Supplement,
        of: &Path,
        progress: &mut dyn FnMut(Fetch<'_>),
    ) -> Option<Opened> {
        let path = Path::new(&wanted.path);
        // From where the file really is: what is under `.build-id` are links.
        let of = fs::canonicalize(of).unwrap_or_else(|_| of.to_owned());
        let beside = of.parent().map(|folder| folder.join(path));
        let shared = path.iter().position(|part| part == ".dwz");
        let shared = shared.map(|at| path.iter().skip(at).collect::<PathBuf>());
        let id = build_id_path(&wanted.build_id, ".debug");
        let dirs = self
            .dirs()
            .flat_map(|dir| [&shared, &id].map(|place| place.as_ref().map(|place| dir.join(place))));
        let places = [beside].into_iter().chain(dirs).flatten();
        let found = first(places, |opened| has_build_id(opened, &wanted.build_id));
        found.or_else(|| self.fetch(&wanted.build_id, Artifact::DebugInformation, progress))
    }

    /// What a server has of a build id, if there is one to be asked.
    pub(crate) fn fetch(
        &mut self,
        build_id: &[u8],
        artifact: Artifact,
        progress: &mut dyn FnMut(Fetch<'_>),
    ) -> Option<Opened> {
        if !BUILD_IDS.contains(&build_id.len()) {
            return None;
        }
        let path = self.debuginfod.as_mut()?.find(&hexadecimal(build_id), artifact, progress)?;
        Opened::open(&path).filter(|opened| has_build_id(opened, build_id))
    }

    /// All folders of debug information.
    fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.debug_dirs.iter().map(PathBuf::as_path).chain([Path::new(SYSTEM)])
    }
}

/// Bytes as people write them.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first of these files that is the right one.
fn first(places: impl IntoIterator<Item = PathBuf>, is_it: impl Fn(&Opened) -> bool) -> Option<Opened> {
    places.into_iter().filter_map(|place| Opened::open(&place)).find(is_it)
}

/// A path within a folder, as if that were the root. What leads out of it is left out.
fn under(dir: &Path, path: &Path) -> PathBuf {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
    dir.join(parts.collect::<PathBuf>())
}

fn with_debug(name: &OsStr) -> PathBuf {
    let mut name = name.to_owned();
    name.push(".debug");
    name.into()
}

/// `.build-id/xx/yyyy`, and what comes behind it.
fn build_id_path(build_id: &[u8], extension: &str) -> Option<PathBuf> {
    if !BUILD_IDS.contains(&build_id.len()) {
        return None;
    }
    let (first, rest) = build_id.split_at(1);
    Some(format!(".build-id/{}/{}{extension}", hexadecimal(first), hexadecimal(rest)).into())
}

fn has_build_id(opened: &Opened, build_id: &[u8]) -> bool {
    !build_id.is_empty() && opened.elf().is_some_and(|elf| elf.build_id() == build_id)
}

/// Whether this is the file that was mapped: it has its build id. If neither has one, the file must be at
/// the module's own path and begin and end where the module did, to a page.
fn is_module(opened: &Opened, module: &Module) -> bool {
    if !module.build_id.is_empty() {
        return has_build_id(opened, &module.build_id);
    }
    let Some(elf) = opened.elf() else { return false };
    let Some((begin, end)) = elf.extent() else { return false };
    let begin_off = begin.wrapping_add(module.bias).wrapping_sub(module.start);
    let end_off = module.end.wrapping_sub(end.wrapping_add(module.bias));
    let fits = begin_off < LARGEST_PAGE && end_off < LARGEST_PAGE;
    opened.path == Path::new(&module.path) && elf.build_id().is_empty() && fits
}

/// Whether this is debug information of the module: it has its build id, or, without one, the
/// checksum that the module's own file asks for.
fn is_debug_information(opened: &Opened, module: &Module, link: Option<&Link>) -> bool {
    let Some(elf) = opened.elf().filter(|elf| elf.has_debug_information() || elf.has_symbols()) else {
        return false;
    };
    if !module.build_id.is_empty() && !elf.build_id().is_empty() {
        return elf.build_id() == module.build_id;
    }
    elf.build_id().is_empty()
        && link.is_some_and(|link| checksum(&opened.path).is_ok_and(|found| found == link.checksum))
}

/// The checksum of a whole file, as `.gnu_debuglink` has it.
fn checksum(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = vec![0; 1 << 16];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(hasher.finalize()),
            length => hasher.update(&bytes[..length]),
        }
    }
}
