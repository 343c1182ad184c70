//! What it means that a recording did not begin with its program.

use super::TraceInfo;
use super::units::nanos;
use malloscope_traces::header::Origin;

/// What a replay of such a trace cannot know; nothing if it was recorded from the first call.
pub fn missing(trace: &TraceInfo) -> Option<String> {
    let Origin::Attached { age, .. } = trace.header.origin else { return None };
    let age = if age == 0 { "some time".to_owned() } else { nanos(age) };
    let then = if trace.begins_with.is_some() {
        "The replay begins with the heap as it stood then; of what it held, nobody knows who asked for it, and for how many \
         bytes: it counts as all that could be used."
    } else {
        "What it held then is not in the replayed heap, which begins empty: so chunks are placed elsewhere, and all sizes \
         are of what was recorded alone."
    };
    Some(format!("The recording began in the middle: the program had run for {age}. {then}"))
}
