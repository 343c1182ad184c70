//! The twin with words of 32 bits beside real glibc built for i386.
//!
//! The same scripts, and the same goldens as hashes: `RELEASE-i386.hashes`, which `BLESS=1 cargo test --test
//! oracle i386` writes anew where a C compiler for i386 and its library are, for these and those in
//! MALLOSCOPE_LIBCS_I386.

use super::driver::{Driver, I386};
use super::generate::script;
use super::replay::Trace;
use super::{
    AS_USUAL, PLACEMENTS, Settings, blesses, check_golden, check_hashes, check_same, drawn, golden,
    hashed_scripts, introspection, kept, processors_online, settled, written,
};
use std::fmt::Write;
use std::fs;

fn narrow(settings: &Settings) -> Settings {
    Settings { bits: I386.bits, ..settings.clone() }
}

/// The releases of which there are goldens, and these.
fn releases() -> Vec<(String, String)> {
    let ending = format!("{}.hashes", I386.suffix);
    let entries = fs::read_dir(golden("")).expect("the goldens are there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let release = |path: std::path::PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(&ending)?.to_owned();
        Some((name, fs::read_to_string(&path).expect("a golden can be read")))
    };
    let mut all: Vec<_> = paths.filter_map(release).collect();
    all.sort();
    all
}

#[test]
fn i386_chunks_land_where_that_glibc_put_them() {
    let releases = releases();
    assert!(!releases.is_empty(), "there are goldens");
    for (release, golden) in &releases {
        for (name, text, settings) in hashed_scripts() {
            check_hashes(release, "simulated", golden, &(name, text, narrow(&settings)));
        }
    }
}

#[test]
fn i386_hashes_are_of_what_glibc_does() {
    let here = processors_online();
    if here != AS_USUAL.processors {
        eprintln!("skipped: {here} processors allow another number of arenas than {}", AS_USUAL.processors);
        return;
    }
    for driver in Driver::all_for_i386() {
        let mut golden = format!("# {}\n", driver.banner);
        for (name, text, settings) in hashed_scripts() {
            let (placements, _) = driver.placements(written(&text).path(), &settings);
            writeln!(golden, "{name} {}", kept(&text, &placements)).expect("a string takes all");
        }
        let name = format!("{}{}.hashes", driver.release, I386.suffix);
        if blesses() || self::golden(&name).exists() {
            check_golden(&name, &golden);
        }
    }
}

#[test]
fn i386_other_scripts_land_where_glibc_puts_them_here_and_now() {
    for driver in Driver::all_for_i386() {
        for seed in 0..60 {
            let (kind, settings) = drawn(seed);
            let text = script(&kind, seed, 1500);
            let file = written(&text);
            let what = format!("i386 {}, seed {seed}, {}, {settings:?}", driver.release, kind.name);
            let trace = Trace::import(file.path());
            let (real, as_it_was) = driver.placements(file.path(), &settings);
            let ours = trace.replay(&driver.release, PLACEMENTS, "simulated", &narrow(&as_it_was));
            check_same(&what, &text, &settled(&ours), &settled(&real));
            let (real, as_it_was) = driver.introspection(file.path(), &settings);
            let questions = introspection(&real);
            let ours = trace.replay(&driver.release, questions, "simulated", &narrow(&as_it_was));
            check_same(&what, "", &ours, &real);
        }
    }
}
