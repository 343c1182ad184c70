//! What a process is whose heap is taken: its program, its machine, and the C library malloc is in.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use malloscope_traces::Header;
use malloscope_traces::header::{self, Libc, Program};

use super::HeapError;
use crate::{host, probe, system_wide};

/// What is known of a process before its heap is.
pub fn of_process(pid: u32) -> Result<Header, HeapError> {
    let of = |name: &str| fs::read(format!("/proc/{pid}/{name}")).map_err(|_| HeapError::Gone(pid));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default().display().to_string();
    let arguments = of("cmdline")?;
    let arguments = arguments.strip_suffix(b"\0").unwrap_or(&arguments);
    // Where it may not be read, nothing is set as far as we know.
    let environment = of("environ").unwrap_or_default();
    let own = environment.split(|byte| *byte == 0).map(text).filter_map(|one| {
        let (name, value) = one.split_once('=')?;
        let counts = name.starts_with("MALLOC_") || name == "GLIBC_TUNABLES";
        counts.then(|| (name.to_owned(), value.to_owned()))
    });
    let environment = system_wide::variables(&path).into_iter().chain(own).collect();
    let stat = text(&of("stat")?);
    // The name before may have blanks and brackets in it.
    let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
    Ok(Header {
        recorder: concat!("malloscope ", env!("CARGO_PKG_VERSION")).to_owned(),
        program: Program {
            path,
            arguments: arguments.split(|byte| *byte == 0).map(text).collect(),
            pid,
            parent: parent.and_then(|parent| parent.parse().ok()).unwrap_or(0),
            environment,
        },
        host: host::facts(pid),
        ..Header::default()
    })
}

/// The same with the library malloc is in, which is asked how it behaves, and where the heap begins.
pub fn with_library(header: Header, pid: u32, library: &str, heap_start: u64) -> Header {
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let inside = |path: &str| root.join(path.trim_start_matches('/'));
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let is_linker = |line: &&str| line.rsplit('/').next().is_some_and(|name| name.starts_with("ld-"));
    let linker = maps.lines().find(is_linker).and_then(|line| line.find('/').and_then(|at| line.get(at..)));
    let mut libc = describe(&inside(library), library);
    if let Some(linker) = linker {
        let directory = inside(library).parent().map(Path::to_path_buf).unwrap_or_default();
        let probed = probe::run(&inside(linker), Some(directory.as_os_str()));
        libc.probe = probed.map(|probed| probed.answers_of(&libc)).unwrap_or_default();
    }
    Header { libc, heap: header::Heap { initial_break: heap_start, placements: true }, ..header }
}

/// The most of a file that is searched for its version: a static program may be large.
const MOST: u64 = 64 << 20;

/// A C library, by its file.
pub fn describe(file: &Path, path: &str) -> Libc {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(file) {
        let length = file.metadata().map_or(0, |about| about.len()).min(MOST);
        bytes.resize(usize::try_from(length).unwrap_or(0), 0);
        let read = file.read_at(&mut bytes, 0).unwrap_or(0);
        bytes.truncate(read);
    }
    Libc {
        version: version(&bytes).unwrap_or_default(),
        path: path.to_owned(),
        build_id: build_id(&bytes).unwrap_or_default(),
        probe: Vec::new(),
    }
}

/// What the library says of itself when it is run as a program: `GNU C Library (…) stable release version 2.36.`
fn version(bytes: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"GNU C Library";
    const VERSION: &[u8] = b" version ";
    let at = bytes.windows(NAME.len()).position(|window| window == NAME)?;
    let line = bytes.get(at..)?.split(|byte| *byte == b'\n').next()?;
    let at = line.windows(VERSION.len()).position(|window| window == VERSION)?;
    let digits =
        line.get(at + VERSION.len()..)?.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
    let version: String = digits.map(|byte| char::from(*byte)).collect();
    Some(version.trim_end_matches('.').to_owned()).filter(|version| !version.is_empty())
}

/// The build id in the notes of an ELF file.
fn build_id(bytes: &[u8]) -> Option<Vec<u8>> {
    // The lengths of name and description, the kind of note, and the name.
    const NOTE: &[u8] = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let at = bytes.windows(NOTE.len()).position(|window| window == NOTE)? + NOTE.len();
    bytes.get(at..at + 20).map(<[u8]>::to_vec)
}
