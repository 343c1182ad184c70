//! What is found is held against what addr2line(1) of binutils finds, in programs built here in every way
//! that names and lines can be kept, or lost.
//!
//! `BINARIES=/lib/x86_64-linux-gnu/libc.so.6:… cargo test -p malloscope-symbols --test addr2line -- --ignored --nocapture`
//! does the same for any files, and prints where they differ; `ADDR2LINE` names another program to hold them against.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod programs;

use malloscope_symbols::Search;
use programs::{Aliases, Line, Program, addresses_of_code, compile, ours, theirs};

/// Programs, the commands that make them, and whether lines are found.
struct Case {
    name: &'static str,
    commands: &'static [&'static str],
    has_lines: bool,
}

impl Case {
    /// How many addresses of a hundred may be told otherwise. cpp_demangle 0.5.1 takes the first parameter of
    /// constructors that are templates for a result, and leaves it out; all else is the same.
    fn most_differ_percent(&self) -> usize {
        if matches!(self.name, "cpp" | "linked") { 5 } else { 0 }
    }
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

/// Names without spaces, which nobody agrees on, and files without where they are. And without references:
/// cpp_demangle 0.5.1 forgets those of a parameter pack (`DpOT_`).
fn plain(lines: &[Line]) -> Vec<(String, String, u32)> {
    let squeezed = |name: &str| name.chars().filter(|char| !char.is_whitespace() && *char != '&').collect();
    let file = |file: &str| file.rsplit('/').next().unwrap_or_default().to_owned();
    lines.iter().map(|line| (squeezed(&line.function), file(&line.file), line.line)).collect()
}

/// Lines to be read by a person: names of templates are long, and differ at the end.
fn short(lines: &[Line]) -> Vec<String> {
    let tail =
        |name: &str| name.chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect::<String>();
    plain(lines).iter().map(|(name, file, line)| format!("{} {file}:{line}", tail(name))).collect()
}

/// Whether two tools mean the same. addr2line(1) names addresses behind the end of a function after it,
/// and what has no lines after the file that a symbol came from; both are guesses, and we make none.
/// Of several symbols at one address either may be told.
fn agree(ours: &[Line], theirs: &[Line], aliases: &Aliases) -> bool {
    let knows_lines = |lines: &[Line]| lines.iter().any(|line| line.line > 0);
    match (ours, theirs) {
        ([], theirs) => !knows_lines(theirs),
        ([ours], [theirs]) if ours.line == 0 && theirs.line == 0 => {
            plain(std::slice::from_ref(ours))[0].0 == plain(std::slice::from_ref(theirs))[0].0
                || aliases.are_one(&ours.function, &theirs.function)
        }
        _ => plain(ours) == plain(theirs),
    }
}

#[test]
fn programs_built_here_are_read_as_addr2line_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    for case in CASES {
        let Some(program) = compile(folder.path(), case.name, case.commands) else { continue };
        let addresses: Vec<u64> = addresses_of_code(&program.path).into_iter().take(20_000).collect();
        let (ours, theirs) =
            (ours(&program, &addresses, Search::default()), theirs(&program.path, &addresses));
        let aliases = Aliases::of(&program.path);
        let with_lines = ours.iter().filter(|lines| lines.iter().any(|line| line.line > 0)).count();
        assert_eq!(with_lines > 0, case.has_lines, "{}", case.name);
        let differ = addresses
            .iter()
            .zip(ours.iter().zip(&theirs))
            .filter(|(_, (ours, theirs))| !agree(ours, theirs, &aliases));
        let differ: Vec<_> = differ.collect();
        let shown = differ.first().map(|(address, (ours, theirs))| {
            format!("{address:#x}\n  ours   {:?}\n  theirs {:?}", short(ours), short(theirs))
        });
        println!(
            "{}: {} of {} differ: {}",
            case.name,
            differ.len(),
            addresses.len(),
            shown.as_deref().unwrap_or("")
        );

        assert!(
            differ.len() * 100 <= addresses.len() * case.most_differ_percent(),
            "{}: {shown:?}",
            case.name
        );
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
        let aliases = Aliases::of(&program.path);
        let theirs = theirs(&program.path, &addresses);
        let mut differences =
            addresses.iter().zip(ours.iter().zip(&theirs)).filter(|(_, (a, b))| !agree(a, b, &aliases));
        let shown: usize = std::env::var("SHOW").ok().and_then(|show| show.parse().ok()).unwrap_or(5);
        let mut count = 0;
        for (address, (ours, theirs)) in differences.by_ref() {
            count += 1;
            if count % 97 == 1 && count / 97 < shown {
                println!("{address:#x}\n  ours   {:?}\n  theirs {:?}", short(ours), short(theirs));
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
            "{file}: {} addresses in {took:?}; {} agree in every frame, innermost name {names}, line {lines}",
            addresses.len(),
            addresses.len() - count
        );
    }
}
