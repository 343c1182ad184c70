//! A form for a recording, and the recording while it is made.

mod attach;

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::recording::{Recording, RecordingForm, Stacks, Way};
use crate::theme;
use crate::widgets::message;
use egui::{Button, Grid, Key, Label, RichText, ScrollArea, Spinner, TextEdit, Ui};

/// The height of what is said meanwhile, in points.
const LINES: f32 = 120.0;

/// The form, as it is filled in.
#[derive(Clone, Debug, Default)]
pub struct RecordingView {
    form: RecordingForm,
    processes: attach::ProcessList,
    mistake: Option<String>,
}

impl RecordingView {
    /// Shows the form, or the recording that is made.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        match &model.recording {
            Some(recording) => under_way(ui, model, recording, commands),
            None => self.form(ui, model, commands),
        }
    }

    fn form(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        let form = &mut self.form;
        ui.horizontal(|ui| {
            ui.radio_value(&mut form.way, Way::Run, "Run a program")
                .on_hover_text("It is recorded from its first call to its last.");
            ui.radio_value(&mut form.way, Way::Attach, "Attach to a process").on_hover_text(
                "One that runs is recorded from now on, and goes on as it was when it is left.",
            );
        });
        let is_attached = form.way == Way::Attach;
        if is_attached {
            self.processes.ui(ui, model, form, commands);
        }
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
            let folder = if is_attached {
                let meaning = "How long it is recorded, such as 500ms, 60s or 5m; it can be left before.";
                field("For", meaning, "until you stop it, or it ends", &mut form.time);
                "The folder the trace goes to."
            } else {
                field("Program", meaning, "python3 script.py --fast", &mut form.command);
                "The folder the program is started in."
            };
            field("Folder", folder, "the window's own", &mut form.folder);
            field(
                "Trace",
                "Where the trace goes; it begins in that folder.",
                "the program's name",
                &mut form.output,
            );
            if is_attached {
                attach::engines(ui, model, form);
            }
            ui.label("Stacks").on_hover_text("Which calls are recorded with their stacks.");
            ui.horizontal(|ui| {
                for stacks in Stacks::ALL {
                    ui.radio_value(&mut form.stacks, stacks, stacks.word()).on_hover_text(stacks.meaning());
                }
            });
            ui.end_row();
        });
        let (word, is_filled, example) = match form.way {
            Way::Run => ("Record", !form.command.trim().is_empty(), "-o app.mscope -- app"),
            Way::Attach => ("Attach", form.process.is_some(), "-o app.mscope --pid 1234"),
        };
        let button = ui.add_enabled(is_filled, Button::new(word));
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
        ui.label(RichText::new(format!("In a terminal: malloscope record {example}")).small().weak());
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
        ui.label(recording.lines.last().map_or("Recording…", String::as_str)).on_hover_text(&recording.what);
    }
}

fn stop(ui: &mut Ui, recording: &Recording, commands: &mut Commands) {
    let stop = ui.add_enabled(!recording.is_stopping, Button::new("Stop"));
    let meaning = if recording.is_attached {
        "Leaves the process, which goes on as it was; its trace is opened then."
    } else {
        "Asks the program to end; its trace is opened then."
    };
    if stop.on_hover_text(meaning).clicked() {
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
            ui.add(Label::new(format!("{said} {}", recording.what)).truncate());
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
