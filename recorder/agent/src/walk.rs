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

use crate::cfi::{Base, Rule};
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
    /// Whether its code is about to go on at `pc`, and has not called anything there.
    is_exact: bool,
    /// Whether its own rule looks at its `rbp`.
    uses_rbp: bool,
    /// Whether anything looks at its `rbp`.
    needs_rbp: bool,
    /// Whether it is of the module that asks.
    is_own: bool,
    /// The number in the tree of the frame with all its callers.
    number: u32,
}

/// A thread's last stack, the innermost frame first, and the memory it lies in.
pub struct Walk {
    passed: [Cell<Passed>; MOST],
    count: Cell<usize>,
    /// Whether it was walked to its end, and not only as far as was wanted.
    is_whole: Cell<bool>,
    /// The next stack, while it is walked.
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
        let first = self.passed.first().map(Cell::get)?;
        if count != 0 && is_same(&first, innermost, true) && self.intact_until(1) == count {
            return Some(first.number);
        }
        self.number_anew(innermost, terms, tree)
    }

    /// Up to which frame of the last stack all from this one on are still there, if the one before is.
    #[inline(always)]
    fn intact_until(&self, from: usize) -> usize {
        let count = self.count.get();
        let frames = self.passed.get(from..count).unwrap_or_default();
        let changed = frames.iter().position(|passed| {
            // SAFETY: a cell of a thread's own, which nothing writes to here.
            let passed = unsafe { &*passed.as_ptr() };
            word(passed.pc_at) != passed.frame.pc
                || (passed.rbp_at != 0 && passed.needs_rbp && word(passed.rbp_at) != passed.frame.rbp)
                || (passed.sp_at != 0 && word(passed.sp_at) != passed.frame.sp)
        });
        changed.map_or(count, |changed| from + changed)
    }

    #[inline(never)]
    fn number_anew(&self, innermost: Frame, terms: Terms, tree: &Tree) -> Option<u32> {
        self.made.set(0);
        let (joined, is_whole) = self.walk(innermost, terms)?;
        let number = self.number_frames(joined, tree)?;
        self.keep(joined);
        self.is_whole.set(is_whole);
        Some(number)
    }

    /// Walks from this frame outward. Returns which frame of the last stack comes next, with all behind
    /// it, and whether the end was reached. `None` if the recorder cannot be told of a module.
    fn walk(&self, innermost: Frame, terms: Terms) -> Option<(Option<usize>, bool)> {
        self.look_around(innermost.sp);
        let count = self.count.get();
        let is_own = |pc: usize| pc.wrapping_sub(terms.own.0) < terms.own.1 - terms.own.0;
        let mut current = Passed { frame: innermost, is_exact: true, ..Passed::default() };
        let (mut old, mut own) = (0, 0);
        loop {
            let wanted = self.made.get() - own < terms.depth;
            if !wanted || self.made.get() == MOST {
                return Some((None, false));
            }
            while self.old(old).is_some_and(|passed| passed.frame.sp < current.frame.sp) {
                old += 1;
            }
            let met = self.old(old).filter(|passed| is_same(passed, current.frame, current.is_exact));
            if let Some(met) = met {
                let until = self.intact_until(old + 1);
                let total = self.made.get() + count - old;
                if until == count && self.is_whole.get() && total - own <= terms.depth && total <= MOST {
                    return Some((Some(old), true));
                }
                current = Passed { uses_rbp: met.uses_rbp, ..current };
                // As far as the frames are the same, no rule is needed.
                if old + 1 < until {
                    current.is_own = is_own(current.frame.pc);
                    own += usize::from(current.is_own);
                    self.push(current);
                    old += 1;
                    let rbp = current.frame.rbp;
                    current = self.old(old)?;
                    current.frame.rbp = if current.rbp_at == 0 { rbp } else { word(current.rbp_at) };
                    continue;
                }
                old += 1;
            }
            current.is_own = is_own(current.frame.pc);
            own += usize::from(current.is_own);
            let lookup = current.frame.pc - usize::from(!current.is_exact);
            let rule = rules::rule(lookup, terms.generation)?;
            current.uses_rbp = rule.uses_rbp();
            self.push(current);
            match self.follow(&current, rule) {
                Some(next) => current = next,
                None => return Some((None, true)),
            }
        }
    }

    /// A frame of the last stack.
    #[inline(always)]
    fn old(&self, at: usize) -> Option<Passed> {
        if at < self.count.get() { self.passed.get(at).map(Cell::get) } else { None }
    }

    fn push(&self, passed: Passed) {
        if let Some(place) = self.next.get(self.made.get()) {
            place.set(passed);
            self.made.set(self.made.get() + 1);
        }
    }

    /// The frame of the caller; `None` if there is none, or it cannot be found.
    #[inline(always)]
    fn follow(&self, from: &Passed, rule: Rule) -> Option<Passed> {
        let Frame { pc, sp, rbp } = from.frame;
        match rule {
            Rule::Outermost => None,
            Rule::Frame { base, offset, saved } => {
                let offset = offset as isize;
                let (sp_at, address) = match base {
                    Base::Stack => (0, sp.wrapping_add_signed(offset)),
                    Base::Frame => (0, rbp.wrapping_add_signed(offset)),
                    Base::Saved => {
                        let at = rbp.wrapping_add_signed(offset);
                        (at, self.read(at)?)
                    }
                };
                if address <= sp || !address.is_multiple_of(WORD) {
                    return None;
                }
                let rbp_at = match (base, saved) {
                    (Base::Saved, _) => rbp,
                    (_, Some(words)) => address.wrapping_add_signed(isize::from(words) * WORD as isize),
                    (_, None) => 0,
                };
                let frame = Frame {
                    pc: self.read(address - WORD).filter(|pc| *pc != 0)?,
                    sp: address,
                    rbp: if rbp_at == 0 { rbp } else { self.read(rbp_at)? },
                };
                Some(Passed { frame, pc_at: address - WORD, rbp_at, sp_at, ..Passed::default() })
            }
            Rule::Signal => self.interrupted(sp),
            Rule::Unknown => self.linked(pc, sp, rbp),
        }
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
        Some(Passed { frame, pc_at, rbp_at, sp_at, is_exact: true, ..Passed::default() })
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

    /// Gives every frame of the walk its number, the outermost first. Returns that of the innermost.
    fn number_frames(&self, joined: Option<usize>, tree: &Tree) -> Option<u32> {
        let mut outer = joined.and_then(|joined| self.old(joined)).unwrap_or_default();
        let made = self.next.get(..self.made.get()).unwrap_or_default();
        for place in made.iter().rev() {
            let mut passed = place.get();
            passed.needs_rbp = passed.uses_rbp || (outer.needs_rbp && outer.rbp_at == 0);
            passed.number = if passed.is_own {
                outer.number
            } else {
                // Who looks a frame up takes one off, to be within the call.
                let address = passed.frame.pc + usize::from(passed.is_exact);
                tree.number(outer.number, address as u64)?
            };
            place.set(passed);
            outer = passed;
        }
        Some(outer.number)
    }

    /// Keeps the walk as the last stack, with what it joined of the one before.
    fn keep(&self, joined: Option<usize>) {
        let (made, count) = (self.made.get(), self.count.get());
        // While frames are moved there are none: a signal handler may come.
        self.count.set(0);
        let tail = joined.unwrap_or(count);
        let length = count - tail;
        let move_one = |offset: usize| {
            if let (Some(from), Some(to)) = (self.passed.get(tail + offset), self.passed.get(made + offset)) {
                to.set(from.get());
            }
        };
        if made < tail {
            (0..length).for_each(move_one);
        } else if made > tail {
            (0..length).rev().for_each(move_one);
        }
        for (from, to) in self.next.iter().zip(&self.passed).take(made) {
            to.set(from.get());
        }
        self.count.set(made + length);
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

/// Whether a frame is one of the last stack, as far as the way on goes.
#[inline(always)]
fn is_same(passed: &Passed, frame: Frame, is_exact: bool) -> bool {
    passed.frame.sp == frame.sp
        && passed.frame.pc == frame.pc
        && (!passed.needs_rbp || passed.frame.rbp == frame.rbp)
        && passed.is_exact == is_exact
}

/// The word at an address that can be read.
#[inline(always)]
fn word(at: usize) -> usize {
    // SAFETY: it lies in a frame the thread has not left, and the page was found to be readable.
    unsafe { (at as *const usize).read_volatile() }
}
