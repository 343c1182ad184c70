//! One record of memray's file, with what has to be remembered to read the next.

use super::bytes::{Bytes, Stop};
use super::frames::Code;
use std::io::BufRead;

/// What memray wrote down, as far as a trace has a place for it.
#[derive(Debug)]
pub(super) enum Event {
    /// Nothing: room that was not used yet when the recording broke off.
    Filler,
    /// The recording is over.
    Trailer,
    /// Something that a trace has no place for.
    Other,
    /// The time since the recording began, in milliseconds.
    Time(u64),
    /// Records from here on are of this thread.
    Thread(u64),
    /// A function of Python, by its number.
    Code(u64, Code),
    /// A frame on top of the thread's stack: the function's number, and where in it.
    Push(u64, i64),
    /// So many frames are gone.
    Pop(usize),
    /// Memory was asked for or given back.
    Allocation(Allocation),
}

/// A call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allocation {
    pub by: Allocator,
    pub address: u64,
    /// Of calls that ask for memory.
    pub size: u64,
}

/// Whose call it was, by memray's numbers from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allocator {
    PythonFree,
    PythonMalloc,
    PythonCalloc,
    PythonRealloc,
    Free,
    Malloc,
    Realloc,
    Calloc,
    PosixMemalign,
    AlignedAlloc,
    Memalign,
    Valloc,
    Pvalloc,
    Mmap,
    Munmap,
}

impl Allocator {
    const ALL: [Allocator; 15] = [
        Allocator::PythonFree,
        Allocator::PythonMalloc,
        Allocator::PythonCalloc,
        Allocator::PythonRealloc,
        Allocator::Free,
        Allocator::Malloc,
        Allocator::Realloc,
        Allocator::Calloc,
        Allocator::PosixMemalign,
        Allocator::AlignedAlloc,
        Allocator::Memalign,
        Allocator::Valloc,
        Allocator::Pvalloc,
        Allocator::Mmap,
        Allocator::Munmap,
    ];

    fn of(number: u8) -> Result<Allocator, Stop> {
        let place = usize::from(number).checked_sub(1);
        let found = place.and_then(|place| Allocator::ALL.get(place)).copied();
        found.ok_or(Stop::Wrong("is of an allocator that is not known"))
    }

    /// Whether no size is written down.
    fn only_frees(self) -> bool {
        matches!(self, Allocator::PythonFree | Allocator::Free)
    }
}

/// The place in a token that says that no address of late is meant.
const NOT_OF_LATE: usize = 15;

/// What the numbers in a record are told by.
#[derive(Debug, Default)]
pub(super) struct Memory {
    has_native_frames: bool,
    /// The addresses met last, the latest first.
    late: [u64; NOT_OF_LATE],
    address: u64,
    native_frame: u64,
    instruction: u64,
    first_line: u64,
}

impl Memory {
    pub fn new(has_native_frames: bool) -> Memory {
        Memory { has_native_frames, ..Memory::default() }
    }

    /// The next record.
    pub fn read(&mut self, file: &mut Bytes<impl BufRead>) -> Result<Event, Stop> {
        let token = file.byte()?;
        let bits = usize::from(token);
        match token {
            128.. => self.allocation(bits, file),
            64.. => Ok(Event::Push(file.number()?, file.signed()?)),
            // An object of Python that came to be or is gone.
            32.. => {
                self.address(bits >> 1 & 15, file)?;
                if token & 1 == 1 {
                    self.native(file)?;
                }
                Ok(Event::Other)
            }
            16.. => Ok(Event::Pop((bits & 15) + 1)),
            0 => Ok(Event::Filler),
            1 => Ok(Event::Trailer),
            // What is resident, which is no more than one of the numbers that a reading has.
            2 => {
                file.number()?;
                file.number().map(Event::Time)
            }
            // A frame of machine code and its caller.
            5 => {
                file.moved(&mut self.instruction)?;
                file.moved(&mut self.native_frame)?;
                Ok(Event::Other)
            }
            // What was mapped: a list begins, a file with its address, and a segment of one.
            6 => Ok(Event::Other),
            7 => {
                file.text()?;
                file.number()?;
                file.word()?;
                Ok(Event::Other)
            }
            8 => {
                file.word()?;
                file.number()?;
                Ok(Event::Other)
            }
            // The name of a thread.
            10 => file.text().map(|_| Event::Other),
            12 => file.word().map(Event::Thread),
            14 => self.code(file),
            _ => Err(Stop::Wrong("is of a kind that is not known")),
        }
    }

    fn allocation(&mut self, bits: usize, file: &mut Bytes<impl BufRead>) -> Result<Event, Stop> {
        let address = self.address(bits >> 3 & 15, file)?;
        let by = match bits & 7 {
            0 => Allocator::of(file.byte()?)?,
            common => Allocator::of(u8::try_from(common).expect("it is less than 8"))?,
        };
        let mut size = 0;
        if !by.only_frees() {
            self.native(file)?;
            size = file.number()?;
        }
        Ok(Event::Allocation(Allocation { by, address, size }))
    }

    /// An address that is one of the latest, or how far it is from the last one that was not.
    fn address(&mut self, place: usize, file: &mut Bytes<impl BufRead>) -> Result<u64, Stop> {
        if let Some(address) = self.late.get(place) {
            return Ok(*address);
        }
        let address = file.moved(&mut self.address)? << 3;
        self.late.rotate_right(1);
        self.late[0] = address;
        Ok(address)
    }

    fn native(&mut self, file: &mut Bytes<impl BufRead>) -> Result<(), Stop> {
        if self.has_native_frames {
            file.moved(&mut self.native_frame)?;
        }
        Ok(())
    }

    fn code(&mut self, file: &mut Bytes<impl BufRead>) -> Result<Event, Stop> {
        let number = file.number()?;
        let (function, path) = (file.text()?, file.text()?);
        let first_line = file.moved(&mut self.first_line)?;
        let first_line = u32::try_from(first_line).unwrap_or(0);
        let lines = file.counted()?;
        Ok(Event::Code(number, Code { function, file: path, first_line, lines }))
    }
}
