//! Beside the map: what colours mean and how much there is of each, and what is known of the chosen chunk.

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::colouring::{Colouring, Entry, Key};
use crate::model::heap::{Ask, Moment, described};
use crate::theme;
use egui::{Align2, ComboBox, Grid, RichText, ScrollArea, Sense, TextStyle, Ui, vec2};
use malloscope_replayer::blame::legend::{Legend, Line};
use malloscope_replayer::report::units::{bytes, count, percent};
use malloscope_traces::Stack;
use std::borrow::Cow;

/// Frames of a stack that are shown at most.
const FRAMES: usize = 24;

/// Shows the legend and the chunk.
pub fn ui(ui: &mut Ui, model: &Model, moment: &Moment, commands: &mut Commands) {
    // What is too wide scrolls: if the map became narrower instead, everything in it would move.
    ScrollArea::both().auto_shrink(false).show(ui, |ui| {
        chosen(ui, model, moment, commands);
        ui.add_space(theme::GAP);
        ui.horizontal(|ui| {
            ui.label(RichText::new("Colours").strong());
            let now = model.exploring.colouring;
            let box_ = ComboBox::from_id_salt("colours").selected_text(now.name());
            let shown = box_.show_ui(ui, |ui| {
                for colouring in Colouring::ALL {
                    let choice = ui.selectable_label(colouring == now, colouring.name());
                    if choice.on_hover_text(colouring.meaning()).clicked() {
                        commands.push(Command::Colour(colouring));
                    }
                }
            });
            shown.response.on_hover_text(now.meaning());
        });
        if let Some(picture) = &model.exploring.picture {
            legend(ui, model, &picture.key, commands);
        }
        totals(ui, moment);
    });
}

/// The classes: their colours and letters, and how much of the heap they are.
fn legend(ui: &mut Ui, model: &Model, key: &Key, commands: &mut Commands) {
    let all: u64 = key.entries.iter().map(|entry| entry.share.bytes).sum();
    let pieces: u64 = key.entries.iter().map(|entry| entry.share.pieces).sum();
    Grid::new("legend").num_columns(5).min_col_width(14.0).spacing(vec2(theme::GAP, 2.0)).show(ui, |ui| {
        for title in ["", "", "Pieces", "Bytes", "Share"] {
            ui.label(RichText::new(title).small().weak());
        }
        ui.end_row();
        for entry in &key.entries {
            swatch(ui, entry);
            let (name, meaning) = said(model, entry, commands);
            ui.label(name).on_hover_text(meaning);
            number(ui, count(entry.share.pieces));
            number(ui, bytes(entry.share.bytes)).on_hover_text(format!("{} bytes", count(entry.share.bytes)));
            number(ui, percent(entry.share.bytes, all));
            ui.end_row();
        }
        ui.label("");
        ui.label(RichText::new("all").strong());
        number(ui, count(pieces));
        number(ui, bytes(all)).on_hover_text(format!("{} bytes", count(all)));
        number(ui, percent(all, all));
        ui.end_row();
    });
}

/// A class's name and what it is; of a stack, its innermost function and all of it.
fn said(model: &Model, entry: &Entry, commands: &mut Commands) -> (String, String) {
    let lines = entry.stack.map(|stack| lines(model, stack, commands)).unwrap_or_default();
    match lines.first() {
        Some(line) => {
            (shortened(line.split(" (").next().unwrap_or(line)), lines[..lines.len().min(FRAMES)].join("\n"))
        }
        None => (entry.name.clone(), entry.meaning.clone()),
    }
}

/// The longest name of a function in the legend.
const LONGEST: usize = 17;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn number(ui: &mut Ui, text: String) -> egui::Response {
    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| ui.label(text)).inner
}

/// A colour with its letter.
fn swatch(ui: &mut Ui, entry: &Entry) {
    let (place, _) = ui.allocate_exact_size(vec2(14.0, 14.0), Sense::hover());
    let colour = theme::tone(ui.visuals(), entry.tone);
    ui.painter().rect_filled(place, 2.0, colour);
    let font = TextStyle::Small.resolve(ui.style());
    ui.painter().text(place.center(), Align2::CENTER_CENTER, entry.letter, font, theme::on(colour));
}

/// How the numbers fit to those of the reports.
fn totals(ui: &mut Ui, moment: &Moment) {
    let heap = &moment.heap;
    ui.add_space(theme::GAP);
    let line = |ui: &mut Ui, text: String, meaning: &str| {
        ui.label(RichText::new(text).small()).on_hover_text(meaning);
    };
    let system = format!("{} from the kernel, by malloc’s own count", bytes(heap.system));
    line(ui, system, "The memory of all arenas, and the mappings of single chunks.");
    if heap.foreign > 0 {
        let foreign = format!("{} of that are others’", bytes(heap.foreign));
        line(
            ui,
            foreign,
            "Somebody other than malloc moved the program break: malloc counts that as its own.",
        );
    }
    let pinned = format!("{} pinned in the main arena", bytes(heap.pinned()));
    line(
        ui,
        pinned,
        "Free memory below the highest live chunk: it cannot go back to the kernel by moving the program break.",
    );
    let requested = format!("{} asked for by what lives", bytes(heap.totals.requested));
    line(ui, requested, "What the program asked for; chunks are larger by heads and padding.");
}

/// What is known of the chosen chunk.
fn chosen(ui: &mut Ui, model: &Model, moment: &Moment, commands: &mut Commands) {
    let chosen = model.exploring.chosen.and_then(|address| moment.heap.piece_at(address));
    let Some(number) = chosen else {
        ui.label(RichText::new("Click a chunk to see what it is.").weak());
        return;
    };
    ui.horizontal(|ui| {
        ui.label(RichText::new("Chosen").strong());
        if ui.small_button("Clear").clicked() {
            commands.push(Command::Choose(None));
        }
    });
    Grid::new("chosen").num_columns(2).spacing(vec2(theme::GAP, 2.0)).show(ui, |ui| {
        for (name, value) in described(moment, number) {
            ui.label(RichText::new(name).weak());
            ui.label(value);
            ui.end_row();
        }
        for (name, value) in &model.exploring.links {
            ui.label(RichText::new(*name).weak());
            ui.label(value);
            ui.end_row();
        }
    });
    let allocation = moment.heap.allocation(&moment.heap.pieces[number]).copied();
    if let Some(allocation) = allocation {
        if let Some(record) = allocation.record
            && ui.button("Go to the call that made it").clicked()
        {
            commands.push(Command::Point(Some(record)));
        }
        stack(ui, model, allocation.stack, commands);
    }
}

/// The frames of a stack, the innermost first.
pub fn stack(ui: &mut Ui, model: &Model, stack: u32, commands: &mut Commands) {
    if stack == 0 {
        return;
    }
    let lines = lines(model, stack, commands);
    ui.label(RichText::new(format!("Stack {stack}")).weak());
    for line in lines.iter().take(FRAMES) {
        ui.label(RichText::new(line).monospace().small());
    }
    if lines.len() > FRAMES {
        ui.label(RichText::new(format!("and {} more frames", lines.len() - FRAMES)).small());
    }
}

/// What the frames of a stack are called: as in the flamegraph, once their names have been looked for, and until then by
/// what the trace itself says.
fn lines<'a>(model: &'a Model, stack: u32, commands: &mut Commands) -> Cow<'a, [String]> {
    let said = model.exploring.names.get(&stack);
    if said.is_none() {
        commands.push(Command::Explore(Ask::Name(stack)));
    }
    match (model.stacks.legend.ready(), said) {
        (Some(legend), _) => legend.stack(Stack(stack)).iter().map(|line| in_short(legend, line)).collect(),
        (None, Some(said)) => Cow::Borrowed(said),
        (None, None) => Cow::Borrowed(&[]),
    }
}

/// A function, and the last part of where its source is.
fn in_short(legend: &Legend, line: &Line) -> String {
    let name = &legend.get(line.function).name;
    let source = legend.source(line);
    let source = source.as_deref().and_then(|source| source.rsplit('/').next());
    source.map_or_else(|| name.clone(), |source| format!("{name} ({source})"))
}
