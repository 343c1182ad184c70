//! `malloscope symbolize`, on a program that was recorded with its stacks.

use super::run::{answer, built, folder, imported, malloscope, said};
use malloscope_traces::{Reader, Stacks, Symbols};
use std::fs;

/// A recording of our program with debug information, with all stacks.
fn with_stacks(name: &str) -> String {
    let trace = folder().join(format!("{name}.mscope")).display().to_string();
    let mut command = malloscope(["record", "--stacks", "all", "-o", &trace, "--"]);
    let said = said(command.arg(built(name, &["-g"])));
    assert_eq!(said.code, Some(0), "{}", said.err);
    trace
}

fn read(trace: &str) -> (Stacks, Option<Symbols>) {
    let mut reader = Reader::open_file(trace.as_ref()).unwrap();
    (reader.stacks().unwrap(), reader.symbols().unwrap())
}

#[test]
fn symbols_are_found_embedded_and_need_no_program_afterwards() {
    let trace = with_stacks("symbolized");
    let before = answer(["dump", &trace]);
    assert!(read(&trace).1.is_none());
    let said = answer(["symbolize", &trace, "--embed-symbols"]);
    let row = said.lines().find(|line| line.contains("symbolized")).unwrap();
    assert!(row.contains("its own debug information"), "{said}");
    let (stacks, symbols) = read(&trace);
    let symbols = symbols.expect("they are in the trace");
    let names = malloscope_symbols::names(&stacks, &symbols);
    let is_main = |named: &&malloscope_symbols::Named| named.function == "main" && named.line.is_some();
    let mains = stacks.frames.iter().flatten().flat_map(|frame| names.frame(*frame)).filter(is_main).count();
    assert!(mains > 0, "main has a line: {said}");
    assert_eq!(answer(["dump", &trace]), before);

    // What was found stays when the program is gone.
    fs::remove_file(folder().join("symbolized")).unwrap();
    let elsewhere = folder().join("elsewhere.mscope").display().to_string();
    let said = answer(["symbolize", &trace, "--embed-symbols", "-o", &elsewhere]);
    assert!(said.contains("not found") && said.contains("--debug-dir DIR"), "{said}");
    assert_eq!(read(&elsewhere).1, Some(symbols), "what cannot be found any more is kept");
}

#[test]
fn a_trace_without_stacks_says_how_to_get_some() {
    let said = said(&mut malloscope(["symbolize", &imported("stackless", "0 malloc 1 100\n0 free 1\n")]));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("has no stacks") && said.err.contains("--stacks all"), "{}", said.err);
}
