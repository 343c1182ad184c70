//! The table of bins.

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::bins::{BinLine, Column};
use crate::theme;
use crate::widgets::table::{self, Cell, Table};
use egui::{RichText, ScrollArea, Ui};

/// Shows the bins of the run that was chosen.
pub fn ui(ui: &mut Ui, model: &Model, commands: &mut Commands) {
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new("Bins").strong());
        if model.runs.drawn().count() > 1 {
            ui.add_space(theme::GAP);
            for (run, _) in model.runs.drawn() {
                if ui.selectable_label(model.runs.shown().id == run.id, &run.name).clicked() {
                    commands.push(Command::Show(run.id));
                }
            }
        }
    });
    let Some(replayed) = model.shown() else { return };
    if replayed.bins.is_empty() {
        ui.label("No bin was looked into: nothing was asked for.");
        return;
    }
    let rows = model.sorting.sorted(&replayed.bins).into_iter().map(row).collect();
    let columns = Column::ALL.map(|column| heading(model, column)).into();
    let table = Table { name: "Bins", columns, rows };
    // Where the window is narrower than the numbers, they move aside.
    let across = ScrollArea::horizontal().id_salt("across").auto_shrink(false);
    let clicked = across.show(ui, |ui| table.show_scrolled(ui)).inner;
    commands.extend(clicked.map(|place| Command::Sort(Column::ALL[place])));
}

fn heading(model: &Model, column: Column) -> table::Column {
    let mark = match model.sorting.by == column {
        true if model.sorting.descending => " ▼",
        true => " ▲",
        false => "",
    };
    table::Column {
        title: format!("{}{mark}", column.title()),
        meaning: column.meaning(),
        is_number: column.is_number(),
    }
}

fn row(line: &BinLine) -> Vec<Cell> {
    let cell = |column: Column| Cell {
        text: line.cell(column),
        share: (column == Column::HitRate).then(|| line.hit_rate()),
        is_weak: column == Column::Sizes,
    };
    Column::ALL.map(cell).into()
}
