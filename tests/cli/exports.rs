//! Exports of a recorded program: every format, from the command line.

use super::run::{answer, folder, malloscope, program, said, trace};
use serde_json::Value;
use std::fs;
use std::sync::OnceLock;

/// A recording of the program with all its stacks.
fn stacks() -> &'static str {
    static TRACE: OnceLock<String> = OnceLock::new();
    TRACE.get_or_init(|| {
        let trace = folder().join("stacks.mscope").display().to_string();
        let said = said(malloscope(["record", "--stacks", "all", "-o", &trace, "--"]).arg(program()));
        assert_eq!(said.code, Some(0), "{}", said.err);
        trace
    })
}

#[test]
fn all_formats_agree_on_what_was_allocated() {
    let folded = answer(["export", "--to", "folded", stacks()]);
    let bytes: u64 =
        folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
    assert!(bytes > 100_000, "{folded}");
    // What called is in the program itself.
    assert!(folded.lines().any(|line| line.contains("main")), "{folded}");
    let json = |format| -> Value {
        serde_json::from_str(&answer(["export", "--to", format, stacks()])).expect("it is JSON")
    };
    let dhat = json("dhat");
    let points = dhat["pps"].as_array().unwrap();
    assert_eq!(points.iter().map(|point| point["tb"].as_u64().unwrap()).sum::<u64>(), bytes);
    assert_eq!(json("speedscope")["profiles"][0]["endValue"], bytes);
    let firefox = json("firefox");
    let threads = firefox["threads"].as_array().unwrap();
    let weights = threads.iter().filter_map(|thread| thread["nativeAllocations"]["weight"].as_array());
    let allocated = weights.flatten().map(|weight| weight.as_i64().unwrap()).filter(|weight| *weight > 0);
    assert_eq!(u64::try_from(allocated.sum::<i64>()), Ok(bytes));
}

#[test]
fn what_is_not_text_goes_into_a_file() {
    for (format, start) in [("pprof", &[0x1f, 0x8b][..]), ("perfetto", &[0x0a])] {
        let file = folder().join(format!("program.{format}"));
        answer(["export", "--to", format, stacks(), "-o", file.to_str().unwrap()]);
        assert!(fs::read(file).unwrap().starts_with(start), "{format}");
    }
}

#[test]
fn a_replay_adds_counters_for_perfetto() {
    let [plain, replayed] = [&[][..], &["--replay"]].map(|more| {
        let file = folder().join(format!("counters{}.perfetto", more.len()));
        let file = file.to_str().unwrap();
        answer(["export", "--to", "perfetto", trace(), "-o", file].iter().chain(more));
        fs::read(file).unwrap()
    });
    let names = |file: &[u8], name: &str| file.windows(name.len()).any(|window| window == name.as_bytes());
    for name in ["malloc live", "malloc held", "malloc mapped", "program break"] {
        assert!(names(&plain, name) && names(&replayed, name), "{name}");
    }
    for name in ["replayed resident", "replayed from the kernel", "replayed pinned", "replayed cached"] {
        assert!(!names(&plain, name) && names(&replayed, name), "{name}");
    }
    let said = said(&mut malloscope(["export", "--replay", "--to", "folded", trace()]));
    assert!(said.code == Some(1) && said.err.contains("Perfetto"), "{}", said.err);
}

#[test]
fn without_stacks_it_says_how_to_get_some() {
    for format in ["pprof", "firefox", "speedscope", "dhat", "folded"] {
        let file = folder().join(format!("none.{format}"));
        let mut command = malloscope(["export", "--to", format, trace(), "-o", file.to_str().unwrap()]);
        let said = said(&mut command);
        assert!(said.code == Some(1) && said.err.contains("--stacks all"), "{format}: {}", said.err);
        assert!(!file.exists(), "{format}");
    }
}
