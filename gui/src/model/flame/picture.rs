//! A flamegraph that is there: its tree, what of it is looked at, and the rows of the table beside it.

use super::{Direction, Recipe};
use malloscope_replayer::blame::legend::{FunctionId, FunctionKind, Legend, Line};
use malloscope_replayer::blame::tree::{Amounts, Tree};
use malloscope_replayer::blame::{Blame, Unit};
use malloscope_replayer::report::units::percent;
use malloscope_traces::Stack;
use std::collections::HashSet;
use std::sync::Arc;

/// How many zooms can be gone back.
const REMEMBERED: usize = 256;
/// Modules that have a colour of their own; the others share one.
pub const COLOURS: usize = 6;

/// What a report says of the same thing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// All there was, whoever caused it: counted.
    pub counted: f64,
    /// What the filter leaves out.
    pub left_out: f64,
    /// By how much the sum of stacks is likely to be off, where they were sampled.
    pub error: Option<f64>,
    /// All there was in the second run.
    pub second: Option<f64>,
}

impl Totals {
    /// Of what one or two runs say.
    pub fn of(first: &Blame, second: Option<&Blame>) -> Totals {
        Totals {
            counted: first.total,
            left_out: first.left_out,
            error: first.standard_error,
            second: second.map(|second| second.total),
        }
    }
}

/// A flamegraph that is there.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What it is made of.
    pub recipe: Recipe,
    /// What its functions are called.
    pub legend: Arc<Legend>,
    /// The tree.
    pub tree: Arc<Tree>,
    /// What a report says.
    pub totals: Totals,
    /// The node that fills the width, and those that did before.
    zooms: Vec<u32>,
    /// The node that is looked at; the root is none.
    chosen: u32,
    /// Nodes whose rows are open.
    open: HashSet<u32>,
    /// The nodes of the rows that are shown.
    rows: Vec<u32>,
    /// Which functions are found, by their numbers; empty if nothing is searched for.
    found: Vec<bool>,
    /// How many nodes before each are found: there is one more than there are nodes.
    found_before: Vec<u32>,
    /// How many functions of the tree are found.
    functions_found: usize,
    /// How much of what is in view has them: a walk over the whole tree, and so not made in every frame.
    amount_found: Amounts,
    /// The modules by how much of the picture is theirs, the most first.
    modules: Vec<u32>,
    /// The colour of each module, by the modules' numbers.
    colours: Vec<usize>,
}

impl Picture {
    /// A flamegraph that nobody has looked at.
    pub fn new(recipe: Recipe, legend: Arc<Legend>, tree: Arc<Tree>, totals: Totals) -> Picture {
        let modules = modules(&legend, &tree);
        let mut colours = vec![COLOURS; legend.modules().len()];
        for (colour, module) in modules.iter().enumerate().take(COLOURS) {
            colours[*module as usize] = colour;
        }
        let mut picture = Picture {
            recipe,
            legend,
            tree,
            totals,
            zooms: Vec::new(),
            chosen: 0,
            open: HashSet::new(),
            rows: Vec::new(),
            found: Vec::new(),
            found_before: Vec::new(),
            functions_found: 0,
            amount_found: Amounts::default(),
            modules,
            colours,
        };
        picture.open_widest();
        picture
    }

    /// The node that fills the width.
    pub fn zoom(&self) -> u32 {
        self.zooms.last().copied().unwrap_or(0)
    }

    /// The node that is looked at; 0 if none is.
    pub fn chosen(&self) -> u32 {
        self.chosen
    }

    /// The nodes of the rows that are shown of the table.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Whether the row of a node is open.
    pub fn is_open(&self, node: u32) -> bool {
        self.open.contains(&node)
    }

    /// The names of the modules with a colour of their own, in the order of colours.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        let name = |module: &u32| self.legend.modules().get(*module as usize).map_or("?", String::as_str);
        self.modules.iter().take(COLOURS).map(name)
    }

    /// Whether there are modules that have no colour of their own.
    pub fn has_other_modules(&self) -> bool {
        self.modules.len() > COLOURS
    }

    /// The colour of a node's module; nothing where there is no function.
    pub fn colour(&self, node: u32) -> Option<usize> {
        match self.legend.get(self.function(node)).kind {
            FunctionKind::Note => None,
            FunctionKind::Named(module) | FunctionKind::Unnamed(module) => {
                let colour = module.and_then(|module| self.colours.get(module as usize));
                Some(colour.copied().unwrap_or(COLOURS))
            }
        }
    }

    /// The function of a node.
    pub fn function(&self, node: u32) -> FunctionId {
        self.tree.node(node).line.function
    }

    /// What a node is called.
    pub fn name(&self, node: u32) -> &str {
        if node == 0 { "all" } else { &self.legend.get(self.function(node)).name }
    }

    /// How much, in the unit it is counted in: of two runs, by how much the second is more.
    pub fn shown(&self, amounts: Amounts) -> String {
        let unit = self.unit();
        if self.tree.is_difference {
            unit.shown_signed(amounts.difference())
        } else {
            unit.shown(amounts.first)
        }
    }

    /// What amounts are counted in.
    pub fn unit(&self) -> Unit {
        self.tree.unit
    }

    /// The share of an amount in all; of two runs, what the difference is of the first run's all.
    pub fn share(&self, amounts: Amounts) -> f64 {
        let all = self.tree.root().total;
        let part = if self.tree.is_difference { amounts.difference() } else { amounts.first };
        let whole = if self.tree.is_difference { all.first.max(all.second) } else { all.first };
        if whole > 0.0 { part / whole } else { 0.0 }
    }

    /// The share in percent.
    pub fn percent(&self, amounts: Amounts) -> String {
        let share = self.share(amounts);
        if self.tree.is_difference { signed_percent(share) } else { format!("{:.1} %", share * 100.0) }
    }

    /// A node in one line: its name, how much, and the share.
    pub fn said(&self, node: u32) -> String {
        let total = self.tree.node(node).total;
        format!("{}, {}, {}", self.name(node), self.shown(total), self.percent(total))
    }

    /// Where in the source a node is, with a word where there are other lines too.
    pub fn source(&self, node: u32) -> Option<String> {
        let node = self.tree.node(node);
        let source = self.legend.source(&node.line)?;
        Some(if node.has_other_lines { format!("{source} and other lines") } else { source })
    }

    /// Whether anything is searched for.
    pub fn is_searched(&self) -> bool {
        !self.found.is_empty()
    }

    /// Whether any of these nodes is found.
    pub fn is_found(&self, first: u32, end: u32) -> bool {
        let before = |node: u32| self.found_before.get(node as usize).copied().unwrap_or(0);
        before(end) > before(first)
    }

    /// How much the stacks caused, of those in view, that have what is searched for, each counted once.
    pub fn found(&self) -> Amounts {
        self.amount_found
    }

    /// How many of the tree's functions are found.
    pub fn functions_found(&self) -> usize {
        self.functions_found
    }

    pub(crate) fn search(&mut self, text: &str) {
        (self.found, self.found_before, self.functions_found) = (Vec::new(), Vec::new(), 0);
        if text.trim().is_empty() {
            self.amount_found = Amounts::default();
            return;
        }
        self.found = self.legend.search(text);
        let (mut before, mut met) = (0, vec![false; self.found.len()]);
        self.found_before = Vec::with_capacity(self.tree.nodes().len() + 1);
        self.found_before.push(0);
        for (number, node) in self.tree.nodes().iter().enumerate() {
            let function = node.line.function.0 as usize;
            let is_found = number > 0 && self.found.get(function).copied().unwrap_or(false);
            if is_found && !std::mem::replace(&mut met[function], true) {
                self.functions_found += 1;
            }
            before += u32::from(is_found);
            self.found_before.push(before);
        }
        self.measure_found();
    }

    fn measure_found(&mut self) {
        if self.is_searched() {
            self.amount_found = self.tree.with(&self.found, self.zoom());
        }
    }

    pub(crate) fn zoom_to(&mut self, node: u32) {
        self.chosen = node;
        if node != self.zoom() {
            if self.zooms.len() >= REMEMBERED {
                self.zooms.remove(0);
            }
            self.zooms.push(node);
            self.measure_found();
        }
        self.open_to(node);
    }

    pub(crate) fn zoom_back(&mut self) {
        self.zooms.pop();
        self.measure_found();
    }

    pub(crate) fn choose(&mut self, node: u32) {
        self.chosen = node;
        self.open_to(node);
    }

    pub(crate) fn go(&mut self, direction: Direction) {
        let at = self.tree.node(self.chosen);
        let next = match direction {
            Direction::ToRoot => at.parent,
            Direction::FromRoot => at.children.clone().next().unwrap_or(self.chosen),
            Direction::Left => self.beside(|chosen| chosen.checked_sub(1)),
            Direction::Right => self.beside(|chosen| chosen.checked_add(1)),
        };
        if next != self.chosen {
            self.choose(next);
            // What is looked at is in view.
            if !self.tree.is_within(next, self.zoom()) {
                self.zoom_to(next);
            }
        }
    }

    fn beside(&self, step: impl Fn(u32) -> Option<u32>) -> u32 {
        let level = self.tree.level(self.tree.node(self.chosen).depth as usize);
        step(self.chosen).filter(|next| level.contains(next)).unwrap_or(self.chosen)
    }

    pub(crate) fn toggle(&mut self, node: u32) {
        if !self.open.remove(&node) {
            self.open.insert(node);
        }
        self.list();
    }

    /// Shows a stack: as much of it as the tree has.
    pub(crate) fn reveal(&mut self, stack: Stack) {
        let lines: Vec<Line> = self.legend.stack(stack);
        let mut functions: Vec<FunctionId> = lines.iter().map(|line| line.function).collect();
        if !self.recipe.shape.is_inverted {
            functions.reverse();
        }
        if self.recipe.shape.merges_recursion {
            functions.dedup();
        }
        // Nobody is above the function in focus.
        if let Some(focus) = self.recipe.shape.focus {
            functions = functions.into_iter().skip_while(|function| *function != focus).collect();
        }
        let node = self.tree.follow(functions);
        self.zoom_to(node);
    }

    /// Looks at what was looked at in another picture, as far as it is in this one.
    pub(crate) fn look_like(&mut self, other: &Picture) {
        let same_way = self.recipe.shape.is_inverted == other.recipe.shape.is_inverted
            && self.recipe.shape.focus == other.recipe.shape.focus;
        if !same_way || !Arc::ptr_eq(&self.legend, &other.legend) {
            return;
        }
        let here = |node: u32| {
            let path = other.tree.path(node);
            self.tree.follow(path.into_iter().map(|node| other.function(node)))
        };
        let (zoom, chosen) = (here(other.zoom()), here(other.chosen));
        if zoom != 0 {
            self.zooms = vec![zoom];
        }
        self.chosen = chosen;
        self.open_to(chosen);
    }

    /// Opens the rows above a node, so that its own is there.
    fn open_to(&mut self, node: u32) {
        self.open.insert(0);
        let path = self.tree.path(node);
        self.open.extend(path.iter().filter(|above| **above != node));
        self.list();
    }

    /// Opens the rows of what caused most, as far down as one thing caused nearly all.
    fn open_widest(&mut self) {
        const NEARLY_ALL: f64 = 0.6;
        let mut at = 0;
        loop {
            self.open.insert(at);
            let node = self.tree.node(at);
            let Some(child) = node.children.clone().next() else { break };
            if self.tree.node(child).width < node.width * NEARLY_ALL {
                break;
            }
            at = child;
        }
        self.list();
    }

    /// Lists the rows that are shown: those whose callers are all open.
    fn list(&mut self) {
        self.rows.clear();
        let mut next: Vec<u32> = vec![0];
        while let Some(node) = next.pop() {
            self.rows.push(node);
            if self.open.contains(&node) {
                next.extend(self.tree.node(node).children.clone().rev());
            }
        }
    }
}

/// A share in percent, with its sign.
fn signed_percent(share: f64) -> String {
    let sign = if share < 0.0 { "−" } else { "+" };
    format!("{sign}{:.1} %", share.abs() * 100.0)
}

/// The modules by how much of the picture is theirs, the most first.
fn modules(legend: &Legend, tree: &Tree) -> Vec<u32> {
    let mut area = vec![0.0; legend.modules().len()];
    for node in &tree.nodes()[1..] {
        let kind = legend.get(node.line.function).kind;
        if let FunctionKind::Named(Some(module)) | FunctionKind::Unnamed(Some(module)) = kind {
            area[module as usize] += node.width;
        }
    }
    let mut modules: Vec<(u32, f64)> = (0..).zip(area).filter(|(_, area)| *area > 0.0).collect();
    modules.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    modules.into_iter().map(|(module, _)| module).collect()
}

/// How many of the functions have no name, in percent; nothing if all have one.
pub fn unnamed(legend: &Legend) -> Option<String> {
    let (named, unnamed) = legend.named();
    let all = (named + unnamed) as u64;
    (unnamed > 0).then(|| percent(unnamed as u64, all))
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::tree;
    use super::*;

    /// 1 calls 2 and 3, 3 calls 5; 4 stands beside 1.
    fn picture() -> Picture {
        let frames = [(0, 1), (1, 2), (1, 3), (0, 4), (3, 5)];
        let (legend, tree) = tree(&frames, &[(2, 50.0), (5, 20.0), (4, 20.0), (1, 10.0)]);
        let totals = Totals { counted: 100.0, ..Totals::default() };
        Picture::new(Recipe::default(), Arc::new(legend), Arc::new(tree), totals)
    }

    fn rows(picture: &Picture) -> Vec<&str> {
        picture.rows().iter().map(|&node| picture.name(node)).collect()
    }

    #[test]
    fn rows_open_and_close_and_open_for_what_is_looked_at() {
        let mut picture = picture();
        assert_eq!(rows(&picture), ["all", "f1", "f2", "f3", "f4"]);
        picture.toggle(1);
        assert_eq!(rows(&picture), ["all", "f1", "f4"]);
        picture.reveal(Stack(5));
        assert_eq!(rows(&picture), ["all", "f1", "f2", "f3", "f5", "f4"]);
        assert_eq!((picture.name(picture.chosen()), picture.name(picture.zoom())), ("f5", "f5"));
        picture.zoom_back();
        assert_eq!(picture.zoom(), 0);
    }

    #[test]
    fn arrows_lead_from_node_to_node() {
        let mut picture = picture();
        let mut at = |direction| {
            picture.go(direction);
            picture.name(picture.chosen()).to_owned()
        };
        let way = [
            (Direction::FromRoot, "f1"),
            (Direction::Right, "f4"),
            (Direction::Right, "f4"),
            (Direction::Left, "f1"),
            (Direction::FromRoot, "f2"),
            (Direction::FromRoot, "f2"),
            (Direction::Right, "f3"),
            (Direction::ToRoot, "f1"),
            (Direction::ToRoot, "all"),
            (Direction::ToRoot, "all"),
        ];
        for (direction, name) in way {
            assert_eq!(at(direction), name, "{direction:?}");
        }
    }

    #[test]
    fn what_is_found_is_counted_in_what_is_in_view() {
        let mut picture = picture();
        picture.search("F");
        assert_eq!((picture.found().first, picture.functions_found()), (100.0, 5));
        picture.search("f5");
        assert_eq!(picture.percent(picture.found()), "20.0 %");
        assert_eq!(picture.name(5), "f5");
        assert!(picture.is_found(0, 6) && !picture.is_found(0, 5));
        picture.zoom_to(picture.tree.level(1).end - 1);
        assert_eq!(picture.found(), Amounts::default());
        picture.search(" ");
        assert!(!picture.is_searched() && !picture.is_found(0, 6));
    }

    #[test]
    fn another_picture_of_the_same_shows_the_same() {
        let mut one = picture();
        one.reveal(Stack(3));
        let mut other =
            Picture::new(Recipe::default(), Arc::clone(&one.legend), Arc::clone(&one.tree), one.totals);
        other.look_like(&one);
        assert_eq!((other.zoom(), other.chosen()), (one.zoom(), one.chosen()));
        assert!(other.zoom() != 0);
    }
}
