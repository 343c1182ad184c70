//! Exports, read back by readers of their own that know nothing of how they were written.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

mod dhat;
mod firefox;
mod folded;
mod perfetto;
mod pprof;
mod speedscope;
mod trace;
mod wire;

use malloscope_replayer::export::collect::{Error, Wanted, collect};
use malloscope_replayer::export::names::{Function, Names, call_address, offset};
use malloscope_replayer::export::{Format, Profile, write};
use malloscope_traces::stacks::{Frame, Stacks};
use malloscope_traces::{Header, Reader};
use std::io::Cursor;

const FORMATS: [Format; 6] =
    [Format::Pprof, Format::Firefox, Format::Speedscope, Format::Perfetto, Format::Dhat, Format::Folded];

/// Names some code, and says that at every third place something is inlined.
struct Known;

impl Names for Known {
    fn functions(&mut self, stacks: &Stacks, frame: Frame) -> Vec<Function> {
        let function = |name: String, is_named: bool| {
            let line = u32::try_from(call_address(frame) % 100).unwrap() + 1;
            Function {
                name,
                file: is_named.then(|| "app.c".to_owned()),
                line: is_named.then_some(line),
                is_named,
            }
        };
        match call_address(frame) % 3 {
            0 => vec![
                function(format!("inlined_{:x}", frame.address), true),
                function("caller;of\nit".to_owned(), true),
            ],
            1 => vec![function(format!("f_{:x}", frame.address % 7), true)],
            _ => vec![function(offset(stacks, frame), false)],
        }
    }
}

fn collected(trace: &[u8], format: Format) -> Result<Profile, Error> {
    let mut reader = Reader::open(Cursor::new(trace)).unwrap();
    collect(&mut reader, format.needs_stacks(), Wanted::for_format(format), |_| {})
}

fn exported(trace: &[u8], format: Format) -> Vec<u8> {
    let profile = collected(trace, format).unwrap();
    let mut out = Vec::new();
    write(format, &profile, &mut Known, &mut out).unwrap();
    out
}

fn json(trace: &[u8], format: Format) -> serde_json::Value {
    serde_json::from_slice(&exported(trace, format)).unwrap()
}

#[test]
fn a_trace_without_stacks_is_refused_by_all_that_are_about_them() {
    let trace = trace::without_stacks(&Header::default());
    for format in FORMATS {
        let refused = matches!(collected(&trace, format), Err(Error::NoStacks));
        assert_eq!(refused, format != Format::Perfetto, "{format:?}");
    }
}

#[test]
fn a_damaged_trace_is_exported_as_far_as_it_goes() {
    // Several batches, so that losing one is not losing all.
    let (whole, _) = trace::random(70_000, trace::ALL);
    let names = |trace: &[u8], format| exported(trace, format).len();
    for at in (0..whole.len()).step_by(whole.len() / 20) {
        let mut trace = whole.clone();
        trace[at] ^= 0x55;
        if Reader::open(Cursor::new(&trace)).is_err() {
            continue;
        }
        for format in FORMATS {
            // With its stacks a trace may lose that it has any.
            if !matches!(collected(&trace, format), Err(Error::NoStacks)) {
                assert!(names(&trace, format) > 0, "{format:?}, byte {at}");
            }
        }
    }
    let cut = &whole[..whole.len() / 2];
    let profile = collected(cut, Format::Dhat).unwrap();
    assert!(!profile.sites.is_empty());
}
