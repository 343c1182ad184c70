//! Scripts of calls, as text: traces a person can write.
//!
//! One call a line; blank lines and whatever follows a `#` mean nothing. `TID` is the thread that makes
//! the call, 0 the first one. A `SLOT` holds a pointer: null to begin with, then what the last call
//! that filled it returned.
//!
//! ```text
//! TID malloc SLOT SIZE             TID calloc SLOT SIZE [NMEMB]         TID realloc SLOT SIZE
//! TID memalign SLOT ALIGN SIZE     TID posix_memalign SLOT ALIGN SIZE   TID aligned_alloc SLOT ALIGN SIZE
//! TID valloc SLOT SIZE             TID pvalloc SLOT SIZE                TID free SLOT
//! TID usable SLOT                  TID trim PAD                         TID mallopt PARAM VALUE
//! TID sbrk DELTA                   TID spawn TID2                       TID join TID2
//! ```
//!
//! Numbers are decimal, or hexadecimal after `0x`; a negative one wraps around as in C. `NMEMB` is read
//! and means nothing: the call is `calloc(1, SIZE)`, as it is for the program this format comes from.
//! The same calls in that program's binary form, which begins with `MOPSCRP1`, are understood too.
//!
//! # From a script to a trace
//!
//! Every call becomes one record, so the number of a record is the number of its call. A script does
//! not say what malloc returned, so the trace is one without placements, in which every call is
//! taken to have succeeded. A call that fills a slot whose pointer was not given back leaks that
//! allocation; `free` of an empty slot is `free(NULL)`, `realloc` of one is `realloc(NULL)`. A trace
//! has slots of its own, so a script that comes back from one has others than before, and drives
//! malloc in the same way. One thing is lost: after a call that in truth failed, `realloc` of its
//! slot to 0 bytes makes an allocation that the trace believes to be gone.
//!
//! # From a trace to a script
//!
//! What a script cannot say is left out, with a comment in its place: `fork`, and what was done to
//! allocations from before the recording. `reallocarray` becomes `realloc`, and `calloc` is given the
//! product of its numbers. A thread of a recorded trace begins with a `spawn` by thread 0 and ends with a
//! `join` by it: the C library's own calls for a thread come from the trace and, if the script is run,
//! a second time. Times are not kept. Slot 0 of the script stays empty, slot 1 is for calls that failed.

mod export;
mod import;
mod line;

pub use export::{ExportError, export};
pub use import::{header, import};
