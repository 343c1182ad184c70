//! The differences between two runs, where requests were served from, and the rest of the report as
//! the command prints it.

use crate::model::served::ServedLine;
use crate::model::{Model, Replayed};
use crate::widgets::table::{Cell, Column, Table};
use egui::{CollapsingHeader, Label, RichText, Ui};
use malloscope_replayer::report::{self, Line, Section};

/// Sections that are shown better elsewhere.
const ELSEWHERE: [&str; 4] = ["", "Program break", "Served from", "Bins"];

/// Shows them one below the other.
pub fn ui(ui: &mut Ui, model: &Model) {
    if let Some(differences) = &model.differences {
        folding(ui, "Differences", true, |ui| {
            paragraph(ui, RichText::new(format!("with this: {}", model.settings.name())));
            section_table(ui, "Differences", differences);
            notes(ui, differences);
        });
    }
    let Some(replayed) = model.shown() else { return };
    folding(ui, "Served from", true, |ui| served(ui, replayed));
    for section in &replayed.sections {
        if !ELSEWHERE.contains(&section.title.as_str()) {
            folding(ui, &section.title, section.title == "Memory", |ui| whole(ui, section));
        }
    }
}

fn folding(ui: &mut Ui, title: &str, is_open: bool, add: impl FnOnce(&mut Ui)) {
    CollapsingHeader::new(RichText::new(title).strong()).default_open(is_open).show_unindented(ui, add);
}

fn served(ui: &mut Ui, replayed: &Replayed) {
    let column = |title: &str, meaning, is_number| Column { title: title.to_owned(), meaning, is_number };
    let columns = vec![
        column("From", "The place in malloc that served the request.", false),
        column("Requests", "Requests it served.", true),
        column("Share", "Of all requests that were served.", true),
        column("Served", "The bytes of the chunks it served.", true),
    ];
    let plain = |text: &str| Cell { text: text.to_owned(), ..Cell::default() };
    let row = |line: &ServedLine| {
        let share = Cell { share: Some(line.share), ..plain(&line.percent) };
        vec![plain(&line.from), plain(&line.requests), share, plain(&line.bytes)]
    };
    Table { name: "Served from", columns, rows: replayed.served.iter().map(row).collect() }.show(ui);
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
