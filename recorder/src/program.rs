//! What a program is made of, as far as it decides whether an agent can be loaded into it.
//!
//! Looked up the way the kernel does: along `PATH`, through `#!` lines, to a binary and the dynamic
//! linker it names. No more of the binary is read, and nothing in it is believed.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a program cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such program.
    #[error("{0}: no such program")]
    NotFound(PathBuf),
    /// It may not be run.
    #[error("{0} is not executable. If it is a program, `chmod +x` makes it so")]
    NotExecutable(PathBuf),
    /// The file could not be read.
    #[error("{path} cannot be read, to see whether it can be recorded")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no program.
    #[error(
        "{0} is neither a program for Linux nor a script that names one in its first line. \
         If it is a script, name the program that reads it: `malloscope record -- sh {0}`"
    )]
    NotAProgram(PathBuf),
    /// It is for another processor.
    #[error("{0} is not a 64-bit program for x86-64, the one kind that can be recorded")]
    AnotherProcessor(PathBuf),
    /// It has no dynamic linker.
    #[error(
        "{0} is statically linked: its malloc is inside it, where nothing can be put before it. \
         Link it dynamically to record it"
    )]
    Static(PathBuf),
    /// Its dynamic linker is not glibc's.
    #[error(
        "{path} does not use glibc: its dynamic linker is {linker}. \
         Its malloc is another one, and what glibc's would do cannot be learned from it; build it for glibc to record it"
    )]
    NotGlibc {
        /// The program.
        path: PathBuf,
        /// Its dynamic linker.
        linker: String,
    },
    /// It runs with other rights than its caller's.
    #[error(
        "{path} is {how}: programs that run with other rights than their caller's load nothing their \
         caller names. Record a copy without those rights, or run it as the user it becomes"
    )]
    Privileged {
        /// The program.
        path: PathBuf,
        /// What gives it rights.
        how: &'static str,
    },
}

/// Finds a program as a shell would.
pub fn find(name: &OsStr) -> Result<PathBuf, Refusal> {
    let not_found = || Refusal::NotFound(name.into());
    if name.as_bytes().contains(&b'/') {
        return if Path::new(name).exists() { Ok(name.into()) } else { Err(not_found()) };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| is_program(file))
        .ok_or_else(not_found)
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// How many scripts may name each other as their interpreters: the kernel's limit.
const SCRIPTS: usize = 5;

/// How much of a script's first line the kernel reads.
const LINE: usize = 256;

/// Whether the agent can be loaded into the program in this file. Returns the dynamic linker that would do it.
pub fn check(file: &Path) -> Result<PathBuf, Refusal> {
    let mut file = file.to_owned();
    for _ in 0..SCRIPTS {
        check_file(&file)?;
        let unreadable = |source| Refusal::Unreadable { path: file.clone(), source };
        let opened = File::open(&file).map_err(unreadable)?;
        let mut start = Vec::new();
        (&opened).take(LINE as u64).read_to_end(&mut start).map_err(unreadable)?;
        match interpreter(&start) {
            Some(interpreter) => file = interpreter,
            None => return check_binary(file, &opened, &start),
        }
    }
    Err(Refusal::NotAProgram(file))
}

/// Whether an agent can be put into a process that runs the program in this file, of which `name` is told.
/// Returns the dynamic linker that loaded it.
pub fn check_running(file: &Path, name: PathBuf) -> Result<PathBuf, Refusal> {
    let unreadable = |source| Refusal::Unreadable { path: name.clone(), source };
    let opened = File::open(file).map_err(unreadable)?;
    let mut start = Vec::new();
    (&opened).take(LINE as u64).read_to_end(&mut start).map_err(unreadable)?;
    check_linker(name, &opened, &start)
}

/// Whether the kernel would run this file at all, whatever is in it.
fn check_file(file: &Path) -> Result<(), Refusal> {
    match fs::metadata(file) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => Err(Refusal::NotFound(file.into())),
        Err(source) => Err(Refusal::Unreadable { path: file.into(), source }),
        Ok(about) if !about.is_file() => Err(Refusal::NotAProgram(file.into())),
        Ok(_) if !is_program(file) => Err(Refusal::NotExecutable(file.into())),
        Ok(_) => Ok(()),
    }
}

/// The interpreter a script names.
fn interpreter(start: &[u8]) -> Option<PathBuf> {
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty());
    Some(OsStr::from_bytes(words.next()?).into())
}

fn check_binary(path: PathBuf, file: &File, start: &[u8]) -> Result<PathBuf, Refusal> {
    if let Some(how) = rights(&path, file) {
        return Err(Refusal::Privileged { path, how });
    }
    check_linker(path, file, start)
}

fn check_linker(path: PathBuf, file: &File, start: &[u8]) -> Result<PathBuf, Refusal> {
    match linker(file, start) {
        Linker::Named(linker) if is_glibcs(&linker) => Ok(linker.into()),
        Linker::Named(linker) => Err(Refusal::NotGlibc { path, linker }),
        // The dynamic linker itself, which can be told to run a program.
        Linker::None if is_glibcs(&path.to_string_lossy()) => Ok(path),
        Linker::None => Err(Refusal::Static(path)),
        Linker::OfAnotherProcessor => Err(Refusal::AnotherProcessor(path)),
        Linker::NotABinary => Err(Refusal::NotAProgram(path)),
    }
}

/// What gives a program rights its caller does not have.
fn rights(path: &Path, file: &File) -> Option<&'static str> {
    let mode = file.metadata().map_or(0, |about| about.mode());
    if mode & libc::S_ISUID != 0 {
        return Some("set-user-ID");
    }
    // Without the group's right to run it, the bit once meant something else.
    if mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0 {
        return Some("set-group-ID");
    }
    let has_capabilities = rustix::fs::getxattr(path, "security.capability", &mut [0_u8; 64]).is_ok();
    has_capabilities.then_some("given capabilities")
}

fn is_glibcs(linker: &str) -> bool {
    linker.rsplit('/').next().is_some_and(|name| name.starts_with("ld-linux-x86-64.so"))
}

/// The dynamic linker a binary names.
#[derive(Debug, PartialEq, Eq)]
enum Linker {
    Named(String),
    None,
    OfAnotherProcessor,
    NotABinary,
}

/// Reads it: an ELF header, its program headers, and among them that of the linker's name.
fn linker(file: &File, start: &[u8]) -> Linker {
    const ELF64_LITTLE_ENDIAN: [u8; 6] = *b"\x7fELF\x02\x01";
    const HEADER: usize = 56;
    if !start.starts_with(b"\x7fELF") {
        return Linker::NotABinary;
    }
    if !start.starts_with(&ELF64_LITTLE_ENDIAN) || number::<2>(start, 18) != libc::EM_X86_64.into() {
        return Linker::OfAnotherProcessor;
    }
    let (at, count) = (number::<8>(start, 32), number::<2>(start, 56));
    for header in 0..count {
        let mut bytes = [0; HEADER];
        let place = at.saturating_add(header * HEADER as u64);
        if file.read_exact_at(&mut bytes, place).is_ok() && number::<4>(&bytes, 0) == libc::PT_INTERP.into() {
            let mut name = vec![0; usize::try_from(number::<8>(&bytes, 32)).unwrap_or(0).min(LINE)];
            let length = file.read_at(&mut name, number::<8>(&bytes, 8)).unwrap_or(0);
            name.truncate(length);
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            return Linker::Named(String::from_utf8_lossy(name).into_owned());
        }
    }
    Linker::None
}

/// The little-endian number of so many bytes that is there; 0 if it is not.
pub(crate) fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut wide = [0; 8];
    if let Some(found) = bytes.get(at..at + N) {
        wide[..N].copy_from_slice(found);
    }
    u64::from_le_bytes(wide)
}
