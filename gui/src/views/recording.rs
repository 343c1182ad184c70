//! A form for a recording, and the recording while it is made.

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::recording::{Recording, RecordingForm, Stacks};
use crate::theme;
use crate::widgets::message;
use egui::{Button, Grid, Key, Label, RichText, ScrollArea, Spinner, TextEdit, Ui};

/// The height of what is said meanwhile, in points.
const LINES: f32 = 120.0;

/// The form, as it is filled in.
#[derive(Clone, Debug, Default)]
pub struct RecordingView {
    form: RecordingForm,
    mistake: Option<String>,
}

impl RecordingView {
    /// Shows the form, or the recording that is made.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        match &model.recording {
            Some(recording) => under_way(ui, model, recording, commands),
            None => self.form(ui, commands),
        }
    }

    fn form(&mut self, ui: &mut Ui, commands: &mut Commands) {
        let form = &mut self.form;
        let mut entered = false;
        Grid::new("recording").num_columns(2).spacing([theme::GAP, 4.0]).show(ui, |ui| {
            let mut field = |name: &str, meaning: &str, hint: &str, text: &mut String| {
                let label = ui.label(name).on_hover_text(meaning);
                let field = TextEdit::singleline(text).hint_text(hint).desired_width(f32::INFINITY);
                let field = ui.add(field).labelled_by(label.id).on_hover_text(meaning);
                entered |= field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
                ui.end_row();
            };
            let meaning = "The program and its arguments, with quotes as in a shell; nothing is expanded.";
            field("Program", meaning, "python3 script.py --fast", &mut form.command);
            field("Folder", "The folder the program is started in.", "the window's own", &mut form.folder);
            field(
                "Trace",
                "Where the trace goes; it begins in that folder.",
                "the program's name",
                &mut form.output,
            );
            ui.label("Stacks").on_hover_text("Which calls are recorded with their stacks.");
            ui.horizontal(|ui| {
                for stacks in Stacks::ALL {
                    ui.radio_value(&mut form.stacks, stacks, stacks.word()).on_hover_text(stacks.meaning());
                }
            });
            ui.end_row();
        });
        let button = ui.add_enabled(!form.command.trim().is_empty(), Button::new("Record"));
        if button.clicked() || entered {
            match form.job() {
                Ok(job) => {
                    self.mistake = None;
                    commands.push(Command::Record(job));
                }
                Err(mistake) => self.mistake = Some(mistake),
            }
        }
        if let Some(mistake) = &self.mistake {
            ui.add(Label::new(RichText::new(mistake).color(ui.visuals().warn_fg_color)).wrap());
        }
        ui.label(RichText::new("In a terminal: malloscope record -o app.mscope -- app").small().weak());
    }
}

/// A recording in a few words, for where there is no room for more.
pub fn brief(ui: &mut Ui, model: &Model, recording: &Recording, commands: &mut Commands) {
    if let Some(trace) = &recording.trace {
        let name = trace.file_name().unwrap_or(trace.as_os_str()).to_string_lossy();
        if ui.button(format!("Open {name}")).on_hover_text("The trace that was recorded meanwhile.").clicked()
        {
            commands.push(Command::ForgetRecording);
            commands.push(Command::Open(trace.clone()));
        }
    } else if recording.is_under_way() {
        if let Some(trace) = &recording.growing
            && model.trace.as_ref() != Some(trace)
            && ui.button("Watch").on_hover_text("Opens the trace that is being recorded.").clicked()
        {
            commands.push(Command::Open(trace.clone()));
        }
        stop(ui, recording, commands);
        ui.label(recording.lines.last().map_or("Recording…", String::as_str))
            .on_hover_text(&recording.command);
    }
}

fn stop(ui: &mut Ui, recording: &Recording, commands: &mut Commands) {
    let stop = ui.add_enabled(!recording.is_stopping, Button::new("Stop"));
    if stop.on_hover_text("Asks the program to end; its trace is opened then.").clicked() {
        commands.push(Command::StopRecording);
    }
}

fn under_way(ui: &mut Ui, model: &Model, recording: &Recording, commands: &mut Commands) {
    if let Some(failure) = &recording.failure {
        message::show(ui, &failure.what, &failure.next);
        if ui.button("Back").clicked() {
            commands.push(Command::ForgetRecording);
        }
    } else if recording.trace.is_some() {
        brief(ui, model, recording, commands);
    } else {
        ui.horizontal(|ui| {
            ui.add(Spinner::new());
            let said = if recording.is_stopping { "Stopping" } else { "Recording" };
            stop(ui, recording, commands);
            ui.add(Label::new(format!("{said} {}", recording.command)).truncate());
        });
    }
    ScrollArea::vertical().max_height(LINES).stick_to_bottom(true).auto_shrink([false, true]).show(
        ui,
        |ui| {
            for line in &recording.lines {
                ui.add(Label::new(RichText::new(line).monospace().weak()).wrap());
            }
        },
    );
}
