//! Sections of the report, as the command prints them.

use crate::model::Model;
use crate::widgets::table::{Cell, Column, Table};
use egui::{CollapsingHeader, Label, RichText, Ui};
use malloscope_replayer::report::{self, Line, Section};

/// Sections that are shown better elsewhere.
const ELSEWHERE: [&str; 4] = ["", "Program break", "Served from", "Bins"];

/// Shows those that are not shown better elsewhere, one below the other.
pub fn ui(ui: &mut Ui, model: &Model) {
    let Some(replayed) = model.shown() else { return };
    for section in &replayed.sections {
        if !ELSEWHERE.contains(&section.title.as_str()) {
            folding(ui, &section.title, section.title == "Memory", |ui| whole(ui, section));
        }
    }
}

fn folding(ui: &mut Ui, title: &str, is_open: bool, add: impl FnOnce(&mut Ui)) {
    CollapsingHeader::new(RichText::new(title).strong()).default_open(is_open).show_unindented(ui, add);
}

fn whole(ui: &mut Ui, section: &Section) {
    for line in &section.lines {
        match line {
            Line::Text(text) => paragraph(ui, RichText::new(text)),
            Line::Warning(text) => {
                let colour = ui.visuals().warn_fg_color;
                paragraph(ui, RichText::new(text).color(colour));
            }
            // The window draws better than letters do.
            Line::Chart(_) => {}
        }
    }
    section_table(ui, "Report", section);
    notes(ui, section);
}

fn notes(ui: &mut Ui, section: &Section) {
    for note in &section.notes {
        paragraph(ui, RichText::new(note).small().weak());
    }
}

fn paragraph(ui: &mut Ui, text: RichText) {
    ui.add(Label::new(text).wrap());
}

fn section_table(ui: &mut Ui, name: &'static str, section: &Section) {
    let Some(table) = &section.table else { return };
    let column = |column: &report::Column| Column {
        title: column.name.clone(),
        meaning: "",
        is_number: column.is_number,
    };
    let row = |row: &Vec<String>| {
        // A row without a name belongs to the one above it.
        let is_weak = row.first().is_some_and(String::is_empty);
        row.iter().map(|text| Cell { text: text.clone(), share: None, is_weak }).collect()
    };
    Table {
        name,
        columns: table.columns.iter().map(column).collect(),
        rows: table.rows.iter().map(row).collect(),
    }
    .show(ui);
}
