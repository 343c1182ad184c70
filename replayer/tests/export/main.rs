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
use malloscope_replayer::export::names::{Function, Names, Offsets, call_address, offset};
use malloscope_replayer::export::{Format, Profile, write};
use malloscope_traces::stacks::{Frame, Stacks};
use malloscope_traces::{Header, Reader};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Cursor;
use wire::Message;

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
    exported_with(trace, format, &mut Known)
}

fn exported_with(trace: &[u8], format: Format, names: &mut dyn Names) -> Vec<u8> {
    let profile = collected(trace, format).unwrap();
    let mut out = Vec::new();
    write(format, &profile, names, &mut out).unwrap();
    out
}

fn json(trace: &[u8], format: Format) -> Value {
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

#[test]
fn a_stack_as_deep_as_the_trace_is_long_is_cut_where_stacks_are_lists() {
    let trace = trace::deep(3000);
    for format in FORMATS {
        let length = exported(&trace, format).len();
        // Whole, the stacks are 4.5 million places.
        assert!(length < 16_000_000, "{format:?}: {length}");
    }
    let firefox = json(&trace, Format::Firefox);
    // Where they are a tree nothing is lost: 3000 places, a third of them with something inlined, and none.
    assert_eq!(firefox["shared"]["stackTable"]["length"], 3000 + 1000 + 1);
    let folded = String::from_utf8(exported(&trace, Format::Folded)).unwrap();
    let longest = folded.lines().map(|line| line.split(';').count()).max();
    assert!(longest.is_some_and(|longest| (256..=2 * 256).contains(&longest)), "{longest:?}");
    let bytes = folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
    assert_eq!(bytes.sum::<u64>(), 300_000);
}

#[test]
fn calls_at_the_very_end_are_in_what_firefox_shows() {
    // All at time 0, as long as it goes on.
    let firefox = json(&trace::deep(5), Format::Firefox);
    let times = firefox["threads"][0]["nativeAllocations"]["time"].as_array().unwrap();
    let end = firefox["meta"]["profilingEndTime"].as_f64().unwrap();
    assert!(times.iter().all(|time| time.as_f64().unwrap() < end), "{end}");
}

/// The frames of the deepest stack of `trace::deep(5)`, the outermost first: each is named after its address.
const DEEP: [&str; 5] = ["0xfff", "0x1000", "0x1001", "0x1002", "0x1003"];

#[test]
fn a_stack_begins_where_its_format_says() {
    let trace = trace::deep(5);
    let export = |format| exported_with(&trace, format, &mut Offsets);
    let json = |format| serde_json::from_slice::<Value>(&export(format)).unwrap();
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();

    let folded = String::from_utf8(export(Format::Folded)).unwrap();
    assert_eq!(folded.lines().last(), Some(format!("{} 100", DEEP.join(";")).as_str()));

    let speedscope = json(Format::Speedscope);
    let deepest = speedscope["profiles"][0]["samples"][4].as_array().unwrap();
    let names =
        deepest.iter().map(|frame| speedscope["shared"]["frames"][number(frame)]["name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), DEEP);

    let dhat = json(Format::Dhat);
    let deepest = dhat["pps"][4]["fs"].as_array().unwrap();
    let names = deepest.iter().map(|frame| dhat["ftbl"][number(frame)].as_str().unwrap());
    let names = names.map(|name| name.split_once(": ").unwrap().1);
    assert_eq!(names.rev().collect::<Vec<_>>(), DEEP);

    let firefox = json(Format::Firefox);
    let shared = &firefox["shared"];
    let mut stack = number(&firefox["threads"][0]["nativeAllocations"]["stack"][4]);
    let mut names = Vec::new();
    loop {
        let frame = number(&shared["stackTable"]["frame"][stack]);
        let function = number(&shared["frameTable"]["func"][frame]);
        names.push(shared["stringArray"][number(&shared["funcTable"]["name"][function])].as_str().unwrap());
        match number(&shared["stackTable"]["prefixOffset"][stack]) {
            0 => break,
            offset => stack -= offset,
        }
    }
    names.reverse();
    assert_eq!(names, DEEP);

    let perfetto = export(Format::Perfetto);
    let mut said: [BTreeMap<u64, Message<'_>>; 3] = Default::default();
    for data in Message::read(&perfetto).messages(1).iter().flat_map(|packet| packet.messages(12)) {
        for (said, field) in said.iter_mut().zip([5, 6, 7]) {
            said.extend(data.messages(field).into_iter().map(|entry| (entry.number(1), entry)));
        }
    }
    let [names, frames, stacks] = &said;
    let name = |frame: u64| names[&frames[&frame].number(2)].text(2);
    assert_eq!(stacks[&5].numbers(2).into_iter().map(name).collect::<Vec<_>>(), DEEP);
}
