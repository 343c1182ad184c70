//! The stacks of calls: those that glibc's own unwinder sees, and in a sample as many as there should be.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use malloscope_recorder::{Capture, Sampling, WhenFull};
use malloscope_traces::{Call, Reader, Record, Stack, Stacks};

use crate::programs::{library_with, program, program_with};
use crate::run::{Run, run_capturing};

/// Every record of a run's trace with its stack, and the stacks.
fn stacked(run: &Run) -> (Stacks, Vec<(Record, Stack)>) {
    let mut reader = Reader::open_file(&run.recorded.traces[0].path).unwrap();
    let (mut all, mut batch) = (Vec::new(), Vec::new());
    while reader.next_batch(&mut batch).unwrap().is_some() {
        assert!(reader.batch_stacks().len() == batch.len() || reader.batch_stacks().is_empty());
        all.extend(batch.iter().copied().zip(reader.batch_stacks().iter().copied()));
    }
    (reader.stacks().unwrap(), all)
}

/// Where the frames of a stack returned to, the innermost first.
fn addresses(stacks: &Stacks, stack: Stack) -> Vec<u64> {
    let bias = |frame| stacks.module(frame).map_or(0, |module| module.bias);
    stacks.of(stack).map(|(_, frame)| frame.address.wrapping_add(bias(frame))).collect()
}

fn capture(sampling: Sampling) -> Option<Capture> {
    Some(Capture { sampling, depth: 256 })
}

/// Checks that stacks are what the program says they are, however it is built.
fn check_stacks(program: &Path) {
    let libraries = ["-DROOM=8", "-DROOM=800"].map(|room| library_with("caller", &[room]));
    let libraries: Vec<&str> = libraries.iter().map(|path| path.to_str().unwrap()).collect();
    let run = run_capturing(program, &libraries, WhenFull::Wait, capture(Sampling::All));
    let (stacks, all) = stacked(&run);
    let asked: HashMap<u64, Stack> =
        all.iter().filter_map(|(record, stack)| Some((record.call.request()?, *stack))).collect();
    let mut compared = 0;
    for remark in run.remarks() {
        let mut words = remark.split(' ');
        let request: u64 = words.next().unwrap().parse().unwrap();
        let said: Vec<u64> = words.map(|word| u64::from_str_radix(&word[2..], 16).unwrap()).collect();
        let recorded = addresses(&stacks, asked[&request]);
        // What a signal interrupted is told one higher: who looks it up takes one off.
        let is_same = |(recorded, said): (&u64, &u64)| recorded == said || *recorded == said + 1;
        let is_same = recorded.len() == said.len() + 1 && recorded[1..].iter().zip(&said).all(is_same);
        assert!(is_same, "{request}: recorded {recorded:x?}, said {said:x?}");
        compared += 1;
    }
    assert!(compared > 250, "{compared} stacks were compared");
    let without = all.iter().filter(|(record, stack)| record.call.request().is_some() && stack.is_none());
    assert_eq!(without.count(), 0);
}

#[test]
fn stacks_are_those_that_the_c_library_sees() {
    check_stacks(&program("stacks"));
}

#[test]
fn stacks_are_those_that_the_c_library_sees_with_frame_pointers_and_without_position() {
    check_stacks(&program_with("stacks", &["-O2", "-fno-omit-frame-pointer"]));
    check_stacks(&program_with("stacks", &["-O0", "-no-pie"]));
}

#[test]
fn modules_are_named_where_they_were() {
    let libraries: [PathBuf; 2] = ["-DROOM=8", "-DROOM=800"].map(|room| library_with("caller", &[room]));
    let paths: Vec<&str> = libraries.iter().map(|path| path.to_str().unwrap()).collect();
    let program = program("stacks");
    let run = run_capturing(&program, &paths, WhenFull::Wait, capture(Sampling::All));
    let (stacks, _) = stacked(&run);
    for file in [&program, &libraries[0], &libraries[1]] {
        let path = file.to_str().unwrap();
        let module = stacks.modules.iter().find(|module| module.path == path);
        let module = module.unwrap_or_else(|| panic!("{path} is not in {:?}", stacks.modules));
        assert_eq!(module.build_id, build_id(file), "{path}");
        assert!(module.start < module.end);
    }
}

/// The build id that a file has.
fn build_id(file: &Path) -> Vec<u8> {
    use object::Object;
    let bytes = std::fs::read(file).unwrap();
    object::File::parse(&*bytes).unwrap().build_id().unwrap().unwrap_or_default().to_vec()
}

#[test]
fn a_depth_leaves_out_the_outermost_frames() {
    let shallow = Some(Capture { sampling: Sampling::All, depth: 5 });
    let run = run_capturing(&program("stacks"), &[], WhenFull::Wait, shallow);
    let (stacks, all) = stacked(&run);
    let depths: Vec<usize> = all.iter().map(|(_, stack)| stacks.of(*stack).count()).collect();
    assert_eq!(depths.iter().max(), Some(&5));
    assert_eq!(stacks.capture, shallow);
}

#[test]
fn a_free_that_trims_the_heap_has_a_stack_and_the_break_after_it() {
    let program = program("trims");
    let run = run_capturing(&program, &[], WhenFull::Wait, capture(Sampling::All));
    let (stacks, all) = stacked(&run);
    let breaks = |pair: &&[(Record, Stack)]| pair[1].0.program_break < pair[0].0.program_break;
    let trims: Vec<_> = all.windows(2).filter(breaks).map(|pair| pair[1]).collect();
    assert!(!trims.is_empty(), "a trim was recorded where it was made");
    for (record, stack) in trims {
        assert!(matches!(record.call, Call::Free { .. } | Call::Trim { .. }), "{record:?}");
        assert!(stacks.of(stack).count() >= 3, "{record:?} was called by main, and that by the C library");
    }
}

#[test]
fn a_sample_scaled_back_is_about_the_whole() {
    let sampling = Sampling::Bytes { mean: 50_000 };
    let run = run_capturing(&program("weighs"), &[], WhenFull::Wait, capture(sampling));
    let (stacks, all) = stacked(&run);
    let hit = all.iter().filter(|(record, stack)| record.call.request().is_some() && !stack.is_none());
    let hit: Vec<_> = hit.collect();
    assert!(hit.len() > 1000 && hit.len() < all.len() / 10, "{} of {}", hit.len(), all.len());
    for remark in run.remarks() {
        let words: Vec<&str> = remark.split(' ').collect();
        let ["place", place, "calls", calls, "bytes", bytes] = words[..] else { panic!("{remark}") };
        let place = u64::from_str_radix(place, 16).unwrap();
        let is_there = |stack: Stack| {
            addresses(&stacks, stack).first().is_some_and(|address| (place..place + 64).contains(address))
        };
        let requests: Vec<u64> = hit
            .iter()
            .filter(|(_, stack)| is_there(*stack))
            .map(|(record, _)| record.call.request().unwrap())
            .collect();
        check_estimate(remark, sampling, &requests, |_| 1.0, calls.parse().unwrap());
        check_estimate(remark, sampling, &requests, to_float, bytes.parse().unwrap());
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn to_float(number: u64) -> f64 {
    number as f64
}

/// Checks that what a sample says of a sum is within six standard errors of it.
fn check_estimate(what: &str, sampling: Sampling, sample: &[u64], each: impl Fn(u64) -> f64, sum: f64) {
    let weighed = |request: &u64| sampling.weight(*request) * each(*request);
    let estimate: f64 = sample.iter().map(weighed).sum();
    let variance = |request: &u64| {
        let weight = sampling.weight(*request);
        weight * (weight - 1.0) * each(*request).powi(2)
    };
    let error = sample.iter().map(variance).sum::<f64>().sqrt();
    assert!((estimate - sum).abs() < 6.0 * error, "{what}: {estimate} ± {error} is not {sum}");
}

#[test]
fn without_a_wish_there_are_no_stacks() {
    let run = run_capturing(&program("weighs"), &[], WhenFull::Wait, None);
    let (stacks, all) = stacked(&run);
    assert_eq!(stacks, Stacks::default());
    assert!(all.is_empty());
}
