//! The bins: what each of them did over the records as a heat map, and all in all as a table.

mod chosen;
mod heat;

use crate::app::command::{Command, Commands};
use crate::model::bins::{BinLine, Column};
use crate::model::heat::{Heat, Measure};
use crate::model::runs::RunId;
use crate::model::{Model, Replayed};
use crate::theme;
use crate::widgets::cells::Cells;
use crate::widgets::table::{self, Cell, Clicked, Table};
use egui::{Color32, Panel, RichText, ScrollArea, Ui};
use malloscope_replayer::filter::{Filter, Places};
use std::sync::Arc;

/// How wide the part about one bin is.
const CHOSEN: f32 = 264.0;
/// With less width than this it stands below.
const LEAST_BESIDE: f32 = 640.0;

/// How the bins are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shape {
    /// Over the records.
    #[default]
    HeatMap,
    /// All in all.
    Table,
}

/// A bin that was clicked, and in which records.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chosen {
    bin: String,
    records: (u64, u64),
}

/// What the picture was painted from; it is shared, so that nothing else is ever taken for it.
#[derive(Clone, Debug)]
struct Painted {
    heat: Arc<Heat>,
    measure: Measure,
    columns: usize,
    /// What colours fade into.
    ground: Color32,
}

impl PartialEq for Painted {
    fn eq(&self, other: &Painted) -> bool {
        Arc::ptr_eq(&self.heat, &other.heat)
            && (self.measure, self.columns, self.ground) == (other.measure, other.columns, other.ground)
    }
}

/// What the view of the bins remembers.
#[derive(Clone, Debug, Default)]
pub struct BinsView {
    shape: Shape,
    measure: Measure,
    chosen: Option<Chosen>,
    cells: Cells<Painted>,
    /// Where a selection of records was begun.
    dragged_from: Option<f64>,
}

impl BinsView {
    /// Shows the bins of the run that was chosen.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        ui.horizontal_wrapped(|ui| self.bar(ui, model, commands));
        let Some(replayed) = model.shown() else { return };
        if replayed.bins.is_empty() {
            ui.label("No bin was looked into: nothing was asked for.");
            return;
        }
        if self.chosen.is_some() {
            let is_beside = ui.available_width() >= LEAST_BESIDE;
            let panel = if is_beside {
                Panel::right("chosen bin").exact_size(CHOSEN)
            } else {
                Panel::bottom("chosen bin").exact_size(ui.available_height() * 0.45)
            };
            panel.frame(egui::Frame::NONE.inner_margin(theme::GAP)).show(ui, |ui| {
                let area = ScrollArea::vertical().id_salt("chosen bin").auto_shrink(false);
                area.show(ui, |ui| self.chosen(ui, model, replayed, commands));
            });
        }
        let before = self.chosen.clone();
        match self.shape {
            Shape::HeatMap => self.heat(ui, model, replayed, commands),
            Shape::Table => self.table(ui, model, replayed, commands),
        }
        if self.chosen != before {
            commands.extend(self.filter(model, replayed).map(Command::Filter));
        }
    }

    /// The filter that lets through what the chosen bin served. Places are those under the recorded settings.
    fn filter(&self, model: &Model, replayed: &Replayed) -> Option<Filter> {
        let chosen = self.chosen.as_ref().filter(|_| model.runs.shown().id == RunId::RECORDED)?;
        let bin = replayed.heat.rows.iter().find(|row| row.name == chosen.bin)?;
        let places = Places::of_bin(&bin.row.kind, bin.row.number)?;
        Some(Filter { places: Some(places), ..model.filter })
    }

    /// All bins in rows, of which one can be chosen.
    fn table(&mut self, ui: &mut Ui, model: &Model, replayed: &Replayed, commands: &mut Commands) {
        let sorted = model.sorting.sorted(&replayed.bins);
        let is_chosen =
            |line: &&BinLine| self.chosen.as_ref().is_some_and(|chosen| chosen.bin == line.name());
        let chosen = sorted.iter().position(is_chosen);
        let rows = sorted.iter().map(|line| row(line)).collect();
        let columns = Column::ALL.map(|column| heading(model, column)).into();
        let table = Table { name: "Bins", columns, rows };
        // Where the window is narrower than the numbers, they move aside.
        let across = ScrollArea::horizontal().id_salt("across").auto_shrink(false);
        match across.show(ui, |ui| table.show_scrolled(ui, chosen)).inner {
            Some(Clicked::Title(place)) => commands.push(Command::Sort(Column::ALL[place])),
            Some(Clicked::Row(row)) if chosen == Some(row) => self.close(model, commands),
            Some(Clicked::Row(row)) => {
                let bin = sorted[row].name();
                self.chosen = Some(Chosen { bin, records: replayed.heat.extent() });
            }
            None => {}
        }
    }

    /// Chooses none any more; all count again.
    fn close(&mut self, model: &Model, commands: &mut Commands) {
        self.chosen = None;
        commands.push(Command::Filter(Filter { places: None, ..model.filter }));
    }

    fn bar(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        for (shape, name, meaning) in [
            (Shape::HeatMap, "Heat map", "What each bin did over the records."),
            (Shape::Table, "Table", "What each bin did all in all."),
        ] {
            ui.selectable_value(&mut self.shape, shape, name).on_hover_text(meaning);
        }
        if model.runs.drawn().count() > 1 {
            ui.separator();
            for (run, _) in model.runs.drawn() {
                if ui.selectable_label(model.runs.shown().id == run.id, &run.name).clicked() {
                    commands.push(Command::Show(run.id));
                }
            }
        }
        if self.shape == Shape::HeatMap {
            ui.separator();
            for measure in Measure::ALL {
                ui.selectable_value(&mut self.measure, measure, measure.name())
                    .on_hover_text(measure.meaning());
            }
            ui.separator();
            heat::legend(ui, self.measure);
        }
    }
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

fn weak(text: impl Into<String>) -> RichText {
    RichText::new(text).weak()
}
