//! The call stacks of a trace: a tree of frames, and the modules their code was in.
//!
//! A stack is a number: that of its innermost [`Frame`], which names the stack of its caller. So a
//! stack that many calls have in common, and every part that two stacks share, is in the trace once. A
//! [`Reader`](crate::Reader) gives the stack of every record beside the record.

use serde::{Deserialize, Serialize};

/// A stack: the number of its innermost frame in [`Stacks::frames`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stack(pub u32);

impl Stack {
    /// No stack: none was captured, or the outermost frame has no caller.
    pub const NONE: Stack = Stack(0);

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self == Stack::NONE
    }
}

/// The number of a module in [`Stacks::modules`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModuleId(pub u32);

/// A file whose code was mapped: the program, a library, or the kernel's vdso.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Module {
    /// Where the file was found by the program.
    pub path: String,
    /// The GNU build id; empty if it has none.
    pub build_id: Vec<u8>,
    /// Where its first byte was mapped.
    pub start: u64,
    /// Where its last segment ended.
    pub end: u64,
    /// How far it was moved from the addresses in the file: an address of its code less this is what
    /// symbols and debug information call it.
    pub bias: u64,
}

/// One frame of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    /// The stack below: whoever called.
    pub caller: Stack,
    /// The module its code is in, if it was in one.
    pub module: Option<ModuleId>,
    /// Where the call returns to: an address in the module's file ([`Module::bias`] taken off), or where
    /// it was in memory if there is no module. The call itself is the instruction before.
    pub address: u64,
}

/// Which calls have a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sampling {
    /// Every call that asked for memory.
    All,
    /// Those that a Poisson process hits which runs over the bytes asked for, once in so many on average.
    /// A call for `request` bytes is hit with probability `1 - exp(-request / mean)`, and one that is hit
    /// stands for one over that many.
    Bytes {
        /// Bytes from one sample to the next, on average.
        mean: u64,
    },
}

impl Sampling {
    /// For how many calls like it one stands that asked for so many bytes and has a stack.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn weight(self, request: u64) -> f64 {
        match self {
            Sampling::All => 1.0,
            // A request of nothing is sampled as one byte is.
            Sampling::Bytes { mean } => -(-(request.max(1) as f64) / mean as f64).exp_m1().recip(),
        }
    }
}

/// What was asked of the recorder about stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Which calls have one.
    pub sampling: Sampling,
    /// How many frames one has at most. Of deeper ones the outermost frames are missing.
    pub depth: u32,
}

/// All stacks of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stacks {
    /// What was asked for; `None` if no stacks were.
    pub capture: Option<Capture>,
    /// The modules, in the order in which they were met.
    pub modules: Vec<Module>,
    /// The frames; the number of a stack is that of its innermost frame. The first stands for
    /// [`Stack::NONE`]. A frame that was lost with a damaged part of the trace is `None`.
    pub frames: Vec<Option<Frame>>,
}

impl Stacks {
    /// The frames of a stack, the innermost first. They end early where one was lost.
    pub fn of(&self, stack: Stack) -> impl Iterator<Item = (Stack, Frame)> + '_ {
        let frame = |stack: Stack| {
            if stack.is_none() {
                return None;
            }
            let frame = (*self.frames.get(stack.0 as usize)?)?;
            // A frame is written after its caller, so following callers comes to an end.
            (frame.caller < stack).then_some((stack, frame))
        };
        std::iter::successors(frame(stack), move |(_, inner)| frame(inner.caller))
    }

    /// The module of a frame, if it was in one that is known.
    pub fn module(&self, frame: Frame) -> Option<&Module> {
        self.modules.get(frame.module?.0 as usize)
    }
}
