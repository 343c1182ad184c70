//! A call in words, with the addresses of the replay.

use crate::engine::{Answer, Held};
use malloscope_traces::Call;

/// The call, which was handed this.
pub(super) fn said(call: &Call, handed: Held) -> String {
    let pointer = match (call.handed(), handed.payload.0) {
        (Some(handed), _) if handed.is_null() => "NULL".to_owned(),
        // It is about an allocation that the trace does not have.
        (_, 0) => "?".to_owned(),
        (_, address) => format!("{address:#x}"),
    };
    match *call {
        Call::Malloc { request, .. } => format!("malloc({request})"),
        Call::Calloc { count, size, .. } => format!("calloc({count}, {size})"),
        Call::Realloc { request, .. } => format!("realloc({pointer}, {request})"),
        Call::Reallocarray { count, size, .. } => format!("reallocarray({pointer}, {count}, {size})"),
        Call::Free { .. } => format!("free({pointer})"),
        Call::Memalign { alignment, request, .. } => format!("memalign({alignment}, {request})"),
        Call::AlignedAlloc { alignment, request, .. } => format!("aligned_alloc({alignment}, {request})"),
        Call::PosixMemalign { alignment, request, .. } => format!("posix_memalign({alignment}, {request})"),
        Call::Valloc { request, .. } => format!("valloc({request})"),
        Call::Pvalloc { request, .. } => format!("pvalloc({request})"),
        Call::Trim { pad, .. } => format!("malloc_trim({pad})"),
        Call::Mallopt { parameter, value, .. } => format!("mallopt({parameter}, {value})"),
        Call::UsableSize { .. } => format!("malloc_usable_size({pointer})"),
        Call::MoveBreak { by } => format!("sbrk({by}) by somebody other than malloc"),
        Call::ThreadStart { .. } => "the thread starts".to_owned(),
        Call::ThreadExit => "the thread exits".to_owned(),
        Call::Spawn { thread } => format!("thread {} is created", thread.0),
        Call::Join { thread } => format!("thread {} is joined", thread.0),
        Call::Fork { child } => format!("fork() of process {child}"),
        Call::Watched => "interruptions are recorded from here on".to_owned(),
        Call::Interrupted { waits, preemptions } => {
            format!("the call before was interrupted: waited {waits} times, preempted {preemptions} times")
        }
    }
}

/// What it returned; `None` if it returns nothing.
pub(super) fn answer(answer: Answer) -> Option<String> {
    match answer {
        Answer::Payload(payload) if payload.is_null() => Some("NULL".to_owned()),
        Answer::Payload(payload) => Some(format!("{:#x}", payload.0)),
        Answer::Refused(_) => Some("NULL: there is no memory".to_owned()),
        Answer::Number(number) => Some(number.to_string()),
        Answer::Nothing => None,
        Answer::Skipped => Some("not made: the trace does not have this allocation".to_owned()),
    }
}
