//! Perfetto's traces: packets that refer to what was said before them, counters and heap dumps that end
//! where the trace does.

use super::trace::{self, Site};
use super::wire::Message;
use super::{Format, exported};
use malloscope_traces::Header;
use std::collections::{BTreeMap, BTreeSet};

/// What a viewer would know when it has read the file.
#[derive(Default)]
struct Viewer {
    /// Tracks by number: their names, and whether they are counters.
    tracks: BTreeMap<u64, (String, bool)>,
    /// By name: all values and their times.
    counters: BTreeMap<String, Vec<(u64, u64)>>,
    /// Slices that are open.
    open: BTreeSet<u64>,
    slices: usize,
    /// What was said, by field.
    interned: BTreeMap<u64, BTreeSet<u64>>,
    /// By callstack: bytes allocated, freed, and blocks.
    heap: BTreeMap<u64, [u64; 4]>,
    dumps: BTreeSet<u64>,
    packets_of_heap: u64,
}

impl Viewer {
    fn read(trace: &[u8]) -> Viewer {
        let mut viewer = Viewer::default();
        let trace = Message::read(trace);
        let packets = trace.messages(1);
        let clocks = packets[0].messages(6).remove(0).messages(1);
        let clocks: BTreeMap<u64, u64> =
            clocks.iter().map(|clock| (clock.number(1), clock.number(2))).collect();
        // That of dumps is monotonic and coarse, that of packets runs since boot.
        assert!(clocks[&6] == 0 && clocks[&4] == 0);
        for packet in &packets[1..] {
            assert!(packet.number(10) > 0, "a packet is of a sequence");
            packet.messages(60).iter().for_each(|track| viewer.track(track));
            packet.messages(11).iter().for_each(|event| viewer.event(packet.number(8), event));
            packet.messages(12).iter().for_each(|data| viewer.intern(packet.number(13), data));
            packet.messages(37).iter().for_each(|heap| viewer.heap(packet, heap));
        }
        assert!(viewer.open.is_empty());
        viewer
    }

    fn track(&mut self, track: &Message<'_>) {
        let parent = track.number(5);
        assert!(parent == 0 || self.tracks.contains_key(&parent));
        if let [process] = track.messages(3).as_slice() {
            assert_eq!((process.number(1), process.text(6)), (4242, "app"));
        }
        let name = track.messages(4).first().map_or(track.text(2), |thread| thread.text(5)).to_owned();
        let is_new = self.tracks.insert(track.number(1), (name, track.has(8))).is_none();
        assert!(is_new);
    }

    fn event(&mut self, time: u64, event: &Message<'_>) {
        let track = event.number(11);
        let (name, is_counter) = &self.tracks[&track];
        assert_eq!(event.number(9) == 4, *is_counter, "{name}");
        match event.number(9) {
            1 => assert!(self.open.insert(track)),
            2 => {
                assert!(self.open.remove(&track));
                self.slices += 1;
            }
            4 => {
                assert!(event.has(30), "a counter has a value, even if it is 0");
                let values = self.counters.entry(name.clone()).or_default();
                assert!(values.last().is_none_or(|last| last.0 <= time));
                values.push((time, event.number(30)));
            }
            kind => panic!("nobody writes events of type {kind}"),
        }
    }

    fn intern(&mut self, flags: u64, data: &Message<'_>) {
        assert_eq!(flags & 1 == 1, self.interned.is_empty(), "only the first begins anew");
        for field in [16, 17, 18, 5, 19, 6, 7] {
            for entry in data.messages(field) {
                assert!(
                    entry.number(1) > 0 && self.interned.entry(field).or_default().insert(entry.number(1))
                );
                let refers_to = |number: u64, to: u64| {
                    let said = &self.interned[&to];
                    entry.numbers(number).iter().for_each(|number| assert!(said.contains(number)));
                };
                match field {
                    19 => refers_to(7, 17),
                    6 => {
                        refers_to(2, 5);
                        refers_to(3, 19);
                        assert!(entry.has(4), "a frame in a mapping has a place in it");
                    }
                    7 => {
                        refers_to(2, 6);
                        assert!(entry.has(2));
                    }
                    _ => {}
                }
            }
        }
    }

    fn heap(&mut self, packet: &Message<'_>, heap: &Message<'_>) {
        assert_eq!(heap.number(7), self.packets_of_heap, "none is lost");
        self.packets_of_heap += 1;
        for process in heap.messages(5) {
            assert_eq!((process.number(1), process.text(11)), (4242, "libc.malloc"));
            assert_eq!(process.number(9), packet.number(8));
            self.dumps.insert(process.number(9));
            for sample in process.messages(2) {
                assert!(self.interned[&7].contains(&sample.number(1)));
                let values = [2, 3, 5, 6].map(|field| sample.number(field));
                let before = self.heap.insert(sample.number(1), values).unwrap_or_default();
                assert!(before.iter().zip(values).all(|(before, now)| *before <= now), "sums only grow");
            }
        }
    }

    fn last(&self, counter: &str) -> u64 {
        self.counters[counter].last().unwrap().1
    }
}

#[test]
fn counters_and_dumps_end_where_the_trace_does() {
    for sampling in [trace::ALL, trace::SAMPLED] {
        let (trace, truth) = trace::random(5000, sampling);
        let viewer = Viewer::read(&exported(&trace, Format::Perfetto));
        assert_eq!(viewer.last("malloc live"), truth.live);
        assert_eq!(viewer.last("malloc held"), truth.held);
        assert_eq!(viewer.last("program break"), (truth.records - 1) * 16);
        let live = viewer.counters["malloc live"].iter().map(|(_, value)| *value);
        assert_eq!(live.max(), Some(truth.peak));
        assert_eq!(viewer.slices, 3, "a lane for every thread");
        assert_eq!((viewer.dumps.len(), viewer.dumps.last()), (16, Some(&trace::DURATION)));
        type Of = fn(&Site) -> f64;
        let expected: [(&str, Of); 4] = [
            ("self_allocated", |site| site.allocated.1),
            ("self_freed", |site| site.allocated.1 - site.live.1),
            ("alloc_count", |site| site.allocated.0),
            ("free_count", |site| site.allocated.0 - site.live.0),
        ];
        for (number, (name, of)) in expected.into_iter().enumerate() {
            truth.check(name, viewer.heap.values().map(|values| values[number]).sum(), of);
        }
    }
}

#[test]
fn a_trace_without_stacks_has_counters_all_the_same() {
    let mut header: Header = trace::header();
    header.heap.initial_break = 0;
    let viewer = Viewer::read(&exported(&trace::without_stacks(&header), Format::Perfetto));
    assert_eq!(viewer.last("malloc live"), 50_000);
    assert_eq!(viewer.last("malloc held"), 64_000);
    assert_eq!(viewer.last("malloc calls"), 1000);
    assert_eq!(viewer.last("program break"), 0, "what it was before the first call is not known");
    assert!(viewer.interned.is_empty() && viewer.dumps.is_empty());
}
