//! From which stack a call was made, if the recorder wants to know: all of them, or a sample.
//!
//! A call is stamped with a number, which stands for its stack: see [`tree`](crate::tree). Nothing is
//! locked for it, nothing allocated but the thread's own [`Callers`], and the dynamic linker is asked only
//! when a module is met for the first time. Nothing on the program's stack is ever changed.
//!
//! A signal handler that calls malloc while its thread is being walked is recorded without a stack: what
//! the thread keeps is not whole then.

use core::arch::asm;
use core::cell::Cell;
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use malloscope_wire::attachment::Kept;
use malloscope_wire::slot::Kind;

use crate::cfi::EXACT;
use crate::lane::Lane;
use crate::system;
use crate::threads::{Entry, thread_pointer};
use crate::tree::Tree;
use crate::walk::{DEEPEST, Frame, Terms, Walk};
use crate::{arrival, attachment, enrol, modules, shortcut};

/// How many frames a stack has at most; 0 if none are wanted.
static DEPTH: AtomicU32 = AtomicU32::new(UNKNOWN);

/// How many bytes lie between two calls whose stack is wanted, on average; 0 if that of all is.
static EVERY: AtomicU64 = AtomicU64::new(0);

/// The process has not arrived.
const UNKNOWN: u32 = u32::MAX;

/// What a thread keeps for its stacks. Its memory comes from the kernel, as zeros.
#[repr(C)]
pub struct Callers {
    /// `busy` is the stack pointer of whoever is at it; 0 if nobody is.
    kept: Kept,
    tree: Tree,
    /// What it holds is of this generation of modules, plus one; 0 if it holds nothing.
    generation: Cell<u32>,
    /// How many bytes are asked for before the next sample.
    distance: Cell<f64>,
    /// The state of the generator of random numbers; 0 before it has one.
    random: Cell<u64>,
    walk: Walk,
}

const _: () = assert!(offset_of!(Callers, tree) == size_of::<Kept>());

/// Takes what the recorder wants.
pub fn choose(depth: u32, every: u64) {
    EVERY.store(every, Ordering::Relaxed);
    DEPTH.store(depth.min(DEEPEST as u32), Ordering::Relaxed);
}

/// The thread with this entry is another than before.
pub fn begin_anew(entry: &Entry) {
    if let Some(callers) = kept_by(entry) {
        callers.generation.set(0);
        callers.kept.busy.store(0, Ordering::Relaxed);
        callers.random.set(0);
    }
}

/// The registers with which a hook was entered: they say from where it was called.
#[derive(Clone, Copy)]
pub struct Entered {
    /// The stack pointer: there is the address that the hook returns to.
    pub sp: usize,
    /// What compilers call the frame pointer.
    pub rbp: usize,
}

/// The number of the stack from which so many bytes are asked for; 0 if it is not wanted, or not known.
#[inline(always)]
pub fn site(request: usize, from: Entered) -> u32 {
    if DEPTH.load(Ordering::Relaxed) == 0 { 0 } else { wanted(request, from.sp, from.rbp) }
}

/// The number of the stack from which something else is asked for; 0 if not those of all calls are wanted.
pub fn site_of_rare() -> u32 {
    if DEPTH.load(Ordering::Relaxed) == 0 || EVERY.load(Ordering::Relaxed) != 0 { 0 } else { wanted_here() }
}

#[inline(never)]
fn wanted_here() -> u32 {
    mine().map_or(0, |callers| callers.number(here(), EXACT))
}

#[inline(never)]
fn wanted(request: usize, sp: usize, rbp: usize) -> u32 {
    let Some(callers) = mine() else { return 0 };
    if EVERY.load(Ordering::Relaxed) != 0 && !callers.is_hit(request) {
        return 0;
    }
    // SAFETY: a return address is there, as after every call.
    let pc = unsafe { (sp as *const usize).read() };
    callers.number(Frame { pc, sp: sp + size_of::<usize>(), rbp }, 0)
}

/// Whether a walk that began at the stack pointer `busy` was left by a `longjmp`: then what goes on is a
/// little further out on the same stack. A handler is further in, or on a stack of its own.
fn was_left(busy: usize, sp: usize) -> bool {
    const NEAR: usize = 1 << 16;
    sp >= busy && sp - busy < NEAR
}

/// Where the thread is.
#[inline(always)]
fn here() -> Frame {
    let (pc, sp, rbp): (usize, usize, usize);
    // SAFETY: reads registers.
    unsafe {
        asm!(
            "lea {pc}, [rip]",
            "mov {sp}, rsp",
            "mov {rbp}, rbp",
            pc = out(reg) pc,
            sp = out(reg) sp,
            rbp = out(reg) rbp,
            options(nomem, nostack, preserves_flags),
        );
    }
    Frame { pc, sp, rbp }
}

/// What the thread that asks keeps, made if need be.
#[inline(always)]
fn mine() -> Option<&'static Callers> {
    match shortcut::entry().and_then(kept_by) {
        Some(callers) => Some(callers),
        None => make(),
    }
}

#[inline(always)]
fn kept_by(entry: &Entry) -> Option<&'static Callers> {
    // SAFETY: null, or what `make` made, which is never unmapped.
    unsafe { entry.callers.load(Ordering::Relaxed).as_ref() }
}

#[cold]
#[inline(never)]
fn make() -> Option<&'static Callers> {
    // A process that arrives learns what is wanted of it.
    arrival::here()?;
    if DEPTH.load(Ordering::Relaxed) == 0 {
        return None;
    }
    // What is found without it may be that of a thread that is gone.
    let entry = enrol::entry()?;
    if let Some(callers) = kept_by(entry) {
        return Some(callers);
    }
    let at = system::map(size_of::<Callers>()).ok()?;
    let made = at as *mut Callers;
    let none = ptr::null_mut();
    let taken = entry.callers.compare_exchange(none, made, Ordering::Relaxed, Ordering::Relaxed);
    if taken.is_err() {
        // SAFETY: a handler was faster, and nobody has seen ours.
        unsafe { system::unmap(at, size_of::<Callers>()) };
        return kept_by(entry);
    }
    let made = kept_by(entry)?;
    attachment::keep(&made.kept, size_of::<Callers>());
    Some(made)
}

impl Callers {
    /// The number of the stack whose innermost frame is this; 0 if it cannot be told.
    #[inline(always)]
    fn number(&self, innermost: Frame, reached: u32) -> u32 {
        let busy = self.kept.busy.load(Ordering::Relaxed);
        if busy != 0 && !was_left(busy, innermost.sp) {
            return 0;
        }
        self.kept.busy.store(innermost.sp, Ordering::Relaxed);
        let number = self.walked(innermost, reached, busy != 0);
        if self.kept.busy.load(Ordering::Relaxed) != innermost.sp {
            // Somebody took over, who thought that we would never come back.
            self.generation.set(0);
            return 0;
        }
        self.kept.busy.store(0, Ordering::Relaxed);
        number
    }

    #[inline(always)]
    fn walked(&self, innermost: Frame, reached: u32, was_left: bool) -> u32 {
        let generation = modules::generation();
        if (was_left || self.generation.get() != generation.wrapping_add(1) || self.tree.is_full())
            && self.begin(generation).is_none()
        {
            return 0;
        }
        let terms = &Terms { depth: DEPTH.load(Ordering::Relaxed) as usize, generation };
        self.walk.number(innermost, reached, terms, &self.tree).unwrap_or(0)
    }

    /// Begins with nothing.
    #[cold]
    #[inline(never)]
    fn begin(&self, generation: u32) -> Option<()> {
        self.generation.set(0);
        self.walk.forget();
        self.tree.clear();
        Lane::enrolled()?.write(Kind::NoFrames, 0, 0, 0);
        self.generation.set(generation.wrapping_add(1));
        Some(())
    }

    /// Whether a call for so many bytes is hit by a Poisson process that runs over all that are asked for.
    fn is_hit(&self, request: usize) -> bool {
        if self.random.get() == 0 {
            let seed = malloscope_wire::clock::ticks() ^ (thread_pointer() as u64).rotate_left(32);
            self.random.set(seed | 1);
            self.distance.set(self.next_distance());
        }
        // A request of nothing is sampled as one of a byte is.
        let left = self.distance.get() - request.max(1) as f64;
        let is_hit = left < 0.0;
        // Whatever the distance was, the next hit is as far from here as from anywhere.
        self.distance.set(if is_hit { self.next_distance() } else { left });
        is_hit
    }

    /// How far it is to the next hit: exponentially distributed.
    fn next_distance(&self) -> f64 {
        let mut random = self.random.get();
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        self.random.set(random);
        // Between 0, which it is not, and 1.
        let uniform =
            ((random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -logarithm(uniform) * EVERY.load(Ordering::Relaxed) as f64
    }
}

/// The natural logarithm of a number between 0 and 1, to ten digits.
///
/// The number is taken apart into a power of two and a rest near 1, whose logarithm is twice the area
/// tangent (`artanh`) of (rest − 1) / (rest + 1), a series that converges fast.
fn logarithm(number: f64) -> f64 {
    use core::f64::consts::{LN_2, SQRT_2};
    const EXPONENT: u32 = 52;
    let bits = number.to_bits();
    let mut power = (bits >> EXPONENT) as i32 - 1023;
    let mut rest = f64::from_bits(bits & ((1 << EXPONENT) - 1) | 1023 << EXPONENT);
    if rest > SQRT_2 {
        rest /= 2.0;
        power += 1;
    }
    let ratio = (rest - 1.0) / (rest + 1.0);
    let square = ratio * ratio;
    let series = [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0];
    let sum = series.iter().fold(0.0, |sum, divisor| sum * square + 1.0 / divisor);
    f64::from(power) * LN_2 + 2.0 * ratio * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_the_one_everybody_knows() {
        extern crate std;
        let mut number = 1e-17_f64;
        while number < 1.0 {
            assert!((logarithm(number) - number.ln()).abs() < 1e-9, "{number}");
            number *= 1.0137;
        }
    }
}
