//! Builds the agent: a shared object for the recorded program, which travels inside the recorder. And with the feature
//! `gum` the patcher, which does too.
//!
//! Cargo knows no way to say that a crate contains another crate's shared object, built with another
//! profile. So we ask it ourselves, with a target directory of our own because the usual one is
//! locked while we run. Whatever the user set for the outer build (flags, wrappers, coverage) is
//! kept away from them: they are freestanding, and must be the same however they are built.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// What a finished object must not have: start files, libraries, lazy binding.
const LINK: [&str; 3] = ["-nostartfiles", "-nostdlib", "-Wl,-z,now"];

/// What the outer build may have set that must not reach the inner one.
const REMOVED: [&str; 5] =
    ["RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"];

/// Where a devkit of frida-gum may be.
const DEVKIT: &str = "FRIDA_GUM_DEVKIT_DIR";

/// Set where documentation is built, and where there is no devkit and it is only to be seen that all fits together.
const ONLY_CHECKED: &str = "DOCS_RS";

/// One of the objects.
struct Object {
    package: &'static str,
    library: &'static str,
    /// The variable in which the recorder finds its path.
    variable: &'static str,
}

const AGENT: Object =
    Object { package: "malloscope-agent", library: "libmalloscope_agent.so", variable: "MALLOSCOPE_AGENT" };

const PATCHER: Object = Object {
    package: "malloscope-patcher",
    library: "libmalloscope_patcher.so",
    variable: "MALLOSCOPE_PATCHER",
};

fn main() {
    for watched in ["build.rs", "agent", "patcher", "wire", "../Cargo.toml", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    for watched in [DEVKIT, ONLY_CHECKED] {
        println!("cargo::rerun-if-env-changed={watched}");
    }
    // Where the agent begins when it is run as a program. What it stands before it also calls: its own, and by no table that
    // would have to be filled in.
    let mut cargo = AGENT.cargo("rustc", &["--offline"]);
    cargo.args(AGENT.linked(&["-Wl,-e,malloscope_probe", "-Wl,-Bsymbolic-functions"]));
    AGENT.build(cargo);
    if is_set("CARGO_FEATURE_GUM") {
        build_patcher();
    }
}

/// Builds what is put into a process for `--engine gum`.
fn build_patcher() {
    // What is only wanted with a feature may not have been fetched yet.
    let downloads = is_set("CARGO_FEATURE_GUM_DOWNLOAD");
    let features = if downloads { ["--features", "gum-download"] } else { ["--features", "gum"] };
    let mut flags = Vec::new();
    let mut includes = None;
    if is_set(ONLY_CHECKED) && !downloads {
        let mut cargo = PATCHER.cargo("check", &features);
        cargo.env(ONLY_CHECKED, "1");
        run(cargo);
        // A recorder with this says that it cannot.
        let empty = directory().join("no-patcher");
        fs::write(&empty, "").expect("OUT_DIR can be written");
        println!("cargo::rustc-env={}={}", PATCHER.variable, empty.display());
        return;
    }
    if !downloads {
        let kit = devkit();
        flags.push(format!("-Lnative={}", kit.archive.display()));
        includes = Some(kit.header);
    }
    let mut cargo = PATCHER.cargo("rustc", &features);
    // Both bindgen and a C compiler look there for headers.
    cargo.envs(includes.map(|path| ("CPATH", path)));
    // A patcher is told what it calls by the recorder, so a name without a definition is none of the linker's business.
    cargo.args(PATCHER.linked(&["-Wl,-z,undefs", "-Wl,--gc-sections"])).args(flags);
    PATCHER.build(cargo);
}

/// Where a devkit's two files are.
struct Devkit {
    header: PathBuf,
    archive: PathBuf,
}

/// The devkit there is: its files beside each other, as in what is downloaded, or in `include` and `lib`.
fn devkit() -> Devkit {
    let named = env::var_os(DEVKIT).map(PathBuf::from);
    let places =
        named.map_or_else(|| ["/usr/local", "/usr"].map(PathBuf::from).to_vec(), |place| vec![place]);
    let forms = |place: PathBuf| {
        [("", ""), ("include", "lib")]
            .map(|(header, archive)| Devkit { header: place.join(header), archive: place.join(archive) })
    };
    let is_there =
        |kit: &Devkit| kit.header.join("frida-gum.h").exists() && kit.archive.join("libfrida-gum.a").exists();
    let found = places.iter().cloned().flat_map(forms).find(is_there);
    found.unwrap_or_else(|| {
        panic!(
            "the feature `gum` needs a devkit of frida-gum (frida-gum.h and libfrida-gum.a), and there is none in \
             {places:?}: name its directory in {DEVKIT}, or use the feature `gum-download`"
        )
    })
}

impl Object {
    /// A cargo that does this with it.
    fn cargo(&self, what: &str, more: &[&str]) -> Command {
        let mut cargo = Command::new(variable("CARGO"));
        for name in REMOVED {
            cargo.env_remove(name);
        }
        cargo
            // An empty list of flags, unlike none, also overrides those of configuration files.
            .env("CARGO_ENCODED_RUSTFLAGS", "")
            .args([what, "--quiet", "--locked", "--package", self.package, "--lib"])
            .args(["--profile", "agent", "--target"])
            .arg(variable("TARGET"))
            .arg("--target-dir")
            .arg(directory())
            .args(more);
        cargo
    }

    /// How it is made an object of its own.
    fn linked(&self, more: &[&str]) -> impl Iterator<Item = String> {
        let flags = ["--crate-type", "cdylib", "--", "-C", "strip=debuginfo"].map(str::to_owned);
        let link = LINK.iter().chain(more).map(|flag| format!("-Clink-arg={flag}")).collect::<Vec<_>>();
        flags.into_iter().chain(link)
    }

    fn path(&self) -> PathBuf {
        directory().join(variable("TARGET")).join("agent").join(self.library)
    }

    fn build(&self, cargo: Command) {
        run(cargo);
        println!("cargo::rustc-env={}={}", self.variable, self.path().display());
    }
}

fn directory() -> PathBuf {
    PathBuf::from(variable("OUT_DIR")).join("agent")
}

fn run(mut cargo: Command) {
    let status = cargo.status().expect("cargo runs: it runs us");
    assert!(status.success(), "what goes into other processes could not be built: {cargo:?}");
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some()
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"))
}
