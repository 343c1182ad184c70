//! That what is shown is not all yet, how far it is, and how it goes on.

use super::loading;
use crate::app::command::{Command, Commands};
use crate::model::runs::RunId;
use crate::model::{Model, Tile};
use crate::theme;
use egui::{Frame, RichText, Ui};
use malloscope_replayer::report::so_far::standing;

/// Shows how far the replay is of which something is shown.
pub fn ui(ui: &mut Ui, model: &Model, commands: &mut Commands) {
    let Some(at) = model.seen().and_then(|seen| seen.report.outcome.so_far) else { return };
    ui.horizontal_wrapped(|ui| {
        let frame = Frame::new().inner_margin(egui::Margin::symmetric(8, 2)).corner_radius(8);
        frame.fill(theme::selected(ui.visuals())).show(ui, |ui| {
            ui.label(RichText::new(capitalized(&standing(at))).strong());
        });
        match model.recorded() {
            Tile::Loading(_) if model.is_growing() => {
                ui.label("All numbers are of those. The trace is still being recorded, and is replayed as it grows.");
                cancel(ui, commands);
            }
            Tile::Loading(progress) => {
                ui.label("All numbers are of those.");
                loading::small(ui, "Replaying the rest", *progress, || {
                    commands.push(Command::Cancel(RunId::RECORDED));
                });
            }
            _ => {
                ui.label("The replay was stopped here, and all numbers are of those.");
                if ui.button("Replay all").on_hover_text("From the beginning, to the end").clicked() {
                    commands.push(Command::Retry(RunId::RECORDED));
                }
            }
        }
    });
}

fn cancel(ui: &mut Ui, commands: &mut Commands) {
    let button = ui.button("Cancel").on_hover_text("Stops the replay. The recording goes on.");
    if button.clicked() {
        commands.push(Command::Cancel(RunId::RECORDED));
    }
}

/// A sentence's beginning.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What is said in a panel that speaks of the whole trace, while there is not all of it.
pub fn awaited(ui: &mut Ui, model: &Model) {
    ui.label(if model.is_growing() {
        "This is there when the recording has ended: it speaks of the whole trace."
    } else {
        "This is there when the replay is done: it speaks of the whole trace."
    });
}
