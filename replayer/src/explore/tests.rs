//! What is explored is what is reported: the same numbers at the same records, whichever way one came.

#[path = "../../tests/common/imported.rs"]
mod imported;
#[path = "../../tests/common/samples.rs"]
mod samples;

use super::*;
use crate::outcome::Outcome;
use crate::run::{Job, run};
use imported::imported;
use malloscope_allocator::release::MappedHead;
use malloscope_traces::header::{Heap, Origin};
use malloscope_traces::{Call, Ending, Header, Placed, Pointer, Thread, Writer};
use map::{Region, RegionKind, State};
use samples::samples;
use std::collections::BTreeSet;
use std::fmt::Write as _;

const RELEASES: [&str; 4] = ["2.23", "2.31", "2.36", "2.43"];

/// A script of so many calls of many kinds, by two threads besides the first.
fn busy_script(calls: u64) -> String {
    let mut script = "0 spawn 1\n0 spawn 2\n".to_owned();
    let mut random = 1_u64;
    for call in 0..calls {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let thread = random >> 50 & 1 | (call & 1) << 1;
        let thread = thread.min(2);
        let slot = random >> 40 & 255;
        let size = (random >> 33) % [60, 1000, 5000, 200_000][(random >> 20 & 3) as usize];
        let line = match call % 8 {
            0 | 1 => format!("free {slot}"),
            2 => format!("realloc {slot} {}", size + 1),
            3 => format!("calloc {} {size}", 1000 + call),
            4 => format!("free {}", 1000 + call - 1),
            5 => format!("memalign {} 64 {size}", 100_000 + call % 500),
            6 if call % 64 == 6 => format!("sbrk {}", 4096 + random % 100_000),
            _ => format!("realloc {slot} {}", size / 2 + 1),
        };
        writeln!(script, "{thread} {line}").unwrap();
    }
    script
}

fn replayed(trace: &Path, trial: &Trial) -> Outcome {
    let job = Job::of(trace, trial.clone());
    run(&job, &mut std::io::sink(), &mut |_| {}).unwrap()
}

fn go_to(explorer: &mut Explorer, made: u64) {
    let stop = AtomicBool::new(false);
    explorer.go_to(made, &mut Watched { progress: &mut |_| {}, stop: &stop }).unwrap();
    assert_eq!(explorer.made(), made);
}

fn of(release: &str) -> Trial {
    Trial { release: Some(release.to_owned()), ..Trial::default() }
}

/// Regions follow one another, pieces fill them, and what malloc counts is what was found.
fn check(explorer: &Explorer) -> HeapMap {
    let map = explorer.heap().unwrap();
    let heap = explorer.now.engine.heap();
    heap.check().unwrap();
    assert_eq!(map.astray, 0);
    assert!(map.regions.is_sorted_by(|one, other| one.end <= other.start));
    let mut next = 0;
    for region in &map.regions {
        assert_eq!(region.pieces.start, next);
        next = region.pieces.end;
        let mut at = region.start;
        for piece in &map.pieces[region.pieces.clone()] {
            assert_eq!(piece.address, at, "{region:x?}");
            at += piece.size;
        }
        assert_eq!(at, region.end);
        assert_eq!(region.totals.all().bytes, region.length());
    }
    assert_eq!(next, map.pieces.len());
    assert_eq!(map.totals.of(State::Live).pieces, map.allocations.len() as u64);
    let told = heap.mallinfo2().unwrap();
    let bytes = |state| map.totals.of(state).bytes;
    let chunks = |state| map.totals.of(state).pieces;
    assert_eq!((chunks(State::Fast), bytes(State::Fast)), (told.smblks, told.fsmblks));
    let binned = [State::Unsorted, State::Small, State::Large];
    assert_eq!(binned.map(bytes).iter().sum::<u64>() + bytes(State::Fast) + bytes(State::Top), told.fordblks);
    let without_top = heap.arenas().iter().filter(|arena| !arena.has_memory()).count() as u64;
    assert_eq!(binned.map(chunks).iter().sum::<u64>() + chunks(State::Top) + without_top, told.ordblks);
    let mapped: Vec<&Region> = map.regions.iter().filter(|one| one.kind == RegionKind::Mapping).collect();
    assert_eq!(mapped.len() as u64, told.hblks);
    // Later ones forget to count 16 bytes of some.
    if heap.release().mapped_head != MappedHead::LikeOthers {
        assert_eq!(mapped.iter().map(|one| one.length()).sum::<u64>(), told.hblkhd);
        assert_eq!(map.totals.all().bytes + map.foreign, map.system);
    }
    assert_eq!((chunks(State::Cached), bytes(State::Cached)), heap.cached());
    map
}

#[test]
fn the_heap_is_the_one_of_the_report_at_the_same_record() {
    for trace in samples() {
        for release in RELEASES {
            let trial = of(release);
            let series = replayed(&trace, &trial).measured.series;
            let mut explorer = Explorer::open(&trace, &trial).unwrap();
            for sample in series.iter().step_by(series.len() / 6 + 1).chain(series.last()) {
                go_to(&mut explorer, sample.record);
                let map = check(&explorer);
                let live = map.totals.of(State::Live);
                assert_eq!(
                    (map.totals.requested, live.bytes),
                    (sample.live, sample.held),
                    "{trace:?} {sample:?}"
                );
                assert_eq!(map.system, sample.system);
                assert_eq!(map.foreign, 0);
                assert_eq!(map.program_break - map.initial_break, sample.program_break);
                assert_eq!(map.totals.of(State::Cached).bytes, sample.cached);
                assert_eq!(map.pinned(), sample.pinned, "{trace:?} {release} {sample:?}");
            }
        }
    }
}

#[test]
fn a_heap_that_others_break_up_is_found_in_all_its_parts() {
    let script = imported(&busy_script(6000));
    for release in RELEASES {
        let trial = Trial { settings: vec![("arena_max".to_owned(), 2)], ..of(release) };
        let series = replayed(script.path(), &trial).measured.series;
        let mut explorer = Explorer::open(script.path(), &trial).unwrap();
        let mut kinds = BTreeSet::new();
        for sample in series.iter().step_by(series.len() / 8 + 1).chain(series.last()) {
            go_to(&mut explorer, sample.record);
            let map = check(&explorer);
            assert_eq!(map.totals.of(State::Live).bytes, sample.held, "{release} {sample:?}");
            assert_eq!(map.system, sample.system);
            let main = map.regions.iter().filter(|region| region.kind == RegionKind::Main).count();
            kinds.insert(main > 1);
            kinds.insert(map.foreign > 0);
        }
        assert!(kinds.contains(&true), "others moved the break in {release}");
    }
}

#[test]
fn the_way_makes_no_difference() {
    let trace = samples().into_iter().find(|path| path.ends_with("pinned.mscope")).unwrap();
    let mut explorer = Explorer::open(&trace, &Trial::default()).unwrap();
    let total = explorer.total().unwrap();
    let places = [total / 2, total / 2 - 1, total, 7, total - 40_000.min(total), total / 3, total / 3, 0];
    for place in places {
        go_to(&mut explorer, place);
        let mut fresh = Explorer::open(&trace, &Trial::default()).unwrap();
        go_to(&mut fresh, place);
        let (map, mut expected) = (explorer.heap().unwrap(), fresh.heap().unwrap());
        assert_eq!(map, expected, "at {place}");
        let Some(step) = explorer.step().unwrap() else { continue };
        assert_eq!(Some(&step), fresh.step().unwrap().as_ref());
        assert_eq!((step.record, explorer.made()), (place, place + 1));
        expected.made += 1;
        assert_ne!(explorer.heap().unwrap(), expected, "a call changes something");
    }
}

/// What is there and what comes then, after so many records.
fn seen(explorer: &mut Explorer, made: u64) -> (String, Option<Step>) {
    go_to(explorer, made);
    let heap = format!("{:?} {:?}", explorer.heap().unwrap(), explorer.coming().unwrap());
    (heap, explorer.step().unwrap())
}

#[test]
fn far_back_is_read_again_from_a_moment_kept_on_the_way_and_is_the_same() {
    let alone = |line: &str| {
        let call = line.split_once(' ').map_or("", |(_, call)| call);
        if call.starts_with("spawn") { String::new() } else { format!("0 {call}\n") }
    };
    let script: String = busy_script(60_000).lines().map(alone).collect();
    let trace = imported(&script);
    let fresh = |made| seen(&mut Explorer::open(trace.path(), &Trial::default()).unwrap(), made);
    let mut far = Explorer::open(trace.path(), &Trial::default()).unwrap();
    far.keyframes = Keyframes::every(2048);
    far.keyframes.most = u64::MAX;
    go_to(&mut far, 55_000);
    assert_eq!(far.keyframes.taken().0, 55_000 / 2048);
    for made in [20_001, 50_001, 9000, 30_000, 100, 54_321, 4096] {
        assert!(seen(&mut far, made) == fresh(made), "{made}");
        assert_eq!(far.keyframes.taken().0, 55_000 / 2048, "none was lost");
    }
    // And on beyond what was read before.
    assert!(seen(&mut far, 59_000) == fresh(59_000));
}

#[test]
fn samples_are_the_same_from_moments_that_were_kept_also_of_several_threads() {
    for trace in samples() {
        let mut far = Explorer::open(&trace, &Trial::default()).unwrap();
        far.keyframes = Keyframes::every(256);
        let stop = AtomicBool::new(false);
        far.go_to(u64::MAX, &mut Watched { progress: &mut |_| {}, stop: &stop }).unwrap();
        let end = far.made();
        for made in [end * 2 / 3, end / 5, end / 2, end - 1] {
            let mut fresh = Explorer::open(&trace, &Trial::default()).unwrap();
            assert!(seen(&mut far, made) == seen(&mut fresh, made), "{trace:?} {made}");
        }
    }
}

#[test]
fn moments_that_are_kept_take_no_more_than_they_may() {
    let trace = imported(&"0 malloc 1 100\n0 free 1\n".repeat(30_000));
    let mut explorer = Explorer::open(trace.path(), &Trial::default()).unwrap();
    explorer.keyframes = Keyframes::every(1);
    go_to(&mut explorer, 2);
    let one = explorer.keyframes.taken().1;
    explorer.keyframes = Keyframes::every(256);
    explorer.keyframes.most = one * 20;
    let (mut greatest, mut fewer) = (0, 0);
    for made in (0..60_000).step_by(128) {
        let before = explorer.keyframes.taken().0;
        go_to(&mut explorer, made);
        let (count, bytes) = explorer.keyframes.taken();
        assert!(bytes <= one * 20, "{bytes} of {}", one * 20);
        greatest = greatest.max(count);
        fewer += u32::from(count < before);
    }
    assert!(greatest > 15 && fewer == 4, "{greatest} {fewer}: every other one goes, and again");
}

#[test]
fn what_comes_next_is_what_the_report_counts() {
    for name in ["sqlite.mscope", "threads.mscope", "mappings.mscope", "pinned.mscope"] {
        let trace = samples().into_iter().find(|path| path.ends_with(name)).unwrap();
        let outcome = replayed(&trace, &Trial::default());
        let missed =
            outcome.served.iter().filter(|row| !["tcache", "realloc: stayed"].contains(&row.from.as_str()));
        let expected: u64 = missed.map(|row| row.requests).sum();
        let stop = AtomicBool::new(false);
        let mut explorer = Explorer::open(&trace, &Trial::default()).unwrap();
        let mut misses = 0;
        while let Some(step) =
            explorer.next(Next::Miss, &mut Watched { progress: &mut |_| {}, stop: &stop }).unwrap()
        {
            assert_eq!(step.record + 1, explorer.made());
            misses += 1;
        }
        assert_eq!(explorer.made(), outcome.records);
        assert_eq!(misses, expected, "{name}");
        go_to(&mut explorer, 0);
        let mut grown = 0;
        let mut last = 0;
        while explorer
            .next(Next::Growth, &mut Watched { progress: &mut |_| {}, stop: &stop })
            .unwrap()
            .is_some()
        {
            let now = explorer.heap().unwrap();
            assert!(now.made > last);
            last = now.made;
            grown += 1;
        }
        assert!(grown > 0, "{name}");
    }
}

/// A scene, told as a person would.
#[test]
fn decisions_are_told_in_words() {
    let script = imported(
        "0 malloc 0 24\n0 malloc 1 2000\n0 malloc 2 24\n0 free 1\n0 malloc 3 1000\n0 malloc 4 500\n0 free 0\n0 malloc 5 20\n0 malloc 6 200000\n0 free 6\n",
    );
    let mut explorer = Explorer::open(script.path(), &of("2.36")).unwrap();
    let mut told = String::new();
    while let Some(step) = explorer.step().unwrap() {
        let answer = step.answer.map(|answer| format!(" = {answer}")).unwrap_or_default();
        writeln!(told, "{} {}{answer}\n  {}", step.record, step.call, step.decision.join("\n  ")).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/explore/told.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &told).unwrap();
    }
    assert_eq!(told, std::fs::read_to_string(file).unwrap());
}

#[test]
fn whoever_wants_to_stop_is_heard() {
    let trace = samples().into_iter().find(|path| path.ends_with("pinned.mscope")).unwrap();
    let mut explorer = Explorer::open(&trace, &Trial::default()).unwrap();
    let stop = AtomicBool::new(true);
    let mut heard = 0;
    let mut watched = Watched { progress: &mut |_| heard += 1, stop: &stop };
    let stopped = explorer.go_to(u64::MAX, &mut watched);
    assert!(matches!(stopped, Err(ExploreError::Stopped)), "{stopped:?}");
    assert_eq!((heard, explorer.made()), (1, u64::from(BETWEEN_LOOKS)));
    go_to(&mut explorer, 10);
    let narrow = Trial { words: WordWidth::Bits32, ..Trial::default() };
    assert!(matches!(Explorer::open(&trace, &narrow), Err(ExploreError::Narrow)));
}

#[test]
fn a_heap_that_is_found_corrupted_can_be_left_again() {
    // The break goes down below the end of the top chunk, and malloc asks for more.
    let script = imported("0 malloc 0 24\n0 malloc 1 100000\n0 sbrk -20480\n0 malloc 2 100000\n");
    let mut explorer = Explorer::open(script.path(), &of("2.36")).unwrap();
    let stop = AtomicBool::new(false);
    let mut watched = Watched { progress: &mut |_| {}, stop: &stop };
    for _ in 0..2 {
        let found = explorer.go_to(9, &mut watched);
        assert!(matches!(found, Err(ExploreError::Corrupted { record: 3, .. })), "{found:?}");
        let told = found.unwrap_err().to_string();
        assert!(told.starts_with("the heap is found corrupted at record 3: break adjusted"), "{told}");
        assert!(explorer.heap().is_err() && explorer.step().is_err());
        explorer.go_to(3, &mut watched).unwrap();
        assert_eq!(explorer.heap().unwrap().totals.of(State::Live).pieces, 2);
        explorer.go_to(1, &mut watched).unwrap();
        assert_eq!(explorer.heap().unwrap().totals.of(State::Live).pieces, 1);
    }
}

#[test]
fn a_heap_whose_memory_was_taken_away_is_still_drawn() {
    // Of the top chunk there is only the beginning, and what lies above reads as nothing.
    let script =
        imported("0 malloc 0 24\n0 sbrk -131072\n0 malloc 1 100000\n0 malloc 2 100000\n0 free 1\n0 free 2\n");
    let mut explorer = Explorer::open(script.path(), &of("2.36")).unwrap();
    while let Ok(Some(_)) = explorer.step() {
        let Ok(map) = explorer.heap() else { break };
        assert!(map.regions.iter().all(|region| region.totals.all().bytes == region.length()), "{map:x?}");
    }
    assert!(explorer.made() >= 4);
}

/// Two traces of one folder: a parent that allocates and forks, and its child.
#[test]
fn a_child_begins_with_the_heap_of_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let call = |call| Record { time: Nanos(1), thread: Thread(0), program_break: 0, call };
    let write = |name: &str, header: Header, calls: &[Call]| {
        let path = folder.path().join(name);
        let mut writer = Writer::new(std::fs::File::create(&path).unwrap(), &header).unwrap();
        calls.iter().for_each(|one| writer.record(&call(*one)).unwrap());
        writer.finish(&Ending::default()).unwrap();
        path
    };
    let malloc = |request, address| {
        let to = Placed { pointer: Pointer::seen(address), head: 0 };
        Call::Malloc { request, to }
    };
    let free = |address| Call::Free { pointer: Pointer::seen(address) };
    let parent =
        [malloc(24, 0x1010), malloc(5000, 0x2010), free(0x1010), Call::Fork { child: 7 }, free(0x2010)];
    let with_addresses = Header { heap: Heap { placements: true, ..Heap::default() }, ..Header::default() };
    write("parent.mscope", with_addresses.clone(), &parent);
    let mut header = Header {
        origin: Origin::Forked { parent: 3, trace: "parent.mscope".to_owned(), after: 4 },
        ..with_addresses
    };
    header.program.pid = 7;
    let child = write("child.mscope", header, &[malloc(100, 0x3010), free(0x2010), malloc(24, 0x1010)]);
    let mut explorer = Explorer::open(&child, &of("2.36")).unwrap();
    let map = explorer.heap().unwrap();
    assert_eq!((map.made, map.astray), (0, 0));
    let live: Vec<_> = map.allocations.iter().map(|one| (one.request, one.record)).collect();
    assert_eq!(live, [(5000, None)]);
    assert_eq!(map.totals.of(State::Cached).pieces, 1);
    assert!(map.pieces.iter().any(|piece| piece.state == State::Cached && piece.thread == Some(0)));
    let steps: Vec<Step> = std::iter::from_fn(|| explorer.step().unwrap()).collect();
    assert!(steps[1].call.starts_with("free(0x") && steps[1].decision.last().unwrap().contains("goes to"));
    assert!(steps[2].decision.last().unwrap().starts_with("served from tcache bin 0"), "{:?}", steps[2]);
    go_to(&mut explorer, 1);
    assert_eq!(explorer.heap().unwrap().totals.requested, 5100);
}
