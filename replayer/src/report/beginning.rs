//! What it means that a recording did not begin with its program.

use super::units::nanos;
use malloscope_traces::Header;
use malloscope_traces::header::Origin;

/// What a replay of a trace with this header cannot know; nothing if it was recorded from the first call.
pub fn missing(header: &Header) -> Option<String> {
    let Origin::Attached { age, .. } = header.origin else { return None };
    let age = if age == 0 { "some time".to_owned() } else { nanos(age) };
    Some(format!(
        "The recording began in the middle: the program had run for {age}. What it held then is not in the replayed heap, \
         which begins empty: so chunks are placed elsewhere, and all sizes are of what was recorded alone."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recording_that_began_in_the_middle_lacks_something() {
        assert_eq!(missing(&Header::default()), None);
        let attached = |age| Header { origin: Origin::Attached { age, stopped: 0 }, ..Header::default() };
        assert!(missing(&attached(60_000_000_000)).is_some_and(|said| said.contains("had run for 60")));
        assert!(missing(&attached(0)).is_some_and(|said| said.contains("some time")));
    }
}
