//! Stacks come back as they were written, whole or in part.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

use std::io::Cursor;

use malloscope_traces::stacks::{Capture, Frame, Module, ModuleId, Sampling, Stack, Stacks};
use malloscope_traces::{Call, Ending, Header, Nanos, Placed, Pointer, Reader, Record, Thread, Writer};

const CAPTURE: Capture = Capture { sampling: Sampling::Bytes { mean: 4096 }, depth: 128 };

fn call(number: u64) -> Call {
    let to = Placed { pointer: Pointer::seen(number * 32 + 32), head: 33 };
    match number % 5 {
        0 => Call::Malloc { request: number % 70, to },
        1 => Call::Calloc { count: 3, size: number % 7, to },
        2 => Call::Free { pointer: Pointer::seen((number - 1) * 32 + 32) },
        3 => Call::Memalign { alignment: 64, request: 20, to },
        _ => Call::Trim { pad: 0, returned: 0 },
    }
}

fn record(number: u64) -> Record {
    let thread = Thread(u32::try_from(number / 7 % 3).unwrap());
    Record { time: Nanos(number * 10), thread, program_break: 0x1000, call: call(number) }
}

/// A stack for the call with this number: of some the same as before, of some a new one, of a few none.
fn stack(number: u64, known: u32) -> Stack {
    let known = u64::from(known);
    let chosen = match number % 11 {
        0 => 0,
        1..=3 => number % 5 + 1,
        4..=8 => number * 7919 % known + 1,
        _ => known,
    };
    // A free has one only now and then.
    let is_free = number % 5 == 2 && !number.is_multiple_of(35);
    Stack(if is_free { 0 } else { u32::try_from(chosen).unwrap() })
}

/// A trace of so many records, the stacks of each, and the tree they are of.
fn written(records: u64) -> (Vec<u8>, Vec<Stack>, Stacks) {
    let mut writer = Writer::new(Vec::new(), &Header::default()).unwrap();
    writer.capture(CAPTURE);
    let mut tree = Stacks { capture: Some(CAPTURE), frames: vec![None], ..Stacks::default() };
    let mut stacks = Vec::new();
    for number in 0..records {
        if number % 1000 == 0 {
            let build_id = number.to_le_bytes().to_vec();
            let start = number << 20;
            let path = format!("/lib/lib{number}.so");
            let module = Module { path, build_id, start, end: start + 5000, bias: start };
            assert_eq!(writer.module(module.clone()).0 as usize, tree.modules.len());
            tree.modules.push(module);
        }
        if number % 3 == 0 {
            let known = tree.frames.len();
            let module = u32::try_from(number % (tree.modules.len() as u64 + 1)).unwrap();
            let caller = Stack(u32::try_from(number * 31 % known as u64).unwrap());
            let module = module.checked_sub(1).map(ModuleId);
            let frame = Frame { caller, module, address: number.wrapping_mul(0x9e37_79b9) };
            assert_eq!(writer.frame(frame).0 as usize, known);
            tree.frames.push(Some(frame));
        }
        stacks.push(stack(number, u32::try_from(tree.frames.len() - 1).unwrap()));
        writer.record_from(&record(number), *stacks.last().unwrap()).unwrap();
    }
    (writer.finish(&Ending::default()).unwrap(), stacks, tree)
}

#[test]
fn every_stack_comes_back() {
    let (trace, stacks, tree) = written(100_000);
    let mut reader = Reader::open(Cursor::new(&trace)).unwrap();
    assert_eq!(reader.stacks().unwrap(), tree);
    let (mut read, mut batch) = (Vec::new(), Vec::new());
    while reader.next_batch(&mut batch).unwrap().is_some() {
        assert_eq!(reader.batch_stacks().len(), batch.len());
        read.extend_from_slice(reader.batch_stacks());
    }
    assert_eq!(read.len(), stacks.len());
    assert!(read == stacks, "first difference: {:?}", read.iter().zip(&stacks).position(|(a, b)| a != b));
    // And from the second batch on.
    let first = reader.index().unwrap().batches[1].first;
    reader.seek_batch(1).unwrap();
    assert_eq!(reader.next_batch(&mut batch).unwrap(), Some(first));
    let from = usize::try_from(first).unwrap();
    assert_eq!(reader.batch_stacks(), &stacks[from..from + batch.len()]);
}

#[test]
fn the_frames_of_a_stack_are_its_callers() {
    let (trace, _, tree) = written(300);
    let read = Reader::open(Cursor::new(&trace)).unwrap().stacks().unwrap();
    let deepest = (1..read.frames.len()).map(|number| Stack(u32::try_from(number).unwrap()));
    let deepest = deepest.max_by_key(|stack| read.of(*stack).count()).unwrap();
    let frames: Vec<_> = read.of(deepest).collect();
    assert!(frames.len() > 3);
    for pair in frames.windows(2) {
        assert_eq!(pair[0].1.caller, pair[1].0);
        assert_eq!(Some(pair[1].1), tree.frames[pair[1].0.0 as usize]);
    }
    assert_eq!(frames.last().unwrap().1.caller, Stack::NONE);
}

#[test]
fn a_trace_without_stacks_has_none() {
    let mut writer = Writer::new(Vec::new(), &Header::default()).unwrap();
    for number in 0..100 {
        writer.record(&record(number)).unwrap();
    }
    let trace = writer.finish(&Ending::default()).unwrap();
    let mut reader = Reader::open(Cursor::new(&trace)).unwrap();
    assert_eq!(reader.stacks().unwrap(), Stacks::default());
    reader.next_batch(&mut Vec::new()).unwrap();
    assert_eq!(reader.batch_stacks(), []);
}

#[test]
fn a_damaged_part_of_the_tree_costs_its_frames_and_nothing_else() {
    let (mut trace, stacks, tree) = written(100_000);
    let mark = b"\x8aMSCOPE\n\x07\0\0\0";
    let parts: Vec<_> = (0..trace.len()).filter(|at| trace[*at..].starts_with(mark)).collect();
    assert!(parts.len() > 2);
    let second = parts[1] + 52 + 40;
    trace[second] ^= 0x10;
    let mut reader = Reader::open(Cursor::new(&trace)).unwrap();
    let read = reader.stacks().unwrap();
    assert_eq!(read.frames.len(), tree.frames.len());
    let lost = read.frames.iter().skip(1).filter(|frame| frame.is_none()).count();
    assert!(0 < lost && lost < tree.frames.len() / 2);
    let kept = read.frames.iter().zip(&tree.frames).filter(|(read, _)| read.is_some());
    assert!(kept.clone().all(|(read, written)| read == written));
    for number in 1..read.frames.len() {
        read.of(Stack(u32::try_from(number).unwrap())).for_each(drop);
    }
    let (mut all, mut batch, mut damages) = (Vec::new(), Vec::new(), 0);
    loop {
        match reader.next_batch(&mut batch) {
            Ok(Some(_)) => all.extend_from_slice(reader.batch_stacks()),
            Ok(None) => break,
            Err(error) => {
                assert!(matches!(error, malloscope_traces::Error::Damaged { .. }));
                damages += 1;
            }
        }
    }
    assert_eq!((damages, all), (1, stacks));
}

#[test]
fn a_sample_stands_for_as_many_as_were_likely_not_hit() {
    let sampling = Sampling::Bytes { mean: 1000 };
    assert!((Sampling::All.weight(5) - 1.0).abs() < 1e-12);
    assert!((sampling.weight(1) - 1000.5).abs() < 0.01);
    assert!((sampling.weight(1_000_000) - 1.0).abs() < 1e-9);
    assert!((sampling.weight(0) - sampling.weight(1)).abs() < 1e-9);
}
