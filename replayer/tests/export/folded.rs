//! Folded stacks, as every flamegraph program reads them: the last word of a line is its weight.

use super::trace;
use super::{Format, exported};

#[test]
fn every_line_is_a_stack_and_its_bytes() {
    let (trace, truth) = trace::random(5000, trace::ALL);
    let text = String::from_utf8(exported(&trace, Format::Folded)).unwrap();
    let mut sum = 0;
    for line in text.lines() {
        let (stack, weight) = line.rsplit_once(' ').unwrap();
        sum += weight.parse::<u64>().unwrap();
        for name in stack.split(';') {
            let is_known = ["f_", "inlined_", "caller:of it", "[no stack]", "0x", "app+0x", "libc.so.6+0x"];
            assert!(is_known.iter().any(|start| name.starts_with(start)), "{name}: {line}");
        }
        // What is inlined is called by what it is inlined into, which comes first.
        let names: Vec<&str> = stack.split(';').collect();
        let inlined = (0..names.len()).filter(|at| names[*at].starts_with("inlined_"));
        inlined.for_each(|at| assert_eq!(names[at - 1], "caller:of it", "{line}"));
    }
    truth.check("bytes", sum, |site| site.allocated.1);
    assert!(text.contains("inlined_"));
}
