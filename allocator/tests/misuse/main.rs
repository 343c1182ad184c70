//! What programs do wrong, and what malloc says of it: the twin says what the C library says.
//!
//! `misuse.txt` has the scenes; `misuse.c` plays one against the C library, and here it is played on the
//! twin, whose memory is written to as a program writes to its own. `golden` has what each release
//! said. `BLESS=1 cargo test -p malloscope-allocator --test misuse` writes that of this machine's C
//! library, where there is a C compiler; and of others that lie unpacked in folders named for their
//! release, which `MALLOSCOPE_LIBCS` lists as `PATH` lists its own.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

mod twin;

use malloscope_allocator::corruption::{Checks, FreedChecks, UnsortedChecks};
use malloscope_allocator::release::{Release, V2_42};
use malloscope_allocator::tunables::Tunable;
use malloscope_allocator::tunables::environment::Reader;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// What is written for a scene in which nothing is found out.
const LIVES: &str = "(lives on)";
/// The program read or wrote where there is no memory.
const CRASHES: &str = "(crashes)";
/// It was still at work when its time was up.
const NEVER_ENDS: &str = "(never ends)";

/// What the program is called.
const PROGRAM: &str = "misuse";

/// The first line of what was said, in which a pointer is told from where the program break was at first, or
/// not, if it lies elsewhere.
fn settled(said: &str, start: u64) -> String {
    const NEAR: u64 = 1 << 27;
    let line = said.lines().next().unwrap_or_default();
    let framed = line.strip_suffix(" ***").and_then(|line| line.rsplit_once(": 0x"));
    let Some((words, digits)) = framed else { return line.to_owned() };
    assert_eq!(digits.len(), 16, "{line}");
    // What the loader has put on the break is not malloc's.
    let offset = u64::from_str_radix(digits, 16).unwrap().wrapping_sub(start.next_multiple_of(16));
    if offset < NEAR { format!("{words}: break+{offset:#x} ***") } else { format!("{words}: elsewhere ***") }
}

/// A scene, and what it sets before its program begins.
struct Scene<'a> {
    name: &'a str,
    lines: Vec<&'a str>,
    tunables: Vec<(&'a str, &'a str)>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/misuse")
}

fn golden(release: &str) -> PathBuf {
    folder().join("golden").join(release).with_added_extension("txt")
}

fn scenes(text: &str) -> Vec<Scene<'_>> {
    let mut scenes: Vec<Scene> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("scene ") {
            scenes.push(Scene { name, lines: Vec::new(), tunables: Vec::new() });
        } else if let Some(setting) = line.strip_prefix("set ") {
            scenes.last_mut().unwrap().tunables.push(setting.split_once(' ').unwrap());
        } else {
            scenes.last_mut().unwrap().lines.push(line);
        }
    }
    scenes
}

fn script() -> String {
    fs::read_to_string(folder().join("misuse.txt")).unwrap()
}

#[test]
fn the_twin_says_what_the_c_library_says() {
    let script = script();
    let scenes = scenes(&script);
    let mut releases = 0;
    for release in Release::ALL {
        let Ok(golden) = fs::read_to_string(golden(release.name)) else { continue };
        let real: Vec<(&str, &str)> = golden.lines().filter_map(|line| line.split_once(": ")).collect();
        assert_eq!(real.len(), scenes.len(), "{}: every scene is there", release.name);
        for (scene, (name, real)) in scenes.iter().zip(real) {
            assert_eq!(scene.name, name);
            let ours = twin::play(scene, release);
            let ours = ours.as_str();
            // Simulated memory has no end: what crashes there is anybody's guess here.
            let is_same = ours == real || real == CRASHES;
            assert!(is_same, "{}, {name}: ours `{ours}`, real `{real}`", release.name);
        }
        releases += 1;
    }
    assert!(releases >= 9, "there are goldens");
}

/// By the sources of releases of which there is no golden.
#[test]
fn releases_look_at_more_and_more() {
    let script = script();
    let scenes = scenes(&script);
    for (release, name, message) in [
        ("2.25", "freed_twice_small", "double free or corruption (fasttop)"),
        ("2.25", "foot_wrong_above_a_freed_chunk", LIVES),
        ("2.26", "foot_wrong_above_a_freed_chunk", "corrupted size vs. prev_size"),
        ("2.27", "fast_size_wrong_when_consolidated", "malloc_consolidate(): invalid chunk size"),
        ("2.27", "unsorted_with_size_0", "malloc(): memory corruption"),
        ("2.27", "unsorted_backward_link_wrong", "malloc(): memory corruption"),
        ("2.28", "unsorted_backward_link_wrong", "malloc(): corrupted unsorted chunks 3"),
        ("2.29", "unsorted_backward_link_wrong", "malloc(): unsorted double linked list corrupted"),
        ("2.28", "freed_twice_small", LIVES),
        ("2.28-branch", "freed_twice_small", "free(): double free detected in tcache 2"),
        ("2.28", "foot_wrong_below_a_freed_chunk", "corrupted size vs. prev_size"),
        ("2.29", "foot_wrong_below_a_freed_chunk", "corrupted size vs. prev_size while consolidating"),
        ("2.28", "top_too_large", LIVES),
        ("2.28-branch", "top_too_large", "malloc(): corrupted top size"),
        ("2.28", "freed_from_where_no_mapped_chunk_begins", LIVES),
        ("2.29", "freed_from_where_no_mapped_chunk_begins", "munmap_chunk(): invalid pointer"),
        ("2.28", "reallocated_inside_a_mapping", "munmap_chunk(): invalid pointer"),
        ("2.29", "reallocated_inside_a_mapping", "mremap_chunk(): invalid pointer"),
        ("2.29", "large_link_wrong_when_sorting", LIVES),
        ("2.30", "large_link_wrong_when_sorting", "malloc(): largebin double linked list corrupted (bk)"),
        ("2.32", "tcache_goes_round", NEVER_ENDS),
        ("2.33", "tcache_goes_round", "free(): too many chunks detected in tcache"),
        ("2.41", "fast_size_wrong_when_cached", LIVES),
        ("2.42", "fast_size_wrong_when_cached", "malloc(): chunk size mismatch in fastbin"),
    ] {
        let scene = scenes.iter().find(|scene| scene.name == name).unwrap();
        let said = twin::play(scene, Release::named(release).unwrap());
        let framed = format!("*** Error in `{PROGRAM}': {message}: ");
        assert!(said == message || said.starts_with(&framed), "{release}, {name}: {said}");
    }
}

/// Without any of the checks, some scene comes to another end: no field is without a use.
#[test]
fn every_check_is_seen_in_some_scene() {
    let script = script();
    let scenes = scenes(&script);
    let play = |checks| {
        let release = Release { checks, ..V2_42 };
        scenes.iter().map(|scene| twin::play(scene, release)).collect::<Vec<_>>()
    };
    let all = V2_42.checks;
    let ends = play(all);
    for less in [
        Checks { freed: FreedChecks::PlaceAndSize, ..all },
        Checks { cached_twice: false, ..all },
        Checks { cache_length: false, ..all },
        Checks { whole_cache: false, ..all },
        Checks { links_aligned: false, ..all },
        Checks { fast_size_when_cached: false, ..all },
        Checks { fast_size_when_consolidated: false, ..all },
        Checks { unlinked_foot: false, ..all },
        Checks { merged_foot: false, ..all },
        Checks { unsorted: UnsortedChecks::SizeAndLink, ..all },
        Checks { unsorted: UnsortedChecks::Size, ..all },
        Checks { large_links: false, ..all },
        Checks { largest_skip_links: false, ..all },
        Checks { top_size: false, ..all },
        Checks { mapped_place: false, ..all },
    ] {
        assert_ne!(play(less), ends, "{less:?}");
    }
}

/// A C library that can be run.
struct Library {
    release: String,
    /// What stands before the program.
    loader: Vec<PathBuf>,
}

impl Library {
    fn run(&self, program: &Path, arguments: &[&str], tunables: &[(&str, &str)]) -> Output {
        let words: Vec<&Path> = self.loader.iter().map(PathBuf::as_path).chain([program]).collect();
        let mut command = Command::new(words[0]);
        // Older ones write to the terminal otherwise.
        command.args(&words[1..]).args(arguments).env("LIBC_FATAL_STDERR_", "1").current_dir(folder());
        command.env_remove("GLIBC_TUNABLES");
        // The oldest know only variables.
        for (name, value) in tunables {
            let alias = Tunable::named(name).and_then(Tunable::alias);
            if let Some(alias) = alias.filter(|_| {
                Release::named(&self.release).is_some_and(|row| row.environment == Reader::Variables)
            }) {
                command.env(alias, value);
            }
        }
        let set: Vec<String> =
            tunables.iter().map(|(name, value)| format!("glibc.malloc.{name}={value}")).collect();
        if !set.is_empty() {
            command.env("GLIBC_TUNABLES", set.join(":"));
        }
        command.output().unwrap()
    }
}

/// The machine's own C library, and those it was told of.
fn libraries(program: &Path) -> Vec<Library> {
    let mut own = Library { release: String::new(), loader: Vec::new() };
    let version = own.run(program, &[], &[]).stdout;
    own.release = String::from_utf8(version).unwrap();
    let mut all = vec![own];
    let others = env::var_os("MALLOSCOPE_LIBCS").unwrap_or_default();
    for folder in env::split_paths(&others).filter(|path| !path.as_os_str().is_empty()) {
        let release = folder.file_name().unwrap().to_string_lossy().into_owned();
        let loader = folder.join("ld-linux-x86-64.so.2");
        all.push(Library { release, loader: vec![loader, PathBuf::from("--library-path"), folder] });
    }
    all
}

fn said(output: &Output, program: &Path) -> String {
    const ALARM: i32 = 14;
    const CRASHED: [i32; 2] = [7, 11];
    match output.status.signal() {
        None => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            LIVES.to_owned()
        }
        // One that waits for itself may have said what it had to say: its backtrace calls malloc.
        Some(ALARM) if output.stderr.is_empty() => NEVER_ENDS.to_owned(),
        Some(signal) if CRASHED.contains(&signal) => CRASHES.to_owned(),
        Some(_) => {
            let start = u64::from_le_bytes(output.stdout[..8].try_into().unwrap());
            let text = String::from_utf8_lossy(&output.stderr);
            settled(&text.replace(program.to_str().unwrap(), PROGRAM), start)
        }
    }
}

#[test]
fn goldens_are_what_the_c_library_says() {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join(PROGRAM);
    let compiler = Command::new("cc")
        .args(["-O1", "-fno-builtin", "-fPIE", "-pie", "-nostartfiles", "-o"])
        .arg(&program)
        .arg(folder().join("misuse.c"))
        .status();
    let Ok(status) = compiler else {
        eprintln!("skipped: there is no C compiler");
        return;
    };
    assert!(status.success(), "misuse.c does not compile");
    let script = script();
    for library in libraries(&program) {
        let file = golden(&library.release);
        let blesses = env::var_os("BLESS").is_some();
        if !blesses && !file.exists() {
            eprintln!("skipped: there is no golden of {}", library.release);
            continue;
        }
        let line = |scene: &Scene| {
            let output = library.run(&program, &["misuse.txt", scene.name], &scene.tunables);
            format!("{}: {}\n", scene.name, said(&output, &program))
        };
        let real: String = scenes(&script).iter().map(line).collect();
        if blesses {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &real).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap();
        for (real, kept) in real.lines().zip(kept.lines()) {
            assert_eq!(real, kept, "{}", library.release);
        }
    }
}
