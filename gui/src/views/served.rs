//! Where requests were served from.

use crate::model::Model;
use crate::model::served::ServedLine;
use crate::widgets::table::{Cell, Column, Table};
use egui::Ui;

/// Shows them, with their shares.
pub fn ui(ui: &mut Ui, model: &Model) {
    let Some(replayed) = model.shown() else { return };
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
