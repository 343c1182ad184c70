//! Programs on the twin: they must do what they do on the machine's own malloc.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod build;
mod run;

use malloscope_allocator::release::Release;
use run::{Run, twin};
use serde_json::Value;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

fn all_is_well(run: &Run) {
    assert_eq!((run.out().as_str(), run.err().as_str()), ("all is well\n", ""));
    assert!(run.status.success(), "{}", run.status);
}

/// Runs a program with and without the twin.
fn both(command: impl Fn() -> Command) -> [Run; 2] {
    [Run::of(command()), Run::of(twin(command()))]
}

/// Runs a program with and without the twin, and compares all that can be seen of it.
fn same(command: impl Fn() -> Command) -> Run {
    let [without, with] = both(command);
    assert_eq!(with.err(), without.err());
    assert!(with.out() == without.out(), "without:\n{}with:\n{}", without.out(), with.out());
    assert_eq!(with.status, without.status);
    with
}

#[test]
fn every_function_answers_as_the_machine_s_does() {
    let program = build::program("entries");
    all_is_well(&Run::of(Command::new(&program)));
    let mut command = twin(Command::new(&program));
    command.arg("with those that not every glibc has");
    all_is_well(&Run::of(command));
}

#[test]
fn threads_come_and_go_and_free_what_others_allocated() {
    all_is_well(&Run::of(twin(Command::new(build::program("threads")))));
}

#[test]
fn a_process_forks_while_its_threads_allocate() {
    for _ in 0..5 {
        all_is_well(&Run::of(twin(Command::new(build::program("forks")))));
    }
}

#[test]
fn objects_are_destroyed_in_their_order() {
    let Some(program) = build::cpp_program("order") else {
        eprintln!("left out: there is no C++ compiler");
        return;
    };
    let run = same(|| Command::new(&program));
    assert!(run.out().ends_with("at exit\nstatic: 124750\n"), "{}", run.out());
}

#[test]
fn a_corrupted_heap_is_named_and_the_process_aborts() {
    let program = build::program("broken");
    for (how, message) in [
        ("twice", "free(): double free detected in tcache 2"),
        ("pointer", "free(): invalid pointer"),
        ("size", "free(): invalid size"),
        ("realloc", "realloc(): invalid pointer"),
        ("top", "malloc(): corrupted top size"),
    ] {
        let run = Run::of({
            let mut command = twin(Command::new(&program));
            command.arg(how).env("MALLOSCOPE_GLIBC", "2.36");
            command
        });
        assert_eq!(run.err(), format!("{message}\n"), "{how}");
        assert_eq!(run.status.signal(), Some(6), "{how}");
        assert_eq!(run.out() == "aborting\n", how != "top", "{how}");
    }
}

#[test]
fn a_corrupted_heap_is_named_in_the_words_of_the_release() {
    let program = build::program("broken");
    let said = |release: &str, check: &str| {
        let mut command = twin(Command::new(&program));
        command.arg("pointer").env("MALLOSCOPE_GLIBC", release).env("MALLOC_CHECK_", check);
        let run = Run::of(command);
        assert_eq!(run.status.signal(), Some(6), "{release}");
        run.err().clone()
    };
    let frame = format!("*** Error in `{}': free(): invalid pointer: 0x", program.display());
    for check in ["", "3"] {
        let framed = said("2.23", check);
        assert!(framed.starts_with(&frame) && framed.ends_with(" ***\n"), "{framed}");
        assert_eq!(framed.len(), frame.len() + 16 + " ***\n".len());
    }
    assert_eq!(said("2.23", "2"), "");
    assert_eq!(said("2.23", "7"), "free(): invalid pointer\n");
    assert_eq!(said("2.27", "2"), "free(): invalid pointer\n");
}

/// The C library's version, and what the program printed of its placements.
fn placements(command: Command) -> (String, String) {
    let run = Run::of(command);
    assert!(run.status.success(), "{}{}", run.status, run.err());
    let out = run.out();
    let (version, placements) = out.strip_prefix("glibc ").unwrap().split_once('\n').unwrap();
    (version.to_owned(), placements.to_owned())
}

/// Compares the placements that a release of the machine's version gives with those of the machine's malloc.
fn lands_where_the_machine_s_does(command: impl Fn() -> Command) {
    let (version, expected) = placements(command());
    // A version does not tell whether it is the release or its branch.
    let rows = [version.clone(), format!("{version}-branch")];
    let first_difference = |row: &String| {
        let mut command = twin(command());
        command.env("MALLOSCOPE_GLIBC", row);
        let (_, found) = placements(command);
        let [found, expected] = [found.lines(), expected.lines()];
        assert_eq!(found.clone().count(), expected.clone().count());
        found.zip(expected).position(|(found, expected)| found != expected)
    };
    let rows = rows.iter().filter(|name| Release::named(name).is_some());
    let differences: Vec<_> = rows.map(first_difference).collect();
    if differences.is_empty() {
        eprintln!("left out: glibc {version} is not twinned");
        return;
    }
    assert!(differences.contains(&None), "the first of {} lines: {differences:?}", expected.lines().count());
}

#[test]
fn allocations_land_where_the_machine_s_malloc_puts_them() {
    for arguments in [&[][..], &["threads"]] {
        lands_where_the_machine_s_does(|| {
            let mut command = Command::new(build::program("placements"));
            command.args(arguments);
            command
        });
    }
}

#[test]
fn by_default_it_is_a_twin_of_the_machine_s_release() {
    let program = build::program("placements");
    let (version, found) = placements(twin(Command::new(&program)));
    let mut named = twin(Command::new(&program));
    named.env("MALLOSCOPE_GLIBC", &version);
    assert!(found == placements(named).1, "{version}");
}

#[test]
fn another_release_s_placements_are_others() {
    let of = |release: &str| {
        let mut command = twin(Command::new(build::program("placements")));
        command.arg("threads").env("MALLOSCOPE_GLIBC", release);
        let run = Run::of(command);
        assert!(run.status.success(), "{}", run.err());
        run.out()
    };
    assert_ne!(of("2.31"), of("2.36"));
}

#[test]
fn a_release_that_is_none_is_refused() {
    let mut command = twin(Command::new("true"));
    command.env("MALLOSCOPE_GLIBC", "musl");
    let run = Run::of(command);
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(run.err(), "malloscope: MALLOSCOPE_GLIBC names no release of glibc that we know\n");
}

#[test]
fn tunables_are_obeyed() {
    let with = |name: &str, value: &str| {
        let mut command = Command::new(build::program("placements"));
        command.env(name, value);
        command
    };
    let plain = placements(twin(with("UNRELATED", "1"))).1;
    for (name, value) in [
        ("MALLOC_TOP_PAD_", "70000"),
        ("MALLOC_MMAP_THRESHOLD_", "30000"),
        ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0"),
    ] {
        assert!(placements(twin(with(name, value))).1 != plain, "{name}={value}");
        lands_where_the_machine_s_does(|| with(name, value));
    }
}

#[test]
fn what_the_bins_did_is_reported_at_exit() {
    let directory = tempfile::tempdir().unwrap();
    for program in ["entries", "placements"] {
        let mut command = twin(Command::new(build::program(program)));
        let path = directory.path().join(format!("{program}.%p.json"));
        command.env("MALLOSCOPE_STATS", &path).env("MALLOSCOPE_GLIBC", "2.36");
        let run = Run::of(command);
        assert!(run.status.success(), "{}", run.err());
        let path = path.to_str().unwrap().replace("%p", &run.process.to_string());
        let report: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(report["release"], "2.36");
        assert_eq!(report["process"], run.process);
        let asked = report["asked"]["requests"].as_u64().unwrap();
        let served = report["served"].as_array().unwrap().iter();
        let served: u64 = served.map(|row| row["requests"].as_u64().unwrap()).sum();
        // All requests were served but those for too much.
        assert!(served > 100 && (served..served + 10).contains(&asked), "{served} of {asked}");
        let bins = report["bins"].as_array().unwrap();
        assert!(bins.iter().any(|bin| bin["bin"] == "tcache" && bin["hits"].as_u64() > Some(0)));
        assert!(report["kernel"]["mmap"].as_u64() > Some(0));
    }
}

#[test]
fn real_programs_do_what_they_do_without_it() {
    let source = build::source("threads.c");
    let source = source.to_str().unwrap();
    let python = "import json, threading, subprocess
got = []
def work(n): got.append(sum(map(len, json.dumps({str(i): [i] * n for i in range(3000)}).split())))
threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 6)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(got), subprocess.run(['sh', '-c', 'echo $((6 * 7))'], capture_output=True).stdout)";
    let perl = r#"my %h; $h{$_ % 977} .= "x$_" for 1..100000; print join(",", map { length $h{$_} } sort keys %h), "\n"; print `echo forked`"#;
    let sql = "create table t(a integer primary key, b text); with recursive c(x) as (select 1 union all \
               select x + 1 from c where x < 30000) insert into t select x, hex(x * x) from c; \
               select count(*), max(b), sum(length(b)) from t where b like '%3%';";
    let lines = "seq 20000 | awk '{ n[$1 % 97] = n[$1 % 97] $1 } END { for (i in n) print length(n[i]), i }' | \
                 sort -k2n | md5sum";
    let commands: &[&[&str]] = &[
        &["ls", "-R", "/usr/include"],
        &["sort", "-r", source],
        &["sh", "-c", lines],
        &[
            "bash",
            "-c",
            "for i in {1..2000}; do a[$i]=$(( i * i )); done; echo ${a[*]} | wc -c; (echo child)",
        ],
        &["cc", "-O2", "-S", "-o", "-", source],
        &["python3", "-c", python],
        &["perl", "-e", perl],
        &["sqlite3", ":memory:", sql],
        &["git", "hash-object", source],
        &["git", "--no-pager", "grep", "--no-index", "-n", "malloc", "--", source],
    ];
    for &command in commands {
        let [name, arguments @ ..] = command else { continue };
        let program = || {
            let mut command = Command::new(name);
            command.args(arguments).current_dir(build::source("").parent().unwrap());
            command
        };
        if program().arg("--version").output().is_err() {
            eprintln!("left out: there is no {name}");
            continue;
        }
        let run = same(program);
        assert!(run.status.success() && !run.out().is_empty(), "{command:?}: {}", run.err());
    }
}

#[test]
fn it_has_no_thread_local_storage_and_shows_malloc_s_names_only() {
    let output = Command::new("readelf").args(["-lW", "--dyn-syms"]).arg(build::library()).output();
    let Ok(output) = output else {
        eprintln!("left out: there is no readelf");
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().any(|line| line.trim_start().starts_with("LOAD")));
    assert!(!text.lines().any(|line| line.trim_start().starts_with("TLS")), "{text}");
    let symbol = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.len() == 8 && fields[4] == "GLOBAL" && fields[6] != "UND").then(|| fields[7].to_owned())
    };
    let mut names: Vec<String> = text.lines().filter_map(symbol).collect();
    names.retain(|name| !name.starts_with("__libc_"));
    names.sort();
    assert_eq!(
        names,
        [
            "aligned_alloc",
            "calloc",
            "cfree",
            "free",
            "free_aligned_sized",
            "free_sized",
            "mallinfo",
            "mallinfo2",
            "malloc",
            "malloc_info",
            "malloc_stats",
            "malloc_trim",
            "malloc_usable_size",
            "mallopt",
            "memalign",
            "posix_memalign",
            "pvalloc",
            "realloc",
            "reallocarray",
            "valloc",
        ]
    );
}
