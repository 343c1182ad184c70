//! A tree of calls as a table: what is below a function is further in.

use super::{Column, Section, Table};
use crate::blame::legend::{Legend, Line};
use crate::blame::tree::Tree;
use crate::excerpt::Excerpt;

/// A function is no further in than the one above it if it is so much of it: long ways stay in view.
const NEARLY_ALL: f64 = 0.9;

/// Where in the source a line is, and what stands there, where the file is at hand.
fn source(legend: &Legend, line: &Line) -> String {
    let Some(place) = legend.source(line) else { return String::new() };
    let place = place.rsplit('/').next().unwrap_or(&place).to_owned();
    let text = legend.place_in_source(line).and_then(|(file, line)| Excerpt::read(file, line?, 0).ok());
    text.map_or(place.clone(), |excerpt| format!("{place}  {}", excerpt.text().trim_start()))
}

/// The rows of functions that caused this share of all, and of what called them. Numbers are in the
/// tree's unit; `title` stands above. With `shows_source`, what stands in the source.
pub fn section(tree: &Tree, legend: &Legend, title: &str, least_share: f64, shows_source: bool) -> Section {
    let column = |name: &str, is_number| Column { name: name.to_owned(), is_number };
    let mut columns =
        vec![column("total", true), column("share", true), column("self", true), column("function", false)];
    if shows_source {
        columns.push(column("source", false));
    }
    let all = tree.root().total.first;
    let mut rows = Vec::new();
    let mut next = vec![(0, 0)];
    let mut left_out = 0_u64;
    while let Some((number, indent)) = next.pop() {
        let node = tree.node(number);
        let share = if all > 0.0 { node.total.first / all } else { 0.0 };
        if share < least_share {
            left_out += 1;
            continue;
        }
        let name = if number == 0 { "all" } else { &legend.get(node.line.function).name };
        let mut row = vec![
            tree.unit.shown(node.total.first),
            format!("{:.1} %", share * 100.0),
            tree.unit.shown(node.own.first),
            format!("{}{name}", "  ".repeat(indent)),
        ];
        let source = || if number == 0 { String::new() } else { source(legend, &node.line) };
        row.extend(shows_source.then(source));
        rows.push(row);
        // The widest is on top.
        next.extend(node.children.clone().rev().map(|child| {
            let is_nearly_all = tree.node(child).total.first >= node.total.first * NEARLY_ALL;
            (child, indent + usize::from(!is_nearly_all || number == 0))
        }));
    }
    if tree.is_inverted {
        // Whoever asked for memory is at the left: what is further in has called it, and did nothing itself.
        columns.remove(2);
        rows.iter_mut().for_each(|row| drop(row.remove(2)));
    }
    let mut notes = vec!["A function that is nearly all of the one above it is no further in.".to_owned()];
    if !tree.is_inverted {
        notes.push("total: with all that it called; self: the stacks that end in it.".to_owned());
    }
    if left_out > 0 {
        notes.push(format!(
            "{left_out} functions below these caused less than {:.1} % each: see `--least`.",
            least_share * 100.0
        ));
    }
    Section { title: title.to_owned(), lines: Vec::new(), table: Some(Table { columns, rows }), notes }
}
