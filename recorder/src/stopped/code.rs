//! Code that no thread is to be in, and where the call of it that a thread is in the midst of returns to.
//!
//! That is read from the tables by which exceptions are unwound, which every library has in memory.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, LittleEndian, Register, RegisterRule, UnwindContext,
    UnwindSection, X86_64,
};

use super::Registers;
use crate::attach::modules::segments;
use crate::attach::target::Target;
use crate::heap::copy::Range;

/// More calls than this are not within one another in a library.
const MOST_FRAMES: u32 = 64;

/// Registers that the tables speak of: those of a call, and the address it returns to.
const REGISTERS: usize = 17;

/// Code of a process.
#[derive(Clone, Debug, Default)]
pub struct Code {
    ranges: Vec<Range>,
    tables: Vec<Tables>,
}

/// A library's tables, with the addresses they are at.
#[derive(Clone, Debug)]
struct Tables {
    header: (u64, Vec<u8>),
    frames: (u64, Vec<u8>),
}

/// Where a thread comes out of code.
#[derive(Clone, Copy, Debug)]
pub struct WayOut {
    /// The address of the first instruction outside.
    pub address: u64,
    /// Its stack pointer there, or above.
    pub stack: u64,
}

impl Code {
    /// None.
    pub const NONE: Code = Code { ranges: Vec::new(), tables: Vec::new() };

    /// Adds code that nothing else is known of.
    pub fn add(&mut self, range: Range) {
        self.ranges.push(range);
    }

    /// Adds the code of a library, whose header is at `base`.
    pub fn add_library(&mut self, target: &Target, base: u64, ranges: impl IntoIterator<Item = Range>) {
        self.ranges.extend(ranges);
        self.tables.extend(Tables::of(target, base));
    }

    /// Adds other code.
    pub fn add_all(&mut self, other: &Code) {
        self.ranges.extend(&other.ranges);
        self.tables.extend(other.tables.iter().cloned());
    }

    /// Whether an address lies in it.
    pub fn contains(&self, at: u64) -> bool {
        self.ranges.iter().any(|range| range.contains(at))
    }

    /// Where a thread with these registers comes out of it; `None` if the tables do not say.
    pub fn way_out(&self, registers: &Registers, target: &Target) -> Option<WayOut> {
        let mut frame = Frame::of(registers);
        let mut contexts = UnwindContext::new();
        for number in 0..MOST_FRAMES {
            if !self.contains(frame.address) {
                return Some(WayOut { address: frame.address, stack: frame.register(X86_64::RSP)? });
            }
            // A call that does not return is the last of its function: the address behind it may be another's.
            let at = frame.address - u64::from(number > 0);
            frame = self.tables.iter().find_map(|tables| tables.caller(&frame, at, target, &mut contexts))?;
        }
        None
    }
}

/// A call that is under way.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Where it goes on.
    address: u64,
    registers: [Option<u64>; REGISTERS],
}

impl Frame {
    fn of(of: &Registers) -> Frame {
        let registers = [
            of.rax, of.rdx, of.rcx, of.rbx, of.rsi, of.rdi, of.rbp, of.rsp, of.r8, of.r9, of.r10, of.r11,
            of.r12, of.r13, of.r14, of.r15, of.rip,
        ];
        Frame { address: of.rip, registers: registers.map(Some) }
    }

    fn register(&self, register: Register) -> Option<u64> {
        self.registers.get(usize::from(register.0)).copied().flatten()
    }
}

impl Tables {
    fn of(target: &Target, base: u64) -> Option<Tables> {
        let segments = segments(target, base)?;
        let &(_, at, length) = segments.iter().find(|(kind, ..)| *kind == libc::PT_GNU_EH_FRAME)?;
        let header = (at, target.bytes(at, length)?);
        let parsed =
            EhFrameHdr::new(&header.1, LittleEndian).parse(&BaseAddresses::default().set_eh_frame_hdr(at), 8);
        let gimli::Pointer::Direct(frames) = parsed.ok()?.eh_frame_ptr() else { return None };
        // How long they are nobody says: they end with themselves, and before their segment does.
        let is_theirs = |(kind, start, length): &&(u32, u64, u64)| {
            *kind == libc::PT_LOAD && (*start..start.saturating_add(*length)).contains(&frames)
        };
        let (_, start, length) = segments.iter().find(is_theirs)?;
        Some(Tables { header, frames: (frames, target.bytes(frames, start + length - frames)?) })
    }

    /// The call from which the one at this address was made.
    fn caller(
        &self,
        frame: &Frame,
        at: u64,
        target: &Target,
        contexts: &mut UnwindContext<usize>,
    ) -> Option<Frame> {
        let bases = BaseAddresses::default().set_eh_frame_hdr(self.header.0).set_eh_frame(self.frames.0);
        let header = EhFrameHdr::new(&self.header.1, LittleEndian).parse(&bases, 8).ok()?;
        let frames = EhFrame::new(&self.frames.1, LittleEndian);
        let table = header.table()?;
        let rules =
            table.unwind_info_for_address(&frames, &bases, contexts, at, EhFrame::cie_from_offset).ok()?;
        let CfaRule::RegisterAndOffset { register, offset } = rules.cfa() else { return None };
        let before_call = frame.register(*register)?.wrapping_add_signed(*offset);
        let mut caller = Frame { address: 0, registers: [None; REGISTERS] };
        for (number, found) in (0..).zip(&mut caller.registers) {
            *found = match rules.register(Register(number)) {
                None | Some(RegisterRule::SameValue) => frame.register(Register(number)),
                Some(RegisterRule::Offset(by)) => target.word(before_call.wrapping_add_signed(by)),
                Some(RegisterRule::ValOffset(by)) => Some(before_call.wrapping_add_signed(by)),
                Some(RegisterRule::Register(other)) => frame.register(other),
                Some(_) => None,
            };
        }
        caller.registers[usize::from(X86_64::RSP.0)] = Some(before_call);
        let address = rules.register(X86_64::RA).and_then(|_| caller.register(X86_64::RA));
        Some(Frame { address: address?, ..caller })
    }
}
