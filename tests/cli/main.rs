//! Every subcommand, from end to end, on a real recorded program; and what they say when something
//! is not as it should be.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

mod attach;
mod check;
mod compare;
mod costs;
mod exports;
mod filter;
mod flame;
mod formats;
mod gui;
mod heap;
mod help;
mod import;
mod prove;
mod questions;
mod rerun;
mod run;
mod sites;
mod symbolize;
mod trouble;

use run::{answer, built, folder, imported, malloscope, program, said, trace};

#[test]
fn a_recorded_program_is_replayed_exactly() {
    let verified = answer(["verify", trace()]);
    assert!(verified.starts_with("placements  100.0000 %"), "{verified}");
    for memory in ["simulated", "real"] {
        let verified = answer(["verify", "--memory", memory, trace()]);
        assert!(verified.contains("0 differ in size or flags"), "{verified}");
        let breaks = verified.lines().find_map(|line| line.strip_prefix("break       the same after "));
        let (same, all) = breaks.unwrap().trim_end_matches(" calls").split_once(" of ").unwrap();
        assert_eq!(same, all);
    }
}

#[test]
fn other_settings_are_not_what_was_recorded() {
    let said = said(&mut malloscope(["verify", "--set", "tcache_count=0", trace()]));
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("record ") && said.out.contains("  recorded "), "{}", said.out);
    let code = run::said(&mut malloscope(["verify", "--set=tcache_count=0", "--at-least=0", trace()])).code;
    assert_eq!(code, Some(0));
}

#[test]
fn a_setting_can_be_spelled_in_three_ways() {
    for set in ["arena_max=2", "MALLOC_ARENA_MAX=2", "GLIBC_TUNABLES=glibc.malloc.arena_max=2"] {
        let report = answer(["replay", "--set", set, trace()]);
        assert!(report.contains(", arena_max=2"), "{set}: {report}");
    }
    // Only the first spelling is ours, and has units.
    assert!(answer(["replay", "--set", "top_pad=64K", trace()]).contains(", top_pad=65536"));
    let report = answer(["replay", "--set", "MALLOC_TOP_PAD_=64K", trace()]);
    assert!(report.contains(", top_pad=64") && !report.contains("65536"), "{report}");
}

#[test]
fn what_glibc_would_ignore_is_said() {
    for (set, glibc, said) in [
        (
            "tcache_count=70000000000",
            "2.36",
            "glibc 2.36 ignores tcache_count=70000000000: the value is not within 0 to 65535",
        ),
        ("hugetlb=1", "2.31", "glibc 2.31 ignores hugetlb=1: it does not read this tunable"),
        ("MALLOC_TOP_PAD=1", "2.36", "glibc ignores MALLOC_TOP_PAD=1: malloc has no such setting"),
        (
            "GLIBC_TUNABLES=glibc.malloc.arena_max=2:",
            "2.41",
            "glibc 2.41 ignores GLIBC_TUNABLES=glibc.malloc.arena_max=2:",
        ),
    ] {
        let arguments = ["--set", set, "--glibc", glibc, trace()];
        let report = answer(["replay"].iter().chain(&arguments));
        assert!(report.contains(said), "{report}");
        let json = answer(["replay", "--format", "json"].iter().chain(&arguments));
        assert!(json.contains(said), "{json}");
        let comparison = answer(["compare", "--mxfast", "0"].iter().chain(&arguments));
        assert!(comparison.contains(said), "{comparison}");
    }
}

#[test]
fn a_report_says_what_was_asked_for() {
    let report = answer(["replay", trace()]);
    assert!(report.starts_with(program().to_str().unwrap()), "{report}");
    for words in ["glibc 2.", "simulated memory", "touch policy “pages”", "tcache", "mapped"] {
        assert!(report.contains(words), "{words}: {report}");
    }
    let other = answer(["replay", "--memory", "real", "--touch", "first", trace()]);
    assert!(other.contains("real memory") && other.contains("touch policy “first”"), "{other}");
}

#[test]
fn profile_records_and_reports_in_one_go() {
    let kept = folder().join("kept.mscope");
    let mut command = malloscope(["profile", "-o", kept.to_str().unwrap(), "--"]);
    let said = said(command.arg(program()).args(["exit", "3"]));
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.out.starts_with(program().to_str().unwrap()), "{}", said.out);
    assert!(said.err.contains("kept.mscope"), "{}", said.err);
    assert!(said.out.contains("\nStacks\n"), "who asked is in it: {}", said.out);
    let mut command = malloscope(["profile", "--stacks", "none", "--"]);
    let without = self::said(command.arg(program()).args(["exit", "3"]));
    assert!(!without.out.contains("\nStacks\n"), "{}", without.out);
    assert!(answer(["info", kept.to_str().unwrap()]).contains("exit 3"));
}

#[test]
fn record_ends_as_its_program_ended() {
    for (arguments, code) in
        [(["exit", "0"], 0), (["exit", "7"], 7), (["signal", "9"], 137), (["signal", "11"], 139)]
    {
        let trace = folder().join(arguments.concat()).with_extension("mscope");
        let mut command = malloscope(["record", "-o", trace.to_str().unwrap(), "--"]);
        let said = said(command.arg(program()).args(arguments));
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert_eq!(said.out, "", "what it prints is the program's");
        let verified = answer(["verify", trace.to_str().unwrap()]);
        assert!(verified.starts_with("placements  100.0000 %"), "{arguments:?}: {verified}");
    }
}

#[test]
fn info_says_what_a_trace_is() {
    let info = answer(["info", trace()]);
    for name in ["file", "command", "libc", "machine", "records", "lost        0 calls", "ending"] {
        assert!(info.lines().any(|line| line.starts_with(name)), "{name}: {info}");
    }
}

#[test]
fn a_dumped_script_makes_the_same_calls() {
    let dump = answer(["dump", trace()]);
    assert!(dump.lines().count() > 15_000);
    assert!(dump.contains("calloc(") && dump.contains("realloc("));
    let script = folder().join("again.ops").display().to_string();
    let exported = said(&mut malloscope(["dump", "--format", "ops", trace(), "-o", &script]));
    assert_eq!((exported.code, exported.out.as_str()), (Some(0), ""));
    let again = folder().join("again.mscope").display().to_string();
    answer(["import", &script, "-o", &again]);
    let [recorded, again] = [trace(), &again].map(|trace| {
        let lines = answer(["replay", "--placements", "--glibc", "2.36", trace]);
        // The break may begin at another place in its page only if the trace says so.
        let without_number = |line: &str| line.split_once(' ').map(|(_, rest)| rest.to_owned());
        lines.lines().filter_map(without_number).collect::<Vec<_>>()
    });
    assert_eq!(recorded.len(), again.len());
    assert!(recorded == again, "the same calls land in the same places");
}

#[test]
fn a_recording_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let trace = folder().join("private.mscope");
    let mut command = malloscope(["record", "-o", trace.to_str().unwrap(), "--"]);
    assert_eq!(said(command.arg(program())).code, Some(0));
    assert_eq!(std::fs::metadata(&trace).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn import_reads_standard_input() {
    let trace = folder().join("piped.mscope").display().to_string();
    let script = folder().join("piped.ops");
    std::fs::write(&script, "0 malloc 1 100\n0 free 1\n").unwrap();
    let mut command = malloscope(["import", "-", "-o", &trace]);
    assert_eq!(said(command.stdin(std::fs::File::open(script).unwrap())).code, Some(0));
    let lines = answer(["replay", "--placements", &trace]);
    assert_eq!(lines, "0 malloc m+2a0 71 21000\n1 free - 0 21000\n");
    let info = answer(["info", &trace]);
    assert!(info.contains("imported from ops"), "{info}");
}

#[test]
fn lines_go_into_a_file() {
    let trace = imported("into_a_file", "0 malloc 1 100\n0 malloc 2 200000\n");
    for option in ["--placements", "--syscalls"] {
        let file = folder().join("lines.txt").display().to_string();
        assert_eq!(answer(["replay", option, "-o", &file, &trace]), "");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), answer(["replay", option, &trace]));
    }
}

#[test]
fn malloc_is_asked_after_the_last_call() {
    let trace = imported("asked", "0 malloc 1 100\n0 malloc 2 200000\n0 free 1\n");
    let text = answer(["replay", "--introspect", "malloc_info", "--introspect=mallinfo2", &trace]);
    let (first, second) = text.split_once("</malloc>\n").unwrap();
    assert!(first.starts_with("<malloc version=\"1\">\n<heap nr=\"0\">\n"), "{text}");
    assert!(first.contains("<total type=\"mmap\" count=\"1\" size=\"200704\"/>"), "{text}");
    // What is cached counts as in use.
    assert!(second.starts_with("mallinfo2.arena = 135168\n"), "{text}");
    assert!(second.contains("\nmallinfo2.uordblks = 768\n"), "{text}");
    let text = answer(["replay", "--introspect=malloc_stats", &trace]);
    assert!(
        text.starts_with("Arena 0:\nsystem bytes     =     135168\nin use bytes     =        768\n"),
        "{text}"
    );
}

#[test]
fn a_comparison_names_the_regime_of_every_run() {
    let options = [
        ("--mmap-threshold", "64K,32M", "mmap_threshold 64K", "static"),
        ("--trim-threshold", "64K", "trim_threshold 64K", "static"),
        ("--top-pad", "1M", "top_pad 1M", "static"),
        ("--mmap-max", "0", "mmap_max 0", "static"),
        ("--arena-max", "1", "arena_max 1", "dynamic"),
        ("--tcache-count", "0", "tcache_count 0", "dynamic"),
        ("--tcache-max", "200", "tcache_max 200", "dynamic"),
        ("--mxfast", "0", "mxfast 0", "dynamic"),
    ];
    for (option, values, name, regime) in options {
        let table = answer(["compare", trace(), option, values]);
        let first = table.lines().find(|line| line.contains("as recorded")).unwrap();
        assert!(first.contains(name), "{table}");
        let regimes = table.lines().find(|line| line.trim_start().starts_with("thresholds")).unwrap();
        let words: Vec<&str> = regimes.split_whitespace().collect();
        assert_eq!(words[1..3], ["dynamic", regime], "{table}");
    }
}

#[test]
fn every_combination_of_lists_is_compared() {
    let table =
        answer(["compare", trace(), "--top-pad=0,1M", "--tcache-count=0,2", "--format=csv", "--touch=first"]);
    let rows = formats::rows(&table);
    let runs: std::collections::BTreeSet<&str> = rows.iter().skip(1).map(|row| row[0].as_str()).collect();
    assert_eq!(runs.len(), 5, "{runs:?}");
}

#[test]
fn releases_are_compared() {
    let table = answer(["compare", trace(), "--glibc", "2.31,2.43,2.99"]);
    let names = table.lines().find(|line| line.contains("as recorded")).unwrap();
    assert!(names.contains("glibc 2.31") && names.contains("glibc 2.43"), "{table}");
    assert!(table.contains("glibc 2.99 is newer than any release known; it was replayed as 2.44"), "{table}");
    // What 2.43 changed shows: no fastbins, a deeper cache.
    let served = table.lines().find(|line| line.trim_start().starts_with("served by tcache")).unwrap();
    let counts: Vec<&str> = served.split_whitespace().skip(3).collect();
    assert!(counts[0] == counts[1] && counts[0] != counts[2], "{table}");
}

#[test]
fn words_of_32_bits_are_simulated_only() {
    let placements = |bits| answer(["replay", trace(), "--bits", bits, "--placements"]);
    assert_ne!(placements("32"), placements("64"));
    assert_eq!(placements("64"), answer(["replay", trace(), "--placements"]));
    let error = said(&mut malloscope(["replay", trace(), "--bits", "32", "--memory", "real"])).err;
    assert!(error.contains("words of 32 bits are only simulated"), "{error}");
}

#[test]
fn a_release_can_be_changed_in_one_thing() {
    let options = ["replay", trace(), "--glibc", "2.34", "--release-set", "tcache_count=3"];
    let report = answer(options);
    assert!(report.contains("as glibc 2.34") && report.contains("release with tcache_count=3"), "{report}");
    assert_ne!(answer(["replay", trace(), "--glibc=2.34", "--placements"]), {
        answer(["replay", trace(), "--glibc=2.34", "--release-set=tcache_count=3", "--placements"])
    });
    for (change, said) in [
        ("tcache_count=many", "`many` is not a value of `tcache_count`: say a number"),
        ("heap_info_words=3", "`3` is not a value of `heap_info_words`"),
        ("nonsense=1", "releases have no field `nonsense`; try malloc_state_ints"),
    ] {
        let error = run::said(&mut malloscope(["replay", trace(), "--release-set", change])).err;
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn the_man_page_and_completions_know_every_subcommand() {
    // A man page escapes hyphens.
    // A hyphen is a word's own in roff, where it is escaped.
    let man = answer(["generate", "man"]).replace("\\-", "-");
    let pages = folder().join("man");
    answer(["generate", "man", "--into", pages.to_str().unwrap()]);
    for subcommand in help::SUBCOMMANDS {
        assert!(man.contains(subcommand), "{subcommand}");
        assert!(pages.join(format!("malloscope-{subcommand}.1")).exists(), "{subcommand}");
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            assert!(answer(["generate", "completions", shell]).contains(subcommand), "{shell}");
        }
    }
    assert!(!man.contains("work-for-malloscope"));
}

#[test]
fn a_static_program_is_refused_and_told_why() {
    let program = built("static", &["-static"]);
    let trace = folder().join("static.mscope");
    let mut command = malloscope(["record", "-o", trace.to_str().unwrap(), "--"]);
    let said = said(command.arg(&program));
    assert_eq!(said.code, Some(1));
    let explains = said.err.contains("static") && said.err.starts_with("malloscope: ");
    assert!(explains, "{}", said.err);
    assert!(!trace.exists(), "nothing was recorded");
}
