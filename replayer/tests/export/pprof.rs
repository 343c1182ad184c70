//! pprof's profiles: every number refers to something, and the values are the trace's.

use super::trace::{self, SAMPLED, Truth};
use super::wire::Message;
use super::{Format, exported};
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::io::Read;

fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut profile = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut profile).unwrap();
    profile
}

/// Checks that everything refers to something that is there, and returns the sums of the values.
fn check(profile: &Message<'_>) -> [u64; 4] {
    let strings = profile.bytes(6);
    assert_eq!(strings[0], b"", "the first string is empty");
    let string = |number: u64| std::str::from_utf8(strings[usize::try_from(number).unwrap()]).unwrap();
    let types = profile.messages(1);
    let types: Vec<_> = types.iter().map(|kind| (string(kind.number(1)), string(kind.number(2)))).collect();
    let expected = [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ];
    assert_eq!(types, expected);
    let by_id = |field: u64| -> BTreeMap<u64, Message<'_>> {
        let entries = profile.messages(field);
        let length = entries.len();
        let by_id: BTreeMap<_, _> = entries.into_iter().map(|entry| (entry.number(1), entry)).collect();
        assert!(by_id.len() == length && !by_id.contains_key(&0), "numbers of field {field}");
        by_id
    };
    let [mappings, locations, functions] = [3, 4, 5].map(by_id);
    for mapping in mappings.values() {
        assert!(mapping.number(2) < mapping.number(3));
        assert!(string(mapping.number(5)).starts_with('/') && string(mapping.number(6)).len() == 40);
        assert!(mapping.number(7) == 1, "some of its functions have names");
    }
    for location in locations.values() {
        let mapping = location.number(2);
        assert!(mapping == 0 || mappings.contains_key(&mapping));
        let lines = location.messages(4);
        assert!(!lines.is_empty() && lines.iter().all(|line| functions.contains_key(&line.number(1))));
        if let Some(mapping) = mappings.get(&mapping) {
            let address = location.number(3);
            assert!((mapping.number(2)..mapping.number(3)).contains(&address), "{address:#x}");
        }
        if let [inner, outer] = lines.as_slice() {
            let name = |line: &Message<'_>| string(functions[&line.number(1)].number(2));
            assert!(name(inner).starts_with("inlined_") && name(outer).starts_with("caller"));
        }
    }
    assert!(locations.values().any(|location| location.messages(4).len() == 2));
    let mut sums = [0; 4];
    for sample in profile.messages(2) {
        let places = sample.numbers(1);
        assert!(!places.is_empty() && places.iter().all(|place| locations.contains_key(place)));
        let values = sample.numbers(2);
        assert_eq!(values.len(), 4);
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value;
        }
    }
    sums
}

fn check_sums(truth: &Truth, sums: [u64; 4]) {
    truth.check("alloc_objects", sums[0], |site| site.allocated.0);
    truth.check("alloc_space", sums[1], |site| site.allocated.1);
    truth.check("inuse_objects", sums[2], |site| site.live.0);
    truth.check("inuse_space", sums[3], |site| site.live.1);
}

#[test]
fn the_values_are_those_of_the_trace() {
    let (trace, truth) = trace::random(5000, trace::ALL);
    let bytes = unzipped(&exported(&trace, Format::Pprof));
    let profile = Message::read(&bytes);
    let sums = check(&profile);
    check_sums(&truth, sums);
    assert_eq!(sums[3], truth.live, "every call has a stack");
    assert_eq!(profile.messages(2).len(), truth.sites.len());
    assert_eq!(
        [9, 10, 12].map(|field| profile.number(field)),
        [1_700_000_000_000_000_000, trace::DURATION, 1]
    );
    let strings = profile.bytes(6);
    let comments = profile.numbers(13).into_iter().map(|comment| strings[usize::try_from(comment).unwrap()]);
    assert_eq!(comments.collect::<Vec<_>>(), [&b"app --quietly"[..], b"malloscope test"]);
}

#[test]
fn samples_stand_for_those_that_were_not_hit() {
    let (trace, truth) = trace::random(5000, SAMPLED);
    let bytes = unzipped(&exported(&trace, Format::Pprof));
    let profile = Message::read(&bytes);
    check_sums(&truth, check(&profile));
    assert_eq!(profile.number(12), 2000);
    let [kind] = profile.messages(11).try_into().ok().unwrap();
    let strings = profile.bytes(6);
    let names = [1, 2].map(|field| strings[usize::try_from(kind.number(field)).unwrap()]);
    assert_eq!(names, [&b"space"[..], b"bytes"]);
    assert_eq!(profile.numbers(13).len(), 3, "and it is said");
}

#[test]
fn a_stack_is_given_from_the_inside() {
    let (trace, _) = trace::random(5000, trace::ALL);
    let stacks = malloscope_traces::Reader::open(std::io::Cursor::new(&trace)).unwrap().stacks().unwrap();
    let bytes = unzipped(&exported(&trace, Format::Pprof));
    let profile = Message::read(&bytes);
    let addresses: BTreeMap<u64, u64> =
        profile.messages(4).iter().map(|location| (location.number(1), location.number(3))).collect();
    let written: std::collections::BTreeSet<Vec<u64>> = profile
        .messages(2)
        .iter()
        .map(|sample| sample.numbers(1).iter().map(|place| addresses[place]).collect())
        .collect();
    let mut found = 0;
    for number in 1..stacks.frames.len() {
        let stack = malloscope_traces::Stack(u32::try_from(number).unwrap());
        let frames = stacks
            .of(stack)
            .map(|(_, frame)| frame.address - 1 + stacks.module(frame).map_or(0, |module| module.bias));
        found += usize::from(written.contains(&frames.collect::<Vec<u64>>()));
    }
    // That of calls without a stack is none of them.
    assert_eq!(found + 1, written.len());
}
