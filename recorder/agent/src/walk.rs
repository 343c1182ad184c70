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
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU64, AtomicUsize};

use crate::cfi::{CHECKS_SP, EXACT, Kind, OWN_CODE, Rule, USES_RBP};
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

/// A frame that was walked over: what it was, and where that was read. Its program counter was read right below
/// its stack pointer, where a call puts it, if it is not [`EXACT`].
#[derive(Clone, Copy, Default)]
struct Passed {
    frame: Frame,
    /// Where its `rbp` was read; 0 if it is that of the frame before.
    rbp_at: usize,
    /// What more is known of it. Together with the number a word without gaps, which is copied as one.
    flags: u32,
    /// The number in the tree of the frame with all its callers.
    number: u32,
}

// Flags besides those that come from rules.
/// Something looks at its `rbp`.
const NEEDS_RBP: u32 = 4;
/// For the frame to be the same, what was read at `rbp_at` must be.
const CHECKS_RBP: u32 = 16;

impl Passed {
    #[inline(always)]
    fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// Where a frame is kept. Each word is written and read by itself, which is what atomics are here for: two that
/// were just written cannot be read as one without the processor waiting for both.
struct Place {
    pc: AtomicUsize,
    sp: AtomicUsize,
    rbp: AtomicUsize,
    rbp_at: AtomicUsize,
    /// The flags, and above them the number.
    rest: AtomicU64,
    /// Where its stack pointer was read, if it [`CHECKS_SP`].
    sp_at: AtomicUsize,
}

impl Place {
    /// Keeps what it is, and where its `rbp` was read.
    #[inline(always)]
    fn set(&self, frame: &Frame, rbp_at: usize) {
        self.pc.store(frame.pc, Relaxed);
        self.sp.store(frame.sp, Relaxed);
        self.rbp.store(frame.rbp, Relaxed);
        self.rbp_at.store(rbp_at, Relaxed);
    }

    #[inline(always)]
    fn frame(&self) -> Frame {
        Frame { pc: self.pc.load(Relaxed), sp: self.sp.load(Relaxed), rbp: self.rbp.load(Relaxed) }
    }

    #[inline(always)]
    fn get(&self) -> Passed {
        let rest = self.rest.load(Relaxed);
        Passed {
            frame: self.frame(),
            rbp_at: self.rbp_at.load(Relaxed),
            flags: rest as u32,
            number: (rest >> 32) as u32,
        }
    }

    /// Whether the frame is still there, if the one before is. Of one that was interrupted that is not known: what
    /// came after it may have been on another stack, which may be gone.
    #[inline(always)]
    fn is_intact(&self) -> bool {
        let flags = self.rest.load(Relaxed) as u32;
        if flags & (CHECKS_RBP | CHECKS_SP | EXACT) == 0 {
            self.pc_is_there()
        } else {
            flags & EXACT == 0 && self.pc_is_there() && self.is_intact_otherwise(flags)
        }
    }

    #[inline(always)]
    fn pc_is_there(&self) -> bool {
        word(self.sp.load(Relaxed) - WORD) == self.pc.load(Relaxed)
    }

    #[inline(always)]
    fn is_intact_otherwise(&self, flags: u32) -> bool {
        let rbp_is_there =
            flags & CHECKS_RBP == 0 || word(self.rbp_at.load(Relaxed)) == self.rbp.load(Relaxed);
        rbp_is_there && (flags & CHECKS_SP == 0 || word(self.sp_at.load(Relaxed)) == self.sp.load(Relaxed))
    }

    /// Whether it is this frame, as far as the way on goes.
    #[inline(always)]
    fn is(&self, frame: &Frame, flags: u32) -> bool {
        let own = self.rest.load(Relaxed) as u32;
        self.sp.load(Relaxed) == frame.sp
            && self.pc.load(Relaxed) == frame.pc
            && (own & NEEDS_RBP == 0 || self.rbp.load(Relaxed) == frame.rbp)
            && (own ^ flags) & EXACT == 0
    }
}

/// A thread's last stack, and the memory it lies in.
pub struct Walk {
    /// The outermost frame first, so that what stays the same stays where it is.
    passed: [Place; MOST],
    count: Cell<usize>,
    /// Whether it was walked to its end, and not only as far as was wanted.
    is_whole: Cell<bool>,
    /// What is walked anew of the next stack, the innermost frame first.
    next: [Place; MOST],
    /// From where to where memory around the stack pointer can be read.
    readable: Cell<(usize, usize)>,
}

/// How far a walk went.
struct Walked {
    /// How many frames were walked anew.
    made: usize,
    /// How many frames of the last stack, from the outermost on, come outside of them.
    joined: usize,
    /// Whether that is all of the stack, and not only as much as was wanted.
    is_whole: bool,
}

/// What does not change from one walk to the next.
#[derive(Clone, Copy)]
pub struct Terms {
    /// How many frames a stack has at most.
    pub depth: usize,
    /// Which modules there are: see [`modules::generation`].
    pub generation: u32,
}

impl Walk {
    /// Forgets the last stack, and what is known of the memory.
    pub fn forget(&self) {
        self.count.set(0);
        self.readable.set((0, 0));
    }

    /// The number of the stack whose innermost frame is this, which is [`EXACT`] or not. `None` if the recorder cannot
    /// be told of it.
    #[inline(always)]
    pub fn number(&self, innermost: Frame, reached: u32, terms: &Terms, tree: &Tree) -> Option<u32> {
        let intact = self.intact(innermost.sp);
        // The innermost frame was not read.
        if intact + 1 == self.count.get()
            && let Some(last) = self.old(intact + 1)
            && last.is(&innermost, reached)
        {
            return Some(last.get().number);
        }
        self.number_anew(innermost, reached, intact, terms, tree)
    }

    /// How many frames of the last stack, from the outermost on, look as they did.
    ///
    /// That alone does not mean that they are there: the words may be what an earlier call has left behind. But
    /// if a walk comes to one of them, all further out are.
    #[inline(always)]
    fn intact(&self, sp: usize) -> usize {
        let (low, high) = self.readable.get();
        let outermost = self.passed.first().map_or(0, |first| first.sp.load(Relaxed));
        // What is known of the memory must hold for all of them: it does around the stack pointer.
        if sp < low || outermost <= sp || outermost > high {
            return 0;
        }
        let frames = self.passed.get(..self.count.get().saturating_sub(1)).unwrap_or_default();
        let changed = frames.iter().position(|place| place.sp.load(Relaxed) <= sp || !place.is_intact());
        changed.unwrap_or(frames.len())
    }

    #[inline(never)]
    fn number_anew(
        &self,
        innermost: Frame,
        reached: u32,
        intact: usize,
        terms: &Terms,
        tree: &Tree,
    ) -> Option<u32> {
        let intact = if self.is_whole.get() { intact } else { 0 };
        let walked = self.walk(innermost, reached, intact, terms)?;
        let number = self.keep(&walked, tree)?;
        self.is_whole.set(walked.is_whole);
        Some(number)
    }

    /// Walks from this frame outward, until it comes to one of the first `old` frames of the last stack. `None`
    /// if the recorder cannot be told of a module.
    fn walk(&self, innermost: Frame, mut reached: u32, mut old: usize, terms: &Terms) -> Option<Walked> {
        self.look_around(innermost.sp);
        let mut frame = innermost;
        let (mut made, mut own) = (0, 0);
        self.next.first()?.set(&innermost, 0);
        loop {
            if made - own >= terms.depth || made + 1 == MOST {
                return Some(Walked { made, joined: 0, is_whole: false });
            }
            while let Some(passed) = self.old(old)
                && passed.sp.load(Relaxed) < frame.sp
            {
                old -= 1;
            }
            let is_met = self.old(old).is_some_and(|passed| passed.is(&frame, reached));
            if is_met && made + old - own <= terms.depth && made + old <= MOST {
                return Some(Walked { made, joined: old, is_whole: true });
            }
            let rule = rules::rule(frame.pc, reached, terms.generation)?;
            let flags = reached | rule.marks();
            own += usize::from(flags & OWN_CODE != 0);
            self.next.get(made)?.rest.store(flags.into(), Relaxed);
            made += 1;
            let place = self.next.get(made)?;
            let Some(caller) = self.follow(&frame, rule, place) else {
                return Some(Walked { made, joined: 0, is_whole: true });
            };
            frame = caller;
            reached = rule.callers_marks();
        }
    }

    /// The innermost of so many frames of the last stack, counted from the outermost.
    #[inline(always)]
    fn old(&self, count: usize) -> Option<&Place> {
        self.passed.get(count.wrapping_sub(1))
    }

    /// Keeps what was walked as the last stack. Each frame gets its number. Returns that of the innermost; `None`
    /// if the recorder cannot be told of one.
    #[inline(always)]
    fn keep(&self, &Walked { made, joined, .. }: &Walked, tree: &Tree) -> Option<u32> {
        // While frames are written there are none: it may be left for good.
        self.count.set(0);
        let mut outer = self.old(joined).map(Place::get).unwrap_or_default();
        let places = self.passed.get(joined..)?;
        for (from, to) in self.next.get(..made)?.iter().rev().zip(places) {
            let mut passed = from.get();
            if passed.is(USES_RBP) || (outer.is(NEEDS_RBP) && outer.rbp_at == 0) {
                passed.flags |= NEEDS_RBP | if passed.rbp_at != 0 { CHECKS_RBP } else { 0 };
            }
            if passed.is(CHECKS_SP) {
                to.sp_at.store(from.sp_at.load(Relaxed), Relaxed);
            }
            passed.number = if passed.is(OWN_CODE) {
                outer.number
            } else {
                // Who looks a frame up takes one off, to be within the call.
                let address = passed.frame.pc + usize::from(passed.is(EXACT));
                tree.number(outer.number, address as u64)?
            };
            to.set(&passed.frame, passed.rbp_at);
            to.rest.store(u64::from(passed.flags) | u64::from(passed.number) << 32, Relaxed);
            outer = passed;
        }
        self.count.set(joined + made);
        Some(outer.number)
    }

    /// Finds the frame of the caller, and keeps it in `place`. `None` if there is none, or it cannot be found.
    #[inline(always)]
    fn follow(&self, frame: &Frame, rule: Rule, place: &Place) -> Option<Frame> {
        if !rule.is(Kind::Stack) && !rule.is(Kind::Frame) {
            self.follow_rarer(frame, rule, place)?;
            return Some(place.frame());
        }
        let from = if rule.is(Kind::Stack) { frame.sp } else { frame.rbp };
        let address = from.wrapping_add_signed(rule.offset());
        // Half of all frames have saved it and half have not: nobody can tell which will be next.
        let saved = rule.saved_mask();
        let rbp_at = address.wrapping_add_signed(rule.saved());
        let pc_at = address.wrapping_sub(WORD);
        check(frame, address)?;
        let pc = self.read(pc_at).filter(|pc| *pc != 0)?;
        let read = self.read(rbp_at & saved | pc_at & !saved)?;
        let caller = Frame { pc, sp: address, rbp: read & saved | frame.rbp & !saved };
        place.set(&caller, rbp_at & saved);
        Some(caller)
    }

    /// The same, by rules that few frames have.
    #[inline(never)]
    fn follow_rarer(&self, frame: &Frame, rule: Rule, place: &Place) -> Option<()> {
        if rule.is(Kind::Saved) {
            let sp_at = frame.rbp.wrapping_add_signed(rule.offset());
            let address = self.read(sp_at)?;
            check(frame, address)?;
            let pc = self.read(address - WORD).filter(|pc| *pc != 0)?;
            place.sp_at.store(sp_at, Relaxed);
            place.set(&Frame { pc, sp: address, rbp: self.read(frame.rbp)? }, frame.rbp);
            return Some(());
        }
        if rule.is(Kind::Signal) {
            return self.interrupted(frame.sp, place);
        }
        if rule.is(Kind::Unknown) { self.linked(frame, place) } else { None }
    }

    /// What a signal interrupted, when its handler's caller has this stack pointer: the kernel's `ucontext`
    /// is there (`struct sigcontext` of x86-64 begins 40 bytes into it).
    fn interrupted(&self, sp: usize, place: &Place) -> Option<()> {
        const RBP: usize = 120;
        const RSP: usize = 160;
        const RIP: usize = 168;
        let frame = Frame { pc: self.read(sp + RIP)?, sp: self.read(sp + RSP)?, rbp: self.read(sp + RBP)? };
        // The handler may have a stack of its own.
        place.set(&frame, sp + RBP);
        self.look_around_if_readable(frame.sp)
    }

    /// The caller of code that nothing is known of, if it keeps frame pointers: what they lead to must be
    /// code that something is known of, or lie near.
    #[cold]
    #[inline(never)]
    fn linked(&self, frame: &Frame, place: &Place) -> Option<()> {
        const NEAR: usize = 1 << 26;
        let Frame { pc, sp, rbp } = *frame;
        if rbp < sp || rbp - sp > FARTHEST || !rbp.is_multiple_of(WORD) {
            return None;
        }
        let caller = Frame { pc: self.read(rbp + WORD)?, sp: rbp + 2 * WORD, rbp: self.read(rbp)? };
        place.set(&caller, rbp);
        let is_likely = caller.pc.abs_diff(pc) <= NEAR || modules::known(caller.pc).is_some();
        is_likely.then_some(())
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

/// Whether the caller of a frame can have its stack pointer there.
#[inline(always)]
fn check(frame: &Frame, address: usize) -> Option<()> {
    (address > frame.sp && address.is_multiple_of(WORD)).then_some(())
}

/// The word at an address that can be read.
#[inline(always)]
fn word(at: usize) -> usize {
    // SAFETY: it lies in a frame the thread has not left, and the page was found to be readable.
    unsafe { (at as *const usize).read_volatile() }
}
