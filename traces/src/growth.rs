//! What a trace's tree of stacks grew by before a batch: modules and frames, in a frame of their own
//! before it.
//!
//! A frame of a stack is told by how long before it its caller came, its module, and how far its address
//! is from the last one in that module. All of that is compressed together.

use std::io::{Read, Seek};

use serde::{Deserialize, Serialize};

use crate::batch::{Packer, Unpacker};
use crate::damage::Fault;
use crate::encoding;
use crate::error::Error;
use crate::frame::Kind;
use crate::preamble;
use crate::source::Source;
use crate::stacks::{Capture, Frame, Module, ModuleId, Stack, Stacks};
use crate::varint::{put, put_signed, take, take_signed};

/// The most frames a trace is believed to have: as many a reader may be asked to keep in memory.
pub(crate) const MOST_FRAMES: u32 = 1 << 24;

/// The most modules a trace is believed to have.
pub(crate) const MOST_MODULES: u32 = 1 << 16;

/// The most frames that are written in one part.
const PART: usize = 1 << 18;

/// About how many bytes of names of modules are written in one part.
const NAMES: usize = 1 << 20;

/// The body of a part.
#[derive(Serialize, Deserialize)]
struct Part<'bytes> {
    capture: Option<Capture>,
    /// The number of the first module, and those from it on.
    first_module: u32,
    modules: Vec<Module>,
    /// The number of the first frame, how many there are, and how long they are when unpacked.
    first_frame: u32,
    frames: u32,
    length: u32,
    /// The frames themselves if they are as many bytes, otherwise a zstd frame.
    #[serde(with = "serde_bytes")]
    bytes: &'bytes [u8],
}

/// What has been added to a tree of stacks and is not in the file yet.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    capture: Option<Capture>,
    modules: Vec<Module>,
    modules_before: u32,
    frames: Vec<Frame>,
    frames_before: u32,
    unpacked: Vec<u8>,
    packed: Vec<u8>,
}

impl Growth {
    /// Says what was asked for.
    pub fn capture(&mut self, capture: Capture) {
        self.capture = Some(capture);
    }

    /// Adds a module.
    pub fn module(&mut self, module: Module) -> ModuleId {
        let number = self.modules_before.saturating_add(length(&self.modules));
        if number < MOST_MODULES {
            self.modules.push(module);
        }
        ModuleId(number)
    }

    /// Adds a frame. Returns the stack it is the innermost frame of; none if there are too many already.
    pub fn frame(&mut self, frame: Frame) -> Stack {
        // The first stands for no stack.
        let number = self.frames_before.saturating_add(length(&self.frames)).saturating_add(1);
        if number >= MOST_FRAMES {
            return Stack::NONE;
        }
        self.frames.push(frame);
        Stack(number)
    }

    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.capture.is_none() && self.modules.is_empty() && self.frames.is_empty()
    }

    /// Appends the body of a part, of the first of what there is. Returns how long it is when unpacked.
    pub fn pack(&mut self, packer: &mut Packer, into: &mut Vec<u8>) -> Result<u32, Error> {
        let frames = &self.frames[..self.frames_of_part()];
        let modules = &self.modules[..self.modules_of_part()];
        let first_frame = self.frames_before.saturating_add(1);
        self.unpacked.clear();
        put_frames(first_frame, frames, &mut self.unpacked);
        packer.squeeze(&self.unpacked, &mut self.packed).map_err(Error::Writing)?;
        let part = Part {
            capture: self.capture,
            first_module: self.modules_before,
            modules: modules.to_vec(),
            first_frame,
            frames: length(frames),
            length: length(&self.unpacked),
            bytes: &self.packed,
        };
        encoding::encode(&part, into);
        Ok(part.length)
    }

    /// The part that was packed is in the file.
    pub fn sent(&mut self) {
        self.capture = None;
        let (frames, modules) = (self.frames_of_part(), self.modules_of_part());
        self.modules_before = self.modules_before.saturating_add(length(&self.modules[..modules]));
        self.modules.drain(..modules);
        self.frames_before = self.frames_before.saturating_add(length(&self.frames[..frames]));
        self.frames.drain(..frames);
    }

    /// How many modules the next part has: as many as have short names, or one.
    fn modules_of_part(&self) -> usize {
        let mut names = 0;
        let fits = |module: &&Module| {
            names += module.path.len() + module.build_id.len();
            names <= NAMES
        };
        let fitting = self.modules.iter().take_while(fits).count();
        fitting.max(1).min(self.modules.len())
    }

    /// How many frames the next part has: none before all modules that they may be in are told.
    fn frames_of_part(&self) -> usize {
        if self.modules_of_part() < self.modules.len() { 0 } else { self.frames.len().min(PART) }
    }
}

fn length<T>(of: &[T]) -> u32 {
    u32::try_from(of.len()).unwrap_or(u32::MAX)
}

fn put_frames(first: u32, frames: &[Frame], into: &mut Vec<u8>) {
    let mut last = Vec::new();
    for (number, frame) in (first..).zip(frames) {
        put(into, u64::from(number.wrapping_sub(frame.caller.0)));
        let module = frame.module.map_or(0, |module| u64::from(module.0) + 1);
        put(into, module);
        let last = last_in(&mut last, module);
        put_signed(into, frame.address.wrapping_sub(*last).cast_signed());
        *last = frame.address;
    }
}

/// Takes frames, of which the first has this number.
fn take_frames(first: u32, count: u32, mut bytes: &[u8], into: &mut Stacks) -> Option<()> {
    let mut last = Vec::new();
    let end = first.checked_add(count).filter(|end| *end <= MOST_FRAMES)?;
    // Each takes three bytes at least.
    if (count as usize).saturating_mul(3) > bytes.len() {
        return None;
    }
    into.frames.resize(into.frames.len().max(end as usize), None);
    for number in first..end {
        let caller = Stack(number.checked_sub(u32::try_from(take(&mut bytes)?).ok()?)?);
        let module = take(&mut bytes)?;
        if module > MOST_MODULES.into() {
            return None;
        }
        let last = last_in(&mut last, module);
        *last = last.wrapping_add_signed(take_signed(&mut bytes)?);
        let module = u32::try_from(module.wrapping_sub(1)).ok().map(ModuleId);
        let frame = Frame { caller, module, address: *last };
        // Of two that claim the same number, the first counts.
        into.frames[number as usize].get_or_insert(frame);
    }
    bytes.is_empty().then_some(())
}

/// The last address in a module.
fn last_in(last: &mut Vec<u64>, module: u64) -> &mut u64 {
    let at = usize::try_from(module).unwrap_or(0);
    if at >= last.len() {
        last.resize(at + 1, 0);
    }
    &mut last[at]
}

fn take_part(body: &[u8], unpacker: &mut Unpacker, into: &mut Stacks) -> Result<(), Fault> {
    let part: Part<'_> = encoding::decode(body)?;
    let mut bytes = Vec::new();
    if !unpacker.unsqueeze(part.bytes, part.length, &mut bytes) {
        return Err(Fault::Encoding);
    }
    into.capture = into.capture.or(part.capture);
    let first = part.first_module as usize;
    if first + part.modules.len() > MOST_MODULES as usize {
        return Err(Fault::Encoding);
    }
    into.modules.resize(into.modules.len().max(first + part.modules.len()), Module::default());
    for (module, to) in part.modules.into_iter().zip(&mut into.modules[first..]) {
        *to = module;
    }
    if part.frames == 0 {
        return Ok(());
    }
    take_frames(part.first_frame, part.frames, &bytes, into).ok_or(Fault::Encoding)
}

impl<R: Read + Seek> Source<R> {
    /// All stacks. Parts that are damaged are left out: whoever reads the records comes past the damage
    /// and tells of it.
    pub fn stacks(&mut self) -> Result<Stacks, Error> {
        let mut unpacker = Unpacker::new().map_err(|source| Error::Reading { file: self.file(), source })?;
        let mut stacks = Stacks::default();
        let mut body = Vec::new();
        let mut next = self.next_frame(preamble::LENGTH)?;
        while let Some((at, frame)) = next {
            if frame.kind == Kind::Stacks && self.body(at, frame, &mut body)?.is_ok() {
                // What can be read of a part that makes no sense is kept.
                let _ = take_part(&body, &mut unpacker, &mut stacks);
            }
            next = self.frame_after(at, Some(frame))?;
        }
        Ok(stacks)
    }
}
