//! What stands before the records of memray's file.

use super::bytes::{Bytes, Stop};
use std::io::BufRead;

/// What memray wrote before the records, as far as they cannot be understood without it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// As `PY_VERSION_HEX` has it: `0x030b…` is 3.11.
    pub python: u32,
    /// Whether records also name frames of machine code.
    pub has_native_frames: bool,
    /// The thread that began the recording, and how many of its frames are memray's own.
    pub main_thread: u64,
    pub skipped_frames: u64,
    pub allocator: PythonAllocator,
}

/// What served Python's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PythonAllocator {
    /// `pymalloc`, which asks malloc for what is larger than 512 bytes.
    Pymalloc,
    /// malloc, for everything.
    Malloc,
    /// Another, or one that asks for more than it was asked for.
    Other,
}

const MAGIC: &[u8; 7] = b"memray\0";
/// The versions of the format that are known: of memray 1.19, and of 1.20.
const VERSIONS: [u32; 2] = [12, WITH_PATHS];
/// The first version that names the folders of modules.
const WITH_PATHS: u32 = 13;
/// The file has sums, and not each call.
const AGGREGATED: u8 = 1;

impl Header {
    pub fn read(file: &mut Bytes<impl BufRead>) -> Result<Header, Stop> {
        if &file.array()? != MAGIC {
            return Err(Stop::Wrong("does not begin as memray's files do"));
        }
        let version = file.half()?;
        if !VERSIONS.contains(&version) {
            return Err(Stop::Wrong(
                "is of a version that is not known: memray 1.19 and 1.20 write those that are",
            ));
        }
        let python = file.half()?;
        let has_native_frames = file.byte()? != 0;
        if file.byte()? == AGGREGATED {
            return Err(Stop::Wrong("has sums, and not each call: memray was run with --aggregate"));
        }
        // How many allocations and frames there are, which is known at the end, and two times.
        file.array::<32>()?;
        // The command line, and the number of the process.
        file.text()?;
        file.half()?;
        let (main_thread, skipped_frames) = (file.word()?, file.word()?);
        let allocator = match file.byte()? {
            1 => PythonAllocator::Pymalloc,
            3 => PythonAllocator::Malloc,
            _ => PythonAllocator::Other,
        };
        // Whether Python's own allocations are there, and the lives of objects: both show.
        file.array::<2>()?;
        if version >= WITH_PATHS {
            file.text()?;
            for _ in ["where packages lie", "where modules are looked for"] {
                while !file.text()?.is_empty() {}
            }
        }
        Ok(Header { python, has_native_frames, main_thread, skipped_frames, allocator })
    }
}
