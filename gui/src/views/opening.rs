//! The opening screen: what to do, what was done last, and what the words mean.

use super::recording::RecordingView;
use crate::app::command::{Command, Commands};
use crate::model::samples::Sample;
use crate::model::{Model, terms};
use crate::theme;
use egui::{Align, Button, CollapsingHeader, Grid, Key, Label, Layout, RichText, TextEdit, Ui};
use std::path::Path;

/// The room for the two buttons beside the path.
const BUTTONS: f32 = 160.0;

/// The opening screen.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    path: String,
    recording: RecordingView,
}

impl Opening {
    /// Shows how to open a trace, and how to get one.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        let what = "Malloscope replays what a program asked of malloc, call by call and exactly, \
                    and shows what malloc did with it: as it was recorded, or under any other setting.";
        ui.add(Label::new(RichText::new(what).weak()).wrap());
        ui.add_space(theme::WIDE_GAP);
        ui.label(RichText::new("Open a trace").heading().strong());
        let label = ui.label("Drop a trace on this window, or type its path:");
        ui.horizontal(|ui| {
            let width = ui.available_width() - BUTTONS;
            let field = TextEdit::singleline(&mut self.path).hint_text("app.mscope").desired_width(width);
            let field = ui.add(field).labelled_by(label.id);
            let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            let path = self.path.trim();
            let open = ui.add_enabled(!path.is_empty(), Button::new("Open")).clicked();
            if (open || entered) && !path.is_empty() {
                commands.push(Command::Open(path.into()));
            }
            if ui.button("Browse…").clicked() {
                commands.push(Command::Browse);
            }
        });
        if model.has_no_dialog {
            let why = "There is no dialog for files on this desktop: neither a portal nor zenity answers. Type the path.";
            ui.add(Label::new(RichText::new(why).color(ui.visuals().warn_fg_color)).wrap());
        }
        recent(ui, model, commands);
        ui.add_space(theme::WIDE_GAP);
        ui.label(RichText::new("Record a program").strong());
        self.recording.ui(ui, model, commands);
        ui.add_space(theme::WIDE_GAP);
        ui.label(RichText::new("Look at a sample").strong());
        samples(ui, &model.samples, commands);
        ui.add_space(theme::GAP);
        CollapsingHeader::new("What the words mean").show_unindented(ui, words);
    }
}

fn recent(ui: &mut Ui, model: &Model, commands: &mut Commands) {
    let paths = model.recent.paths();
    if paths.is_empty() {
        return;
    }
    ui.add_space(theme::WIDE_GAP);
    ui.label(RichText::new("Opened last").strong());
    for path in paths {
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let forget = ui.small_button("×");
                let said = format!("Forget {}", path.display());
                forget.widget_info(|| {
                    egui::WidgetInfo::labeled(egui::accesskit::Role::Button, true, said.as_str())
                });
                if forget.on_hover_text(&said).clicked() {
                    commands.push(Command::ForgetRecent(path.clone()));
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
                    if ui.link(name).on_hover_text(path.display().to_string()).clicked() {
                        commands.push(Command::Open(path.clone()));
                    }
                    let folder = path.parent().unwrap_or(Path::new("")).display().to_string();
                    ui.add(Label::new(RichText::new(folder).weak()).truncate());
                });
            });
        });
    }
}

fn samples(ui: &mut Ui, samples: &[Sample], commands: &mut Commands) {
    Grid::new("samples").num_columns(2).spacing([theme::WIDE_GAP, 2.0]).show(ui, |ui| {
        for sample in samples {
            let recorded = format!("A recording of {}.", sample.program);
            if ui.link(sample.name).on_hover_text(recorded).clicked() {
                commands.push(Command::OpenSample(sample.clone()));
            }
            ui.add(Label::new(sample.shows).wrap());
            ui.end_row();
        }
    });
}

fn words(ui: &mut Ui) {
    Grid::new("words").num_columns(2).spacing([theme::WIDE_GAP, 2.0]).show(ui, |ui| {
        for (word, meaning) in terms::ALL {
            ui.label(RichText::new(word).strong());
            ui.add(Label::new(meaning).wrap());
            ui.end_row();
        }
    });
}
