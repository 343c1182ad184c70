//! How to get from a function to its caller: what the compiler wrote about it into `.eh_frame`.
//!
//! The format is that of DWARF's call frame information, as the Linux Standard Base has it for
//! `.eh_frame` and its table of contents, `.eh_frame_hdr`. Of all it can say we keep what finding return
//! addresses needs, the frame's own address (CFA) and where the caller's `rbp` was saved: a [`Rule`]. What
//! it says beyond that (addresses computed by programs, of which there are three in practice) is a rule
//! of its own or none.
//!
//! These tables were loaded with the code they describe. What is read lies within that module.

use crate::modules::Module;

/// What finds the caller of a function that was left at one place: a word, because it is read for every
/// frame of a stack. [`Rule::marked`] puts the marks on.
///
/// ```text
///  63          32 31          16 12    9 8    8 7      0
/// ┌──────────────┬──────────────┬───────┬──────┬────────┐
/// │    offset    │ where rbp is │ marks │ has? │  kind  │
/// └──────────────┴──────────────┴───────┴──────┴────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule(u64);

/// What kind of rule it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// That is not said, or not so that we could follow it.
    Unknown = 1,
    /// Nobody called it.
    Outermost,
    /// The kernel called it to deliver a signal: the stack pointer points to what was interrupted.
    Signal,
    /// The frame's address is `rsp` and so many bytes more; the return address is right below it.
    Stack,
    /// The same, from `rbp`.
    Frame,
    /// The frame's address is the word that lies so far from `rbp`, and the caller's `rbp` is where it
    /// points: so it is where a function has aligned its stack.
    Saved,
}

/// A frame's own rule looks at its `rbp`.
pub const USES_RBP: u32 = 1 << 9;
/// A frame is of the module that asks.
pub const OWN_CODE: u32 = 1 << 10;
/// A frame's code is about to go on where it is, and has not called anything there.
pub const EXACT: u32 = 1 << 11;
/// For a frame to be the same as before, the word at the place where its stack pointer was read must be.
pub const CHECKS_SP: u32 = 1 << 12;

impl Rule {
    /// Of a kind that has no numbers.
    const fn plain(kind: Kind) -> Rule {
        Rule(kind as u64)
    }

    /// The frame's address is so far from where the kind says, and the caller's `rbp` was saved so many words
    /// from that, if it was.
    fn counted(kind: Kind, offset: i32, saved: Option<i16>) -> Rule {
        let saved = saved.map_or(0, |saved| 1 << 8 | u64::from(saved.cast_unsigned()) << 16);
        Rule(kind as u64 | saved | u64::from(offset.cast_unsigned()) << 32)
    }

    /// The rule as a word, which is never 0.
    pub fn word(self) -> u64 {
        self.0
    }

    /// The rule out of a word.
    #[inline(always)]
    pub fn of(word: u64) -> Rule {
        Rule(word)
    }

    /// Whether it is of this kind.
    #[inline(always)]
    pub fn is(self, kind: Kind) -> bool {
        self.0 as u8 == kind as u8
    }

    /// How far the frame's address is from what the kind says.
    #[inline(always)]
    pub fn offset(self) -> isize {
        (self.0.cast_signed() >> 32) as isize
    }

    /// How many bytes from the frame's address the caller's `rbp` was saved, if it was: see
    /// [`Rule::saved_mask`].
    #[inline(always)]
    pub fn saved(self) -> isize {
        isize::from((self.0 >> 16) as i16) * size_of::<usize>() as isize
    }

    /// All ones if the caller's `rbp` was saved; else 0.
    #[inline(always)]
    pub fn saved_mask(self) -> usize {
        ((self.0 >> 8 & 1) as usize).wrapping_neg()
    }

    /// The same rule, with what it says of the frame and of its caller's: whether the code is our own.
    pub fn marked(self, is_own: bool) -> Rule {
        let uses_rbp = self.is(Kind::Frame) || self.is(Kind::Saved) || self.is(Kind::Unknown);
        let marks = [
            (USES_RBP, uses_rbp),
            (OWN_CODE, is_own),
            (EXACT, self.is(Kind::Signal)),
            (CHECKS_SP, self.is(Kind::Saved)),
        ];
        let marks = marks.iter().filter(|(_, is_set)| *is_set).fold(0, |marks, (mark, _)| marks | mark);
        Rule(self.0 | u64::from(marks))
    }

    /// What it says of the frame: [`USES_RBP`] and [`OWN_CODE`].
    #[inline(always)]
    pub fn marks(self) -> u32 {
        self.0 as u32 & (USES_RBP | OWN_CODE)
    }

    /// What it says of the caller's frame: [`EXACT`] and [`CHECKS_SP`].
    #[inline(always)]
    pub fn callers_marks(self) -> u32 {
        self.0 as u32 & (EXACT | CHECKS_SP)
    }
}

/// Bytes of a module that is loaded.
#[derive(Clone, Copy)]
struct Bytes {
    at: usize,
    end: usize,
}

/// Encodings of addresses, as they are in `.eh_frame`: the lower half says how long, the upper from where.
const OMITTED: u8 = 0xff;
const FROM_HERE: u8 = 0x10;

impl Bytes {
    fn new(at: usize, end: usize) -> Bytes {
        Bytes { at, end }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let at = self.at;
        if at.checked_add(N)? > self.end {
            return None;
        }
        self.at = at + N;
        // SAFETY: `Bytes` are made only of what lies within a loaded module.
        Some(unsafe { (at as *const [u8; N]).read() })
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn half(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= i64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let unused = 64_u32.saturating_sub(shift + 7);
                return Some(if byte & 0x40 != 0 { number << unused >> unused } else { number });
            }
        }
        None
    }

    fn skip(&mut self, bytes: u64) -> Option<()> {
        let to = self.at.checked_add(bytes as usize)?;
        self.at = Some(to).filter(|to| *to <= self.end)?;
        Some(())
    }

    /// A number in an encoding, without what it is counted from.
    fn plain(&mut self, encoding: u8) -> Option<i64> {
        Some(match encoding & 0xf {
            0x0 | 0x4 | 0xc => self.long()?.cast_signed(),
            0x1 => self.unsigned()?.cast_signed(),
            0x2 => self.half()?.into(),
            0x3 => self.word()?.into(),
            0x9 => self.signed()?,
            0xa => self.half()?.cast_signed().into(),
            0xb => self.word()?.cast_signed().into(),
            _ => return None,
        })
    }

    /// An address in an encoding.
    fn address(&mut self, encoding: u8) -> Option<usize> {
        let here = self.at;
        let number = self.plain(encoding)? as isize;
        match encoding & 0xf0 {
            0 => Some(number.cast_unsigned()),
            FROM_HERE => Some(here.wrapping_add_signed(number)),
            _ => None,
        }
    }
}

/// What functions have in common.
#[derive(Clone, Copy)]
struct Common {
    code: u64,
    data: i64,
    encoding: u8,
    is_signal: bool,
    has_augmentation: bool,
    program: Bytes,
}

/// Where something of the caller's is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where it was.
    Same,
    /// So far from the frame's address.
    Saved(i64),
    /// There is none.
    Undefined,
    /// Somewhere else.
    Elsewhere,
}

/// Nothing is known.
pub const UNKNOWN: Rule = Rule::plain(Kind::Unknown);

/// What a frame's address is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Address {
    Register { number: u64, offset: i64 },
    Rule(Rule),
}

/// All that is known at one place of a function.
#[derive(Clone, Copy)]
struct Row {
    address: Address,
    rbp: Place,
    returns: Place,
}

/// Registers by their numbers in DWARF for x86-64.
const RBP: u64 = 6;
const RSP: u64 = 7;
const RETURN: u64 = 16;

/// How deep rows can be remembered.
const REMEMBERED: usize = 8;

/// The rule for the code at `pc`, an address within this module.
pub fn rule(module: &Module, pc: usize) -> Rule {
    find(module, pc).unwrap_or(UNKNOWN)
}

fn find(module: &Module, pc: usize) -> Option<Rule> {
    let description = search(module, pc)?;
    let (mut bytes, common) = open(module, description)?;
    let begin = bytes.address(common.encoding)?;
    let length = bytes.plain(common.encoding)?;
    if pc.wrapping_sub(begin) >= length as usize {
        return None;
    }
    if common.has_augmentation {
        let length = bytes.unsigned()?;
        bytes.skip(length)?;
    }
    if common.is_signal {
        return Some(Rule::plain(Kind::Signal));
    }
    let unknown = Address::Rule(UNKNOWN);
    let mut row = Row { address: unknown, rbp: Place::Same, returns: Place::Elsewhere };
    run(common.program, &common, None, pc, &mut row)?;
    let initial = row;
    let from = Some((begin, &initial));
    run(bytes, &common, from, pc, &mut row)?;
    Some(row.rule())
}

/// Where the description of the function at `pc` is, if there is one: the last that begins before it.
fn search(module: &Module, pc: usize) -> Option<usize> {
    /// Of a table of pairs of 32 bits, counted from the header.
    const PAIRS: u8 = 0x3b;
    let header = module.unwinding;
    if header == 0 {
        return None;
    }
    let mut bytes = Bytes::new(header, module.end);
    let [version, frames, count, table] = bytes.take()?;
    if version != 1 || table != PAIRS || count == OMITTED {
        return None;
    }
    bytes.plain(frames)?;
    let count = usize::try_from(bytes.plain(count)?).ok()?;
    let pairs = bytes.at;
    if pairs.checked_add(count.checked_mul(8)?)? > module.end {
        return None;
    }
    let offset =
        |at: usize| Bytes::new(pairs + at * 4, module.end).word().map(|word| word.cast_signed() as isize);
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if header.wrapping_add_signed(offset(middle * 2)?) <= pc { low = middle + 1 } else { high = middle }
    }
    let last = low.checked_sub(1)?;
    Some(header.wrapping_add_signed(offset(last * 2 + 1)?))
}

/// Opens the description of a function. Returns what is left of it, and what it has in common with others.
fn open(module: &Module, at: usize) -> Option<(Bytes, Common)> {
    let mut bytes = section(module, at)?;
    let here = bytes.at;
    let back = bytes.word()?;
    if back == 0 {
        return None;
    }
    let common = common(section(module, here.wrapping_sub(back as usize))?)?;
    Some((bytes, common))
}

/// What lies in an entry of the section, behind its length.
fn section(module: &Module, at: usize) -> Option<Bytes> {
    if at < module.start {
        return None;
    }
    let mut bytes = Bytes::new(at, module.end);
    let length = match bytes.word()? {
        0 => return None,
        u32::MAX => bytes.long()?,
        length => length.into(),
    };
    let end = bytes.at.checked_add(length as usize).filter(|end| *end <= module.end)?;
    Some(Bytes::new(bytes.at, end))
}

fn common(mut bytes: Bytes) -> Option<Common> {
    if bytes.word()? != 0 {
        return None;
    }
    let version = bytes.byte()?;
    let mut letters = bytes;
    while bytes.byte()? != 0 {}
    let code = bytes.unsigned()?;
    let data = bytes.signed()?;
    let returns = if version == 1 { bytes.byte()?.into() } else { bytes.unsigned()? };
    if returns != RETURN {
        return None;
    }
    let mut common =
        Common { code, data, encoding: 0, is_signal: false, has_augmentation: false, program: bytes };
    loop {
        match letters.byte()? {
            0 => break,
            b'z' => {
                common.has_augmentation = true;
                let length = bytes.unsigned()?;
                let mut behind = bytes;
                behind.skip(length)?;
                common.program = behind;
            }
            b'R' => common.encoding = bytes.byte()?,
            b'P' => {
                let encoding = bytes.byte()?;
                bytes.plain(encoding)?;
            }
            b'L' => drop(bytes.byte()?),
            b'S' => common.is_signal = true,
            b'B' => {}
            // What follows is behind the augmentation, whatever it is.
            _ if common.has_augmentation => return Some(common),
            _ => return None,
        }
    }
    if !common.has_augmentation {
        common.program = bytes;
    }
    Some(common)
}

/// Runs a program up to the row for `pc`. `from` is where its function begins, and with which row; `None` for
/// what functions have in common.
fn run(
    mut program: Bytes,
    common: &Common,
    from: Option<(usize, &Row)>,
    pc: usize,
    row: &mut Row,
) -> Option<()> {
    let mut at = from.map_or(0, |(begin, _)| begin);
    let mut remembered = [*row; REMEMBERED];
    let mut depth = 0_usize;
    let data = |offset: u64| (offset as i64).wrapping_mul(common.data);
    while program.at < program.end {
        let byte = program.byte()?;
        let operand = u64::from(byte & 0x3f);
        let advance = match byte {
            0x40..=0x7f => Some(operand),
            0x02 => Some(program.byte()?.into()),
            0x03 => Some(program.half()?.into()),
            0x04 => Some(program.word()?.into()),
            _ => None,
        };
        if let Some(advance) = advance {
            at = at.wrapping_add(advance.wrapping_mul(common.code) as usize);
            if at > pc {
                return Some(());
            }
            continue;
        }
        match byte {
            0x00 => {}
            0x80..=0xbf => {
                let offset = data(program.unsigned()?);
                row.place(operand, Place::Saved(offset));
            }
            0xc0..=0xff => row.restore(operand, from),
            0x01 => {
                at = program.address(common.encoding)?;
                if at > pc {
                    return Some(());
                }
            }
            0x05 => {
                let register = program.unsigned()?;
                let offset = data(program.unsigned()?);
                row.place(register, Place::Saved(offset));
            }
            0x06 => row.restore(program.unsigned()?, from),
            0x07 => row.place(program.unsigned()?, Place::Undefined),
            0x08 => row.place(program.unsigned()?, Place::Same),
            0x09 => {
                row.place(program.unsigned()?, Place::Elsewhere);
                program.unsigned()?;
            }
            0x0a => {
                *remembered.get_mut(depth)? = *row;
                depth += 1;
            }
            0x0b => {
                depth = depth.checked_sub(1)?;
                *row = *remembered.get(depth)?;
            }
            0x0c => {
                let number = program.unsigned()?;
                row.address = Address::Register { number, offset: program.unsigned()? as i64 };
            }
            0x0d => {
                let number = program.unsigned()?;
                let Address::Register { offset, .. } = row.address else { return None };
                row.address = Address::Register { number, offset };
            }
            0x0e => row.move_to(program.unsigned()? as i64)?,
            0x0f => {
                let length = program.unsigned()?;
                row.address = Address::Rule(computed(program, length, pc));
                program.skip(length)?;
            }
            0x10 | 0x16 => {
                row.place(program.unsigned()?, Place::Elsewhere);
                let length = program.unsigned()?;
                program.skip(length)?;
            }
            0x11 => {
                let register = program.unsigned()?;
                let offset = program.signed()?.wrapping_mul(common.data);
                row.place(register, Place::Saved(offset));
            }
            0x12 => {
                let number = program.unsigned()?;
                let offset = program.signed()?.wrapping_mul(common.data);
                row.address = Address::Register { number, offset };
            }
            0x13 => row.move_to(program.signed()?.wrapping_mul(common.data))?,
            0x14 | 0x15 => {
                row.place(program.unsigned()?, Place::Elsewhere);
                program.unsigned()?;
            }
            0x2e => drop(program.unsigned()?),
            0x2f => {
                let register = program.unsigned()?;
                let offset = data(program.unsigned()?).wrapping_neg();
                row.place(register, Place::Saved(offset));
            }
            _ => return None,
        }
    }
    Some(())
}

/// What the frame's address is where a program computes it.
fn computed(mut program: Bytes, length: u64, pc: usize) -> Rule {
    let Some(end) = program.at.checked_add(length as usize).filter(|end| *end <= program.end) else {
        return UNKNOWN;
    };
    program.end = end;
    saved(program).or_else(|| linkage(program, pc)).unwrap_or(UNKNOWN)
}

/// Of a function that has aligned its stack: what lies so far from `rbp`.
fn saved(mut program: Bytes) -> Option<Rule> {
    const FROM_RBP: u8 = 0x76;
    const FOLLOW: u8 = 0x06;
    if program.byte()? != FROM_RBP {
        return None;
    }
    let offset = i32::try_from(program.signed()?).ok()?;
    let follows = program.byte()? == FOLLOW && program.at == program.end;
    follows.then_some(Rule::counted(Kind::Saved, offset, None))
}

/// Of the table of procedures linked late: eight bytes more behind the instruction that pushes.
fn linkage(mut program: Bytes, pc: usize) -> Option<Rule> {
    let [from_rsp, offset, from_pc, zero, fifteen, and, least, greater, three, shift, add] =
        program.take()?;
    let is_so = [from_rsp, from_pc, zero, fifteen, and, greater, three, shift, add]
        == [0x77, 0x80, 0x00, 0x3f, 0x1a, 0x2a, 0x33, 0x24, 0x22];
    let least = least.checked_sub(0x30).filter(|least| *least < 16)?;
    let has_pushed = pc & 15 >= least.into();
    let offset = i32::from(offset) + if has_pushed { 8 } else { 0 };
    is_so.then_some(Rule::counted(Kind::Stack, offset, None))
}

impl Row {
    fn place(&mut self, register: u64, place: Place) {
        match register {
            RBP => self.rbp = place,
            RETURN => self.returns = place,
            _ => {}
        }
    }

    fn restore(&mut self, register: u64, from: Option<(usize, &Row)>) {
        if let Some((_, initial)) = from {
            match register {
                RBP => self.rbp = initial.rbp,
                RETURN => self.returns = initial.returns,
                _ => {}
            }
        }
    }

    fn move_to(&mut self, to: i64) -> Option<()> {
        match &mut self.address {
            Address::Register { offset, .. } => *offset = to,
            // What is computed is not moved.
            Address::Rule(_) => return None,
        }
        Some(())
    }

    fn rule(&self) -> Rule {
        match (self.returns, self.address) {
            (Place::Undefined, _) => Rule::plain(Kind::Outermost),
            (Place::Saved(-8), Address::Rule(rule)) => rule,
            (Place::Saved(-8), Address::Register { number, offset }) => {
                self.counted(number, offset).unwrap_or(UNKNOWN)
            }
            _ => UNKNOWN,
        }
    }

    /// The rule where the frame's address is counted from a register.
    fn counted(&self, register: u64, offset: i64) -> Option<Rule> {
        let kind = match register {
            RSP => Kind::Stack,
            RBP => Kind::Frame,
            _ => return None,
        };
        let saved = match self.rbp {
            Place::Same => None,
            Place::Saved(offset) if offset % 8 == 0 => Some(i16::try_from(offset / 8).ok()?),
            _ => return None,
        };
        Some(Rule::counted(kind, i32::try_from(offset).ok()?, saved))
    }
}
