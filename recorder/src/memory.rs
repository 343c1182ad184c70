//! The shared memory, as the recorder has it: all of it, in a file that has no name.
//!
//! # Unsafe code
//!
//! What could go wrong: the mapping is given back while somebody looks at it, the file is shorter
//! than the mapping, or a program writes there while we read. Who promises what: this file, that
//! the mapping lives as long as its owner, from whom all references are borrowed, by whatever thread, and that the file
//! is sealed against shrinking; [`malloscope_wire`], that all that lies there is atomic integers,
//! of which any bits are a value.
#![expect(unsafe_code, reason = "see above")]

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;
use std::{io, slice};

use crate::Children;
use malloscope_traces::stacks::{Capture, Sampling};
use malloscope_wire::ring::{self, Ring};
use malloscope_wire::{BANKS_AT, Clock, FILE_BYTES, RINGS, Shared, Slot, VERSION, WhenFull, Which};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The shared memory.
#[derive(Debug)]
pub struct Memory {
    file: OwnedFd,
    at: NonNull<Shared>,
}

// SAFETY: all that is read or written of it is atomic, and a descriptor may be used by anybody.
unsafe impl Sync for Memory {}

impl Memory {
    /// Makes the shared memory of a recording.
    pub fn new(clock: Clock, when_full: WhenFull) -> io::Result<Memory> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        Memory::in_file(File::from(memfd_create("malloscope", flags)?), clock, when_full)
    }

    /// The same in this file, which is in memory, empty, and may be sealed.
    pub fn in_file(file: File, clock: Clock, when_full: WhenFull) -> io::Result<Memory> {
        file.set_len(FILE_BYTES as u64)?;
        let file = OwnedFd::from(file);
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, where nothing was.
        let at = unsafe { mmap(ptr::null_mut(), FILE_BYTES, access, MapFlags::SHARED, &file, 0) }?;
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let memory = Memory { file, at };
        for ring in &memory.shared().rings {
            ring.cursor.store(ring::FIRST, Ordering::Relaxed);
            ring.reader.head.store(ring::FIRST, Ordering::Relaxed);
        }
        let control = &memory.shared().control;
        control.when_full.store(when_full as u32, Ordering::Relaxed);
        control.clock.store(clock as u32, Ordering::Relaxed);
        control.recorder.store(std::process::id(), Ordering::Relaxed);
        memory.keep_rings_to(RINGS);
        control.version.store(VERSION, Ordering::Release);
        Ok(memory)
    }

    /// No more threads than this have rings at one time.
    pub fn keep_rings_to(&self, most: usize) {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        self.shared().control.rings.store(most, Ordering::Relaxed);
    }

    /// These processes are recorded.
    ///
    /// # Errors
    ///
    /// When the names take more room than there is.
    pub fn follow(&self, children: &Children) -> io::Result<()> {
        let (which, names) = match children {
            Children::All => (Which::All, &[][..]),
            Children::None => (Which::None, &[][..]),
            Children::Named(names) => (Which::Named, &names[..]),
        };
        let fit = self.shared().control.children.choose(which, names.iter().map(String::as_bytes));
        if fit { Ok(()) } else { Err(io::Error::other("the names of programs to follow are too many")) }
    }

    /// Asks programs for their stacks.
    pub fn want_stacks(&self, Capture { sampling, depth }: Capture) {
        let control = &self.shared().control;
        let every = match sampling {
            Sampling::All => 0,
            Sampling::Bytes { mean } => mean,
        };
        control.stack_every.store(every, Ordering::Relaxed);
        control.stack_depth.store(depth, Ordering::Relaxed);
    }

    /// Where a program of the same user finds it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// What comes before the banks.
    pub fn shared(&self) -> &Shared {
        // SAFETY: the mapping begins with it, and lives as long as we do.
        unsafe { self.at.as_ref() }
    }

    /// A ring and its slots, by number.
    pub fn ring(&self, number: usize) -> Option<(&Ring, &[Slot])> {
        let header = self.shared().rings.get(number)?;
        let at = BANKS_AT + number * ring::BYTES;
        // SAFETY: the banks hold the slots of as many rings as there are headers.
        let first = unsafe { self.at.byte_add(at) }.cast::<Slot>();
        // SAFETY: as above, and the mapping lives as long as we do.
        let slots = unsafe { slice::from_raw_parts(first.as_ptr(), 1 << ring::SLOTS_LOG2) };
        Some((header, slots))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: all references were borrowed from us. A refusal costs address space and nothing else.
        let _ = unsafe { munmap(self.at.as_ptr().cast(), FILE_BYTES) };
    }
}

const _: () = assert!(BANKS_AT + RINGS * ring::BYTES == FILE_BYTES);
