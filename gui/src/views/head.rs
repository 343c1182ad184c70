//! What is open, and the numbers that are seen first.

use super::menu;
use super::recording;
use crate::app::actions::Action;
use crate::app::command::{Command, Commands};
use crate::app::shell::Shell;
use crate::model::{Model, Replayed};
use crate::theme;
use crate::widgets::message;
use egui::{Align, Label, Layout, RichText, ScrollArea, Ui};

/// The height that notices take at most, in points.
const NOTICES: f32 = 116.0;

/// What is open, and the buttons that are always there.
pub fn bar(ui: &mut Ui, model: &Model, actions: &[Action], commands: &mut Commands) {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        menu::ui(ui, model, actions, commands);
        let name = if ui.visuals().dark_mode { "Light" } else { "Dark" };
        if ui.button(name).on_hover_text("Switch to the other colours (T)").clicked() {
            commands.push(Command::Shell(Shell::Theme));
        }
        if model.trace.is_some() && ui.button("Close").on_hover_text("Open another trace").clicked() {
            commands.push(Command::Close);
        }
        if let Some(recording) = model.recording.as_ref().filter(|_| model.trace.is_some()) {
            recording::brief(ui, model, recording, commands);
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| title(ui, model));
    });
}

fn title(ui: &mut Ui, model: &Model) {
    let Some(trace) = &model.trace else {
        ui.label(RichText::new("Malloscope").heading().strong());
        return;
    };
    let file = trace.file_name().unwrap_or(trace.as_os_str()).to_string_lossy();
    ui.label(RichText::new(file).strong()).on_hover_text(trace.display().to_string());
    if let Some(replayed) = model.seen() {
        let command = replayed.trace().command();
        let shown: String = command.chars().map(|c| if c.is_control() { '·' } else { c }).collect();
        ui.add(Label::new(RichText::new(shown).monospace().weak()).truncate());
    }
}

/// The numbers that are seen first, and what should be noticed.
pub fn figures(ui: &mut Ui, replayed: &Replayed) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = theme::WIDE_GAP * 1.5;
        for figure in &replayed.figures {
            let shown = ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                ui.label(RichText::new(figure.name).small().weak());
                ui.label(RichText::new(&figure.value).heading().strong());
            });
            shown.response.on_hover_text(&figure.meaning);
        }
    });
    if !replayed.notices.is_empty() {
        ui.add_space(theme::GAP);
        ScrollArea::vertical()
            .id_salt("notices")
            .max_height(NOTICES)
            .min_scrolled_height(NOTICES)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                for notice in &replayed.notices {
                    message::show(ui, &notice.what, &notice.next);
                }
            });
    }
}
