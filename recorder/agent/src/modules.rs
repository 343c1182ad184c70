//! The modules whose code has been met on stacks: where they are, and where it says how to leave their functions.
//!
//! The dynamic linker is asked for a module once, when the first of its addresses is met, and the recorder is
//! told of it then, before any frame that is in it. What is known is forgotten when the program calls
//! `dlclose`, since something else may come to lie there: see [`forget`].

use core::ops::ControlFlow;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use malloscope_wire::slot::{Kind, TEXT_BYTES};

use crate::attachment;
use crate::lane::Lane;
use crate::objects::{self, Object};
use crate::threads::WIPED;

/// How many modules are remembered; of more, each new address is looked for again.
const MODULES: usize = 512;

/// The longest path or build id that is told.
const LONGEST: usize = 1024;

/// A module.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Where its first segment begins.
    pub start: usize,
    /// Where its last one ends.
    pub end: usize,
    /// Where its `.eh_frame_hdr` is; 0 if it has none.
    pub unwinding: usize,
}

/// The modules of this process, and not of a copy of it.
pub struct Known {
    /// How often they were forgotten.
    generation: AtomicU32,
    places: [Place; MODULES],
}

/// Where a module is kept. It is written once in a generation, by whoever takes it.
struct Place {
    /// The generation it was taken in, plus one.
    taken: AtomicU32,
    /// The same, when it has been written.
    written: AtomicU32,
    start: AtomicUsize,
    end: AtomicUsize,
    unwinding: AtomicUsize,
}

impl Place {
    const fn empty() -> Place {
        Place {
            taken: AtomicU32::new(0),
            written: AtomicU32::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            unwinding: AtomicUsize::new(0),
        }
    }
}

impl Known {
    /// None.
    #[expect(clippy::new_without_default, reason = "it is a constant")]
    pub const fn new() -> Known {
        Known { generation: AtomicU32::new(0), places: [const { Place::empty() }; MODULES] }
    }
}

/// How often modules may have gone. Whatever is known of addresses holds within one generation.
#[inline(always)]
pub fn generation() -> u32 {
    WIPED.modules.generation.load(Ordering::Acquire)
}

/// A module may have gone.
pub fn forget() {
    WIPED.modules.generation.fetch_add(1, Ordering::AcqRel);
}

/// The module with this address, if it is known.
pub fn known(address: usize) -> Option<Module> {
    let current = generation().wrapping_add(1);
    let places = WIPED.modules.places.iter();
    let mut written = places.take_while(|place| place.taken.load(Ordering::Acquire) == current);
    let holds = |place: &&Place| {
        place.written.load(Ordering::Acquire) == current
            && (place.start.load(Ordering::Relaxed)..place.end.load(Ordering::Relaxed)).contains(&address)
    };
    written.find(holds).map(|place| Module {
        start: place.start.load(Ordering::Relaxed),
        end: place.end.load(Ordering::Relaxed),
        unwinding: place.unwinding.load(Ordering::Relaxed),
    })
}

/// The recorder cannot be told of a module.
pub struct Untold;

/// The module with this address, if there is one. When this returns, the recorder has been told of it.
pub fn find(address: usize) -> Result<Option<Module>, Untold> {
    if let Some(module) = known(address) {
        return Ok(Some(module));
    }
    let mut found = Ok(None);
    let mut look = |object: &Object| {
        if !object.contains(address) {
            return ControlFlow::Continue(());
        }
        let (start, end) = object.extent();
        let module = Module { start, end, unwinding: object.unwinding() };
        found = tell(object, module).ok_or(Untold).map(|()| Some(module));
        ControlFlow::Break(())
    };
    if !attachment::is_ours() || look(&objects::own()).is_continue() {
        objects::each(look);
    }
    if let Ok(Some(module)) = found {
        keep(module);
    }
    found
}

/// Remembers a module, if there is a place left.
fn keep(module: Module) {
    let current = generation().wrapping_add(1);
    let free = WIPED.modules.places.iter().find(|place| {
        let taken = place.taken.load(Ordering::Relaxed);
        taken != current
            && place.taken.compare_exchange(taken, current, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    });
    if let Some(place) = free {
        place.start.store(module.start, Ordering::Relaxed);
        place.end.store(module.end, Ordering::Relaxed);
        place.unwinding.store(module.unwinding, Ordering::Relaxed);
        place.written.store(current, Ordering::Release);
    }
}

/// Tells the recorder of a module.
fn tell(object: &Object, module: Module) -> Option<()> {
    let path = object.name().to_bytes();
    let path = path.get(..LONGEST).unwrap_or(path);
    let id = object.build_id();
    let id = id.get(..LONGEST).unwrap_or(id);
    let lengths = path.len() as u64 | (id.len() as u64) << 16;
    let bias = object.bias() as u64;
    Lane::enrolled()?.write_wide(Kind::Module, [bias, lengths], module.start as u64, module.end as u64);
    let mut text = path.iter().chain(id).copied().peekable();
    while text.peek().is_some() {
        let mut bytes = [0; TEXT_BYTES];
        for byte in &mut bytes {
            *byte = text.next().unwrap_or(0);
        }
        let word = u128::from_le_bytes(bytes);
        Lane::enrolled()?.write(Kind::Text, 0, word as u64, (word >> 64) as u64);
    }
    Some(())
}
