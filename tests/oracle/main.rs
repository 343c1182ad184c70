//! Replays beside real glibc: every chunk lands where the C library put it, the kernel is asked for the
//! same, and malloc says the same of itself.
//!
//! The scripts are scenes, in `allocator/tests/oracle/scenes`, each about one thing and short enough
//! to read; and generated ones, which are long. What glibc did is kept in `golden`: of release 2.36 every
//! line of the scenes, in `2.36`; of each release a hash of every thousand lines, in `RELEASE.hashes`,
//! which begins with the words of the build it was made with, and what it says of itself after one scene, in
//! `RELEASE.introspection`. `BLESS=1 cargo test --test oracle glibc_does` on a machine with a C compiler
//! and strace writes them anew, for the machine's glibc and those in MALLOSCOPE_LIBCS (see `driver`).
//!
//! Every glibc that is here is also asked directly, about other scripts. Millions of calls each:
//! `SEEDS=1000..4000 cargo test --release --test oracle other_scripts`. A script that comes out otherwise is
//! shortened to the calls that matter.
#![expect(clippy::cast_possible_truncation, reason = "the numbers are those of a small script")]

#[path = "../common/mod.rs"]
mod common;
mod driver;
mod generate;
mod i386;
mod kernel;
mod knobs;
mod replay;
mod shrink;
mod wrapping;

use driver::{Architecture, Driver, I386, X86_64};
use generate::{KINDS, Kind, Random, WRAPPING, script};
use replay::{DIES, MEMORIES, Trace};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, iter};

/// What a replay must be told besides the script.
#[derive(Clone, Debug)]
pub struct Settings {
    break_offset: u64,
    break_limit: u64,
    tunables: Vec<(&'static str, u64)>,
    /// Of the environment, to the letter.
    variables: Vec<(String, String)>,
    /// Whether the break begins with a huge page.
    begins_with_a_huge_page: bool,
    /// How long a segment is, if not 64 MiB.
    segment: u64,
    /// Bits in a word.
    bits: u32,
    /// Of the machine the goldens were made on; it bounds the number of arenas.
    processors: u32,
}

const AS_USUAL: Settings = Settings {
    break_offset: 0,
    break_limit: 0,
    tunables: Vec::new(),
    variables: Vec::new(),
    begins_with_a_huge_page: false,
    segment: 0,
    bits: 64,
    processors: 2,
};

/// Where the driver, the scenes and the goldens are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("allocator/tests/oracle")
}

/// The release of which every line is kept, to be read.
const READ: &str = "2.36";

fn golden(name: &str) -> PathBuf {
    folder().join("golden").join(name)
}

fn blesses() -> bool {
    env::var_os("BLESS").is_some()
}

/// A script that a person wrote.
struct Scene {
    name: String,
    path: PathBuf,
    settings: Settings,
}

/// All of them; what a scene needs stands in it after `#!`.
fn scenes() -> Vec<Scene> {
    let entries = fs::read_dir(folder().join("scenes")).expect("the scenes are there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    let scene = |path: PathBuf| {
        let name = path.file_stem().expect("a scene has a name").to_string_lossy().into_owned();
        let mut settings = AS_USUAL;
        let text = fs::read_to_string(&path).expect("the scene can be read");
        for line in text.lines().filter_map(|line| line.strip_prefix("#! ")) {
            match line.split_once(" 0x").map(|(name, value)| (name, u64::from_str_radix(value, 16))) {
                Some(("break-offset", Ok(value))) => settings.break_offset = value,
                Some(("break-limit", Ok(value))) => settings.break_limit = value,
                _ => panic!("{name}: {line} is not understood"),
            }
        }
        Scene { name, path, settings }
    };
    paths.into_iter().map(scene).collect()
}

/// Placements without what differs from run to run: mappings in place of the break lie anywhere, so
/// of places in them only that in the page is told; and where a segment was given back, another may
/// come to lie or not, so segments are not told apart by their numbers.
fn settled(placements: &str) -> String {
    let mut settled = String::new();
    for line in placements.lines() {
        let mut words = line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        if let Some(offset) = words[2].strip_prefix("F+") {
            words[2] = format!("F+{:x}", outside(offset) % 4096);
        } else if let Some((arena, place)) = words[2].split_once(".h") {
            let (_, offset) = place.split_once('+').expect("an offset follows");
            words[2] = format!("{arena}.h+{offset}");
        }
        settled.push_str(&words.join(" "));
        settled.push('\n');
    }
    settled
}

/// A distance from the first chunk outside the break, up or down.
fn outside(offset: &str) -> u64 {
    let hexadecimal = |digits| u64::from_str_radix(digits, 16).expect("an offset is a number");
    offset.strip_prefix('-').map_or_else(|| hexadecimal(offset), |below| hexadecimal(below).wrapping_neg())
}

/// Checks that two texts are the same, line by line; says where they part.
fn check_same(what: &str, script: &str, ours: &str, real: &str) {
    if ours == real {
        return;
    }
    let calls: Vec<&str> = script.lines().filter(|line| !line.starts_with('#')).collect();
    let mut theirs = real.lines();
    for (number, line) in ours.lines().map(Some).chain([None]).enumerate() {
        let other = theirs.next();
        if line != other {
            let index = line.or(other).and_then(|line| line.split(' ').next()?.parse::<usize>().ok());
            let call = index.and_then(|index| calls.get(index)).unwrap_or(&"the end");
            panic!("{what}: line {number}, for `{call}`\n  ours {line:?}\n  real {other:?}");
        }
    }
}

/// The options that print what a replay is compared by.
const PLACEMENTS: &[&str] = &["--placements"];
const SYSCALLS: &[&str] = &["--syscalls"];

/// Those for what malloc says of itself; glibc before 2.33 has no `mallinfo2`.
fn introspection(real: &str) -> &'static [&'static str] {
    const ALL: &[&str] = &[
        "--introspect=malloc_info",
        "--introspect=malloc_stats",
        "--introspect=mallinfo",
        "--introspect=mallinfo2",
    ];
    if real.contains("mallinfo2.") { ALL } else { &ALL[..3] }
}

fn check_scenes(suffix: &str, options: fn(&str) -> &'static [&'static str], settle: fn(&str) -> String) {
    for scene in scenes() {
        let script = fs::read_to_string(&scene.path).expect("the scene can be read");
        let file = golden(READ).join(format!("{}.{suffix}", scene.name));
        let real = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let trace = Trace::import(&scene.path);
        for memory in MEMORIES {
            let ours = settle(&trace.replay(READ, options(&real), memory, &scene.settings));
            check_same(&format!("{}, {memory} memory", scene.name), &script, &ours, &real);
        }
    }
}

#[test]
fn scenes_land_where_glibc_put_them() {
    check_scenes("placements", |_| PLACEMENTS, settled);
}

#[test]
fn scenes_ask_the_kernel_for_what_glibc_asked_it() {
    check_scenes("kernel", |_| SYSCALLS, |lines| kernel::settled(lines, X86_64.segment));
}

#[test]
fn scenes_end_in_what_glibc_says_of_itself() {
    check_scenes("introspection", introspection, str::to_owned);
}

/// Other releases say it in other words: one scene that has something to tell.
#[test]
fn every_release_says_it_in_its_own_words() {
    let scene = telling_scene();
    let trace = Trace::import(&scene.path);
    for (release, _) in hashed_releases(&X86_64).into_iter().filter(|(release, _)| release != READ) {
        let file = golden(&format!("{release}.introspection"));
        let real = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for memory in MEMORIES {
            let ours = trace.replay(&release, introspection(&real), memory, &scene.settings);
            check_same(&format!("{release}, {memory} memory"), "", &ours, &real);
        }
    }
}

fn telling_scene() -> Scene {
    scenes().into_iter().find(|scene| scene.name == "introspection").expect("it is there")
}

#[test]
fn answers_are_what_glibc_does() {
    let scene = telling_scene();
    for driver in Driver::all().iter().filter(|driver| driver.release != READ) {
        let name = format!("{}.introspection", driver.release);
        if blesses() || golden(&name).exists() {
            check_golden(&name, &driver.introspection(&scene.path, &scene.settings).0);
        }
    }
}

#[test]
fn goldens_are_what_glibc_does() {
    let Some(driver) = Driver::all().iter().find(|driver| driver.release == READ) else { return };
    for scene in scenes() {
        let placements = settled(&driver.placements(&scene.path, &scene.settings).0);
        check_golden(&format!("{READ}/{}.placements", scene.name), &placements);
        let (said, _) = driver.introspection(&scene.path, &scene.settings);
        check_golden(&format!("{READ}/{}.introspection", scene.name), &said);
        if let Some(log) = driver.strace(&scene.path, &scene.settings) {
            let calls = kernel::settled(&kernel::lines(&log), driver.architecture.segment);
            check_golden(&format!("{READ}/{}.kernel", scene.name), &calls);
        }
    }
}

/// Checks what real glibc does against its golden, or writes the golden.
fn check_golden(name: &str, real: &str) {
    let file = golden(name);
    if blesses() {
        fs::create_dir_all(file.parent().expect("it is in a folder"))
            .expect("there can be a folder for goldens");
        fs::write(file, real).expect("a golden can be written");
        return;
    }
    let golden = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let kept = golden.lines().map(Some).chain(iter::repeat(None));
    let compared: String = real
        .split_inclusive('\n')
        .zip(kept)
        .map(|(line, kept)| match kept.filter(|kept| kept.ends_with(NOT_SURVIVED)) {
            Some(kept) => format!("{kept}\n"),
            None => line.to_owned(),
        })
        .collect();
    check_same(&format!("the golden of {name}"), "", &golden, &compared);
}

/// What is kept where the C library itself fails: 2.41 and older look for pages of a given size in a way that may
/// end in a crash, and so may requests that wrap. What lies in memory then decides, so another machine's may not.
const NOT_SURVIVED: &str = "is not survived";

/// A script in a file.
fn written(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
    fs::write(file.path(), text).expect("a script can be written");
    file
}

fn settings_of(kind: &Kind) -> Settings {
    Settings { break_offset: kind.break_offset, break_limit: kind.break_limit, ..AS_USUAL }
}

/// Calls in a generated script whose placements are kept.
const LINES: usize = 20_000;
/// Of so many lines there is one hash.
const HASHED: usize = 1000;

/// FNV-1a, of every thousand lines.
fn hashes(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let hash = |lines: &[&str]| {
        let bytes = lines.iter().flat_map(|line| line.bytes().chain([b'\n']));
        let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        format!("{:016x}", bytes.fold(0xcbf2_9ce4_8422_2325, step))
    };
    lines.chunks(HASHED).map(hash).collect()
}

/// What is kept of a generated script: its own hash, so that nobody changes it unnoticed, and those
/// of what came of it.
fn kept(text: &str, placements: &str) -> String {
    let script = hashes(text).join("");
    let script = &hashes(&script)[0];
    format!("{script}: {}", hashes(&settled(placements)).join(" "))
}

/// Every script of which hashes are kept: the scenes, and one of each generated kind.
fn hashed_scripts() -> Vec<(String, String, Settings)> {
    let scene = |scene: Scene| {
        let text = fs::read_to_string(&scene.path).expect("the scene can be read");
        (scene.name, text, scene.settings)
    };
    let generated =
        |kind: &Kind| (format!("generated_{}", kind.name), script(kind, 1, LINES), settings_of(kind));
    scenes().into_iter().map(scene).chain(KINDS.iter().map(generated)).collect()
}

/// Checks replays as all releases of which hashes are kept, and for which it `is_wanted`, against them.
fn check_hashes(architecture: &Architecture, memory: &str, is_wanted: impl Fn(&str) -> bool) {
    let mut releases = hashed_releases(architecture);
    releases.retain(|(release, _)| is_wanted(release));
    assert!(!releases.is_empty(), "there are goldens");
    for (name, text, settings) in hashed_scripts() {
        let settings = Settings { bits: architecture.bits, ..settings };
        let trace = Trace::import(written(&text).path());
        for (release, golden) in &releases {
            let ours = kept(&text, &trace.replay(release, PLACEMENTS, memory, &settings));
            check_kept(&format!("{release}, {name}, {memory} memory"), &name, &ours, golden);
        }
    }
}

/// Checks the hashes of what came of a script against those of what that glibc did.
fn check_kept(what: &str, name: &str, ours: &str, golden: &str) {
    let kept_line = golden.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let kept_line = kept_line.unwrap_or_else(|| panic!("{what}: there is no golden"));
    let parts = ours.split(' ').zip(kept_line.split(' ')).position(|(ours, real)| ours != real);
    match parts {
        None => assert_eq!(ours, kept_line, "{what}: they are equally long"),
        Some(0) => panic!("{name}: the script itself is another; bless it"),
        Some(part) => {
            let (from, to) = ((part - 1) * HASHED, part * HASHED);
            panic!("{what}: the first difference is in lines {from} to {to}")
        }
    }
}

/// The releases of which hashes are kept, and these.
fn hashed_releases(architecture: &Architecture) -> Vec<(String, String)> {
    goldens(".hashes", architecture)
}

/// The releases of which there are goldens whose names end so, and these.
fn goldens(end: &str, architecture: &Architecture) -> Vec<(String, String)> {
    let entries = fs::read_dir(golden("")).expect("the goldens are there");
    let release = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(end)?;
        let (name, suffix) = name.split_at(name.find(I386.suffix).unwrap_or(name.len()));
        let text = || fs::read_to_string(&path).expect("a golden can be read");
        (suffix == architecture.suffix).then(|| (name.to_owned(), text()))
    };
    let mut all: Vec<_> =
        entries.filter_map(|entry| release(entry.expect("it can be read").path())).collect();
    all.sort();
    all
}

#[test]
fn every_release_puts_chunks_where_that_glibc_did() {
    check_hashes(&X86_64, "simulated", |_| true);
}

#[test]
fn real_memory_makes_no_difference() {
    check_hashes(&X86_64, "real", |release| release == READ);
}

#[test]
fn hashes_are_of_what_glibc_does() {
    check_golden_hashes(Driver::all());
}

/// Checks the hashes that are kept against what these do.
fn check_golden_hashes(drivers: &[Driver]) {
    let here = processors_online();
    if here != AS_USUAL.processors {
        eprintln!("skipped: {here} processors allow another number of arenas than {}", AS_USUAL.processors);
        return;
    }
    for driver in drivers {
        let mut golden = format!("# {}\n", driver.banner);
        for (name, text, settings) in hashed_scripts() {
            let (placements, _) = driver.placements(written(&text).path(), &settings);
            writeln!(golden, "{name} {}", kept(&text, &placements)).expect("a string takes all");
        }
        let name = format!("{}{}.hashes", driver.release, driver.architecture.suffix);
        if blesses() || self::golden(&name).exists() {
            check_golden(&name, &golden);
        }
    }
}

/// The processors of this machine, by which glibc limits the number of arenas.
fn processors_online() -> u32 {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("processor")).count() as u32
}

/// What the environment may say.
const TUNABLES: &[&[(&str, u64)]] = &[
    &[],
    &[],
    &[("tcache_count", 0)],
    &[("tcache_count", 2), ("mxfast", 160)],
    &[("tcache_max", 200), ("mxfast", 0)],
    &[("tcache_unsorted_limit", 3)],
    &[("mmap_threshold", 4096)],
    &[("mmap_max", 0), ("trim_threshold", 1000)],
    &[("top_pad", 0)],
    &[("perturb", 165)],
];

/// Calls in a script that nobody has seen before: CALLS, or few.
fn live_lines() -> usize {
    env::var("CALLS").map_or(1500, |calls| calls.parse().expect("CALLS is a number"))
}

/// Checks a script that nobody has seen before against a C library that is here.
fn check_live(driver: &Driver, seed: u64) {
    let (kind, settings) = drawn(seed);
    let text = script(&kind, seed, live_lines());
    let file = written(&text);
    let name = format!("{}{}", driver.release, driver.architecture.suffix);
    let what = |memory| format!("glibc {name}, seed {seed}, {}, {memory} memory, {settings:?}", kind.name);
    let trace = Trace::import(file.path());
    let memories = driver.architecture.memories;
    let memory = memories[seed as usize % memories.len()];
    // After a block has been refused more memory, the functions that check wait for ever in some releases; and
    // where requests wrap, heaps are corrupted in a way that may end in a crash.
    let may_crash = !settings.variables.is_empty() || kind.name == WRAPPING.name;
    if may_crash && driver.placements_unless_it_crashes(file.path(), &settings).is_none() {
        // Ours does not crash, whatever it then says.
        trace.replay(&driver.release, PLACEMENTS, memory, &settings);
        eprintln!("skipped: {} itself comes to no end", what(memory));
        return;
    }
    let (real, as_it_was) = driver.placements(file.path(), &settings);
    let ours = trace.replay(&driver.release, PLACEMENTS, memory, &as_it_was);
    if comparable(&text, &ours) != comparable(&text, &real) {
        tell_shortest(driver, &text, memory, (&settings, &as_it_was), &what(memory));
    }
    if real.ends_with(DIES) || comparable(&text, &real).lines().count() < real.lines().count() {
        return;
    }
    let (real, as_it_was) = driver.introspection(file.path(), &settings);
    let ours = trace.replay(&driver.release, introspection(&real), memory, &as_it_was);
    check_same(&what(memory), "", &ours, &real);
    // Where segments come and go, they are called by numbers that differ from run to run.
    if seed.is_multiple_of(8)
        && !["segments", "refused", "wrapping"].contains(&kind.name)
        && let Some(log) = driver.strace(file.path(), &settings)
    {
        let segment = driver.architecture.segment;
        let real = kernel::settled(&kernel::lines(&log), segment);
        for memory in memories {
            let ours = trace.replay(&driver.release, SYSCALLS, memory, &as_it_was);
            let ours = kernel::settled(&ours, segment);
            check_same(&what(memory), &text, &ours, &real);
        }
    }
}

/// Placements as far as they can be compared: to the first aligned request that was served because it wrapped. From
/// there on heads are what lies behind a chunk, addresses too, which differ from run to run.
fn comparable(script: &str, placements: &str) -> String {
    let is_served = |line: &&str| line.split(' ').nth(2).is_some_and(|place| !["0", "-"].contains(&place));
    let calls = script.lines().filter(|line| !line.starts_with('#'));
    let wrapped = calls.zip(placements.lines()).position(|(call, line)| {
        let request = call.rsplit(' ').next().and_then(|number| number.parse::<u64>().ok());
        let is_aligned = call.contains("align") || call.contains("valloc");
        is_aligned && request.is_some_and(|request| request >> 63 == 1) && is_served(&line)
    });
    let end = wrapped.map_or(usize::MAX, |last| last + 1);
    settled(placements).split_inclusive('\n').take(end).collect()
}

/// Panics with the few calls of a script that land elsewhere than the C library put them. `settings` are
/// those for the driver, and those that the replay must be told.
fn tell_shortest(
    driver: &Driver,
    text: &str,
    memory: &str,
    (settings, as_it_was): (&Settings, &Settings),
    what: &str,
) -> ! {
    let both = |text: &str| {
        let file = written(text);
        let real = comparable(text, &driver.placements_unless_it_crashes(file.path(), settings)?);
        let trace = Trace::import(file.path());
        Some((comparable(text, &trace.replay(&driver.release, PLACEMENTS, memory, as_it_was)), real))
    };
    let shortest = shrink::shrunk(text, |text| both(text).is_some_and(|(ours, real)| ours != real));
    if let Some((ours, real)) = both(&shortest) {
        check_same(&format!("{what}; the calls that matter:\n{shortest}"), &shortest, &ours, &real);
    }
    panic!("{what}: it does not always happen")
}

/// The kind and the settings a seed stands for.
fn drawn(seed: u64) -> (Kind, Settings) {
    let mut random = Random::new(seed);
    let drawn = random.choose(KINDS);
    let wanted = env::var("KIND").ok();
    let mut kinds = KINDS.iter().chain([&WRAPPING]);
    let named = |name: String| *kinds.find(|kind| kind.name == name).expect("KIND is one there is");
    let kind = wanted.map_or(drawn, named);
    let mut settings = settings_of(&kind);
    settings.tunables = random.choose(TUNABLES).to_vec();
    // The machine's processors shall not matter.
    settings.tunables.push(("arena_max", random.range(1, 9)));
    if kind.break_offset != 0 {
        settings.break_offset = random.range(1, 512) * 8;
    }
    if kind.break_limit != 0 {
        settings.break_limit = random.range(0x40, 0x200) << 12;
    }
    if let value @ 0..4 = random.range(0, 16) {
        settings.variables.push(("MALLOC_CHECK_".to_owned(), value.to_string()));
    }
    (kind, settings)
}

#[test]
fn other_scripts_land_where_glibc_puts_them_here_and_now() {
    // SEEDS=1000..3000 asks about more of them, CALLS=20000 about longer ones, KIND=refused only about those of
    // a kind.
    let seeds = env::var("SEEDS").unwrap_or_else(|_| "0..120".to_owned());
    let (from, to) = seeds.split_once("..").expect("SEEDS is a range");
    let seed = |text: &str| text.parse().expect("SEEDS is a range of numbers");
    for driver in Driver::all() {
        for seed in seed(from)..seed(to) {
            check_live(driver, seed);
        }
    }
}
