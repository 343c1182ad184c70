//! What a function of malloc's begins with a jump to when it is patched.
//!
//! All calls of it come here then, also those that malloc makes of itself: `realloc` of nothing is a `malloc`, and a thread
//! that ends frees what it had put aside. Those are no calls of the program's. By where a call returns to it is told whose
//! it is: that is in the code of malloc, or in the agent, whose call of the function came to another by a jump. Such
//! a call goes on to what the function was; any other goes to its hook. Nothing is kept of that between calls.
//!
//! The functions that gum cannot patch, and those that are not here, are hooked by the words that lead to them.

use core::arch::naked_asm;
use core::mem::offset_of;

use malloscope_wire::Attachment;
use malloscope_wire::attachment::{Gate, Span};

use crate::attachment::ATTACHMENT;
use crate::hooks;
use crate::real::{REAL, Real};

/// Defines a gate for each function, and the list of all of them.
macro_rules! gates {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("The gate of `", stringify!($name), "`.")]
            ///
            /// # Safety
            ///
            /// As the C function.
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name() {
                // No argument is in these registers, and no caller keeps anything there (System V ABI).
                naked_asm!(
                    "mov r10, [rsp]",
                    "mov r11, r10",
                    "sub r10, [rip + {own} + {first}]",
                    "cmp r10, [rip + {own} + {first} + {length}]",
                    "jb 2f",
                    "sub r11, [rip + {own} + {second}]",
                    "cmp r11, [rip + {own} + {second} + {length}]",
                    "jb 2f",
                    "jmp {hook}",
                    "2: jmp [rip + {real} + {at}]",
                    own = sym ATTACHMENT,
                    hook = sym hooks::$name,
                    real = sym REAL,
                    at = const offset_of!(Real, $name),
                    length = const offset_of!(Span, length),
                    first = const offset_of!(Attachment, own),
                    second = const offset_of!(Attachment, own) + size_of::<Span>(),
                )
            }
        )*

        /// All of them.
        pub const fn all() -> [Gate; { [$(stringify!($name)),*].len() }] {
            [$(Gate::of(
                stringify!($name),
                $name as *const () as *mut (),
                (&raw const REAL.$name).cast_mut().cast(),
            )),*]
        }
    };
}

gates! {
    malloc free calloc realloc reallocarray memalign aligned_alloc posix_memalign valloc pvalloc malloc_trim mallopt
}
