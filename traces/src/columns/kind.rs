//! What was called, in five bits; three more say which of the rarer columns speak of it.

use crate::record::Call;

/// What was called.
pub(super) const CODE: u8 = 0x1f;
/// The call was made by another thread than the one before.
pub(super) const THREAD: u8 = 0x20;
/// The program break is not where it was.
pub(super) const BREAK: u8 = 0x40;
/// The head is not what was expected.
pub(super) const HEAD: u8 = 0x80;

macro_rules! kinds {
    ($($kind:ident = $code:literal,)*) => {
        /// What was called. The codes are part of the format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind {
            $($kind = $code,)*
        }

        impl Kind {
            /// The kind of a call.
            #[inline(always)]
            pub fn of(call: &Call) -> Kind {
                match call {
                    $(Call::$kind { .. } => Kind::$kind,)*
                }
            }

            /// The kind with the code in this byte, whatever its flags.
            #[inline(always)]
            pub fn from_code(byte: u8) -> Option<Kind> {
                match byte & CODE {
                    $($code => Some(Kind::$kind),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    Malloc = 0,
    Free = 1,
    Calloc = 2,
    Realloc = 3,
    Reallocarray = 4,
    Memalign = 5,
    AlignedAlloc = 6,
    PosixMemalign = 7,
    Valloc = 8,
    Pvalloc = 9,
    Trim = 10,
    Mallopt = 11,
    UsableSize = 12,
    MoveBreak = 13,
    ThreadStart = 14,
    ThreadExit = 15,
    Spawn = 16,
    Join = 17,
    Fork = 18,
    Watched = 19,
    Interrupted = 20,
}
