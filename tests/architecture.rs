//! What may import what, where `unsafe` may stand, and that nothing here knows the machine it was
//! written on.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The packages, and all that each may import of ours: the arrows of the drawing.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "malloscope",
        &["malloscope-recorder", "malloscope-replayer", "malloscope-symbols", "malloscope-traces"],
    ),
    ("malloscope-gui", &["malloscope-replayer", "malloscope-symbols", "malloscope-traces"]),
    ("malloscope-replayer", &["malloscope-allocator", "malloscope-symbols", "malloscope-traces"]),
    ("malloscope-recorder", &["malloscope-traces", "malloscope-wire"]),
    ("malloscope-agent", &["malloscope-wire"]),
    ("malloscope-patcher", &["malloscope-wire"]),
    ("malloscope-dropin", &["malloscope-allocator"]),
    ("malloscope-allocator", &[]),
    ("malloscope-symbols", &["malloscope-traces"]),
    ("malloscope-traces", &[]),
    ("malloscope-wire", &[]),
];

/// Everything that the agent may be made of: it is loaded into a stranger's process.
const AGENT_IS_MADE_OF: &[&str] = &["malloscope-wire", "libc"];

/// What comes with frida-gum.
const GUM: &[&str] = &["frida-gum", "frida-gum-sys", "frida-build"];

/// Where `unsafe` may stand; each of these says why, in a paragraph.
const UNSAFE: &[&str] = &[
    "allocator/dropin/src/",
    "allocator/src/memory/process.rs",
    "recorder/agent/src/",
    "recorder/patcher/src/",
    "recorder/src/heap/remote.rs",
    "recorder/src/witness/tracee.rs",
    "recorder/src/memory.rs",
    "recorder/src/signals.rs",
    "recorder/src/spawn.rs",
    "recorder/src/stopped/requests.rs",
    "recorder/wire/src/clock.rs",
    "src/process_malloc.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What every package of the workspace depends on, by the kind of the dependency.
fn dependencies() -> BTreeMap<String, Vec<(String, String)>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(root());
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let package = |package: &Value| {
        let each = |each: &Value| (text(&each["name"]), text(&each["kind"]));
        (text(&package["name"]), list(&package["dependencies"]).iter().map(each).collect())
    };
    list(&metadata["packages"]).iter().map(package).collect()
}

#[test]
fn every_import_among_our_packages_is_an_arrow_of_the_drawing() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for (package, dependencies) in dependencies() {
        let allowed = arrows.get(package.as_str()).unwrap_or_else(|| panic!("{package} is in the table"));
        // Tests may import what the package itself may, and no more: a test is no way around.
        let ours =
            dependencies.iter().map(|(name, _)| name.as_str()).filter(|name| arrows.contains_key(name));
        for dependency in ours {
            assert!(allowed.contains(&dependency), "{package} imports {dependency}: there is no such arrow");
        }
    }
}

#[test]
fn the_agent_is_made_of_little() {
    let dependencies = dependencies();
    let normal = dependencies["malloscope-agent"].iter().filter(|(_, kind)| kind != "dev");
    for (dependency, _) in normal {
        assert!(AGENT_IS_MADE_OF.contains(&dependency.as_str()), "the agent imports {dependency}");
    }
}

#[test]
fn nothing_of_gum_is_built_unless_it_is_asked_for() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--workspace", "--offline", "--prefix", "none", "--format", "{p}"]);
    let output = cargo.current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names are text");
    let built: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(built.contains("malloscope-patcher"), "{built:?}");
    assert!(GUM.iter().all(|package| !built.contains(package)), "{built:?}");
}

#[test]
fn the_command_needs_no_library_for_windows() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut depends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let name = package.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().trim_matches('"');
        let list = package.split_once("dependencies = [").and_then(|(_, rest)| rest.split_once(']'));
        let names = list.map_or("", |(names, _)| names).split(',').map(|name| name.trim().trim_matches('"'));
        let names = names.filter_map(|name| name.split(' ').next().map(str::to_owned));
        depends.entry(name.to_owned()).or_default().extend(names);
    }
    let mut reached = BTreeSet::new();
    let mut next = vec!["malloscope".to_owned()];
    while let Some(name) = next.pop() {
        next.extend(depends.get(&name).into_iter().flatten().cloned());
        if !reached.insert(name.clone()) {
            next.retain(|other| !reached.contains(other));
        }
    }
    assert!(reached.contains("malloscope-traces") && reached.contains("zstd"), "{reached:?}");
    for library in ["egui", "eframe", "winit", "wgpu", "glow", "x11rb", "wayland-client", "malloscope-gui"] {
        assert!(!reached.contains(library), "the command is made of {library}");
    }
}

/// All files of the project: what git knows of, or, without git, what is not made by a build.
fn files() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    if let Ok(output) = listed
        && output.status.success()
        && !output.stdout.is_empty()
    {
        let names = String::from_utf8(output.stdout).expect("our file names are text");
        let names = names.split('\0').filter(|name| !name.is_empty());
        // A file may have been removed and not committed yet.
        return names.map(PathBuf::from).filter(|file| root().join(file).is_file()).collect();
    }
    let mut files = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_made = path.ends_with("target") || path.ends_with(".git");
            if path.is_dir() && !is_made {
                folders.push(path);
            } else if path.is_file() {
                files.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    files
}

/// The code of a line, without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

#[test]
fn unsafe_code_stands_where_it_may_and_nowhere_else() {
    let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait", "unsafe("];
    let mut found = 0;
    for file in files().iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let name = file.to_str().unwrap();
        if name == "tests/architecture.rs" {
            continue;
        }
        let text = fs::read_to_string(root().join(file)).unwrap();
        let lines = text.lines().filter(|line| words.iter().any(|word| code(line).contains(word)));
        let count = lines.count();
        found += count;
        let may = UNSAFE.iter().any(|place| name.starts_with(place));
        assert!(may || count == 0, "{name} has unsafe code");
    }
    assert!(found > 10, "the words are still those that are written");
}

#[test]
fn where_unsafe_code_may_stand_it_is_lifted_with_a_reason() {
    for place in UNSAFE.iter().filter(|place| root().join(place).exists()) {
        let file = if place.ends_with('/') { format!("{place}lib.rs") } else { (*place).to_owned() };
        let text = fs::read_to_string(root().join(&file)).unwrap();
        assert!(text.contains("#![expect(unsafe_code, reason = "), "{file}");
    }
}

#[test]
fn nothing_knows_the_machine_it_was_written_on() {
    // In two parts, so that this file does not name them either.
    let places = [("/wo", "rk/"), ("/tmp", "/x/"), ("/tmp", "/wt/"), ("/tmp/tar", "get-")];
    for file in files() {
        let bytes = fs::read(root().join(&file)).unwrap();
        for (start, end) in places {
            let place = format!("{start}{end}");
            let found = bytes.windows(place.len()).position(|window| window == place.as_bytes());
            assert!(found.is_none(), "{} names {place}, at byte {found:?}", file.display());
        }
    }
}

/// The files that are about releases as such: their rows, and the names that people give them.
const KNOW_RELEASES: &[&str] = &["allocator/src/release.rs", "allocator/src/release/"];

/// Whether a piece of code tells one release of glibc from another by its number.
fn names_a_release(code: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let follows = |start: &str| {
        let mut pieces = code.split(start);
        pieces.next();
        pieces.any(|rest| digits(rest) == 2)
    };
    follows("V2_") || follows("\"2.")
}

#[test]
fn no_release_is_known_by_its_number_but_in_the_file_of_releases() {
    assert!(names_a_release("if name == \"2.36\" {") && names_a_release("release == V2_36"));
    assert!(!names_a_release("let halves = 2.5;"));
    let mut known = 0;
    for file in files().iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let name = file.to_str().unwrap();
        if !name.contains("src/") {
            continue;
        }
        let text = fs::read_to_string(root().join(file)).unwrap();
        // What a unit test is about may be one release.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let count = text.lines().filter(|line| names_a_release(code(line))).count();
        if KNOW_RELEASES.iter().any(|place| name.starts_with(place)) {
            known += count;
        } else {
            let is_test = name.ends_with("/tests.rs");
            assert!(is_test || count == 0, "{name} knows a release by its number");
        }
    }
    assert!(known > 20, "the rows are still where they were");
}
