//! One bin: what it is, what it did over the records, and which requests it served.

use super::super::filter;
use super::{BinsView, weak};
use crate::app::command::{Command, Commands};
use crate::model::flows::Unit;
use crate::model::heap::{Ask, waiting_in};
use crate::model::heat::{Heat, HeatRow};
use crate::model::view::View;
use crate::model::{Model, Replayed};
use crate::theme;
use crate::widgets::scale::narrow;
use crate::widgets::table::{Cell, Column, Table};
use egui::{Grid, Mesh, Rect, RichText, Sense, Ui, WidgetInfo, accesskit::Role, vec2};
use malloscope_replayer::explore::map::Piece;
use malloscope_replayer::outcome::BinRow;
use malloscope_replayer::report::units::{bytes, count, percent};
use malloscope_replayer::trial::WordWidth;

/// Chunks of a free list that are shown.
const LISTED: usize = 12;
/// The height of the picture of its requests.
const PICTURE: f32 = 56.0;

impl BinsView {
    pub(super) fn chosen(
        &mut self,
        ui: &mut Ui,
        model: &Model,
        replayed: &Replayed,
        commands: &mut Commands,
    ) {
        let Some(chosen) = self.chosen.clone() else { return };
        let heat = &replayed.heat;
        ui.horizontal(|ui| {
            ui.label(RichText::new(&chosen.bin).strong().size(16.0));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.small_button("Close bin").clicked() {
                    self.close(model, commands);
                }
            });
        });
        let Some(number) = heat.rows.iter().position(|row| row.name == chosen.bin) else {
            ui.label("No request looked into it in these records.");
            return;
        };
        let row = &heat.rows[number];
        let is_wide = replayed.report.outcome.trial.words == WordWidth::Bits64;
        ui.label(described(&row.row, is_wide));
        ui.horizontal_wrapped(|ui| filter::links(ui, model, View::Bins, commands));
        ui.add_space(theme::GAP);
        over_time(ui, heat, number);
        in_records(ui, heat, number, chosen.records, commands);
        free_list(ui, model, &row.row, commands);
        ui.add_space(theme::GAP);
        numbers(ui, heat, row);
        sizes(ui, replayed, &row.row);
    }
}

/// What it did in the records that were clicked.
fn in_records(ui: &mut Ui, heat: &Heat, number: usize, (first, end): (u64, u64), commands: &mut Commands) {
    let (begin, behind) = heat.extent();
    if first < begin || behind < end {
        return;
    }
    let one = |slice: usize| heat.records(&(slice..slice + 1));
    let mut slices = (0..heat.slices()).filter(|&slice| one(slice).0 < end && one(slice).1 > first);
    let Some(earliest) = slices.next() else { return };
    let cell = heat.cell(number, &(earliest..slices.next_back().unwrap_or(earliest) + 1));
    ui.label(weak(format!("In records {}–{}:", count(first), count(end.saturating_sub(1)))));
    ui.label(if cell.requests() == 0 { "not asked".to_owned() } else { cell.said() });
    if ui.button("Only these records").on_hover_text("Count these records alone, everywhere").clicked() {
        commands.push(Command::Select(Some((first, end))));
    }
}

/// The chunks that wait in the bin at the record that all views look at, those that would be taken first on top.
fn free_list(ui: &mut Ui, model: &Model, bin: &BinRow, commands: &mut Commands) {
    ui.add_space(theme::GAP);
    let wanted = model.wanted_record();
    let moment = model.exploring.moment.as_ref().filter(|_| model.is_explored());
    let Some(moment) = moment else {
        let meaning = "Replays up to the record that is looked at, or to the end, and lists the chunks that wait there.";
        let asks = ui.button("Show its free list").on_hover_text(meaning).clicked();
        commands.extend(wanted.filter(|_| asks).map(|record| Command::Explore(Ask::To(record))));
        return;
    };
    let waiting = waiting_in(&moment.heap, bin);
    let when = moment.record().map_or_else(
        || "before the first record".to_owned(),
        |record| format!("after record {}", count(record)),
    );
    let all: u64 = waiting.iter().map(|piece| piece.size).sum();
    let said = format!("Free list {when}: {} chunks, {}", count(waiting.len() as u64), bytes(all));
    ui.label(weak(said));
    let column = |title: &str, is_number| Column { title: title.to_owned(), meaning: "", is_number };
    let plain = |text: String| Cell { text, ..Cell::default() };
    let row = |piece: &&Piece| {
        let whose = piece.thread.map_or_else(|| "–".to_owned(), |thread| thread.to_string());
        vec![plain(format!("{:#x}", piece.address)), plain(count(piece.size)), plain(whose)]
    };
    let rows = waiting.iter().take(LISTED).map(row).collect();
    let columns = vec![column("Chunk", false), column("Bytes", true), column("Thread", true)];
    Table { name: "Free list", columns, rows }.show(ui);
    if waiting.len() > LISTED {
        ui.label(weak(format!("and {} more", count((waiting.len() - LISTED) as u64))));
    }
}

/// What the bin holds, and which requests that serves.
fn described(row: &BinRow, is_wide: bool) -> String {
    match (row.kind.as_str(), row.least_size, row.greatest_size) {
        (_, Some(size), Some(same)) if size == same && is_wide => {
            // A chunk's head takes a word, and the last word of its payload is the next one's: 16 bytes a step.
            let (least, most) = (size.saturating_sub(23), size.saturating_sub(8));
            let least = if size <= 32 { 0 } else { least };
            format!("Chunks of {} bytes: requests of {} to {} bytes.", count(size), count(least), count(most))
        }
        (_, Some(size), Some(same)) if size == same => format!("Chunks of {} bytes.", count(size)),
        (_, Some(least), Some(most)) if most < 1 << 40 => {
            format!("Chunks of {} to {} bytes, the best fit first.", count(least), count(most))
        }
        (_, Some(least), _) => format!("Chunks of {} bytes and more, the best fit first.", count(least)),
        ("unsorted", ..) => "What was freed and has not been sorted yet; of any size.".to_owned(),
        ("top", ..) => "The chunk that borders unclaimed memory; of any size.".to_owned(),
        ("mapped", ..) => "Mappings of a chunk's own: asked the kernel each time.".to_owned(),
        _ => String::new(),
    }
}

/// Its requests over the records: those it served, and above them those it could not.
fn over_time(ui: &mut Ui, heat: &Heat, number: usize) {
    let (place, response) = ui.allocate_exact_size(vec2(ui.available_width(), PICTURE), Sense::hover());
    let points = usize::try_from(crate::widgets::scale::whole(f64::from(place.width() / 2.0))).unwrap_or(1);
    let columns = heat.columns(points);
    let cells: Vec<_> = columns.iter().map(|slices| heat.cell(number, slices)).collect();
    let most = cells.iter().map(|cell| cell.requests()).max().unwrap_or(0).max(1);
    let (hit, missed) = (theme::accent(ui.visuals()), theme::category(ui.visuals(), 2));
    let mut mesh = Mesh::default();
    let wide = place.width() / columns.len().max(1) as f32;
    for (column, cell) in cells.iter().enumerate() {
        let left = place.left() + wide * column as f32;
        let high = |part: u64| narrow(part as f64 / most as f64) * place.height();
        let top = place.bottom() - high(cell.hits);
        mesh.add_colored_rect(Rect::from_x_y_ranges(left..=left + wide, top..=place.bottom()), hit);
        mesh.add_colored_rect(
            Rect::from_x_y_ranges(left..=left + wide, top - high(cell.misses)..=top),
            missed,
        );
    }
    ui.painter().rect_filled(place, 2.0, ui.visuals().faint_bg_color);
    ui.painter().add(mesh);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "Requests of the bin over the records"));
    response.on_hover_text(format!(
        "At most {} requests in {} slices.",
        count(most),
        columns.first().map_or(0, |slices| slices.len())
    ));
    ui.horizontal(|ui| {
        ui.label(RichText::new("■ hits").small().color(hit));
        ui.label(RichText::new("■ misses").small().color(missed));
        ui.label(weak("over the records").small());
    });
}

fn numbers(ui: &mut Ui, heat: &Heat, bin: &HeatRow) {
    let row = &bin.row;
    let lines = [
        ("Requests", count(row.requests), "Requests that looked into it."),
        ("Hits", count(row.hits), "Requests it served."),
        ("Misses", count(row.misses), "Requests that found nothing in it, and went on."),
        ("Hit rate", percent(row.hits, row.requests), "Hits among requests."),
        ("Served", bytes(row.hit_bytes), "The bytes of the chunks it served."),
        ("Share of bins", percent(row.hits, heat.served), "Of all requests that were served by any bin."),
        ("Came to rest", count(row.released), "Chunks that were freed into it, or left over from a split."),
        ("Sorted into", count(row.sorted), "Chunks that were moved here from the unsorted bin."),
        (
            "To a tcache",
            count(row.stashed),
            "Chunks that moved to a tcache, since one like them was asked for.",
        ),
    ];
    Grid::new("numbers of the bin").num_columns(2).spacing(vec2(theme::WIDE_GAP, 1.0)).show(ui, |ui| {
        for (name, value, meaning) in lines {
            ui.label(weak(name)).on_hover_text(meaning);
            ui.label(value).on_hover_text(meaning);
            ui.end_row();
        }
    });
}

/// The places by which the bins of a kind serve.
fn places(kind: &str) -> &'static [&'static str] {
    match kind {
        "tcache" => &["tcache"],
        "fast" => &["fastbin"],
        "small" => &["small bin"],
        "unsorted" => &["unsorted bin", "last remainder"],
        "large" => &["large bin"],
        "top" => &["top"],
        "mapped" => &["mapped"],
        _ => &[],
    }
}

/// The requests that bins of its kind served, by size, where there is more than one size.
fn sizes(ui: &mut Ui, replayed: &Replayed, row: &BinRow) {
    if row.least_size.is_some() && row.least_size == row.greatest_size {
        return;
    }
    let flows = &replayed.requests;
    let places: Vec<usize> = (0..flows.places.len())
        .filter(|&place| places(&row.kind).contains(&flows.places[place].name.as_str()))
        .collect();
    let classes = flows.classes.iter().enumerate().map(|(class, node)| {
        let times: u64 = places.iter().map(|&place| flows.amount(class, place).of(Unit::Count)).sum();
        (node.name.clone(), times)
    });
    let classes: Vec<(String, u64)> = classes.filter(|(_, times)| *times > 0).collect();
    let total: u64 = classes.iter().map(|(_, times)| times).sum();
    if total == 0 {
        return;
    }
    ui.add_space(theme::GAP);
    let whose = if row.number.is_some() {
        format!("Served by all {} bins, by size asked for:", row.kind)
    } else {
        "Served, by size asked for:".to_owned()
    };
    ui.label(weak(whose));
    let column = |title: &str, is_number| Column { title: title.to_owned(), meaning: "", is_number };
    let columns = vec![column("Asked for", false), column("Requests", true), column("Share", true)];
    let rows = classes.into_iter().map(|(name, times)| {
        let plain = |text: String| Cell { text, ..Cell::default() };
        let share = Cell { share: Some(times as f64 / total as f64), ..plain(percent(times, total)) };
        vec![plain(name), plain(count(times)), share]
    });
    Table { name: "Sizes of the bin", columns, rows: rows.collect() }.show(ui);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_says_which_requests_its_chunks_serve() {
        let row = |kind: &str, least: u64, greatest: u64| BinRow {
            kind: kind.to_owned(),
            number: Some(0),
            least_size: Some(least),
            greatest_size: Some(greatest),
            requests: 0,
            hits: 0,
            misses: 0,
            hit_bytes: 0,
            released: 0,
            released_bytes: 0,
            stashed: 0,
            sorted: 0,
        };
        assert_eq!(described(&row("tcache", 32, 32), true), "Chunks of 32 bytes: requests of 0 to 24 bytes.");
        assert_eq!(described(&row("small", 48, 48), true), "Chunks of 48 bytes: requests of 25 to 40 bytes.");
        assert_eq!(described(&row("fast", 16, 16), false), "Chunks of 16 bytes.");
        assert!(described(&row("large", 1024, 1087), true).starts_with("Chunks of 1,024 to 1,087 bytes"));
    }
}
