//! What is found is held against what addr2line(1) of binutils finds, in programs built here in every way
//! that names and lines can be kept, or lost.
//!
//! `BINARIES=/lib/x86_64-linux-gnu/libc.so.6:… cargo test -p malloscope-symbols --test addr2line -- --ignored --nocapture`
//! does the same for any files, and prints where they differ.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod programs;

use malloscope_symbols::Search;
use programs::{Line, Program, addresses_of_code, compile, ours, run, theirs};

/// Programs, the commands that make them, and whether lines are found.
struct Case {
    name: &'static str,
    commands: &'static [&'static str],
    has_lines: bool,
}

const CASES: &[Case] = &[
    Case { name: "c5", commands: &["gcc -g -gdwarf-5 -O2 a.c -o c5"], has_lines: true },
    Case { name: "c4", commands: &["gcc -g -gdwarf-4 -O2 a.c -o c4"], has_lines: true },
    Case { name: "fixed", commands: &["gcc -g -O2 -no-pie a.c -o fixed"], has_lines: true },
    Case { name: "static", commands: &["gcc -g -O2 -static a.c -o static"], has_lines: true },
    Case { name: "zlib", commands: &["gcc -g -O2 -gz=zlib a.c -o zlib"], has_lines: true },
    Case { name: "cpp", commands: &["g++ -g -O2 a.cc -o cpp"], has_lines: true },
    Case { name: "rust", commands: &["rustc -g -O a.rs -o rust"], has_lines: true },
    Case { name: "v0", commands: &["rustc -g -O -C symbol-mangling-version=v0 a.rs -o v0"], has_lines: true },
    Case { name: "bare", commands: &["g++ -O2 a.cc -o bare"], has_lines: false },
    Case {
        name: "linked",
        commands: &[
            "g++ -g -O2 a.cc -o linked",
            "objcopy --only-keep-debug linked linked.dbg",
            "strip linked",
            "objcopy --add-gnu-debuglink=linked.dbg linked",
        ],
        has_lines: true,
    },
    Case {
        name: "dotdebug",
        commands: &[
            "gcc -g -O2 -Wl,--build-id=none a.c -o dotdebug",
            "mkdir .debug",
            "objcopy --only-keep-debug dotdebug .debug/dotdebug.dbg",
            "strip dotdebug",
            "objcopy --add-gnu-debuglink=.debug/dotdebug.dbg dotdebug",
        ],
        has_lines: true,
    },
];

/// Names with spaces as nobody agrees on them, and files without where they are.
fn plain(lines: &[Line]) -> Vec<(String, String, u32)> {
    let squeezed = |name: &str| name.chars().filter(|char| !char.is_whitespace()).collect();
    let file = |file: &str| file.rsplit('/').next().unwrap_or_default().to_owned();
    lines.iter().map(|line| (squeezed(&line.function), file(&line.file), line.line)).collect()
}

#[test]
fn programs_built_here_are_read_as_addr2line_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    for case in CASES {
        let Some(program) = compile(folder.path(), case.name, case.commands) else { continue };
        let addresses: Vec<u64> = addresses_of_code(&program.path).into_iter().take(20_000).collect();
        let (ours, theirs) =
            (ours(&program, &addresses, Search::default()), theirs(&program.path, &addresses));
        let with_lines = ours.iter().filter(|lines| lines.iter().any(|line| line.line > 0)).count();
        assert_eq!(with_lines > 0, case.has_lines, "{}", case.name);
        let same = ours.iter().zip(&theirs).filter(|(ours, theirs)| plain(ours) == plain(theirs)).count();
        let share = same as f64 / addresses.len() as f64;
        println!("{}: {share:.4} of {} addresses, {with_lines} with a line", case.name, addresses.len());
    }
}

#[test]
#[ignore = "for files that the user names"]
fn any_files_are_read_as_addr2line_reads_them() {
    let files = std::env::var("BINARIES").expect("BINARIES names files");
    for file in files.split(':') {
        let program = Program::at(file.as_ref());
        let all = addresses_of_code(&program.path);
        let step = (all.len() / 20_000).max(1);
        let addresses: Vec<u64> = all.into_iter().step_by(step).collect();
        let began = std::time::Instant::now();
        let ours = ours(&program, &addresses, Search::default());
        let took = began.elapsed();
        let theirs = theirs(&program.path, &addresses);
        let mut differences =
            addresses.iter().zip(ours.iter().zip(&theirs)).filter(|(_, (a, b))| plain(a) != plain(b));
        let shown: usize = std::env::var("SHOW").ok().and_then(|show| show.parse().ok()).unwrap_or(5);
        let mut count = 0;
        for (address, (ours, theirs)) in differences.by_ref() {
            count += 1;
            if count % 97 == 1 && count / 97 < shown {
                println!("{address:#x}\n  ours   {:?}\n  theirs {:?}", plain(ours), plain(theirs));
            }
        }
        let same = |part: fn(&Line) -> String| {
            let part = |lines: &Vec<Line>| lines.first().map(part);
            ours.iter().zip(&theirs).filter(|(a, b)| part(a) == part(b)).count()
        };
        let lines =
            same(|line| format!("{}:{}", line.file.rsplit('/').next().unwrap_or_default(), line.line));
        let names = same(|line| line.function.chars().filter(|char| !char.is_whitespace()).collect());
        println!(
            "{file}: {} addresses in {took:?}; {} the same in every frame, innermost name {names}, line {lines}",
            addresses.len(),
            addresses.len() - count
        );
    }
    run("true", std::path::Path::new("/"));
}
