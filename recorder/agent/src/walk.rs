//! From a frame to its caller, and so on to the outermost: the return addresses of a thread's stack.
//!
//! What the thread's last stack was is kept, with all that was read to find it. If what was read is still
//! there, the same frames are: going over them costs a comparison each, and neither a rule nor the tree is
//! looked at. So the walk goes by rules only where the stack is another than last time, and joins the old
//! one wherever it meets it.
//!
//! Only memory is read that a frame is known to lie in, and of each page of it the kernel has been asked
//! whether it can be read, once: a module with wrong tables must not be the end of the program.

use core::cell::Cell;

use crate::cfi::{Kind, Rule};
use crate::modules;
use crate::rules;
use crate::system;
use crate::tree::Tree;

/// How many frames can be our own.
const OWN: usize = 8;

/// The most frames of a stack that is told.
pub const DEEPEST: usize = 256;

/// The most frames that are walked over.
const MOST: usize = DEEPEST + OWN;

/// How far a frame may be from its caller's if there is no rule but a frame pointer.
const FARTHEST: usize = 1 << 20;

const WORD: usize = size_of::<usize>();
const PAGE: usize = malloscope_wire::PAGE;

/// Where a thread is: where its code goes on, and the registers that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The program counter.
    pub pc: usize,
    /// The stack pointer.
    pub sp: usize,
    /// What compilers call the frame pointer, whatever is in it.
    pub rbp: usize,
}

/// A frame that was walked over: what it was, and where that was read.
#[derive(Clone, Copy, Default)]
struct Passed {
    frame: Frame,
    /// Where its program counter was read.
    pc_at: usize,
    /// Where its `rbp` was read; 0 if it is that of the frame before.
    rbp_at: usize,
    /// Where its stack pointer was read; 0 if it follows from the frame before.
    sp_at: usize,
    /// What more is known of it. Together with the number a word without gaps, which is copied as one.
    flags: u32,
    /// The number in the tree of the frame with all its callers.
    number: u32,
}

/// In [`Passed::flags`]: its code is about to go on at `pc`, and has not called anything there.
const EXACT: u32 = 1;
/// Its own rule looks at its `rbp`.
const USES_RBP: u32 = 2;
/// Something looks at its `rbp`.
const NEEDS_RBP: u32 = 4;
/// It is of the module that asks.
const OWN_CODE: u32 = 8;
/// For the frame to be the same, what was read at `rbp_at` must be.
const CHECKS_RBP: u32 = 16;
/// For the frame to be the same, what was read at `sp_at` must be.
const CHECKS_SP: u32 = 32;

impl Passed {
    #[inline(always)]
    fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// A thread's last stack, and the memory it lies in.
pub struct Walk {
    /// The outermost frame first, so that what stays the same stays where it is.
    passed: [Cell<Passed>; MOST],
    count: Cell<usize>,
    /// Whether it was walked to its end, and not only as far as was wanted.
    is_whole: Cell<bool>,
    /// What is walked anew of the next stack, the innermost frame first.
    next: [Cell<Passed>; MOST],
    made: Cell<usize>,
    /// From where to where memory around the stack pointer can be read.
    readable: Cell<(usize, usize)>,
}

/// What does not change from one walk to the next.
#[derive(Clone, Copy)]
pub struct Terms {
    /// How many frames a stack has at most.
    pub depth: usize,
    /// From where to where the module that asks lies, whose frames are left out.
    pub own: (usize, usize),
    /// Which modules there are: see [`modules::generation`].
    pub generation: u32,
}

impl Walk {
    /// Forgets the last stack.
    pub fn forget(&self) {
        self.count.set(0);
    }

    /// The number of the stack whose innermost frame this is. `None` if the recorder cannot be told of it.
    #[inline(always)]
    pub fn number(&self, innermost: Frame, terms: Terms, tree: &Tree) -> Option<u32> {
        let count = self.count.get();
        if let Some(first) = self.old(count)
            && is_same(first, innermost, EXACT)
            && self.intact_down_to(count - 1) == 0
        {
            return Some(first.number);
        }
        self.number_anew(innermost, terms, tree)
    }

    /// How many frames, counted from the outermost, the last stack has outside of the first that is not there
    /// any more, if those before the first `count` are.
    #[inline(always)]
    fn intact_down_to(&self, count: usize) -> usize {
        let frames = self.passed.get(..count).unwrap_or_default();
        let changed = frames.iter().rposition(|passed| {
            let passed = look(passed);
            let is_there = word(passed.pc_at) == passed.frame.pc
                && (!passed.is(CHECKS_RBP | CHECKS_SP)
                    || ((!passed.is(CHECKS_RBP) || word(passed.rbp_at) == passed.frame.rbp)
                        && (!passed.is(CHECKS_SP) || word(passed.sp_at) == passed.frame.sp)));
            !is_there
        });
        changed.map_or(0, |changed| changed + 1)
    }

    #[inline(never)]
    fn number_anew(&self, innermost: Frame, terms: Terms, tree: &Tree) -> Option<u32> {
        self.made.set(0);
        let (joined, is_whole) = self.walk(innermost, terms)?;
        let number = self.keep(joined, tree)?;
        self.is_whole.set(is_whole);
        Some(number)
    }

    /// Walks from this frame outward. Returns how many frames of the last stack, counted from the outermost,
    /// come next, and whether the end was reached. `None` if the recorder cannot be told of a module.
    fn walk(&self, innermost: Frame, terms: Terms) -> Option<(usize, bool)> {
        self.look_around(innermost.sp);
        let own_length = terms.own.1 - terms.own.0;
        let own_code = |pc: usize| if pc.wrapping_sub(terms.own.0) < own_length { OWN_CODE } else { 0 };
        let mut current = Passed { frame: innermost, flags: EXACT, ..Passed::default() };
        // How many frames of the last stack may still be met, and down to how many those are there that
        // come behind the one that was met.
        let mut old = self.count.get();
        let mut left = old;
        let mut own = 0;
        loop {
            let made = self.made.get();
            if made - own >= terms.depth || made == MOST {
                return Some((0, false));
            }
            while let Some(passed) = self.old(old)
                && passed.frame.sp < current.frame.sp
            {
                old -= 1;
            }
            let is_met = self.old(old).is_some_and(|passed| is_same(passed, current.frame, current.flags));
            if is_met {
                if left >= old {
                    left = self.intact_down_to(old - 1);
                }
                let fits = made + old - own <= terms.depth && made + old <= MOST;
                if left == 0 && self.is_whole.get() && fits {
                    return Some((old, true));
                }
                // As far as the frames are the same, no rule is needed.
                if left < old - 1 {
                    let passed = self.old(old)?;
                    current.flags = current.flags & EXACT | passed.flags & (USES_RBP | OWN_CODE);
                    own += usize::from(current.is(OWN_CODE));
                    self.push(&current);
                    old -= 1;
                    let rbp = current.frame.rbp;
                    current = *self.old(old)?;
                    current.frame.rbp = if current.rbp_at == 0 { rbp } else { word(current.rbp_at) };
                    continue;
                }
                old -= 1;
            }
            let lookup = current.frame.pc - usize::from(!current.is(EXACT));
            let rule = rules::rule(lookup, terms.generation)?;
            let uses_rbp = if rule.uses_rbp() { USES_RBP } else { 0 };
            current.flags = current.flags & EXACT | own_code(current.frame.pc) | uses_rbp;
            own += usize::from(current.is(OWN_CODE));
            self.push(&current);
            match self.follow(&current, rule) {
                Some(next) => current = next,
                None => return Some((0, true)),
            }
        }
    }

    /// The innermost of so many frames of the last stack, counted from the outermost.
    #[inline(always)]
    fn old(&self, count: usize) -> Option<&Passed> {
        self.passed.get(count.wrapping_sub(1)).map(look)
    }

    #[inline(always)]
    fn push(&self, passed: &Passed) {
        if let Some(place) = self.next.get(self.made.get()) {
            place.set(*passed);
            self.made.set(self.made.get() + 1);
        }
    }

    /// Keeps what was walked as the last stack, outside of which so many frames of the one before come. Each
    /// gets its number. Returns that of the innermost; `None` if the recorder cannot be told of one.
    #[inline(always)]
    fn keep(&self, joined: usize, tree: &Tree) -> Option<u32> {
        // While frames are written there are none: it may be left for good.
        self.count.set(0);
        let made = self.made.get();
        let mut outer = self.old(joined).copied().unwrap_or_default();
        let places = self.passed.get(joined..)?;
        for (from, to) in self.next.get(..made)?.iter().rev().zip(places) {
            let mut passed = *look(from);
            let mut flags = passed.flags & (EXACT | USES_RBP | OWN_CODE);
            if passed.is(USES_RBP) || (outer.is(NEEDS_RBP) && outer.rbp_at == 0) {
                flags |= NEEDS_RBP | if passed.rbp_at != 0 { CHECKS_RBP } else { 0 };
            }
            passed.flags = flags | if passed.sp_at != 0 { CHECKS_SP } else { 0 };
            passed.number = if passed.is(OWN_CODE) {
                outer.number
            } else {
                // Who looks a frame up takes one off, to be within the call.
                let address = passed.frame.pc + usize::from(passed.is(EXACT));
                tree.number(outer.number, address as u64)?
            };
            to.set(passed);
            outer = passed;
        }
        self.count.set(joined + made);
        Some(outer.number)
    }

    /// The frame of the caller; `None` if there is none, or it cannot be found.
    #[inline(always)]
    fn follow(&self, from: &Passed, rule: Rule) -> Option<Passed> {
        let Frame { sp, rbp, .. } = from.frame;
        let (sp_at, address) = if rule.is(Kind::Stack) {
            (0, sp.wrapping_add_signed(rule.offset()))
        } else if rule.is(Kind::Frame) {
            (0, rbp.wrapping_add_signed(rule.offset()))
        } else {
            return self.follow_rarer(from, rule);
        };
        let rbp_at = rule.saved().map_or(0, |saved| address.wrapping_add_signed(saved));
        self.caller(sp, address, sp_at, rbp_at, rbp)
    }

    /// The same, by rules that few frames have.
    #[inline(never)]
    fn follow_rarer(&self, from: &Passed, rule: Rule) -> Option<Passed> {
        let Frame { pc, sp, rbp } = from.frame;
        if rule.is(Kind::Saved) {
            let sp_at = rbp.wrapping_add_signed(rule.offset());
            return self.caller(sp, self.read(sp_at)?, sp_at, rbp, rbp);
        }
        if rule.is(Kind::Signal) {
            return self.interrupted(sp);
        }
        if rule.is(Kind::Unknown) { self.linked(pc, sp, rbp) } else { None }
    }

    /// The caller of a frame with this stack pointer and this address, which was read at `sp_at`; its `rbp` is
    /// at `rbp_at`, or is still this one.
    #[inline(always)]
    fn caller(&self, sp: usize, address: usize, sp_at: usize, rbp_at: usize, rbp: usize) -> Option<Passed> {
        if address <= sp || !address.is_multiple_of(WORD) {
            return None;
        }
        let frame = Frame {
            pc: self.read(address - WORD).filter(|pc| *pc != 0)?,
            sp: address,
            rbp: if rbp_at == 0 { rbp } else { self.read(rbp_at)? },
        };
        Some(Passed { frame, pc_at: address - WORD, rbp_at, sp_at, ..Passed::default() })
    }

    /// What a signal interrupted, when its handler's caller has this stack pointer: the kernel's `ucontext`
    /// is there (`struct sigcontext` of x86-64 begins 40 bytes into it).
    fn interrupted(&self, sp: usize) -> Option<Passed> {
        const RBP: usize = 120;
        const RSP: usize = 160;
        const RIP: usize = 168;
        let [rbp, frame_sp, pc] = [self.read(sp + RBP)?, self.read(sp + RSP)?, self.read(sp + RIP)?];
        // The handler may have a stack of its own.
        self.look_around_if_readable(frame_sp)?;
        let frame = Frame { pc, sp: frame_sp, rbp };
        let (pc_at, rbp_at, sp_at) = (sp + RIP, sp + RBP, sp + RSP);
        Some(Passed { frame, pc_at, rbp_at, sp_at, flags: EXACT, ..Passed::default() })
    }

    /// The caller of code that nothing is known of, if it keeps frame pointers: what they lead to must be
    /// code that something is known of, or lie near.
    #[cold]
    #[inline(never)]
    fn linked(&self, pc: usize, sp: usize, rbp: usize) -> Option<Passed> {
        const NEAR: usize = 1 << 26;
        if rbp < sp || rbp - sp > FARTHEST || !rbp.is_multiple_of(WORD) {
            return None;
        }
        let frame = Frame { pc: self.read(rbp + WORD)?, sp: rbp + 2 * WORD, rbp: self.read(rbp)? };
        if frame.pc.abs_diff(pc) > NEAR && modules::known(frame.pc).is_none() {
            return None;
        }
        Some(Passed { frame, pc_at: rbp + WORD, rbp_at: rbp, ..Passed::default() })
    }

    /// The word at an address, if it can be read.
    #[inline(always)]
    fn read(&self, at: usize) -> Option<usize> {
        let (low, high) = self.readable.get();
        if at < low || at > high - WORD {
            self.reach(at)?;
        }
        Some(word(at))
    }

    /// Sees whether memory up to there can be read.
    #[cold]
    #[inline(never)]
    fn reach(&self, at: usize) -> Option<()> {
        let (low, mut high) = self.readable.get();
        if at < low || at.checked_sub(high).is_some_and(|beyond| beyond > FARTHEST) {
            return None;
        }
        while at > high - WORD {
            if !system::can_be_read(high) {
                return None;
            }
            high += PAGE;
            self.readable.set((low, high));
        }
        Some(())
    }

    /// The stack pointer is here: its page can be read, and whatever was known around it.
    #[inline(always)]
    fn look_around(&self, sp: usize) {
        let (low, high) = self.readable.get();
        if sp < low || sp >= high {
            self.look_below(sp);
        }
    }

    #[cold]
    #[inline(never)]
    fn look_below(&self, sp: usize) {
        let page = sp & !(PAGE - 1);
        let (low, high) = self.readable.get();
        let is_near = low != 0 && page < low && low - page <= FARTHEST;
        let is_joined = is_near && (page..low).step_by(PAGE).all(system::can_be_read);
        self.readable.set((page, if is_joined { high } else { page + PAGE }));
    }

    fn look_around_if_readable(&self, sp: usize) -> Option<()> {
        let (low, high) = self.readable.get();
        if sp < low || sp >= high {
            system::can_be_read(sp & !(PAGE - 1)).then(|| self.look_below(sp))?;
        }
        Some(())
    }
}

/// What is in a place that only this thread writes to.
#[inline(always)]
fn look(place: &Cell<Passed>) -> &Passed {
    // SAFETY: nothing here keeps this over a write to the same place; a signal handler does not come
    // here: see `Callers::busy`.
    unsafe { &*place.as_ptr() }
}

/// Whether a frame is one of the last stack, as far as the way on goes.
#[inline(always)]
fn is_same(passed: &Passed, frame: Frame, flags: u32) -> bool {
    passed.frame.sp == frame.sp
        && passed.frame.pc == frame.pc
        && (!passed.is(NEEDS_RBP) || passed.frame.rbp == frame.rbp)
        && (passed.flags ^ flags) & EXACT == 0
}

/// The word at an address that can be read.
#[inline(always)]
fn word(at: usize) -> usize {
    // SAFETY: it lies in a frame the thread has not left, and the page was found to be readable.
    unsafe { (at as *const usize).read_volatile() }
}
