//! The programs in `tests/programs`, built by the C compiler of the machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use tempfile::TempDir;

/// Where the programs are built, once for all tests.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    DIRECTORY.get_or_init(|| TempDir::new().unwrap()).path()
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name)
}

/// Builds a program, a library or what else these flags say, under a name of its own.
fn build(compiler: &str, source_name: &str, name: &str, flags: &[&str]) -> PathBuf {
    let built = directory().join(name);
    // Under another name first: another test may be building or running the same program.
    let unfinished = tempfile::Builder::new().prefix(name).tempfile_in(directory()).unwrap().into_temp_path();
    let status = Command::new(compiler)
        .args(["-O1", "-fno-builtin", "-pthread", "-Wall", "-Wextra", "-o"])
        .arg(&unfinished)
        .arg(source(source_name))
        .args(flags)
        .status()
        .expect("there is a compiler");
    assert!(status.success(), "{source_name}");
    unfinished.persist(&built).unwrap();
    built
}

/// A program of one file.
pub fn program(name: &str) -> PathBuf {
    program_with(name, &[])
}

/// A library of one file.
pub fn library(name: &str) -> PathBuf {
    library_with(name, &[])
}

/// A library of one file, built in another way.
pub fn library_with(name: &str, flags: &[&str]) -> PathBuf {
    let file = format!("lib{name}{}.so", flags.concat());
    let flags: Vec<&str> = ["-shared", "-fPIC"].into_iter().chain(flags.iter().copied()).collect();
    built_once(&file, || build("cc", &format!("{name}.c"), &file, &flags))
}

/// A program of one file, linked in another way.
pub fn program_with(name: &str, flags: &[&str]) -> PathBuf {
    let file = format!("{name}{}", flags.concat().replace('/', "_"));
    built_once(&file, || build("cc", &format!("{name}.c"), &file, flags))
}

/// A program in C++; `None` where there is no compiler for it.
pub fn cpp_program(name: &str) -> Option<PathBuf> {
    Command::new("c++").arg("--version").output().ok()?;
    Some(built_once(name, || build("c++", &format!("{name}.cc"), name, &[])))
}

/// A copy of a program that runs as nobody, whoever starts it; `None` if we are not root.
pub fn set_user_id(program: &Path, folder: &Path) -> Option<PathBuf> {
    const NOBODY: u32 = 65534;
    let copy = folder.join("set_user_id");
    std::fs::copy(program, &copy).unwrap();
    std::os::unix::fs::chown(&copy, Some(NOBODY), None).ok()?;
    for (path, mode) in [(folder, 0o755), (&copy, 0o4755)] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    Some(copy)
}

fn built_once(file: &str, build: impl FnOnce() -> PathBuf) -> PathBuf {
    // Built twice, the second would take the first one's place while that runs.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock();
    let built = directory().join(file);
    if built.exists() { built } else { build() }
}
