//! Builds the agent: a shared object for the recorded program, which travels inside the recorder.
//!
//! Cargo knows no way to say that a crate contains another crate's shared object, built with another
//! profile. So we ask it ourselves, with a target directory of our own because the usual one is
//! locked while we run. Whatever the user set for the outer build (flags, wrappers, coverage) is
//! kept away from it: the agent is freestanding, and must be the same however it is built.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the finished object must not have: start files, libraries, lazy binding. And where it begins
/// when it is run as a program.
const LINK: [&str; 4] = ["-nostartfiles", "-nostdlib", "-Wl,-z,now", "-Wl,-e,malloscope_probe"];

/// What the outer build may have set that must not reach the inner one.
const REMOVED: [&str; 5] =
    ["RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"];

fn main() {
    for watched in ["build.rs", "agent", "wire", "../Cargo.toml", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    let target = variable("TARGET");
    let directory = PathBuf::from(variable("OUT_DIR")).join("agent");
    build(&target, &directory);
    let agent = directory.join(target).join("agent").join("libmalloscope_agent.so");
    println!("cargo::rustc-env=MALLOSCOPE_AGENT={}", agent.display());
}

fn build(target: &OsString, directory: &Path) {
    let mut cargo = Command::new(variable("CARGO"));
    for name in REMOVED {
        cargo.env_remove(name);
    }
    cargo
        // An empty list of flags, unlike none, also overrides those of configuration files.
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .args(["rustc", "--quiet", "--offline", "--locked"])
        .args(["--package", "malloscope-agent", "--lib", "--crate-type", "cdylib"])
        .args(["--profile", "agent", "--target"])
        .arg(target)
        .arg("--target-dir")
        .arg(directory)
        .args(["--", "-C", "strip=debuginfo"])
        .args(LINK.map(|flag| format!("-Clink-arg={flag}")));
    let status = cargo.status().expect("cargo runs: it runs us");
    assert!(status.success(), "the agent could not be built: {cargo:?}");
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"))
}
