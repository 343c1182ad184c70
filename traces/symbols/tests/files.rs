//! Which files are used, which are not, and where they are found.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod programs;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use malloscope_symbols::{Debuginfod, Lines, Missing, Resolved, Search};
use programs::{Program, addresses_of_code, compile, resolve, run};

/// What is found of a program.
fn resolved(program: &Program, addresses: &[u64], search: Search) -> Resolved {
    resolve(program, addresses, search).modules.remove(0)
}

fn in_dir(dir: &Path) -> Search {
    Search { debug_dirs: vec![dir.to_owned()], debuginfod: None }
}

/// A program that was stripped, where its code is, and its debug information in `debug`.
fn stripped(folder: &Path, name: &str, flags: &str) -> Option<(Program, Vec<u64>, PathBuf)> {
    let build = format!("gcc -g -O2 {flags} a.c -o {name}");
    let keep = format!("objcopy --only-keep-debug {name} debug");
    let program = compile(folder, name, &[&build, &keep, &format!("strip {name}")])?;
    let addresses = addresses_of_code(&program.path);
    let debug = program.path.with_file_name("debug");
    Some((program, addresses, debug))
}

/// `.build-id/xx/yyyy`, with this behind it, in a folder.
fn by_build_id(dir: &Path, program: &Program, extension: &str) -> PathBuf {
    let id: String = program.module.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let place = dir.join(".build-id").join(&id[..2]).join(format!("{}{extension}", &id[2..]));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    place
}

#[test]
fn a_file_with_another_build_id_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut program) = compile(folder.path(), "other", &["gcc -g -O2 -Wl,--build-id=sha1 a.c -o other"])
    else {
        return;
    };
    let addresses = addresses_of_code(&program.path);
    assert!(resolved(&program, &addresses, Search::default()).named > 0);
    program.module.build_id[0] ^= 1;
    let found = resolved(&program, &addresses, in_dir(program.path.parent().unwrap()));
    assert_eq!((found.named, found.with_line, found.file), (0, 0, None));
    assert_eq!(found.missing, Some(Missing::File));
}

#[test]
fn a_file_without_a_build_id_must_be_as_long_as_what_was_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut program) =
        compile(folder.path(), "nameless", &["gcc -g -O2 -Wl,--build-id=none a.c -o nameless"])
    else {
        return;
    };
    let addresses = addresses_of_code(&program.path);
    assert!(resolved(&program, &addresses, Search::default()).with_line > 0);
    program.module.end += 1 << 20;
    assert_eq!(resolved(&program, &addresses, Search::default()).named, 0);
    // And one that has got a build id since is another one.
    program.module.end -= 1 << 20;
    fs::remove_file(&program.path).unwrap();
    assert!(run("gcc -g -O2 -Wl,--build-id=sha1 a.c -o nameless", program.path.parent().unwrap()));
    assert_eq!(resolved(&program, &addresses, Search::default()).named, 0);
}

#[test]
fn debug_information_is_found_by_build_id_and_only_that_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut program, addresses, debug)) = stripped(folder.path(), "apart", "-Wl,--build-id=sha1")
    else {
        return;
    };
    let found = resolved(&program, &addresses, Search::default());
    assert_eq!((found.with_line, found.missing), (0, Some(Missing::DebugInformation)));
    let dir = folder.path().join("dir");
    let place = by_build_id(&dir, &program, ".debug");
    fs::copy(&debug, &place).unwrap();
    let found = resolved(&program, &addresses, in_dir(&dir));
    assert!(found.with_line > 0 && found.named > 0);
    assert_eq!((found.lines, found.missing), (Lines::Separate(place), None));
    // A trace from elsewhere: the program is not here, its debug information is enough.
    program.module.path = "/nowhere/apart".to_owned();
    let found = resolved(&program, &addresses, in_dir(&dir));
    assert!(found.with_line > 0 && found.file.is_none());
    // Something else in its place.
    let Some((other, ..)) = stripped(folder.path(), "imposter", "-O0 -Wl,--build-id=sha1") else { return };
    fs::copy(other.path.with_file_name("debug"), by_build_id(&dir, &program, ".debug")).unwrap();
    assert_eq!(resolved(&program, &addresses, in_dir(&dir)).named, 0);
}

#[test]
fn linked_debug_information_without_a_build_id_must_have_the_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let Some((program, addresses, debug)) = stripped(folder.path(), "sum", "-Wl,--build-id=none") else {
        return;
    };
    let here = program.path.parent().unwrap();
    assert!(run("objcopy --add-gnu-debuglink=debug sum", here));
    assert!(resolved(&program, &addresses, Search::default()).with_line > 0);
    let mut bytes = fs::read(&debug).unwrap();
    bytes.push(0);
    fs::write(&debug, bytes).unwrap();
    assert_eq!(resolved(&program, &addresses, Search::default()).with_line, 0);
}

#[test]
fn what_debug_information_shares_with_others_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let commands =
        ["gcc -g -O2 a.c -o shared", "gcc -g -O2 -fPIC a.c -o twin", "dwz -m common.debug shared twin"];
    let Some(program) = compile(folder.path(), "shared", &commands) else { return };
    let addresses = addresses_of_code(&program.path);
    let whole = resolve(&program, &addresses, Search::default());
    assert_eq!(whole.modules[0].missing, None);
    let names: Vec<_> = addresses
        .iter()
        .flat_map(|at| whole.symbols.of(malloscope_traces::stacks::ModuleId(0), at + 1))
        .collect();
    assert!(names.iter().any(|function| function.name == "twice" && function.line == Some(4)), "{names:?}");
    fs::remove_file(program.path.with_file_name("common.debug")).unwrap();
    assert_eq!(resolved(&program, &addresses, Search::default()).missing, Some(Missing::Supplement));
}

#[test]
fn symbols_of_a_stripped_library_are_found_in_its_packed_table() {
    let folder = tempfile::tempdir().unwrap();
    let commands = [
        "gcc -O2 a.c -o mini",
        "objcopy -S --keep-symbol=outer --keep-symbol=main mini table",
        "xz -k table",
        "strip mini",
        "objcopy --add-section .gnu_debugdata=table.xz mini",
    ];
    let Some(program) = compile(folder.path(), "mini", &commands) else { return };
    let addresses = addresses_of_code(&program.path);
    let found = resolve(&program, &addresses, Search::default());
    let names =
        addresses.iter().flat_map(|at| found.symbols.of(malloscope_traces::stacks::ModuleId(0), at + 1));
    assert!(names.into_iter().any(|function| function.name == "outer"));
}

/// A server that has one file, and counts who asks it.
fn server(place: String, file: Vec<u8>) -> (String, Arc<AtomicUsize>, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (asked, paths) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (counts, heard) = (asked.clone(), paths.clone());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let request = lines.next().unwrap_or_default();
            let _: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            counts.fetch_add(1, Ordering::Relaxed);
            let (status, body) = if path == place { ("200 OK", &*file) } else { ("404 Not Found", &[][..]) };
            heard.lock().unwrap().push(path);
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body).unwrap();
        }
    });
    (url, asked, paths)
}

fn asking(url: &str, cache: &Path) -> Search {
    let servers = vec![url.to_owned()];
    let debuginfod = Debuginfod::new(servers, cache.to_owned(), Duration::from_secs(20), None);
    Search { debug_dirs: Vec::new(), debuginfod: Some(debuginfod) }
}

#[test]
fn a_server_is_asked_once_and_what_it_gives_or_lacks_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let Some((program, addresses, debug)) = stripped(folder.path(), "served", "-Wl,--build-id=sha1") else {
        return;
    };
    let id: String = program.module.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let (url, asked, paths) = server(format!("/buildid/{id}/debuginfo"), fs::read(debug).unwrap());
    let cache = folder.path().join("cache");
    for _ in 0..2 {
        let found = resolved(&program, &addresses, asking(&url, &cache));
        assert_eq!(found.lines, Lines::Separate(cache.join(&id).join("debuginfo")));
        assert!(found.with_line > 0);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "{:?}", paths.lock().unwrap());
    // Nobody has this one: that is kept too, as a file of no bytes.
    let Some((mut unknown, addresses, _)) = stripped(folder.path(), "unknown", "-Wl,--build-id=sha1") else {
        return;
    };
    unknown.module.build_id[0] ^= 1;
    for _ in 0..2 {
        assert_eq!(resolved(&unknown, &addresses, asking(&url, &cache)).named, 0);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3, "debuginfo and executable: {:?}", paths.lock().unwrap());
}

#[test]
fn damaged_files_are_survived() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compile(folder.path(), "hostile", &["gcc -g -O2 a.c -o hostile"]) else { return };
    let addresses: Vec<u64> = addresses_of_code(&program.path).into_iter().take(40).collect();
    let whole = fs::read(&program.path).unwrap();
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let (mut still_used, rounds) = (0, 1500);
    for _ in 0..rounds {
        let mut bytes = whole.clone();
        for _ in 0..=next(8) {
            // In the sections of debug information and the headers, not the code.
            let at = if next(2) == 0 { next(bytes.len()) } else { bytes.len() - 1 - next(bytes.len() / 2) };
            bytes[at] = u8::try_from(next(256)).unwrap();
        }
        fs::write(&program.path, bytes).unwrap();
        still_used += usize::from(resolved(&program, &addresses, Search::default()).named > 0);
    }
    assert!(still_used > rounds / 10, "{still_used} were looked into");
}
