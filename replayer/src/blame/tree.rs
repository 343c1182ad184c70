//! All that stacks are to blame for as one tree of calls: what a flamegraph paints and a tree table lists.
//!
//! The root is everything, and the children of a node are what it called, those that caused most first; or,
//! turned round ([`Shape::is_inverted`]), the root's children are the innermost functions, and below each
//! are its callers. Nodes lie in the order of their levels, and within a level from left to right, so that
//! a level is a range of numbers in which a place is found by bisection, and every child has a greater
//! number than its parent.
//!
//! Two runs of one trace make one tree: a node then has an amount of each ([`Amounts`]), and is as wide as
//! the greater of its parts, so that what only one of them has is not lost.

use super::growing::Growing;
use super::legend::{FunctionId, Legend, Line};
use super::{Blame, Unit, What};
use std::ops::{AddAssign, Range};

/// How stacks are put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Whether the innermost functions are at the root, and below each are its callers.
    pub is_inverted: bool,
    /// Whether a function that calls itself stands in a stack once.
    pub merges_recursion: bool,
    /// Only stacks with this function count: what it called or, inverted, who called it.
    pub focus: Option<FunctionId>,
    /// Stacks with one of these functions do not count.
    pub hidden: Vec<FunctionId>,
}

/// How much of something, in one run or in two.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amounts {
    /// In the first.
    pub first: f64,
    /// In the second; 0 if there is none.
    pub second: f64,
}

impl Amounts {
    /// By how much the second is more than the first.
    pub fn difference(self) -> f64 {
        self.second - self.first
    }

    pub(super) fn greater(self) -> f64 {
        self.first.max(self.second)
    }
}

impl AddAssign for Amounts {
    fn add_assign(&mut self, other: Amounts) {
        self.first += other.first;
        self.second += other.second;
    }
}

/// A function, called the way that leads to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where in the function: of several lines the one that caused most. The root's means nothing.
    pub line: Line,
    /// Whether there are several.
    pub has_other_lines: bool,
    /// The number of the node above it. The root's is its own.
    pub parent: u32,
    /// The numbers of the nodes below it.
    pub children: Range<u32>,
    /// How many levels it is below the root.
    pub depth: u32,
    /// What it caused, with all below it.
    pub total: Amounts,
    /// What it caused itself: the stacks that end here.
    pub own: Amounts,
    /// Where it begins in the picture, in the blame's unit.
    pub start: f64,
    /// How wide it is there. All below it has room in that, from the left.
    pub width: f64,
}

impl Node {
    /// Where it ends in the picture.
    pub fn end(&self) -> f64 {
        self.start + self.width
    }
}

/// A tree of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Of what.
    pub what: What,
    /// What the amounts count.
    pub unit: Unit,
    /// Whether there are two runs.
    pub is_difference: bool,
    /// Whether the innermost functions are at the root. What a node caused itself ([`Node::own`]) is then
    /// what nobody outside it is known for.
    pub is_inverted: bool,
    /// What the shape left out: stacks with functions that are hidden, or without the one in focus.
    pub left_out: Amounts,
    /// In the order of their levels. The first is the root.
    pub(super) nodes: Vec<Node>,
    /// The nodes of each level. The first level is the root's alone.
    pub(super) levels: Vec<Range<u32>>,
}

impl Tree {
    /// Puts together what stacks are to blame for, in one run or in two of one trace.
    pub fn of(legend: &Legend, first: &Blame, second: Option<&Blame>, shape: &Shape) -> Tree {
        let mut growing = Growing::new(legend, shape);
        for row in &first.rows {
            growing.add(row, Amounts { first: row.weight, second: 0.0 });
        }
        for row in second.iter().flat_map(|second| &second.rows) {
            growing.add(row, Amounts { first: 0.0, second: row.weight });
        }
        growing.finish(first.what, first.unit, second.is_some())
    }

    /// The root: everything.
    pub fn root(&self) -> &Node {
        &self.nodes[0]
    }

    /// The node of a number; the root if there is none.
    pub fn node(&self, number: u32) -> &Node {
        self.nodes.get(number as usize).unwrap_or(&self.nodes[0])
    }

    /// All nodes, those above others before them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How many levels there are, with the root's.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// The numbers of the nodes of a level, from left to right; none where it is too deep.
    pub fn level(&self, depth: usize) -> Range<u32> {
        self.levels.get(depth).cloned().unwrap_or(0..0)
    }

    /// The numbers of the nodes from below the root to this one.
    pub fn path(&self, number: u32) -> Vec<u32> {
        let above = |number: &u32| Some(self.node(*number).parent);
        let mut path: Vec<u32> =
            std::iter::successors(Some(number), above).take_while(|&number| number != 0).collect();
        path.reverse();
        path
    }

    /// The node that is reached from the root through these functions, as far as there is one.
    pub fn follow(&self, functions: impl IntoIterator<Item = FunctionId>) -> u32 {
        let mut at = 0;
        for function in functions {
            let below = self.node(at).children.clone();
            let Some(next) = below.into_iter().find(|&child| self.node(child).line.function == function)
            else {
                break;
            };
            at = next;
        }
        at
    }

    /// Whether a node is another, or somewhere below it.
    pub fn is_within(&self, number: u32, above: u32) -> bool {
        let mut at = number;
        while self.node(at).depth > self.node(above).depth {
            at = self.node(at).parent;
        }
        at == above
    }

    /// How much the stacks through a node caused that have a function that is wanted: a stack counts once,
    /// however many of its functions are. `wanted` is by the functions' numbers.
    pub fn with(&self, wanted: &[bool], through: u32) -> Amounts {
        let is_wanted = |node: &Node| wanted.get(node.line.function.0 as usize).copied().unwrap_or(false);
        if self.path(through).into_iter().any(|number| is_wanted(self.node(number))) {
            return self.node(through).total;
        }
        let mut sum = Amounts::default();
        // What is below a node is a range in every level, and of the level above it is known what counts.
        let (mut level, mut above, mut counted) = (through..through + 1, 0, Vec::new());
        while !level.is_empty() {
            let mut counts_here = Vec::with_capacity(level.len());
            for number in level.clone() {
                let node = self.node(number);
                let place = node.parent.checked_sub(above).map_or(usize::MAX, |place| place as usize);
                let is_counted = number != through && counted.get(place).copied().unwrap_or(false);
                let is_found = number != through && !is_counted && is_wanted(node);
                if is_found {
                    sum += node.total;
                }
                counts_here.push(is_counted || is_found);
            }
            (above, counted) = (level.start, counts_here);
            level = self.below(&level);
        }
        sum
    }

    /// The nodes below those of a range of one level: a range of the next.
    pub fn below(&self, range: &Range<u32>) -> Range<u32> {
        match (self.nodes.get(range.start as usize), range.end.checked_sub(1)) {
            (Some(first), Some(last)) if !range.is_empty() => {
                first.children.start..self.node(last).children.end
            }
            _ => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blame::Row;
    use crate::blame::fold::{self, Folder, Scale};
    use crate::export::names::{Function, Names};
    use malloscope_traces::stacks::{Frame, Module, ModuleId};
    use malloscope_traces::{Stack, Stacks};

    /// Names addresses by letters; at every eleventh a function was inlined.
    #[derive(Clone, Copy)]
    struct Letters;

    impl Names for Letters {
        fn functions(&mut self, _: &Stacks, frame: Frame) -> Vec<Function> {
            let letter = char::from(b'a' + u8::try_from(frame.address % 26).unwrap());
            let mut names = vec![letter.to_string()];
            if frame.address.is_multiple_of(11) {
                names.insert(0, format!("{letter}_inlined"));
            }
            let line = u32::try_from(frame.address).ok();
            let function = |name| Function { name, file: Some("a.c".to_owned()), line, is_named: true };
            names.into_iter().map(function).collect()
        }
    }

    fn stacks(frames: &[(u32, u64)]) -> Stacks {
        let module = Module { path: "/bin/app".to_owned(), ..Module::default() };
        let frame = |&(caller, address): &(u32, u64)| {
            let frame = Frame { caller: Stack(caller), module: Some(ModuleId(0)), address };
            // A frame at 0 is lost.
            (address > 0).then_some(frame)
        };
        let frames = std::iter::once(None).chain(frames.iter().map(frame)).collect();
        Stacks { capture: None, modules: vec![module], frames }
    }

    fn blame(rows: &[(u32, f64)]) -> Blame {
        let row =
            |&(stack, weight): &(u32, f64)| Row { stack: Stack(stack), place: None, weight, error: 0.0 };
        let total = rows.iter().map(|row| row.1).sum();
        let rows = rows.iter().map(row).collect();
        Blame { what: What::Bytes, unit: Unit::Bytes, total, left_out: 0.0, standard_error: None, rows }
    }

    fn shown(legend: &Legend, tree: &Tree) -> Vec<String> {
        let name = |&number: &u32| legend.get(tree.node(number).line.function).name.clone();
        let line = |number: u32| {
            let names: Vec<String> = tree.path(number).iter().map(name).collect();
            let node = tree.node(number);
            format!("{} {} {}", names.join(";"), node.total.first, node.own.first)
        };
        (1..).zip(&tree.nodes()[1..]).map(|(number, _)| line(number)).collect()
    }

    /// a calls b, and that b and c; c calls a.
    const FRAMES: [(u32, u64); 5] = [(0, 26), (1, 27), (2, 27 + 26), (2, 28), (4, 26)];

    fn shaped(rows: &[(u32, f64)], shape: impl Fn(&Legend) -> Shape) -> (Vec<String>, f64) {
        let legend = Legend::of(&stacks(&FRAMES), Letters);
        let tree = Tree::of(&legend, &blame(rows), None, &shape(&legend));
        (shown(&legend, &tree), tree.left_out.first)
    }

    fn called(legend: &Legend, name: &str) -> FunctionId {
        let found = legend.functions().iter().position(|function| function.name == name);
        FunctionId(u32::try_from(found.unwrap()).unwrap())
    }

    const ROWS: [(u32, f64); 5] = [(5, 50.0), (3, 30.0), (4, 10.0), (0, 7.0), (1, 3.0)];

    #[test]
    fn what_was_called_is_below_its_caller_and_the_most_is_on_the_left() {
        let expected =
            ["a 93 3", "[no stack] 7 7", "a;b 90 0", "a;b;c 60 10", "a;b;b 30 30", "a;b;c;a 50 50"];
        assert_eq!(shaped(&ROWS, |_| Shape::default()), (expected.map(str::to_owned).into(), 0.0));
    }

    #[test]
    fn recursion_is_merged() {
        let (lines, _) = shaped(&ROWS, |_| Shape { merges_recursion: true, ..Shape::default() });
        assert_eq!(lines, ["a 93 3", "[no stack] 7 7", "a;b 90 30", "a;b;c 60 10", "a;b;c;a 50 50"]);
    }

    #[test]
    fn turned_round_every_function_has_its_callers_below() {
        let (lines, _) = shaped(&ROWS, |_| Shape { is_inverted: true, ..Shape::default() });
        let expected = [
            "a 53 3",
            "b 30 0",
            "c 10 0",
            "[no stack] 7 7",
            "a;c 50 0",
            "b;b 30 0",
            "c;b 10 0",
            "a;c;b 50 0",
            "b;b;a 30 30",
            "c;b;a 10 10",
            "a;c;b;a 50 50",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn only_stacks_with_the_function_in_focus_count() {
        let focus = |legend: &Legend| Shape { focus: Some(called(legend, "c")), ..Shape::default() };
        assert_eq!(shaped(&ROWS, focus), (vec!["c 60 10".to_owned(), "c;a 50 50".to_owned()], 40.0));
        let callers = |legend: &Legend| Shape { is_inverted: true, ..focus(legend) };
        let expected = ["c 60 0", "c;b 60 0", "c;b;a 60 60"].map(str::to_owned).to_vec();
        assert_eq!(shaped(&ROWS, callers), (expected, 40.0));
    }

    #[test]
    fn stacks_with_a_hidden_function_do_not_count() {
        let hide = |legend: &Legend| Shape { hidden: vec![called(legend, "c")], ..Shape::default() };
        let expected = ["a 33 3", "[no stack] 7 7", "a;b 30 0", "a;b;b 30 30"];
        assert_eq!(shaped(&ROWS, hide), (expected.map(str::to_owned).into(), 60.0));
    }

    #[test]
    fn a_stack_with_several_that_are_wanted_counts_once() {
        let legend = Legend::of(&stacks(&FRAMES), Letters);
        for is_inverted in [false, true] {
            let shape = Shape { is_inverted, ..Shape::default() };
            let tree = Tree::of(&legend, &blame(&ROWS), None, &shape);
            let found = |text, through| tree.with(&legend.search(text), through).first;
            let texts = ["B", "NO ST", "nowhere", " "];
            assert_eq!(texts.map(|text| found(text, 0)), [90.0, 7.0, 0.0, 0.0]);
            assert_eq!(found("app", 0), 93.0, "the module's name counts too");
        }
        let tree = Tree::of(&legend, &blame(&ROWS), None, &Shape::default());
        let c = tree.follow(["a", "b", "c"].map(|name| called(&legend, name)));
        assert_eq!((tree.node(c).total.first, tree.with(&legend.search("b"), c).first), (60.0, 60.0));
        assert!(tree.is_within(c, 1) && !tree.is_within(1, c) && tree.is_within(c, c));
    }

    #[test]
    fn two_runs_are_one_tree_in_which_nothing_is_lost() {
        let legend = Legend::of(&stacks(&FRAMES), Letters);
        let (before, after) = (blame(&[(3, 30.0), (1, 3.0)]), blame(&[(5, 50.0), (3, 10.0)]));
        let tree = Tree::of(&legend, &before, Some(&after), &Shape::default());
        assert_eq!(tree.root().total, Amounts { first: 33.0, second: 60.0 });
        assert_eq!(tree.root().width, 30.0 + 3.0 + 50.0);
        let b = tree.follow(["a", "b", "b"].map(|name| called(&legend, name)));
        assert_eq!((tree.node(b).total.difference(), tree.node(b).width), (-20.0, 30.0));
    }

    #[test]
    fn a_function_with_several_lines_says_so() {
        let legend = Legend::of(&stacks(&[(0, 26), (0, 52)]), Letters);
        let tree = Tree::of(&legend, &blame(&[(2, 9.0), (1, 4.0)]), None, &Shape::default());
        let node = tree.node(1);
        assert_eq!(legend.source(&node.line).as_deref(), Some("a.c:52"));
        assert!(node.has_other_lines && tree.nodes().len() == 2);
    }

    /// A tree of calls that nobody has seen, parts of which are lost.
    fn random(seed: u64) -> (Stacks, Blame) {
        let mut random = seed;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let frames: Vec<(u32, u64)> =
            (1..200).map(|number| (u32::try_from(next(number)).unwrap(), next(12))).collect();
        let rows: Vec<(u32, f64)> =
            (0..120).map(|_| (u32::try_from(next(210)).unwrap(), next(1000) as f64)).collect();
        (stacks(&frames), blame(&rows))
    }

    #[test]
    fn a_tree_says_the_same_as_folded_stacks_and_loses_nothing() {
        for seed in 0..40 {
            let (stacks, blame) = random(seed);
            let legend = Legend::of(&stacks, Letters);
            for merges_recursion in [false, true] {
                let mut folder = Folder::new(&stacks, Letters).merging_recursion(merges_recursion);
                let folded = folder.fold(&blame, Scale::of_lines(Unit::Bytes));
                let shape = Shape { merges_recursion, ..Shape::default() };
                let tree = Tree::of(&legend, &blame, None, &shape);
                let lines = fold::of_tree(&tree, &legend, Scale::of_lines(Unit::Bytes));
                assert_eq!(lines, folded, "seed {seed}");
                assert_eq!(tree.root().total.first, blame.total);
                check_order(&tree);
                let inverted = Tree::of(&legend, &blame, None, &Shape { is_inverted: true, ..shape });
                assert_eq!(inverted.root().total, tree.root().total);
                check_order(&inverted);
            }
        }
    }

    /// Levels are in order, children are where their parents are, and no wider together.
    fn check_order(tree: &Tree) {
        assert_eq!(tree.levels.last().unwrap().end as usize, tree.nodes.len());
        for depth in 0..tree.depth() {
            let level = tree.level(depth);
            let (next, below) = (tree.level(depth + 1), tree.below(&level));
            assert!(next == below || next.is_empty() && below.is_empty(), "level {depth}");
            let mut end = 0.0;
            for number in level {
                let node = tree.node(number);
                assert!(node.start >= end && node.depth as usize == depth, "{node:?}");
                end = node.end();
                let parent = tree.node(node.parent);
                assert!(number == 0 || parent.children.contains(&number));
                assert!(node.start >= parent.start && node.end() <= parent.end(), "{node:?} {parent:?}");
                let sum: f64 = node.children.clone().map(|child| tree.node(child).total.first).sum();
                assert_eq!(sum + node.own.first, node.total.first);
            }
        }
    }

    #[test]
    fn a_stack_that_is_deep_beyond_belief_is_bounded_and_counts_all_the_same() {
        let frames: Vec<(u32, u64)> = (0..5000).map(|number| (number, 26 + u64::from(number) % 6)).collect();
        let legend = Legend::of(&stacks(&frames), Letters);
        let tree = Tree::of(&legend, &blame(&[(5000, 8.0), (4000, 2.0)]), None, &Shape::default());
        assert_eq!(tree.root().total.first, 10.0);
        assert!(tree.depth() < 3000, "{}", tree.depth());
    }
}
