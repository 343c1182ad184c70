//! The library under test, built as it is meant to be, and the programs in `tests/programs`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// What the outer build may have set that must not reach the library's.
const REMOVED: [&str; 6] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
];

/// The library, which Cargo builds for no test: with the profile that it is meant for, in a target
/// directory of its own.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("library");
        let mut cargo = Command::new(env!("CARGO"));
        for name in REMOVED {
            cargo.env_remove(name);
        }
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args(["build", "--quiet", "--offline", "--profile", "agent", "--package", "malloscope-dropin"]);
        let status = cargo.arg("--target-dir").arg(&target).status().unwrap();
        assert!(status.success(), "the library could not be built: {cargo:?}");
        target.join("agent/libmalloscope_malloc.so")
    })
}

/// A program's source.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name)
}

/// A program in C.
pub fn program(name: &str) -> PathBuf {
    build("cc", &format!("{name}.c"), name)
}

/// A program in C++; `None` where there is no compiler for it.
pub fn cpp_program(name: &str) -> Option<PathBuf> {
    Command::new("c++").arg("--version").output().ok()?;
    Some(build("c++", &format!("{name}.cc"), name))
}

fn build(compiler: &str, source_name: &str, name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| TempDir::new().unwrap()).path();
    let built = directory.join(name);
    if built.exists() {
        return built;
    }
    // Under another name first: another test may be building or running the same program.
    let unfinished = tempfile::Builder::new().prefix(name).tempfile_in(directory).unwrap().into_temp_path();
    let status = Command::new(compiler)
        .args(["-O1", "-fno-builtin", "-pthread", "-Wall", "-Wextra", "-Wno-deprecated-declarations", "-o"])
        .arg(&unfinished)
        .arg(source(source_name))
        .status()
        .expect("there is a compiler");
    assert!(status.success(), "{source_name}");
    unfinished.persist(&built).unwrap();
    built
}
