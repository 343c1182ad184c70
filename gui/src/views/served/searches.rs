//! How far requests searched: the free chunks that they looked at in bins that are walked.

use crate::app::command::{Command, Commands};
use crate::model::view::View;
use crate::widgets::table::{Cell, Column, Table};
use egui::{RichText, Ui};
use malloscope_replayer::metrics::searches::{SearchRow, Searches};
use malloscope_replayer::report::units::count;

/// Shows the searches by kind of bin, or those of each bin too. Of the run that was recorded, the longest can be gone to.
pub(super) fn ui(ui: &mut Ui, searches: &Searches, of_each_bin: bool, can_go: bool, commands: &mut Commands) {
    if searches.all().is_none() {
        ui.label(RichText::new("No request searched a bin.").weak());
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new("How far requests searched").strong());
        let said = format!("Show the longest, record {}", count(searches.longest_at));
        let meaning = "The heap map just after it, and in words what the call looked at.";
        if can_go && ui.button(said).on_hover_text(meaning).clicked() {
            commands.push(Command::Point(Some(searches.longest_at)));
            commands.push(Command::Look(View::Map));
        }
    });
    table(searches, of_each_bin).show(ui);
}

fn table(searches: &Searches, of_each_bin: bool) -> Table {
    let column = |title: &str, meaning, is_number| Column { title: title.to_owned(), meaning, is_number };
    let columns = vec![
        column("Bins", "Of all bins that are searched, of those of a kind, or of one.", false),
        column(
            "Searches",
            "Calls that looked at any free chunk there; of a single bin, walks of it. A tcache and a fastbin are not searched.",
            true,
        ),
        column("Chunks", "Free chunks that they looked at, together.", true),
        column("Mean", "Chunks that one search looked at, on average.", true),
        column("99 of 100", "99 of a hundred searches looked at no more chunks; right to an eighth.", true),
        column("Longest", "The most chunks that one search looked at.", true),
    ];
    let longest = searches.rows.iter().map(|row| row.longest).max().unwrap_or(0).max(1);
    let plain = |text: String| Cell { text, ..Cell::default() };
    let row = |row: &SearchRow| {
        let name = row.number.map_or_else(|| row.kind.clone(), |number| format!("{} {number}", row.kind));
        vec![
            plain(name),
            plain(count(row.searches)),
            plain(count(row.chunks)),
            plain(format!("{:.1}", row.mean())),
            plain(count(row.p99)),
            Cell { share: Some(row.longest as f64 / longest as f64), ..plain(count(row.longest)) },
        ]
    };
    let rows = searches.rows.iter().filter(|row| of_each_bin || row.number.is_none());
    Table { name: "Searches", columns, rows: rows.map(row).collect() }
}
