//! Every setting malloc has, in every spelling, within its bounds, at them and beyond.
//!
//! The judge is every C library that is here (see `driver`). What they did is kept like that of other
//! scripts, in `RELEASE.knobs`, and `RELEASE-i386.knobs` of those built for i386.

use super::driver::{Architecture, Driver, I386, X86_64};
use super::generate::{SENSITIVE, script};
use super::replay::{MEMORIES, Trace};
use super::{
    AS_USUAL, NOT_SURVIVED, READ, Settings, check_golden, goldens, kept, processors_online, settled, written,
};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::thread;

/// What the names of these goldens end with.
const SUFFIX: &str = ".knobs";

/// Calls that are made under each setting.
const LINES: usize = 1600;

/// Values for each tunable.
const TUNABLES: &[(&str, &[&str])] = &[
    ("check", &["0", "1", "2", "3", "4", "-1", "0x3"]),
    ("top_pad", &["0", "1", "4096", "131072", "1000000", "-1", "0x20000", "010000", " 77"]),
    ("perturb", &["0", "165", "255", "256", "-1"]),
    (
        "mmap_threshold",
        &["0", "1", "4096", "131072", "33554432", "33554433", "67108864", "-1", "0xffffffffffffffff", ""],
    ),
    ("trim_threshold", &["0", "1", "131072", "10000000", "-1", "18446744073709551610"]),
    ("mmap_max", &["0", "1", "3", "65536", "2147483647", "2147483648", "-1", "4294967298"]),
    ("arena_max", &["0", "1", "2", "5", "100", "-1", "2 ", "3x", "x"]),
    ("arena_test", &["0", "1", "2", "20", "-1"]),
    (
        "tcache_max",
        &["0", "1", "24", "25", "200", "1032", "1033", "1040", "65536", "4194280", "4194281", "-1"],
    ),
    ("tcache_count", &["0", "1", "2", "30", "127", "128", "65535", "65536", "-1"]),
    ("tcache_unsorted_limit", &["0", "1", "3", "-1"]),
    ("mxfast", &["0", "1", "7", "8", "64", "128", "160", "161", "-1"]),
    ("hugetlb", &["0"]),
    ("arenas", &["2"]),
];

/// Whole strings, sound and in disorder.
const STRINGS: &[&str] = &[
    "",
    "glibc.malloc.arena_max=2:",
    ":glibc.malloc.arena_max=2",
    "::x:glibc.malloc.arena_max=2",
    "glibc.malloc.arena_max=2:x",
    "glibc.malloc.arena_max=2=3",
    "x=y=z:glibc.malloc.arena_max=2",
    "=5:glibc.malloc.arena_max=2",
    " glibc.malloc.arena_max=2",
    "malloc.arena_max=2",
    "arena_max=2",
    "glibc.malloc.arena_max=2:glibc.malloc.arena_max=3",
    "glibc.malloc.arena_max=2:glibc.malloc.arena_max=0",
    "glibc.malloc.tcache_count=3:glibc.malloc.tcache_count=65536",
    "glibc.malloc.arena_max=2:glibc.malloc.tcache_count=0:glibc.malloc.mmap_max=2:glibc.malloc.top_pad=0",
    "glibc.malloc.arena_max=2:glibc.rtld.enable_secure=1",
    "glibc.malloc.tcache_max=60000:glibc.malloc.tcache_count=3",
];

/// Variables of their own, and together with a string.
const VARIABLES: &[&[(&str, &str)]] = &[
    &[("MALLOC_TOP_PAD_", "0")],
    &[("MALLOC_TOP_PAD_", "0x1000")],
    &[("MALLOC_TOP_PAD", "0")],
    &[("MALLOC_PERTURB_", "165")],
    &[("MALLOC_MMAP_THRESHOLD_", "4096")],
    &[("MALLOC_MMAP_THRESHOLD_", "67108864")],
    &[("MALLOC_TRIM_THRESHOLD_", "-1")],
    &[("MALLOC_TRIM_THRESHOLD_", "65536 bytes")],
    &[("MALLOC_MMAP_MAX_", "2")],
    &[("MALLOC_MMAP_MAX_", "-2")],
    &[("MALLOC_ARENA_MAX", "0")],
    &[("MALLOC_ARENA_MAX", "1")],
    &[("MALLOC_ARENA_MAX", "2")],
    &[("MALLOC_ARENA_TEST", "3")],
    &[("MALLOC_CHECK_", "0")],
    &[("MALLOC_CHECK_", "1")],
    &[("MALLOC_CHECK_", "3")],
    &[("MALLOC_CHECK_", "03")],
    &[("MALLOC_CHECK_", "7")],
    &[("MALLOC_CHECK_", "x")],
    &[("MALLOC_CHECK_", "")],
    &[("MALLOC_CHECK_", "3"), ("MALLOC_PERTURB_", "165")],
    &[("MALLOC_CHECK_", "3"), ("MALLOC_MMAP_THRESHOLD_", "4096")],
    &[("MALLOC_CHECK_", "3"), ("MALLOC_MMAP_MAX_", "0")],
    &[("MALLOC_ARENA_MAX", "2"), ("GLIBC_TUNABLES", "glibc.malloc.arena_max=4")],
    &[("GLIBC_TUNABLES", "glibc.malloc.arena_max=4"), ("MALLOC_ARENA_MAX", "2")],
    &[("GLIBC_TUNABLES", "glibc.malloc.arena_max=0"), ("MALLOC_ARENA_MAX", "2")],
    &[("GLIBC_TUNABLES", "glibc.malloc.arena_max=4:"), ("MALLOC_ARENA_MAX", "2")],
    &[("GLIBC_TUNABLES", "glibc.malloc.arena_max=4:glibc.rtld.enable_secure=1"), ("MALLOC_TOP_PAD_", "0")],
];

/// `mallopt`, in the middle: parameters and values.
const PARAMETERS: &[(i32, &[i32])] = &[
    (1, &[0, 8, 64, 160, 161, -1]),
    (-1, &[0, 131_072, -1]),
    (-2, &[0, 4096, 1_000_000]),
    (-3, &[0, 4096, 33_554_432, 33_554_433, i32::MAX]),
    (-4, &[0, 2, -1]),
    (-5, &[3]),
    (-6, &[165, -1]),
    (-7, &[0, 1, -1]),
    (-8, &[0, -1, 1, 3]),
    (4, &[1]),
    (77, &[1]),
];

/// A setting, and where it is made.
struct Case {
    name: String,
    settings: Settings,
    script: String,
}

fn set_by(variables: &[(&str, &str)], script: &str) -> Case {
    let name = variables.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Case { name, settings: Settings { variables, ..AS_USUAL }, script: script.to_owned() }
}

/// `mallopt` after some share of the calls, in eighths.
fn set_after(eighths: usize, parameter: i32, value: i32, script: &str) -> Case {
    let mut lines: Vec<&str> = script.lines().collect();
    let place = lines.len() * eighths / 8;
    let call = format!("0 mallopt {parameter} {value}");
    lines.insert(place, &call);
    let name = format!("mallopt({parameter}, {value}) at {eighths}/8");
    Case { name, settings: AS_USUAL, script: lines.join("\n") + "\n" }
}

/// Calls that show most settings: at first chunks of two sizes that the tcache has no room for and then
/// wants, so that an allocation finds several of both in the unsorted bin.
fn sensitive() -> String {
    let slots = 1000..1024;
    let size = |slot: u64| if slot.is_multiple_of(2) { 200 } else { 300 };
    let mut text = String::new();
    let mut call = |line: String| text.push_str(&format!("0 {line}\n"));
    for slot in slots.clone() {
        call(format!("malloc {slot} {}", size(slot)));
        call(format!("malloc {} 16", slot + 100));
    }
    slots.clone().for_each(|slot| call(format!("free {slot}")));
    slots.for_each(|slot| call(format!("malloc {slot} {}", size(slot))));
    text + &script(&SENSITIVE, 1, LINES)
}

/// All of them, the first of which sets nothing.
fn cases(release: &str, architecture: &Architecture) -> Vec<Case> {
    let script = sensitive();
    let mut cases = vec![set_by(&[], &script)];
    for (name, values) in TUNABLES {
        for value in *values {
            cases.push(set_by(&[("GLIBC_TUNABLES", &format!("glibc.malloc.{name}={value}"))], &script));
        }
    }
    cases.extend(STRINGS.iter().map(|string| set_by(&[("GLIBC_TUNABLES", string)], &script)));
    cases.extend(VARIABLES.iter().map(|variables| set_by(variables, &script)));
    cases.extend(huge_page_cases(release, &script));
    for &(parameter, values) in PARAMETERS {
        for &value in values {
            // Before any call, when there is but one thread, and when there are as many arenas as ever.
            cases.extend([0, 4].map(|eighths| set_after(eighths, parameter, value, &script)));
        }
    }
    for case in &mut cases {
        case.settings.bits = architecture.bits;
    }
    cases
}

/// What is kept of a case.
fn line(case: &Case, placements: Option<&str>) -> String {
    let kept = placements.map(|placements| kept(&case.script, placements));
    format!("{} {}", case.name, kept.as_deref().unwrap_or(NOT_SURVIVED))
}

/// Imports every script but once.
#[derive(Default)]
struct Traces(BTreeMap<String, Trace>);

impl Traces {
    fn of(&mut self, script: &str) -> &Trace {
        let import = || Trace::import(written(script).path());
        self.0.entry(script.to_owned()).or_insert_with(import)
    }
}

#[test]
fn settings_do_what_they_do_in_glibc() {
    check_releases(&X86_64);
}

#[test]
fn i386_settings_do_what_they_do_in_glibc() {
    check_releases(&I386);
}

fn check_releases(architecture: &Architecture) {
    let goldens = goldens(SUFFIX, architecture);
    assert!(goldens.iter().any(|(release, _)| release == READ), "there are goldens");
    thread::scope(|scope| {
        for (release, golden) in &goldens {
            scope.spawn(|| check_release(release, architecture, golden));
        }
    });
}

fn check_release(release: &str, architecture: &Architecture, golden: &str) {
    let cases = cases(release, architecture);
    assert_eq!(golden.lines().count(), cases.len(), "{release}: bless it");
    let mut traces = Traces::default();
    for ((number, case), real) in cases.iter().enumerate().zip(golden.lines()) {
        let all = release == READ && !case.settings.begins_with_a_huge_page;
        let memories = if all { architecture.memories } else { &MEMORIES[..1] };
        let memory = memories[number % memories.len()];
        let ours = traces.of(&case.script).replay(release, &["--placements"], memory, &case.settings);
        let ours = line(case, Some(&settled(&ours)));
        assert!(
            ours == real || real.ends_with(NOT_SURVIVED),
            "{release}, {} bits, {memory} memory\n{ours}\n{real}",
            architecture.bits
        );
    }
}

#[test]
fn settings_in_the_goldens_are_what_glibc_does() {
    check_goldens(Driver::all());
}

#[test]
fn i386_settings_in_the_goldens_are_what_glibc_does() {
    check_goldens(Driver::all_for_i386());
}

fn check_goldens(drivers: &[Driver]) {
    if processors_online() != AS_USUAL.processors {
        eprintln!("skipped: another number of processors allows another number of arenas");
        return;
    }
    for driver in drivers {
        let mut golden = String::new();
        for case in cases(&driver.release, driver.architecture) {
            let real = driver.placements_unless_it_crashes(written(&case.script).path(), &case.settings);
            let real = real.map(|real| settled(&real));
            writeln!(golden, "{}", line(&case, real.as_deref())).expect("a string takes all");
        }
        check_golden(&format!("{}{}{SUFFIX}", driver.release, driver.architecture.suffix), &golden);
    }
}

/// Until there were no hooks any more, `check` counted: any value that is one but 0.
#[test]
fn checking_moves_everything_while_there_are_hooks() {
    for (release, golden) in goldens(SUFFIX, &X86_64) {
        let hashes_of = |value: &str| {
            let name = format!("MALLOC_CHECK_={value} ");
            let line = golden.lines().find(|line| line.starts_with(&name));
            line.and_then(|line| line.rsplit(": ").next()).expect("there is a golden").to_owned()
        };
        let counts = hashes_of("3") != hashes_of("0");
        assert_eq!(
            counts,
            ["2.23", "2.26", "2.26-branch", "2.27", "2.31"].contains(&release.as_str()),
            "{release}"
        );
        assert_eq!(hashes_of("1"), hashes_of("3"), "{release}");
    }
}

/// The script is such that what counts shows.
#[test]
fn a_setting_that_counts_moves_something() {
    let (_, golden) =
        goldens(SUFFIX, &X86_64).into_iter().find(|(release, _)| release == READ).expect("there is one");
    let hashes = |line: &str| line.rsplit(": ").next().expect("a line has hashes").to_owned();
    let hashes_of = |name: &str| {
        let line = golden.lines().find(|line| line.starts_with(&format!("{name} ")));
        hashes(line.unwrap_or_else(|| panic!("there is a golden for {name}")))
    };
    let unset = hashes(golden.lines().next().expect("the first sets nothing"));
    for (name, value) in [
        ("top_pad", "0"),
        ("mmap_threshold", "4096"),
        ("trim_threshold", "0"),
        ("mmap_max", "0"),
        ("arena_max", "2"),
        ("tcache_max", "24"),
        ("tcache_count", "0"),
        ("tcache_unsorted_limit", "1"),
        ("mxfast", "0"),
        ("hugetlb", "1"),
        ("hugetlb", "2"),
    ] {
        assert_ne!(hashes_of(&format!("GLIBC_TUNABLES=glibc.malloc.{name}={value}")), unset, "{name}");
    }
    for (parameter, value) in [(1, 0), (-1, 0), (-2, 0), (-3, 4096), (-4, 0), (-8, 3)] {
        assert_ne!(hashes_of(&format!("mallopt({parameter}, {value}) at 0/8")), unset, "{parameter}");
    }
    // Once the limit on arenas has been found it does not change any more.
    assert_eq!(hashes_of("mallopt(-8, 1) at 4/8"), hashes_of("mallopt(-8, 3) at 4/8"));
}

/// Huge pages: the kernel must wait for recommendations, and its pool be empty.
fn huge_page_cases(release: &str, script: &str) -> Vec<Case> {
    let four_pages_each = ["2.35", "2.36", "2.37", "2.38", "2.39", "2.40", "2.41"].contains(&release);
    let case = |(value, offset): (&str, u64)| {
        let mut case = set_by(&[("GLIBC_TUNABLES", &format!("glibc.malloc.hugetlb={value}"))], script);
        case.settings.begins_with_a_huge_page = true;
        case.settings.break_offset = offset;
        if offset != 0 {
            case.name.push_str(&format!(" from {offset:#x}"));
        }
        if ["2", "2097152"].contains(&value) && four_pages_each {
            case.settings.segment = 8 << 20;
        }
        case
    };
    [("1", 0), ("1", 0x5000), ("1", 0x1f_f800), ("2", 0), ("2097152", 0), ("5000", 0)].map(case).into()
}
