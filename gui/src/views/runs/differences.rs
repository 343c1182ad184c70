//! What the runs that are drawn have more or less than the one they are measured against.

use crate::model::differences::{DifferenceRow, Differences};
use crate::model::runs::Runs;
use crate::theme;
use crate::widgets::matrix::{self, Cell, Head, Row};
use egui::{Button, Label, RichText, Ui};

/// How many bins are shown at first: those whose hits differ most.
const SHOWN_BINS: usize = 12;

/// The tables of differences.
#[derive(Clone, Debug, Default)]
pub struct DifferencesView {
    all_bins: bool,
}

impl DifferencesView {
    /// Shows the differences of every number, then those of the bins.
    pub fn ui(&mut self, ui: &mut Ui, runs: &Runs) {
        let Some(differences) = runs.differences() else {
            if runs.all().len() == 1 {
                ui.label(RichText::new("Try another setting, and every number is compared here.").weak());
            }
            return;
        };
        super::folding(ui, "Differences", true, |ui| {
            ui.horizontal(|ui| {
                if ui.add(Button::new("Copy as CSV").small()).clicked() {
                    ui.copy_text(differences.csv.clone());
                }
                let against = format!("measured against “{}”", differences.names[0]);
                ui.label(RichText::new(against).small().weak());
            });
            ui.scope(|ui| {
                // No wider than can be seen, which the tables may be.
                ui.set_max_width(ui.clip_rect().width() - theme::WIDE_GAP);
                ui.add(Label::new(RichText::new(note(differences)).small().weak()).wrap());
            });
            table(ui, "differences", differences, &differences.rows);
        });
        super::folding(ui, "Hit rates of bins", false, |ui| {
            let shown = if self.all_bins { differences.bins.len() } else { SHOWN_BINS };
            let rows = &differences.bins[..shown.min(differences.bins.len())];
            table(ui, "bins", differences, rows);
            if differences.bins.len() > SHOWN_BINS {
                let all =
                    format!("All {} bins; those whose hits differ most come first", differences.bins.len());
                ui.checkbox(&mut self.all_bins, all);
            }
        });
        ui.add_space(theme::GAP);
    }
}

fn table(ui: &mut Ui, name: &str, differences: &Differences, rows: &[DifferenceRow]) {
    let heads = differences.runs.iter().zip(&differences.names);
    let heads: Vec<Head<'_>> = heads.map(|(run, name)| Head { title: name, series: run.number() }).collect();
    let row = |row: &'_ DifferenceRow| -> (String, String, bool) {
        (row.name.clone(), row.meaning.clone(), row.is_same)
    };
    let owned: Vec<(String, String, bool)> = rows.iter().map(row).collect();
    let shown: Vec<Row<'_>> =
        owned.iter().map(|(name, meaning, is_same)| Row { name, meaning, is_same: *is_same }).collect();
    matrix::show(ui, name, &heads, &shown, &|row, column| {
        let cell = &rows[row].cells[column];
        Cell { value: &cell.value, difference: &cell.difference, share: cell.share, place: cell.place }
    });
}

fn note(differences: &Differences) -> String {
    let mut note = "Below each number: what it is more (orange, to the right) or less (blue, to the left); a bar \
                    of full length is all of it, or twice as much. Beside the name, all runs between nothing and \
                    the greatest."
        .to_owned();
    if differences.regimes_differ() {
        note.push_str(
            " Setting any of mmap_threshold, trim_threshold, top_pad, mmap_max fixes all thresholds: \
             such a run differs in that too.",
        );
    }
    note
}
