//! The same as the picture, as a tree of rows that open and close.

use crate::app::command::{Command, Commands};
use crate::model::flame::FlameCommand;
use crate::model::flame::picture::Picture;
use crate::theme;
use crate::widgets::long_table::{Cell, Clicked, Column, LongTable};
use egui::{Ui, Visuals};

/// How much further in a function is than the one that called it, in points.
const INDENT: f32 = 10.0;
/// The same where it is nearly all that the other caused: long ways to where it branches stay in view.
const LITTLE_INDENT: f32 = 2.0;
/// How much is nearly all.
const NEARLY_ALL: f64 = 0.9;
/// What is further in would be out of view.
const MOST_INDENT: f32 = 160.0;

/// What the rows remember that is nobody else's business.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// What was looked at in the frame before.
    chosen: Option<u32>,
}

impl Rows {
    /// Shows the rows.
    pub fn ui(&mut self, ui: &mut Ui, picture: &Picture, commands: &mut Commands) {
        let columns = columns(picture);
        let is_new = self.chosen != Some(picture.chosen()) && picture.chosen() != 0;
        self.chosen = Some(picture.chosen());
        let is_looked_at = |node: &u32| *node == picture.chosen();
        let node = |row: usize| picture.rows().get(row).copied().unwrap_or(0);
        let table = LongTable {
            name: "Calls",
            columns: &columns,
            rows: picture.rows().len(),
            is_chosen: &|row| node(row) != 0 && is_looked_at(&node(row)),
            scroll_to: if is_new { picture.rows().iter().position(is_looked_at) } else { None },
            is_sortable: false,
        };
        let visuals = ui.visuals().clone();
        let clicked = table.show(ui, |row, column| cell(&visuals, picture, node(row), column));
        let command = match clicked {
            Some(Clicked::Triangle(row)) => Some(FlameCommand::Toggle(node(row))),
            Some(Clicked::Row(row)) => {
                // Where the user has clicked is in view already.
                self.chosen = Some(node(row));
                Some(FlameCommand::Choose(node(row)))
            }
            Some(Clicked::RowTwice(row)) => Some(FlameCommand::Zoom(node(row))),
            Some(Clicked::Title(_)) | None => None,
        };
        commands.extend(command.map(Command::Flame));
    }
}

fn columns(picture: &Picture) -> Vec<Column> {
    let number =
        |title: &str, meaning, width| Column { title: title.to_owned(), meaning, width, is_number: true };
    let mut columns = if picture.tree.is_difference {
        vec![
            number("Before", "What it and what it called caused under the recorded settings.", 84.0),
            number("After", "What it and what it called caused under the other settings.", 84.0),
            number("Change", "By how much the second is more: − is less.", 92.0),
        ]
    } else {
        vec![
            number("Total", "What it and what it called caused; the bar is the share in all.", 84.0),
            number("Share", "The total, in all.", 58.0),
            number("Self", "What it caused itself: the stacks that end in it.", 80.0),
        ]
    };
    if has_no_self(picture) {
        columns.pop();
    }
    columns.push(Column {
        title: "Function".to_owned(),
        meaning: "The function: below the one that called it, and further in; or, among callers, below the one that it called.",
        width: 180.0,
        is_number: false,
    });
    columns
}

/// Among callers, what is further in than the first has called it, and did nothing itself.
fn has_no_self(picture: &Picture) -> bool {
    picture.tree.is_inverted && !picture.tree.is_difference
}

fn cell(visuals: &Visuals, picture: &Picture, number: u32, column: usize) -> Cell {
    let node = picture.tree.node(number);
    let unit = picture.unit();
    let plain = |text| Cell { text, ..Cell::default() };
    match (column, picture.tree.is_difference) {
        (0, false) => Cell { share: Some(picture.share(node.total)), ..plain(picture.shown(node.total)) },
        (1, false) => plain(picture.percent(node.total)),
        (2, false) if !has_no_self(picture) => {
            Cell { is_weak: node.own.first <= 0.0, ..plain(picture.shown(node.own)) }
        }
        (0, true) => plain(unit.shown(node.total.first)),
        (1, true) => plain(unit.shown(node.total.second)),
        (2, true) => plain(unit.shown_signed(node.total.difference())),
        _ => {
            let colour = picture.colour(number).filter(|_| number != 0 && !picture.tree.is_difference);
            Cell {
                indent: indent(picture, number),
                is_open: (!node.children.is_empty()).then(|| picture.is_open(number)),
                colour: colour.map(|colour| theme::frame(visuals, colour, 2)),
                ..plain(picture.name(number).to_owned())
            }
        }
    }
}

/// How far in a function is.
fn indent(picture: &Picture, number: u32) -> f32 {
    let step = |&node: &u32| {
        let (node, caller) = (picture.tree.node(node), picture.tree.node(picture.tree.node(node).parent));
        if node.width >= caller.width * NEARLY_ALL { LITTLE_INDENT } else { INDENT }
    };
    picture.tree.path(number).iter().map(step).sum::<f32>().min(MOST_INDENT)
}
