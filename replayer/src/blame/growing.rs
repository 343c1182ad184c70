//! A tree of calls while it grows: each node under the number it was made with, found by its parent and
//! function.

use super::legend::{FunctionId, Legend, Line};
use super::tree::{Amounts, Node, Shape, Tree};
use super::{Row, Unit, What};
use malloscope_traces::Stack;
use std::collections::HashMap;
use std::ops::Range;

/// A tree that is turned round has a node for every function and everything that leads to it: many times
/// more than there are frames. Beyond so many, what would be further out is said of what is further in.
const MOST_INVERTED: usize = 1 << 20;

/// A node that is still being added to.
#[derive(Clone, Copy, Debug)]
struct Twig {
    line: Line,
    has_other_lines: bool,
    parent: u32,
    own: Amounts,
}

/// Where a stack leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// Nobody has asked yet.
    Unknown,
    /// Nowhere: it has a function that is hidden.
    Hidden,
    /// The function in focus was not met yet.
    OutOfFocus,
    /// This node, and where callers are wanted, the node of the function in focus.
    Node(u32, Option<u32>),
}

/// A tree while it grows.
pub(super) struct Growing<'a> {
    legend: &'a Legend,
    shape: &'a Shape,
    twigs: Vec<Twig>,
    known: HashMap<(u32, FunctionId), u32>,
    /// Where each stack leads to.
    reached: Vec<Reached>,
    left_out: Amounts,
}

impl<'a> Growing<'a> {
    /// Nothing but a root.
    pub(super) fn new(legend: &'a Legend, shape: &'a Shape) -> Growing<'a> {
        let root = Twig { line: legend.lost(), has_other_lines: false, parent: 0, own: Amounts::default() };
        Growing {
            legend,
            shape,
            twigs: vec![root],
            known: HashMap::new(),
            reached: vec![Reached::Unknown; legend.frames()],
            left_out: Amounts::default(),
        }
    }

    /// Adds what a stack caused. Those that caused most come first: a node's line is that of the first.
    pub(super) fn add(&mut self, row: &Row, amounts: Amounts) {
        if amounts.greater() <= 0.0 {
            return;
        }
        let mut reached = self.reach(row.stack);
        if let Some(place) = row.place {
            reached = self.step(reached, self.legend.place(place));
        }
        let node = match reached {
            Reached::Node(_, Some(node)) => Some(node),
            Reached::Node(node, None) if !self.wants_callers() => Some(node),
            _ => None,
        };
        match node {
            Some(node) => self.twigs[node as usize].own += amounts,
            None => self.left_out += amounts,
        }
    }

    /// Whether stacks end at the function in focus, seen from outside.
    fn wants_callers(&self) -> bool {
        self.shape.is_inverted && self.shape.focus.is_some()
    }

    fn reach(&mut self, stack: Stack) -> Reached {
        let mut way = Vec::new();
        let mut next = stack;
        let mut reached = loop {
            match self.reached.get(next.0 as usize) {
                Some(reached) if *reached != Reached::Unknown && !next.is_none() => break *reached,
                _ => {}
            }
            let Some((caller, _)) = self.legend.frame(next) else {
                let is_cut = !next.is_none();
                let line = if is_cut { Some(self.legend.lost()) } else { None };
                // Without any frame, there is no stack to speak of.
                let line = line.or_else(|| way.is_empty().then(|| self.legend.no_stack()));
                let outside = self.shape.focus.is_some() && !self.wants_callers();
                let root = if outside { Reached::OutOfFocus } else { Reached::Node(0, None) };
                break line.map_or(root, |line| self.step(root, line));
            };
            way.push(next);
            next = caller;
        };
        let legend = self.legend;
        while let Some(stack) = way.pop() {
            let lines = legend.frame(stack).map_or(&[][..], |(_, lines)| lines);
            for &line in lines.iter().rev() {
                reached = self.step(reached, line);
            }
            self.reached[stack.0 as usize] = reached;
        }
        reached
    }

    /// One function further in.
    fn step(&mut self, from: Reached, line: Line) -> Reached {
        if self.shape.hidden.contains(&line.function) {
            return Reached::Hidden;
        }
        let is_focus = self.shape.focus == Some(line.function);
        match from {
            Reached::Node(parent, end) => {
                let node = self.descend(parent, line, self.shape.merges_recursion);
                let end = if is_focus && self.wants_callers() { Some(node) } else { end };
                Reached::Node(node, end)
            }
            Reached::OutOfFocus if is_focus => Reached::Node(self.descend(0, line, false), None),
            other => other,
        }
    }

    /// The node of a function below another, which is made if it is not there.
    fn descend(&mut self, parent: u32, line: Line, merges: bool) -> u32 {
        if merges && parent != 0 && self.twigs[parent as usize].line.function == line.function {
            return parent;
        }
        // No more than there are frames and functions inlined at them.
        let next = u32::try_from(self.twigs.len()).unwrap_or(u32::MAX);
        let node = *self.known.entry((parent, line.function)).or_insert(next);
        if node == next {
            self.twigs.push(Twig { line, has_other_lines: false, parent, own: Amounts::default() });
        } else if self.twigs[node as usize].line != line {
            self.twigs[node as usize].has_other_lines = true;
        }
        node
    }

    /// The same with the innermost functions at the root. Those that caused most are turned first.
    fn inverted(self) -> Growing<'a> {
        let mut turned = Growing { left_out: self.left_out, ..Growing::new(self.legend, self.shape) };
        let with_own = |twig: &u32| self.twigs[*twig as usize].own.greater() > 0.0;
        let all = u32::try_from(self.twigs.len()).unwrap_or(u32::MAX);
        let mut twigs: Vec<u32> = (0..all).filter(with_own).collect();
        twigs.sort_by(|a, b| {
            let own = |twig: &u32| self.twigs[*twig as usize].own.greater();
            own(b).total_cmp(&own(a)).then(a.cmp(b))
        });
        for twig in twigs {
            let (mut at, mut next) = (0, twig);
            while next != 0 {
                let Twig { line, parent, .. } = self.twigs[next as usize];
                let is_full = turned.twigs.len() >= MOST_INVERTED;
                if is_full && !turned.known.contains_key(&(at, line.function)) {
                    break;
                }
                at = turned.descend(at, line, false);
                turned.twigs[at as usize].has_other_lines |= self.twigs[next as usize].has_other_lines;
                next = parent;
            }
            turned.twigs[at as usize].own += self.twigs[twig as usize].own;
        }
        turned
    }

    /// The tree.
    pub(super) fn finish(self, what: What, unit: Unit, is_difference: bool) -> Tree {
        let left_out = self.left_out;
        let is_inverted = self.shape.is_inverted;
        let grown = if is_inverted { self.inverted() } else { self };
        let (nodes, levels) = ordered(&grown.twigs);
        Tree { what, unit, is_difference, is_inverted, left_out, nodes, levels }
    }
}

/// The nodes in the order of their levels, and what of them each level is.
fn ordered(twigs: &[Twig]) -> (Vec<Node>, Vec<Range<u32>>) {
    let mut totals: Vec<Amounts> = twigs.iter().map(|twig| twig.own).collect();
    let mut widths: Vec<f64> = totals.iter().map(|own| own.greater()).collect();
    // Whoever calls was made first.
    for number in (1..twigs.len()).rev() {
        let parent = twigs[number].parent as usize;
        let (total, width) = (totals[number], widths[number]);
        totals[parent] += total;
        widths[parent] += width;
    }
    let below = Below::of(twigs, &widths);
    let mut nodes: Vec<Node> = Vec::with_capacity(twigs.len());
    nodes.push(node(&twigs[0], 0, 0, 0.0, (totals[0], widths[0])));
    // Which twig a node was.
    let mut was = vec![0_u32];
    let mut levels = Vec::new();
    let mut level = 0..nodes.len();
    while !level.is_empty() {
        levels.push(number(level.start)..number(level.end));
        for place in level.clone() {
            let begin = number(nodes.len());
            let mut start = nodes[place].start;
            for &twig in below.of_twig(was[place]) {
                let of = twig as usize;
                let depth = nodes[place].depth + 1;
                // A sum of parts may be a hair more than the whole.
                let width = widths[of].min(nodes[place].end() - start).max(0.0);
                let mut made = node(&twigs[of], number(place), depth, start, (totals[of], width));
                made.start = start.min(nodes[place].end());
                start = made.end();
                nodes.push(made);
                was.push(twig);
            }
            nodes[place].children = begin..number(nodes.len());
        }
        level = level.end..nodes.len();
    }
    (nodes, levels)
}

fn node(twig: &Twig, parent: u32, depth: u32, start: f64, (total, width): (Amounts, f64)) -> Node {
    Node {
        line: twig.line,
        has_other_lines: twig.has_other_lines,
        parent,
        children: 0..0,
        depth,
        total,
        own: twig.own,
        start,
        width,
    }
}

/// What is below each twig, the widest first.
struct Below {
    twigs: Vec<u32>,
    begins: Vec<usize>,
}

impl Below {
    fn of(twigs: &[Twig], widths: &[f64]) -> Below {
        let mut sorted: Vec<u32> =
            (1..number(twigs.len())).filter(|twig| widths[*twig as usize] > 0.0).collect();
        let key = |twig: &u32| (twigs[*twig as usize].parent, twigs[*twig as usize].line.function);
        sorted.sort_unstable_by(|a, b| {
            let (parent, function) = key(a);
            let (other_parent, other) = key(b);
            let width = |twig: &u32| widths[*twig as usize];
            parent.cmp(&other_parent).then(width(b).total_cmp(&width(a))).then(function.cmp(&other))
        });
        let mut begins = vec![0; twigs.len() + 1];
        for twig in &sorted {
            begins[twigs[*twig as usize].parent as usize + 1] += 1;
        }
        for place in 1..begins.len() {
            begins[place] += begins[place - 1];
        }
        Below { twigs: sorted, begins }
    }

    fn of_twig(&self, twig: u32) -> &[u32] {
        &self.twigs[self.begins[twig as usize]..self.begins[twig as usize + 1]]
    }
}

/// The number of a node; there are fewer than 2³².
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
