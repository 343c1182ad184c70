//! Stacks as text: a line each, as flamegraphs and many other tools read them.
//!
//! ```text
//! main;parse;read_line 4096
//! ```
//!
//! The outermost frame is first, and the weight is a whole number of [`Blame::unit`], except that
//! byte-seconds are in thousandths: byte-milliseconds. For `misses` the place that served is the innermost
//! frame. Calls without a stack are `[no stack]`. In names, `;` and what would end a line are replaced.

use super::legend::Legend;
use super::tree::Tree;
use super::{Blame, Row, Unit};
use crate::export::names::Names;
use malloscope_traces::stacks::{Frame, ModuleId};
use malloscope_traces::{Stack, Stacks};
use std::collections::{BTreeMap, HashMap};

/// What stands for no stack, and for one that was lost.
pub(super) const NO_STACK: &str = "[no stack]";
pub(super) const LOST: &str = "[lost]";
/// The most frames of a line, the innermost: more than a recorder captures.
pub(super) const DEEPEST: usize = 1024;
/// Weights are kept below: sums of them must be numbers that others can read.
const GREATEST: f64 = (1_u64 << 53) as f64;

/// What one of a line's counts is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// How many of these make one of the blame's unit.
    pub per_unit: f64,
    /// What they are called.
    pub name: &'static str,
}

impl Scale {
    /// What lines for other programs are counted in.
    pub fn of_lines(unit: Unit) -> Scale {
        match unit {
            Unit::ByteSeconds => Scale { per_unit: 1000.0, name: "byte-milliseconds" },
            unit => Scale { per_unit: 1.0, name: unit.name() },
        }
    }

    /// What people read: byte-seconds, unless there are so few of them that the last digits matter.
    pub fn of_picture(unit: Unit, total: f64) -> Scale {
        const FEW: f64 = 100_000.0;
        if total < FEW { Scale::of_lines(unit) } else { Scale { per_unit: 1.0, name: unit.name() } }
    }
}

/// Names stacks, and remembers the names.
pub struct Folder<'a, N> {
    stacks: &'a Stacks,
    names: N,
    known: HashMap<(Option<ModuleId>, u64), Vec<String>>,
    /// Whether a function that calls itself stands in a line once.
    merges_recursion: bool,
}

impl<'a, N: Names> Folder<'a, N> {
    /// Nothing is named yet.
    pub fn new(stacks: &'a Stacks, names: N) -> Folder<'a, N> {
        Folder { stacks, names, known: HashMap::new(), merges_recursion: false }
    }

    /// The same, with functions that call themselves in a line once.
    pub fn merging_recursion(self, merges_recursion: bool) -> Folder<'a, N> {
        Folder { merges_recursion, ..self }
    }

    /// The stacks that are named.
    pub(crate) fn stacks(&self) -> &'a Stacks {
        self.stacks
    }

    /// The names of a frame, the innermost first.
    pub(crate) fn names(&mut self, frame: &Frame) -> &[String] {
        let (stacks, names) = (self.stacks, &mut self.names);
        let name = || names.functions(stacks, *frame).iter().map(|function| clean(&function.name)).collect();
        self.known.entry((frame.module, frame.address)).or_insert_with(name)
    }

    /// A stack in one line, without a weight.
    fn line(&mut self, row: &Row) -> String {
        let mut names: Vec<String> = row.place.iter().map(|place| clean(place.name())).collect();
        let frames: Vec<Frame> = self.stacks.of(row.stack).map(|(_, frame)| frame).take(DEEPEST).collect();
        match frames.last() {
            None if row.stack == Stack::NONE => names.push(NO_STACK.to_owned()),
            None => names.push(LOST.to_owned()),
            Some(outermost) => {
                let is_cut = !outermost.caller.is_none();
                frames.iter().for_each(|frame| names.extend_from_slice(self.names(frame)));
                names.extend(is_cut.then(|| LOST.to_owned()));
            }
        }
        names.reverse();
        if self.merges_recursion {
            names.dedup();
        }
        names.join(";")
    }

    /// Every line and its weight, in so many parts of the blame's unit; lines that are the same are one.
    pub fn fold(&mut self, blame: &Blame, scale: Scale) -> BTreeMap<String, u64> {
        let mut lines: BTreeMap<String, f64> = BTreeMap::new();
        for row in &blame.rows {
            *lines.entry(self.line(row)).or_default() += row.weight * scale.per_unit;
        }
        let total: f64 = lines.values().sum();
        // No process has had so much; a trace may say so all the same.
        let shrunk = if total > GREATEST { GREATEST / total } else { 1.0 };
        let weights = lines.into_iter().map(|(line, weight)| (line, whole(weight * shrunk)));
        weights.filter(|&(_, weight)| weight > 0).collect()
    }
}

/// The lines of a tree of calls, as [`Folder::fold`] has them: what is at the root is first. Of two runs, the
/// first one's.
pub fn of_tree(tree: &Tree, legend: &Legend, scale: Scale) -> BTreeMap<String, u64> {
    let total = tree.root().total.first * scale.per_unit;
    let shrunk = if total > GREATEST { GREATEST / total } else { 1.0 };
    let mut lines = BTreeMap::new();
    for (number, node) in (0..).zip(tree.nodes()) {
        let weight = whole(node.own.first * scale.per_unit * shrunk);
        if number == 0 || weight == 0 {
            continue;
        }
        let name = |&number: &u32| legend.get(tree.node(number).line.function).name.as_str();
        let names: Vec<&str> = tree.path(number).iter().map(name).collect();
        // Functions of one name in two modules are two in a tree, and one in a line.
        *lines.entry(names.join(";")).or_default() += weight;
    }
    lines
}

/// A weight as a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2⁵³")]
fn whole(weight: f64) -> u64 {
    weight.round().clamp(0.0, GREATEST) as u64
}

/// A name that stays one frame of one line.
pub(super) fn clean(name: &str) -> String {
    let replaced: String = name
        .trim()
        .chars()
        .map(|character| match character {
            ';' => ':',
            character if character.is_control() => ' ',
            character => character,
        })
        .collect();
    let mut name = replaced.trim().to_owned();
    // A number at the end would be taken for a weight.
    let is_number = |tail: &str| tail.chars().all(|digit| digit.is_ascii_digit() || digit == '.');
    if let Some(space) = name.rfind(' ').filter(|&space| is_number(&name[space + 1..])) {
        name.replace_range(space..=space, "_");
    }
    // Such a line would be taken for a comment.
    if name.starts_with("# ") {
        name.replace_range(1..2, "_");
    }
    if name.is_empty() { "?".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blame::What;
    use crate::export::names::Function;

    struct Plain;

    impl Names for Plain {
        fn functions(&mut self, _: &Stacks, frame: Frame) -> Vec<Function> {
            let names: &[&str] = match frame.address {
                1 => &["main"],
                2 => &["inlined", "outer<[u8; 4]>"],
                3 => &["again"],
                _ => &["a\nb 12"],
            };
            let function =
                |name: &&str| Function { name: (*name).to_owned(), file: None, line: None, is_named: true };
            names.iter().map(function).collect()
        }
    }

    fn stacks() -> Stacks {
        let frame = |caller, address| Some(Frame { caller: Stack(caller), module: None, address });
        let frames = vec![None, frame(0, 1), frame(1, 2), frame(2, 3), frame(3, 3), None, frame(5, 4)];
        Stacks { frames, ..Stacks::default() }
    }

    fn folded(unit: Unit, rows: &[(u32, f64)], merges: bool) -> Vec<String> {
        let row =
            |&(stack, weight): &(u32, f64)| Row { stack: Stack(stack), place: None, weight, error: 0.0 };
        let rows = rows.iter().map(row).collect();
        let blame = Blame { what: What::Bytes, unit, total: 0.0, left_out: 0.0, standard_error: None, rows };
        let stacks = stacks();
        let mut folder = Folder::new(&stacks, Plain).merging_recursion(merges);
        let lines = folder.fold(&blame, Scale::of_lines(unit));
        lines.into_iter().map(|(line, weight)| format!("{line} {weight}")).collect()
    }

    #[test]
    fn the_outermost_frame_is_first_and_what_is_inlined_is_further_in() {
        let lines = folded(Unit::Bytes, &[(2, 10.4), (0, 3.0), (1, 0.2), (5, 7.0)], false);
        assert_eq!(lines, ["[lost] 7", "[no stack] 3", "main;outer<[u8: 4]>;inlined 10"]);
    }

    #[test]
    fn recursion_is_merged_if_that_is_wanted() {
        let again = "main;outer<[u8: 4]>;inlined;again";
        let rows = [(3, 1.0), (4, 2.0)];
        assert_eq!(folded(Unit::Bytes, &rows, false), [format!("{again} 1"), format!("{again};again 2")]);
        assert_eq!(folded(Unit::Bytes, &rows, true), [format!("{again} 3")]);
    }

    #[test]
    fn what_would_be_read_as_something_else_is_replaced() {
        assert_eq!(folded(Unit::Bytes, &[(6, 5.0)], false), ["[lost];a b_12 5"]);
        assert_eq!(["", " # x", "f 1 2", "v 1.5"].map(clean), ["?", "#_x", "f 1_2", "v_1.5"]);
    }

    #[test]
    fn byte_seconds_are_written_in_thousandths_and_nothing_overflows() {
        assert_eq!(folded(Unit::ByteSeconds, &[(1, 1.5)], false), ["main 1500"]);
        let lines = folded(Unit::ByteSeconds, &[(1, 1e300), (2, 1e300)], false);
        let half = GREATEST / 2.0;
        assert_eq!(lines, [format!("main {half}"), format!("main;outer<[u8: 4]>;inlined {half}")]);
    }
}
